"""A scene: one georeferenced raster, read in windows.

``open_scene`` looks at anything rasterio opens, or at a DataArray, decides which three bands to read, and refuses what
has no place on the map. From then on nothing depends on what the raster was.

    scene = open_scene("harbour.tif", bands=(4, 3, 2))
    stretch = fit_stretch(scene)
    image, valid = scene.read_rgb(Window(0, 0, 512, 512), stretch)
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import rasterio
import rioxarray  # noqa: F401  # the .rio accessor
import xarray
from affine import Affine
from dask.base import tokenize
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.vrt import WarpedVRT
from rioxarray.exceptions import RioXarrayError

from geoalps.errors import OptionError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io import sources
from geoalps.io.bands import Values, choose_bands, further_bands
from geoalps.io.sampling import CellAreas, sample
from geoalps.io.sources import ArraySource, RasterSource, Source
from geoalps.io.stretch import Stretch
from geoalps.protocols import Image, Mask


@dataclass(frozen=True, eq=False)
class Scene:
    """A georeferenced raster, in pixels (row, col); made by :func:`open_scene`.

    Holds what the header says and a way to read, never pixels. Several threads may read one scene at once, and a
    scene of a file can be pickled.
    """

    name: str
    """Stem for the names of outputs: ``harbour``."""
    path: str | None
    """As given; None for a DataArray."""
    crs: CRS | None
    """None when the raster has none."""
    transform: Affine
    """Pixel (col, row) to map (x, y); rotated, sheared and south-up ones are as good as any."""
    bands: tuple[int, ...]
    """Three 1-based bands, the red, green and blue of segmenters; a band that stands alone is repeated."""
    band_count: int
    """Bands there are."""
    nodata: float | None
    """The value that is no data, as overridden or else as in the file."""
    source: Source = field(repr=False)
    """What reads the bands."""
    further_bands: tuple[int, ...] = ()
    """Data bands besides ``bands``; none when the caller chose the bands."""

    def with_bands(self, bands: tuple[int, ...]) -> Scene:
        """The same scene seen in three other bands.

        Raises:
            OptionError: there is no such band.
        """
        if max(bands) > self.band_count or len(bands) != 3:
            raise OptionError(f"{self.name} has {self.band_count} bands; bands {', '.join(map(str, bands))} are wanted")
        return replace(self, bands=bands, further_bands=(), source=replace(self.source, bands=bands))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.source.shape

    @property
    def dtype(self) -> str:
        """Of the values that :meth:`read` gives; ``uint8`` for a palette."""
        return self.source.dtype

    @property
    def block_shape(self) -> tuple[int, int]:
        """(height, width) of what is stored as one: a TIFF's tile or strip, a DataArray's chunk."""
        return self.source.block_shape

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(width, height) of a pixel along its own sides, in units of the CRS; positive."""
        place = self.transform
        return math.hypot(place.a, place.d), math.hypot(place.b, place.e)

    def read(self, window: Window) -> tuple[Values, Mask]:
        """Values of the three bands, and where they are data.

        A pixel is valid where rasterio's ``dataset_mask`` says so (a mask, an alpha band, or any of the three bands
        not nodata), and all three bands are finite. A palette is expanded through its colours; transparent is invalid.

        Returns:
            (3, h, w) in the scene's dtype, perhaps read-only, and (h, w) bool.

        Raises:
            SceneError: some pixels of the window cannot be read; the text names the window.
            ValueError: the window reaches out of the scene.
        """
        if window not in Window(0, 0, *self.shape):
            raise ValueError(f"{window} reaches out of {self.name}, {self.shape[0]} x {self.shape[1]} pixels")
        if not window.area:
            return np.zeros((3, *window.shape), self.dtype), np.zeros(window.shape, bool)
        return self.source.read(window)

    def read_rgb(self, window: Window, stretch: Stretch) -> tuple[Image, Mask]:
        """(h, w, 3) uint8 image of a window, 0 where not valid, and (h, w) bool validity; raises as :meth:`read`."""
        values, valid = self.read(window)
        return stretch(values, valid), valid

    def sample(self, pixels: int = 1_000_000) -> tuple[Values, Mask]:
        """At most about ``pixels`` pixels from all over the scene, the same ones every time; see :mod:`.sampling`.

        Returns:
            (3, h, w) values and (h, w) validity.

        Raises:
            SceneError: some of these pixels cannot be read.
        """
        return sample(self.source, pixels)

    def cell_area(self, window: Window) -> NDArray[np.float64]:
        """Square metres of every pixel on the ellipsoid, float64 that broadcasts to the window's (height, width).

        1.0 per pixel without a CRS; the map's own area where the CRS has no ellipsoid.
        """
        return self._cell_areas(window)

    @cached_property
    def _cell_areas(self) -> CellAreas:
        return CellAreas(self.transform, self.crs)

    def to_xarray(self, grid: TileGrid | None = None) -> xarray.DataArray:
        """The scene as a lazy DataArray (band, y, x) with the values that :meth:`read` gives.

        Args:
            grid: its tiles' cores become the chunks, and chunk (0, row, col) reads tile (row, col); by default
                tiles of the default size.

        Returns:
            Native dtype, with the CRS, the transform and the nodata value under ``.rio``; bands 1, 2, 3 are the red,
            green and blue of segmenters. Coordinates x and y unless the transform is rotated.
        """
        grid = grid or TileGrid(self.shape)
        if grid.shape != self.shape:
            raise ValueError(f"a grid over {grid.shape} pixels does not fit {self.name} of {self.shape}")
        data = dask.array.map_blocks(
            partial(_read_core, self, grid),
            chunks=((3,), *grid.chunks),
            dtype=self.dtype,
            meta=np.zeros((0, 0, 0), self.dtype),
            name=f"{self.name}-{tokenize(self, grid)}",
        )
        coords: dict[str, Any] = {"band": [1, 2, 3]}
        if self.transform.b == 0 == self.transform.d:
            coords["y"] = self.transform.f + self.transform.e * (np.arange(self.shape[0]) + 0.5)
            coords["x"] = self.transform.c + self.transform.a * (np.arange(self.shape[1]) + 0.5)
        array = xarray.DataArray(data, coords, ("band", "y", "x"), self.name)
        array.rio.write_transform(self.transform, inplace=True)
        if self.crs is not None:
            array.rio.write_crs(self.crs, inplace=True)
        if self.nodata is not None and not (isinstance(self.source, RasterSource) and self.source.palette is not None):
            array.rio.write_nodata(self.nodata, inplace=True)
        return array

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        array = self.source.array if isinstance(self.source, ArraySource) else None
        return "geoalps.Scene", self._header, self.source.files_state, array

    @property
    def _header(self) -> dict[str, Any]:
        nodata = self.nodata if self.nodata is None or math.isfinite(self.nodata) else str(self.nodata)
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "crs": self.crs.to_wkt() if self.crs is not None else None,
            "transform": list(self.transform)[:6],
            "bands": list(self.bands),
            "nodata": nodata,
        }

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What determines the content, as JSON values; equal for equal content.

        ``size`` in bytes and ``mtime_ns`` are those of the files (a VRT's sources and masks too; statistics and
        overviews, which viewers write, aside). What is no local file has a ``digest`` of a sample of its values
        instead.
        """
        size, changed = self.source.files_state
        state: dict[str, Any] = {"size": size, "mtime_ns": changed}
        if size is None:
            values, valid = self.sample()
            state["digest"] = hashlib.sha256(values.tobytes() + valid.tobytes()).hexdigest()
        return {"name": self.name, **state, **self._header}


def open_scene(
    source: str | os.PathLike[str] | rasterio.DatasetReader | xarray.DataArray,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
) -> Scene:
    """Open a scene: look at its header, read no pixel.

    Args:
        source: anything rasterio opens by name (a path, ``/vsicurl/``, ``s3://``, ``https://``, a subdataset's
            name), a rasterio dataset (which is opened again by its name: it must have been flushed, and live as long
            as the scene if it is in memory) or a WarpedVRT, or a DataArray (band, y, x) or (y, x) with ``.rio``.
        bands: one or three 1-based bands. By default red, green and blue wherever they are; else the first three
            that are not alpha; else the first one.
        nodata: overrides the nodata value of the source.

    Raises:
        SceneError: there is no such raster; it is damaged, complex, or empty; or only ground control points or RPCs
            place it.
        OptionError: no such band, or neither one nor three.
    """
    if isinstance(source, xarray.DataArray):
        return _from_array(source, bands, nodata)
    if isinstance(source, WarpedVRT):
        return _from_raster(sources.vrt_xml(source), source.name, bands, nodata)
    if isinstance(source, rasterio.DatasetReader):
        return _from_raster(source.name, source.name, bands, nodata)
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return _from_raster(path, "the text of a VRT" if path.lstrip().startswith("<") else path or "''", bands, nodata)
    raise SceneError(f"a {type(source).__name__} is no scene; give a path, a rasterio dataset or a DataArray")


def _from_raster(path: str, shown: str, bands: Sequence[int] | None, nodata: float | None) -> Scene:
    try:
        dataset = sources.open_raster(path)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        why = sources.reason(error)
        if "No such file" in why:
            raise SceneError(f"{shown} does not exist; give the path or URL of a raster") from error
        raise SceneError(f"{shown} cannot be opened ({why}); give a raster that gdalinfo can open") from error
    with rasterio.Env(), dataset:
        sources.refuse_raster(dataset, shown)
        chosen = choose_bands(bands, dataset.colorinterp, shown)
        dtypes = {dataset.dtypes[band - 1] for band in chosen}
        if any(dtype.startswith("complex") for dtype in dtypes):
            raise SceneError(f"{shown} holds complex numbers; write their amplitude or intensity to a raster first")
        first = chosen[0]
        block = dataset.block_shapes[first - 1]
        sources.refuse_block(dataset, block, shown)
        palette = sources.palette_of(dataset, first) if len(set(chosen)) == 1 else None
        dtype = str(np.result_type(*sorted(dtypes))) if palette is None else "uint8"
        overviews = tuple(dataset.overviews(first))
        bands_of = RasterSource(path, shown, chosen, dtype, palette, nodata, dataset.shape, block, overviews)
        own = dataset.nodatavals[first - 1] if nodata is None else nodata
        further = () if bands is not None or palette is not None else further_bands(chosen, dataset.colorinterp)
        place = dataset.crs or None, dataset.transform
        return Scene(_stem(shown), shown, *place, chosen, dataset.count, own, bands_of, further)


def _from_array(array: xarray.DataArray, bands: Sequence[int] | None, nodata: float | None) -> Scene:
    name = _stem(str(array.name)) if array.name is not None else "scene"
    try:
        rows, cols = array.rio.y_dim, array.rio.x_dim
        crs, transform = array.rio.crs, array.rio.transform()
        points = array.rio.get_gcps() if transform.is_identity else None
    except RioXarrayError as error:
        raise SceneError(f"the DataArray {name} has no place on the map: {sources.reason(error)}") from error
    others = [dim for dim in array.dims if dim not in (rows, cols)]
    if len(others) > 1:
        raise SceneError(f"the DataArray {name} has dimensions {array.dims}; give (band, y, x) or (y, x)")
    array = array.transpose(*others, rows, cols) if others else array.expand_dims("band")
    if array.dtype.kind not in "uif":
        raise SceneError(f"the DataArray {name} holds {array.dtype}; integers and real numbers are allowed")
    if not array.size:
        raise SceneError(f"the DataArray {name} has no pixels: {array.sizes[rows]} x {array.sizes[cols]}")
    if points:
        raise sources.unplaced(name, "ground control points")
    chosen = choose_bands(bands, [ColorInterp.undefined] * len(array), f"the DataArray {name}")
    if nodata is None:
        # Decoded arrays carry NaN and remember the value; integers that remember it still hold it.
        encoded = array.rio.encoded_nodata if array.dtype.kind != "f" else None
        nodata = encoded if encoded is not None else array.rio.nodata
    own = None if nodata is None else float(nodata)
    further = () if bands is not None else further_bands(chosen, [ColorInterp.undefined] * len(array))
    return Scene(name, None, crs, transform, chosen, len(array), own, ArraySource(array, name, chosen, own), further)


def _read_core(scene: Scene, grid: TileGrid, block_id: tuple[int, int, int]) -> Values:
    """One chunk of :meth:`Scene.to_xarray`."""
    return scene.read(grid[block_id[1], block_id[2]].core)[0]


def _stem(shown: str) -> str:
    """``harbour`` of ``dir/harbour.tif``, ``https://host/harbour.tif?key=1`` or ``WarpedVRT(harbour.tif)``.

    The variable is part of it in ``NETCDF:"harbour.nc":height``.
    """
    plain = re.sub(r"^WarpedVRT\((.*)\)$", r"\1", re.sub(r"[?#].*$", "", shown)).rstrip('/\\"')
    last = re.split(r"[/\\]", plain)[-1]
    parts = [Path(part.strip('"()')).stem for part in last.split(":")]
    return re.sub(r"[^\w.-]+", "_", "_".join(part for part in parts if part)).strip("_.") or "scene"
