"""Labelling: classes to objects, objects to pixels, pixels to polygons, all into one product."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from geoalps.errors import OptionError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.geopackage import write_geopackage
from geoalps.io.polygons import Geometries, polygonise, simplify_coverage, to_map
from geoalps.io.product import CoreWriter, Georeference, Product, block_size, check_rasters, publish, write_cog
from geoalps.io.sampling import CellAreas
from geoalps.io.store import Store, write_json
from geoalps.io.style import ClassRow, category_names_pam
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.objects import ObjectEmbeddings, stitch_store
from geoalps.labeling.paint import FRAME, Shapes, paint
from geoalps.labeling.seam_index import seam_index
from geoalps.labeling.seams import Objects
from geoalps.labeling.tasks import Progress, Silence, run_tiles

SLIVER = 24
"""Pixels: pieces of objects below this go to a neighbour when nothing else is said."""
VECTOR_WINDOW = 4096
"""Side in pixels of the windows that are turned into polygons at a time."""
PACKAGES = ("dask", "higra", "numpy", "pyogrio", "rasterio", "scikit-image", "scipy", "shapely", "torch")


@dataclass(frozen=True)
class Labelling:
    """Options that do not touch the tiles."""

    min_area: float | None = None
    """Square metres (pixels without a CRS); None is SLIVER pixels."""
    simplify: float = 0.0
    """Metres (pixels without a CRS)."""

    def __post_init__(self) -> None:
        for name in ("min_area", "simplify"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(f"{name.replace('_', '-')} is {value:g}; allowed is 0 and above")


@dataclass(eq=False)
class _Stopwatch:
    """Seconds of every stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True, eq=False)
class _Classified:
    """What is known of every object, indexed by its id; [0] is nobody."""

    class_id: NDArray[np.int64]
    confidence: NDArray[np.float32]
    pixels: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    score: NDArray[np.float32]


def write_product(
    store: Store,
    model: ClassModel,
    folder: Path,
    building: Path,
    options: Labelling,
    workers: int | None,
    progress: Progress | None,
    provenance: Mapping[str, Any],
) -> Product:
    """Make all files of a product in ``building`` and move them to ``folder``; see :func:`geoalps.label`."""
    progress, watch = progress or Silence(), _Stopwatch()
    place = Georeference.from_json(store.fingerprint["scene"])
    objects = stitch_store(store, workers, progress)
    with watch("classify"):
        class_id, confidence = _classify(store, objects, model)
    with watch("paint"):
        painter = _Painter.plan(store, objects, place, options)
        pixels, area = _paint_all(painter, class_id, model, building, workers, progress)
    known = _Classified(class_id, confidence, pixels, area, objects.scores)
    rows = _class_rows(model, known)
    with watch("polygons"):
        progress.start("polygons", int((pixels > 0).sum()))
        write_geopackage(
            building / "labels.gpkg",
            _map_polygons(building / "objects.work.tif", place, options, known, progress),
            {name: getattr(known, name) for name in ("class_id", "score", "confidence", "area_m2")},
            rows,
            place.crs,
            total=int((pixels > 0).sum()),
        )
    with watch("rasters"):
        progress.start("rasters", 2)
        for name, resampling in (("objects", "nearest"), ("labels", "mode")):
            write_cog(building / f"{name}.work.tif", building / f"{name}.tif", resampling)
            progress.advance()
        check_rasters(building, pixels, _class_values(class_id, model))
        (building / "labels.tif.aux.xml").write_text(category_names_pam(rows), encoding="utf-8")
    with watch("seam_index"):
        seams = seam_index(_reader(building / "objects.work.tif"), store.grid)
    model.save(building)
    seconds = {**provenance.get("seconds", {}), **watch.seconds}
    counts = {"objects": int((pixels > 0).sum()), **_tile_counts(store)}
    found = {"on": seams.on, "beside": seams.beside, "lines": seams.lines, "index": seams.index}
    run = {
        "geoalps": _version("geoalps"),
        "scene": dict(store.fingerprint["scene"]),
        "n_classes": len(model),
        **provenance,
        "options": {**asdict(options), **{key: store.fingerprint[key] for key in ("grid", "gate", "encoder")}},
        "segmenter": store.adapted or store.fingerprint["segmenter"],
        "stretch": store.fingerprint["stretch"],
        "counts": counts,
        "seam_index": found,
        "seconds": seconds,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }
    write_json(building / "run.json", run)
    for name in ("objects", "labels"):
        (building / f"{name}.work.tif").unlink()
    publish(building, folder)
    return Product(folder)


def _classify(store: Store, objects: Objects, model: ClassModel) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(objects + 1,) class ids and confidences."""
    class_id = np.zeros(len(objects) + 1, np.int64)
    confidence = np.zeros(len(objects) + 1, np.float32)
    for ids, values in ObjectEmbeddings.open(store, objects):
        class_id[ids], confidence[ids] = model.assign(values)
    return class_id, confidence


@dataclass(frozen=True, eq=False)
class _Painter:
    """Paints cores from the store."""

    store: Store
    objects: Objects
    ranks: NDArray[np.int64]
    cells: CellAreas
    sliver: int
    frame: int
    partition: bool

    @classmethod
    def plan(cls, store: Store, objects: Objects, place: Georeference, options: Labelling) -> _Painter:
        grid, cells = store.grid, CellAreas(place.transform, place.crs)
        middle = Window(grid.shape[0] // 2, grid.shape[1] // 2, grid.shape[0] // 2 + 1, grid.shape[1] // 2 + 1)
        pixel = float(cells(middle).ravel()[0])
        sliver = SLIVER if options.min_area is None else math.ceil(options.min_area / pixel)
        # a frame reaches no further than the neighbours' windows do, and holds a sliver with what surrounds it
        frame = min(max(FRAME, 2 * math.isqrt(sliver) + 16), grid.size - grid.margin)
        return cls(store, objects, objects.ranks, cells, sliver, frame, store.fingerprint["gate"] is None)

    def paint(self, tile: Tile, shapes: Any) -> NDArray[np.uint32]:
        """(h, w) object ids of a tile's core; ``shapes`` gives a tile's shapes in the scene."""
        grid = self.store.grid
        window = tile.core.pad(self.frame).clip(grid.scene)
        valid = self._valid(tile, window)
        if not valid.any():
            return np.zeros(tile.core.shape, np.uint32)
        joined = Shapes.join([shapes(near) for near in (tile, *grid.neighbours(tile))])
        if not self.partition:
            joined = joined.larger_than(self.objects.areas, self.sliver)
        ids = paint(joined, window, valid, fill=self.partition, sliver=self.sliver if self.partition else 0)
        return ids[tile.core.slices(window)]

    def shapes(self, tile: Tile) -> Shapes:
        """The shapes of one tile's segments that are painted, in the scene."""
        ids = self.objects.of_tile(tile.row * self.store.grid.cols + tile.col)
        kept = np.flatnonzero(ids)
        segments = self.store.read_segments(tile).take(kept).shift(tile.window.row0, tile.window.col0)
        return Shapes(segments, ids[kept], self.ranks[ids[kept]])

    def _valid(self, tile: Tile, window: Window) -> NDArray[np.bool_]:
        """(h, w) bool of a window around a core; from the neighbours too where the margin is too narrow."""
        valid = np.zeros(window.shape, bool)
        near = [tile] if window in tile.window else [tile, *self.store.grid.neighbours(tile)]
        for other in near:
            common = window.clip(other.window)
            if common.area:
                valid[common.slices(window)] |= self.store.read_valid(other)[common.slices(other.window)]
        return valid


def _paint_all(
    painter: _Painter,
    class_id: NDArray[np.int64],
    model: ClassModel,
    building: Path,
    workers: int | None,
    progress: Progress,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Write both working rasters; (objects + 1,) painted pixels and square metres of every object."""
    store, grid = painter.store, painter.store.grid
    place = Georeference.from_json(store.fingerprint["scene"])
    lookup = _class_values(class_id, model)
    uncovered = int(lookup[0])
    pixels, area = np.zeros(len(class_id), np.int64), np.zeros(len(class_id))
    shapes = lru_cache(maxsize=4 * (grid.cols + 2) if grid.cols < 64 else 256)(painter.shapes)
    block = block_size(grid.size)
    with (
        CoreWriter(building / "objects.work.tif", place, "uint32", 0, block) as object_file,
        CoreWriter(building / "labels.work.tif", place, lookup.dtype.name, uncovered, block) as label_file,
    ):
        label_file.colours(_colour_table(model, uncovered))

        def step(tile: Tile) -> tuple[NDArray[np.uint32], NDArray[Any], NDArray[Any]]:
            ids = painter.paint(tile, shapes)
            object_file.write(tile.core, ids)
            label_file.write(tile.core, lookup[ids])
            found, where = np.unique(ids, return_inverse=True)
            cell = np.broadcast_to(painter.cells(tile.core), ids.shape)
            flat = where.ravel()
            return found, np.bincount(flat, minlength=len(found)), np.bincount(flat, cell.ravel(), len(found))

        for found, count, metres in run_tiles("paint", step, list(grid), workers, progress):
            pixels[found] += count
            area[found] += metres
    pixels[0], area[0] = 0, 0
    return pixels, area


def _class_values(class_id: NDArray[np.int64], model: ClassModel) -> NDArray[Any]:
    """(objects + 1,) what ``labels.tif`` holds for every id: uint8, or uint16 above 255 classes; [0] is uncovered."""
    wide = len(model) > 255
    values = class_id.astype(np.uint16 if wide else np.uint8)
    values[0] = 65535 if wide else 255
    return values


def _colour_table(model: ClassModel, uncovered: int) -> dict[int, tuple[int, int, int, int]]:
    table = {entry.class_id: (*bytes.fromhex(entry.colour.lstrip("#")), 255) for entry in model.classes}
    return {**table, uncovered: (0, 0, 0, 0)}


def _class_rows(model: ClassModel, known: _Classified) -> list[ClassRow]:
    there = known.pixels > 0
    count = np.bincount(known.class_id[there], minlength=len(model))
    area = np.bincount(known.class_id[there], known.area_m2[there], len(model))
    return [
        ClassRow(c.class_id, c.class_name, c.colour, int(count[c.class_id]), float(area[c.class_id]))
        for c in model.classes
    ]


def _map_polygons(
    raster: Path, place: Georeference, options: Labelling, known: _Classified, progress: Progress
) -> Iterator[tuple[NDArray[np.uint32], Geometries]]:
    """Batches of ids and polygons in map coordinates; one batch of everything when they are simplified."""
    windows = TileGrid(place.shape, VECTOR_WINDOW, 0)
    batches = polygonise(raster, [tile.core for tile in windows])
    if options.simplify:
        parts = list(batches)
        if parts:
            ids, geometries = (np.concatenate([part[i] for part in parts]) for i in range(2))
            pixel = math.sqrt(known.area_m2.sum() / max(int(known.pixels.sum()), 1))
            batches = iter([(ids, simplify_coverage(geometries, options.simplify / pixel))])
    for ids, geometries in batches:
        yield ids, to_map(geometries, place.transform)
        progress.advance(len(ids))


def _reader(raster: Path) -> Any:
    """Reads windows of a one-band raster."""
    source = rasterio.open(raster)

    def read(window: Window) -> NDArray[Any]:
        values: NDArray[Any] = source.read(
            1, window=RasterioWindow(window.col0, window.row0, window.width, window.height)
        )
        return values

    return read


def _tile_counts(store: Store) -> dict[str, int]:
    """Totals over the tiles: tiles, segments dropped as empty and by the gate."""
    infos = [store.read_info(tile) for tile in store.grid]
    return {"tiles": len(infos), **{name: sum(info[name] for info in infos) for name in ("empty", "gated")}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
