"""Trees and bushes: lumpy crowns that stand over what lies under them."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from geoalps.sample.chips.kinds import (
    AIRCRAFT,
    BUILDING,
    CONTAINER,
    FOREST,
    PITCH,
    POOL,
    RAIL,
    ROAD,
    SHIP,
    SOLAR,
    STRUCTURE,
    TANK,
    TREE,
    VEHICLE,
    WATER,
)
from geoalps.sample.chips.look import CROWN, FLOOR, Colour, Look
from geoalps.sample.chips.shape import Points
from geoalps.sample.chips.sheet import Sheet

TREELESS = frozenset(
    (AIRCRAFT, BUILDING, CONTAINER, PITCH, POOL, RAIL, ROAD, SHIP, SOLAR, STRUCTURE, TANK, VEHICLE, WATER)
)
"""Classes that no tree stands on; crowns may reach over them."""
LEAVES: tuple[Colour, ...] = (
    (62, 82, 40), (72, 92, 46), (54, 74, 38), (84, 98, 52), (66, 82, 50), (92, 102, 60), (48, 64, 38), (78, 90, 42),
)  # fmt: skip
NEEDLES: tuple[Colour, ...] = ((40, 58, 40), (46, 64, 42), (36, 52, 38), (52, 66, 46))
AUTUMN: tuple[Colour, ...] = ((142, 108, 52), (128, 82, 48), (150, 128, 62), (112, 98, 58), (104, 58, 50))
BARE_WOOD: tuple[Colour, ...] = ((116, 106, 94), (132, 124, 112), (98, 90, 80))


def flora(rng: Generator) -> tuple[Colour, ...]:
    """Some colours of trees that grow together."""
    kind = rng.choice(5, p=[0.56, 0.16, 0.12, 0.08, 0.08])
    palette = (LEAVES, NEEDLES, LEAVES + NEEDLES, LEAVES + AUTUMN, LEAVES + BARE_WOOD)[kind]
    chosen = rng.choice(len(palette), size=int(rng.integers(2, 5)))
    return tuple(palette[n] for n in chosen)


def crown_look(rng: Generator, colours: tuple[Colour, ...], spread: float = 0.1) -> Look:
    """A crown of one of some colours."""
    red, green, blue = colours[int(rng.integers(len(colours)))]
    tone, warm = 1 + spread * rng.standard_normal(), 1 + 0.06 * rng.standard_normal()
    colour = (red * tone * warm, green * tone, blue * tone)
    nir = 175 * tone if green > red else 110 * tone
    return CROWN._replace(colour=colour, nir=nir, other=(colour[0] * 1.3, colour[1] * 1.2, colour[2] * 1.1))


def crowns(
    sheet: Sheet,
    places: Points,
    radius: NDArray[np.float64],
    colours: tuple[Colour, ...],
    whole: int | None = None,
    slender: float = 1.5,
) -> None:
    """Draw trees, the small ones first.

    Args:
        sheet: to draw on.
        places: (n, 2) metres.
        radius: (n,) metres of the crowns.
        colours: of leaves.
        whole: that the crowns are parts of; None makes each crown a whole, where trees can stand.
        slender: metres of height per metre of radius.
    """
    rng, pixel = sheet.rng, sheet.pixel
    edge = radius + 8 * pixel
    seen = (places > -edge[:, None]).all(1) & (places < np.array(sheet.span) + edge[:, None]).all(1)
    seen &= radius > 0.7 * pixel
    if whole is None:
        seen[seen] = [sheet.kind_at(x, y) not in TREELESS for x, y in places[seen].tolist()]
    order = np.argsort(radius[seen], kind="stable")
    places, radius = places[seen][order], radius[seen][order]
    if not len(places):
        return
    kinds = [crown_look(rng, colours) for _ in range(min(10, len(places)))]
    looks = [kinds[n] for n in rng.integers(len(kinds), size=len(places)).tolist()]
    # Needles are darker than leaves, and their crowns pointed.
    cone = [0.85 if sum(k.colour) < 152 else 0.0 for k in looks]
    lump = rng.uniform(0.1, 0.2)
    tall = (radius * slender * rng.uniform(0.8, 1.2, len(radius))).tolist()
    moved = places + np.outer(tall, sheet.lean)
    # Crowns of a stand that are hardly larger than pixels are its texture, not its parts.
    paint = whole is not None and float(np.median(radius)) < 2.2 * pixel
    first = len(sheet.looks)
    for n, (place, reach) in enumerate(zip(moved.tolist(), radius.tolist(), strict=True)):
        home, part = (sheet.whole(TREE), 0) if whole is None else (whole, sheet.part())
        sheet.add(
            looks[n],
            home,
            part,
            0.35 * tall[n],
            (0.0, 0.0),
            (place[0], place[1]),
            (reach, 0.65 * tall[n]),
            lump,
            cone[n],
        )
    sheet.fills(first, _outlines(rng, moved, radius, pixel), paint)


def grove(sheet: Sheet, outline: Points, spacing: float = 0.0) -> None:
    """Trees that stand close, with the ground between them: one whole, its crowns parts where pixels are fine."""
    rng = sheet.rng
    middle = outline.mean(0)
    if not sheet.sees(float(middle[0]), float(middle[1]), float(np.abs(outline - middle).max())):
        return
    whole = sheet.lay(outline, FLOOR.varied(rng, 0.15), FOREST)
    radius = max(spacing or rng.uniform(1.6, 3.8), 1.3 * sheet.pixel)
    low, high = outline.min(0) - radius, outline.max(0) + radius
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0], 1.5 * radius), np.arange(low[1], high[1], 1.5 * radius)), -1)
    places = grid.reshape(-1, 2)
    places = places + rng.uniform(-0.7, 0.7, places.shape) * radius
    places = places[inside(outline, places)][:1200]
    crowns(sheet, places, radius * rng.lognormal(0, 0.25, len(places)), flora(rng), whole, rng.uniform(1.5, 2.6))


def _outlines(rng: Generator, places: Points, radius: NDArray[np.float64], pixel: float) -> NDArray[np.float64]:
    """(n, corners, 2) lumpy closed curves."""
    large = float(radius.max()) / pixel
    corners = 9 if large < 4 else 18 if large < 14 else 40
    turn = np.arange(corners) * (2 * math.pi / corners) + rng.uniform(0, 6.28, (len(places), 1))
    noise = rng.standard_normal((len(places), corners))
    broad = noise + np.roll(noise, 1, 1) + np.roll(noise, 2, 1)
    if corners == 40:
        broad += np.roll(noise, 3, 1) + np.roll(noise, 4, 1)
        noise = 0.8 * rng.standard_normal(noise.shape)
    reach = radius[:, None] * np.clip(1 + 0.055 * noise + 0.05 * broad, 0.55, 1.45)
    return places[:, None] + np.stack([reach * np.cos(turn), reach * np.sin(turn)], -1)


def scatter(rng: Generator, span: tuple[float, float], space: float, edge: float = 6.0) -> Points:
    """Places about ``space`` metres apart over a chip and a border of ``edge`` metres, in a jittered lattice."""
    x, y = (np.arange(-edge, s + edge, space) for s in span)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    jittered: Points = grid + rng.uniform(-0.48, 0.48, grid.shape) * space
    return jittered


def inside(outline: Points, places: Points) -> NDArray[np.bool_]:
    """Which places lie in a polygon (even-odd)."""
    x0, y0 = outline.T
    x1, y1 = np.roll(outline, -1, 0).T
    px, py = places[:, 0, None], places[:, 1, None]
    spans = (y0 <= py) != (y1 <= py)
    cross = x0 + (x1 - x0) * (py - y0) / np.where(y1 == y0, 1.0, y1 - y0)
    within: NDArray[np.bool_] = (spans & (px < cross)).sum(1) % 2 == 1
    return within


def along(line: Points, space: float, rng: Generator, jitter: float = 0.0, gaps: float = 0.0) -> Points:
    """Places every ``space`` metres on a line, some left out."""
    step = np.hypot(*np.diff(line, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(step)])
    at = np.arange(rng.uniform(0, space), way[-1], space)
    at = at[rng.random(len(at)) >= gaps]
    points = np.stack([np.interp(at, way, line[:, 0]), np.interp(at, way, line[:, 1])], -1)
    spread: Points = points + jitter * rng.standard_normal(points.shape)
    return spread
