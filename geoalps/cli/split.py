"""``geoalps split``: one class of a product taken apart."""

from __future__ import annotations

from pathlib import Path

import click

from geoalps.cli import options as opt


@click.command("split")
@click.argument("product", type=click.Path(path_type=Path))
@click.argument("class_name", metavar="CLASS")
@click.option("-k", "--classes", type=click.IntRange(min=2), default=2, show_default=True, help="Classes it becomes.")
@opt.seed("Of the clustering's random numbers.")
@opt.dissolve
@click.pass_context
def command(ctx: click.Context, /, product: Path, class_name: str, classes: int, seed: int, dissolve: bool) -> None:
    """Take one CLASS of PRODUCT, a number or a name, apart into several; no other object changes its class.

    The objects of the class are clustered among themselves. The commonest part keeps the class's number and colour,
    the others are numbered after all classes there are. Merging them again takes it back (geoalps relabel).

    \b
    Examples:
      geoalps split ortho_labels/ 3 -k 4
      geoalps split ortho_labels/ "bare ground"
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.renaming import run_split

    run_split(opt.console(ctx), product, class_name, classes, seed, dissolve)
