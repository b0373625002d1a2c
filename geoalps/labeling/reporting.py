"""Reporting: what a product, its store, its class model and its scene tell for the page ``report.html``.

The page is made with the product. When classes only get other names, colours or merges, what costs (examples, chips,
preview) is taken over from the page that is there, whose content is by the classes before merging.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import GeoalpsWarning, OptionError, ProductError, SceneError, StoreError
from geoalps.grid import Window
from geoalps.io.product import FILES, REPORT, Product, building_in, publish
from geoalps.io.rasters import Georeference
from geoalps.io.relabelled import read_columns
from geoalps.io.report.chips import cut_chips, keep, read_kept
from geoalps.io.report.content import Gallery, Picture, ReportContent, carried, sheet_of
from geoalps.io.report.page import read_payload, write_report
from geoalps.io.report.preview import mosaic, preview_shape, read_labels
from geoalps.io.sampling import CellAreas
from geoalps.io.scene import Scene, open_scene
from geoalps.io.store import PAINTED, Store
from geoalps.io.stretch import Stretch
from geoalps.io.style import ClassRow
from geoalps.labeling.advice import advice
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.examples import boxes_of, choose
from geoalps.labeling.objects import stitch_store
from geoalps.progress import Progress, Silence
from geoalps.protocols import Mask

PER_DECADE = 5
"""Bins of the size distributions."""
WAY = "`geoalps report PRODUCT --scene PATH` says where it is"
SAME_PLACE = ("shape", "dtype", "crs", "transform")
"""What a scene that is named by hand must share with the one that was segmented."""


@dataclass(frozen=True, eq=False)
class Finished:
    """A product whose other files are made, wherever they lie."""

    run: Mapping[str, Any]
    """As in ``run.json``."""
    model: ClassModel
    """Names, colours, merges and centres."""
    rows: tuple[ClassRow, ...]
    """The classes that stand."""
    ids: NDArray[np.int64]
    """(n,) objects that were painted, ascending."""
    fitted: NDArray[np.int64]
    """(n,) their classes before merging."""
    area_m2: NDArray[np.float64]
    """(n,) their square metres (pixels without a CRS)."""
    labels: Path
    """``labels.tif``."""
    objects: Path
    """``objects.tif``."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows that costs."""

    gallery: Gallery
    preview: Picture | None = None
    there: Mask | None = None
    notes: tuple[str, ...] = ()
    """What is missing, and why."""
    shrunk: int = 1
    """How many pixels of the preview, along each side, have become one on the page that it was taken from."""


@contextmanager
def not_for_its_page(folder: Path) -> Iterator[None]:
    """Let a product that took hours not fail for its page: what goes wrong with that is a warning."""
    try:
        yield
    except StoreError:  # a tile is damaged, and the page is only the first to see it
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the product is whole without
        warnings.warn(
            f"the report could not be made ({type(error).__name__}: {error}); the product is whole without it, and "
            f"geoalps report {folder} tries again",
            GeoalpsWarning,
            stacklevel=3,
        )


def new_report(target: Path, finished: Finished, store: Store, scene: Scene | None) -> None:
    """Write the page of a product that was made just now, or whose objects have classes anew.

    Args:
        target: the page.
        finished: the product.
        store: that it was made from.
        scene: where chips are cut from; None opens what the store remembers.
    """
    write_report(target, _content(finished, _seen(finished, store, scene)))


def renamed_report(target: Path, before: Path, finished: Finished, product: Product) -> None:
    """Write the page of a product whose classes got other names, colours or merges.

    The scene is not opened: a product may come from anybody, and name any place as its scene's.

    Args:
        target: the page.
        before: the page that was there; where it tells nothing, the store is asked, and where that is gone too, the
            page says what is missing.
        finished: the product as it will be.
        product: as it is.
    """
    write_report(target, _content(finished, _taken_over(before, finished) or _seen_again(finished, product)))


def remake_report(product: Product, scene: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Make the page of a finished product again, and put it in place.

    Args:
        product: to be told of.
        scene: where its scene is now, for pictures that were not made before; None looks where it was.
        progress: hears of it.

    Returns:
        The page's path.

    Raises:
        SceneError, OptionError: a scene was named and cannot be opened, or is another one.
        ProductError: the page cannot be written.
    """
    folder, progress = product.path, progress or Silence()
    with building_in(folder, overwrite=True) as building:
        progress.start("report", 1)
        finished = finished_product(product)
        shown = _seen_again(finished, product, scene, cut=True)
        if shown.preview is None:
            shown = _taken_over(folder / REPORT, finished) or shown
        write_report(building / REPORT, _content(finished, shown))
        shutil.copyfile(folder / "run.json", building / "run.json")
        publish(building, folder, [name for name in FILES if name not in (REPORT, "run.json")])
        progress.advance()
    return folder / REPORT


def finished_product(product: Product) -> Finished:
    """A finished product, read from its files."""
    folder, model = product.path, ClassModel.load(product.path)
    ids, fitted, area = read_columns(folder / "labels.gpkg")
    if int(fitted.max(initial=0)) >= max(len(model), 1):
        raise ProductError(f"{folder} has objects of classes that its class model lacks; make the product again")
    rows = tuple(class_rows(model, fitted, area))
    return Finished(product.run(), model, rows, ids, fitted, area, folder / "labels.tif", folder / "objects.tif")


def class_rows(model: ClassModel, fitted: NDArray[Any], area_m2: NDArray[np.float64]) -> list[ClassRow]:
    """The table of classes, without those merged into others: counts and areas after merging.

    Args:
        model: names, colours and merges.
        fitted: (n,) class before merging of every object that was painted, by its id.
        area_m2: (n,) square metres of each.
    """
    shown = model.merged[fitted] if len(model) else np.zeros(0, np.int64)
    count, area = np.bincount(shown, minlength=len(model)), np.bincount(shown, area_m2, len(model))
    return [
        ClassRow(c.class_id, c.class_name, c.colour, int(count[c.class_id]), float(area[c.class_id]))
        for c in model.classes
        if c.merge_into is None
    ]


def _content(finished: Finished, shown: Shown) -> ReportContent:
    """All that the page needs."""
    scene = finished.run["scene"]
    edges, sizes = size_distribution(finished.area_m2, finished.model.merged[finished.fitted], finished.rows)
    return ReportContent(
        run=finished.run,
        classes=finished.rows,
        merged=finished.model.merged.tolist(),
        sizes=sizes,
        size_edges=edges,
        gallery=shown.gallery,
        preview=shown.preview,
        there=shown.there,
        shrunk=shown.shrunk,
        labels=read_labels(finished.labels, preview_shape((scene["shape"][0], scene["shape"][1]))),
        pixel=_ground_pixel(scene),
        advice=advice(finished.run, finished.rows),
        notes=shown.notes,
    )


def size_distribution(
    area: NDArray[np.float64], class_id: NDArray[np.int64], rows: tuple[ClassRow, ...]
) -> tuple[list[float], dict[int, list[int]]]:
    """Objects of every class by size, in bins of a fifth of a decade that are the same for all classes.

    Args:
        area: (n,) square metres.
        class_id: (n,) the class that is shown.
        rows: the classes that stand.

    Returns:
        (bins + 1,) edges, and class -> (bins,) counts.
    """
    if not len(area):
        return [], {}
    smallest = area[area > 0].min(initial=np.inf)
    if not np.isfinite(smallest):
        return [], {}
    place = np.floor(PER_DECADE * np.log10(np.maximum(area, smallest)) + 1e-9).astype(np.int64)
    first, bins = int(place.min()), int(place.max() - place.min()) + 1
    most = max((row.class_id for row in rows), default=0) + 1
    counts = np.bincount(class_id * bins + place - first, minlength=most * bins)
    edges = [float(f"{10 ** ((first + step) / PER_DECADE):.6g}") for step in range(bins + 1)]
    return edges, {row.class_id: counts[row.class_id * bins : (row.class_id + 1) * bins].tolist() for row in rows}


def _ground_pixel(scene: Mapping[str, Any]) -> float | None:
    """Metres along the side of a pixel in the middle of the scene, as a square; None without a CRS or ground."""
    place = Georeference.from_json(scene)
    if place.crs is None:
        return None
    row, col = (length // 2 for length in place.shape)
    area = float(CellAreas(place.transform, place.crs)(Window(row, col, row + 1, col + 1)).ravel()[0])
    return math.sqrt(area) if area > 0 else None


def _seen(
    finished: Finished, store: Store, scene: Scene | None, named: str | Path | None = None, cut: bool = True
) -> Shown:
    """Examples, chips and preview, from the store and the scene; without ``cut``, only the chips that are kept."""
    objects = stitch_store(store)
    examples = choose(store, objects, finished.model, finished.ids, finished.fitted)
    picture, there = mosaic(store)
    folder, wanted = store.path / PAINTED, set(examples.pictured)
    chips = {number: chip for number, chip in read_kept(folder).items() if number in wanted}
    missing, why = sorted(wanted - chips.keys()), ""
    if missing:
        try:
            if not cut:
                raise SceneError(f"they were not cut; {WAY}")
            opened, stretch = scene or _scene_of(store, named), Stretch.from_json(store.fingerprint["stretch"])
            chips |= cut_chips(opened, stretch, finished.objects, boxes_of(store, objects, missing))
            keep(folder, chips)
        except (SceneError, OptionError, OSError) as error:
            if named is not None:
                raise
            without = len(wanted - chips.keys())
            why = f"{without} objects have no picture here: {error}." if without else ""
    numbers, sheet = sheet_of(chips)
    shown = examples.typical, examples.borderline, examples.points, examples.projection
    boxes = tuple(chips[number].box for number in numbers)
    return Shown(Gallery(*shown, numbers, boxes, sheet, why), Picture(picture), there)


def _scene_of(store: Store, named: str | Path | None) -> Scene:
    """The scene of a store, where it was or where it is said to be now.

    Raises:
        SceneError, OptionError: it cannot be opened, or is another one.
    """
    known = store.fingerprint["scene"]
    path = str(named) if named is not None else store.scene_path
    if path is None:
        raise SceneError(f"the scene {known['name']} was no file; {WAY} if it is one now")
    if named is None and not Path(path).is_file():  # a store may come from anybody: no address, no device
        raise SceneError(f"{path} is no file here; {WAY}")
    try:
        scene = open_scene(path, None if known["bands"] is None else known["bands"], _nodata(known["nodata"]))
    except (SceneError, OptionError) as error:
        raise SceneError(f"{error}; {WAY}" if named is None else str(error)) from error
    differ = [part for part in SAME_PLACE if scene.fingerprint[part] != known[part]]
    if not differ and named is None:  # a copy that is named by hand has another time
        differ = [
            part for part in ("size", "mtime_ns", "digest", "etag") if scene.fingerprint.get(part) != known.get(part)
        ]
    if differ:
        raise SceneError(f"{path} is not the scene that was segmented: its {differ[0]} is another; {WAY}")
    return scene


def _nodata(value: Any) -> float | None:
    """A nodata value from a fingerprint, in which some are words."""
    return None if value is None else float(value)


def _seen_again(finished: Finished, product: Product, named: str | Path | None = None, cut: bool = False) -> Shown:
    """As :func:`_seen`, for a product whose store may be gone."""
    try:
        return _seen(finished, product.store(), None, named, cut)
    except (ProductError, StoreError) as error:
        if named is not None:
            raise
        return Shown(Gallery(), notes=(f"Examples, the map of the embeddings and the preview are missing: {error}.",))


def _taken_over(before: Path, finished: Finished) -> Shown | None:
    """What the page that is there shows, if it is one of the same objects and classes before merging."""
    payload = read_payload(before)
    try:
        if payload is None or payload["run"]["store"] != finished.run["store"]:
            return None
        if len(payload["merged"]) != len(finished.model):
            return None
        shown, shrink = carried(payload, len(finished.model)), int(payload["shrink"])
        return Shown(*shown, notes=tuple(map(str, payload["notes"])), shrunk=min(max(shrink, 1), 64))
    except (KeyError, TypeError, ValueError):
        return None
