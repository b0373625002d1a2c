"""``geoalps name-from``: names of classes from a few labelled places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoalps.cli import options as opt
from geoalps.cli.evaluate import new_table, table_console

if TYPE_CHECKING:
    from rich.table import Table

    from geoalps.labeling.naming import Evidence, Naming


@click.command("name-from")
@click.argument("product", type=click.Path(path_type=Path))
@click.argument("labels")
@click.option("--field", required=True, help="Field of LABELS that holds the name.")
@click.option("--layer", help="Layer of a file with several.")
@click.option(
    "--min-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Least share of the evidence that names a class.",
)
@click.option("--keep-apart", is_flag=True, help="Number classes of one name (water, water 2) instead of merging them.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the evidence and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    product: Path,
    labels: str,
    field: str,
    layer: str | None,
    min_share: float,
    keep_apart: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Name the classes of PRODUCT by LABELS: a few polygons or points whose field says what is there.

    A class is named after the label that has most of its labelled area; a point is one pixel. A class without evidence
    keeps its name. Classes of one name are merged into the one with the most evidence; `geoalps relabel` takes that
    back, or anything else of it.

    \b
    Examples:
      geoalps name-from ortho_labels/ places.gpkg --field class --dry-run
      geoalps name-from ortho_labels/ places.gpkg --field class --min-share 0.6
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.labeling.naming import name_from
    from geoalps.labeling.relabelling import relabel
    from geoalps.progress import progress_for

    talk = opt.console(ctx)
    with progress_for(talk) as progress:
        naming = name_from(
            product, labels, field, layer=layer, min_share=min_share, keep_apart=keep_apart, progress=progress
        )
    if as_json:
        click.echo(json.dumps(naming.to_json(), indent=2, allow_nan=False))
    else:
        _show(naming)
    if dry_run:
        talk.print("nothing is changed (--dry-run)", highlight=False)
        return
    with progress_for(talk) as progress:
        relabel(product, naming.entries, progress=progress)
    talk.print(f"{product} has these names now", highlight=False)


def _show(naming: Naming) -> None:
    """Print the evidence, and the labels that name nothing."""
    console = table_console()
    console.print(_table(naming))
    console.print()
    if naming.unused:
        listed = ", ".join(f"{name} ({_amount(area)} {naming.unit})" for name, area in naming.unused.items())
        console.print(f"No class is named after: {listed}. More classes (-k), or `geoalps split`, may part them.")


def _table(naming: Naming) -> Table:
    """A row for each class that is not merged already."""
    columns = ("becomes", "share", naming.unit, "places", "runner-up", "share")
    table = new_table("Classes by labelled places", "class", *columns)
    for row in naming.evidence:
        share = f"{row.share:.0%}" if row.area_m2 else "-"
        second = f"{row.runner_up_share:.0%}" if row.runner_up else "-"
        title = row.before if row.before == f"class {row.class_id}" else f"{row.class_id} {row.before}"
        cells = _becomes(row, naming), share, _amount(row.area_m2), f"{row.places:,}", row.runner_up or "-", second
        table.add_row(title, *cells)
    return table


def _amount(area: float) -> str:
    """Whole, or with three digits where a point is less than a square metre."""
    return f"{area:,.0f}" if area >= 100 else f"{area:.3g}"


def _becomes(row: Evidence, naming: Naming) -> str:
    """The class's new name, or that it is kept, or what it is merged into."""
    entry = naming.entries[row.class_id]
    if entry.merge_into is not None:
        return f"{naming.entries[entry.merge_into].class_name} (into {entry.merge_into})"
    return entry.class_name if row.proposed else f"{entry.class_name} (kept)"
