"""Object embeddings: read from the store a few tiles at a time, each object once.

An object of one segment has that segment's embedding; an object joined from pieces has their area-weighted mean. Only
the joined ones are kept apart, in a file that is read where it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Tile
from geoalps.io.store import UNREADABLE, Store, appearing, remove
from geoalps.labeling.seams import Matches, Objects, Sight, forward_neighbours, match, stitch
from geoalps.labeling.tasks import InOrder, Stage
from geoalps.labeling.workers import WorkersLike, working
from geoalps.progress import Progress, Silence

Embeddings = NDArray[np.float32]
SEAMS, JOINED = "seams.npz", "joined.npy"


@dataclass(frozen=True)
class Look:
    """The function of the stage ``stitch``: what a tile's segments are like, and which go on in the next tiles."""

    store: Store
    """Where the segments are."""

    def __call__(self, tile: Tile) -> tuple[Sight, list[tuple[int, int, Matches]]]:
        """One tile's sight, and its matches with the neighbours to the east and south, (number, number, matches)."""
        grid = self.store.grid
        segments, number = self.store.read_segments(tile), grid.number(tile)
        matches = [
            (number, grid.number(other), match(tile, segments, other, self.store.read_segments(other), grid.scene))
            for other in forward_neighbours(grid, tile)
        ]
        return Sight.of(tile, segments, grid.scene), matches


def stitch_store(store: Store, workers: WorkersLike = None, progress: Progress | None = None) -> Objects:
    """The objects of a store's scene; kept beside the tiles, so that the next caller finds them.

    Args:
        store: with a record of every tile.
        workers: see :func:`geoalps.labeling.workers.working`.
        progress: hears of every tile.

    Raises:
        StoreError: a tile is missing or cannot be read.
    """
    kept = store.path / SEAMS
    with suppress(*UNREADABLE):
        return Objects.load(kept)
    remove(kept)
    grid, progress = store.grid, progress or Silence()
    sights: list[Sight] = []
    found: list[tuple[int, int, Matches]] = []

    def take(_: Tile, look: tuple[Sight, list[tuple[int, int, Matches]]]) -> None:
        """Keep what one tile saw: some 30 bytes a segment."""
        sights.append(look[0])
        found.extend(look[1])

    progress.start("stitch", len(grid))
    sink = InOrder(take, grid.number)
    with working(workers) as at_work:
        at_work.run_stage(Stage("stitch", Look(store), sink), grid, progress)
    objects = stitch(sights, found)
    objects.save(kept)
    return objects


@dataclass(frozen=True, eq=False)
class ObjectEmbeddings:
    """The embeddings of one scene's objects."""

    store: Store
    """Where the segments' embeddings are."""
    objects: Objects
    """Which segments make up which object."""
    first: NDArray[np.int64]
    """(objects + 1,) every object's first segment, in the scene-wide numbering; -1 for [0]."""
    slot: NDArray[np.int32]
    """(objects + 1,) row of ``joined`` for objects of several pieces, -1 for others."""
    joined: NDArray[np.float64]
    """(j, channels): their area-weighted means; on disk, beside the tiles."""

    @classmethod
    def open(cls, store: Store, objects: Objects) -> ObjectEmbeddings:
        """Find the joined objects; average their pieces in one walk over the store, unless that is done."""
        count = len(objects) + 1
        first = np.full(count, -1, np.int64)
        painted = np.flatnonzero(objects.of_segment)
        # the last of equal indices stands, so that the first segment does when they come backwards
        first[objects.of_segment[painted[::-1]]] = painted[::-1]
        several = np.bincount(objects.of_segment, minlength=count) > 1
        several[0] = False
        slot = np.where(several, np.cumsum(several, dtype=np.int32) - 1, np.int32(-1))
        kept, wanted = store.path / JOINED, int(several.sum())
        with suppress(*UNREADABLE):
            joined = np.load(kept, mmap_mode="r", allow_pickle=False)
            if len(joined) == wanted:
                return cls(store, objects, first, slot, joined)
        remove(kept)
        _join(kept, store, objects, slot, wanted)
        return cls(store, objects, first, slot, np.load(kept, mmap_mode="r", allow_pickle=False))

    def _ids(self, number: int) -> NDArray[np.int64]:
        """Ids of the objects that begin in a tile, ascending."""
        ids = np.unique(self.objects.of_tile(number)).astype(np.int64)
        return np.asarray(ids[(ids > 0) & (self.first[ids] >= self.objects.offsets[number])])

    def areas_of_tile(self, number: int) -> NDArray[np.int64]:
        """(n,) pixels of the objects that begin in a tile, by their ids."""
        return np.asarray(self.objects.areas[self._ids(number)], np.int64)

    def colours_of_tile(self, number: int, tile: Tile) -> NDArray[np.uint8]:
        """(n, 3) uint8: mean colour of the first segment of every object that begins in a tile, by their ids."""
        place = self.first[self._ids(number)] - self.objects.offsets[number]
        return np.asarray(self.store.read_colours(tile)[place])

    def of_tile(self, number: int, tile: Tile) -> tuple[NDArray[np.int64], Embeddings]:
        """Ids of the objects that begin in a tile, ascending, and their (n, channels) embeddings."""
        ids = self._ids(number)
        if not len(ids):
            return ids, np.zeros((0, 0), np.float32)
        values = self.store.read_embeddings(tile)[self.first[ids] - self.objects.offsets[number]]
        of_pieces = self.slot[ids] >= 0
        if of_pieces.any():
            values[of_pieces] = self.joined[self.slot[ids][of_pieces]]
        return ids, values

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], Embeddings]]:
        """(ids, embeddings) tile after tile, tiles without objects left out."""
        for number, tile in enumerate(self.store.grid):
            ids, values = self.of_tile(number, tile)
            if len(ids):
                yield ids, values


def _join(path: Path, store: Store, objects: Objects, slot: NDArray[np.int32], count: int) -> None:
    """Write (count, channels) float64 area-weighted means of the objects that have a slot; in memory is one tile."""
    with appearing(path) as part:
        if not count:
            with part.open("wb") as file:
                np.save(file, np.zeros((0, 0)))
            return
        sums, weight = None, np.zeros(count)
        for number, tile in enumerate(store.grid):
            at = slot[objects.of_tile(number)]
            here = np.flatnonzero(at >= 0)
            if not len(here):
                continue
            area = objects.segment_areas[objects.offsets[number] + here].astype(float)
            values = store.read_embeddings(tile)[here] * area[:, None]
            if sums is None:
                sums = np.lib.format.open_memmap(part, "w+", np.float64, (count, values.shape[1]))
                _reserve(part)
            np.add.at(sums, at[here], values)
            np.add.at(weight, at[here], area)
        assert sums is not None  # noqa: S101 - a slot belongs to at least two segments
        np.divide(sums, weight[:, None], out=sums)
        sums.flush()


def _reserve(path: Path) -> None:
    """Take the space of a mapped file at once: on a disk that is full later, writing to it kills without a word."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
