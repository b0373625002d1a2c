"""A finished GeoPackage with other classes: its polygons are copied as they are, its columns and tables rewritten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import ProductError
from geoalps.io.geopackage import write_tables
from geoalps.io.style import ClassRow

_GEOMETRY_FUNCTIONS = {"ST_IsEmpty": 1, "ST_MinX": 1, "ST_MaxX": 1, "ST_MinY": 1, "ST_MaxY": 1}
"""What the triggers of a GeoPackage name, with the number of arguments; none is called unless a geometry changes."""


def read_columns(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(n,) object ids, ascending, (n,) classes before merging, and (n,) square metres of a product's objects.

    Raises:
        ProductError: it cannot be read.
    """
    query = "SELECT object_id, fitted_class_id, coalesce(area_m2, 0) FROM objects ORDER BY object_id"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = np.fromiter(database.execute(query), np.dtype("i8,i8,f8"))
    except sqlite3.Error as error:
        raise ProductError(f"{path} cannot be read ({error}); make the product again") from error
    return rows["f0"], rows["f1"], rows["f2"]


def write_relabelled(
    source: Path, target: Path, fitted: NDArray[np.int64], merged: NDArray[np.int64], classes: Sequence[ClassRow]
) -> None:
    """Copy a product's GeoPackage with other classes.

    Args:
        source: the file as it is.
        target: the file to make.
        fitted: (largest object id + 1,) class of every object before merging.
        merged: (k,) the class that stands for every class.
        classes: rows of the table: the classes that stand.

    Raises:
        ProductError: it cannot be written.
    """
    shutil.copyfile(source, target)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            for name, arguments in _GEOMETRY_FUNCTIONS.items():
                database.create_function(name, arguments, _geometry_must_stay(name))
            _write_columns(database, fitted, merged, {row.class_id: row.class_name for row in classes})
            write_tables(database, classes)
    except sqlite3.Error as error:
        raise ProductError(f"cannot write {target} ({error}); free the disk, or close what has it open") from error


def _geometry_must_stay(name: str) -> Callable[..., None]:
    """A function that the triggers name, and that nothing here may come to call."""

    def refuse(*_: object) -> None:
        raise ProductError(f"{name} was called: a geometry would have changed")

    return refuse


def _write_columns(
    database: sqlite3.Connection, fitted: NDArray[np.int64], merged: NDArray[np.int64], names: Mapping[int, str]
) -> None:
    """Class, its name, and the class before merging of every object, where they are others than before."""
    database.execute("BEGIN")
    database.execute("CREATE TEMP TABLE named (fitted_class_id INTEGER PRIMARY KEY, class_id INTEGER, class_name TEXT)")
    rows = ((number, stands, names[stands]) for number, stands in enumerate(merged.tolist()))
    database.executemany("INSERT INTO named VALUES (?, ?, ?)", rows)
    changed = (
        (int(fitted[object_id]), fid)
        for fid, object_id, before in database.execute("SELECT fid, object_id, fitted_class_id FROM objects").fetchall()
        if fitted[object_id] != before
    )
    database.executemany("UPDATE objects SET fitted_class_id = ? WHERE fid = ?", changed)
    database.execute(
        "UPDATE objects SET (class_id, class_name) = "
        "(SELECT class_id, class_name FROM named WHERE named.fitted_class_id = objects.fitted_class_id) "
        "WHERE (class_id, class_name) IS NOT "
        "(SELECT class_id, class_name FROM named WHERE named.fitted_class_id = objects.fitted_class_id)"
    )
    database.execute("COMMIT")
