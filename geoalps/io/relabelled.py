"""A finished GeoPackage with other classes: its polygons are copied as they are, its columns and tables rewritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import ProductError
from geoalps.io.geopackage import write_tables
from geoalps.io.style import ClassRow

AT_ONCE = 50_000
"""Rows that are read and changed together."""
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
        way = "close the program that has it open" if "locked" in str(error) else "make the product again"
        raise ProductError(f"{path} cannot be read ({error}); {way}") from error
    return rows["f0"], rows["f1"], rows["f2"]


def write_relabelled(
    source: Path,
    target: Path,
    merged: NDArray[np.int64],
    classes: Sequence[ClassRow],
    anew: tuple[NDArray[np.integer], NDArray[np.floating]] | None = None,
) -> None:
    """Copy a product's GeoPackage with other classes.

    Args:
        source: the file as it is.
        target: the file to make.
        merged: (k,) the class that stands for every class.
        classes: rows of the table: the classes that stand.
        anew: (largest object id + 1,) class before merging and confidence of every object; None keeps them.

    Raises:
        ProductError: another program has the source open for writing, or the target cannot be written.
    """
    _refuse_open_elsewhere(source)
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as before,
            closing(sqlite3.connect(target, isolation_level=None)) as database,
        ):
            before.backup(database)
            for name, arguments in _GEOMETRY_FUNCTIONS.items():
                database.create_function(name, arguments, _geometry_must_stay(name))
            if anew is not None:
                _write_fitted(database, *anew)
            _write_shown(database, merged, {row.class_id: row.class_name for row in classes})
            write_tables(database, classes)
    except sqlite3.Error as error:
        raise ProductError(f"cannot write {target} ({error}); free the disk, or close what has it open") from error


def _refuse_open_elsewhere(path: Path) -> None:
    """Fold what is left of another program's writing into the file, unless that program is still there.

    Its log beside the file would be written into the new file of that name, which it does not fit.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as database:
            ((mode,),) = database.execute("PRAGMA journal_mode = DELETE").fetchall()
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        mode = str(error)
    if mode != "delete":
        raise ProductError(
            f"{path} is open in another program ({mode}): save there and close it (in QGIS, remove the layer), and run "
            "again"
        )


def _geometry_must_stay(name: str) -> Callable[..., None]:
    """A function that the triggers name, and that nothing here may come to call."""

    def refuse(*_: object) -> None:
        """Raise whatever it is called with."""
        raise ProductError(f"{name} was called: a geometry would have changed")

    return refuse


def _write_fitted(database: sqlite3.Connection, fitted: NDArray[np.integer], confidence: NDArray[np.floating]) -> None:
    """The class before merging, and the confidence, of every object."""
    database.execute("BEGIN")
    last, query = -1, "SELECT fid, object_id FROM objects WHERE fid > ? ORDER BY fid LIMIT ?"
    while rows := database.execute(query, (last, AT_ONCE)).fetchall():
        last = rows[-1][0]
        changes = [(int(fitted[number]), float(confidence[number]), fid) for fid, number in rows]
        database.executemany("UPDATE objects SET fitted_class_id = ?, confidence = ? WHERE fid = ?", changes)
    database.execute("COMMIT")


def _write_shown(database: sqlite3.Connection, merged: NDArray[np.int64], names: Mapping[int, str]) -> None:
    """The class that is shown, and its name, where they are others than before."""
    database.execute("BEGIN")
    database.execute("CREATE TEMP TABLE named (fitted_class_id INTEGER PRIMARY KEY, class_id INTEGER, class_name TEXT)")
    rows = ((number, stands, names[stands]) for number, stands in enumerate(merged.tolist()))
    database.executemany("INSERT INTO named VALUES (?, ?, ?)", rows)
    database.execute(
        "UPDATE objects SET (class_id, class_name) = "
        "(SELECT class_id, class_name FROM named WHERE named.fitted_class_id = objects.fitted_class_id) "
        "WHERE (class_id, class_name) IS NOT "
        "(SELECT class_id, class_name FROM named WHERE named.fitted_class_id = objects.fitted_class_id)"
    )
    database.execute("COMMIT")
