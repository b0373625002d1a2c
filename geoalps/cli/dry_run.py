"""What ``--dry-run`` prints: the plan of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from geoalps.cli.run import scene_of, scene_paths, segmentation
from geoalps.io.health import size
from geoalps.labeling.forecast import Plan, ScenePlan
from geoalps.labeling.planning import plan
from geoalps.labeling.scenes import as_model
from geoalps.labeling.stages import default_output


def dry_run_tile_label(talk: Console, names: tuple[str, ...], output: Path | None, given: dict[str, Any]) -> None:
    """Print what ``tile-label`` with these options would do and take."""
    paths = scene_paths(names)
    model = as_model(given["class_model"])
    scenes = [scene_of(given, path, model) for path in paths]
    alone = paths == list(names) and len(paths) == 1
    show(
        talk,
        plan(
            scenes, [output] if alone and output else output, given["classes"], class_model=model, adapt=given["adapt"],
            normalisation=given["normalisation"], seed=given["seed"], min_area=given["min_area"],
            simplify=given["simplify"], **segmentation(scenes, model, given),
        ),
        given["segmenter"],
    )  # fmt: skip


def dry_run_segment(talk: Console, path: str, output: Path | None, given: dict[str, Any]) -> None:
    """Print what ``segment`` with these options would do and take."""
    model = as_model(given["class_model"])
    scene = scene_of(given, path, model)
    folder = output or default_output(scene) / "work"
    show(
        talk,
        plan([scene], [folder], product=False, class_model=model, **segmentation([scene], model, given)),
        given["segmenter"],
    )


def show(talk: Console, found: Plan, segmenter: str) -> None:
    """Print a plan; what will not suffice goes to stderr, too."""
    for each in found.scenes:
        for name, value in (*_scene(each), *_work(each, segmenter)):
            click.echo(f"{name:<12} {value}")
        click.echo()
    for name, value in _all(found):
        click.echo(f"{name:<12} {value}")
    for line in found.shortages:
        talk.print(f"Warning: {line}")
    click.echo("nothing was written; the same command without --dry-run does it")


def _scene(each: ScenePlan) -> list[tuple[str, str]]:
    """What the scene is."""
    scene, (height, width) = each.scene, each.grid.shape
    further = f" and {len(scene.further_bands)} more" if scene.further_bands else ""
    bands = ", ".join(map(str, scene.bands))
    if scene.crs is None:
        place, unit = "none: areas will be in pixels", "units"
    else:
        place, unit = scene.crs.to_string(), "degrees" if scene.crs.is_geographic else scene.crs.linear_units
    across, down = scene.pixel_size
    return [
        ("scene", f"{scene.path or scene.name}: {height} x {width} pixels, {height * width / 1e6:.1f} megapixels"),
        ("bands", f"{bands}{further} of {scene.band_count}, {scene.dtype}"),
        ("place", f"{place[:70]}, pixels of {across:g} x {down:g} {unit}"),
        ("data", f"{each.valid:.0%} of the pixels hold data"),
    ]


def _work(each: ScenePlan, segmenter: str) -> list[tuple[str, str]]:
    """What is to be done of it."""
    grid = each.grid
    there = f", {each.done} of them are there and not done again" if each.done else ""
    again = f"{each.read_again:.0%} of the pixels read once more"
    tiles = f"{len(grid)} of {grid.size} pixels with a margin of {grid.margin} ({again}){there}"
    store, product = size(each.store_bytes), size(each.product_bytes)
    what = f"{store} store" + (f" + {product} product" if each.product_bytes else "")
    scratch = f" + {size(each.scratch_bytes)} for a while" if each.scratch_bytes else ""
    tried = each.tried
    return [
        ("tiles", tiles),
        ("tried", f"{len(tried.windows)} windows with {tried.pixels / 1e6:.2f} megapixels of data, by {segmenter}"),
        ("objects", f"about {each.objects:,}" if tried.windows else "none: there are no data where was looked"),
        ("disk", f"about {what}{scratch}; {size(each.free_bytes)} free in {each.folder}"),
    ]


def _all(found: Plan) -> list[tuple[str, str]]:
    """What all of it takes."""
    threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
    who = f"{found.processes} processes of {threads} each" if found.processes else threads
    low, high = found.seconds / found.spread, found.seconds * found.spread
    memory = f"about {size(found.memory_bytes)} at the peak, {size(found.worker_bytes)} of it a tile in work"
    return [
        ("workers", who),
        ("memory", f"{memory}; {size(found.free_memory)} free"),
        ("time", f"about {duration(found.seconds)} ({duration(low)} to {duration(high)})"),
    ]


def duration(seconds: float) -> str:
    """Seconds for people: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"
