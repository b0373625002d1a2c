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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.vrt import WarpedVRT

from geoalps.errors import OptionError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io import arrays, header
from geoalps.io.arrays import ArraySource, Source
from geoalps.io.bands import Values
from geoalps.io.damage import ForgivingSource
from geoalps.io.remote import without_secrets
from geoalps.io.sampling import CellAreas, sample
from geoalps.io.stretch import Stretch
from geoalps.protocols import Image, Mask

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class Scene:
    """A georeferenced raster, in pixels (row, col); made by :func:`open_scene`.

    Holds what the header says and a way to read, never pixels. Several threads may read one scene at once, and a
    scene of a file can be pickled.
    """

    name: str
    """Stem for the names of outputs: ``harbour``."""
    path: str | None
    """As given, without the password and the query of a URL; None for a DataArray."""
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
    red_nir: tuple[int, int] | None = None
    """1-based bands of red and near infrared, where the raster says which they are."""
    radar: bool = False
    """Whether the raster says that a radar made it."""
    forgives: bool = False
    """Blocks that cannot be read are no data instead of an error; see :meth:`forgiving`."""

    def with_bands(self, bands: tuple[int, ...]) -> Scene:
        """The same scene seen in three other bands.

        Raises:
            OptionError: there is no such band.
        """
        if max(bands) > self.band_count or len(bands) != 3:
            raise OptionError(f"{self.name} has {self.band_count} bands; bands {', '.join(map(str, bands))} are wanted")
        return replace(self, bands=bands, further_bands=(), source=replace(self.source, bands=bands))

    def forgiving(self) -> Scene:
        """The same scene, read on in spite of damage: pixels of blocks that cannot be read are not valid, and 0.

        :meth:`unreadable` tells which. Not forgiven is a server that does not answer.
        """
        return replace(self, forgives=True)

    def unreadable(self, window: Window) -> list[Window]:
        """The blocks of a window that cannot be read, clipped to it; they do not overlap. Reads it to find out.

        Raises:
            SceneError: a server does not answer.
            ValueError: the window reaches out of the scene.
        """
        self._check(window)
        return ForgivingSource(self.source).unreadable(window)

    def changed(self) -> bool:
        """Whether its files are others now than when it was opened: another size, time of writing, or ETag.

        False where that cannot be told without reading: a DataArray, or a remote file that is not read over HTTP.

        Raises:
            SceneError: a server does not answer.
        """
        return self.source.opened is not None and self.source.state != self.source.opened

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
        self._check(window)
        if not window.area:
            return np.zeros((3, *window.shape), self.dtype), np.zeros(window.shape, bool)
        return self._reader.read(window)

    @property
    def _reader(self) -> Source | ForgivingSource:
        return ForgivingSource(self.source) if self.forgives else self.source

    def _check(self, window: Window) -> None:
        """Raises ValueError for a window that reaches out."""
        if window not in Window(0, 0, *self.shape):
            raise ValueError(f"{window} reaches out of {self.name}, {self.shape[0]} x {self.shape[1]} pixels")

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
        return sample(self._reader, pixels)

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
        return arrays.as_dataarray(self, grid)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        array = self.source.array if isinstance(self.source, ArraySource) else None
        return "geoalps.Scene", self._header, self.forgives, self.source.state, array

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
        overviews, which viewers write, aside). A file on an HTTP server has an ``etag`` where the server tells one.
        What has none of these has a ``digest`` of a sample of its values.

        Raises:
            SceneError: a server does not answer, or the sample cannot be read.
        """
        state = self.source.state
        if state is None:
            values, valid = self.sample()
            digest = hashlib.sha256(values.tobytes() + valid.tobytes()).hexdigest()
            state = {"size": None, "mtime_ns": None, "digest": digest}
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
            Remote ones are read by blocks, with retries, and without what stands beside them; see :mod:`.remote`.
        bands: one or three 1-based bands. By default red, green and blue wherever they are; else the first three
            that are not alpha; else the first one.
        nodata: overrides the nodata value of the source.

    Raises:
        SceneError: there is no such raster; it is damaged, complex, or empty; only ground control points or RPCs
            place it; or its server does not answer, or not to requests for parts.
        OptionError: no such band, or neither one nor three.
    """
    if arrays.is_dataarray(source):
        name = _stem(str(source.name)) if source.name is not None else "scene"
        return _scene(name, None, arrays.look_at(source, name, bands, nodata))
    path, shown = _named(source)
    return _scene(_stem(shown), shown, header.look_at(path, shown, bands, nodata))


def _named(source: object) -> tuple[str, str]:
    """What rasterio opens, and its name in messages.

    Raises:
        SceneError: it is nothing that rasterio opens by name.
    """
    if isinstance(source, WarpedVRT):
        return header.vrt_xml(source), without_secrets(source.name)
    if isinstance(source, rasterio.DatasetReader):
        return source.name, without_secrets(source.name)
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return path, "the text of a VRT" if path.lstrip().startswith("<") else without_secrets(path) or "''"
    raise SceneError(f"a {type(source).__name__} is no scene; give a path, a rasterio dataset or a DataArray")


def _scene(name: str, shown: str | None, seen: header.Header) -> Scene:
    place, source = (seen.crs, seen.transform), seen.source
    further, near = seen.further_bands, seen.red_nir
    return Scene(name, shown, *place, source.bands, seen.band_count, seen.nodata, source, further, near, seen.radar)


def _stem(shown: str) -> str:
    """``harbour`` of ``dir/harbour.tif``, ``https://host/harbour.tif?key=1`` or ``WarpedVRT(harbour.tif)``.

    The variable is part of it in ``NETCDF:"harbour.nc":height``.
    """
    plain = re.sub(r"^WarpedVRT\((.*)\)$", r"\1", re.sub(r"[?#].*$", "", shown)).rstrip('/\\"')
    last = re.split(r"[/\\]", plain)[-1]
    parts = [Path(part.strip('"()')).stem for part in last.split(":")]
    return re.sub(r"[^\w.-]+", "_", "_".join(part for part in parts if part)).strip("_.") or "scene"
