"""What ``relabel`` and ``split`` do once their options are parsed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from geoalps.errors import OptionError
from geoalps.io.class_table import ClassEntry, check_entries, read_class_table
from geoalps.io.product import Product
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.relabelling import relabel, split_class
from geoalps.progress import progress_for


def run_relabel(
    talk: Console, folder: Path, table: Path | None, dissolve: bool, legend: str | None, reset: bool
) -> None:
    """Relabel a product, and say what became of its classes."""
    product = Product.open(folder).need_objects()
    known = ClassModel.load(folder).classes
    if reset and table is not None:
        raise click.UsageError("--reset takes all merges back; leave out the table, or edit merge_into in it")
    if table is None and not reset:
        _refuse_lost_edits(folder, known)
    entries = known if reset else read_class_table(table or folder / "classes.csv", known)
    if reset:
        entries = _unmerged(entries)
    if legend is not None:
        entries = _by_legend(entries, legend)
    check_entries(entries, len(known))
    with progress_for(talk) as progress:
        relabel(product, entries, dissolve=dissolve, progress=progress)
    for old, new in zip(known, entries, strict=True):
        if old.merge_into is not None and new.merge_into is None and not reset:
            talk.print(f"class {old.class_id} is no longer merged into {old.merge_into}", highlight=False)
    tell(talk, product, entries)


def _refuse_lost_edits(folder: Path, known: Sequence[ClassEntry]) -> None:
    """Do not write over a class table that was edited in QGIS by the one that lies beside the product."""
    edited = folder / "labels.gpkg"
    if read_class_table(edited, known) != tuple(known):
        raise OptionError(
            f"the table classes of {edited} was edited: name it to apply that (geoalps relabel {folder} {edited}), or "
            f"name {folder / 'classes.csv'} to take that one instead"
        )


def run_split(talk: Console, folder: Path, class_name: str, k: int, seed: int, dissolve: bool) -> None:
    """Split a class of a product, and say what became of its classes."""
    product = Product.open(folder).need_objects()
    number = _number(class_name, ClassModel.load(folder).classes)
    with progress_for(talk) as progress:
        split_class(product, number, k, seed=seed, dissolve=dissolve, progress=progress)
    tell(talk, product, ClassModel.load(folder).classes)


def _number(said: str, entries: Sequence[ClassEntry]) -> int:
    """The class that a name or a number means; a name that looks like a number is a name."""
    for entry in entries:
        if entry.class_name == said and entry.merge_into is None:
            return entry.class_id
    if said.isdecimal() and int(said) < len(entries):
        return int(said)
    names = ", ".join(f"{entry.class_id} ({entry.class_name})" for entry in entries[:10] if entry.merge_into is None)
    raise OptionError(f"there is no class {said!r}; there are {names}{', ...' if len(entries) > 10 else ''}")


def _unmerged(entries: Sequence[ClassEntry]) -> tuple[ClassEntry, ...]:
    """No class merged; one that had the name of another gets its number for a name again."""
    names = Counter(entry.class_name for entry in entries)
    plain = [
        replace(entry, class_name=f"class {entry.class_id}")
        if entry.merge_into is not None and names[entry.class_name] > 1
        else entry
        for entry in entries
    ]
    return tuple(replace(entry, merge_into=None) for entry in plain)


def _by_legend(entries: Sequence[ClassEntry], name: str) -> tuple[ClassEntry, ...]:
    """Entries whose names are looked up in a legend; classes that are still unnamed stay as they are."""
    from geoalps.io.legends import legend

    chosen = legend(name)
    if all(entry.class_name == f"class {entry.class_id}" for entry in entries if entry.merge_into is None):
        raise OptionError(
            f"no class has a name yet that {name} could know; write its codes or names into a class table first "
            f"(geoalps legends {name} lists them)"
        )
    made = []
    for entry in entries:
        if entry.merge_into is not None or entry.class_name == f"class {entry.class_id}":
            made.append(entry)
            continue
        found = chosen.entry(entry.class_name)
        made.append(replace(entry, class_name=found.class_name, colour=found.colour))
    return tuple(made)


def tell(talk: Console, product: Product, entries: Sequence[ClassEntry]) -> None:
    """Say how many classes there are now; the path alone goes to stdout."""
    standing = sum(entry.merge_into is None for entry in entries)
    merged = f", {len(entries) - standing} merged into others" if standing < len(entries) else ""
    talk.print(f"{standing} classes{merged}", highlight=False)
    click.echo(str(product.path))
