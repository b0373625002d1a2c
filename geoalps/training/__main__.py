"""``python -m geoalps.training``: trains both models of the ``regions`` segmenter and writes them to a directory."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from geoalps.errors import GeoalpsError, ProductError
from geoalps.training.bars import Stages

NET_FILE, SCORER_FILE = "affinity_net.safetensors", "choice.json"
"""As :class:`geoalps.models.regions.RegionSegmenter` reads them."""
CHIP_SIZE, SCENE_SIZE = 256, 640
"""Pixels of a side: of what the network learns from, and of what the scorer does."""
APART, SCENES_FROM = 10_000_000, 5_000_000
"""Chips of seed s are drawn from (s + 1) * APART on, scenes SCENES_FROM later: no seed shares one with another."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default="regions_weights",
              show_default=True, metavar="DIRECTORY", help="Where the two files go.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 1_000_000), default=0, show_default=True, help="Of everything drawn.")
@click.option("--chips", type=click.IntRange(1, SCENES_FROM), default=3600, show_default=True,
              help="Chips that the affinity network learns from.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=1600, show_default=True, help="Steps that it learns.")
@click.option("--scenes", type=click.IntRange(1, SCENES_FROM), default=900, show_default=True,
              help="Larger chips that the scorer of regions learns from.")  # fmt: skip
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Processes that draw chips; the network learns with one thread. [default: cores]",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def command(output: Path, seed: int, chips: int, steps: int, scenes: int, threads: int | None, overwrite: bool) -> None:
    """Train the models of the regions segmenter on made chips, from nothing but a seed.

    Writes affinity_net.safetensors and choice.json, together, once both are trained. The same options give the same
    weights, bit by bit, on the same kind of processor, whatever --threads. Use them with

    \b
      geoalps tile-label SCENE -o OUT -k 8 --option weights=DIRECTORY
    """  # noqa: D301 - click wants the backspace itself
    try:
        _check(output, overwrite)
        with Stages() as stages, TemporaryDirectory(prefix=".", suffix=".part", dir=output) as draft:
            _train_net(Path(draft), stages, seed, chips, steps, threads or os.cpu_count() or 1)
            _train_scorer(Path(draft), stages, seed, scenes, threads or os.cpu_count() or 1)
            for name in (NET_FILE, SCORER_FILE):
                (Path(draft) / name).replace(output / name)
    except MemoryError:
        raise click.ClickException("out of memory; use fewer --chips or --threads") from None
    except GeoalpsError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error}; give a directory that has room") from None
    times = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in stages.seconds.items())
    click.echo(f"{NET_FILE} and {SCORER_FILE} in {output}: {sum(stages.seconds.values()):.0f} s ({times})")


def _check(output: Path, overwrite: bool) -> None:
    """Refuse what would fail, or be lost, at the end.

    Raises:
        ProductError: a file that is there already.
        OSError: the directory cannot be made.
    """
    there = next((output / name for name in (NET_FILE, SCORER_FILE) if (output / name).exists()), None)
    if there and not overwrite:
        raise ProductError(f"{there} exists; use --overwrite to replace it, or give another directory with -o")
    output.mkdir(parents=True, exist_ok=True)


def _train_net(draft: Path, stages: Stages, seed: int, count: int, steps: int, threads: int) -> None:
    """Draw chips, train the network, write it with its record."""
    from geoalps.models.affinity_net import save_net
    from geoalps.training.affinity import train_affinity
    from geoalps.training.chips import draw_chips

    seeds = range((seed + 1) * APART, (seed + 1) * APART + count)
    stages.start("chips", count)
    chips = draw_chips(seeds, CHIP_SIZE, threads, stages.advance)
    stages.start("network", steps)
    net = train_affinity(chips, steps, seed, stages.advance)
    drawn = {"seeds": [seeds.start, seeds.stop], "chips": len(chips), "size": CHIP_SIZE, "steps": steps}
    save_net(net, draft / NET_FILE, drawn | stages.record() | _made_by(seed))


def _train_scorer(draft: Path, stages: Stages, seed: int, count: int, threads: int) -> None:
    """Draw scenes, build their trees with the network, train the scorer, write it with its record."""
    from geoalps.training.choice import EPOCHS, draw_nodes, train_choice

    first = (seed + 1) * APART + SCENES_FROM
    seeds = range(first, first + count)
    stages.start("scenes", count)
    nodes = draw_nodes(seeds, SCENE_SIZE, str(draft), threads, stages.advance)
    stages.start("scorer", EPOCHS)
    scorer = train_choice(nodes, seed, stages.advance)
    drawn = {"seeds": [first, first + count], "nodes": len(nodes), "size": SCENE_SIZE, "passes": EPOCHS}
    text = scorer.to_json(drawn | stages.record() | _made_by(seed))
    (draft / SCORER_FILE).write_text(text, encoding="utf-8")


def _made_by(seed: int) -> dict[str, Any]:
    """What else the models depend on."""
    versions = {name: version(name) for name in ("geoalps", "numpy", "torch")}
    return {"seed": seed, "versions": versions | {"python": platform.python_version()}}


if __name__ == "__main__":
    command(prog_name="python -m geoalps.training")
