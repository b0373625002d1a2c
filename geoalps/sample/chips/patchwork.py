"""Patchwork: roofs of sheets laid in rows, some new, some rusty, all of them one face of one roof."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from geoalps.sample.chips.look import TILES, TIN, Colour, Look
from geoalps.sample.chips.shape import Points
from geoalps.sample.chips.sheet import Sheet

RUST: Colour = (134, 80, 54)
SHEETS: tuple[Colour, ...] = (
    (228, 230, 232), (212, 214, 214), (186, 189, 192), (160, 161, 160), (138, 138, 136), (190, 174, 146),
    (166, 150, 128), (146, 88, 60), (128, 78, 56), (98, 64, 48), (124, 104, 88), (78, 112, 152), (142, 168, 184),
    (92, 122, 100), (158, 74, 60), (94, 92, 92),
)  # fmt: skip
"""New zinc to grey, beige, rust, and paints."""
SHEET_SHARES = np.array([11, 9, 14, 13, 9, 7, 6, 9, 8, 6, 7, 5, 3, 2, 3, 3], float)
OLD_TILES: tuple[Colour, ...] = (
    (168, 104, 76), (150, 92, 70), (182, 128, 96), (132, 86, 70), (120, 96, 82), (196, 148, 112), (108, 82, 70),
)  # fmt: skip
MOST_SHEETS = 30
"""Along either side of a face; larger faces have larger pieces."""


class Plane(NamedTuple):
    """A roof's plane: its height at a place, and how it rises."""

    height: float
    """Metres at the origin."""
    up: tuple[float, float] = (0.0, 0.0)
    """Metres it rises per metre in x and y."""
    origin: tuple[float, float] = (0.0, 0.0)

    def at(self, place: NDArray[np.float64]) -> float:
        """Height in metres at a place (2,)."""
        x, y = place.tolist()
        height: float = self.height + (x - self.origin[0]) * self.up[0] + (y - self.origin[1]) * self.up[1]
        return height

    def add(self, sheet: Sheet, look: Look, whole: int = 0, part: int = 0) -> int:
        """A new region of the sheet that lies in the plane."""
        return sheet.add(look, whole, part, self.height, self.up, self.origin)


class Cloth(NamedTuple):
    """What the sheets of one roof look like."""

    looks: tuple[Look, ...]
    """The first covers most of it."""
    manner: str
    """How the others lie: ``even`` (none), ``single`` sheets, ``blocks``, ``rows``."""
    share: float
    """Of single sheets that are not of the first look."""
    size: tuple[float, float]
    """Metres of a sheet along the eaves and down the slope."""
    rust: float
    """Streaks and blotches, 0..1."""


def tin(rng: Generator, colour: Colour, spacing: float, depth: float) -> Look:
    """Corrugated iron of a colour with rust on it."""
    rusty = colour[0] > 1.35 * colour[2]
    other: Colour = (colour[0] * 0.7, colour[1] * 0.66, colour[2] * 0.66) if rusty else RUST
    return TIN._replace(
        colour=colour, nir=-1.0, other=other, mix=rng.uniform(0.1, 0.9), spread=rng.uniform(-1.6, -0.2),
        edge=rng.uniform(0.5, 1.5), small=bool(rng.random() < 0.7), row_spacing=spacing, row_depth=depth,
        streak=rng.uniform(0.03, 0.13), streak_width=rng.uniform(0.25, 0.9),
    ).varied(rng, 0.05)  # fmt: skip


def tin_cloth(rng: Generator, patched: float = 0.55) -> Cloth:
    """Sheets of corrugated iron; ``patched`` is the chance that they differ strongly."""
    spacing, depth = rng.uniform(0.08, 0.3), rng.uniform(0.06, 0.2)
    share = SHEET_SHARES / SHEET_SHARES.sum()
    drawn = rng.choice(len(SHEETS), size=int(rng.integers(2, 6)), p=share).tolist()
    if rng.random() < patched:
        looks = tuple(tin(rng, SHEETS[n], spacing, depth) for n in drawn)
        manner = ("single", "blocks", "rows", "mixed")[int(rng.choice(4, p=[0.4, 0.25, 0.1, 0.25]))]
    else:
        first = tin(rng, SHEETS[drawn[0]], spacing, depth)
        looks = (first, *(first.varied(rng, 0.1) for _ in range(3)))
        manner = "single" if rng.random() < 0.75 else "even"
    size = rng.uniform(0.7, 1.0), rng.uniform(1.8, 4.0)
    return Cloth(looks, manner, rng.uniform(0.08, 0.7), size, rng.uniform(0, 1) ** 2)


def tile_cloth(rng: Generator) -> Cloth:
    """Tiles, mended here and there with others."""
    drawn = rng.choice(len(OLD_TILES), size=3).tolist()
    base = TILES._replace(
        row_depth=rng.uniform(0.06, 0.16), row_spacing=rng.uniform(0.22, 0.4), cross_spacing=rng.uniform(0.22, 0.36),
        mix=rng.uniform(0.3, 0.9), spread=rng.uniform(-0.8, 0.4), nir=-1.0,
    )  # fmt: skip
    colours = [(OLD_TILES[n], _scaled(OLD_TILES[n], 0.68)) for n in drawn]
    looks = tuple(base._replace(colour=tint, other=dark).varied(rng, 0.07) for tint, dark in colours)
    manner = ("even", "blocks", "single")[int(rng.choice(3, p=[0.5, 0.35, 0.15]))]
    return Cloth(looks, manner, rng.uniform(0.03, 0.2), (rng.uniform(0.8, 2.5), rng.uniform(0.8, 2.5)), 0.0)


class Cloths(NamedTuple):
    """What is at hand in one quarter."""

    tin: tuple[Cloth, ...]
    tiles: tuple[Cloth, ...]

    @classmethod
    def drawn(cls, rng: Generator, count: int = 20) -> Cloths:
        """So many of tin, some of tiles; quarters are of more or less patchwork."""
        patched = rng.uniform(0.25, 0.8)
        return cls(tuple(tin_cloth(rng, patched) for _ in range(count)), tuple(tile_cloth(rng) for _ in range(8)))

    def pick(self, rng: Generator, tiled: bool = False) -> Cloth:
        """One of them."""
        pile = self.tiles if tiled else self.tin
        return pile[int(rng.integers(len(pile)))]


def like(rng: Generator, look: Look) -> Cloth:
    """A roof of some look of which pieces were renewed, or have aged otherwise."""
    metal = look.cross_depth == 0 and look.row_depth > 0
    tones = rng.uniform(0.62, 1.3, 3).tolist()
    others = [look._replace(colour=_scaled(look.colour, t), other=look.other and _scaled(look.other, t)) for t in tones]
    if metal and rng.random() < 0.5:
        others = [k._replace(colour=SHEETS[int(rng.integers(len(SHEETS)))]) for k in others]
    manner = ("single", "blocks", "rows")[int(rng.choice(3, p=[0.35, 0.45, 0.2]))]
    size = (rng.uniform(0.8, 2), rng.uniform(2.5, 8)) if metal else (rng.uniform(1, 4), rng.uniform(1, 5))
    return Cloth((look, *others), manner, rng.uniform(0.05, 0.4), size, 0.6 * rng.random() if metal else 0.0)


def cover(sheet: Sheet, cloth: Cloth, corners: Points, plane: Plane, angle: float) -> None:
    """Paint the sheets of a face over it.

    Args:
        sheet: to draw on; the face itself is drawn already, in the cloth's first look.
        cloth: what the sheets look like.
        corners: (4, 2) metres, two along the upper edge, then two along the lower, around.
        plane: that the face lies in.
        angle: direction across the ribs, radians: that of the eaves.
    """
    rng, pixel = sheet.rng, sheet.pixel
    long, deep = float(np.hypot(*(corners[1] - corners[0]))), float(np.hypot(*(corners[3] - corners[0])))
    if long < 2 * pixel or deep < 2 * pixel:
        return
    n, m = (
        max(1, min(MOST_SHEETS, round(whole / max(piece, 2.6 * pixel))))
        for whole, piece in zip((long, deep), cloth.size, strict=True)
    )
    rows = np.arange(m + 1) / m
    rows[1:-1] += rng.uniform(-0.2, 0.2, m - 1) / m
    if cloth.manner != "even":
        chosen = _chosen(rng, cloth, m, n)
        points = _places(corners, (np.arange(n + 1) / n)[None, :], rows[:, None])
        _lay(sheet, cloth, chosen, points, plane, angle)
    if pixel < 0.16:
        dark = _toned(cloth.looks[0], 0.72)
        for v in rows[1:-1].tolist():
            lap = _places(corners, np.array([0.0, 1.0]), np.array([v, v]))
            sheet.line(dark, lap, 0.06, cloth.looks[0], plane.at(lap[0]))
    if cloth.rust > 0.1 and pixel < 0.2:
        _rusted(sheet, cloth, corners, plane, angle, (long, deep))


def _chosen(rng: Generator, cloth: Cloth, m: int, n: int) -> NDArray[np.intp]:
    """(m, n): index of the look of each sheet."""
    others = len(cloth.looks)
    chosen = np.zeros((m, n), np.intp)
    if cloth.manner in ("blocks", "mixed"):
        for _ in range(int(rng.integers(1, 4))):
            r, c = int(rng.integers(m)), int(rng.integers(n))
            high, wide = 1 + int(rng.integers(m)), 1 + int(rng.integers(max(1, (2 * n) // 3)))
            chosen[r : r + high, c : c + wide] = int(rng.integers(others))
    if cloth.manner == "rows":
        chosen[:] = rng.integers(others, size=(m, 1))
    if cloth.manner in ("single", "mixed"):
        single = rng.random((m, n)) < cloth.share * (1.0 if cloth.manner == "single" else 0.5)
        chosen[single] = rng.integers(others, size=int(single.sum()))
    return chosen


def _lay(
    sheet: Sheet, cloth: Cloth, chosen: NDArray[np.intp], points: NDArray[np.float64], plane: Plane, angle: float
) -> None:
    """Paint all sheets that are not of the first look, neighbours of one look at once."""
    regions: dict[int, int] = {}
    for r, row in enumerate(chosen.tolist()):
        start = 0
        for c in range(1, len(row) + 1):
            if c < len(row) and row[c] == row[start]:
                continue
            look = row[start]
            if look:
                if look not in regions:
                    regions[look] = plane.add(sheet, cloth.looks[look].turned(angle))
                outline = np.array((points[r, start], points[r, c], points[r + 1, c], points[r + 1, start]))
                sheet.fill(regions[look], outline, paint=True)
            start = c


def _rusted(sheet: Sheet, cloth: Cloth, corners: Points, plane: Plane, angle: float, size: tuple[float, float]) -> None:
    """Streaks of rust down the slope, and blotches."""
    rng, (long, deep) = sheet.rng, size
    base = cloth.looks[0]
    share = rng.uniform(0.25, 0.75)
    mixed = tuple(c + (r - c) * share for c, r in zip(base.colour, RUST, strict=True))
    look = base._replace(colour=(mixed[0], mixed[1], mixed[2]), row_angle=angle)
    region = plane.add(sheet, look)
    for _ in range(min(22, int(rng.poisson(0.5 * cloth.rust * long * deep)))):
        wide, tall = rng.uniform(0.05, 0.25) / long, rng.uniform(0.3, 2.2) / deep
        u, v = rng.uniform(0, max(0.05, 1 - wide)), rng.uniform(0, max(0.05, 1 - tall))
        us, vs = np.array([u, u + wide, u + 0.8 * wide, u + 0.3 * wide]), np.array([v, v, v + 0.8 * tall, v + tall])
        if rng.random() < 0.3:
            turn = np.arange(12) * 0.52
            reach = rng.uniform(0.5, 1.2, 12) * rng.uniform(0.1, 0.45)
            us, vs = u + reach * np.cos(turn) / long, v + reach * np.sin(turn) / deep
        sheet.fill(region, _places(corners, np.clip(us, 0, 1), np.clip(vs, 0, 1)), paint=True)


def _places(corners: Points, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 2): places of a face by their shares along its upper edge and down its slope."""
    u, v = u[..., None], v[..., None]
    places: NDArray[np.float64] = (1 - v) * ((1 - u) * corners[0] + u * corners[1]) + v * (
        (1 - u) * corners[3] + u * corners[2]
    )
    return places


def _toned(look: Look, factor: float) -> Look:
    return look._replace(colour=_scaled(look.colour, factor), row_depth=0.0)


def _scaled(colour: Colour, factor: float) -> Colour:
    return min(245.0, colour[0] * factor), min(245.0, colour[1] * factor), min(245.0, colour[2] * factor)
