"""Labelling: classes to objects, and all into one product."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import GeoalpsError, OptionError
from geoalps.io.class_table import write_class_table
from geoalps.io.geopackage import write_geopackage
from geoalps.io.product import REPORT, Product, publish
from geoalps.io.rasters import Georeference, write_labels
from geoalps.io.scene import Scene
from geoalps.io.store import PAINTED, Store, write_json
from geoalps.io.style import label_sides
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.objects import ObjectEmbeddings, stitch_store
from geoalps.labeling.outlining import read_polygons
from geoalps.labeling.painting import Labelling, Painted, paint_store
from geoalps.labeling.reporting import Finished, class_rows, new_report, not_for_its_page
from geoalps.labeling.seams import Objects
from geoalps.labeling.tasks import Workers
from geoalps.progress import Progress, Silence

CLASSES_BEFORE = "classes_before"
"""Directory in a product: the class model of the product that it replaced, when that had been edited."""
PACKAGES = ("dask", "numpy", "pyogrio", "rasterio", "scikit-image", "scipy", "shapely", "torch")


@dataclass(eq=False)
class Stopwatch:
    """Seconds of every stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds, rounded to milliseconds."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Take the time of a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True, eq=False)
class Classified:
    """The class of every object, indexed by its id; [0] is nobody."""

    fitted: NDArray[np.uint16]
    """(objects + 1,) 0..k-1, before merging."""
    confidence: NDArray[np.float32]
    """(objects + 1,) 0..1: margin between the nearest and the second-nearest centre."""
    unseen: int = 0
    """Objects farther from every centre than any object it was learnt from."""
    unusual: int = 0
    """Objects farther from their own centre than 99 of 100 that it was learnt from."""

    @classmethod
    def of(cls, store: Store, objects: Objects, model: ClassModel) -> Classified:
        """Assign every object of a store, a tile at a time.

        Raises:
            OptionError: there are objects, and the model was fitted on none.
        """
        fitted, confidence = np.zeros(len(objects) + 1, np.uint16), np.zeros(len(objects) + 1, np.float32)
        unseen = unusual = 0
        for ids, values in ObjectEmbeddings.open(store, objects):
            if not len(model):
                raise OptionError(
                    "the class model was fitted on scenes without objects and knows no class; fit another"
                )
            located, new, odd = model.locate(values)
            fitted[ids], confidence[ids] = located.class_id, located.confidence
            unseen, unusual = unseen + int(new.sum()), unusual + int(odd.sum())
        return cls(fitted, confidence, unseen, unusual)

    def drift(self) -> dict[str, float]:
        """Shares of the objects that are unseen and unusual, as ``run.json`` tells them."""
        count = max(len(self.fitted) - 1, 1)
        return {"unseen": round(self.unseen / count, 6), "unusual": round(self.unusual / count, 6)}


def label_values(fitted: NDArray[Any], model: ClassModel) -> NDArray[Any]:
    """(objects + 1,) what ``labels.tif`` holds: uint8, or uint16 above 255 classes; [0] is uncovered.

    Args:
        fitted: (objects + 1,) classes before merging.
        model: says which are merged.
    """
    wide = len(model) > 255
    values: NDArray[Any] = np.append(model.merged, 0)[fitted].astype(np.uint16 if wide else np.uint8)
    values[0] = 65535 if wide else 255
    return values


def write_product(
    store: Store,
    model: ClassModel,
    folder: Path,
    building: Path,
    options: Labelling,
    workers: Workers,
    progress: Progress | None,
    provenance: Mapping[str, Any],
    scene: Scene | None = None,
) -> Product:
    """Make all files of a product in ``building`` and move them to ``folder``; see :func:`geoalps.label`.

    The report's pictures are cut from ``scene``; None opens what the store remembers.
    """
    progress, watch = progress or Silence(), Stopwatch()
    place = Georeference.from_json(store.fingerprint["scene"])
    objects = stitch_store(store, workers, progress)
    with watch("paint"):
        painted, seams = paint_store(store, objects, options, workers, progress)
    progress.start("product", 5)
    with watch("classify"):
        known = Classified.of(store, objects, model)
    rows = class_rows(model, known.fitted[there := painted.pixels > 0], painted.area_m2[there])
    progress.advance()
    with watch("rasters"):
        values = label_values(known.fitted, model)
        shutil.copyfile(store.path / PAINTED / "objects.tif", building / "objects.tif")
        write_labels(building / "labels.tif", building / "objects.tif", values, colour_table(model, int(values[0])))
        for name, text in label_sides(rows).items():
            (building / name).write_text(text, encoding="utf-8")
    progress.advance()
    with watch("geopackage"):
        columns: dict[str, NDArray[Any]] = {
            "class_id": np.append(model.merged, 0)[known.fitted],
            "score": objects.scores,
            "confidence": known.confidence,
            "area_m2": painted.area_m2,
            "fitted_class_id": known.fitted,
        }
        polygons = read_polygons(store.path / PAINTED)
        write_geopackage(building / "labels.gpkg", polygons, columns, rows, place.crs, total=len(painted))
    progress.advance()
    model.save(building)
    write_class_table(building / "classes.csv", model.classes)
    _keep_names(folder, model, progress)
    run = {**_run(store, model, options, painted, seams), **provenance, "drift": known.drift()}
    before = provenance.get("seconds", {})
    with watch("report"):
        told, ids = {**run, "seconds": {**before, **watch.seconds}}, np.flatnonzero(there)
        finished = Finished(
            told, model, tuple(rows), ids, known.fitted[ids].astype(np.int64), painted.area_m2[ids],
            building / "labels.tif", building / "objects.tif",
        )  # fmt: skip
        with not_for_its_page(folder):
            new_report(building / REPORT, finished, store, scene)
    progress.advance()
    write_json(building / "run.json", {**run, "seconds": {**before, **watch.seconds}})
    publish(building, folder)
    progress.advance()
    return Product(folder)


def _keep_names(folder: Path, model: ClassModel, progress: Progress) -> None:
    """Keep the class model of a product that is replaced, when somebody named, merged or split its classes."""
    if not (folder / "run.json").exists():
        return
    try:
        before = ClassModel.load(folder)
    except GeoalpsError:
        return  # what cannot be read cannot be kept
    if before.is_edited and before.classes != model.classes:
        kept = folder / CLASSES_BEFORE
        before.save(kept)
        progress.tell(
            f"the classes of the product that is replaced were named, merged or split: they are kept in {kept}; the "
            f"same command with --class-model {kept} brings them back"
        )


def _run(
    store: Store, model: ClassModel, options: Labelling, painted: Painted, seams: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``run.json`` says of how a product was made."""
    counts, damaged = _tile_counts(store)
    return {
        "geoalps": _version("geoalps"),
        "scene": {**store.fingerprint["scene"], "path": store.scene_path},
        "store": store.digest,
        "n_classes": len(model),
        "options": {**asdict(options), **{key: store.fingerprint[key] for key in ("grid", "gate", "encoder")}},
        "segmenter": store.adapted or store.fingerprint["segmenter"],
        "stretch": store.fingerprint["stretch"],
        "counts": {"objects": len(painted), "covered_pixels": int(painted.pixels[1:].sum()), **counts},
        "damaged_tiles": damaged,
        "seam_index": dict(seams),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def colour_table(model: ClassModel, uncovered: int) -> dict[int, tuple[int, int, int, int]]:
    """Class id -> red, green, blue, alpha, of a label raster in which ``uncovered`` is nodata."""
    table = {entry.class_id: (*bytes.fromhex(entry.colour.lstrip("#")), 255) for entry in model.classes}
    return {**table, uncovered: (0, 0, 0, 0)}


def _tile_counts(store: Store) -> tuple[dict[str, int], dict[str, str]]:
    """Totals over the tiles (tiles, segments dropped as empty and by the gate), and what is wrong with which tile."""
    tiles, totals, damaged = 0, {"empty": 0, "gated": 0}, {}
    for tile in store.grid:
        info = store.read_info(tile)
        tiles += 1
        totals = {name: total + info[name] for name, total in totals.items()}
        if "failed" in info:
            damaged[tile.name] = str(info["failed"])
        elif "unreadable" in info:
            damaged[tile.name] = f"{info['unreadable']} pixels cannot be read"
    return {"tiles": tiles, **totals}, damaged


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
