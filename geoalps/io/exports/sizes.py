"""How large the objects of a product are, in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import TileGrid
from geoalps.io.rasters import RasterReader

_COUNTED_AT_ONCE = 1024
"""Side in pixels of the windows in which objects are counted."""


def count_pixels(objects: RasterReader) -> NDArray[np.int64]:
    """(largest id + 1,) pixels of every object of ``objects.tif``; [0] are those of none. Eight bytes an object."""
    pixels = np.zeros(1, np.int64)
    for tile in TileGrid(objects.shape, _COUNTED_AT_ONCE, 0):
        ids, counts = np.unique(objects.read(tile.core), return_counts=True)
        if ids[-1] >= len(pixels):
            # half as much again: an array that grows with every window would be copied as often
            pixels = np.pad(pixels, (0, int(ids[-1]) + 1 + len(pixels) // 2 - len(pixels)))
        pixels[ids] += counts
    return pixels[: np.flatnonzero(pixels)[-1] + 1]
