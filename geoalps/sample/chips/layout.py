"""How a place is divided: rectangles of a frame, cut until they are small enough."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from geoalps.sample.chips.shape import Frame
from geoalps.sample.chips.sheet import Sheet

Box = tuple[float, float, float, float]
"""a0, b0, a1, b1 in a frame's metres."""


def split(rng: Generator, box: Box, area: float, shortest: float = 8.0) -> list[Box]:
    """Cut a box across its longer side until every piece is smaller than an area or about as short as allowed."""
    long, wide = box[2] - box[0], box[3] - box[1]
    if long * wide < area or max(long, wide) < 2 * shortest:
        return [box]
    cut = rng.uniform(0.3, 0.7)
    if long * rng.uniform(0.7, 1.4) > wide and long > 2 * shortest:
        middle = box[0] + long * cut
        halves: tuple[Box, Box] = (box[0], box[1], middle, box[3]), (middle, box[1], box[2], box[3])
    else:
        middle = box[1] + wide * cut
        halves = (box[0], box[1], box[2], middle), (box[0], middle, box[2], box[3])
    return [piece for half in halves for piece in split(rng, half, area, shortest)]


def cells(sheet: Sheet, long: float, wide: float, gap: float) -> tuple[Frame, list[Box], list[float], list[float]]:
    """A grid of blocks with streets between them, turned and moved by chance.

    Returns:
        The grid's frame, the blocks that reach into the chip, and the middles of the streets across a and across b.
    """
    rng = sheet.rng
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi) if rng.random() < 0.7 else 0.0)
    edges = []
    for step in (long, wide):
        start = -sheet.reach - rng.uniform(0.2, 1.0) * step
        cuts = [start]
        while cuts[-1] < sheet.reach:
            cuts.append(cuts[-1] + step * rng.uniform(0.75, 1.3))
        edges.append(cuts)
    half = gap / 2
    boxes = [
        (a0 + half, b0 + half, a1 - half, b1 - half)
        for a0, a1 in zip(edges[0][:-1], edges[0][1:], strict=True)
        for b0, b1 in zip(edges[1][:-1], edges[1][1:], strict=True)
        if seen(sheet, frame, (a0, b0, a1, b1))
    ]
    return frame, boxes, edges[0], edges[1]


def seen(sheet: Sheet, frame: Frame, box: Box) -> bool:
    """Whether a box may reach into the chip."""
    middle = frame.spot((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return sheet.sees(middle.x, middle.y, 0.5 * math.hypot(box[2] - box[0], box[3] - box[1]))


def central(box: Box) -> bool:
    """Whether a box holds its frame's origin: there a chip shows what it is named after."""
    return box[0] <= 0 <= box[2] and box[1] <= 0 <= box[3]


def inset(box: Box, metres: float) -> Box:
    """A box with its sides moved inwards."""
    return box[0] + metres, box[1] + metres, box[2] - metres, box[3] - metres


def middle(frame: Frame, box: Box, turn: bool = False) -> tuple[Frame, float, float]:
    """Frame of a box's middle with its length and width; turned, length is along b."""
    spot = frame.spot((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, math.pi / 2 if turn else 0.0)
    long, wide = box[2] - box[0], box[3] - box[1]
    return (spot, wide, long) if turn else (spot, long, wide)


def lengthwise(frame: Frame, box: Box) -> tuple[Frame, float, float]:
    """As :func:`middle`, with the length along the longer side."""
    return middle(frame, box, box[3] - box[1] > box[2] - box[0])


def pick(rng: Generator, **weights: float) -> str:
    """A name by its weight."""
    names, values = list(weights), np.array(list(weights.values()))
    return names[int(rng.choice(len(names), p=values / values.sum()))]
