"""Dense quarters: rows of small houses that wander, at narrow dark gaps, with lanes of earth and yards of clutter."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from geoalps.sample.chips.kinds import BARE, GRASS, PAVEMENT
from geoalps.sample.chips.layout import Box, pick
from geoalps.sample.chips.look import BODY, CONCRETE, DIRT, GRAVEL, PAVING, SAND, VERGE, Colour, Look
from geoalps.sample.chips.patchwork import SHEETS, Cloths
from geoalps.sample.chips.shanty import PLASTIC, barrel, shanty, tyre
from geoalps.sample.chips.shape import Frame, blob
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import crowns, flora
from geoalps.sample.chips.vehicles import car

STYLES: dict[str, dict[str, float]] = {
    "informal": {"tin": 1.0, "flat": 0.06},
    "mixed": {"tin": 0.5, "flat": 0.35, "tiles": 0.15},
    "old": {"tiles": 0.85, "flat": 0.12, "tin": 0.06},
}
"""Weights of roofs by the manner of a quarter."""


class _House(NamedTuple):
    """One that stands in a row."""

    place: Frame
    size: tuple[float, float]
    height: float
    style: str


def draw_settlement(sheet: Sheet) -> None:
    """A quarter that grew by itself."""
    rng = sheet.rng
    manner = pick(rng, informal=0.64, mixed=0.18, old=0.18)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.8:
        sheet.bend(rng.uniform(0.02, 0.1) * (length := rng.uniform(35, 140)), length)
    ground = _ground(rng, manner)
    sheet.base(ground, PAVEMENT if manner == "old" else BARE)
    deep = min(rng.uniform(4.5, 11), max(4.0, 0.45 * min(sheet.span)))
    houses: list[_House] = []
    yards: list[tuple[Frame, Box]] = []
    far = sheet.reach
    b = -far - rng.uniform(0, deep)
    lanes, crooked = rng.uniform(0.2, 0.6), rng.uniform(0.01, 0.09)
    while b < far:
        row = deep * rng.uniform(0.75, 1.35)
        _row(sheet, frame.spot(0, b + row / 2), (far, row), (manner, crooked), houses, yards)
        _shade(sheet, frame.quad(-far, b - 0.2, far, b + row + 0.2), ground)
        b += row
        if rng.random() < lanes:
            wide = rng.uniform(1.6, 5.5)
            yards.append((frame, (-far, b, far, b + wide)))
            b += wide
        else:
            b += rng.choice([0.0, rng.uniform(0.1, 1.4)])
    for spot, box in yards:
        _clutter(sheet, spot, box, ground)
    cloths = Cloths.drawn(rng)
    # Higher roofs hang over lower ones.
    for house in sorted(houses, key=lambda h: h.height):
        shanty(sheet, house.place, house.size, house.height, house.style, cloths)
    _trees(sheet, yards)


def _ground(rng: Generator, manner: str) -> Look:
    """Trodden earth, or the stones of an old town."""
    choices = (PAVING, GRAVEL, CONCRETE) if manner == "old" else (DIRT, DIRT, SAND, GRAVEL)
    return choices[int(rng.integers(len(choices)))].varied(rng, 0.14)


def _shade(sheet: Sheet, outline: np.ndarray[tuple[int, ...], np.dtype[np.float64]], ground: Look) -> None:
    """Gaps between houses get little light from the sky, and dirt gathers there: paint."""
    tone = sheet.rng.uniform(0.35, 0.8)
    red, green, blue = ground.colour
    sheet.mark(ground._replace(colour=(red * tone, green * tone, blue * tone), other=None), [outline])


def _row(
    sheet: Sheet,
    line: Frame,
    size: tuple[float, float],
    manner: tuple[str, float],
    houses: list[_House],
    yards: list[tuple[Frame, Box]],
) -> None:
    """Houses side by side along a line; some plots are yards.

    Args:
        sheet: to draw on; the yards' ground is drawn here.
        line: middle of the row.
        size: metres from the middle to either end, and across.
        manner: of the quarter, and how crooked it stands.
        houses: gets what is to be drawn.
        yards: gets frames and boxes of open plots.
    """
    rng, (far, deep) = sheet.rng, size
    a = -far - rng.uniform(0, 8)
    share = rng.uniform(0.04, 0.22)
    while a < far:
        long = float(np.clip(rng.lognormal(math.log(1.05 * deep), 0.38), 3.6, 20))
        spot = line.spot(a + long / 2, 0)
        if not sheet.sees(spot.x, spot.y, 0.6 * (long + deep)):
            pass
        elif rng.random() < share:
            yards.append((line, (a, -deep / 2, a + long, deep / 2)))
        else:
            mine = deep * rng.uniform(0.72, 1.0)
            aside = rng.uniform(-0.5, 0.5) * (deep - mine)
            turn = rng.normal(0, manner[1])
            style = pick(rng, **STYLES[manner[0]])
            tall = rng.uniform(2.2, 3.4) + (2.7 * int(rng.integers(1, 3)) if rng.random() < 0.22 else 0.0)
            if manner[0] == "old":
                tall += rng.uniform(1.5, 5)
            houses.append(_House(line.spot(a + long / 2, aside, turn), (long, mine), tall, style))
        gaps = [0.0, rng.uniform(0.1, 0.5), rng.uniform(0.3, 1.5), rng.uniform(1.5, 4)]
        a += long + float(rng.choice(gaps, p=[0.28, 0.37, 0.27, 0.08]))


def _clutter(sheet: Sheet, line: Frame, box: Box, ground: Look) -> None:
    """What lies about in a lane or yard: only cars and large pieces of ground are truth."""
    rng, pixel = sheet.rng, sheet.pixel
    long, wide = box[2] - box[0], box[3] - box[1]
    if long < 25:
        kind = pick(rng, earth=4, concrete=1, grass=1)
        look = {"earth": ground.varied(rng, 0.08), "concrete": CONCRETE.varied(rng, 0.12), "grass": VERGE.varied(rng)}
        edge = rng.uniform(0, 0.4)
        outline = line.quad(box[0] + edge, box[1] + edge, box[2] - edge, box[3] - edge)
        if kind == "earth":
            sheet.mark(look[kind], [outline])
        else:
            sheet.lay(outline, look[kind], GRASS if kind == "grass" else PAVEMENT)
    space = rng.choice([4.0, 9.0, 25.0]) * max(1.0, (pixel / 0.15) ** 2)
    for _ in range(min(140, int(rng.poisson(long * wide / space)))):
        spot = line.spot(rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]), rng.uniform(0, 2 * math.pi))
        if sheet.sees(spot.x, spot.y, 3):
            _thing(sheet, spot, line.angle, wide)


def _thing(sheet: Sheet, spot: Frame, along: float, room: float) -> None:
    """One piece of clutter."""
    rng, pixel = sheet.rng, sheet.pixel
    kind = rng.random()
    if kind < 0.08:
        if room > 3.2:
            car(sheet, Frame(spot.x, spot.y, along + rng.normal(0, 0.12) + (0 if rng.random() < 0.7 else math.pi / 2)))
    elif pixel > 0.35:
        shade = rng.uniform(60, 200)
        sheet.mark(BODY._replace(colour=(shade, shade * 0.96, shade * 0.88)), [spot.box(rng.uniform(0.6, 2), 0.9)], 0.6)
    elif kind < 0.24:
        tyre(sheet, spot.x, spot.y)
    elif kind < 0.36:
        barrel(sheet, spot.x, spot.y)
    elif kind < 0.46:
        _laundry(sheet, spot)
    elif kind < 0.7:
        shade = rng.uniform(0.6, 1.25)
        heap = GRAVEL._replace(colour=(150 * shade, 140 * shade, 126 * shade), grain=0.25, mottle=0.2)
        sheet.mark(heap, [blob(rng, spot.x, spot.y, rng.uniform(0.2, 1.1), 0.5)], rng.uniform(0.1, 0.5))
    else:
        tint: Colour = (PLASTIC + SHEETS)[int(rng.integers(len(PLASTIC) + len(SHEETS)))]
        flat = rng.uniform(0.3, 2.2), rng.uniform(0.15, 0.9)
        sheet.mark(BODY._replace(colour=tint, grain=0.06), [spot.box(*flat)], rng.uniform(0.05, 0.9))


def _laundry(sheet: Sheet, spot: Frame) -> None:
    """A line with cloths of many colours."""
    rng = sheet.rng
    for a in np.arange(-1.5, 1.5, 0.55).tolist():
        if rng.random() < 0.75:
            red, green, blue = rng.uniform(50, 240, 3).tolist()
            cloth = BODY._replace(colour=(red, green, blue))
            sheet.mark(cloth, [spot.spot(a, rng.normal(0, 0.04)).box(rng.uniform(0.25, 0.5), 0.16)], 1.5)


def _trees(sheet: Sheet, yards: list[tuple[Frame, Box]]) -> None:
    """Small trees and bushes in yards and lanes."""
    rng, leaves = sheet.rng, flora(sheet.rng)
    space = rng.choice([15.0, 50.0, 200.0])
    for line, (a0, b0, a1, b1) in yards:
        count = min(40, int(rng.poisson((a1 - a0) * (b1 - b0) / space)))
        places = line.at(np.stack([rng.uniform(a0, a1, count), rng.uniform(b0, b1, count)], -1))
        crowns(sheet, places, np.minimum(rng.uniform(0.4, 2.6, count), 0.6 * (b1 - b0) + 0.3), leaves)
