"""The truth as features: polygons and points with a class each, burnt into windows of a product's grid.

What rasters of classes need too is here: what is known of a window, and where a box lies on the product's grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoalps.errors import GeoalpsWarning, OptionError, SceneError
from geoalps.grid import Window
from geoalps.io.rasters import Georeference
from geoalps.io.sources import reason

if TYPE_CHECKING:
    import geopandas

Box = tuple[float, float, float, float]
Geometries = NDArray[np.object_]
UNKNOWN = int(np.iinfo(np.int64).min)
"""Class of a pixel of which the truth says nothing."""
TABLES = (".parquet", ".geoparquet", ".pq")
POINTS, POLYGONS = (0, 4), (3, 6)  # geometry types, single and multiple


@dataclass(frozen=True, eq=False)
class Known:
    """What the truth says of a window of (height, width) pixels."""

    classes: NDArray[np.int64]
    """Class value, or UNKNOWN."""
    instances: NDArray[np.int64]
    """Number of the true instance, 0 for none; negative for a point, which is a place without an outline."""
    inside: NDArray[np.bool_]
    """Where the truth reaches: a raster's extent."""


@dataclass(frozen=True, eq=False)
class Features:
    """A layer of features with a class each: asked by box, or held whole where the file has no spatial index."""

    path: str
    layer: str | None
    field: str | None
    """None: all are of one class."""
    crs: Any
    """pyproj CRS, or None."""
    names: tuple[str, ...]
    """Of the classes: whole numbers by size, text by alphabet."""
    box: Box
    """Of all features; NaN without any."""
    frame: geopandas.GeoDataFrame | None

    @classmethod
    def open(cls, path: str, layer: str | None, field: str | None) -> Features:
        """Look at a file, and hold it where that is the only way to ask it by box."""
        import geopandas
        import pyogrio
        import pyproj

        table = path.lower().endswith(TABLES)
        try:
            if table:
                frame = geopandas.read_parquet(path).reset_index(drop=True)
                fields, crs, title = [name for name in frame if name != frame.geometry.name], frame.crs, Path(path).stem
            else:
                title = layer or _only_layer(path, pyogrio.list_layers(path))
                info = pyogrio.read_info(path, layer=title, force_total_bounds=True)
                fields, crs, frame = list(info["fields"]), info["crs"] and pyproj.CRS(info["crs"]), None
            field = _field(path, field, fields)
            if not table and not info["capabilities"]["fast_spatial_filter"]:
                frame = _read(path, title, field)
            names = (title,) if field is None else _classes(path, title, field, frame)
        except (RuntimeError, OSError, ValueError) as error:
            if isinstance(error, (OptionError, SceneError)):
                raise
            told = f"{path} cannot be read ({reason(error)}); give a raster of classes, or polygons or points"
            raise SceneError(told) from error
        box = tuple(info["total_bounds"] or (np.nan,) * 4) if frame is None else tuple(frame.total_bounds)
        return cls(path, title, field, crs, names, box, frame)

    def within(self, box: Box) -> tuple[NDArray[np.int64], list[str | None], Geometries]:
        """Numbers from 0, class names and geometries of the features that touch a box."""
        if self.frame is None:
            frame = _read(self.path, self.layer, self.field, bbox=box)
        else:
            frame = self.frame.iloc[np.sort(self.frame.sindex.query(shapely.box(*box)))]
        shapes = np.asarray(frame.geometry.array, object)
        kinds = shapely.get_type_id(shapes)
        if wrong := set(kinds[kinds >= 0].tolist()) - {*POINTS, *POLYGONS}:
            kind = "collections" if wrong == {7} else "lines"
            raise OptionError(f"{self.path} holds {kind}; a truth is of polygons or points: buffer or split them first")
        values: list[str | None]
        if self.field is None:
            values = [self.names[0]] * len(frame)
        else:
            values = [_text(value, self.field) for value in _column(frame, self.field)]
        return np.asarray(frame.index, np.int64), values, shapes


class FeatureTruth:
    """Classes of features, burnt into the product's grid: a polygon has the pixels whose centre it holds."""

    has_instances = True

    def __init__(self, features: Features, place: Georeference, background: str | None = None) -> None:
        self.name, self._features, self._place = features.path, features, place
        more = () if background is None or background in features.names else (background,)
        self.names: tuple[str, ...] = features.names + more
        self._code = {name: code for code, name in enumerate(self.names)}
        self._outside = UNKNOWN if background is None else self._code[background]
        self._transformer = transformer_between(features.path, features.crs, place.crs)
        whole, self.near = Window(0, 0, *place.shape), reach_of(features.box, self._transformer, place)
        self.reach = whole if self.near.area else self.near
        self._scene_box = self._box(whole)

    def _box(self, window: Window) -> Box:
        """The box around a window in the features' reference system, a little larger."""
        box = bounds_of(self._place.transform, window)
        if self._transformer is None:
            return _grown(box, 0.01)
        west, south, east, north = self._transformer.transform_bounds(*box, direction="INVERSE")
        return _grown((west, south, east, north) if west <= east else (-180.0, south, 180.0, north), 0.05)

    def read(self, window: Window) -> Known:
        """See :class:`Truth`; small polygons lie on large ones, and points on polygons."""
        numbers, names, shapes = self._features.within(self._box(window))
        codes = np.array([-1 if name is None else self._code[name] for name in names], np.int64)
        points = np.isin(shapely.get_type_id(shapes), POINTS)
        # by what does not depend on the window, so that every window sees one order
        order = np.lexsort((numbers, -shapely.area(shapes), points))
        order = order[codes[order] >= 0]
        burnt = _burn(self._in_pixels(shapes[order]), window)
        classes = np.concatenate([[self._outside], codes[order]])[burnt]
        signed = np.where(points, -1, 1) * (numbers + 1)
        return Known(classes, np.concatenate([[0], signed[order]])[burnt], np.ones(window.shape, bool))

    def _in_pixels(self, shapes: Geometries) -> Geometries:
        """Shapes in (col, row) of the product's grid."""
        shapes, place = shapely.force_2d(shapes), ~self._place.transform
        if self._transformer is not None:
            west, south, east, north = self._scene_box
            # what a country is outlined with may be bent, or infinite, far outside of the scene
            bounds = shapely.bounds(shapes)
            beyond = (bounds[:, :2] < (west, south)).any(1) | (bounds[:, 2:] > (east, north)).any(1)
            sound = shapely.make_valid(shapes[beyond], method="structure", keep_collapsed=False)
            shapes[beyond] = shapely.clip_by_rect(sound, west, south, east, north)
            # a straight line of one map is none of another
            shapes = shapely.segmentize(shapes, max(east - west, north - south) / 512)
            shapes = shapely.transform(shapes, self._transformer.transform, interleaved=False)
        in_pixels = shapely.transform(shapes, lambda x, y: applied(place, x, y), interleaved=False)
        return np.asarray(in_pixels, object)

    def class_name(self, value: int) -> str:
        """The field's value."""
        return self.names[value]


def _burn(shapes: Geometries, window: Window) -> NDArray[np.int64]:
    """(h, w) 1-based number of the last of the shapes, in (col, row), that has each pixel of a window; 0 none."""
    there = np.flatnonzero(np.isfinite(shapely.bounds(shapes).reshape(-1, 4)).all(1))
    if not len(there):
        return np.zeros(window.shape, np.int64)
    pairs = zip(shapes[there], (there + 1).tolist(), strict=True)
    origin = Affine.translation(window.col0, window.row0)
    burnt = rasterio.features.rasterize(pairs, window.shape, fill=0, transform=origin, dtype="int32")
    return np.asarray(burnt, np.int64)


def _read(path: str, layer: str | None, field: str | None, bbox: Box | None = None) -> geopandas.GeoDataFrame:
    """Geometries and the field, indexed by the features' numbers."""
    import pyogrio

    columns = [] if field is None else [field]
    try:
        return pyogrio.read_dataframe(path, layer=layer, columns=columns, bbox=bbox, fid_as_index=True)
    except RuntimeError as error:
        raise SceneError(f"{path} cannot be read ({reason(error)}); copy it again") from error


def _only_layer(path: str, layers: NDArray[np.object_]) -> str:
    """The one layer that has geometries."""
    names = [str(name) for name, kind in layers if kind is not None]
    if not names:
        raise OptionError(f"{path} holds no geometries; give polygons or points")
    if len(names) > 1:
        raise OptionError(f"{path} has {len(names)} layers; give --layer, one of {', '.join(names[:20])}")
    return names[0]


def _field(path: str, field: str | None, fields: list[str]) -> str | None:
    """The field that says the class."""
    listed = f"its fields are {', '.join(fields[:30])}" if fields else "it has no fields"
    if field is not None and field not in fields:
        raise OptionError(f"{path} has no field {field!r}; {listed}")
    if field is None and "class" not in fields:
        told = f"{path} has no field 'class' and is taken for one class; {listed}, and --field chooses one"
        warnings.warn(told, GeoalpsWarning, stacklevel=2)
        return None
    return field or "class"


def _classes(path: str, layer: str, field: str, frame: geopandas.GeoDataFrame | None) -> tuple[str, ...]:
    """Names of all classes: whole numbers by size, text by alphabet; the field is read in batches."""
    import pyogrio

    if frame is not None:
        values: Iterable[Any] = set(_column(frame, field))
    else:
        one = {"layer": layer, "columns": [field], "read_geometry": False, "use_pyarrow": True}
        with pyogrio.open_arrow(path, batch_size=65_536, **one) as (_, batches):
            values = {value for batch in batches for value in batch.column(field).unique().to_pylist()}
    names = {name for value in values if (name := _text(value, field)) is not None}
    if values and not names:
        raise OptionError(f"{path} says nothing in its field {field!r}; fill it, or give another with --field")
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=int if whole else None))


def _column(frame: geopandas.GeoDataFrame, field: str) -> list[Any]:
    """A field's values, None where there is none."""
    column = frame[field]
    return list(column.astype(object).where(column.notna(), None))


def _text(value: Any, field: str) -> str | None:
    """A field's value as a class name; None where there is none."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating):
        if not float(value).is_integer():
            raise OptionError(f"field {field!r} holds {value:g}; classes are text or whole numbers")
        value = int(value)
    return str(value).strip() or None


def transformer_between(path: str, crs: Any, scene: Any) -> Any:
    """From a truth's reference system to the scene's, of pyproj; None where they are one, or both have none.

    Raises:
        SceneError: only one of them has one, or no way leads from one to the other.
    """
    import pyproj

    if (crs is None) != (scene is None):
        without, other = (path, "the product has one") if crs is None else ("the product", f"{path} has one")
        raise SceneError(f"{without} has no reference system, and {other}: give both one, or none (gdal_edit -a_srs)")
    if crs is None or pyproj.CRS(crs) == pyproj.CRS(scene):
        return None
    try:
        return pyproj.Transformer.from_crs(pyproj.CRS(crs), pyproj.CRS(scene), always_xy=True)
    except RuntimeError as error:
        raise SceneError(f"{path} cannot be placed on the product ({reason(error)}); warp it first") from error


def applied(place: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    """Coordinates through a transform; numbers or arrays."""
    return place.a * x + place.b * y + place.c, place.d * x + place.e * y + place.f


def corners_of(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(4,) columns and (4,) rows of a window's corners."""
    rows, cols = np.array([window.row0, window.row1], float), np.array([window.col0, window.col1], float)
    return np.repeat(cols, 2), np.tile(rows, 2)


def bounds_of(transform: Affine, window: Window) -> Box:
    """The box around a window, in map coordinates."""
    x, y = applied(transform, *corners_of(window))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _grown(box: Box, share: float) -> Box:
    """A box larger by a share of its sides on each side."""
    across, up = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - across, box[1] - up, box[2] + across, box[3] + up


def reach_of(box: Box, transformer: Any, place: Georeference) -> Window:
    """The window of the grid around a box of a truth; empty where they do not meet."""
    whole = Window(0, 0, *place.shape)
    if not np.isfinite(box).all():  # no features
        return Window(0, 0, 0, 0)
    if transformer is not None:
        box = transformer.transform_bounds(*box)
    if not np.isfinite(box).all():  # it reaches beyond what the scene's map can show
        return whole
    x, y = (np.array(sides) for sides in ((box[0], box[0], box[2], box[2]), (box[1], box[3], box[1], box[3])))
    cols, rows = applied(~place.transform, x, y)
    edge = 2 + 0.01 * max(np.ptp(cols), np.ptp(rows))  # sides may be bent
    low = [max(0, int(np.floor(min(v.min() - edge, 2**31)))) for v in (rows, cols)]
    high = [max(0, int(np.ceil(min(v.max() + edge, 2**31)))) for v in (rows, cols)]
    return Window(*low, *high).clip(whole)
