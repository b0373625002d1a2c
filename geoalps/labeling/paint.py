"""Paint: objects into pixels, one core at a time, in any order.

Larger objects first, smaller on top, by the object's area in the whole scene, so that the two sides of a seam agree.
A core is painted together with a frame around it, wide enough that whatever is decided inside the core is decided
from the same pixels as in the neighbouring core; the frame is then cut off and each core writes only itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from geoalps.grid import Window
from geoalps.segments import Segments

FRAME = 48
"""Pixels painted around a core before the frame is cut off."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Segments to be painted, in scene coordinates."""

    segments: Segments
    """In the frame of the scene."""
    ids: NDArray[np.uint32]
    """(n,) the object each is a shape of."""
    ranks: NDArray[np.uint32]
    """(n,) painting order, low first."""
    over: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    """(m, 2) pairs of shapes: where both lie, the first is painted over the second, whatever their ranks."""

    @classmethod
    def join(cls, parts: Sequence[Shapes]) -> Shapes:
        """All shapes of several tiles."""
        runs = np.concatenate([part.segments.runs for part in parts])
        counts = np.concatenate([np.diff(part.segments.offsets) for part in parts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        scores = np.concatenate([part.segments.scores for part in parts])
        ids = np.concatenate([part.ids for part in parts])
        return cls(Segments(runs, offsets, scores), ids, np.concatenate([part.ranks for part in parts]))


def paint(shapes: Shapes, window: Window, valid: NDArray[np.bool_], fill: bool, sliver: int) -> NDArray[np.uint32]:
    """Object ids of a window.

    Args:
        shapes: every shape that can reach the window.
        window: what to paint, in the scene.
        valid: (height, width) bool of the window; nothing is painted elsewhere.
        fill: give valid pixels that no shape covers to the nearest object (for segmenters that cover everything).
        sliver: connected pieces of fewer pixels go to the neighbour with the longest common border; without one they
            stay. 0 leaves all as they are.

    Returns:
        (height, width) uint32, 0 = uncovered.
    """
    order = np.argsort(shapes.ranks, kind="stable")
    segments = shapes.segments.take(order).shift(-window.row0, -window.col0).clip(Window(0, 0, *window.shape))
    index, pixel = segments.pixels(window.width)
    out = np.zeros(window.area, np.uint32)
    ids, place, begin = shapes.ids[order], np.argsort(order), np.searchsorted(index, np.arange(len(order) + 1))
    out[pixel] = ids[index]  # the last of equal indices stands: smaller objects lie on top
    for upper, lower in place[shapes.over]:
        above, below = pixel[begin[upper] : begin[upper + 1]], pixel[begin[lower] : begin[lower + 1]]
        both = np.intersect1d(above, below, assume_unique=True)
        out[both[out[both] == ids[lower]]] = ids[upper]
    painted = np.where(valid, out.reshape(window.shape), np.uint32(0))
    if fill:
        painted = fill_nearest(painted, valid)
    return drop_slivers(painted, sliver) if sliver > 1 else painted


def fill_nearest(ids: NDArray[np.uint32], valid: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Valid uncovered pixels given to the nearest object; all stay uncovered where there is no object."""
    gaps = (ids == 0) & valid
    if not gaps.any() or not (ids > 0).any():
        return ids
    row, col = ndimage.distance_transform_edt(ids == 0, return_distances=False, return_indices=True)
    return np.where(gaps, ids[row, col], ids)


def drop_slivers(ids: NDArray[np.uint32], sliver: int) -> NDArray[np.uint32]:
    """Pieces under ``sliver`` pixels given to the neighbouring object they share most border with.

    Pieces are 4-connected. A sliver among slivers only waits for the second round.
    """
    for _ in range(2):
        pieces = measure.label(ids, background=0, connectivity=1)
        sizes = np.bincount(pieces.ravel())
        small = sizes < sliver
        small[0] = False
        if not small.any():
            return ids
        heir = _heirs(ids, pieces, small)
        ids = np.where(small[pieces] & (heir[pieces] > 0), heir[pieces], ids)
    return ids


def _heirs(ids: NDArray[np.uint32], pieces: NDArray[Any], small: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """(pieces + 1,) object that every small piece shares most border with, other small pieces aside; 0 = none."""
    below = [(pieces[:, :-1], pieces[:, 1:], ids[:, :-1], ids[:, 1:]), (pieces[:-1], pieces[1:], ids[:-1], ids[1:])]
    piece, other = [], []
    for one, two, id_one, id_two in below:
        for a, b, target in ((one, two, id_two), (two, one, id_one)):
            side = small[a] & (b > 0) & ~small[b]
            piece.append(a[side])
            other.append(target[side])
    who, whom = np.concatenate(piece).astype(np.int64), np.concatenate(other).astype(np.int64)
    heir = np.zeros(len(small), np.uint32)
    if not len(who):
        return heir
    span = int(whom.max()) + 1
    pair, length = np.unique(who * span + whom, return_counts=True)
    order = np.lexsort((pair, -length, pair // span))
    first = np.concatenate([[True], np.diff(pair[order] // span) > 0])
    best = pair[order][first]
    heir[best // span] = best % span
    return heir
