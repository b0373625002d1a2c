"""``geoalps segment``: first stage of the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("segment")
@click.argument("scene")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The store's directory. [default: SCENE_labels/work beside the scene]",
)
@opt.class_model
@opt.segmenting
@opt.tiling
@opt.reading
@opt.on_error
@opt.overwrite
@opt.dry_run
@opt.working
@click.pass_context
def command(ctx: click.Context, /, scene: str, output: Path | None, **given: Any) -> None:
    """Segment SCENE tile by tile into a store. The result is a directory with one Parquet file a tile.

    \b
    Examples:
      geoalps segment ortho.tif -o ortho_store/
      geoalps segment ortho_2026.tif --class-model ortho_2025_labels/ -o ortho_2026_store/
    """  # noqa: D301 - click wants the backspace itself
    if given.pop("dry_run"):
        from geoalps.cli.dry_run import dry_run_segment

        dry_run_segment(opt.console(ctx), scene, output, given)
        return
    from geoalps.cli.run import run_segment

    run_segment(opt.console(ctx), scene, output, given)
