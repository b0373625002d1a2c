"""``geoalps info``: what a scene, a store or a product holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command("info")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(path: str, as_json: bool) -> None:
    """Say what PATH holds: a scene, a store, a product or a class model.

    \b
    Examples:
      geoalps info ortho.tif
      geoalps info ortho_labels/ --json
    """  # noqa: D301 - click wants the backspace itself
    content = _describe(path)
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    for name, value in _flat(content):
        click.echo(f"{name:<28} {value}")


def _describe(path: str) -> dict[str, Any]:
    """What a path holds, by the files that are there; a path without any of ours is a scene."""
    folder = Path(path)
    from geoalps.io.product import is_product

    if is_product(folder):
        return _product(folder)
    if (folder / "manifest.json").exists():
        return _store(folder)
    if (folder / "classes.json").exists():
        return _class_model(folder)
    if (folder / "work" / "manifest.json").exists():
        unfinished = "a product that is not finished; the command that began it goes on where it stopped"
        return {**_store(folder / "work"), "kind": unfinished}
    return _scene(path)


def _scene(path: str) -> dict[str, Any]:
    """A scene's size, bands, dtype and georeference."""
    from geoalps.io.scene import open_scene

    scene = open_scene(path)
    crs = scene.crs
    unit = (crs.linear_units if crs.is_projected else "degree") if crs is not None else "pixel"
    return {
        "kind": "scene",
        "path": path,
        "height": scene.shape[0],
        "width": scene.shape[1],
        "megapixels": round(scene.shape[0] * scene.shape[1] / 1e6, 3),
        "bands": scene.band_count,
        "used as red, green, blue": list(scene.bands),
        "dtype": scene.dtype,
        "nodata": scene.nodata,
        "crs": crs.to_string() if crs is not None else None,
        "pixel size": [float(f"{size:.6g}") for size in scene.pixel_size],
        "unit": unit,
    }


def _store(folder: Path) -> dict[str, Any]:
    """A store's segmenter, grid and how many of its tiles are there."""
    from geoalps.io.store import Store

    store = Store.open(folder)
    missing = {tile.name for tile in store.missing()}
    there = [store.read_info(tile) for tile in store.grid if tile.name not in missing]
    return {
        "kind": "store",
        "path": str(folder),
        "scene": store.fingerprint["scene"]["name"],
        "segmenter": store.fingerprint["segmenter"]["name"],
        "tiles": f"{len(there)} of {len(store.grid)}",
        "tile size": store.grid.size,
        "margin": store.grid.margin,
        "dropped": {name: sum(info[name] for info in there) for name in ("empty", "gated")},
    }


def _product(folder: Path) -> dict[str, Any]:
    """A product's counts, timings and classes."""
    from geoalps.io.product import Product

    product = Product.open(folder)
    run = product.run()
    rows = product.classes()
    classes = {row.class_name: f"{row.object_count} objects, {row.area_m2:.6g} m2" for row in rows.itertuples()}
    kept = ("n_classes", "counts", "seam_index", "seconds")
    head = {
        "kind": "product",
        "path": str(folder),
        "scene": run["scene"]["name"],
        "segmenter": run["segmenter"]["name"],
    }
    return {**head, **{name: run[name] for name in kept}, "classes": classes}


def _class_model(folder: Path) -> dict[str, Any]:
    """A class model's classes and what they were made of."""
    from geoalps.labeling.class_model import ClassModel

    model = ClassModel.load(folder)
    names = {str(entry.class_id): f"{entry.class_name} {entry.colour}" for entry in model.classes}
    source = {name: model.source[name] for name in ("scenes", "objects", "seed") if name in model.source}
    return {"kind": "class model", "path": str(folder), **source, "classes": names}


def _flat(content: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """(name, value) of nested content; the names of what is inside follow those of what it is in."""
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        rows += _flat(value, f"{before}{name}: ") if isinstance(value, dict) else [(before + name, value)]
    return rows
