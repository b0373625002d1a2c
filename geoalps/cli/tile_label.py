"""``geoalps tile-label``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from geoalps.cli import options as opt


@click.command("tile-label")
@click.argument("scenes", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The product's directory; of several scenes, where each gets NAME/. [default: SCENE_labels beside it]",
)
@opt.clustering
@click.option(
    "--class-model",
    type=click.Path(exists=True, path_type=Path),
    help="Product or class model whose classes this scene gets; -k is not used then.",
)
@opt.adapt
@opt.segmenting
@opt.tiling
@opt.reading
@opt.painting
@opt.on_error
@opt.overwrite
@opt.dry_run
@click.option(
    "--clean",
    is_flag=True,
    help="Delete the store when the product is finished: saves disk, but then nothing can be reused.",
)
@opt.working
@click.pass_context
def command(ctx: click.Context, /, scenes: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Turn SCENES into maps of pseudo-classes.

    A scene is anything GDAL reads: a GeoTIFF, COG or VRT, https:// and s3:// included. Several scenes, a directory of
    them or a quoted pattern get the same classes and colours, fitted over all. A product is a directory: report.html
    (the map and the classes by example, for a browser), labels.gpkg (polygons, opens coloured in QGIS), labels.tif
    (classes), objects.tif (object ids), classes.csv (names and merges, to be edited), classes.json and classes.npz (the
    class model), run.json (how it was made), work/ (the store: the same command goes on where it was interrupted, and
    other classes of the same objects take seconds).

    \b
    Examples:
      geoalps tile-label ortho.tif
      geoalps tile-label ortho.tif -o labels/ -k 24 --simplify 0.5 --min-area 4
      geoalps tile-label s2.tif --bands 8,4,3 --tile-size 2048
      geoalps tile-label north.tif south.tif -o labels/
      geoalps tile-label huge.tif --dry-run
      geoalps tile-label huge.tif --workers 8
      geoalps tile-label https://host/cog.tif --scheduler tcp://10.0.0.5:8786
      geoalps tile-label ortho_2026.tif --class-model ortho_2025_labels/ --adapt
      geoalps tile-label ortho.tif --segmenter sam --checkpoint sam_vit_h_4b8939.pth --device cuda
    """  # noqa: D301 - click wants the backspace itself
    if given.pop("dry_run"):
        from geoalps.cli.dry_run import dry_run_tile_label

        dry_run_tile_label(opt.console(ctx), scenes, output, given)
        return
    from geoalps.cli.run import run_tile_label

    given["fewer"] = ctx.get_parameter_source("classes") is ParameterSource.DEFAULT
    run_tile_label(opt.console(ctx), scenes, output, given)
