"""``geoalps relabel``: names, colours and merges for the classes of a product."""

from __future__ import annotations

from pathlib import Path

import click

from geoalps.cli import options as opt


@click.command("relabel")
@click.argument("product", type=click.Path(path_type=Path))
@click.argument("table", required=False, type=click.Path(path_type=Path))
@opt.dissolve
@click.option("--legend", metavar="NAME", help="Names are codes or names of this legend, which gives the colours.")
@click.option("--reset", is_flag=True, help="Take all merges back; names and colours stay.")
@click.pass_context
def command(
    ctx: click.Context, /, product: Path, table: Path | None, dissolve: bool, legend: str | None, reset: bool
) -> None:
    """Give the classes of PRODUCT the names, colours and merges of TABLE; no model runs.

    TABLE is a CSV file with the columns class_id, name, colour, merge_into, as classes.csv in the product, which is
    taken when none is given; or the product's labels.gpkg, whose table classes was edited in QGIS. Rows that are left
    out and cells that are empty stay as they are, but for merge_into: empty, it takes a merge back. Rasters, polygons,
    style and class model are rewritten together.

    \b
    Examples:
      geoalps relabel ortho_labels/
      geoalps relabel ortho_labels/ names.csv --dissolve
      geoalps relabel ortho_labels/ ortho_labels/labels.gpkg
      geoalps relabel ortho_labels/ --legend worldcover
      geoalps relabel ortho_labels/ --reset
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.renaming import run_relabel

    run_relabel(opt.console(ctx), product, table, dissolve, legend, reset)
