"""From region numbers to nested truth: wholes and parts with compact ids, no crumbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from geoalps.sample.chips.kinds import COUNTABLE
from geoalps.sample.chips.sheet import Sheet

SMALLEST_GROUND = 12
"""Pixels; smaller pieces of ground go to a neighbour."""
SMALLEST_THING = 4
SMALLEST_PART = 3


@dataclass(frozen=True, eq=False)
class Truth:
    """What each pixel of a chip is; ids start at 1."""

    wholes: NDArray[np.uint16]
    parts: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    things: NDArray[np.bool_]


def truth_of(sheet: Sheet) -> Truth:
    """Wholes and parts of what was drawn.

    Pieces of ground and parts are connected (over sides); a thing may lie in pieces where something crosses over it.
    """
    region = np.array(sheet.maps()[1])
    whole_of = np.array(sheet.whole_of)
    kind_of = np.array(sheet.kinds, np.uint8)
    countable = np.isin(kind_of, list(COUNTABLE))
    piece = _label(whole_of[region])
    size = np.bincount(piece.ravel())
    whole = np.zeros(len(size), np.intp)
    whole[piece.ravel()] = whole_of[region.ravel()]
    small = size < np.where(countable[whole], SMALLEST_THING, SMALLEST_GROUND)
    _absorb(small, piece, region)
    # A ground piece is a whole of its own; a thing keeps one number for all its pieces.
    key = np.where(countable[whole], whole, len(kind_of) + np.arange(len(size)))
    wholes = _compact(key[piece])
    parts = _parts(piece, np.array(sheet.part_of)[region])
    kinds = np.zeros(int(wholes.max()) + 1, np.uint8)
    kinds[wholes.ravel()] = kind_of[whole[piece.ravel()]]
    return Truth(
        wholes.astype(np.uint16),
        parts.astype(np.uint16),
        kinds[wholes],
        np.isin(kinds, list(COUNTABLE)) & (np.arange(len(kinds)) > 0),
    )


def _parts(piece: NDArray[Any], part: NDArray[Any]) -> NDArray[np.intp]:
    """Connected parts of each piece, crumbs joined to a neighbour in the same piece."""
    key = piece.astype(np.int64) * (int(part.max()) + 1) + part
    bit = _label(_compact(key))
    home = np.zeros(int(bit.max()) + 1, np.intp)
    home[bit.ravel()] = piece.ravel()
    size = np.bincount(bit.ravel())
    alone = np.bincount(home[1:], minlength=int(piece.max()) + 1)[home] == 1
    _absorb((size < SMALLEST_PART) & ~alone, bit, piece, within=True)
    return _compact(bit)


def _label(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers from 1 of the connected pieces of equal values."""
    return np.asarray(label(values, background=-1, connectivity=1))


def _compact(values: NDArray[Any]) -> NDArray[np.intp]:
    """The same values numbered from 1 without gaps, in their order."""
    used = np.zeros(int(values.max()) + 1, bool)
    used[values.ravel()] = True
    compact: NDArray[np.intp] = np.cumsum(used)[values]
    return compact


def _absorb(small: NDArray[np.bool_], piece: NDArray[Any], beside: NDArray[Any], within: bool = False) -> None:
    """Give the pixels of small pieces to a neighbour, in place.

    Args:
        small: of each piece, whether it must go.
        piece: (height, width) numbers of pieces; changed.
        beside: another map; changed along, or with ``within`` a border that nothing is given over.
        within: pixels go only to neighbours of the same value of ``beside``.
    """
    height, width = piece.shape
    flat, other = piece.ravel(), beside.ravel()
    for _ in range(64):
        at = np.flatnonzero(small[flat])
        if not len(at):
            return
        row, col = np.divmod(at, width)
        moved = np.zeros(len(at), bool)
        before = flat.copy()
        for dr, dc in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            inside = (row + dr >= 0) & (row + dr < height) & (col + dc >= 0) & (col + dc < width)
            near = np.where(inside, at + dr * width + dc, at)
            good = ~moved & ~small[before[near]]
            if within:
                good &= other[near] == other[at]
            flat[at[good]] = before[near[good]]
            if not within:
                other[at[good]] = other[near[good]]
            moved |= good
        if not moved.any():
            return
