"""The product: the output directory of one run, as others read it.

Files are made under ``work/product.part`` and moved to their final names at the end, ``run.json`` last: a directory
with a ``run.json`` holds a whole product.
"""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import geopandas
import numpy as np
import rasterio
import rasterio.shutil
import rioxarray
import xarray
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from geoalps.errors import ProductError
from geoalps.grid import TileGrid, Window
from geoalps.io.sources import reason

FILES = ("labels.tif", "labels.tif.aux.xml", "objects.tif", "labels.gpkg", "classes.npz", "classes.json", "run.json")
"""What a product is made of, in the order in which the files are moved to their names."""
CHECKED_AT_ONCE = 2048
"""Side in pixels of the windows in which finished rasters are read again."""


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies; the same for the scene and for all that is made of it."""

    shape: tuple[int, int]
    """(height, width)."""
    transform: Affine
    """Pixel (col, row) to map (x, y)."""
    crs: Any
    """rasterio CRS, or None."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Georeference:
        """From ``shape``, ``transform`` (six numbers) and ``crs`` (WKT or None)."""
        crs = rasterio.crs.CRS.from_wkt(fields["crs"]) if fields["crs"] else None
        return cls((fields["shape"][0], fields["shape"][1]), Affine(*fields["transform"][:6]), crs)


class CoreWriter:
    """A one-band GeoTIFF written core by core, in any order, by any number of threads."""

    def __init__(self, path: Path, place: Georeference, dtype: str, nodata: int, block: int = 512) -> None:
        self.path, self._lock = path, threading.Lock()
        with _quiet():
            grid = {"crs": place.crs, "transform": place.transform, "height": place.shape[0], "width": place.shape[1]}
            blocks = {"tiled": True, "blockxsize": block, "blockysize": block, "sparse_ok": True}
            packing = {"compress": "zstd", "zstd_level": 1, "bigtiff": "if_safer"}
            profile = {"driver": "GTiff", "dtype": dtype, "count": 1, "nodata": nodata}
            self._file = rasterio.open(path, "w", **profile, **grid, **blocks, **packing)

    def write(self, window: Window, values: NDArray[Any]) -> None:
        """Write one core.

        Raises:
            ProductError: the file system takes no more.
        """
        try:
            # inside of an environment GDAL logs its errors; outside, it prints them
            with self._lock, rasterio.Env():
                self._file.write(values, 1, window=_rasterio(window))
        except RasterioError as error:
            raise _unwritable(self.path, error) from error

    def colours(self, table: Mapping[int, tuple[int, int, int, int]]) -> None:
        """Set the colour table; before the first core is written."""
        self._file.write_colormap(1, dict(table))

    def __enter__(self) -> CoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _quiet(), rasterio.Env():
            self._file.close()


def _rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col0, window.row0, window.width, window.height)


def _unwritable(path: Path, error: BaseException) -> ProductError:
    return ProductError(f"{path} cannot be written ({reason(error)}); is the disk full? free some space and run again")


def block_size(core: int) -> int:
    """Side of a working raster's blocks: a divisor of the core's where there is one, so that each is written once."""
    return next((side for side in (512, 256, 128) if core % side == 0), 256)


def write_cog(source: Path, target: Path, resampling: str) -> None:
    """Copy a raster into a cloud-optimised GeoTIFF with overviews (``nearest`` or ``mode``: ids are never averaged)."""
    options = {"compress": "DEFLATE", "blocksize": 512, "overview_resampling": resampling, "bigtiff": "IF_SAFER"}
    try:
        with _quiet(), rasterio.Env():
            rasterio.shutil.copy(source, target, driver="COG", num_threads="ALL_CPUS", statistics="NO", **options)
    except Exception as error:  # rasterio passes on whatever GDAL met last
        raise _unwritable(target, error) from error


def check_rasters(folder: Path, pixels: NDArray[np.int64], classes: NDArray[Any]) -> None:
    """Read ``objects.tif`` and ``labels.tif`` again: GDAL may take a full disk for a success.

    Args:
        folder: where they are.
        pixels: (objects + 1,) pixels that were painted with every id; [0] is not looked at.
        classes: (objects + 1,) class of every id, in the dtype of ``labels.tif``; [0] is its nodata.

    Raises:
        ProductError: they are not what was painted.
    """
    objects, labels = folder / "objects.tif", folder / "labels.tif"
    found = np.zeros_like(pixels)
    try:
        with rasterio.Env(), rasterio.open(objects) as ids_file, rasterio.open(labels) as labels_file:
            for tile in TileGrid(ids_file.shape, CHECKED_AT_ONCE, 0):
                ids = ids_file.read(1, window=_rasterio(tile.core))
                if not np.array_equal(labels_file.read(1, window=_rasterio(tile.core)), classes[ids]):
                    raise ProductError(f"{labels} does not hold what was written; is the disk full?")
                found += np.bincount(ids.ravel(), minlength=len(found))
            levels = [(file.name, level) for file in (ids_file, labels_file) for level in range(len(file.overviews(1)))]
            for name, level in levels:
                with rasterio.open(name, overview_level=level) as overview:
                    overview.checksum(1)
    except (RasterioError, IndexError) as error:
        raise _unwritable(objects, error) from error
    if not np.array_equal(found[1:], pixels[1:]):
        raise ProductError(f"{objects} does not hold what was written; is the disk full?")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def building_in(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Make the output directory, and in it an empty one to build the product in; it is gone at the end.

    After an error no directory is left that was not there before, unless it holds a store.

    Raises:
        ProductError: there is a product already and ``overwrite`` is False, or the directory cannot be written.
    """
    new = [path for path in (folder / "work", folder, *folder.parents) if not path.exists()]
    try:
        building = _prepare(folder, overwrite)
        yield building
    finally:
        shutil.rmtree(folder / "work" / "product.part", ignore_errors=True)
        for path in new:
            with suppress(OSError):
                path.rmdir()


def _prepare(folder: Path, overwrite: bool) -> Path:
    if (folder / "run.json").exists() and not overwrite:
        raise ProductError(
            f"{folder} holds a product already; use --overwrite to replace it, or -o for another directory"
        )
    in_the_way = [name for name in FILES if (folder / name).is_dir()]
    if in_the_way:
        raise ProductError(f"{folder / in_the_way[0]} is a directory; move it away, or use -o for another directory")
    building = folder / "work" / "product.part"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
    except OSError as error:
        raise ProductError(
            f"cannot write to {folder} ({error.strerror or error}); use -o for another directory"
        ) from error
    return building


def publish(building: Path, folder: Path) -> None:
    """Move a finished product's files to their names."""
    (folder / "run.json").unlink(missing_ok=True)
    for name in FILES:
        (building / name).replace(folder / name)


@dataclass(frozen=True)
class Product:
    """A finished product, to be read."""

    path: Path
    """The directory."""

    @classmethod
    def open(cls, path: str | Path) -> Product:
        """The product in a directory.

        Raises:
            ProductError: the directory holds none.
        """
        folder = Path(path)
        missing = [name for name in FILES if not (folder / name).exists()]
        if missing:
            raise ProductError(
                f"{folder} is not a product (no {missing[0]}); make one with `geoalps tile-label SCENE -o {folder}`"
            )
        return cls(folder)

    def labels(self, chunks: int = 2048) -> xarray.DataArray:
        """Class ids, (y, x), backed by Dask chunks of this side; uncovered is the raster's nodata."""
        return self._raster("labels.tif", chunks)

    def object_ids(self, chunks: int = 2048) -> xarray.DataArray:
        """Object ids, (y, x) uint32, 0 = uncovered."""
        return self._raster("objects.tif", chunks)

    def objects(self, columns: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """One row an object: polygon, ``object_id``, ``class_id``, ``class_name``, score, confidence, ``area_m2``."""
        return geopandas.read_file(self.path / "labels.gpkg", layer="objects", columns=columns)

    def classes(self) -> Any:
        """One row a class: ``class_id``, ``class_name``, ``colour``, ``object_count``, ``area_m2`` (a DataFrame)."""
        return geopandas.read_file(self.path / "labels.gpkg", layer="classes", ignore_geometry=True)

    def run(self) -> dict[str, Any]:
        """How the product was made: versions, options, fingerprints, timings, counts, seam index.

        Raises:
            ProductError: ``run.json`` is damaged.
        """
        try:
            content = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except ValueError as error:
            content = error
        if not isinstance(content, dict):
            raise ProductError(f"{self.path / 'run.json'} is damaged ({content}); make the product again")
        return content

    def _raster(self, name: str, chunks: int) -> xarray.DataArray:
        with _quiet():
            array = rioxarray.open_rasterio(self.path / name, chunks={"x": chunks, "y": chunks}, cache=False)
        assert isinstance(array, xarray.DataArray)  # noqa: S101 - one subdataset, so never a list
        return array.squeeze("band", drop=True)
