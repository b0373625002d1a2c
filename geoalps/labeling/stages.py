"""The stages of the main job, each a function from files to files.

segment        scene            -> store
fit_classes    stores           -> class model
label          store, model     -> product
tile_label     scene            -> product: the three in a row
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rasterio
import xarray

from geoalps.errors import GeoalpsWarning, OptionError, SceneError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.product import Product, building_in
from geoalps.io.scene import Scene, open_scene
from geoalps.io.store import Store, TileRecord
from geoalps.io.stretch import Stretch, fit_stretch
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.fitting import fit
from geoalps.labeling.labelling import Labelling, write_product
from geoalps.labeling.objects import stitch_store
from geoalps.labeling.pool import pool
from geoalps.labeling.seams import Sight
from geoalps.labeling.spectra import Spectra
from geoalps.labeling.tasks import Progress, run_tiles
from geoalps.plugins import check_map, check_result, load_encoder, load_segmenter
from geoalps.protocols import Adaptive, Encoder, PooledEmbeddings, Segmenter

SceneLike: TypeAlias = str | Path | rasterio.DatasetReader | xarray.DataArray | Scene
MAX_AREA_FRACTION = 0.3
STAGES = ("segment", "stitch", "fit")
SEARCHED = 100_000_000
"""Pixels of an unreadable window in which the unreadable tile is looked for."""
SAMPLE_WINDOW, SAMPLES = 384, 4
"""An adaptive segmenter looks at SAMPLES x SAMPLES windows of this side, spread evenly."""


def as_scene(scene: SceneLike, bands: Sequence[int] | None = None, nodata: float | None = None) -> Scene:
    """The scene itself, or what it names opened."""
    return scene if isinstance(scene, Scene) else open_scene(scene, bands, nodata)


def default_output(scene: Scene) -> Path:
    """``NAME_labels`` beside the scene's file, or in the working directory for what is no local file."""
    beside = Path(scene.path).parent if scene.path and Path(scene.path).exists() else Path()
    return beside / f"{scene.name}_labels"


def segment(
    scene: SceneLike,
    grid: TileGrid | None = None,
    segmenter: str | Segmenter = "regions",
    *,
    path: str | Path | None = None,
    encoder: str | Encoder | None = None,
    stretch: Stretch | None = None,
    spectra: Spectra | None = None,
    max_area_fraction: float = MAX_AREA_FRACTION,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Store:
    """Segment a scene, tile by tile; tiles that are in the store already are not done again.

    Args:
        scene: a path, rasterio dataset, DataArray or opened scene.
        grid: how it is tiled; 1024 pixels with a margin of 128 by default.
        segmenter: name of an installed segmenter, or an object that is one.
        path: the store's directory; ``NAME_labels/work`` beside the scene by default.
        encoder: replaces the segmenter's own embedding.
        stretch: to uint8; fitted on the scene by default.
        spectra: bands whose means are appended to the embeddings; by default those beyond the three that a
            segmenter sees, unless the scene was opened with bands of the caller's choice.
        max_area_fraction: masks over this share of a tile's window are dropped, unless the window cuts them or the
            segmenter partitions the image (0.3 in the paper; that paper has no windows and drops those as well).
        workers: threads; one a core by default.
        overwrite: replace a store that was made with other options.
        progress: hears of every tile.
        options: of the segmenter, by name.

    Raises:
        SceneError, OptionError, PluginError, CheckpointError, StoreError: see :mod:`geoalps.errors`.
    """
    scene = as_scene(scene)
    grid = grid or TileGrid(scene.shape)
    if grid.shape != scene.shape:
        raise OptionError(f"the tile grid is for a scene of {grid.shape} pixels, this one has {scene.shape}")
    if not 0 < max_area_fraction <= 1:
        raise OptionError(f"max-area-fraction is {max_area_fraction:g}; allowed is above 0 to 1")
    chosen = load_segmenter(segmenter, options)
    extra = load_encoder(encoder) if encoder is not None else None
    if scene.crs is None:
        warnings.warn(
            f"{scene.path or scene.name} has no CRS: areas are in pixels, and no map knows where the objects are; "
            "gdal_edit.py -a_srs EPSG:CODE gives it one",
            GeoalpsWarning,
            stacklevel=2,
        )
    with naming_tile(scene, grid):
        stretch = stretch or fit_stretch(scene)
        spectra = spectra or Spectra.fit(scene)
    fingerprint = {
        "scene": scene.fingerprint,
        "grid": {"shape": list(grid.shape), "size": grid.size, "margin": grid.margin},
        "stretch": stretch.to_json(),
        "segmenter": dict(chosen.identity),
        "encoder": dict(extra.identity) if extra else None,
        "spectra": spectra.to_json(),
        "gate": None if chosen.partition else max_area_fraction,
    }
    folder = Path(path) if path is not None else default_output(scene) / "work"
    store = Store.create(folder, fingerprint, overwrite)
    missing = store.missing()
    if missing:
        with naming_tile(scene, grid):
            chosen = _adapt(chosen, scene, stretch, store)

        def step(tile: Tile) -> None:
            with naming_tile(scene, grid):
                record = segment_tile(scene, stretch, spectra, chosen, extra, max_area_fraction, tile)
            store.write(tile, record)

        for _ in run_tiles("segment", step, missing, workers, progress):
            pass
    return store


@contextmanager
def naming_tile(scene: Scene, grid: TileGrid) -> Iterator[None]:
    """Whoever meets a block that cannot be read, the error names the tile whose core it lies in."""
    try:
        yield
    except SceneError as error:
        window = error.window
        if not isinstance(window, Window) or window.area > SEARCHED:
            raise
        for tile in grid:
            core = tile.core.clip(window)
            try:
                if core.area:
                    scene.read(core)
            except SceneError as found:
                raise SceneError(f"tile {tile.name}: {found}") from error
        raise


def segment_tile(
    scene: Scene,
    stretch: Stretch,
    spectra: Spectra,
    segmenter: Segmenter,
    encoder: Encoder | None,
    max_area_fraction: float,
    tile: Tile,
) -> TileRecord:
    """One tile's segments and their pooled embeddings: one encoder pass, the gate, empty masks dropped and counted."""
    image, valid = scene.read_rgb(tile.window, stretch)
    name = str(segmenter.identity.get("name", type(segmenter).__name__))
    segments, embedding = check_result(name, image, valid, segmenter.segment(image, valid))
    if encoder is not None:
        embedding = check_map(str(encoder.identity.get("name")), image, encoder.encode(image, valid))
    empty = segments.areas == 0
    gated = np.zeros(len(segments), bool)
    if not segmenter.partition:
        cuts = Sight.of(tile, segments, Window(0, 0, *scene.shape)).cuts
        gated = (segments.areas > max_area_fraction * tile.window.area) & (cuts == 0)
    kept = ~(empty | gated)
    segments = segments.take(kept)
    values = embedding.values[kept] if isinstance(embedding, PooledEmbeddings) else pool(segments, embedding)
    if spectra.bands and len(segments):
        values = np.concatenate([values, spectra.means(segments, tile.window)], 1)
    info = {"empty": int(empty.sum()), "gated": int(gated.sum()), "valid": int(valid.sum())}
    return TileRecord(segments, values, valid, info)


def _adapt(segmenter: Segmenter, scene: Scene, stretch: Stretch, store: Store) -> Segmenter:
    """The segmenter after it looked at the scene, when it is one that does; the same one after a restart."""
    if not isinstance(segmenter, Adaptive):
        return segmenter
    adapted = segmenter.adapted(scene.read_rgb(window, stretch) for window in sample_windows(scene.shape))
    store.keep_adapted(adapted.identity)
    return adapted


def sample_windows(shape: tuple[int, int]) -> list[Window]:
    """Windows spread evenly over a scene, a few hundred pixels each; the whole scene when it is small."""
    rows, cols = (_spans(length) for length in shape)
    return [Window(row0, col0, row1, col1) for row0, row1 in rows for col0, col1 in cols]


def _spans(length: int) -> list[tuple[int, int]]:
    count = min(SAMPLES, -(-length // SAMPLE_WINDOW))
    side = min(SAMPLE_WINDOW, -(-length // count))
    starts = [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
    return [(start, start + side) for start in starts]


def fit_classes(
    stores: Sequence[Store] | Store,
    n_classes: int = 16,
    *,
    normalisation: str = "zscore",
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ClassModel:
    """Fit pseudo-classes over the objects of one or several segmented scenes.

    Args:
        stores: of :func:`segment`, all made with the same segmenter and encoder.
        n_classes: k.
        normalisation: of the embeddings: ``none``, ``l2``, ``zscore`` or ``pca``.
        seed: of the random numbers; the same seed gives the same model.
        workers: threads.
        progress: hears of the passes.

    Raises:
        OptionError: k below 1 or above the number of distinct objects, or stores that do not go together.
        StoreError: a tile is missing.
    """
    return fit(
        [stores] if isinstance(stores, Store) else list(stores), n_classes, normalisation, seed, workers, progress
    )


def label(
    store: Store,
    model: ClassModel,
    out: str | Path,
    *,
    min_area: float | None = None,
    simplify: float = 0.0,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Product:
    """Give every object of a segmented scene its class and write the product.

    Args:
        store: of :func:`segment`.
        model: of :func:`fit_classes` or :meth:`ClassModel.load`.
        out: the product's directory.
        min_area: square metres (pixels without a CRS) below which a piece of an object goes to its longest
            neighbour; 24 pixels by default.
        simplify: metres (pixels without a CRS) by which outlines may move; 0 follows the pixels.
        overwrite: replace a product that is there.
        workers: threads.
        progress: hears of every tile.
        provenance: more for ``run.json``.

    Raises:
        OptionError: the model was fitted with another segmenter or encoder, or a negative option.
        ProductError: there is a product already, or it cannot be written.
        StoreError: a tile is missing.
    """
    folder = Path(out)
    options = Labelling(min_area, simplify)
    check_model(model, store.fingerprint)
    with building_in(folder, overwrite) as building:
        return write_product(store, model, folder, building, options, workers, progress, provenance or {})


def check_model(model: ClassModel, source: Mapping[str, Any]) -> None:
    """Refuse a class model that was fitted on other embeddings than those of ``source``, with the difference named.

    Args:
        model: to be applied.
        source: identities of the ``segmenter`` and the ``encoder`` (None without one), as in a store's fingerprint.
    """
    for part in ("segmenter", "encoder"):
        fitted, here = model.source.get(part) or {}, json.loads(json.dumps(dict(source.get(part) or {})))
        # options may differ: they change which segments there are, not what an embedding means
        differ = sorted(key for key in {*fitted, *here} - {"options"} if fitted.get(key) != here.get(key))
        if differ:
            key = "name" if "name" in differ else differ[0]
            what = part if key == "name" else f"{part} {key}"
            raise OptionError(
                f"the class model was fitted with {what} {fitted.get(key)!r}, the scene is segmented with "
                f"{here.get(key)!r}; segment with the model's, or fit another model"
            )


def tile_label(
    scene: SceneLike,
    out: str | Path | None = None,
    n_classes: int = 16,
    *,
    class_model: ClassModel | str | Path | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    tile_size: int = 1024,
    margin: int = 128,
    segmenter: str | Segmenter = "regions",
    encoder: str | Encoder | None = None,
    stretch: Stretch | None = None,
    normalisation: str = "zscore",
    seed: int = 0,
    min_area: float | None = None,
    simplify: float = 0.0,
    max_area_fraction: float = MAX_AREA_FRACTION,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Product:
    """The main job: a scene to a finished product.

    ``class_model`` gives this scene the classes, the stretch and the segmenter's adaptation of another; without it
    ``n_classes`` classes are fitted on the scene itself. All else as in :func:`segment`, :func:`fit_classes` and
    :func:`label`.
    """
    scene = as_scene(scene, bands, nodata)
    grid = TileGrid(scene.shape, tile_size, margin)
    folder = Path(out) if out is not None else default_output(scene)
    labelling = Labelling(min_area, simplify)
    with building_in(folder, overwrite) as building:
        model = ClassModel.load(Path(class_model)) if isinstance(class_model, str | Path) else class_model
        spectra = None
        if model is not None:
            segmenter, stretch, options = _as_fitted(model, segmenter, stretch, options)
            spectra = Spectra.as_fitted(scene, model.source["spectra"])
        chosen = load_segmenter(segmenter, options)
        extra = load_encoder(encoder) if encoder is not None else None
        if model is not None:
            check_model(model, {"segmenter": chosen.identity, "encoder": extra.identity if extra else None})
        clock = [time.perf_counter()]
        store = segment(
            scene, grid, chosen, path=folder / "work", encoder=extra, stretch=stretch, spectra=spectra,
            max_area_fraction=max_area_fraction, workers=workers, overwrite=overwrite, progress=progress,
        )  # fmt: skip
        clock.append(time.perf_counter())
        stitch_store(store, workers, progress)
        clock.append(time.perf_counter())
        model = model or fit([store], n_classes, normalisation, seed, workers, progress)
        clock.append(time.perf_counter())
        provenance = {
            "n_classes": n_classes if class_model is None else len(model),
            "seed": seed,
            "seconds": {name: round(b - a, 3) for name, a, b in zip(STAGES, clock, clock[1:], strict=False)},
        }
        return write_product(store, model, folder, building, labelling, workers, progress, provenance)


def _as_fitted(
    model: ClassModel, segmenter: str | Segmenter, stretch: Stretch | None, options: dict[str, Any]
) -> tuple[str | Segmenter, Stretch | None, dict[str, Any]]:
    """Segmenter, stretch and options as the model was fitted with, where the caller said nothing else."""
    stretch = stretch or Stretch.from_json(model.source["stretch"])
    fitted = model.source["segmenter"]
    if isinstance(segmenter, str) and segmenter == fitted.get("name"):
        options = {**fitted.get("options", {}), **{key: value for key, value in options.items() if value is not None}}
    return segmenter, stretch, options
