"""The main job: one scene, or several of one sensor, to finished products with the same classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoalps.errors import OptionError
from geoalps.grid import TileGrid
from geoalps.io.product import Product, building_in
from geoalps.io.scene import Scene
from geoalps.io.store import Store
from geoalps.io.stretch import Stretch, fit_stretch
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.fitting import fit
from geoalps.labeling.labelling import Stopwatch, write_product
from geoalps.labeling.objects import stitch_store
from geoalps.labeling.painting import Labelling
from geoalps.labeling.segmentation import naming_tiles
from geoalps.labeling.spectra import Spectra
from geoalps.labeling.stages import (
    MAX_AREA_FRACTION,
    NumberOfClasses,
    OnError,
    SceneLike,
    adapt_classes,
    as_scene,
    check_model,
    default_output,
    segment,
)
from geoalps.labeling.workers import WorkersLike, working
from geoalps.plugins import load_encoder, load_segmenter, refuse_twice
from geoalps.progress import Progress
from geoalps.protocols import Encoder, Segmenter


def tile_label(
    scene: SceneLike,
    out: str | Path | None = None,
    n_classes: NumberOfClasses = 16,
    *,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    class_model: ClassModel | str | Path | None = None,
    **options: Any,
) -> Product:
    """The main job: a scene to a finished product.

    Args:
        scene: a path, rasterio dataset, DataArray or opened scene.
        out: the product's directory; ``NAME_labels`` beside the scene by default.
        n_classes: k, or ``auto``.
        bands: one or three 1-based bands; see :func:`open_scene`.
        nodata: overrides the nodata value of the source.
        class_model: see :func:`tile_label_scenes`.
        **options: see :func:`tile_label_scenes`.
    """
    model = as_model(class_model)
    scene = as_scene(scene, bands_of(bands, model), nodata)
    folder = out if out is not None else default_output(scene)
    return tile_label_scenes([scene], [folder], n_classes, class_model=model, **options)[0]


def tile_label_scenes(
    scenes: Sequence[SceneLike],
    out: str | Path | Sequence[str | Path] | None = None,
    n_classes: NumberOfClasses = 16,
    *,
    class_model: ClassModel | str | Path | None = None,
    adapt: bool = False,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    tile_size: int = 1024,
    margin: int = 128,
    segmenter: str | Segmenter = "regions",
    encoder: str | Encoder | None = None,
    with_shape: bool | None = None,
    stretch: Stretch | None = None,
    normalisation: str = "zscore",
    seed: int = 0,
    min_area: float | None = None,
    simplify: float = 0.0,
    max_area_fraction: float = MAX_AREA_FRACTION,
    on_error: OnError = "fail",
    workers: WorkersLike = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[Product]:
    """The main job for several scenes of one sensor: one class model, and a product for each with the same classes.

    Sizes, CRSs and resolutions may differ; dtype and number of bands may not.

    Args:
        scenes: paths, rasterio datasets, DataArrays or opened scenes.
        out: a directory in which every scene gets ``NAME/``; or one directory a scene; by default ``NAME_labels``
            beside every scene.
        class_model: gives these scenes the classes, the bands, the stretch and the segmenter's options of another;
            without it ``n_classes`` classes are fitted over all scenes. A product, or what :func:`fit_classes` made.
        adapt: let the class model adapt to these scenes, see :func:`adapt_classes`.
        stretch: by default fitted over all scenes.
        n_classes: k, or ``auto``: as many as there seem to be.
        bands: one or three 1-based bands; see :func:`open_scene`. By default those of the class model.
        nodata: overrides the nodata value of the sources.
        tile_size: side of a tile's core in pixels.
        margin: pixels read around a core.
        segmenter: see :func:`segment`; so for encoder, max_area_fraction, on_error, workers, threads and progress.
        encoder: replaces the segmenter's embedding.
        with_shape: append hand-made descriptors (colour, gradient, texture, ring contrast, size and shape) to the
            embedding of each object, whoever made it. They are z-scored and weigh, together, as much as all of it.
            None is as the class model says, else not. Refused for the embedding of ``regions``, which is they.
        normalisation: see :func:`fit_classes`.
        seed: of the clustering's random numbers.
        min_area: see :func:`label`.
        simplify: see :func:`label`.
        max_area_fraction: the gate.
        on_error: ``fail`` or ``skip``.
        workers: who does the tasks.
        threads: how many.
        overwrite: replace what is there already; tiles made with the same options are kept.
        progress: hears of every tile.
        **options: of the segmenter, by name.
    """
    model = as_model(class_model)
    if adapt and model is None:
        raise OptionError("adapt is for a class model, and none is given; leave it out, or give class_model")
    opened = [as_scene(scene, bands_of(bands, model), nodata) for scene in scenes]
    folders, labelling = product_folders(opened, out), Labelling(min_area, simplify)
    with ExitStack() as stack:
        buildings = [stack.enter_context(building_in(folder, overwrite)) for folder in folders]
        at_work = stack.enter_context(working(workers, threads))
        watch = Stopwatch()
        with watch("segment"):
            stores = segment_scenes(
                opened, [folder / "work" for folder in folders], class_model=model, tile_size=tile_size, margin=margin,
                segmenter=segmenter, encoder=encoder, with_shape=with_shape, stretch=stretch,
                max_area_fraction=max_area_fraction, on_error=on_error, workers=at_work, overwrite=overwrite,
                progress=progress, **options,
            )  # fmt: skip
        with watch("stitch"):
            for store in stores:
                stitch_store(store, at_work, progress)
        with watch("fit"):
            # a class model without classes is one all the same
            fitted = fit(stores, n_classes, normalisation, seed, at_work, progress) if model is None else model
            if adapt and model is not None:
                fitted = adapt_classes(model, stores, workers=at_work, progress=progress)
        asked = n_classes if model is None and n_classes != "auto" else len(fitted)
        provenance = {"n_classes": asked, "seed": seed}
        return [
            write_product(
                store, fitted, folder, building, labelling, at_work, progress,
                {**provenance, "seconds": watch.seconds}, scene,
            )
            for scene, store, folder, building in zip(opened, stores, folders, buildings, strict=True)
        ]  # fmt: skip


def segment_scenes(
    scenes: Sequence[SceneLike],
    paths: Sequence[str | Path],
    *,
    class_model: ClassModel | str | Path | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    tile_size: int = 1024,
    margin: int = 128,
    segmenter: str | Segmenter = "regions",
    encoder: str | Encoder | None = None,
    with_shape: bool | None = None,
    stretch: Stretch | None = None,
    max_area_fraction: float = MAX_AREA_FRACTION,
    on_error: OnError = "fail",
    workers: WorkersLike = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[Store]:
    """Segment several scenes of one sensor alike: one stretch, the same bands; or as a class model says.

    Args:
        scenes: paths, rasterio datasets, DataArrays or opened scenes.
        paths: one store's directory a scene.
        class_model: gives bands, stretch, descriptors and the segmenter's options, so that it can be applied to these
            scenes, or go on learning from them.
        bands: see :func:`tile_label_scenes`; so for all others.
        nodata: overrides the nodata value of the sources.
        tile_size: side of a tile's core in pixels.
        margin: pixels read around a core.
        segmenter: see :func:`segment`.
        encoder: replaces the segmenter's embedding.
        with_shape: append hand-made descriptors to the embedding.
        stretch: by default the class model's, or else fitted over all scenes.
        max_area_fraction: the gate.
        on_error: ``fail`` or ``skip``.
        workers: who does the tasks.
        threads: how many.
        overwrite: replace stores that were made with other options.
        progress: hears of every tile.
        **options: of the segmenter, by name.

    Raises:
        OptionError: the class model was fitted with another segmenter, encoder, bands or dtype; the text says which.
    """
    model = as_model(class_model)
    opened = [as_scene(scene, bands_of(bands, model), nodata) for scene in scenes]
    grids = [TileGrid(scene.shape, tile_size, margin) for scene in opened]
    shared = Shared.of(opened, grids, model, segmenter, encoder, with_shape, stretch, options, on_error)
    with working(workers, threads) as at_work:
        return [
            segment(
                scene, grid, shared.segmenter, path=path, encoder=shared.encoder, stretch=shared.stretch,
                spectra=spectra, max_area_fraction=max_area_fraction, on_error=on_error, workers=at_work,
                overwrite=overwrite, progress=progress,
            )
            for scene, grid, path, spectra in zip(opened, grids, paths, shared.spectra, strict=True)
        ]  # fmt: skip


def as_model(class_model: ClassModel | str | Path | None) -> ClassModel | None:
    """The class model itself, or the one in a directory."""
    return ClassModel.load(Path(class_model)) if isinstance(class_model, str | Path) else class_model


def bands_of(bands: Sequence[int] | None, model: ClassModel | None) -> Sequence[int] | None:
    """The bands in which a scene is seen when the caller says none: those of the class model."""
    return model.source["bands"] if bands is None and model is not None else bands


def product_folders(scenes: Sequence[Scene], out: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """The product's directory of every scene."""
    if not scenes:
        raise OptionError("no scene is given; give at least one")
    if out is None:
        folders = [default_output(scene) for scene in scenes]
    elif isinstance(out, str | Path):
        folders = [Path(out) / scene.name for scene in scenes]
    else:
        folders = [Path(folder) for folder in out]
    twice = [folder for folder, count in Counter(folders).items() if count > 1]
    if twice or len(folders) != len(scenes):
        what = f"two scenes would go to {twice[0]}" if twice else f"{len(folders)} directories for {len(scenes)} scenes"
        raise OptionError(f"{what}; give every scene a directory of its own")
    return folders


@dataclass(frozen=True, eq=False)
class Shared:
    """What all scenes of one call have in common."""

    segmenter: Segmenter
    encoder: Encoder | None
    stretch: Stretch
    spectra: list[Spectra]
    """One a scene: the same bands and stretches, each with its own reader."""

    @classmethod
    def of(
        cls,
        scenes: Sequence[Scene],
        grids: Sequence[TileGrid],
        model: ClassModel | None,
        segmenter: str | Segmenter,
        encoder: str | Encoder | None,
        with_shape: bool | None,
        stretch: Stretch | None,
        options: Mapping[str, Any],
        on_error: OnError,
    ) -> Shared:
        """As the class model says, where there is one and the caller says nothing else; else fitted over all scenes."""
        fitted = model.source["segmenter"] if model is not None else {}
        if isinstance(segmenter, str) and segmenter == fitted.get("name"):
            said = {key: value for key, value in options.items() if value is not None}
            options = {**fitted.get("options", {}), **said}
        if with_shape and model is not None and "with_shape" not in fitted:
            raise OptionError("the class model was fitted without --with-shape; leave it out, or fit another model")
        shape = "with_shape" in fitted if with_shape is None else with_shape
        chosen = load_segmenter(segmenter, {**options, "with_shape": shape})
        extra = load_encoder(encoder) if encoder is not None else None
        if model is not None:
            found = stretch or Stretch.from_json(model.source["stretch"])
            spectra = [Spectra.as_fitted(scene, model.source["spectra"]) for scene in scenes]
            for scene in scenes:
                check_model(
                    model,
                    {
                        "segmenter": chosen.identity,
                        "encoder": extra.identity if extra else None,
                        "scene": {"bands": scene.bands, "dtype": scene.dtype},
                        "spectra": model.source["spectra"],
                        "stretch": found.to_json(),
                    },
                )
            return cls(chosen, extra, found, spectra)
        refuse_twice(chosen, extra)
        seen = [scene.forgiving() for scene in scenes] if on_error == "skip" else list(scenes)
        with naming_tiles(seen, grids):
            found = stretch or fit_stretch(seen)
            return cls(chosen, extra, found, Spectra.fit(seen, found))
