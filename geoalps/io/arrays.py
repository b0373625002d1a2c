"""Scenes that are xarray DataArrays, in and out. xarray is loaded for them alone: it takes a second to come."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from geoalps.errors import SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.bands import Values, as_three, choose_bands, differs, finite, further_bands
from geoalps.io.header import Header, unplaced
from geoalps.io.sources import RasterSource, reason, unreadable
from geoalps.protocols import Mask

if TYPE_CHECKING:
    import xarray

    from geoalps.io.scene import Scene


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
    palette: None = field(default=None, init=False)
    """Nor colours."""
    state: None = field(default=None, init=False)
    """Nor files of its own."""
    opened: None = field(default=None, init=False)
    """Likewise."""

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
        """As :meth:`.RasterSource.read`."""
        rows, cols = window.slices()
        unique = [band - 1 for band in dict.fromkeys(self.bands)]
        part = self.array[:, rows, cols]
        if size is not None and size != window.shape:
            part = part[:, evenly(window.height, size[0]), evenly(window.width, size[1])]
        try:
            raw = np.asarray(part[unique], self.dtype)
        except (OSError, RuntimeError) as error:
            raise unreadable(self.name, window, error) from error
        valid = finite(raw)
        return as_three(raw, self.bands), valid if self.nodata is None else valid & differs(raw, self.nodata)


Source: TypeAlias = RasterSource | ArraySource


def evenly(length: int, count: int) -> NDArray[np.int64]:
    """``count`` ascending indices spread evenly over ``length`` pixels."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def is_dataarray(source: object) -> TypeGuard[xarray.DataArray]:
    """A DataArray; whoever has one has loaded xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(source, xarray.DataArray)


def look_at(array: xarray.DataArray, name: str, bands: Sequence[int] | None, nodata: float | None) -> Header:
    """Which bands of a DataArray to read, and where it lies; computes nothing.

    Raises:
        SceneError: it has no place on the map, other dimensions, values that are no numbers, or no pixels.
        OptionError: no such band, or neither one nor three.
    """
    from rioxarray.exceptions import RioXarrayError

    try:
        rows, cols = array.rio.y_dim, array.rio.x_dim
        crs, transform = array.rio.crs, array.rio.transform()
        points = array.rio.get_gcps() if transform.is_identity else None
    except RioXarrayError as error:
        raise SceneError(f"the DataArray {name} has no place on the map: {reason(error)}") from error
    others = [dim for dim in array.dims if dim not in (rows, cols)]
    if len(others) > 1:
        raise SceneError(f"the DataArray {name} has dimensions {array.dims}; give (band, y, x) or (y, x)")
    array = array.transpose(*others, rows, cols) if others else array.expand_dims("band")
    if array.dtype.kind not in "uif":
        raise SceneError(f"the DataArray {name} holds {array.dtype}; integers and real numbers are allowed")
    if not array.size:
        raise SceneError(f"the DataArray {name} has no pixels: {array.sizes[rows]} x {array.sizes[cols]}")
    if points:
        raise unplaced(name, "ground control points")
    colours = [ColorInterp.undefined] * len(array)
    chosen = choose_bands(bands, colours, f"the DataArray {name}")
    if nodata is None:
        # Decoded arrays carry NaN and remember the value; integers that remember it still hold it.
        encoded = array.rio.encoded_nodata if array.dtype.kind != "f" else None
        nodata = encoded if encoded is not None else array.rio.nodata
    own = None if nodata is None else float(nodata)
    further = () if bands is not None else further_bands(chosen, colours)
    return Header(ArraySource(array, name, chosen, own), crs, transform, len(array), own, further)


def as_dataarray(scene: Scene, grid: TileGrid) -> xarray.DataArray:
    """See :meth:`.Scene.to_xarray`."""
    import dask.array
    import rioxarray  # noqa: F401  # the .rio accessor
    import xarray
    from dask.base import tokenize

    data = dask.array.map_blocks(
        partial(_read_core, scene, grid),
        chunks=((3,), *grid.chunks),
        dtype=scene.dtype,
        meta=np.zeros((0, 0, 0), scene.dtype),
        name=f"{scene.name}-{tokenize(scene, grid)}",
    )
    coords: dict[str, Any] = {"band": [1, 2, 3]}
    place = scene.transform
    if place.b == 0 == place.d:
        coords["y"] = place.f + place.e * (np.arange(scene.shape[0]) + 0.5)
        coords["x"] = place.c + place.a * (np.arange(scene.shape[1]) + 0.5)
    array = xarray.DataArray(data, coords, ("band", "y", "x"), scene.name)
    array.rio.write_transform(place, inplace=True)
    if scene.crs is not None:
        array.rio.write_crs(scene.crs, inplace=True)
    if scene.nodata is not None and scene.source.palette is None:
        array.rio.write_nodata(scene.nodata, inplace=True)
    return array


def _read_core(scene: Scene, grid: TileGrid, block_id: tuple[int, int, int]) -> Values:
    """One chunk of :func:`as_dataarray`."""
    return scene.read(grid[block_id[1], block_id[2]].core)[0]
