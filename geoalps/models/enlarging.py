"""Masks from the decoder's resolution to the window's, inside their boxes only.

segment-anything brings every mask to the encoder's input size, cuts the padding off and brings it to the window's size,
both bilinearly. Both steps are linear and separable, so that together they are one matrix down and one along:

    full = D cells A^T

of which a mask needs the rows and columns of its box alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from geoalps.models.promptable import EncodedImage
from geoalps.protocols import Mask
from geoalps.segments import Segments

Int = NDArray[np.int64]

PIXELS_AT_ONCE = 1 << 25
"""Pixels at full size that exist at a time on an accelerator; on a processor each mask is alone, in its box."""


@dataclass(frozen=True, eq=False)
class Axis:
    """How one side of the decoder's masks becomes one side of the window."""

    matrix: Tensor
    """(pixels, side) float32: shares of the cells in every pixel."""
    first: Int
    """(pixels,) int64: the first cell that a pixel has a share of; ascending."""
    last: Int
    """(pixels,) int64: the last one; ascending."""
    pitch: float
    """Pixels from one cell to the next."""
    centres: Int
    """(side,) int64: the pixel nearest to the centre of every cell; ``pixels`` where a cell is padding."""

    def spans(self, start: Int, stop: Int) -> Int:
        """(n, 4) int64 of half-open ranges of cells: pixels (from, to) with a share of them, cells these pixels need.

        No range is empty.
        """
        begin = np.minimum(np.searchsorted(self.last, start), len(self.last) - 1)
        end = np.maximum(np.searchsorted(self.first, stop), begin + 1)
        return np.stack([begin, end, self.first[begin], self.last[end - 1] + 1], 1)

    def pixels(self, edges: Int) -> Int:
        """Edges between cells as the nearest edges between pixels."""
        return np.asarray(np.minimum(np.rint(edges * self.pitch), len(self.first)), np.int64)


@lru_cache(maxsize=16)
def axis(side: int, input_size: int, resized: int, pixels: int, device: torch.device) -> Axis:
    """From ``side`` cells to ``input_size``, of which ``resized`` are no padding, to ``pixels``."""
    matrix = _stretched(_stretched(torch.eye(side, dtype=torch.float64), input_size)[:resized], pixels)
    shared = matrix.numpy() > 0
    first, last = shared.argmax(1), side - 1 - shared[:, ::-1].argmax(1)
    pitch = (input_size / side) * (pixels / resized)
    centres = np.floor((np.arange(side) + 0.5) * pitch).astype(np.int64)
    return Axis(matrix.float().to(device), first, last, pitch, np.minimum(centres, pixels))


def _stretched(rows: Tensor, size: int) -> Tensor:
    """(size, c) of (n, c) values, bilinearly as segment-anything does."""
    stretched: Tensor = functional.interpolate(rows.T[:, None], size=size, mode="linear", align_corners=False)
    return stretched[:, 0].T


@dataclass(frozen=True, eq=False)
class Cells:
    """Some masks as the decoder gave them, each cut to what its pixels need."""

    logits: Sequence[Tensor]
    """n of (h, w) floats."""
    rows: Int
    """(n, 4) int64: pixels (from, to), cells (from, to); see :meth:`Axis.spans`."""
    cols: Int
    """(n, 4) int64: the same along."""

    def take(self, keep: Int) -> Cells:
        """The masks of these indices."""
        return Cells([self.logits[i] for i in keep], self.rows[keep], self.cols[keep])


@dataclass(frozen=True, eq=False)
class Enlarger:
    """For all masks of one window."""

    down: Axis
    along: Axis
    valid: Tensor | None
    """(height, width) bool, on the masks' device; None where every pixel is valid."""

    @classmethod
    def of(cls, encoded: EncodedImage, side: int, valid: Mask, device: torch.device) -> Enlarger:
        """For masks of ``side`` cells over an encoded window."""
        down, along = (
            axis(side, encoded.input_size, resized, pixels, device)
            for resized, pixels in zip(encoded.input_shape, encoded.shape, strict=True)
        )
        return cls(down, along, None if valid.all() else torch.from_numpy(valid).to(device))

    def cells(self, logits: Tensor, boxes: Int) -> Cells:
        """What is left of (n, side, side) logits when only pixels with a share of (n, 4) boxes matter."""
        rows, cols = self.down.spans(boxes[:, 0], boxes[:, 2]), self.along.spans(boxes[:, 1], boxes[:, 3])
        if logits.device.type != "cpu":
            # many small copies would cost more than the memory does
            rows[:, 2:] = cols[:, 2:] = (0, logits.shape[-1])
            return Cells(list(logits), rows, cols)
        pieces = zip(logits, rows.tolist(), cols.tolist(), strict=True)
        return Cells([one[r[2] : r[3], c[2] : c[3]].clone() for one, r, c in pieces], rows, cols)

    def pieces(self, cells: Cells) -> Iterator[tuple[Int, Tensor, Int]]:
        """Masks at full size, a few at a time.

        Yields:
            Indices of b masks; their (b, rows, cols) float32 logits, minus infinity where the window is not valid;
            and (2,) int64 (row, col) of the first pixel. Where there are several they share their rows and columns,
            so that a piece may reach further than a mask's box.
        """
        count = len(cells.logits)
        at_once = 1
        if count and cells.logits[0].device.type != "cpu":
            at_once = max(1, PIXELS_AT_ONCE // (len(self.down.first) * len(self.along.first)))
        sizes = (cells.rows[:, 1] - cells.rows[:, 0]) * (cells.cols[:, 1] - cells.cols[:, 0])
        order = np.argsort(sizes, kind="stable") if at_once > 1 else np.arange(count)
        for at in range(0, count, at_once):
            which = order[at : at + at_once]
            yield which, *self._together(cells.take(which))

    def _together(self, cells: Cells) -> tuple[Tensor, Int]:
        """Masks that need the same cells, in all pixels that one of them reaches."""
        (row0, _, top, _), (_, row1, _, bottom) = cells.rows.min(0), cells.rows.max(0)
        (col0, _, left, _), (_, col1, _, right) = cells.cols.min(0), cells.cols.max(0)
        down, along = self.down.matrix[row0:row1, top:bottom], self.along.matrix[col0:col1, left:right]
        piece = down @ torch.stack(list(cells.logits)).float() @ along.T
        if self.valid is not None:
            piece.masked_fill_(~self.valid[row0:row1, col0:col1], -torch.inf)
        return piece, np.array([row0, col0])


def segments_of(masks: Tensor, corner: Int, scores: NDArray[np.float32]) -> Segments:
    """Runs of (n, height, width) bool masks whose first pixel is (row, col) of the window."""
    padded = functional.pad(masks, (1, 1))
    which, row, col = (padded[:, :, 1:] != padded[:, :, :-1]).nonzero().cpu().numpy().T
    # along a row what begins a run and what ends it take turns
    runs = np.stack([row[::2] + corner[0], col[::2] + corner[1], col[1::2] + corner[1]], 1).astype(np.int32)
    counts = np.bincount(which[::2], minlength=len(masks))
    return Segments(runs, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), scores)
