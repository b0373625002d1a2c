"""SGO and SGB: objects and their boundaries as constraints for training, after SAM_RS.

SGO numbers the objects 1, 2, ... from the largest to the smallest; those below 50 pixels are left out, and 0 is none of
them. SGB is 255 on the thick boundary of every object, the small ones too, and 0 elsewhere; there SGO is 0. A pixel is
on the thick boundary of a mask when it and its four neighbours are not all in it, nor all out of it.

As two GeoTIFFs on the scene's grid::

    FOLDER/sgo.tif, FOLDER/sgb.tif

or as chips, each with its own numbers, of its at most 50 largest objects::

    FOLDER/img_dir/train/NAME.png, FOLDER/sgo_dir/train/NAME.png, FOLDER/sgb_dir/train/NAME.png
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from geoalps.errors import OptionError, ProductError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.exports.chips import ALL, Cutting, chip_name, padded, write_png
from geoalps.io.exports.images import ChipImages, SceneGiven
from geoalps.io.exports.sizes import count_pixels
from geoalps.io.exports.target import mark, new_folder
from geoalps.io.product import Product
from geoalps.io.rasters import CoreWriter, RasterReader, block_size, write_cog
from geoalps.progress import Progress, Silence

MIN_PIXELS, MOST = 50, 50
"""The limits of SAM_RS: the smallest object, and the number of objects of a chip."""
BOUNDARY = 255
_WINDOW = 1024
"""Side in pixels of what is written at once."""


def write_constraints(
    product: Product,
    folder: str | Path,
    *,
    min_pixels: int = MIN_PIXELS,
    overwrite: bool = False,
    progress: Progress | None = None,
    window: int = _WINDOW,
) -> Path:
    """Write SGO and SGB of a whole scene: ``sgo.tif`` in the smallest integers that fit, and ``sgb.tif`` in uint8.

    Args:
        product: whose objects.
        folder: the directory to make.
        min_pixels: objects with fewer pixels are not in SGO.
        overwrite: replace an export that is there.
        progress: hears of the windows.
        window: side of what is read and written at once, in pixels; the result does not depend on it.

    Returns:
        The directory.

    Raises:
        OptionError: ``min_pixels`` is below 1.
        ProductError: the directory is taken or cannot be written.
    """
    _check(min_pixels)
    folder, progress = Path(folder), progress or Silence()
    with new_folder(folder, product, overwrite) as part, RasterReader(product.path / "objects.tif") as objects:
        number = numbered(count_pixels(objects), min_pixels)
        grid = TileGrid(objects.shape, window, 0)
        progress.start("sgo", 2 * len(grid))
        with (
            _raster(part / "sgo.tif", objects, number.dtype.name, 0, window) as sgo,
            _raster(part / "sgb.tif", objects, "uint8", None, window) as sgb,
        ):
            for tile in grid:
                for raster, values in zip((sgo, sgb), _of_window(objects, number, tile.core), strict=True):
                    raster.write(tile.core, values)
                progress.advance()
        _check_written(part, objects, number, grid, progress)
        mark(part, product, "sgo", {"min_pixels": min_pixels}, {"objects": int(number.max(initial=0))})
    return folder


def write_constraint_chips(
    product: Product,
    folder: str | Path,
    scene: SceneGiven = None,
    *,
    most: int = MOST,
    min_pixels: int = MIN_PIXELS,
    overwrite: bool = False,
    progress: Progress | None = None,
    **cutting: Any,
) -> Path:
    """Write chips with SGO and SGB, as SAM_RS has them: every chip numbers its own objects, by their pixels in it.

    The boundary of a chip's own border is none. SGO is uint8, or uint16 where ``most`` is above 255.

    Args:
        product: whose objects.
        folder: the directory to make.
        scene: that of the product, or where it is now; None looks where it was.
        most: no more than so many objects, the largest, are in the SGO of a chip.
        min_pixels: objects with fewer pixels in a chip are not in its SGO.
        overwrite: replace an export that is there.
        progress: hears of the chips.
        **cutting: the fields of :class:`.chips.Cutting`: chip_size, split, block_chips, gap, min_cover, seed.

    Returns:
        The directory.

    Raises:
        OptionError: a value is out of its range, or leaves no chip.
        ProductError: the directory is taken or cannot be written.
        SceneError: the scene is not there, or another.
    """
    _check(min_pixels)
    if not 1 <= most <= 65535:
        raise OptionError(f"at most {most} objects a chip is given; allowed are 1 to 65535")
    folder, progress, cut = Path(folder), progress or Silence(), Cutting(**cutting)
    images = ChipImages.of(product, scene)
    with new_folder(folder, product, overwrite) as part, RasterReader(product.path / "objects.tif") as objects:
        splits = cut.cut(product, progress)
        progress.start("chips", sum(map(len, splits.values())))
        chips = _Chips(images, objects, cut.chip_size, most, min_pixels)
        for split, tiles in splits.items():
            chips.write(part, "" if split == ALL else split, tiles, progress)
        options = {**asdict(cut), "most": most, "min_pixels": min_pixels}
        mark(part, product, "sgo", options, {split: len(tiles) for split, tiles in splits.items()})
    return folder


@dataclass(frozen=True, eq=False)
class _Chips:
    """Writes chips with their constraints."""

    images: ChipImages
    objects: RasterReader
    size: int
    most: int
    min_pixels: int

    def write(self, folder: Path, split: str, chips: list[Tile], progress: Progress) -> None:
        """Images, SGO and SGB of one split; directly in ``img_dir`` and so on where nothing is split."""
        folders = [folder / name / split for name in ("img_dir", "sgo_dir", "sgb_dir")]
        for made in folders:
            made.mkdir(parents=True)
        for chip in chips:
            image, sgo, sgb = (made / f"{chip_name(self.images.name, chip)}.png" for made in folders)
            self.images.write(image, chip, self.size)
            for path, values in zip((sgo, sgb), self._constraints(chip), strict=True):
                write_png(path, padded(values, self.size, 0))
            progress.advance()

    def _constraints(self, chip: Tile) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """SGO and SGB of a chip, each (h, w)."""
        found, ids = np.unique(self.objects.read(chip.core), return_inverse=True)
        # as if these were all the objects there are; 0 stays nobody whether or not it occurs
        ids = ids.reshape(chip.core.shape) + int(found[0] != 0)
        sgo, sgb = constraints(ids, self.min_pixels, self.most)
        return sgo.astype(np.min_scalar_type(self.most)), sgb


def constraints(
    ids: NDArray[Any], min_pixels: int = MIN_PIXELS, most: int | None = None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """SGO and SGB of a whole image.

    Args:
        ids: (h, w) object ids, 0 = none.
        min_pixels: objects with fewer pixels are not in SGO.
        most: no more than so many objects, the largest, are in SGO.

    Returns:
        (h, w) numbers 1, 2, ..., 0 = none, in the smallest unsigned integers that fit, and (h, w) uint8 0 or 255.

        >>> square = np.pad(np.ones((2, 2), int), 2)
        >>> sgo, sgb = constraints(square, min_pixels=1)
        >>> int((sgb == 255).sum()), int(sgo.max())
        (12, 0)
    """
    number = numbered(np.bincount(ids.ravel(), minlength=1), min_pixels, most)
    edge = thick_boundary(ids)
    return np.where(edge, number.dtype.type(0), number[ids]), np.where(edge, BOUNDARY, 0).astype(np.uint8)


def numbered(pixels: NDArray[np.int64], min_pixels: int, most: int | None = None) -> NDArray[Any]:
    """The number of every object: 1 for the largest, then on; the smaller id first where equal.

    Args:
        pixels: (objects + 1,) pixels of every id; [0] is not looked at.
        min_pixels: objects with fewer have number 0.
        most: so have those behind so many.

    Returns:
        (objects + 1,) uint8, uint16 or uint32, whichever is the smallest that fits; [0] is 0.
    """
    order = np.argsort(-pixels[1:], kind="stable") + 1
    order = order[pixels[order] >= max(1, min_pixels)][:most]
    number = np.zeros(len(pixels), np.min_scalar_type(len(order)))
    number[order] = np.arange(1, len(order) + 1)
    return number


def thick_boundary(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """(h, w) bool: the thick boundaries of all objects of (h, w) ids, 0 = none.

    Dilation and erosion of a mask by the cross of four neighbours differ where mask and surroundings meet within it.
    Objects do not overlap, so that this is so for some object exactly where a pixel differs from a neighbour.
    """
    edge = np.zeros(ids.shape, bool)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def _of_window(objects: RasterReader, number: NDArray[Any], window: Window) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """SGO and SGB of a window of the scene; boundaries depend on one pixel around it."""
    around = window.pad(1).clip(Window(0, 0, *objects.shape))
    ids = objects.read(around)
    inside = window.slices(around)
    edge = thick_boundary(ids)[inside]
    return np.where(edge, number.dtype.type(0), number[ids[inside]]), np.where(edge, BOUNDARY, 0).astype(np.uint8)


def _check_written(
    folder: Path, objects: RasterReader, number: NDArray[Any], grid: TileGrid, progress: Progress
) -> None:
    """Read both rasters again: GDAL may take a full disk for a success. A ProductError when they are not whole."""
    try:
        with (
            rasterio.Env(),
            RasterReader(folder / "sgo.tif") as sgo,
            RasterReader(folder / "sgb.tif") as sgb,
        ):
            for tile in grid:
                for raster, values in zip((sgo, sgb), _of_window(objects, number, tile.core), strict=True):
                    if not np.array_equal(raster.read(tile.core), values):
                        raise ProductError("SGO and SGB do not hold what was written; is the disk full?")
                progress.advance()
            for raster in (sgo, sgb):
                raster.check_overviews()
    except RasterioError as error:
        raise ProductError(f"SGO and SGB cannot be read again ({error}); is the disk full?") from error


def _check(min_pixels: int) -> None:
    """Raise an OptionError for a smallest object of no pixel."""
    if min_pixels < 1:
        raise OptionError(f"the smallest object is given as {min_pixels} pixels; give 1 or more")


@contextmanager
def _raster(path: Path, like: RasterReader, dtype: str, nodata: int | None, window: int) -> Iterator[CoreWriter]:
    """What writes a raster on the grid of another; in the end it is a cloud-optimised GeoTIFF."""
    work = path.with_name(f"{path.stem}.work.tif")
    # rasterio takes None for no such value
    with CoreWriter(work, like.place, dtype, nodata, block_size(window)) as file:  # type: ignore[arg-type, unused-ignore]
        yield file
    write_cog(work, path, "nearest")
    work.unlink()
