"""Examples: the objects that stand for the classes of a product, chosen in one walk over the tiles.

Typical are those nearest to the centre of their class, borderline those with the least confidence; ties go to the lower
id. The points on the map of the embeddings are drawn by a hash of their ids. Nothing depends on the order of tiles or
on the workers. Of the embeddings, what is held grows with the classes and not with the scene; of the objects, only
their numbers and classes are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import TileGrid
from geoalps.io.store import Store
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.embedding_map import projected
from geoalps.labeling.objects import ObjectEmbeddings
from geoalps.labeling.seams import Objects

MOST_EXAMPLES, EACH = 240, 6
"""Typical objects of all classes together, about, and of one class; as many borderline ones."""
MOST_CLASSES = 400
"""Classes that have examples, the commonest of them: a page of more would be too large, and nobody looks at it."""
POINTS, POINTS_EACH = 400, 3
"""Of the map of the embeddings, about, and of a class that has as many objects, at least."""
LARGEST_BOX = 1024
"""Pixels along a side above which an object of several pieces is shown by its largest."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Of every class the few objects with the smallest values; ties by id."""

    each: int
    class_id: NDArray[np.int64]
    """(n,) ascending."""
    value: NDArray[np.float64]
    """(n,) ascending within a class."""
    object_id: NDArray[np.int64]
    """(n,)."""

    @classmethod
    def nobody(cls, each: int) -> Ranked:
        """Before the first batch."""
        return cls(each, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))

    def with_batch(
        self, class_id: NDArray[np.int64], value: NDArray[np.floating], object_id: NDArray[np.int64]
    ) -> Ranked:
        """After (n,) classes, values and ids more."""
        classes = np.concatenate([self.class_id, class_id])
        values = np.concatenate([self.value, np.asarray(value, np.float64)])
        ids = np.concatenate([self.object_id, object_id])
        order = np.lexsort((ids, values, classes))
        kept = order[places(classes[order]) < self.each]
        return Ranked(self.each, classes[kept], values[kept], ids[kept])

    def by_class(self) -> dict[int, tuple[int, ...]]:
        """Class -> ids, the smallest value first."""
        found: dict[int, tuple[int, ...]] = {}
        for number in np.unique(self.class_id):
            found[int(number)] = tuple(self.object_id[self.class_id == number].tolist())
        return found


def places(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how many come before each in its group, for ascending groups."""
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(begins, np.diff(begins, append=len(groups)))


@dataclass(frozen=True, eq=False)
class Examples:
    """The objects that stand for the classes before merging."""

    typical: dict[int, tuple[int, ...]]
    """Class -> ids, the nearest to the centre first."""
    borderline: dict[int, tuple[int, ...]]
    """Class -> ids, the least confident first."""
    points: tuple[tuple[int, int, float, float, float], ...]
    """Object id, class, confidence, x and y in 0..1."""
    projection: str
    """``t-SNE`` or ``PCA``."""

    @property
    def pictured(self) -> list[int]:
        """Ids of all of them, ascending."""
        shown = {number for ids in (*self.typical.values(), *self.borderline.values()) for number in ids}
        return sorted(shown | {point[0] for point in self.points})


def choose(
    store: Store, objects: Objects, model: ClassModel, ids: NDArray[np.int64], fitted: NDArray[np.int64]
) -> Examples:
    """Choose the examples and the points, and give the points their places.

    Args:
        store: where the embeddings are.
        objects: of the store.
        model: its centres.
        ids: (n,) of the objects that were painted, ascending.
        fitted: (n,) their classes before merging.
    """
    each = min(max(MOST_EXAMPLES // max(len(model), 1), 1), EACH)
    typical = borderline = Ranked.nobody(each)
    there = np.zeros(len(objects) + 1, bool)
    there[ids] = True
    wanted = np.zeros(len(objects) + 1, bool)
    wanted[drawn(ids, fitted)] = True
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]] = []
    for numbers, values in ObjectEmbeddings.open(store, objects) if len(ids) else ():
        painted = there[numbers]
        here, x = numbers[painted], model.normalised(values[painted])
        located = model.centres.locate(x)
        typical = typical.with_batch(located.class_id, located.distance, here)
        borderline = borderline.with_batch(located.class_id, located.confidence, here)
        point = wanted[here]
        found.append((here[point], located.class_id[point], located.confidence[point], x[point]))
    points, projection = _placed(found)
    common = set(np.argsort(-np.bincount(fitted), kind="stable")[:MOST_CLASSES].tolist())
    shown = [
        {number: ids for number, ids in ranked.by_class().items() if number in common}
        for ranked in (typical, borderline)
    ]
    return Examples(shown[0], shown[1], points, projection)


def drawn(ids: NDArray[np.int64], fitted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids of the points, ascending: the same share of every class by chance, but some of each.

    Args:
        ids: (n,) objects.
        fitted: (n,) their classes.
    """
    chance = _hash(ids)
    order = np.lexsort((ids, chance, fitted))
    first = np.zeros(len(ids), bool)
    least = max(1, min(POINTS_EACH, POINTS // max(len(np.unique(fitted)), 1)))
    first[order] = places(fitted[order]) < least
    # the others by chance alone, after those that every class is due
    order = np.lexsort((ids, chance, ~first))
    return np.sort(ids[order[:POINTS]])


def _hash(ids: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(n,) numbers as if drawn at random, one for each id (splitmix64)."""
    z = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _placed(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]],
) -> tuple[tuple[tuple[int, int, float, float, float], ...], str]:
    """Points by id, with their places, from (ids, classes, confidences, embeddings) of every tile."""
    some = [part for part in found if len(part[0])]
    if not some:
        return (), "PCA"
    ids, classes, confidence, x = (np.concatenate(column) for column in zip(*some, strict=True))
    order = np.argsort(ids)
    xy, projection = projected(x[order])
    rows = zip(ids[order].tolist(), classes[order].tolist(), confidence[order].tolist(), xy.tolist(), strict=True)
    return tuple((i, c, round(p, 4), round(at[0], 5), round(at[1], 5)) for i, c, p, at in rows), projection


def boxes_of(store: Store, objects: Objects, ids: Iterable[int]) -> dict[int, NDArray[np.int64]]:
    """Object id -> (4,) box in the scene, from the segments; of a large object of several pieces, of its largest."""
    wanted = np.zeros(len(objects) + 1, bool)
    wanted[list(ids)] = True
    places_of = np.flatnonzero(wanted[objects.of_segment])
    grid, tiles = store.grid, np.searchsorted(objects.offsets, places_of, "right") - 1
    pieces: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
    for number in np.unique(tiles):
        mine = places_of[tiles == number]
        for place, box in zip(mine, _boxes(store, grid, int(number), mine - objects.offsets[number]), strict=True):
            pieces.setdefault(int(objects.of_segment[place]), []).append((int(objects.segment_areas[place]), box))
    return {number: _box(parts) for number, parts in sorted(pieces.items())}


def _boxes(store: Store, grid: TileGrid, number: int, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 4) boxes in the scene of some segments of a tile."""
    tile = grid[number // grid.cols, number % grid.cols]
    corner = np.array([tile.window.row0, tile.window.col0] * 2, np.int64)
    return np.asarray(store.read_segments(tile).boxes_of(which) + corner, np.int64)


def _box(parts: Sequence[tuple[int, NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The box of all pieces (area, box), or of the largest where that would be too wide."""
    every = np.stack([box for _, box in parts])
    whole = np.concatenate([every[:, :2].min(0), every[:, 2:].max(0)])
    if (whole[2:] - whole[:2]).max() <= LARGEST_BOX:
        return whole
    return max(parts, key=lambda part: (part[0], *(-part[1]).tolist()))[1]
