"""Reading on where some of a scene cannot be read: its unreadable blocks are taken for no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import SceneError
from geoalps.grid import Window
from geoalps.io.arrays import Source, evenly
from geoalps.io.bands import Values
from geoalps.protocols import Mask

AT_ONCE = 1 << 20
"""About as many pixels are tried together before they are tried block by block."""


@dataclass(frozen=True)
class ForgivingSource:
    """A source whose unreadable blocks are no data.

    Only damage is forgiven. A server that does not answer is an error as ever: it would leave holes where it need not.
    """

    inner: Source

    def read(self, window: Window, size: tuple[int, int] | None = None) -> tuple[Values, Mask]:
        """As :meth:`.RasterSource.read`, but pixels of blocks that cannot be read are 0 and not valid.

        With a ``size``, what the overviews do not give is picked from the full resolution.

        Raises:
            SceneError: the connection failed.
        """
        try:
            return self.inner.read(window, size)
        except SceneError as error:
            if error.window is None:
                raise
        size = size or window.shape
        rows, cols = window.row0 + evenly(window.height, size[0]), window.col0 + evenly(window.width, size[1])
        values, valid = np.zeros((3, *size), self.inner.dtype), np.zeros(size, bool)
        for part in _aligned(window, self._together(window)):
            if not rows[_within(rows, part.row0, part.row1)].size or not cols[_within(cols, part.col0, part.col1)].size:
                continue
            for piece, got in self._pieces(part):
                if got is not None:
                    to = _within(rows, piece.row0, piece.row1), _within(cols, piece.col0, piece.col1)
                    down, across = np.ix_(rows[to[0]] - piece.row0, cols[to[1]] - piece.col0)
                    values[:, to[0], to[1]], valid[to] = got[0][:, down, across], got[1][down, across]
        return values, valid

    def unreadable(self, window: Window) -> list[Window]:
        """The blocks that cannot be read, clipped to the window; they do not overlap.

        Raises:
            SceneError: the connection failed.
        """
        return [
            piece
            for part in _aligned(window, self._together(window))
            for piece, got in self._pieces(part)
            if got is None
        ]

    def _pieces(self, part: Window) -> Iterator[tuple[Window, tuple[Values, Mask] | None]]:
        """A part as one when it can be read, else block by block; None for what cannot."""
        block = self.inner.block_shape
        try:
            yield part, self.inner.read(part)
            return
        except SceneError as error:
            if error.window is None:
                raise
        pieces = list(_aligned(part, block))
        for piece in pieces:
            try:
                yield piece, self.inner.read(piece) if len(pieces) > 1 else None
            except SceneError as error:
                if error.window is None:
                    raise
                yield piece, None

    def _together(self, window: Window) -> tuple[int, int]:
        """(height, width) of whole blocks that are tried at once in a window."""
        block = self.inner.block_shape
        width = max(1, min(window.width, max(block[1], 1024)) // block[1]) * block[1]
        height = max(1, AT_ONCE // min(width, window.width) // block[0]) * block[0]
        return height, width


def _aligned(window: Window, step: tuple[int, int]) -> Iterator[Window]:
    """The parts of a window in a lattice of ``step`` rows and columns from the scene's corner."""
    for row in range(window.row0 // step[0] * step[0], window.row1, step[0]):
        for col in range(window.col0 // step[1] * step[1], window.col1, step[1]):
            yield Window(row, col, row + step[0], col + step[1]).clip(window)


def _within(positions: NDArray[np.int64], start: int, stop: int) -> slice:
    """Where in ascending positions those from ``start`` to before ``stop`` are."""
    first, last = np.searchsorted(positions, (start, stop))
    return slice(int(first), int(last))
