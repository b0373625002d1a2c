"""``geoalps legends``: standard legends, to look up names and colours in."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from geoalps.io.legends import Legend


@click.command("legends")
@click.argument("name", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
def command(name: str | None, as_csv: bool) -> None:
    """List the standard legends that there are, or the classes of the legend NAME with their codes and colours.

    \b
    Examples:
      geoalps legends
      geoalps legends worldcover
      geoalps legends corine --csv > corine.csv
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.io.legends import LEGENDS, legend

    if name is None:
        every = [legend(known) for known in LEGENDS]
        rows = [(one.name, str(len(one.entries)), one.title) for one in every]
        head, colours = ("name", "classes", "title"), None
    else:
        one = legend(name)
        rows = [(entry.code, entry.class_name, entry.colour) for entry in one.entries]
        head, colours = ("code", "name", "colour"), [entry.colour for entry in one.entries]
        _announce(one, as_csv)
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([head, *rows])
    else:
        _table(head, rows, colours)


def _announce(one: Legend, as_csv: bool) -> None:
    """Say what legend it is and where from; with CSV there is no place for that."""
    if not as_csv:
        click.echo(f"{one.title}\nSource: {one.source}\n")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str] | None) -> None:
    """Print columns as wide as their cells, with a swatch before each row where the terminal has colours."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    swatches = colours is not None and console.color_system is not None
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for number, row in enumerate([[cell.upper() for cell in head], *rows]):
        line = Text()
        if swatches:
            line.append("    ", style=f"on {colours[number - 1]}" if number and colours else "")
            line.append("  ")
        line.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        console.print(line)
