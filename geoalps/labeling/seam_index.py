"""Seam index: do object borders lie on tile lines more often than elsewhere?

The share of pixel pairs across the lines between cores whose objects differ, over the same share on lines moved a few
pixels off. 1.0 is seamless; a naive tool that tiles and does not stitch scores 7 to 46. On few lines it varies a lot
without any seam: the moved lines, taken one set at a time for tile lines, say how far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import TileGrid, Window

OFFSETS = (-40, -31, -24, -19, -14, -9, 0, 9, 14, 19, 24, 31, 40)
"""Pixels by which lines are moved; 0 is the tile line itself."""


@dataclass(frozen=True)
class SeamIndex:
    """Borders on tile lines against borders beside them."""

    on: float
    """Share of pixel pairs across tile lines that differ."""
    beside: float
    """The same share on the moved lines."""
    lines: int
    """Number of tile lines."""
    index: float | None
    """On / beside; None without lines or without any border beside them."""
    by_chance: float | None
    """The highest index that a set of moved lines has against the others; None where there is no index."""


def seam_index(read: Callable[[Window], NDArray[Any]], grid: TileGrid) -> SeamIndex:
    """Seam index of an object raster.

    Args:
        read: object ids (h, w) of a window, 0 = uncovered.
        grid: whose lines are looked at; read in pieces of one core's length.
    """
    differ, pairs = np.zeros(len(OFFSETS)), np.zeros(len(OFFSETS))
    for strip, at in _strips(grid):
        ids = read(strip) if at[0] == "col" else read(strip).T
        for number, offset in enumerate(OFFSETS):
            left = at[1] + offset - 1
            if left >= 0 and left + 1 < ids.shape[1]:
                one, two = ids[:, left], ids[:, left + 1]
                both = (one > 0) & (two > 0)
                differ[number] += np.count_nonzero((one != two) & both)
                pairs[number] += np.count_nonzero(both)
    zero = OFFSETS.index(0)
    beside = _share(differ, pairs, zero)
    known = grid.rows + grid.cols > 2 and beside > 0
    moved = [_index(differ, pairs, number, zero) for number in range(len(OFFSETS)) if number != zero]
    return SeamIndex(
        on=float(differ[zero] / max(pairs[zero], 1)),
        beside=beside,
        lines=grid.rows + grid.cols - 2,
        index=_index(differ, pairs, zero) if known else None,
        by_chance=max(moved) if known else None,
    )


def _share(differ: NDArray[np.float64], pairs: NDArray[np.float64], *without: int) -> float:
    """Share of pairs that differ on all lines but some."""
    return float(np.delete(differ, without).sum() / max(np.delete(pairs, without).sum(), 1))


def _index(differ: NDArray[np.float64], pairs: NDArray[np.float64], line: int, *without: int) -> float:
    """One set of lines against the others, some of them left out; 0 where the others have no border at all."""
    others = _share(differ, pairs, line, *without)
    return float(differ[line] / max(pairs[line], 1) / others) if others else 0.0


def _strips(grid: TileGrid) -> Iterator[tuple[Window, tuple[str, int]]]:
    """Windows around the pieces of every tile line, and where in them the line lies: (axis, pixels from the start)."""
    reach = max(OFFSETS) + 1
    for tile in grid:
        core = tile.core
        if tile.col:
            strip = Window(core.row0, core.col0 - reach, core.row1, core.col0 + reach).clip(grid.scene)
            yield strip, ("col", core.col0 - strip.col0)
        if tile.row:
            strip = Window(core.row0 - reach, core.col0, core.row0 + reach, core.col1).clip(grid.scene)
            yield strip, ("row", core.row0 - strip.row0)
