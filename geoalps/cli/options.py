"""Options that several commands share, in the field's names: one registry, so that none is spelt twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])


class Numbers(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Comma-separated whole numbers: ``4,3,2``."""

    name = "N[,N,N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of whole numbers like 4,3,2", param, ctx)


class KeyValue(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """``name=value`` with a JSON value, or text where it is none."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """(name, value)."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        try:
            return name.replace("-", "_"), json.loads(text)
        except ValueError:
            return name.replace("-", "_"), text


class Auto(click.IntRange):
    """A number in a range, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or the word."""
        if value == "auto":
            return value
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number from {self.min} to {self.max} nor auto", param, ctx)
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The word."""
        return [CompletionItem("auto")] if "auto".startswith(incomplete) else []


def plugins(group: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes names of installed plug-ins, without importing any.

    Args:
        group: ``segmenters`` or ``encoders``.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
        """The names that begin like what is written."""
        found = {point.name for point in entry_points(group=f"geoalps.{group}")}
        return sorted(name for name in found if name.startswith(incomplete))

    return complete


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator; help shows them in this order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def seed(help_text: str) -> Callable[[Command], Command]:
    """The option --seed: what NumPy and scikit-learn both take."""
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help=help_text)


reading = together(
    click.option(
        "-b",
        "--bands",
        type=Numbers(),
        help="One or three bands, from 1, as red, green, blue. [default: by colour, else the first three]",
    ),
    click.option("--nodata", type=float, help="Value that is no data, instead of the file's."),
    click.option(
        "--stretch",
        "stretch_mode",
        type=click.Choice(["auto", "percentile", "none"]),
        default="auto",
        show_default=True,
        help="To 8 bit, once for the whole scene; auto leaves 8 bit as it is.",
    ),
    click.option(
        "--percentiles",
        type=click.FloatRange(0, 100),
        nargs=2,
        default=(2.0, 98.0),
        show_default=True,
        help="What becomes black and white.",
    ),
    click.option("--decibel", is_flag=True, help="Take 10 log10 first (SAR intensities)."),
    click.option(
        "--speckle/--no-speckle",
        default=None,
        help="Filter the speckle of radar; by default with --decibel, or where the file says it is of a radar.",
    ),
)
tiling = together(
    click.option(
        "--tile-size", type=click.IntRange(min=16), default=1024, show_default=True, help="Pixels of a tile's core."
    ),
    click.option(
        "--margin",
        type=click.IntRange(min=0),
        default=128,
        show_default=True,
        help="Pixels read around a core; up to half the tile size.",
    ),
)
segmenting = together(
    click.option(
        "--segmenter",
        default="regions",
        show_default=True,
        shell_complete=plugins("segmenters"),
        help="regions, sam, sam-hub, or an installed plug-in.",
    ),
    click.option("--checkpoint", type=click.Path(dir_okay=False), help="Weights of the segmenter (sam)."),
    click.option(
        "--model",
        help="vit_b, vit_l or vit_h, downloaded once when there is no --checkpoint (sam) [default: vit_b]; a name of "
        "`geoalps models`, or a directory (sam-hub).",
    ),
    click.option(
        "--exact", is_flag=True, help="segment-anything's own masks to the pixel, at more cost (sam, sam-hub)."
    ),
    click.option(
        "--granularity",
        type=click.FloatRange(0.01, 100),
        help="From coarse, such as 0.3, to fine, such as 3 (regions). [default: 1]",
    ),
    click.option("--device", help="auto, cpu, cuda or cuda:1 (sam, sam-hub). [default: auto]"),
    click.option(
        "--option",
        "options",
        type=KeyValue(),
        multiple=True,
        help="Any other option of the segmenter, such as regions_per_mpx=500 or points_per_side=64; repeatable.",
    ),
    click.option(
        "--encoder",
        shell_complete=plugins("encoders"),
        help="Installed plug-in whose embeddings replace the segmenter's, such as dinov2.",
    ),
    click.option(
        "--encoder-option",
        "encoder_options",
        type=KeyValue(),
        multiple=True,
        help="Any option of the encoder, such as model=dinov2-small; repeatable.",
    ),
    click.option(
        "--with-shape",
        is_flag=True,
        help="Append colour, gradient, texture, ring contrast, size and shape of each object to its embedding; "
        "together they weigh as much as it. Refused for regions without an --encoder, whose embedding is just these.",
    ),
    click.option(
        "--max-area-fraction",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.3,
        show_default=True,
        help="Drop masks over this share of a tile, unless the tile's border cuts them.",
    ),
)
clustering = together(
    click.option(
        "-k",
        "--classes",
        type=Auto(1, 65535),
        default=16,
        show_default=True,
        help="Number of pseudo-classes; auto: as many as there seem to be (geoalps suggest-classes).",
    ),
    click.option(
        "--normalisation",
        type=click.Choice(["none", "l2", "zscore", "pca"]),
        default="zscore",
        show_default=True,
        help="Of the embeddings before clustering.",
    ),
    seed("Of the clustering's random numbers."),
)
painting = together(
    click.option(
        "--min-area",
        type=click.FloatRange(min=0),
        metavar="M2",
        help="Pieces below so many square metres go to their longest neighbour. [default: 24 pixels]",
    ),
    click.option(
        "--simplify",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="METRES",
        help="Simplify outlines, shared borders staying shared. [default: 0, outlines follow the pixels]",
    ),
)
class_model = click.option(
    "--class-model",
    type=click.Path(path_type=Path),
    help="Class model, or a product that holds one, for which this is segmented: gives bands, stretch and options.",
)
adapt = click.option(
    "--adapt",
    is_flag=True,
    help="Let the class model adapt to the scene: for another light or season of a like landscape.",
)
dissolve = click.option(
    "--dissolve", is_flag=True, help="Also write dissolved.gpkg: neighbouring objects of one class as one polygon."
)
dry_run = click.option(
    "--dry-run",
    is_flag=True,
    help="Only look: check all options, try a piece, and say what the run would take. Writes nothing.",
)
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace what is there already; tiles made with the same options are kept."
)
on_error = click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What cannot be read or segmented: an error once all else is done, or left uncovered and recorded.",
)
working = together(
    click.option("--workers", type=click.IntRange(min=1), help="Worker processes. [default: none, only threads]"),
    click.option(
        "--threads", type=click.IntRange(min=1), help="Threads. [default: one a core, or one a worker process]"
    ),
    click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do it, such as tcp://host:8786."),
)


def workers(given: dict[str, Any]) -> int | str | None:
    """Who does the tasks, as :func:`geoalps.labeling.workers.working` takes it; at most one of the options."""
    if given["scheduler"] and (given["workers"] or given["threads"]):
        raise click.UsageError("--scheduler has workers of its own; leave out --workers and --threads")
    chosen: int | str | None = given["scheduler"] or given["workers"]
    return chosen


def segmenter_options(named: dict[str, Any], options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The segmenter's options that were given."""
    return {**{name: value for name, value in named.items() if value is not None}, **dict(options)}


def console(ctx: click.Context) -> Console:
    """Where a command talks while it works: stderr, nothing with -q."""
    return Console(stderr=True, quiet=bool(ctx.obj and ctx.obj["quiet"]), soft_wrap=True, markup=False, emoji=False)


def announce(talk: Console, segmenter: str) -> None:
    """Say which segmenter runs, and how to get the other; the stage refuses one that there is not."""
    from geoalps.plugins import names

    other = {
        "regions": "needs no download; for Segment Anything: --segmenter sam (375 MB once) or --checkpoint",
        "sam": "Segment Anything; for a run without a download: --segmenter regions",
        "sam-hub": "a successor of Segment Anything; what there is: geoalps models",
    }.get(segmenter, "an installed plug-in; built in are regions, sam and sam-hub")
    if segmenter in names():
        talk.print(f"segmenter: {segmenter} ({other})", highlight=False)
