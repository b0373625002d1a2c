"""``geoalps fit``: second stage of the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("fit")
@click.argument("scenes", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The class model's directory; what scenes are segmented into goes to its work/.",
)
@opt.clustering
@opt.segmenting
@opt.tiling
@opt.reading
@opt.on_error
@click.option("--overwrite", is_flag=True, help="Replace a class model that is there.")
@opt.working
@click.pass_context
def command(ctx: click.Context, /, scenes: tuple[str, ...], output: Path, **given: Any) -> None:
    """Fit pseudo-classes over all SCENES. The result is a class model: classes.json and classes.npz.

    A scene is a raster, a directory or a pattern of rasters, or what is segmented already: a store (geoalps segment),
    or a product. The options of segmenting, tiling and reading are for rasters.

    \b
    Examples:
      geoalps fit north.tif south.tif -k 24 -o classes/
      geoalps fit "tiles/*.tif" -k auto -o classes/
      geoalps fit north_store/ south_labels/ -k 24 -o classes/
      geoalps tile-label east.tif --class-model classes/
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.cli.run import run_fit

    run_fit(opt.console(ctx), scenes, output, given)
