"""``geoalps label``: third stage of the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("label")
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--class-model", type=click.Path(path_type=Path), required=True, help="Class model, or a product that holds one."
)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="The product's directory."
)
@opt.adapt
@opt.painting
@opt.overwrite
@opt.working
@click.pass_context
def command(ctx: click.Context, /, store: Path, class_model: Path, output: Path, **given: Any) -> None:
    """Give every object of STORE its class. The result is a product: rasters, GeoPackage, class model, run.json.

    \b
    Example:
      geoalps label north_store/ --class-model classes/ -o north_labels/
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.run import run_label

    run_label(opt.console(ctx), store, class_model, output, given)
