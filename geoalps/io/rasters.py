"""The product's rasters: written core by core, copied into cloud-optimised GeoTIFFs, and read again."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from geoalps.errors import ProductError
from geoalps.grid import TileGrid, Window
from geoalps.io.sources import reason

_filters = threading.RLock()
CHECKED_AT_ONCE = 1024
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
        with quiet():
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
        with quiet(), rasterio.Env():
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
        with rasterio.Env(), _opened(source) as whole:
            rasterio.shutil.copy(whole, target, driver="COG", num_threads="ALL_CPUS", statistics="NO", **options)
    except Exception as error:  # rasterio passes on whatever GDAL met last
        raise _unwritable(target, error) from error


def check_objects(raster: Path, pixels: NDArray[np.int64]) -> None:
    """Read ``objects.tif`` again: GDAL may take a full disk for a success.

    Args:
        raster: the file.
        pixels: (objects + 1,) pixels that were painted with every id; [0] is not looked at.

    Raises:
        ProductError: it is not what was painted.
    """
    found = np.zeros_like(pixels)
    with _checked(raster), RasterReader(raster) as reader:
        for tile in TileGrid(reader.shape, CHECKED_AT_ONCE, 0):
            ids = reader.read(tile.core).ravel()
            # by runs of equal pixels: a count of all objects for every window would grow with the scene's square
            begins = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
            np.add.at(found, ids[begins], np.diff(begins, append=len(ids)))
        reader.check_overviews()
    if not np.array_equal(found[1:], pixels[1:]):
        raise _untrue(raster)


def write_labels(
    target: Path, objects: Path, classes: NDArray[Any], colours: Mapping[int, tuple[int, int, int, int]]
) -> None:
    """Write ``labels.tif``: the object raster seen through a table, with a colour table; and read it again.

    Args:
        target: the file.
        objects: ``objects.tif``.
        classes: (objects + 1,) class of every id, in the dtype of the labels; [0] is their nodata.
        colours: class -> (red, green, blue, alpha).

    Raises:
        ProductError: it cannot be written, or is not what was written.
    """
    work = target.with_name(target.stem + ".work.tif")
    with RasterReader(objects) as reader:
        windows = [tile.core for tile in TileGrid(reader.shape, CHECKED_AT_ONCE, 0)]
        with CoreWriter(work, reader.place, classes.dtype.name, int(classes[0])) as file:
            file.colours(colours)
            for window in windows:
                file.write(window, classes[reader.read(window)])
        write_cog(work, target, "mode")
        work.unlink()
        with _checked(target), RasterReader(target) as written:
            for window in windows:
                if not np.array_equal(written.read(window), classes[reader.read(window)]):
                    raise _untrue(target)
            written.check_overviews()


def _opened(path: Path) -> Any:
    """A rasterio dataset, without the warning that it has no place on the map."""
    with quiet():
        return rasterio.open(path)


class RasterReader:
    """Reads windows of a one-band raster of ours; closed at the end of the block."""

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        self.shape: tuple[int, int] = self._file.shape
        self.place = Georeference(self.shape, self._file.transform, self._file.crs)

    def read(self, window: Window) -> NDArray[Any]:
        """(h, w) of a window."""
        values: NDArray[Any] = self._file.read(1, window=_rasterio(window))
        return values

    def check_overviews(self) -> None:
        """Read all overviews; raises what rasterio raises."""
        for level in range(len(self._file.overviews(1))):
            with rasterio.open(self._file.name, overview_level=level) as overview:
                overview.checksum(1)

    def __enter__(self) -> RasterReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _untrue(path: Path) -> ProductError:
    return ProductError(f"{path} does not hold what was written; is the disk full?")


@contextmanager
def _checked(path: Path) -> Iterator[None]:
    """What cannot be read again was not written."""
    try:
        with rasterio.Env():
            yield
    except (RasterioError, IndexError) as error:
        raise _unwritable(path, error) from error


@contextmanager
def quiet(message: str | None = None) -> Iterator[None]:
    """Without a warning: by default the one that a raster has no place on the map, which is told once, of the scene."""
    # the filters are the process's: two threads that change them at once would leave them changed
    with _filters, warnings.catch_warnings():
        if message is None:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        else:
            warnings.filterwarnings("ignore", message)
        yield
