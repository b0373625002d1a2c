"""The plan of an endless made country: a bent lattice of roads and rivers, and what kind of district fills each cell.

Corners of the lattice are jittered, its lines are Catmull-Rom curves through them, and a cell's inside is the Coons
patch of its four sides, so that everything in a cell follows its bent borders. All of it is hashed from the seed and
the cell's index: any place can be drawn without drawing another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoalps.sample.noise import chance
from geoalps.sample.things import Points

CELL = 240.0
"""Mean side of a cell in metres."""
VIEW = 600.0
"""The first VIEW x VIEW metres of a scene show as many kinds of district as the country offers in one place."""
U, V = 0, 1

ROAD_WIDTH = {"arterial": 14.0, "street": 8.5, "lane": 5.5, "track": 3.2, "river": 44.0, "none": 0.0}
"""Metres from border to border of a lattice line, by its rank."""


@dataclass(frozen=True)
class Plan:
    """The country of one seed; corners, sides and cells are indexed by (i, j) of any sign."""

    seed: int
    """Any integer; another seed is another country."""

    def key(self, purpose: int) -> int:
        """Hash key of one purpose."""
        return (self.seed * 1009 + purpose * 7919) & 0xFFFFFFFF

    @property
    def turn(self) -> float:
        """Angle of the lattice against the scene, radians."""
        return chance(self.key(1), 0) * 2 * math.pi

    def corner(self, i: int, j: int) -> tuple[float, float]:
        """Place of a lattice corner in the scene's frame, metres."""
        x0, y0 = _origin(self)
        x, y = self.world(i, j)
        return x - x0, y - y0

    def world(self, i: int, j: int) -> tuple[float, float]:
        """Place of a lattice corner before the scene's origin is chosen, metres."""
        u = (i + 0.44 * (chance(self.key(2), i, j) - 0.5)) * CELL
        v = (j + 0.44 * (chance(self.key(3), i, j) - 0.5)) * CELL
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return u * cos - v * sin, u * sin + v * cos

    def cells(self, box: tuple[float, float, float, float]) -> list[tuple[int, int]]:
        """Cells that can reach into x0, y0, x1, y1 (metres, the scene's frame), in a fixed order."""
        x0, y0 = _origin(self)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        ends = [(x + x0, y + y0) for x in box[::2] for y in box[1::2]]
        us = [(x * cos + y * sin) / CELL for x, y in ends]
        vs = [(y * cos - x * sin) / CELL for x, y in ends]
        return [
            (i, j)
            for i in range(math.floor(min(us) - 1.6), math.floor(max(us) + 0.7) + 1)
            for j in range(math.floor(min(vs) - 1.6), math.floor(max(vs) + 0.7) + 1)
        ]

    def side(self, i: int, j: int, axis: int, at: NDArray[np.float64]) -> Points:
        """Points of the side that starts at corner (i, j) along an axis, at parameters 0..1."""
        a, b, c, d = _curve(self, i, j, axis)
        t = at[:, None]
        points: Points = a + t * (b + t * (c + t * d))
        return points

    @property
    def home(self) -> tuple[int, int]:
        """The cell nearest to the scene's upper left corner, about which cells are numbered."""
        x0, y0 = _origin(self)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return round((x0 * cos + y0 * sin) / CELL), round((y0 * cos - x0 * sin) / CELL)

    def is_river(self, i: int) -> bool:
        """Whether lattice line u = i is a river."""
        return i % 6 == 1 + int(chance(self.key(4), i // 6) * 4)

    def rank(self, i: int, j: int, axis: int) -> str:
        """What the side from corner (i, j) is: a key of :data:`ROAD_WIDTH`."""
        if axis == V and self.is_river(i):
            return "river"
        draw = chance(self.key(5 + axis), i, j)
        if chance(self.key(7 + axis), j if axis == U else i) < 0.22:
            return "arterial"
        if axis == U and (self.is_river(i) or self.is_river(i + 1)):
            # Both banks of a river must agree on whether there is a bridge.
            return "street" if chance(self.key(9), i if self.is_river(i) else i + 1, j) < 0.6 else "none"
        wild = sum(self.district(*cell) in ("fields", "forest") for cell in self.beside(i, j, axis))
        if wild == 2:
            return "none" if draw < 0.3 else "track" if draw < 0.65 else "lane"
        return "lane" if wild and draw < 0.5 else "street"

    def beside(self, i: int, j: int, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two cells that share a side."""
        return ((i, j - 1), (i, j)) if axis == U else ((i - 1, j), (i, j))

    def district(self, i: int, j: int) -> str:
        """What fills cell (i, j): harbour, centre, suburb, industry, park, fields or forest."""
        return _district(self, i, j)


@lru_cache(maxsize=4096)
def _curve(plan: Plan, i: int, j: int, axis: int) -> tuple[Points, Points, Points, Points]:
    """Coefficients of the cubic of one side, (2,) float64 each."""
    di, dj = (1, 0) if axis == U else (0, 1)
    p0, p1, p2, p3 = (np.array(plan.corner(i + k * di, j + k * dj)) for k in (-1, 0, 1, 2))
    return p1, (p2 - p0) / 2, p0 - 2.5 * p1 + 2 * p2 - p3 / 2, (3 * p1 - p0 - 3 * p2 + p3) / 2


@lru_cache(maxsize=4096)
def _district(plan: Plan, i: int, j: int) -> str:
    """What a cell is: harbours along rivers, towns where the slow noise is high, else woods and fields."""
    if plan.is_river(i) and j % 5 == int(chance(plan.key(10), i) * 5):
        return "harbour"
    draw, built = chance(plan.key(11), i, j), _slow(plan, i, j, 12)
    if built > 0.56:
        return "centre" if draw < 0.32 else "suburb" if draw < 0.74 else "industry" if draw < 0.92 else "park"
    if built > 0.44:
        return "suburb" if draw < 0.6 else "park" if draw < 0.75 else "industry" if draw < 0.85 else "fields"
    if _slow(plan, i, j, 13) > 0.58:
        return "forest" if draw < 0.85 else "fields"
    return "fields" if draw < 0.86 else "park" if draw < 0.93 else "forest"


def _slow(plan: Plan, i: int, j: int, purpose: int) -> float:
    """A hashed number in 0..1 that changes over about three cells."""
    a, b = i / 2.6, j / 2.6
    row, col = math.floor(a), math.floor(b)
    a, b = a - row, b - col
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    n = [[chance(plan.key(purpose), row + r, col + c) for c in (0, 1)] for r in (0, 1)]
    return (n[0][0] * (1 - b) + n[0][1] * b) * (1 - a) + (n[1][0] * (1 - b) + n[1][1] * b) * a


@lru_cache(maxsize=64)
def _origin(plan: Plan) -> tuple[float, float]:
    """Where the scene's upper left corner lies: the most varied of 160 views that hold a harbour."""
    best, origin = -1.0, (0.0, 0.0)
    for trial in range(160):
        i, j = (int(chance(plan.key(20 + k), trial) * 60) - 30 for k in (0, 1))
        i += next(step for step in range(12) if plan.is_river(i + step))
        j += next(step for step in range(5) if plan.district(i, j + step) == "harbour")
        x, y = (sum(part) / 4 for part in zip(*(plan.world(i + a, j + b) for a in (0, 1) for b in (0, 1)), strict=True))
        corner = (
            x - VIEW * (0.3 + 0.4 * chance(plan.key(22), trial)),
            y - VIEW * (0.3 + 0.4 * chance(plan.key(23), trial)),
        )
        score = _variety(plan, corner, i, j)
        if score > best:
            best, origin = score, corner
    return origin


def _variety(plan: Plan, corner: tuple[float, float], i: int, j: int) -> float:
    """How much of the country a view shows: kinds of district whose cells' centres lie well in it."""
    seen: set[str] = set()
    for a in range(i - 3, i + 4):
        for b in range(j - 3, j + 4):
            u, v = (a + 0.5) * CELL, (b + 0.5) * CELL
            cos, sin = math.cos(plan.turn), math.sin(plan.turn)
            x, y = u * cos - v * sin - corner[0], u * sin + v * cos - corner[1]
            if min(x, y) > 40 and max(x, y) < VIEW - 40:
                seen.add(plan.district(a, b))
    return len(seen) + 10 * ("fields" in seen) + 10 * bool(seen & {"suburb", "centre"})
