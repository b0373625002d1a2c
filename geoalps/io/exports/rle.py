"""Run-length encoding as COCO keeps masks, straight from a window of object ids.

A mask is read column by column. Its *counts* are the lengths of its runs, first of pixels outside, then inside, and so
on in turn. Compressed, each count from the fourth on is written as the difference to the count two before, in groups of
five bits, the least first; a sixth bit tells that more follow, and 48 is added to make it a printable character.

    >>> found = encode(np.array([[0, 7], [7, 7]]))
    >>> found.ids.tolist(), found.counts, found.areas.tolist(), found.boxes.tolist()
    ([7], ['13'], [3], [[0, 0, 2, 2]])
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROUPS = 7
"""Groups of five bits that a difference of two counts below 2**31 can take."""


@dataclass(frozen=True, eq=False)
class Rles:
    """The masks of all objects in one window, in ascending order of ids."""

    ids: NDArray[np.int64]
    """(n,) object ids."""
    counts: list[str]
    """n compressed counts."""
    areas: NDArray[np.int64]
    """(n,) pixels."""
    boxes: NDArray[np.int64]
    """(n, 4) half-open (row0, col0, row1, col1) in the window."""


def encode(ids: NDArray[Any]) -> Rles:
    """Every object's mask in a window.

    Args:
        ids: (h, w) integers, 0 = no object; at most 2**31 - 1 pixels.
    """
    height = ids.shape[0]
    flat = np.ascontiguousarray(ids.T).ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    stops = np.append(starts[1:], flat.size)
    value = flat[starts].astype(np.int64)
    order = np.flatnonzero(value)
    order = order[np.argsort(value[order], kind="stable")]
    starts, stops, value = starts[order], stops[order], value[order]
    found, first = np.unique(value, return_index=True)
    lengths = stops - starts
    areas = np.add.reduceat(lengths, first) if len(found) else np.zeros(0, np.int64)
    return Rles(found, _strings(starts, stops, first, flat.size), areas, _boxes(starts, stops, first, height))


def _strings(starts: NDArray[np.int64], stops: NDArray[np.int64], first: NDArray[np.intp], size: int) -> list[str]:
    """Compressed counts of every object whose runs begin at ``first``, in a window of ``size`` pixels."""
    if not len(first):
        return []
    before = np.concatenate([[0], stops[:-1]])
    before[first] = 0
    counts = np.stack([starts - before, stops - starts], 1).ravel()
    # behind its last run inside, an object has one more count if pixels follow
    rest = size - stops[np.append(first[1:], len(stops)) - 1]
    number = 2 * np.diff(first, append=len(starts))
    ends = np.cumsum(number)
    counts = np.insert(counts, ends[rest > 0], rest[rest > 0])
    number += rest > 0
    begins = np.cumsum(number) - number
    # the position of every count among those of its own object
    at = np.arange(len(counts)) - np.repeat(begins, number)
    return _characters(np.where(at > 2, counts - np.roll(counts, 2), counts), begins)


def _characters(values: NDArray[np.int64], first: NDArray[np.int64]) -> list[str]:
    """Signed numbers as printable characters, one string for every group of them that begins at ``first``."""
    left = values.copy()
    letters = np.zeros((len(values), _GROUPS), np.uint8)
    used = np.zeros((len(values), _GROUPS), bool)
    goes_on = np.ones(len(values), bool)
    for group in range(_GROUPS):
        five = left & 31
        left >>= 5
        used[:, group] = goes_on
        # what is left is nothing but copies of the sign, which the highest of the five bits tells already
        more = np.where(five & 16, left != -1, left != 0)
        letters[:, group] = five + 48 + 32 * more
        goes_on &= more
    text = letters[used].tobytes().decode("ascii")
    ends = np.cumsum(used.sum(1))
    cuts = [0, *ends[first[1:] - 1].tolist(), len(text)]
    return [text[start:stop] for start, stop in pairwise(cuts)]


def _boxes(
    starts: NDArray[np.int64], stops: NDArray[np.int64], first: NDArray[np.intp], height: int
) -> NDArray[np.int64]:
    """(n, 4) half-open boxes; a run that goes on in the next column spans all rows from top to bottom."""
    if not len(first):
        return np.zeros((0, 4), np.int64)
    col0, col1 = starts // height, (stops - 1) // height
    wraps = col1 > col0
    row0 = np.where(wraps, 0, starts - col0 * height)
    row1 = np.where(wraps, height, stops - col1 * height)
    return np.stack(
        [
            np.minimum.reduceat(row0, first),
            np.minimum.reduceat(col0, first),
            np.maximum.reduceat(row1, first),
            np.maximum.reduceat(col1, first) + 1,
        ],
        1,
    )
