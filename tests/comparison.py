"""Whether two products hold the same, told without the program's own readers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import rasterio

RASTERS, TABLES = ("labels.tif", "objects.tif"), {"objects": "object_id", "classes": "class_id"}


def differences(one, other):
    """What differs between two product directories, in words: pixels, georeference, rows, geometries, class model."""
    one, other, found = Path(one), Path(other), []
    for name in RASTERS:
        (values, place), (others, elsewhere) = _raster(one / name), _raster(other / name)
        if place != elsewhere:
            found.append(f"{name}: {place}, {elsewhere}")
        elif not np.array_equal(values, others):
            found.append(f"{name}: {(values != others).sum()} pixels")
    for table, key in TABLES.items():
        rows, others = _rows(one / "labels.gpkg", table, key), _rows(other / "labels.gpkg", table, key)
        if rows != others:
            found.append(f"{table}: {len(set(rows) ^ set(others))} rows, of {len(rows)} and {len(others)}")
    if (one / "classes.json").read_text() != (other / "classes.json").read_text():
        found.append("classes.json")
    return found


def unfinished(out):
    """Names of the files in a product directory and its store that somebody had begun to write."""
    return [
        path.name for path in Path(out).rglob("*") if path.name.endswith((".part", "-wal", "-journal", ".work.tif"))
    ]


def tiles(out):
    """Name -> time of writing of every tile there is in a product's store."""
    return {path.stem: path.stat().st_mtime_ns for path in (Path(out) / "work" / "tiles").glob("*/*.parquet")}


def _raster(path):
    """(h, w) values, and all that says where and how they lie."""
    with rasterio.open(path) as file:
        return file.read(1), (file.shape, file.crs, file.transform, file.dtypes, file.nodata, file.colorinterp)


def _rows(path, table, key):
    """All rows, but for the database's own key; geometries as bytes."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        kept = ", ".join(name for name in names if name not in ("fid", "ogc_fid"))
        return database.execute(f"SELECT {kept} FROM {table} ORDER BY {key}").fetchall()  # noqa: S608 - our names
