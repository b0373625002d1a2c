"""The GeoPackage of a product: layer ``objects``, table ``classes``, and the style that QGIS opens it with.

GDAL writes the layer, because it knows every reference system; the plain tables are written with SQL afterwards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from geoalps.errors import OptionError, ProductError
from geoalps.io.polygons import Geometries
from geoalps.io.rasters import quiet
from geoalps.io.style import ClassRow, qml, sld

__all__ = ["ClassRow", "write_geopackage"]

_GEOMETRY = "geom"
_SCHEMA = pa.schema(
    [
        pa.field(_GEOMETRY, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
        ("object_id", pa.int64()),
        ("class_id", pa.int32()),
        ("class_name", pa.string()),
    ]
)
"""The columns that come before the attributes."""
_TABLES = """
CREATE TABLE classes (
    fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    class_id INTEGER NOT NULL UNIQUE,
    class_name TEXT NOT NULL,
    colour TEXT NOT NULL,
    object_count INTEGER NOT NULL,
    area_m2 REAL,
    merge_into INTEGER
);
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
"""
_CLASS_ROW = """
INSERT INTO classes (fid, class_id, class_name, colour, object_count, area_m2) VALUES (?1 + 1, ?1, ?2, ?3, ?4, ?5)
ON CONFLICT (class_id) DO UPDATE SET class_name = excluded.class_name, colour = excluded.colour,
object_count = excluded.object_count, area_m2 = excluded.area_m2, merge_into = NULL
"""
_REGISTER = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)
VALUES (?, 'attributes', ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0)
"""
# pyogrio's errors are RuntimeErrors.
_FAILURES = (RuntimeError, sqlite3.Error, OSError)


def write_geopackage(
    path: Path,
    batches: Iterable[tuple[NDArray[np.uint32], Geometries]],
    attributes: Mapping[str, NDArray[Any]],
    classes: Sequence[ClassRow],
    crs: CRS | None,
    *,
    layer: str = "objects",
    total: int | None = None,
) -> int:
    """Write the objects and their classes; the file appears under its name when it is whole.

    The batches stream through one write, so that memory holds one of them and the spatial index is built once.

    Args:
        path: the file to make or replace; ``.part`` goes before its suffix while it is being written.
        batches: (n,) object ids and (n,) polygons in map coordinates, as from :func:`geoalps.io.polygons.polygonise`
            and :func:`geoalps.io.polygons.to_map`. May be empty.
        attributes: columns, each (largest id + 1,) and indexed by object id, whole numbers or floats; a NaN becomes
            NULL. ``class_id`` must be among them.
        classes: rows of the table and of the legend; every class that an object has must be among them.
        crs: of the coordinates; None writes an undefined reference system.
        layer: its name.
        total: number of objects to come, or None when it is not known.

    Returns:
        Number of objects written.

    Raises:
        OptionError: a class id or name occurs twice, or an object's class is not in ``classes``.
        ProductError: the file cannot be written, or fewer or more objects came than ``total``.
    """
    names = _class_names(classes)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    feed = _Feed(batches, attributes, names)
    with _discarding(part):
        try:
            part.unlink(missing_ok=True)
            _write_objects(part, feed, crs, layer)
            if total is not None and feed.objects != total:
                raise ProductError(f"{feed.objects} of {total} objects have a polygon; {path} was not written")
            with closing(sqlite3.connect(part, isolation_level=None)) as database:
                _check_count(database, feed.objects, layer)
                write_tables(database, classes, layer)
            part.replace(path)
        except _FAILURES as error:
            if feed.error or isinstance(error, ProductError):
                raise feed.error or error from None
            raise ProductError(f"cannot write {path} ({error}); free the disk or write elsewhere") from error
    return feed.objects


class _Feed:
    """Rows of the layer, batch by batch; keeps what Arrow's stream loses: their number, and an error on the way."""

    def __init__(
        self,
        batches: Iterable[tuple[NDArray[np.uint32], Geometries]],
        attributes: Mapping[str, NDArray[Any]],
        names: Mapping[int, str],
    ) -> None:
        self.objects = 0
        self.error: BaseException | None = None
        self._batches, self._attributes, self._names = batches, attributes, names
        self.schema = _schema(attributes)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for ids, geometries in self._batches:
                self.objects += len(ids)
                yield _record_batch(ids, geometries, self._attributes, self._names, self.schema)
        except BaseException as error:
            self.error = error
            raise


def _class_names(classes: Sequence[ClassRow]) -> dict[int, str]:
    """Names by class id; an OptionError when two rows share an id or a name."""
    names = {row.class_id: row.class_name for row in classes}
    for what, kinds in (("class_id", names.keys()), ("class_name", set(names.values()))):
        if len(kinds) != len(classes):
            raise OptionError(f"{len(classes)} classes have {len(kinds)} values of {what}; each needs its own")
    return names


def _schema(attributes: Mapping[str, NDArray[Any]]) -> pa.Schema:
    """Of the layer: geometry, object, class, and the other attributes in their order."""
    kinds = {name: pa.float64() if values.dtype.kind == "f" else pa.int64() for name, values in attributes.items()}
    return pa.schema([*_SCHEMA, *((name, kind) for name, kind in kinds.items() if name not in _SCHEMA.names)])


def _record_batch(
    ids: NDArray[np.uint32],
    geometries: Geometries,
    attributes: Mapping[str, NDArray[Any]],
    names: Mapping[int, str],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Rows of the layer, in the order of its schema."""
    class_ids = attributes["class_id"][ids]
    kinds, index = np.unique(class_ids, return_inverse=True)
    unknown = [int(kind) for kind in kinds if int(kind) not in names]
    if unknown:
        raise OptionError(f"objects have class {unknown[0]}, which is not among the {len(names)} classes; add it")
    labels = pa.array([names[int(kind)] for kind in kinds], pa.string()).take(pa.array(index))
    columns = [pa.array(shapely.to_wkb(_multi(geometries)), pa.binary()), pa.array(ids, pa.int64())]
    columns += [pa.array(class_ids.astype(np.int32)), labels]
    for field in list(schema)[len(_SCHEMA) :]:
        values = np.asarray(attributes[field.name][ids], field.type.to_pandas_dtype())
        columns.append(pa.array(values, from_pandas=True))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _multi(geometries: Geometries) -> Geometries:
    """Every polygon as a MultiPolygon, since a layer has one geometry type."""
    out = np.array(geometries, object)
    single = np.flatnonzero(shapely.get_type_id(out) == shapely.GeometryType.POLYGON)
    if len(single):
        out[single] = shapely.multipolygons(out[single], indices=np.arange(len(single)))
    return out


def _write_objects(part: Path, records: _Feed, crs: CRS | None, layer: str) -> None:
    """Stream the record batches into the layer of a new GeoPackage, with a spatial index."""
    # here, because it brings geopandas and pandas: a second that only who writes has to spend
    import pyogrio

    with nullcontext() if crs else quiet(".*crs.*was not provided"):
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(records.schema, records),
            part,
            layer=layer,
            driver="GPKG",
            geometry_name=_GEOMETRY,
            geometry_type="MultiPolygon",
            crs=crs.to_wkt() if crs else None,
            dataset_options={"VERSION": "1.2"},  # what older QGIS and GDAL read without a warning
            layer_options={
                "SPATIAL_INDEX": "YES",
                "GEOMETRY_NAME": _GEOMETRY,
                "DESCRIPTION": "Objects and their classes",
            },
        )


def _check_count(database: sqlite3.Connection, objects: int, layer: str) -> None:
    """GDAL does not report every failure at the end of a layer; what is in the file does."""
    for table in (layer, f"rtree_{layer}_{_GEOMETRY}"):
        ((found,),) = database.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - our own names
        if found != objects:
            raise sqlite3.DatabaseError(f"{table} holds {found} of {objects} objects")


def write_tables(database: sqlite3.Connection, classes: Sequence[ClassRow], layer: str = "objects") -> None:
    """Table ``classes`` and the style of a layer, in one transaction; of those there are, what is not ours stays.

    Args:
        database: a GeoPackage with the layer, in autocommit mode.
        classes: all rows; those of a table that is there are brought up to date, columns that a user added stay.
            ``merge_into`` is left empty, for a user to fill.
        layer: whose style is written, as the default unless the user made another the default.
    """
    database.execute("BEGIN")
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'layer_styles'").fetchone():
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute(_REGISTER, ("classes", "classes", "Classes of the objects"))
        database.execute(_REGISTER, ("layer_styles", "layer_styles", "Styles, as QGIS keeps them"))
    there = {class_id for (class_id,) in database.execute("SELECT class_id FROM classes")}
    gone = there - {row.class_id for row in classes}
    database.executemany("DELETE FROM classes WHERE class_id = ?", ((class_id,) for class_id in gone))
    database.executemany(_CLASS_ROW, ((c.class_id, c.class_name, c.colour, c.object_count, c.area_m2) for c in classes))
    database.execute("DELETE FROM layer_styles WHERE f_table_name = ? AND styleName = 'classes'", (layer,))
    ((others,),) = database.execute(
        "SELECT count(*) FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (layer,)
    )
    style = ("", "", layer, _GEOMETRY, "classes", qml(classes), sld(classes), not others, "One colour a class", "")
    into = (
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
        "styleQML, styleSLD, useAsDefault, description, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    database.execute(into, style)
    database.execute("COMMIT")


@contextmanager
def _discarding(part: Path) -> Iterator[None]:
    """Leave nothing half-written behind."""
    try:
        yield
    except BaseException:
        for left in (part, part.with_name(part.name + "-journal")):
            left.unlink(missing_ok=True)
        raise
