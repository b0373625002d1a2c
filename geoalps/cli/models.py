"""``geoalps models``: which models there are, and where their files come from and lie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from geoalps.cli import options as opt
from geoalps.cli.main import BEHIND

if TYPE_CHECKING:
    from geoalps.models.catalogue import KnownModel


@click.group("models", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the models that are known by name, and what of them the cache has.

    The cache is GEOALPS_CACHE, else geoalps in XDG_CACHE_HOME or ~/.cache. Copied to a machine without a network, it
    serves there. Any other model of the same kinds runs from its own directory or file.

    \b
    Examples:
      geoalps models
      geoalps models fetch sam2.1-base-plus
      geoalps models where sam2.1-base-plus
      geoalps tile-label ortho.tif --segmenter sam-hub --model sam2.1-base-plus
    """  # noqa: D301 - click wants the backspace itself
    if ctx.invoked_subcommand is None:
        _list(as_json)


@command.command("fetch")
@click.argument("name")
@click.pass_context
def fetch_command(ctx: click.Context, name: str) -> None:
    """Download the model NAME into the cache, unless it is there, and print where it lies.

    Of segment-anything's checkpoints the SHA-256 is known and checked. Of the others the first download is trusted:
    its hashes are written down, and what is loaded later must be the same.

    \b
    Examples:
      geoalps models fetch vit_b
      geoalps models fetch dinov2-base
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.models.catalogue import fetch, known

    talk, model = opt.console(ctx), known(name)
    talk.print(f"{name}: licence {model.licence}, from {model.address}", highlight=False)
    path = fetch(name, progress=not talk.quiet)
    if model.sha256 is None:
        talk.print("no hash of it is published: what came is trusted, and written down in sha256.json", highlight=False)
    click.echo(path)


@command.command("where")
@click.argument("name")
def where_command(name: str) -> None:
    """Print where in the cache the model NAME lies; fails where it does not.

    \b
    Example:
      geoalps tile-label ortho.tif --segmenter sam --checkpoint "$(geoalps models where vit_b)"
    """  # noqa: D301 - click wants the backspace itself
    from geoalps.errors import CheckpointError
    from geoalps.models.catalogue import known

    model = known(name)
    if not model.is_there:
        raise CheckpointError(f"{name} is not in the cache ({model.path}); geoalps models fetch {name}")
    click.echo(model.path)


for subcommand in (fetch_command, where_command):
    subcommand.params += BEHIND


def _list(as_json: bool) -> None:
    """Print the catalogue."""
    from geoalps.models.catalogue import CATALOGUE

    if as_json:
        click.echo(json.dumps([model.to_json() for model in CATALOGUE.values()], indent=2))
        return
    rows = [("NAME", "RUN BY", "SIZE", "LICENCE", "WHERE"), *(_row(model) for model in CATALOGUE.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]))


def _row(model: KnownModel) -> tuple[str, ...]:
    """What the table says of a model."""
    licence = f"{model.licence}, gated" if model.gated else model.licence
    where = str(model.path) if model.is_there else model.address
    return model.name, f"--{model.kind} {model.plugin}", _size(model.to_json()), licence, where


def _size(told: dict[str, Any]) -> str:
    """Bytes where they are known, else millions of weights."""
    if told["size"]:
        return f"{told['size'] / 1e6:.0f} MB"
    return f"{told['parameters'] / 1e6:.0f} M weights" if told["parameters"] else "unknown"
