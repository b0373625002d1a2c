"""Object embeddings: read from the store a few tiles at a time, each object once.

An object of one segment has that segment's embedding; an object joined from pieces has their area-weighted mean. Only
the joined ones are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Tile
from geoalps.io.store import Store
from geoalps.labeling.seams import Matches, Objects, Sight, forward_neighbours, match, stitch
from geoalps.labeling.tasks import InOrder, Progress, Silence, Stage
from geoalps.labeling.workers import WorkersLike, working

Embeddings = NDArray[np.float32]
SEAMS = "seams.npz"


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
    if kept.exists():
        return Objects.load(kept)
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
    slot: NDArray[np.int64]
    """(objects + 1,) row of ``joined`` for objects of several pieces, -1 for others."""
    joined: Embeddings
    """(j, channels) float32: their area-weighted means."""

    @classmethod
    def open(cls, store: Store, objects: Objects) -> ObjectEmbeddings:
        """Find the joined objects and average their pieces, in one walk over the store."""
        count = len(objects) + 1
        pieces = np.bincount(objects.of_segment, minlength=count)
        first = np.full(count, -1, np.int64)
        painted = np.flatnonzero(objects.of_segment)
        ids, where = np.unique(objects.of_segment[painted], return_index=True)
        first[ids] = painted[where]
        several = np.flatnonzero(pieces > 1)
        several = several[several > 0]
        slot = np.full(count, -1, np.int64)
        slot[several] = np.arange(len(several))
        return cls(store, objects, first, slot, _joined(store, objects, slot, len(several)))

    def of_tile(self, number: int, tile: Tile) -> tuple[NDArray[np.int64], Embeddings]:
        """Ids of the objects that begin in a tile, ascending, and their (n, channels) embeddings."""
        start = self.objects.offsets[number]
        ids = np.unique(self.objects.of_tile(number)).astype(np.int64)
        ids = ids[(ids > 0) & (self.first[ids] >= start)]
        if not len(ids):
            return ids, np.zeros((0, 0), np.float32)
        values = self.store.read_embeddings(tile)[self.first[ids] - start]
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


def _joined(store: Store, objects: Objects, slot: NDArray[np.int64], count: int) -> Embeddings:
    """(count, channels) float32 area-weighted means of the objects that have a slot."""
    if not count:
        return np.zeros((0, 0), np.float32)
    sums, weight = None, np.zeros(count)
    for number, tile in enumerate(store.grid):
        at = slot[objects.of_tile(number)]
        here = np.flatnonzero(at >= 0)
        if not len(here):
            continue
        area = objects.segment_areas[objects.offsets[number] + here].astype(float)
        values = store.read_embeddings(tile)[here] * area[:, None]
        sums = np.zeros((count, values.shape[1])) if sums is None else sums
        np.add.at(sums, at[here], values)
        np.add.at(weight, at[here], area)
    assert sums is not None  # noqa: S101 - a slot belongs to at least two segments
    return (sums / weight[:, None]).astype(np.float32)
