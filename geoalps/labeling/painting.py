"""Painting: the objects of a store as a raster and as polygons, whatever their classes.

What is painted is kept in the store, so that other classes of the same objects cost seconds: ``objects.tif`` is the
product's own, ``objects.npz`` what was counted while it was painted, ``polygons.parquet`` the outlines on the map.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.grid import Tile, Window
from geoalps.io.rasters import CoreWriter, Georeference, RasterReader, block_size, check_objects, write_cog
from geoalps.io.sampling import CellAreas
from geoalps.io.store import PAINTED, UNREADABLE, Store, appearing, remove, write_json
from geoalps.labeling.outlining import outline
from geoalps.labeling.paint import FRAME, Shapes, paint
from geoalps.labeling.seam_index import seam_index
from geoalps.labeling.seams import Objects
from geoalps.labeling.tasks import InOrder, Stage, Workers
from geoalps.progress import Progress

COUNTED = "objects.npz"
SLIVER = 24
"""Pixels: pieces of objects below this go to a neighbour when nothing else is said."""
HELD = 64
"""Tiles whose segments a worker keeps at hand: each is needed for the nine cores around it."""


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

    def sliver(self, pixel: float) -> int:
        """Pixels below which a piece goes to a neighbour, for pixels of so many square metres."""
        return SLIVER if self.min_area is None else math.ceil(self.min_area / pixel)


@dataclass(frozen=True, eq=False)
class Painted:
    """What was painted, indexed by object id; [0] is nobody."""

    pixels: NDArray[np.int64]
    """(objects + 1,) pixels of every object."""
    area_m2: NDArray[np.float64]
    """(objects + 1,) square metres; pixels without a CRS."""
    cores: NDArray[np.uint32]
    """(objects + 1,) number of cores in which an object has pixels."""
    offsets: NDArray[np.int64]
    """(tiles + 1,) where every tile's part of ``found`` begins."""
    found: NDArray[np.uint32]
    """Ids in every core, ascending, core after core in row-major order."""

    def save(self, path: Path) -> None:
        """Write the arrays to one ``.npz`` file, which appears when it is whole."""
        with appearing(path) as part, part.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Painted:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def __len__(self) -> int:
        return int((self.pixels > 0).sum())

    def alone(self, number: int) -> NDArray[np.uint32]:
        """Ids of the objects that lie in the core of the tile of this number and in no other."""
        ids = self.found[self.offsets[number] : self.offsets[number + 1]]
        return np.asarray(ids[self.cores[ids] == 1])


@dataclass(frozen=True, eq=False)
class Canvas:
    """One core to be painted, and whose shapes reach it."""

    tile: Tile
    """Whose core."""
    ids: tuple[NDArray[np.uint32], ...]
    """Of the tile and its neighbours: the object that every segment is a shape of; 0 = not painted."""
    ranks: tuple[NDArray[np.uint32], ...]
    """The same of the painting order."""
    over: NDArray[np.int64]
    """(m, 2) pairs of these segments, counted through: where both lie, the first is painted over the second."""

    @property
    def name(self) -> str:
        """The tile's."""
        return self.tile.name


@dataclass(frozen=True, eq=False)
class Painter:
    """The function of the stage ``paint``: the object ids of a core, from the segments of the tiles around it."""

    store: Store
    cells: CellAreas
    sliver: int
    frame: int
    partition: bool

    @classmethod
    def plan(cls, store: Store, place: Georeference, options: Labelling) -> Painter:
        """How a store is painted."""
        grid, cells = store.grid, CellAreas(place.transform, place.crs)
        middle = Window(grid.shape[0] // 2, grid.shape[1] // 2, grid.shape[0] // 2 + 1, grid.shape[1] // 2 + 1)
        sliver = options.sliver(float(cells(middle).ravel()[0]))
        # a frame reaches no further than the neighbours' windows do, and holds a sliver with what surrounds it
        frame = min(max(FRAME, 2 * math.isqrt(sliver) + 16), grid.size - grid.margin)
        return cls(store, cells, sliver, frame, store.fingerprint["gate"] is None)

    def canvases(self, objects: Objects) -> Iterator[Canvas]:
        """Every core, in row-major order."""
        grid, ranks = self.store.grid, objects.ranks
        for tile in grid:
            near = np.array([grid.number(other) for other in (tile, *grid.neighbours(tile))])
            ids = [objects.of_tile(number) for number in near]
            over = objects.over_in(near)
            if not self.partition:  # a mask may lie on another by right, also where a window ends
                ids = [np.where(objects.areas[those] >= self.sliver, those, np.uint32(0)) for those in ids]
                over = over[:0]
            yield Canvas(tile, tuple(ids), tuple(ranks[those] for those in ids), over)

    def __call__(self, canvas: Canvas) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[Any], NDArray[Any]]:
        """(h, w) ids of a core; and of the ids there are, ascending: themselves, their pixels, their square metres."""
        core = canvas.tile.core
        # counting is by numbers within the canvas: objects have too many for a table a core, and sorting pixels is slow
        known, numbers = np.unique(np.append(np.concatenate(canvas.ids), np.uint32(0)), return_inverse=True)
        number = self._core(canvas, numbers[:-1].astype(np.uint32))
        cell, flat = np.broadcast_to(self.cells(core), number.shape), number.ravel()
        pixels, area = np.bincount(flat, minlength=len(known)), np.bincount(flat, cell.ravel(), len(known))
        found = np.flatnonzero(pixels)
        return known[number], known[found], pixels[found], area[found]

    def _core(self, canvas: Canvas, numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """(h, w) which number, by those of all segments of the canvas, lies where; 0 = none."""
        grid, tile = self.store.grid, canvas.tile
        window = tile.core.pad(self.frame).clip(grid.scene)
        valid = self._valid(tile, window)
        if not valid.any():
            return np.zeros(tile.core.shape, np.uint32)
        near = (tile, *grid.neighbours(tile))
        of_tiles = np.split(numbers, np.cumsum([len(ids) for ids in canvas.ids])[:-1])
        parts = [self._shapes(*each) for each in zip(near, of_tiles, canvas.ranks, strict=True)]
        place = np.cumsum(numbers > 0) - 1  # of the segments that are painted
        shapes = replace(Shapes.join(parts), over=place[canvas.over])
        painted = paint(shapes, window, valid, fill=self.partition, sliver=self.sliver if self.partition else 0)
        return painted[tile.core.slices(window)]

    def _shapes(self, tile: Tile, ids: NDArray[np.uint32], ranks: NDArray[np.uint32]) -> Shapes:
        """The shapes of one tile's segments that are painted, in the scene."""
        kept = np.flatnonzero(ids)
        segments = self._segments(tile).take(kept).shift(tile.window.row0, tile.window.col0)
        return Shapes(segments, ids[kept], ranks[kept])

    @cached_property
    def _segments(self) -> Any:
        return lru_cache(maxsize=HELD)(self.store.read_segments)

    def _valid(self, tile: Tile, window: Window) -> NDArray[np.bool_]:
        """(h, w) bool of a window around a core; from the neighbours too where the margin is too narrow."""
        valid = np.zeros(window.shape, bool)
        near = [tile] if window in tile.window else [tile, *self.store.grid.neighbours(tile)]
        for other in near:
            common = window.clip(other.window)
            if common.area:
                valid[common.slices(window)] |= self.store.read_valid(other)[common.slices(other.window)]
        # what could not be segmented stays uncovered, whatever the neighbours saw there
        own = tile.core.slices(window)
        valid[own] &= self.store.read_valid(tile)[tile.core.slices(tile.window)]
        return valid


def paint_store(
    store: Store, objects: Objects, options: Labelling, workers: Workers, progress: Progress
) -> tuple[Painted, Mapping[str, Any]]:
    """Paint and outline a store's objects, as far as that is not done yet.

    Returns:
        What was counted, and the seam index with its parts.

    Raises:
        ProductError: the files cannot be written.
    """
    place = Georeference.from_json(store.fingerprint["scene"])
    painter, folder = Painter.plan(store, place, options), store.path / PAINTED
    raster, told = folder / "objects.tif", folder / "objects.json"
    description = _read_json(told)
    painted = _kept(folder, description, progress) if description.get("sliver") == painter.sliver else None
    if painted is None:
        # the description goes first and comes last: what it describes is whole
        remove(told)
        remove(folder)
        folder.mkdir()
        painted = _paint_all(painter, objects, place, raster, workers, progress)
        painted.save(folder / COUNTED)
        with RasterReader(raster) as reader:
            seams = asdict(seam_index(reader.read, store.grid))
        description = {"sliver": painter.sliver, "seam_index": seams, "raster": _state(raster)}
        write_json(told, description)
    outline(folder, painted, store.grid, place, options.simplify, workers, progress)
    return painted, description["seam_index"]


def _state(file: Path) -> list[int]:
    """Bytes and time of the last change, in nanoseconds."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _kept(folder: Path, description: Mapping[str, Any], progress: Progress) -> Painted | None:
    """What was counted of an object raster that is there and is what was painted; None when either is damaged."""
    raster = folder / "objects.tif"
    try:
        painted = Painted.load(folder / COUNTED)
        if description.get("raster") != _state(raster):  # changed, or copied from elsewhere
            check_objects(raster, painted.pixels)
    except UNREADABLE:
        progress.tell(f"what was painted in {folder} is damaged; it is painted again")
        return None
    return painted


def _paint_all(
    painter: Painter, objects: Objects, place: Georeference, raster: Path, workers: Workers, progress: Progress
) -> Painted:
    """Write the object raster, core by core in any order, and count."""
    grid, count = painter.store.grid, len(objects) + 1
    pixels, area, cores = np.zeros(count, np.int64), np.zeros(count), np.zeros(count, np.uint32)
    there: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)] * len(grid)
    work = raster.with_name("objects.work.tif")
    with CoreWriter(work, place, "uint32", 0, block_size(grid.size)) as file:

        def add(canvas: Canvas, counts: Any) -> None:
            """Add up what is in one core."""
            found, amount, metres = (values[counts[0] > 0] for values in counts)
            there[grid.number(canvas.tile)] = found
            pixels[found] += amount
            cores[found] += 1
            area[found] += metres

        # in order: sums of square metres are rounded, and their order must not depend on the workers
        ordered = InOrder(add, lambda canvas: grid.number(canvas.tile))

        def take(canvas: Canvas, core: Any) -> None:
            """Write one core, whenever it comes."""
            file.write(canvas.tile.core, core[0])
            ordered(canvas, core[1:])

        progress.start("paint", len(grid))
        workers.run_stage(Stage("paint", painter, take), painter.canvases(objects), progress)
    write_cog(work, raster, "nearest")
    work.unlink()
    check_objects(raster, pixels)
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in there])]).astype(np.int64)
    return Painted(pixels, area, cores, offsets, np.concatenate(there))


def _read_json(path: Path) -> dict[str, Any]:
    """What a description says; nothing when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
