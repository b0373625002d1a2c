"""``geoalps suggest-classes``: how many classes to ask for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geoalps.cli import options as opt

if TYPE_CHECKING:
    from geoalps.io.store import Store
    from geoalps.labeling.class_count import Counter


@click.command("suggest-classes")
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--largest", type=click.IntRange(min=2), default=40, show_default=True, help="Number of classes to recommend."
)
@click.option(
    "--normalisation",
    type=click.Choice(["none", "l2", "zscore", "pca"]),
    default="zscore",
    show_default=True,
    help="Of the embeddings, as in geoalps fit.",
)
@opt.seed("Of the random numbers.")
@click.option(
    "--method",
    type=click.Choice(["mixture", "network"]),
    default="mixture",
    show_default=True,
    help="Clusters split and merged by 2-means, or by a network (DeepDPM), which takes longer.",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves to a .png, .pdf or .svg, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    stores: tuple[Path, ...],
    largest: int,
    normalisation: str,
    seed: int,
    method: str,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Suggest a number of classes for the objects of all STORES: of geoalps segment, or products that keep work/.

    A mixture counts the kinds of objects. Beside it stand two curves of k-means: the silhouette, how much nearer
    objects are to their own class than to the next, and the stability, how far clusterings of two halves of the objects
    agree.

    \b
    Examples:
      geoalps suggest-classes north_store/ south_store/
      geoalps suggest-classes ortho_labels/ --plot classes.png
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.labeling.class_count import suggest, writable
    from geoalps.labeling.fitting import sampled
    from geoalps.progress import progress_for

    if plot is not None:
        writable(plot)
    found = [_store(path) for path in stores]
    with progress_for(opt.console(ctx)) as progress:
        sample, areas = sampled(found, normalisation, None, progress)
    suggestion = suggest(sample, largest=largest, seed=seed, mixture=_counter(method), areas=areas)
    if plot is not None:
        suggestion.plot(plot)
    if as_json:
        click.echo(json.dumps(suggestion.as_json(), indent=2))
        return
    for line in suggestion.table():
        click.echo(line)
    click.echo(f"{suggestion.k} classes: {suggestion.reason}")


def _store(path: Path) -> Store:
    """The store in a directory, or in the ``work`` of a product.

    Raises:
        StoreError, ProductError: there is none.
    """
    from geoalps.io.product import Product, is_product
    from geoalps.io.store import Store

    return Product.open(path).need_objects().store() if is_product(path) else Store.open(path)


def _counter(method: str) -> Counter:
    """What counts the kinds of objects."""
    from geoalps.labeling.mixture import count_components

    if method == "mixture":
        return count_components
    from geoalps.training.deep_mixture import fit

    return partial(count_components, fit=fit, runs=1)
