"""``geoalps update``: a class model goes on learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("update")
@click.argument("class_model", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the new class model. [default: CLASS_MODEL itself, unless it is part of a product]",
)
@opt.seed("Of the order in which the objects are learnt.")
@opt.segmenting
@opt.tiling
@opt.reading
@opt.on_error
@click.option("--overwrite", is_flag=True, help="Replace another class model at --output.")
@opt.working
@click.pass_context
def command(
    ctx: click.Context, /, class_model: Path, scenes: tuple[str, ...], output: Path | None, **given: Any
) -> None:
    """Let CLASS_MODEL go on learning from SCENES.

    Its centres move towards the new objects, as far as these weigh against the objects it was learnt from. Names,
    colours, merges, bands and stretch stay. A scene is a raster, or what was segmented with --class-model: a store, or
    a product.

    \b
    Examples:
      geoalps update classes/ ortho_2026.tif
      geoalps update ortho_2025_labels/ ortho_2026.tif -o classes/
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.run import run_update

    run_update(opt.console(ctx), class_model, scenes, output, given)
