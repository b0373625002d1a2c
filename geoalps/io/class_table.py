"""The class table: what a person edits to make pseudo-classes a named map.

``classes.csv`` lies beside a product and has four columns, one row a class::

    class_id,name,colour,merge_into
    0,water,#2f6f8f,
    1,shadow on water,#1d4955,0

``merge_into`` is the id of the class that takes this one's objects; empty, the class stands for itself. The same
columns can be edited in QGIS, in the table ``classes`` of the product's GeoPackage, which lists the standing classes.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from geoalps.errors import OptionError, ProductError
from geoalps.io.store import appearing

COLUMNS = ("class_id", "name", "colour", "merge_into")
LONGEST = 200
"""Characters of a name."""
ALSO = {"class_name": "name", "color": "colour", "class": "class_id"}
"""Other spellings of the columns that are understood: the GeoPackage's own, and common ones."""


@dataclass(frozen=True)
class ClassEntry:
    """One class as a person sees it."""

    class_id: int
    """0..k-1."""
    class_name: str
    """Free text."""
    colour: str
    """#rrggbb."""
    merge_into: int | None = None
    """Id of the class that takes this one's objects; None keeps them."""

    def __post_init__(self) -> None:
        """Refuse a colour that is none."""
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise OptionError(f"class {self.class_id} has colour {self.colour!r}; want #rrggbb")


def check_entries(entries: Sequence[ClassEntry], count: int | None = None) -> None:
    """See that a table makes sense as a whole.

    Args:
        entries: rows, by class id.
        count: classes that there are; None does not look.

    Raises:
        OptionError: ids are not 0..n-1 (or 0..count-1), two standing classes share a name, a name is empty, or a class
            is merged into itself, into one that is merged, or into one that there is not.
    """
    ids = [entry.class_id for entry in entries]
    if ids != list(range(len(entries))) or count not in (None, len(entries)):
        wanted = f"0 to {(len(entries) if count is None else count) - 1}"
        twice = next((number for number, times in Counter(ids).items() if times > 1), None)
        if twice is not None:
            raise OptionError(f"class {twice} has two rows in the class table; leave one")
        raise OptionError(f"the class table has the classes {_shortly(ids)}; one row is wanted for each of {wanted}")
    for entry in entries:
        _check_merge(entry, entries)
        if not entry.class_name.strip():
            raise OptionError(f"class {entry.class_id} has no name; give it one")
        if len(entry.class_name) > LONGEST or not entry.class_name.isprintable():
            raise OptionError(
                f"class {entry.class_id} has a name of {len(entry.class_name)} characters, or with some that do not "
                f"print; allowed are {LONGEST} that do"
            )
    names = Counter(entry.class_name for entry in entries if entry.merge_into is None)
    if shared := [name for name, times in names.items() if times > 1]:
        ids = [entry.class_id for entry in entries if entry.class_name == shared[0] and entry.merge_into is None]
        raise OptionError(
            f"classes {_shortly(ids)} are all named {shared[0]!r}; give each a name of its own, or merge_into {ids[0]}"
        )


def _check_merge(entry: ClassEntry, entries: Sequence[ClassEntry]) -> None:
    into = entry.merge_into
    if into is None:
        return
    if not 0 <= into < len(entries):
        raise OptionError(
            f"class {entry.class_id} is to be merged into {into}; there are classes 0 to {len(entries) - 1}"
        )
    if into == entry.class_id:
        raise OptionError(f"class {into} is to be merged into itself; leave merge_into empty to keep it")
    if entries[into].merge_into is not None:
        raise OptionError(
            f"class {entry.class_id} is to be merged into {into}, which is merged into {entries[into].merge_into} "
            "itself; name a class that is not merged"
        )


def _shortly(ids: Sequence[int]) -> str:
    """Some numbers, the first ten of them."""
    return ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")


def write_class_table(path: Path, entries: Sequence[ClassEntry]) -> None:
    """Write ``classes.csv``: UTF-8 with a mark at the start, by which spreadsheets know it."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for entry in entries:
        into = "" if entry.merge_into is None else entry.merge_into
        rows.writerow((entry.class_id, entry.class_name, entry.colour, into))
    with appearing(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8-sig", newline="")


def read_class_table(path: str | Path, known: Sequence[ClassEntry] = ()) -> tuple[ClassEntry, ...]:
    """Read a class table from a CSV file, separated by commas, semicolons or tabs, or from a GeoPackage.

    Args:
        path: ``classes.csv``, or a GeoPackage with a table ``classes``.
        known: the classes as they are: cells that are empty, columns that are missing and rows that were left out
            are taken from here, so that a table need only say what changes.

    Returns:
        Entries by class id, not checked as a whole (:func:`check_entries`).

    Raises:
        ProductError: it cannot be read.
        OptionError: a cell makes no sense; the line is named.
    """
    path = Path(path)
    rows = _geopackage_rows(path) if path.suffix.lower() == ".gpkg" else _csv_rows(path)
    before = {entry.class_id: entry for entry in known}
    found = [_entry(row, line, path, before) for line, row in rows]
    there = {entry.class_id for entry in found}
    into = {entry.class_id: entry.merge_into for entry in found}
    # what was merged into a class before goes on with it: a table of standing classes has no row to say so
    rest = [
        replace(entry, merge_into=into[entry.merge_into])
        if entry.merge_into is not None and into.get(entry.merge_into) not in (None, entry.class_id)
        else entry
        for entry in known
        if entry.class_id not in there
    ]
    return tuple(sorted([*found, *rest], key=_by_id))


def _by_id(entry: ClassEntry) -> int:
    return entry.class_id


def _csv_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """(line's name, cells by column) of a CSV file."""
    text = _text(path)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # a line by which spreadsheets tell one another
        separator, text = first.strip()[4:5] or ",", rest
    else:
        separator = max(",;\t", key=first.count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    lines.fieldnames = [_column(name) for name in lines.fieldnames or ()]
    if "class_id" not in lines.fieldnames:
        raise OptionError(f"{path} has no column class_id; its first line is to be {','.join(COLUMNS)}")
    for name in lines.fieldnames:
        if name not in COLUMNS and (meant := get_close_matches(name, set(COLUMNS) - set(lines.fieldnames), 1)):
            raise OptionError(f"{path} has a column {name!r}; is it to be {meant[0]}? Allowed are {', '.join(COLUMNS)}")
    return [(f"line {lines.line_num}", row) for row in lines if any(_cell(value) for value in row.values())]


def _text(path: Path) -> str:
    """What a text file says, as spreadsheets write it: UTF-8, UTF-16 where its mark says so, or Windows' own.

    Raises:
        ProductError: it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProductError(
            f"{path} cannot be read ({error.strerror or error}); give the class table, such as classes.csv"
        ) from error
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if not wide and b"\0" in content:
        raise ProductError(f"{path} is no text; save the table as CSV")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _geopackage_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """(row's name, cells by column) of the table ``classes`` of a GeoPackage."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            cursor = database.execute("SELECT * FROM classes ORDER BY class_id")
            names = [_column(column[0]) for column in cursor.description]
            return [(f"row {row[0]}", dict(zip(names, row, strict=True))) for row in cursor]
    except sqlite3.Error as error:
        raise ProductError(f"{path} has no table classes that can be read ({error}); give a product's") from error


def _column(name: str | None) -> str:
    """A column's name as we write it."""
    plain = (name or "").strip().lower()
    return ALSO.get(plain, plain)


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _entry(row: Mapping[str, Any], line: str, path: Path, before: Mapping[int, ClassEntry]) -> ClassEntry:
    """One row of a table; what it does not say is as before."""
    class_id = _whole(_cell(row.get("class_id")), f"{line} of {path.name}: class_id")
    if before and class_id not in before:
        raise OptionError(f"{line} of {path.name}: there is no class {class_id}, only 0 to {max(before)}")
    old = before.get(class_id, ClassEntry(class_id, f"class {class_id}", "#808080"))
    into = old.merge_into
    if "merge_into" in row:  # an empty cell takes a merge back
        said = _cell(row["merge_into"])
        into = _whole(said, f"{line} of {path.name}: merge_into") if said else None
    try:
        return ClassEntry(class_id, _cell(row.get("name")) or old.class_name, _colour(row) or old.colour, into)
    except OptionError as error:
        raise OptionError(f"{line} of {path.name}: {error}") from error


def _colour(row: Mapping[str, Any]) -> str:
    """The row's colour, with the # that some spreadsheets lose."""
    said = _cell(row.get("colour"))
    return f"#{said}" if re.fullmatch("[0-9a-fA-F]{6}", said) else said


def _whole(text: str, what: str) -> int:
    """A whole number, 3 or 3.0 as spreadsheets write it."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value.is_integer() or not 0 <= value <= 65534:
        raise OptionError(f"{what} is {text!r}; want a whole number from 0 to 65534")
    return int(value)
