"""One cell of the plan while it is being filled: where its inside lies, and what has been put there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoalps.sample import palette
from geoalps.sample.plan import ROAD_WIDTH, Plan, U, V
from geoalps.sample.things import (
    BUILDING,
    OTHER,
    Block,
    Colour,
    Content,
    Detail,
    Patch,
    Points,
    Ship,
    Surface,
    Vehicle,
)

LOCAL = 8192
"""Instance ids of one cell; the last one is kept for the river that begins there."""
SPAN = 700
"""Cells from one end of what can be numbered to the other; SPAN * SPAN * LOCAL stays below 2**32."""


class Site:
    """Collects what stands in cell (i, j); every number it draws comes from its own generator."""

    def __init__(self, plan: Plan, i: int, j: int) -> None:
        self.plan, self.i, self.j = plan, i, j
        self.rng = np.random.default_rng([plan.seed & 0xFFFFFFFF, i + 2**20, j + 2**20])
        self.patches: list[Patch] = []
        self.blocks: list[Block] = []
        self.vehicles: list[Vehicle] = []
        self.ships: list[Ship] = []
        self.trees: list[NDArray[np.float64]] = []
        self._count = 0
        self._corners = np.array([[plan.corner(i + a, j + b) for b in (0, 1)] for a in (0, 1)])
        middle = self.at([0.0, 1.0, 0.5, 0.5], [0.5, 0.5, 0.0, 1.0])
        self.breadth = float(np.hypot(*(middle[1] - middle[0])))
        self.depth = float(np.hypot(*(middle[3] - middle[2])))

    def number(self) -> int:
        """The next free instance id."""
        self._count += 1
        if self._count >= LOCAL - 1:
            raise AssertionError(f"cell ({self.i}, {self.j}) holds over {LOCAL} objects")
        return first_number(self.plan, self.i, self.j) + self._count

    def pick(self, choices: Sequence[Colour]) -> Colour:
        """One of some colours, a little lighter or darker."""
        colour = choices[int(self.rng.integers(len(choices)))]
        shift = self.rng.uniform(0.9, 1.1)
        return colour[0] * shift, colour[1] * shift, colour[2] * shift

    def at(self, s: Sequence[float] | NDArray[np.float64], t: Sequence[float] | NDArray[np.float64]) -> Points:
        """(n, 2) metres of parameters 0..1 along (s) and across (t): the Coons patch of the cell's four sides."""
        s, t = np.asarray(s, float), np.asarray(t, float)
        i, j, plan = self.i, self.j, self.plan
        a, b = s[:, None], t[:, None]
        c = self._corners
        flat = (1 - a) * (1 - b) * c[0, 0] + a * (1 - b) * c[1, 0] + (1 - a) * b * c[0, 1] + a * b * c[1, 1]
        across = (1 - b) * plan.side(i, j, U, s) + b * plan.side(i, j + 1, U, s)
        along = (1 - a) * plan.side(i, j, V, t) + a * plan.side(i + 1, j, V, t)
        points: Points = across + along - flat
        return points

    def pose(self, s: float, t: float, axis: int = U) -> tuple[float, float, float]:
        """x, y in metres and the direction of growing s (or t) there."""
        step = 0.01
        ends = self.at([s, s + step * (axis == U)], [t, t + step * (axis == V)])
        dx, dy = ends[1] - ends[0]
        return float(ends[0, 0]), float(ends[0, 1]), math.atan2(dy, dx)

    def line(self, s0: float, t0: float, s1: float, t1: float, step: float = 8.0) -> Points:
        """Points about every ``step`` metres along a straight line of the parameters."""
        length = math.hypot((s1 - s0) * self.breadth, (t1 - t0) * self.depth)
        k = np.linspace(0, 1, max(2, int(length / step) + 1))
        return self.at(s0 + (s1 - s0) * k, t0 + (t1 - t0) * k)

    def quad(self, s0: float, t0: float, s1: float, t1: float) -> Points:
        """Outline of a rectangle of the parameters."""
        corners = [(s0, t0), (s1, t0), (s1, t1), (s0, t1), (s0, t0)]
        return np.concatenate([self.line(*a, *b)[:-1] for a, b in pairwise(corners)])

    def inset(self, gap: float = 2.0) -> tuple[float, float, float, float]:
        """s0, t0, s1, t1 of what the roads and rivers around the cell leave, ``gap`` metres away from them."""
        i, j, rank = self.i, self.j, self.plan.rank
        widths = [ROAD_WIDTH[rank(*side)] for side in ((i, j, V), (i, j, U), (i + 1, j, V), (i, j + 1, U))]
        walk = [w / 2 + (2.0 if w >= 8 else 0.0) + (8.0 if w > 40 else 0.0) + gap for w in widths]
        return walk[0] / self.breadth, walk[1] / self.depth, 1 - walk[2] / self.breadth, 1 - walk[3] / self.depth

    def room(self, box: tuple[float, float, float, float]) -> tuple[tuple[float, float, float], float, float]:
        """The right-angled rectangle that fits into s0, t0, s1, t1: its pose, its length along s and its width.

        Cells are skewed; what is laid out by the parameters alone would stand out of its lot.
        """
        corners = self.at([box[0], box[2], box[2], box[0]], [box[1], box[1], box[3], box[3]])
        along, across = corners[[1, 2]].sum(0) - corners[[0, 3]].sum(0), corners[[2, 3]].sum(0) - corners[[0, 1]].sum(0)
        length, width = float(np.hypot(*along)) / 2, float(np.hypot(*across)) / 2
        angle = math.atan2(along[1], along[0])
        lean = math.atan2(across[1], across[0]) - angle - math.pi / 2
        narrow = width * abs(math.cos(lean))
        x, y = corners.mean(0)
        return (float(x), float(y), angle), max(0.0, length - width * abs(math.sin(lean))), narrow

    def ground(
        self,
        layer: int,
        outline: Points,
        surface: Surface,
        kind: int = OTHER,
        instance: int = 0,
        height: float = 0.0,
        paint: bool = False,
    ) -> None:
        """Add a patch of ground."""
        self.patches.append(Patch(layer, outline, surface, kind, instance, height, paint))

    def block(
        self,
        pose: tuple[float, float, float],
        length: float,
        width: float,
        eaves: float,
        roof: str,
        colour: Colour,
        slope: float = 0.0,
        ribs: float = 0.0,
        details: tuple[Detail, ...] = (),
        kind: int = BUILDING,
        instance: int | None = None,
    ) -> int:
        """Add a block and return its instance id (a new one unless given)."""
        number = self.number() if instance is None else instance
        self.blocks.append(Block(*pose, length, width, eaves, roof, slope, colour, ribs, details, kind, number))
        return number

    def car(self, x: float, y: float, angle: float) -> None:
        """Add a car or, rarely, a van."""
        rng = self.rng
        if rng.random() < 0.12:
            colour = self.pick(palette.LOADS[:2])
            self.vehicles.append(Vehicle(x, y, angle, rng.uniform(5.2, 6.4), 2.1, 0.2, colour, colour, self.number()))
            return
        colour = self.pick(palette.CARS)
        size = rng.uniform(4.0, 4.9), rng.uniform(1.75, 1.95)
        self.vehicles.append(Vehicle(x, y, angle, *size, 0.3, colour, colour, self.number()))

    def lorry(self, x: float, y: float, angle: float) -> None:
        """Add a lorry or bus."""
        rng = self.rng
        cab, load = self.pick(palette.CARS[:8]), self.pick(palette.LOADS)
        size = rng.uniform(8.5, 15.5), rng.uniform(2.5, 2.6)
        self.vehicles.append(Vehicle(x, y, angle, *size, 2.2 / size[0], cab, load, self.number()))

    def tree(self, x: float, y: float, radius: float, needles: bool = False) -> None:
        """Add one tree; those that would grow into a building are dropped at the end."""
        self.wood(np.array([[x, y]]), np.array([radius]), np.array([needles]))

    def wood(self, places: Points, radius: NDArray[np.float64], needles: NDArray[np.bool_]) -> None:
        """Add many trees: (n, 2) metres, (n,) crown radii in metres, (n,) bool."""
        n = len(places)
        leaf, needle = np.array(palette.LEAVES), np.array(palette.NEEDLES)
        colour = leaf[self.rng.integers(len(leaf), size=n)]
        colour[needles] = needle[self.rng.integers(len(needle), size=int(needles.sum()))]
        colour = colour * self.rng.uniform(0.86, 1.14, (n, 1))
        height = np.minimum(radius * self.rng.uniform(1.9, 2.6, n) + np.where(needles, 4.0, 0.5), 17.0)
        number = np.array([self.number() for _ in range(n)], float)
        self.trees.append(np.column_stack([places, radius, height, colour, number]))

    def shore(self, x: float, y: float, reach: float, wild: float = 0.3) -> Points:
        """A closed round outline with bays, about ``reach`` metres from its centre."""
        angle = np.linspace(0, 2 * math.pi, 72, endpoint=False)
        bays = sum(
            self.rng.uniform(-1, 1) / k * np.cos(k * angle + self.rng.uniform(0, 2 * math.pi)) for k in (1, 2, 3, 4, 5)
        )
        radius = reach * (1 + wild * bays / 1.6)
        return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])

    def content(self) -> Content:
        """What was collected, as a value; trees inside of buildings are left out."""
        trees = np.concatenate(self.trees) if self.trees else np.zeros((0, 8))
        keep = np.ones(len(trees), bool)
        for block in self.blocks:
            dx, dy = trees[:, 0] - block.x, trees[:, 1] - block.y
            cos, sin = math.cos(block.angle), math.sin(block.angle)
            along, across = dx * cos + dy * sin, dy * cos - dx * sin
            room = 0.5 * trees[:, 2]
            keep &= (np.abs(along) > block.length / 2 + room) | (np.abs(across) > block.width / 2 + room)
        return Content(
            tuple(self.patches),
            tuple(self.blocks),
            tuple(self.vehicles),
            tuple(self.ships),
            trees[keep],
        )


def first_number(plan: Plan, i: int, j: int) -> int:
    """Instance ids of cell (i, j) lie above this one."""
    i0, j0 = plan.home
    return ((i - i0 + SPAN // 2) * SPAN + (j - j0 + SPAN // 2)) * LOCAL


def ribbon(line: Points, width: float, shift: float = 0.0) -> Points:
    """Outline of a band of ``width`` metres along a line, ``shift`` metres to its right."""
    along = np.gradient(line, axis=0)
    normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
    return np.concatenate([line + normal * (shift + width / 2), (line + normal * (shift - width / 2))[::-1]])


def resample(line: Points, step: float) -> tuple[Points, NDArray[np.float64]]:
    """Points every ``step`` metres along a line (from step / 2), and the direction there in radians."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    places = np.arange(step / 2, lengths[-1], step)
    points = np.column_stack([np.interp(places, lengths, line[:, k]) for k in (0, 1)])
    ahead = np.column_stack([np.interp(places + 0.5, lengths, line[:, k]) for k in (0, 1)])
    behind = np.column_stack([np.interp(places - 0.5, lengths, line[:, k]) for k in (0, 1)])
    dx, dy = (ahead - behind).T
    return points, np.arctan2(dy, dx)
