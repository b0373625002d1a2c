"""Speckle of radar scenes: how strong it is, and Lee's filter against it.

A radar intensity is what the ground sends back times noise of mean 1. Lee's filter (1980) replaces a pixel by the mean
of the 5 x 5 pixels around it, as far as their spread is what the noise alone would give, and leaves it where there is
more: edges and bright points stay. What comes out depends on these pixels alone, so that tiles agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Window
from geoalps.protocols import Mask

if TYPE_CHECKING:
    from geoalps.io.scene import Scene

Float = NDArray[np.float64]

SIDE = 5
"""Pixels of the filter's square."""
LOOKED, SPREAD = 128, 4
"""The noise is measured in SPREAD x SPREAD windows of this side, spread evenly over a scene."""
PLAIN = 30.0
"""Percentile of the local spreads that is taken for the noise: most of what varies more is ground that does."""
BROAD = 15
"""Pixels of the square in which the spread is measured: speckle is often several pixels wide, and fewer of its grains
than a dozen say too little of it."""


def despeckled(values: NDArray[Any], valid: Mask, variation: float) -> Float:
    """Lee's filter.

    Args:
        values: (c, h, w) intensities or amplitudes; a band repeated by a view is filtered once.
        valid: (h, w) bool; other pixels are not looked at.
        variation: standard deviation of the noise over its mean.

    Returns:
        (c, h, w) float64, finite; 0 where not valid.
    """
    if values.strides[0] == 0 and len(values) > 1:
        return np.broadcast_to(despeckled(values[:1], valid, variation), values.shape)
    noise = variation * variation
    out = np.zeros(values.shape)
    for band, filtered in zip(values, out, strict=True):
        value = np.where(valid, band, 0).astype(float)
        mean, variance, _ = _local(value, valid, SIDE)
        signal = np.maximum(variance - noise * mean * mean, 0) / (1 + noise)
        share = np.divide(signal, variance, out=np.zeros_like(mean), where=variance > 0)
        filtered[:] = np.where(valid, mean + share * (value - mean), 0)
    return out


def fit_variation(scenes: Sequence[Scene]) -> float:
    """Standard deviation of the speckle over its mean; 0, so no filter, where a value is negative: that is decibels.

    Raises:
        SceneError: pixels cannot be read.
    """
    seen = []
    for scene in scenes:
        for window in _windows(scene.shape):
            values, valid = scene.read(window)
            if (values[:, valid] < 0).any():
                return 0.0
            for band in values[:1] if len(set(scene.bands)) == 1 else values:
                mean, variance, count = _local(np.where(valid, band, 0).astype(float), valid, BROAD)
                full = valid & (count == BROAD * BROAD) & (mean > 0)
                seen.append(np.sqrt(variance[full]) / mean[full])
    found = np.concatenate(seen)
    return float(np.percentile(found, PLAIN)) if len(found) else 0.0


def _local(value: Float, valid: Mask, side: int) -> tuple[Float, Float, Float]:
    """(h, w) mean, variance and number of the valid pixels of a square around every pixel; 0 where there is none.

    Args:
        value: (h, w) float64, 0 where not valid.
        valid: (h, w) bool.
        side: odd.
    """
    count = _sums(valid.astype(float), side)
    some = np.maximum(count, 1)
    mean = _sums(value, side) / some
    return mean, np.maximum(_sums(value * value, side) / some - mean * mean, 0), count


def _sums(value: Float, side: int) -> Float:
    """(h, w) sums over the square around every pixel; not by running sums, whose rounding comes from far away."""
    from scipy import ndimage  # scenes other than radar need none of it

    ones = np.ones(side)
    for axis in (0, 1):
        value = ndimage.correlate1d(value, ones, axis, mode="constant")
    return value


def _windows(shape: tuple[int, int]) -> list[Window]:
    """Where a scene is looked at."""
    rows, cols = (
        sorted({round(i * max(length - LOOKED, 0) / (SPREAD - 1)) for i in range(SPREAD)}) for length in shape
    )
    return [Window(row, col, row + LOOKED, col + LOOKED).clip(Window(0, 0, *shape)) for row in rows for col in cols]
