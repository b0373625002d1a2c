"""Segments: what a segmenter saw in one tile, as parallel arrays.

A mask is kept as its horizontal runs, (row, col0, col1) half-open, so that thousands of overlapping masks of any
size cost what their borders cost and no stack of full-size masks ever exists. Producers build a :class:`Segments`;
it knows none of them.

    >>> labels = np.array([[1, 1, 0], [2, 2, 2]])
    >>> segments = Segments.from_labels(labels)
    >>> len(segments), segments.areas.tolist(), segments.boxes.tolist()
    (2, [2, 3], [[0, 0, 1, 2], [1, 0, 2, 3]])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Window

Runs = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Segments:
    """n masks in the frame of one tile's window: (row, col) pixels from the window's upper left corner."""

    runs: Runs
    """(m, 3) int32: row, col0, col1 (half-open) of every run; segment after segment, rows ascending."""
    offsets: NDArray[np.int64]
    """(n + 1,) int64: segment i holds ``runs[offsets[i]:offsets[i + 1]]``."""
    scores: NDArray[np.float32]
    """(n,) float32 in 0..1: the segmenter's own opinion of each mask."""

    def __post_init__(self) -> None:
        if self.runs.ndim != 2 or self.runs.shape[1] != 3:
            raise ValueError(f"runs have shape {self.runs.shape}, want (m, 3)")
        if len(self.offsets) != len(self.scores) + 1 or self.offsets[-1] != len(self.runs):
            raise ValueError(f"{len(self.offsets)} offsets ending at {self.offsets[-1]} for {len(self.scores)} scores")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(m,) int64: pixels of every run."""
        return np.asarray(self.runs[:, 2] - self.runs[:, 1], np.int64)

    @property
    def index(self) -> NDArray[np.int64]:
        """(m,) int64: which segment every run belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def areas(self) -> NDArray[np.int64]:
        """(n,) int64: pixels of every mask; 0 for an empty one."""
        total = _offsets(self.lengths)
        return total[self.offsets[1:]] - total[self.offsets[:-1]]

    @property
    def boxes(self) -> NDArray[np.int32]:
        """(n, 4) int32: half-open (row0, col0, row1, col1); all zero for an empty mask."""
        out = np.zeros((len(self), 4), np.int32)
        some = np.flatnonzero(np.diff(self.offsets))
        if len(some):
            start = self.offsets[some]
            out[some, 0] = self.runs[start, 0]
            out[some, 1] = np.minimum.reduceat(self.runs[:, 1], start)
            out[some, 2] = self.runs[self.offsets[some + 1] - 1, 0] + 1
            out[some, 3] = np.maximum.reduceat(self.runs[:, 2], start)
        return out

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2) float64: centroid (row, col) of every mask, pixel centres at .5; NaN for an empty one."""
        length = self.lengths
        rows, cols = self.runs[:, 0] + 0.5, (self.runs[:, 1] + self.runs[:, 2]) / 2
        sums = [np.bincount(self.index, v * length, len(self)) for v in (rows, cols)]
        with np.errstate(invalid="ignore"):
            return np.stack(sums, 1) / self.areas[:, None]

    @classmethod
    def empty(cls) -> Segments:
        """No segments at all."""
        return cls(np.zeros((0, 3), np.int32), np.zeros(1, np.int64), np.zeros(0, np.float32))

    @classmethod
    def from_labels(cls, labels: NDArray[Any], scores: NDArray[np.float32] | None = None) -> Segments:
        """Segments of a partition.

        Args:
            labels: (height, width) integers; segment i is where labels == i + 1, 0 is covered by none.
            scores: (n,) float32, or None for 1.0 everywhere.

        Returns:
            As many segments as the largest label; labels that do not occur give empty masks.
        """
        height, width = labels.shape
        first = np.ones((height, width), bool)
        first[:, 1:] = labels[:, 1:] != labels[:, :-1]
        starts = np.flatnonzero(first)
        stops = np.append(starts[1:], labels.size)
        value = labels[first].astype(np.int64)
        starts, stops, value = starts[value > 0], stops[value > 0], value[value > 0]
        count = len(scores) if scores is not None else int(value.max(initial=0))
        order = np.argsort(value.astype(np.min_scalar_type(count)), kind="stable")  # 16 bits are sorted by counting
        starts, stops, value = starts[order], stops[order], value[order]
        row = starts // width
        runs = np.stack([row, starts - row * width, stops - row * width], 1).astype(np.int32)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(value - 1, minlength=count))]).astype(np.int64)
        return cls(runs, offsets, np.ones(count, np.float32) if scores is None else scores)

    @classmethod
    def from_masks(
        cls,
        masks: Iterable[NDArray[np.bool_]],
        corners: Iterable[tuple[int, int]] | None = None,
        scores: Sequence[float] | NDArray[np.float32] | None = None,
    ) -> Segments:
        """Segments of masks that may overlap.

        Args:
            masks: (h, w) bool each, cut to any box; taken one by one, so a generator keeps memory flat.
            corners: (row, col) of every mask's upper left pixel in the window; (0, 0) when None.
            scores: one per mask; 1.0 when None.
        """
        parts: list[Runs] = []
        corner = iter(corners) if corners is not None else None
        for mask in masks:
            row, col = next(corner) if corner is not None else (0, 0)
            parts.append(_mask_runs(mask) + np.array([row, col, col], np.int32))
        offsets = np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64)
        runs = np.concatenate(parts) if parts else np.zeros((0, 3), np.int32)
        given = np.ones(len(parts), np.float32) if scores is None else np.asarray(scores, np.float32)
        return cls(runs, offsets, given)

    def mask(self, i: int) -> NDArray[np.bool_]:
        """(h, w) bool: mask i, cut to its box."""
        row0, col0, row1, col1 = self.boxes_of([i])[0]
        out = np.zeros((row1 - row0, col1 - col0), bool)
        for row, start, stop in self.runs[self.offsets[i] : self.offsets[i + 1]]:
            out[row - row0, start - col0 : stop - col0] = True
        return out

    def boxes_of(self, keep: Sequence[int] | NDArray[Any]) -> NDArray[np.int32]:
        """(len(keep), 4) int32: boxes of some segments."""
        return self.take(keep).boxes

    def take(self, keep: Sequence[int] | NDArray[Any]) -> Segments:
        """The segments of these indices, in this order (or where a bool mask is True)."""
        keep = np.asarray(keep)
        which = np.flatnonzero(keep) if keep.dtype == bool else keep.astype(np.int64)
        count = np.diff(self.offsets)[which]
        return Segments(self.runs[ranges(self.offsets[which], count)], _offsets(count), self.scores[which])

    def shift(self, rows: int, cols: int) -> Segments:
        """The same masks in a frame whose corner lies (rows, cols) further up and left."""
        return Segments(self.runs + np.array([rows, cols, cols], np.int32), self.offsets, self.scores)

    def clip(self, window: Window) -> Segments:
        """What lies in a window of this frame; same segments, same frame, some now empty."""
        runs = self.runs.copy()
        np.clip(runs[:, 1:], window.col0, window.col1, out=runs[:, 1:])
        keep = (runs[:, 0] >= window.row0) & (runs[:, 0] < window.row1) & (runs[:, 2] > runs[:, 1])
        count = np.bincount(self.index[keep], minlength=len(self))
        return Segments(runs[keep], _offsets(count), self.scores)

    def pixels(self, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every covered pixel, once per segment that covers it.

        Args:
            width: of the frame, in pixels.

        Returns:
            (p,) int64 segment indices and (p,) int64 flat pixel indices row * width + col.
        """
        lengths = self.lengths
        first = self.runs[:, 0].astype(np.int64) * width + self.runs[:, 1]
        return np.repeat(self.index, lengths), ranges(first, lengths)


def ranges(starts: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.int64]:
    """Concatenation of ``arange(start, start + count)`` for every pair."""
    counts = np.asarray(counts, np.int64)
    before = np.cumsum(counts) - counts
    return np.asarray(np.arange(counts.sum()) + np.repeat(np.asarray(starts, np.int64) - before, counts), np.int64)


def _offsets(counts: NDArray[Any]) -> NDArray[np.int64]:
    """(n + 1,) int64: where each of n consecutive parts begins, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _mask_runs(mask: NDArray[np.bool_]) -> Runs:
    """Runs of one mask by the sign changes along its rows."""
    edge = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(edge == 1)
    stop = np.nonzero(edge == -1)[1]
    return np.stack([row, start, stop], 1).astype(np.int32)
