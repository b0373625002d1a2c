"""``geoalps sample``: a made aerial scene with its truth."""

from __future__ import annotations

from pathlib import Path

import click

from geoalps.cli import options as opt


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """``N`` or ``HEIGHTxWIDTH`` in pixels, each 512 to 20000."""

    name = "N|HxW"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        try:
            height, width = int(parts[0]), int(parts[-1])
        except ValueError:
            self.fail(f"{value!r} is no size like 2048 or 1024x4096", param, ctx)
        if len(parts) > 2 or not all(512 <= side <= 20000 for side in (height, width)):
            self.fail(f"{value} pixels; each side may be 512 to 20000", param, ctx)
        return height, width


@click.command("sample")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--size", type=Size(), default="2048", show_default=True, help="Pixels, one number or HEIGHTxWIDTH.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed is another place.")
@click.option("--pixel-size", type=float, default=0.3, show_default=True, help="Metres, 0.1 to 2.")
@click.option(
    "--truth/--no-truth", default=True, show_default=True, help="Write OUTPUT_class, _inst and _places beside it."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    output: Path,
    size: tuple[int, int],
    seed: int,
    pixel_size: float,
    truth: bool,
    overwrite: bool,
) -> None:
    """Write a made aerial scene to OUTPUT, a GeoTIFF, with its truth beside it.

    Buildings with shadows, roads, fields with rows, trees, water, vehicles and ships, all drawn by code from the seed.
    The truth is OUTPUT_class.tif (land cover), OUTPUT_inst.tif (things) and OUTPUT_places.gpkg (a few labelled points
    of every class, for geoalps name-from).

    \b
    Examples:
      geoalps sample made.tif
      geoalps sample large.tif --size 8192x12288 --seed 7 --no-truth
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.errors import ProductError
    from geoalps.io.sample import write_sample
    from geoalps.progress import progress_for
    from geoalps.sample import SampleScene

    if output.exists() and not overwrite:
        raise ProductError(f"{output} exists; use --overwrite to replace it, or another name")
    scene = SampleScene(size, seed, pixel_size)
    with progress_for(opt.console(ctx)) as progress:
        done = 0

        def tell(now: int, total: int) -> None:
            """Move the bar, which appears with the first piece, to ``now`` of ``total`` pieces."""
            nonlocal done
            if not done:
                progress.start("sample", total)
            progress.advance(now - done)
            done = now

        paths = write_sample(output, scene, truth, progress=tell)
    for path in paths.values():
        click.echo(str(path))
