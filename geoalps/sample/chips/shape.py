"""Outlines in metres: frames, quads, ribbons, blobs, rough edges."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2) float64: x, y in metres, y down."""


class Frame(NamedTuple):
    """A place with a direction: local (a, b) metres are along and to the right of it."""

    x: float
    y: float
    angle: float = 0.0

    def at(self, points: Points) -> Points:
        """Local points (..., 2) in the chip's metres."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned: Points = points @ np.array(((cos, sin), (-sin, cos)))
        turned += (self.x, self.y)
        return turned

    def spot(self, a: float, b: float, turn: float = 0.0) -> Frame:
        """The frame at a local place, turned."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return Frame(self.x + a * cos - b * sin, self.y + a * sin + b * cos, self.angle + turn)

    def quad(self, a0: float, b0: float, a1: float, b1: float) -> Points:
        """(4, 2): a rectangle given in local metres."""
        x, y = self.x, self.y
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        ac0, as0, ac1, as1 = a0 * cos, a0 * sin, a1 * cos, a1 * sin
        bc0, bs0, bc1, bs1 = b0 * cos, b0 * sin, b1 * cos, b1 * sin
        corners = (x + ac0 - bs0, y + as0 + bc0), (x + ac1 - bs0, y + as1 + bc0)
        return np.array((*corners, (x + ac1 - bs1, y + as1 + bc1), (x + ac0 - bs1, y + as0 + bc1)))

    def box(self, length: float, width: float) -> Points:
        """(4, 2): a rectangle around the place."""
        return self.quad(-length / 2, -width / 2, length / 2, width / 2)

    def local(self, points: Points) -> Points:
        """The chip's metres as local (a, b)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = points[..., 0] - self.x, points[..., 1] - self.y
        return np.stack([dx * cos + dy * sin, dy * cos - dx * sin], -1)


def moved(points: Points, a: float, b: float) -> Points:
    """All points moved by (a, b) metres."""
    there: Points = points + np.array((a, b))
    return there


def disc(x: float, y: float, radius: float, corners: int = 28) -> Points:
    """A regular polygon that looks round."""
    turn = np.arange(corners) * (2 * math.pi / corners)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], -1)


def ribbon(line: Points, width: float) -> Points:
    """A band of some width along an open line of at least two points."""
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], -1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    return np.concatenate([line + normal * (width / 2), (line - normal * (width / 2))[::-1]])


def bent(start: Points, end: Points, bend: float, points: int = 24) -> Points:
    """A curved line from a point to another; ``bend`` is its height as a share of its length."""
    k = np.linspace(0, 1, points)[:, None]
    aside = np.array([start[1] - end[1], end[0] - start[0]]) * bend
    return start + (end - start) * k + aside * 4 * k * (1 - k)


def winding(rng: Generator, start: Points, end: Points, swing: float, points: int = 48) -> Points:
    """A line that meanders ``swing`` metres to either side."""
    k = np.linspace(0, 1, points)
    along = end - start
    aside = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
    wave = sum(
        swing / n * math.sin(rng.uniform(0, 6.28)) * np.sin(math.pi * n * k + rng.uniform(0, 6.28)) for n in range(1, 6)
    )
    return start + along * k[:, None] + np.asarray(wave)[:, None] * aside


def blob(rng: Generator, x: float, y: float, radius: float, rough: float = 0.3, long: float = 1.0) -> Points:
    """A closed curve, rounder or rougher, ``long`` times as long as wide."""
    turn = np.arange(40) * (2 * math.pi / 40)
    n = np.arange(2, 8)
    waves = np.cos(turn[:, None] * n + rng.uniform(0, 2 * math.pi, 6))
    reach = radius * np.maximum(1 + waves @ (rough / n * rng.standard_normal(6)), 0.25)
    points = np.stack([reach * np.cos(turn) * math.sqrt(long), reach * np.sin(turn) / math.sqrt(long)], -1)
    return Frame(x, y, rng.uniform(0, math.pi)).at(points)


def dense(points: Points, step: float, closed: bool) -> Points:
    """The same line or outline with corners at least every ``step`` metres."""
    after = np.roll(points, -1, axis=0) if closed else points[1:]
    long = np.hypot(*(after - points[: len(after)]).T)
    if not (long > step).any():
        return points
    pieces = [
        a + (b - a) * (np.arange(n) / n)[:, None]
        for a, b, n in zip(points, after, np.minimum(200, long // step + 1).astype(int).tolist(), strict=False)
    ]
    whole: Points = np.concatenate(pieces if closed else [*pieces, points[-1:]])
    return whole


def rough(rng: Generator, outline: Points, amount: float, step: float) -> Points:
    """An outline with more corners, each moved by about ``amount`` metres."""
    after = np.roll(outline, -1, axis=0)
    pieces = [
        a + (b - a) * (np.arange(n) / n)[:, None]
        for a, b in zip(outline, after, strict=True)
        for n in (max(1, min(40, int(np.hypot(*(b - a)) / step))),)
    ]
    dense = np.concatenate(pieces)
    noise = rng.standard_normal(dense.shape)
    noise = 0.5 * noise + 0.35 * (np.roll(noise, 1, 0) + np.roll(noise, -1, 0))
    moved: Points = dense + amount * noise
    return moved


def shrunk(outline: Points, metres: float) -> Points:
    """A convex outline moved inwards about its centre, by about some metres."""
    centre = outline.mean(0)
    away = outline - centre
    reach = np.maximum(np.hypot(*away.T), 1e-9)[:, None]
    moved: Points = centre + away * np.maximum(0.05, 1 - metres * 1.2 / reach)
    return moved
