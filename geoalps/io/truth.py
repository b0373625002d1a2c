"""The truth of a scene, read on a product's own grid, window by window.

A raster of class values, seen through a nearest-neighbour view of it where its grid is another; or features, polygons
and points, whose field says the class. Polygons are the true instances too. What the truth does not say is unknown:
nodata and masked pixels of a raster, and all that lies outside of features.

    with open_truth("samples.gpkg", place, field="class") as truth:
        known = truth.read(Window(0, 0, 512, 512))
        names = [truth.class_name(value) for value in np.unique(known.classes[known.classes != UNKNOWN])]
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from geoalps.errors import OptionError, SceneError
from geoalps.grid import Window
from geoalps.io.header import refuse_raster
from geoalps.io.rasters import Georeference, quiet
from geoalps.io.sources import reason, unreadable
from geoalps.io.truth_features import (
    TABLES,
    UNKNOWN,
    Features,
    FeatureTruth,
    Known,
    applied,
    bounds_of,
    corners_of,
    reach_of,
    transformer_between,
)

__all__ = ["UNKNOWN", "GridView", "Known", "RasterTruth", "Truth", "open_truth"]

ANY = "EPSG:3857"
"""Stands for the unknown reference system that two rasters without one share."""


class Truth(Protocol):
    """What both kinds of truth can do."""

    name: str
    """As messages say it."""
    reach: Window
    """The part of the product's grid outside of which :attr:`Known.inside` is False; empty where they do not meet."""
    near: Window
    """The part outside of which it says nothing, but for a background."""
    names: tuple[str, ...]
    """Of its classes, where they are known beforehand."""
    has_instances: bool
    """Whether it knows outlines."""

    def read(self, window: Window) -> Known:
        """What it says of a window of the product's grid."""
        ...

    def class_name(self, value: int) -> str:
        """Name of a class value."""
        ...


@contextmanager
def open_truth(
    path: str | Path,
    place: Georeference,
    *,
    field: str | None = None,
    layer: str | None = None,
    background: str | None = None,
    instances: str | Path | None = None,
) -> Iterator[Truth]:
    """Open a truth raster or a file of features; closed at the end of the block.

    Args:
        path: a raster of class values in one band, whatever rasterio opens; or a file of polygons or points, whatever
            pyogrio opens, or GeoParquet.
        place: the product's grid.
        field: text or whole numbers, the class of each feature; by default ``class``.
        layer: of a file with several.
        background: class of all that lies outside of the features, where they are complete.
        instances: raster of instance numbers, 0 for none, beside a raster of classes.

    Raises:
        SceneError: a file cannot be read, has no place on the map, or does not overlap the product.
        OptionError: there is no such field or layer, geometries are lines, or an option does not fit the file.
    """
    with ExitStack() as stack:
        truth: Truth
        if _is_raster(str(path)):
            if given := [word for word in (field, layer, background) if word is not None]:
                raise OptionError(f"{path} is a raster, its values are the classes; {given[0]!r} is for features only")
            views = [stack.enter_context(GridView(str(file), place)) for file in (path, instances) if file is not None]
            truth = RasterTruth(str(path), *views)
            reaches = {view.path: view.reach for view in views}
        elif instances is not None:
            raise OptionError(f"the features of {path} are the instances; leave out {instances}")
        else:
            truth = FeatureTruth(Features.open(str(path), layer, field), place, background)
            reaches = {str(path): truth.reach}
        if away := [name for name, reach in reaches.items() if not reach.area]:
            raise SceneError(
                f"{away[0]} does not overlap the product's {place.shape[0]} x {place.shape[1]} pixels in "
                f"{place.crs or 'no reference system'}; is it of another scene, or its reference system wrong?"
            )
        yield truth


def _is_raster(path: str) -> bool:
    """Whether rasterio opens it; a SceneError for a local file that is not there."""
    if "://" not in path and not path.startswith("/vsi") and ":" not in path and not Path(path).exists():
        raise SceneError(f"{path} does not exist; give a raster of classes, or a file of polygons or points")
    if path.lower().endswith(TABLES):
        return False
    try:
        with quiet(), rasterio.Env(), rasterio.open(path) as file:
            return bool(file.count or file.subdatasets)
    except RasterioError:
        return False


class GridView:
    """A one-band raster seen on another grid, nearest neighbour; exactly itself where the grids are one."""

    def __init__(self, path: str, place: Georeference) -> None:
        self.path = path
        try:
            with quiet(), rasterio.Env():
                self._file = rasterio.open(path)
        except RasterioError as error:
            raise SceneError(f"{path} cannot be opened ({reason(error)}); give a raster that gdalinfo opens") from error
        alpha = self._refuse()
        # without any georeference on either side, pixels are the only coordinates that both have
        bare = self._file.crs is None and place.crs is None and self._file.transform.is_identity
        own = place.transform if bare else self._file.transform
        transformer = transformer_between(path, self._file.crs, place.crs)
        self.reach = reach_of(bounds_of(own, Window(0, 0, *self._file.shape)), transformer, place)
        same = transformer is None and _one_grid(self._file.shape, own, place)
        self._view = self._file if same else self._warped(own, place, not alpha)
        self._reads_mask = same and MaskFlags.per_dataset in self._file.mask_flag_enums[0]

    def _refuse(self) -> bool:
        """Refuse what holds no classes; whether it has an alpha band."""
        refuse_raster(self._file, self.path)
        kinds = [kind == ColorInterp.alpha for kind in self._file.colorinterp]
        if sum(not kind for kind in kinds) != 1 or "complex" in self._file.dtypes[0]:
            raise OptionError(f"{self.path} has {len(kinds)} bands of {self._file.dtypes[0]}; want one of class values")
        return any(kinds)

    def _warped(self, own: Affine, place: Georeference, add_alpha: bool) -> WarpedVRT:
        """The view; its alpha band tells where the raster reaches, its nodata is left alone."""
        with quiet():
            return WarpedVRT(
                self._file, src_crs=self._file.crs or ANY, src_transform=own, src_nodata=None, add_alpha=add_alpha,
                crs=place.crs or ANY, transform=place.transform, height=place.shape[0], width=place.shape[1],
                resampling=Resampling.nearest, tolerance=1e-6,  # of a pixel: none depends on the window it is read in
            )  # fmt: skip

    def read(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """(h, w) values, whether they are some (not nodata), and whether the raster reaches there."""
        area = RasterioWindow(window.col0, window.row0, window.width, window.height)
        try:
            with rasterio.Env():
                raw, inside = self._view.read(1, window=area), np.ones(window.shape, bool)
                if self._view is not self._file:
                    inside = self._view.read(self._view.count, window=area) > 0
                elif self._reads_mask:
                    inside = self._view.read_masks(1, window=area) > 0
        except RasterioError as error:
            raise unreadable(self.path, window, error) from error
        known = inside & np.isfinite(raw)
        if self._file.nodata is not None:
            known &= raw != self._file.nodata
        values = np.where(known, raw, 0).astype(np.int64)
        if raw.dtype.kind == "f" and (values != raw)[known].any():
            raise OptionError(f"{self.path} holds {raw[known & (values != raw)][0]:g}; class values are whole numbers")
        return values, known, inside

    def categories(self) -> list[str]:
        """GDAL's category names, by value; rasterio has no word for them, but the raster as a VRT says them."""
        with MemoryFile(ext=".vrt") as memory, quiet():
            rasterio.shutil.copy(self._file, memory.name, driver="VRT")
            tree = ET.fromstring(bytes(memory.read()))  # noqa: S314 - GDAL's own text
        return [(category.text or "").strip() for category in tree.findall("VRTRasterBand[1]/CategoryNames/Category")]

    def __enter__(self) -> GridView:
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()
        self._file.close()


class RasterTruth:
    """Class values of one raster, and instances of another."""

    def __init__(self, name: str, classes: GridView, instances: GridView | None = None) -> None:
        self.name, self._classes, self._instances = name, classes, instances
        self.has_instances, self._categories = instances is not None, classes.categories()
        self.names: tuple[str, ...] = ()
        self.near = classes.reach
        self.reach = self.near if instances is None else _around(self.near, instances.reach)

    def read(self, window: Window) -> Known:
        """See :class:`Truth`; the extent is that of the instances where there are some."""
        values, known, inside = self._classes.read(window)
        instances = np.zeros(window.shape, np.int64)
        if self._instances is not None:
            numbers, are, inside = self._instances.read(window)
            instances = np.where(are, np.maximum(numbers, 0), 0)
        return Known(np.where(known, values, UNKNOWN), instances, inside)

    def class_name(self, value: int) -> str:
        """Its category name, or else the number."""
        return (self._categories[value] if 0 <= value < len(self._categories) else "") or str(value)


def _around(one: Window, two: Window) -> Window:
    """The least window that holds two."""
    row0, col0 = min(one.row0, two.row0), min(one.col0, two.col0)
    return Window(row0, col0, max(one.row1, two.row1), max(one.col1, two.col1))


def _one_grid(shape: tuple[int, int], transform: Affine, place: Georeference) -> bool:
    """Whether two grids are one, to a thousandth of a pixel."""
    if shape != place.shape:
        return False
    corners = corners_of(Window(0, 0, *shape))
    return np.allclose(applied(~place.transform, *applied(transform, *corners)), corners, rtol=0, atol=1e-3)
