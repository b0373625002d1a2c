"""The preview of a scene: kept in pieces beside its tiles while these are segmented, so that no pixel is read twice.

One preview pixel is the mean of a block of ``factor`` x ``factor`` scene pixels, the same factor all over the scene. It
belongs to the tile whose core holds the block's first pixel: a block may reach over a core's edge, into the margin that
its tile reads anyway (as far as that goes: it cuts the blocks of scenes that are very large), and the tiles' pieces,
put side by side, are exactly ceil(height / factor) x ceil(width / factor) pixels, whatever the sizes of tiles and
blocks.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image as Pillow
from rasterio.enums import Resampling

from geoalps.grid import Tile, Window
from geoalps.io.rasters import quiet
from geoalps.io.store import Store
from geoalps.protocols import Image, Mask

LONGEST = 2048
"""Preview pixels along the longer side of a scene, at most."""
QUALITY = 85
"""Of the JPEG that is kept."""


def block_side(shape: tuple[int, int]) -> int:
    """Scene pixels along the side of one preview pixel, for a scene of this (height, width)."""
    return -(-max(shape) // LONGEST)


def preview_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the preview of a scene of this (height, width)."""
    factor = block_side(shape)
    return -(-shape[0] // factor), -(-shape[1] // factor)


def piece(tile: Tile, factor: int) -> Window:
    """The preview pixels of a tile, in the preview's frame; perhaps none."""
    core = tile.core
    return Window(*(-(-edge // factor) for edge in (core.row0, core.col0, core.row1, core.col1)))


def shrunk(image: Image, valid: Mask, tile: Tile, shape: tuple[int, int]) -> bytes | None:
    """JPEG of a tile's piece of the preview; None where it has no preview pixel, or none with data.

    Args:
        image: (h, w, 3) uint8 of the tile's window, as the segmenter saw it.
        valid: (h, w) bool: where there is data; means are over these pixels.
        tile: whose window.
        shape: (height, width) of the scene.
    """
    factor = block_side(shape)
    rows, cols = _blocks(tile, factor)
    if not len(rows) or not len(cols):
        return None
    weight = _sums(valid[..., None].astype(np.float32), rows, cols, factor)
    if not weight.any():
        return None
    sums = _sums(np.where(valid[..., None], image, np.float32(0)), rows, cols, factor)
    mean = sums / np.maximum(weight, 1)
    # what has no data takes the middle colour: black beside it would ring into the picture
    mean = np.where(weight > 0, mean, sums.sum((0, 1)) / weight.sum())
    return jpeg(np.rint(mean).astype(np.uint8), QUALITY)


def _blocks(tile: Tile, factor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First rows and first columns of a tile's blocks, in the frame of its window."""
    part, window = piece(tile, factor), tile.window
    rows = np.arange(part.row0, part.row1, dtype=np.int64) * factor - window.row0
    return rows, np.arange(part.col0, part.col1, dtype=np.int64) * factor - window.col0


def _sums(
    values: NDArray[np.float32], rows: NDArray[np.int64], cols: NDArray[np.int64], factor: int
) -> NDArray[np.float32]:
    """(rows, cols, channels) sums over blocks; those at the far edges of the window are cut by it."""
    inside = values[rows[0] : rows[-1] + factor, cols[0] : cols[-1] + factor]
    if factor == 1:
        return inside
    across = np.add.reduceat(inside, cols - cols[0], axis=1)
    return np.asarray(np.add.reduceat(across, rows - rows[0], axis=0), np.float32)


def mosaic(store: Store) -> tuple[Image, Mask]:
    """The preview of a store's scene: (h, w, 3) uint8, grey without data, and (h, w) bool: where there is some."""
    shape, factor = store.grid.shape, block_side(store.grid.shape)
    height, width = preview_shape(shape)
    image, there = np.full((height, width, 3), 128, np.uint8), np.zeros((height, width), bool)
    for tile in store.grid:
        kept = store.read_preview(tile)
        if kept is None:
            continue
        at = piece(tile, factor).slices()
        image[at] = decoded(kept)
        rows, cols = _blocks(tile, factor)
        valid = store.read_valid(tile)[..., None].astype(np.float32)
        there[at] = _sums(valid, rows, cols, factor)[..., 0] > 0
    return image, there


def jpeg(image: Image, quality: int, sharp: bool = False) -> bytes:
    """A JPEG of an (h, w, 3) uint8 image; ``sharp`` keeps colours at full resolution."""
    out = io.BytesIO()
    subsampling = "4:4:4" if sharp else "4:2:0"
    Pillow.fromarray(image).save(out, "JPEG", quality=quality, optimize=True, subsampling=subsampling)
    return out.getvalue()


def decoded(picture: bytes) -> Image:
    """(h, w, 3) uint8 of a JPEG of ours."""
    with Pillow.open(io.BytesIO(picture), formats=("JPEG",)) as opened:
        return np.asarray(opened.convert("RGB"))


def read_labels(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    """(h, w) classes of ``labels.tif`` on the preview's grid: the nearest pixel's, from an overview where there is one.

    Args:
        path: the raster.
        shape: (height, width) of the preview.
    """
    with quiet(), rasterio.open(path) as file:
        values: NDArray[Any] = file.read(1, out_shape=shape, resampling=Resampling.nearest)
    return values
