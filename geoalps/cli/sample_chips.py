"""``geoalps sample-chips``: made chips of fixed size with nested truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geoalps.cli import options as opt


@click.command("sample-chips")
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many.")
@click.option("--size", type=int, default=256, show_default=True, help="Pixels of a side, 32 to 1024.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first chip; the others count on from it.")
@click.option("--kind", help="urban, rural, port, industry, ... [default: drawn by chance]")
@click.option("--sensor", help="aerial, satellite, panchromatic, sar, ... [default: drawn by chance]")
@click.option("--pixel-size", type=float, help="Metres, 0.05 to 10. [default: drawn by chance, to suit the kind]")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.pass_context
def command(ctx: click.Context, /, output: Path, count: int, seed: int, overwrite: bool, **options: Any) -> None:
    """Write made chips to the directory OUTPUT, GeoTIFFs with nested truth beside each.

    Beside NAME.tif lie NAME_whole.tif (whole things and pieces of ground), NAME_part.tif (their parts: roof faces,
    decks, markings) and NAME_class.tif. The name tells the seed.

    \b
    Examples:
      geoalps sample-chips chips/ -n 100
      geoalps sample-chips ports/ -n 20 --kind port --sensor panchromatic --pixel-size 0.5
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.errors import ProductError
    from geoalps.io.chips import write_chip
    from geoalps.progress import progress_for
    from geoalps.sample import made_chip

    names = {n: output / f"chip_{n}.tif" for n in range(seed, seed + count)}
    there = next((path for path in names.values() if path.exists()), None)
    if there and not overwrite:
        raise ProductError(f"{there} exists; use --overwrite to replace it, or another directory or seed")
    first = made_chip(seed, **options)  # refuses bad options before anything is written
    with progress_for(opt.console(ctx)) as progress:
        progress.start("chips", count)
        for n, path in names.items():
            write_chip(path, first if n == seed else made_chip(n, **options), n, n - seed)
            progress.advance(1)
    click.echo(f"{count} chips in {output}")
