"""``geoalps fit``: second stage of the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("fit")
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The class model's directory.",
)
@opt.clustering
@click.option("--overwrite", is_flag=True, help="Replace a class model that is there.")
@click.pass_context
def command(ctx: click.Context, /, stores: tuple[Path, ...], output: Path, **given: Any) -> None:
    """Fit pseudo-classes over all STORES. The result is a class model: classes.json and classes.npz.

    \b
    Example:
      geoalps fit north_store/ south_store/ -k 24 -o classes/
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.run import run_fit

    run_fit(opt.console(ctx), stores, output, given)
