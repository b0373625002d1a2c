"""Affinities: which pairs of pixels a network is asked about, and what it says of the borders between regions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

STEP = 2
"""Pixels from one asked pixel to the next, down and along."""
OFFSETS: tuple[tuple[int, int], ...] = tuple(
    (far * down, far * along) for far in (1, 3) for down, along in ((0, 1), (1, 0), (1, 1), (1, -1))
)
"""(rows, columns) in steps from a pixel to the other of its pair: right, down and the diagonals, near and farther."""
WEIGHTS: tuple[float, ...] = tuple(1.0 if max(abs(down), abs(along)) == 1 else 0.5 for down, along in OFFSETS)
"""How much a pair at each offset counts: near ones know better where the border is."""


def shifted(values: NDArray, offset: tuple[int, int]) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
    """Both ends of all pairs at an offset: views of (..., h, w) values, cut to the pairs that lie inside."""
    down, along = offset
    height, width = values.shape[-2:]
    left, right = max(along, 0), max(-along, 0)
    here = values[..., : height - down, right : width - left]
    there = values[..., down:, left : width - right]
    return here, there


def parted_pairs(
    labels: NDArray[np.int32], partings: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], float, NDArray[np.float64]]]:
    """Pairs of asked pixels that lie in two regions, offset by offset.

    Args:
        labels: (h, w) int32, 1..n; 0 is nobody's.
        partings: (len(OFFSETS), ceil(h / STEP), ceil(w / STEP)) float32 in 0..1.

    Yields:
        The two labels of every pair (int32), the weight of each, and how likely they are parted (float64).
    """
    asked = labels[::STEP, ::STEP]
    for offset, weight, parting in zip(OFFSETS, WEIGHTS, partings, strict=True):
        one, two = shifted(asked, offset)
        apart = (one != two) & (one > 0) & (two > 0)
        yield one[apart], two[apart], weight, shifted(parting, offset)[0][apart].astype(float)
