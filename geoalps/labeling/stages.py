"""The stages of the main job, each a function from files to files.

segment             scene            -> store
fit_classes         stores           -> class model
label               store, model     -> product

:mod:`geoalps.labeling.scenes` puts the three in a row.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args

from geoalps.errors import GeoalpsWarning, OptionError, SceneError
from geoalps.grid import TileGrid
from geoalps.io.lock import alone_in
from geoalps.io.product import Product, building_in
from geoalps.io.scene import Scene, open_scene
from geoalps.io.store import Store
from geoalps.io.stretch import Stretch, fit_stretch
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.fitting import adapted, fit, update
from geoalps.labeling.labelling import write_product
from geoalps.labeling.painting import Labelling
from geoalps.labeling.segmentation import TileSegmentation, adapt, naming_tile, segment_tiles
from geoalps.labeling.spectra import Spectra
from geoalps.labeling.workers import WorkersLike, working
from geoalps.plugins import load_encoder, load_segmenter, refuse_twice
from geoalps.progress import Progress, Silence
from geoalps.protocols import Encoder, Segmenter

if TYPE_CHECKING:
    import rasterio
    import xarray

SceneLike: TypeAlias = Union[str, Path, "rasterio.DatasetReader", "xarray.DataArray", Scene]
OnError = Literal["fail", "skip"]
"""What becomes of a tile that cannot be read or segmented: an error once the others are done, or left uncovered."""
NumberOfClasses = int | Literal["auto"]
"""k, or ``auto``: as many as there seem to be."""
MAX_AREA_FRACTION = 0.3
MOST_TILES = 1_000_000
"""Of one scene, so that no header alone fills the memory: a million megapixels in tiles of the default size."""


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
    with_shape: bool = False,
    stretch: Stretch | None = None,
    spectra: Spectra | None = None,
    max_area_fraction: float = MAX_AREA_FRACTION,
    on_error: OnError = "fail",
    workers: WorkersLike = None,
    threads: int | None = None,
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
        with_shape: append hand-made descriptors (colour, gradient, texture, ring contrast, size and shape) to the
            embedding of each object, whoever made it. Refused for the embedding of ``regions``, which is they.
        stretch: to uint8; fitted on the scene by default.
        spectra: bands whose means are appended to the embeddings; by default those beyond the three that a
            segmenter sees, unless the scene was opened with bands of the caller's choice.
        max_area_fraction: masks over this share of a tile's window are dropped, unless the window cuts them or the
            segmenter partitions the image (0.3 in the paper; that paper has no windows and drops those as well).
        on_error: ``fail``: when all other tiles are done, an error names those that failed. ``skip``: what cannot
            be read or segmented stays uncovered, and ``run.json`` says where.
        workers: None for threads, or for the active ``distributed.Client``; a number of worker processes; a
            scheduler's address; or a Client.
        threads: of this process, or of each worker process; by default one a core, and one a process.
        overwrite: replace a store that was made with other options.
        progress: hears of every tile.
        **options: of the segmenter, by name.

    Raises:
        SceneError, OptionError, PluginError, CheckpointError, StoreError, TileError, WorkerError: see
            :mod:`geoalps.errors`.
    """
    scene, progress = as_scene(scene), progress or Silence()
    grid = grid or TileGrid(scene.shape)
    check_segmenting(scene, grid, max_area_fraction, on_error)
    chosen = load_segmenter(segmenter, {**options, "with_shape": with_shape})
    extra = load_encoder(encoder) if encoder is not None else None
    refuse_twice(chosen, extra)
    _warn_of_no_crs(scene)
    skip = on_error == "skip"
    scene = scene.forgiving() if skip else scene
    with naming_tile(scene, grid):
        stretch = stretch or fit_stretch(scene)
        spectra = spectra or Spectra.fit([scene], stretch)[0]
    fingerprint = fingerprint_of(scene, grid, stretch, spectra, chosen, extra, max_area_fraction)
    folder = Path(path) if path is not None else default_output(scene) / "work"
    with alone_in(folder):
        store = Store.create(folder, fingerprint, overwrite)
        store.keep_scene_path(_where(scene))
        missing = store.begin()
        if len(missing) < len(grid):
            progress.tell(
                f"{len(grid) - len(missing)} of {len(grid)} tiles are in {folder} already and are not done again"
            )
        if missing or not store.adapted:
            with naming_tile(scene, grid):
                chosen = adapt(chosen, scene, stretch, spectra, store)
        if missing:
            function = TileSegmentation(scene, stretch, spectra, chosen, extra, max_area_fraction, store, skip)
            with working(workers, threads) as at_work:
                segment_tiles(function, missing, at_work, progress)
            store.tidy()
            _refuse_changed(scene)
    return store


def check_segmenting(scene: Scene, grid: TileGrid, max_area_fraction: float, on_error: str) -> None:
    """Refuse what :func:`segment` does not take; an OptionError that says what is allowed."""
    if on_error not in get_args(OnError):
        raise OptionError(f"on-error is {on_error!r}; allowed are {', '.join(get_args(OnError))}")
    if not 0 < max_area_fraction <= 1:
        raise OptionError(f"max-area-fraction is {max_area_fraction:g}; allowed is above 0 to 1")
    if grid.shape != scene.shape:
        raise OptionError(f"the tile grid is for a scene of {grid.shape} pixels, this one has {scene.shape}")
    if len(grid) > MOST_TILES:
        raise OptionError(
            f"{scene.name} of {grid.shape[0]} x {grid.shape[1]} pixels would be {len(grid)} tiles; at most "
            f"{MOST_TILES} are allowed: use a larger --tile-size, or crop the scene"
        )


def fingerprint_of(
    scene: Scene,
    grid: TileGrid,
    stretch: Stretch,
    spectra: Spectra,
    segmenter: Segmenter,
    encoder: Encoder | None,
    max_area_fraction: float,
) -> dict[str, Any]:
    """JSON of all that determines what a store holds."""
    return {
        "scene": scene.fingerprint,
        "grid": {"shape": list(grid.shape), "size": grid.size, "margin": grid.margin},
        "stretch": stretch.to_json(),
        "segmenter": dict(segmenter.identity),
        "encoder": dict(encoder.identity) if encoder else None,
        "spectra": spectra.to_json(),
        "gate": None if segmenter.partition else max_area_fraction,
    }


def _where(scene: Scene) -> str | None:
    """A scene's path, absolute where it is a file on this machine."""
    return str(Path(scene.path).absolute()) if scene.path and Path(scene.path).exists() else scene.path


def _warn_of_no_crs(scene: Scene) -> None:
    if scene.crs is None:
        warnings.warn(
            f"{scene.path or scene.name} has no CRS: areas are in pixels, and no map knows where the objects are; "
            "gdal_edit.py -a_srs EPSG:CODE gives it one",
            GeoalpsWarning,
            stacklevel=3,
        )


def _refuse_changed(scene: Scene) -> None:
    if scene.changed():
        raise SceneError(
            f"{scene.path} changed while it was read: some tiles are of the old file and some of the new one; run the "
            "same command again with --overwrite"
        )


def fit_classes(
    stores: Sequence[Store] | Store,
    n_classes: NumberOfClasses = 16,
    *,
    normalisation: str = "zscore",
    seed: int = 0,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """Fit pseudo-classes over the objects of one or several segmented scenes.

    Args:
        stores: of :func:`segment`, all made with the same segmenter and encoder.
        n_classes: k; ``auto`` finds it, see :func:`geoalps.labeling.class_count.suggest`.
        normalisation: of the embeddings: ``none``, ``l2``, ``zscore`` or ``pca``.
        seed: of the random numbers; the same seed gives the same model.
        workers: as of :func:`segment`, for what is to be stitched yet.
        progress: hears of the passes.

    Raises:
        OptionError: k below 1 or above the number of distinct objects, or stores that do not go together.
        StoreError: a tile is missing.
    """
    given = [stores] if isinstance(stores, Store) else list(stores)
    return fit(given, n_classes, normalisation, seed, workers, progress)


def update_classes(
    model: ClassModel,
    stores: Sequence[Store] | Store,
    *,
    seed: int = 0,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """Let a class model go on learning from further scenes: incremental k-means that forgets nothing it was fitted on.

    Names, colours, merges, stretch and normalisation stay; the centres move towards the new objects, each by as much as
    these weigh against the objects that it was learnt from.

    Args:
        model: of :func:`fit_classes` or :meth:`ClassModel.load`.
        stores: of :func:`segment`, made as the model says.
        seed: of the order in which the objects are learnt.
        workers: as of :func:`segment`, for what is to be stitched yet.
        progress: hears of it.

    Raises:
        OptionError: a store was made with another segmenter, encoder, bands or stretch than the model was fitted with.
        StoreError: a tile is missing.
    """
    return update(model, _learnable(model, stores), seed, workers, progress)


def adapt_classes(
    model: ClassModel,
    stores: Sequence[Store] | Store,
    *,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """A class model for scenes in another light or season: the same classes, looked for where they have moved to.

    Every column of the new embeddings is brought to the mean and spread that it had in fitting; then some rounds of
    k-means start from the model's centres, each held back by half as many objects as it may expect. It takes for
    granted that the new scenes show about the same kinds in about the same shares: of another landscape it makes other
    classes under the old names, where without it objects that are new would be told (``drift``).

    Args:
        model: of :func:`fit_classes` or :meth:`ClassModel.load`.
        stores: of the new scenes, made as the model says.
        workers: as of :func:`segment`, for what is to be stitched yet.
        progress: hears of it.

    Raises:
        OptionError: a store was made with another segmenter, encoder, bands or stretch than the model was fitted with.
        StoreError: a tile is missing.
    """
    return adapted(model, _learnable(model, stores), workers, progress)


def _learnable(model: ClassModel, stores: Sequence[Store] | Store) -> list[Store]:
    """The stores, when a class model can learn from them; else an OptionError that says why not."""
    given = [stores] if isinstance(stores, Store) else list(stores)
    for store in given:
        check_model(model, store.fingerprint)
    if not len(model):
        raise OptionError("the class model was fitted on scenes without objects; fit another on scenes with some")
    return given


def label(
    store: Store,
    model: ClassModel,
    out: str | Path,
    *,
    min_area: float | None = None,
    simplify: float = 0.0,
    overwrite: bool = False,
    workers: WorkersLike = None,
    threads: int | None = None,
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
        workers: as of :func:`segment`.
        threads: as of :func:`segment`.
        progress: hears of every tile.
        provenance: more for ``run.json``.

    Raises:
        OptionError: the model was fitted with another segmenter, encoder, bands or stretch, or a negative option.
        ProductError: there is a product already, or it cannot be written.
        StoreError: a tile is missing.
    """
    folder, options = Path(out), Labelling(min_area, simplify)
    check_model(model, store.fingerprint)
    with building_in(folder, overwrite) as building, alone_in(store.path), working(workers, threads) as at_work:
        store.tidy()
        return write_product(store, model, folder, building, options, at_work, progress, provenance or {})


def check_model(model: ClassModel, source: Mapping[str, Any]) -> None:
    """Refuse a class model that was fitted on other embeddings than those of ``source``, with the difference named.

    Args:
        model: to be applied.
        source: identities of the ``segmenter`` and the ``encoder`` (None without one), and of the scene the bands and
            the stretch, where they are known: as in a store's fingerprint.

    Raises:
        OptionError: the embeddings would not mean the same.
    """
    for part in ("segmenter", "encoder"):
        fitted, here = model.source.get(part) or {}, json.loads(json.dumps(dict(source.get(part) or {})))
        # options may differ: they change which segments there are, not what an embedding means
        differ = sorted(key for key in {*fitted, *here} - {"options"} if fitted.get(key) != here.get(key))
        if differ == ["with_shape"]:
            raise OptionError(_shape_differs("with_shape" in fitted, "with_shape" in here))
        if differ:
            key = "name" if "name" in differ else differ[0]
            what = part if key == "name" else f"{part} {key}"
            raise OptionError(
                f"the class model was fitted with {what} {fitted.get(key)!r}, the scene is segmented with "
                f"{here.get(key)!r}; segment with the model's, or fit another model"
            )
    if "scene" in source:
        _check_bands(model.source, source)
    if "stretch" in source and source["stretch"] != model.source["stretch"]:
        raise OptionError(
            "the scene was stretched to 8 bit in another way than those of the class model, so that the same colour "
            "means something else; segment it with --class-model"
        )


def _check_bands(fitted: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Refuse a scene of other values, or seen in other bands, than those a class model was fitted on."""
    dtype = source["scene"]["dtype"]
    if dtype != fitted["dtype"]:
        raise OptionError(
            f"the class model was fitted on a scene of {fitted['dtype']}, this one holds {dtype}: its stretch means "
            "nothing here; convert the scene, or fit another model"
        )
    pairs = {
        "as red, green, blue": (fitted["bands"], source["scene"]["bands"]),
        "in the embedding": (fitted["spectra"]["bands"], source["spectra"]["bands"]),
    }
    for role, (theirs, ours) in pairs.items():
        if list(theirs) != list(ours):
            raise OptionError(
                f"the class model was fitted with bands {_listed(theirs)} {role}, the scene has {_listed(ours)}; give "
                f"--bands {','.join(map(str, fitted['bands']))}, or fit another model"
            )


def _listed(bands: Sequence[int]) -> str:
    return ", ".join(map(str, bands)) or "none"


def _shape_differs(fitted: bool, here: bool) -> str:
    """What to say when the class model, the scene, or both in different ways, have descriptors appended."""
    if fitted and here:
        return (
            "the class model and the scene have descriptors of different versions (--with-shape); segment the scene "
            "again, or fit another model"
        )
    said, other = ("with", "without") if fitted else ("without", "with")
    return (
        f"the class model was fitted {said} --with-shape, the scene is segmented {other} it; segment {said} it, or fit "
        "another model"
    )
