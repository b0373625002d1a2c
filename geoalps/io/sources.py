"""Where a scene's bands come from: a raster file, or a DataArray. Two sources with one face.

``read(window, size)`` gives (3, h, w) values in native dtype and (h, w) bool validity. A source is told everything
when it is made; :mod:`geoalps.io.scene` finds it out.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows
import xarray
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from geoalps.errors import SceneError
from geoalps.grid import Window
from geoalps.io.bands import Values, as_three, colour_table, differs, finite
from geoalps.protocols import Mask

LARGEST_BLOCK = 1 << 30
"""Bytes of one block of a file that GDAL may be asked to decode: a header alone must not fill the memory."""


_opening = threading.Lock()


def open_raster(path: str) -> Any:
    """A rasterio dataset, without the warning that it has no georeference: a scene may do without."""
    # Python keeps one list of warning filters for all threads.
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path)
        dataset.transform  # noqa: B018
        return dataset


def reason(error: BaseException) -> str:
    """First line of what GDAL said; rasterio keeps it in the cause."""
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def vrt_xml(vrt: WarpedVRT) -> str:
    """A WarpedVRT as text, which every thread can open for itself."""
    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(vrt, memory.name, driver="VRT")
        return str(memory.read().decode())


def palette_of(dataset: Any, band: int) -> NDArray[np.uint8] | None:
    """The colour table of a band whose values are indices of colours; see :func:`.bands.colour_table`."""
    dtype = dataset.dtypes[band - 1]
    if dataset.colorinterp[band - 1] != ColorInterp.palette or dtype not in ("uint8", "uint16"):
        return None
    try:
        return colour_table(dataset.colormap(band), dtype)
    except ValueError:
        return None


def refuse_raster(dataset: Any, shown: str) -> None:
    """Raises SceneError for what no choice of bands mends: nothing in it, or no transform."""
    if not dataset.count:
        inside = dataset.subdatasets
        if not inside:
            raise SceneError(f"{shown} has no bands; give a raster with at least one")
        more = ", ..." if len(inside) > 3 else ""
        raise SceneError(f"{shown} holds {len(inside)} rasters; give the name of one: {', '.join(inside[:3])}{more}")
    if min(dataset.shape) < 1:
        raise SceneError(f"{shown} has no pixels: {dataset.shape[0]} x {dataset.shape[1]}")
    points = "ground control points" if dataset.gcps[0] else "RPCs" if dataset.rpcs else None
    if points and dataset.transform.is_identity:
        raise unplaced(shown, points)


def unplaced(shown: str, points: str) -> SceneError:
    """The error for a scene that only points place on the map."""
    way = "gdalwarp" if points.startswith("ground") else "gdalwarp -rpc"
    return SceneError(
        f"{shown} is placed by {points} only, without a transform; warp it first: "
        f"{way} {shown} warped.tif, or give a rasterio WarpedVRT"
    )


def refuse_block(dataset: Any, block: tuple[int, int], shown: str) -> None:
    """Raises SceneError for blocks that would fill the memory."""
    together = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
    size = block[0] * block[1] * together * max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    if size > LARGEST_BLOCK:
        raise SceneError(
            f"{shown} is stored in blocks of {block[0]} x {block[1]} pixels, {size / 1e9:.1f} GB each; "
            f"{LARGEST_BLOCK / 1e9:.1f} GB are allowed: gdal_translate -co TILED=YES it first"
        )


@dataclass(frozen=True, eq=False)
class RasterSource:
    """Bands of anything that GDAL opens; safe to read from several threads, and to pickle."""

    path: str
    """What rasterio opens: a path, a URL, a subdataset, or the XML of a VRT."""
    name: str
    """For messages."""
    bands: tuple[int, ...]
    """Three 1-based bands."""
    dtype: str
    """Of what :meth:`read` gives."""
    palette: NDArray[np.uint8] | None
    """(4, n) uint8 RGBA when the one band holds indices of colours."""
    nodata: float | None
    """Overrides the file's own nodata value."""
    shape: tuple[int, int]
    """(height, width) in pixels."""
    block_shape: tuple[int, int]
    """(height, width) of what the file stores, and GDAL decodes, as one."""
    overviews: tuple[int, ...]
    """Factors of the overviews, internal or beside the file."""
    _handles: threading.local = field(default_factory=threading.local, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_handles"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _handles=threading.local())

    @property
    def dataset(self) -> Any:
        """This thread's own handle, kept open: GDAL's are not safe to share, and opening a remote file is slow."""
        held = getattr(self._handles, "dataset", None)
        if held is None:
            held = self._handles.dataset = open_raster(self.path)
        return held

    @property
    def files_state(self) -> tuple[int | None, int | None]:
        """Bytes and latest modification (ns) of its files, statistics and overviews aside; None when not local."""
        with rasterio.Env():
            files = [Path(file) for file in self.dataset.files if not file.endswith((".aux.xml", ".ovr"))]
        if not files or not all(file.is_file() for file in files):
            return None, None
        stats = [file.stat() for file in files]
        return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)

    def read(self, window: Window, size: tuple[int, int] | None = None) -> tuple[Values, Mask]:
        """Values and validity of a window, decimated to ``size`` (nearest neighbour, through overviews) when given.

        Raises:
            SceneError: some of its pixels cannot be read.
        """
        size, unique = size or window.shape, list(dict.fromkeys(self.bands))
        area = rasterio.windows.Window(window.col0, window.row0, window.width, window.height)
        dtype = None if self.palette is not None else self.dtype
        try:
            # Inside of an environment GDAL logs its warnings; outside, it prints them.
            with rasterio.Env():
                raw = self.dataset.read(unique, window=area, out_shape=(len(unique), *size), out_dtype=dtype)
                valid = self._valid(self.dataset, raw, unique, area, size)
        except rasterio.errors.RasterioError as error:
            raise _unreadable(self.name, window, error) from error
        if self.palette is not None:
            rgba = np.take(self.palette, raw[0], axis=1)
            return rgba[:3], valid & (rgba[3] > 0)
        return as_three(raw, self.bands), valid & finite(raw)

    def _valid(self, dataset: Any, raw: Values, unique: list[int], window: Any, size: tuple[int, int]) -> Mask:
        """What rasterio's ``dataset_mask`` says, but asking only the bands that are read for their nodata."""
        flags, nodata = dataset.mask_flag_enums, dataset.nodatavals

        def mask(bands: list[int]) -> Mask:
            return np.asarray((dataset.read_masks(bands, window=window, out_shape=(len(bands), *size)) > 0).any(0))

        own: Mask | None = None
        if MaskFlags.per_dataset in flags[0]:
            own = mask([1])
        elif dataset.count == 4 and dataset.colorinterp[0] == ColorInterp.red and nodata[3] is not None:
            own = differs(dataset.read([4], window=window, out_shape=(1, *size)), nodata[3])
        if self.nodata is not None:
            return differs(raw, self.nodata) if own is None else own & differs(raw, self.nodata)
        if own is not None:
            return own
        chosen = [flags[band - 1] for band in unique]
        if all(flag == [MaskFlags.all_valid] for flag in chosen):
            return np.ones(size, bool)
        if all(flag == [MaskFlags.nodata] for flag in chosen) and len(set(nodata)) == 1 and raw.dtype.kind in "iu":
            # GDAL's own mask would read and widen every band once more.
            return differs(raw, nodata[0])
        return mask(unique)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Bands of a DataArray, in memory or lazy; only what a window needs is computed."""

    array: xarray.DataArray
    """(band, y, x), whatever the dimensions are called."""
    name: str
    """For messages."""
    bands: tuple[int, ...]
    """Three 1-based bands, by position."""
    nodata: float | None
    """Value that is no data in all bands at once; NaN and infinite ones never are data."""

    overviews: tuple[int, ...] = field(default=(), init=False)
    """A DataArray has none."""
    files_state: tuple[None, None] = field(default=(None, None), init=False)
    """Nor files of its own."""

    @property
    def dtype(self) -> str:
        """Of what :meth:`read` gives."""
        return str(self.array.dtype.newbyteorder("="))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.array.shape[1], self.array.shape[2]

    @property
    def block_shape(self) -> tuple[int, int]:
        """(height, width) of the largest chunk; of the whole when there are none."""
        chunks = self.array.chunks
        return (max(chunks[1]), max(chunks[2])) if chunks else self.shape

    def read(self, window: Window, size: tuple[int, int] | None = None) -> tuple[Values, Mask]:
        """As :meth:`RasterSource.read`."""
        rows, cols = window.slices()
        unique = [band - 1 for band in dict.fromkeys(self.bands)]
        part = self.array[:, rows, cols]
        if size is not None and size != window.shape:
            part = part[:, _centres(window.height, size[0]), _centres(window.width, size[1])]
        try:
            raw = np.asarray(part[unique], self.dtype)
        except (OSError, RuntimeError) as error:
            raise _unreadable(self.name, window, error) from error
        valid = finite(raw)
        return as_three(raw, self.bands), valid if self.nodata is None else valid & differs(raw, self.nodata)


Source = RasterSource | ArraySource


def _unreadable(name: str, window: Window, error: BaseException) -> SceneError:
    rows, cols = f"rows {window.row0} to {window.row1}", f"columns {window.col0} to {window.col1}"
    told = SceneError(f"{name} cannot be read at {rows}, {cols} ({reason(error)}); the file is damaged or cut short")
    told.window = window
    return told


def _centres(length: int, count: int) -> NDArray[np.int64]:
    """``count`` indices spread evenly over ``length`` pixels."""
    return (2 * np.arange(count) + 1) * length // (2 * count)
