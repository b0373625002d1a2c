"""A product's files as QGIS needs them: their paths, and the names of the classes of its raster."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

OBJECTS = "labels.gpkg"
LAYER = "objects"
RASTER = "labels.tif"
REPORT = "report.html"
COLUMNS = ("class_id", "name", "colour", "merge_into")
"""Of a class table."""


def objects_source(folder: Path) -> str:
    """The polygons' layer, as QGIS names it."""
    return f"{folder / OBJECTS}|layername={LAYER}"


def problem(folder: Path) -> str | None:
    """Why a folder is no product, in one line; None for one."""
    if not folder.exists():
        return f"{folder} does not exist; give the folder that geoalps:tile_label made"
    if not folder.is_dir() or not (folder / "run.json").exists():
        return f"{folder} is no product (it has no run.json); give the folder that geoalps:tile_label made"
    return None


def default_output(scene: str) -> Path:
    """Where geoalps puts the product of a scene that is a file, without ``--output``: ``SCENE_labels`` beside it."""
    path = Path(scene)
    return path.with_name(f"{path.stem}_labels")


def default_style(path: Path, table: str) -> str | None:
    """The QML document that a GeoPackage has as default style of a table; None where it has none.

    QGIS's own way to it (3.22) leaves the file open for good, and Windows then lets nobody replace it.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "SELECT styleQML FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (table,)
            ).fetchall()
    except sqlite3.Error:
        return None
    return str(rows[0][0]) if rows else None


def inside(source: str, folder: Path) -> bool:
    """Whether a layer's source is a file of this folder itself."""
    path = Path(source.split("|", maxsplit=1)[0])
    return path.parent != Path() and path.parent.resolve() == folder.resolve()


def write_class_table(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows of a table as the CSV file that ``geoalps relabel`` reads.

    Args:
        path: the file.
        rows: with ``class_id``, and with ``name`` (or ``class_name``), ``colour`` and ``merge_into`` as far as they
            are known.

    Raises:
        ValueError: a row has no class_id; the text is one line.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row in rows:
            if row.get("class_id") in (None, ""):
                raise ValueError(
                    "the class table has no column class_id, or a row without one; it needs class_id and name"
                )
            name = row.get("name", row.get("class_name"))
            table.writerow(
                [_cell(value) for value in (row["class_id"], name, row.get("colour"), row.get("merge_into"))]
            )


def _cell(value: object) -> str:
    """A cell: nothing for None, whole numbers without a point."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
