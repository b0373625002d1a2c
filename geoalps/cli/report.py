"""``geoalps report``: the page about a product, made again."""

from __future__ import annotations

from pathlib import Path

import click

from geoalps.cli import options as opt


@click.command("report")
@click.argument("product", type=click.Path(path_type=Path))
@click.option("--scene", metavar="PATH", help="Where the scene is now, for the pictures of single objects.")
@click.pass_context
def command(ctx: click.Context, /, product: Path, scene: str | None) -> None:
    """Make report.html of PRODUCT again, and print its path.

    The page has the scene with its labels, the classes with examples of their objects, and how the product was made.
    It is one file that needs nothing else, made by every command that makes or changes a product; what is missing from
    it, because the scene was moved for instance, this command adds.

    \b
    Examples:
      geoalps report ortho_labels/
      geoalps report ortho_labels/ --scene /archive/ortho.tif
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.io.product import Product
    from geoalps.labeling.reporting import remake_report
    from geoalps.progress import progress_for

    with progress_for(opt.console(ctx)) as progress:
        page = remake_report(Product.open(product), scene, progress)
    click.echo(page)
