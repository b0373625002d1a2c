"""What the commands do once their options are parsed; imported late, because the stages' libraries take a second."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from glob import glob
from inspect import signature
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from geoalps.cli.options import announce, segmenter_options, workers
from geoalps.errors import OptionError, ProductError, SceneError
from geoalps.grid import TileGrid
from geoalps.io.product import Product, is_product
from geoalps.io.scene import Scene, open_scene
from geoalps.io.store import Store
from geoalps.io.stretch import Stretch, fit_stretch
from geoalps.labeling import stages
from geoalps.labeling.advice import advice
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.scenes import as_model, bands_of, segment_scenes, tile_label_scenes
from geoalps.labeling.segmentation import naming_tiles
from geoalps.labeling.stages import NumberOfClasses
from geoalps.plugins import load_encoder
from geoalps.progress import progress_for
from geoalps.protocols import Encoder


def scene_of(given: dict[str, Any], path: str, model: ClassModel | None = None) -> Scene:
    """The scene at a path with the options of reading, or seen as a class model says; a product is refused as such."""
    if is_product(Path(path)):
        raise SceneError(f"{path} is a product, no scene; give the raster that it was made of")
    return open_scene(path, bands_of(given["bands"], model), given["nodata"])


def _grid(scene: Scene, given: dict[str, Any]) -> TileGrid:
    """The tile grid that the options of tiling ask for."""
    return TileGrid(scene.shape, given["tile_size"], given["margin"])


def _stretch(scenes: list[Scene], given: dict[str, Any]) -> Stretch:
    """The scenes' stretch; a block that cannot be read is told with its tile, or passed over."""
    seen = [scene.forgiving() for scene in scenes] if given["on_error"] == "skip" else scenes
    with naming_tiles(seen, [_grid(scene, given) for scene in seen]):
        return fit_stretch(seen, given["stretch_mode"], given["percentiles"], given["decibel"], given["speckle"])


def _segmenter(given: dict[str, Any], stage: Callable[..., Any]) -> dict[str, Any]:
    """The segmenter's options that were given; an OptionError for one that is an argument of the stage."""
    own = {*signature(stage).parameters, "with_shape"}
    wrong = [name for name, _ in given["options"] if name in own]
    if wrong:
        raise OptionError(f"--option {wrong[0]} is no option of a segmenter; see --help for options of the command")
    named = {name: given[name] for name in ("checkpoint", "model", "device", "granularity")}
    return segmenter_options({**named, "exact": given["exact"] or None}, given["options"])


def _encoder(given: dict[str, Any]) -> str | Encoder | None:
    """The encoder, made with its options where there are any."""
    if not given["encoder_options"]:
        name: str | None = given["encoder"]
        return name
    if given["encoder"] is None:
        raise OptionError("--encoder-option is given without an --encoder; give its name, such as --encoder dinov2")
    return load_encoder(given["encoder"], dict(given["encoder_options"]))


DRIFTED = 0.02
"""Share of unseen objects from which a user is told; of unusual ones there is 1 in 100 in the scene that was fitted."""
RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg")
"""What is taken for a scene in a directory, by the ends of the names."""


def scene_paths(given: tuple[str, ...]) -> list[str]:
    """The scenes that arguments name: themselves, a directory's rasters, the matches of a pattern; each once."""
    paths: list[str] = []
    for name in given:
        path = Path(name)
        if path.is_dir() and not is_product(path):
            found = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in RASTERS)
        elif any(sign in name for sign in "*?[") and "://" not in name and not path.exists():
            found = sorted(glob(name, recursive=True))  # noqa: PTH207 - an absolute pattern, too
        else:
            found = [name]
        if not found:
            raise SceneError(f"{name} holds no scenes ({', '.join(RASTERS)}); give files, a directory or a pattern")
        paths += found
    return list(dict.fromkeys(paths))


def refuse_file_name(output: Path | None) -> None:
    """Refuse the name of a file where a directory is meant."""
    if output is not None and output.suffix.lower() in (*RASTERS, ".gpkg", ".shp", ".geojson") and not output.is_dir():
        raise OptionError(f"{output} is the name of a file, and a product is a directory; give -o {output.stem}/")


def run_tile_label(talk: Console, names: tuple[str, ...], output: Path | None, given: dict[str, Any]) -> None:
    """Scenes to products, and where they are.

    Where nobody asked for a number of classes, fewer than usual will do for scenes in which fewer objects differ.
    """
    paths = scene_paths(names)
    refuse_file_name(output)
    model = as_model(given["class_model"])
    scenes = [scene_of(given, path, model) for path in paths]
    alone = paths == list(names) and len(paths) == 1
    announce(talk, given["segmenter"])
    with progress_for(talk) as progress:

        def made(n_classes: NumberOfClasses) -> list[Product]:
            """The products, in so many classes."""
            return tile_label_scenes(
                scenes, [output] if alone and output else output, n_classes, class_model=model, adapt=given["adapt"],
                normalisation=given["normalisation"], seed=given["seed"], min_area=given["min_area"],
                simplify=given["simplify"], progress=progress, **segmentation(scenes, model, given),
            )  # fmt: skip

        try:
            products = made(given["classes"])
        except OptionError as error:
            if error.most is None or not given["fewer"]:
                raise
            progress.tell(f"no more than {error.most} objects differ: {error.most} classes, not {given['classes']}")
            products = made(error.most)
    for product in products:
        if given["clean"]:
            shutil.rmtree(product.path / "work")
        tell(talk, product)
        if model is not None:
            _tell_drift(talk, product.run()["drift"])


def run_segment(talk: Console, path: str, output: Path | None, given: dict[str, Any]) -> None:
    """A scene to a store."""
    model = as_model(given["class_model"])
    scene = scene_of(given, path, model)
    announce(talk, given["segmenter"])
    with progress_for(talk) as progress:
        (store,) = segment_scenes(
            [scene], [output or stages.default_output(scene) / "work"], class_model=model, progress=progress,
            **segmentation([scene], model, given),
        )  # fmt: skip
    click.echo(str(store.path))


def segmentation(
    scenes: list[Scene], model: ClassModel | None, given: dict[str, Any], beside: Sequence[Store] = ()
) -> dict[str, Any]:
    """The options of segmenting, tiling, reading and working, as :func:`segment_scenes` takes them.

    Scenes beside stores are stretched as those were.
    """
    known = Stretch.from_json(beside[0].fingerprint["stretch"]) if beside else None
    same = ("tile_size", "margin", "segmenter", "max_area_fraction", "on_error", "threads", "overwrite")
    return {
        **{name: given[name] for name in same},
        "encoder": _encoder(given),
        "with_shape": given["with_shape"] or None,
        "stretch": None if model is not None else known or _stretch(scenes, given),
        "workers": workers(given),
        **_segmenter(given, tile_label_scenes),
    }


def _stores(
    talk: Console, names: tuple[str, ...], folder: Path, model: ClassModel | None, given: dict[str, Any]
) -> list[Store]:
    """The stores that arguments name, and those that the scenes among them are segmented into, below a folder."""
    segmented = {name: found for name in names if (found := _segmented(Path(name))) is not None}
    paths = scene_paths(tuple(name for name in names if name not in segmented))
    stores = [Store.open(path) for path in segmented.values()]
    if not paths:
        return stores
    scenes = [scene_of(given, path, model) for path in paths]
    twice = [name for name, count in Counter(scene.name for scene in scenes).items() if count > 1]
    if twice:
        raise OptionError(f"two scenes are named {twice[0]}; segment one of them by itself (geoalps segment)")
    announce(talk, given["segmenter"])
    with progress_for(talk) as progress:
        made = segment_scenes(
            scenes, [folder / "work" / scene.name for scene in scenes], class_model=model, progress=progress,
            **segmentation(scenes, model, given, stores),
        )  # fmt: skip
    return [*stores, *made]


def _segmented(path: Path) -> Path | None:
    """The store that a path is, or that a product holds; None for all else."""
    if (path / "manifest.json").exists():
        return path
    if is_product(path):
        return Product.open(path).store().path
    return None


def run_fit(talk: Console, names: tuple[str, ...], output: Path, given: dict[str, Any]) -> None:
    """Scenes to a class model."""
    _refuse_class_model(output, given["overwrite"])
    stores = _stores(talk, names, output, None, given)
    with progress_for(talk) as progress:
        model = stages.fit_classes(
            stores, given["classes"], normalisation=given["normalisation"], seed=given["seed"],
            workers=workers(given), progress=progress,
        )  # fmt: skip
    model.save(output)
    talk.print(f"{len(model)} classes of {model.source['objects']} objects", highlight=False)
    click.echo(str(output / "classes.json"))


def run_update(talk: Console, path: Path, names: tuple[str, ...], output: Path | None, given: dict[str, Any]) -> None:
    """A class model and further scenes to a class model."""
    model = ClassModel.load(path)
    home = path.parent if path.suffix == ".json" else path
    target = output or home
    if is_product(target):
        raise ProductError(
            f"{target} is a product, and its labels would no longer be those of its class model; give another "
            "directory with -o"
        )
    if target.resolve() != home.resolve():
        _refuse_class_model(target, given["overwrite"])
    stores = _stores(talk, names, target, model, given)
    with progress_for(talk) as progress:
        later = stages.update_classes(model, stores, seed=given["seed"], workers=workers(given), progress=progress)
    later.save(target)
    learnt = later.source["objects"] - model.source["objects"]
    talk.print(f"{len(later)} classes learnt from {learnt} more objects", highlight=False)
    click.echo(str(target / "classes.json"))


def _refuse_class_model(folder: Path, overwrite: bool) -> None:
    if (folder / "classes.json").exists() and not overwrite:
        raise ProductError(
            f"{folder} holds a class model already; use --overwrite to replace it, or -o for another directory"
        )
    if is_product(folder):
        raise ProductError(f"{folder} is a product; use -o for another directory")


def run_label(talk: Console, path: Path, class_model: Path, output: Path, given: dict[str, Any]) -> None:
    """A store and a class model to a product."""
    store, model = Store.open(path), ClassModel.load(class_model)
    if is_product(output) and not given["overwrite"]:  # before the work that adapting is
        raise ProductError(
            f"{output} holds a product already; use --overwrite to replace it, or -o for another directory"
        )
    with progress_for(talk) as progress:
        if given["adapt"]:
            model = stages.adapt_classes(model, store, workers=workers(given), progress=progress)
        product = stages.label(
            store, model, output, min_area=given["min_area"],
            simplify=given["simplify"], overwrite=given["overwrite"], workers=workers(given), threads=given["threads"],
            progress=progress,
        )  # fmt: skip
    tell(talk, product)
    _tell_drift(talk, product.run()["drift"])


def _tell_drift(talk: Console, drift: dict[str, float]) -> None:
    """Say how well a scene's objects are known to the class model that another scene gave."""
    talk.print(
        f"drift: {drift['unseen']:.1%} of the objects lie farther from every class than any object the classes were "
        f"learnt from, {drift['unusual']:.1%} farther from their own than 99 of 100 did",
        highlight=False,
    )
    if drift["unseen"] > DRIFTED or drift["unusual"] > 10 * DRIFTED:
        talk.print(
            "many objects are new to these classes: look before you trust them; --adapt is for another light or "
            "season, geoalps update learns what is new"
        )


def tell(talk: Console, product: Product) -> None:
    """Say what was found and where it lies; the path alone goes to stdout."""
    run = product.run()
    seams = run["seam_index"]["index"]
    chance = run["seam_index"].get("by_chance")
    seam_text = "" if seams is None else f", seam index {seams:.2f} ({chance:.2f} by chance)"
    talk.print(f"{run['counts']['objects']} objects in {run['n_classes']} classes{seam_text}", highlight=False)
    for line in advice(run, product.class_rows(), place=False):
        talk.print(line, highlight=False)
    talk.print(
        f"open {product.path / 'report.html'} in a browser, and {product.path / 'labels.gpkg'} in QGIS: it comes up "
        "coloured",
        highlight=False,
    )
    click.echo(str(product.path))
