"""Seams: which segments of neighbouring tiles are one object, and whose shape it takes.

Ownership is of objects, not of pixels, so that no object is cut by a ruler. Two tiles see a common *band* (the
overlap of their windows). Segments of the two match when they agree there, IoU > 0.6, and when each is cut where the
other runs on: what ends inside its window is not one with what goes on beyond it. Matched segments are one object:

* an object that some tile saw whole takes that tile's shape; a tile whose core holds the centre goes first;
* an object that every tile saw cut is the union of its pieces, painted below what some tile saw whole;
* a whole segment that nobody matched is an object of the tile whose core holds its centre, and dropped by any other;
* a cut segment that nobody matched lies under everything else, united with the unmatched cut segments of other tiles
  that it overlaps: nobody knows where such ground ends, and the one certain thing is that it does not end at a window.

Matching is symmetric and the groups are connected components, so nothing depends on the order of tiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.store import appearing
from geoalps.segments import Segments

NORTH, SOUTH, WEST, EAST = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
LOST, PIECES, WHOLE = np.uint8(0), np.uint8(1), np.uint8(2)
"""Layers of painting: cut segments that nobody matched, unions of pieces, shapes that a tile saw whole. Only the first
two have borders where a window ends, and what was seen whole hides them."""
OVERLAP = 0.5
"""Share of the smaller one's part of the band that two cut segments must share to be one piece of ground."""
AGREEMENT = 0.7
"""IoU in the band above which two segments are of one object. Above one half, a partition's segment has one partner; at
one half, segments that merely share most of a band chain up to objects that nobody saw."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What is left of a tile's segments once their masks are put away; a few bytes each."""

    areas: NDArray[np.int32]
    """(n,) pixels."""
    scores: NDArray[np.float32]
    """(n,) the segmenter's."""
    cuts: NDArray[np.uint8]
    """(n,) sides of the window, scene border aside, that the segment touches: sum of NORTH, SOUTH, WEST, EAST."""
    centred: NDArray[np.bool_]
    """(n,) whether the tile's core holds the segment's centre."""

    @classmethod
    def of(cls, tile: Tile, segments: Segments, scene: Window) -> Sight:
        """Sight of one tile's segments, given in the frame of its window."""
        window, core, boxes = tile.window, tile.core, segments.boxes
        cuts = np.zeros(len(segments), np.uint8)
        cuts |= NORTH * ((boxes[:, 0] == 0) & (window.row0 > scene.row0))
        cuts |= SOUTH * ((boxes[:, 2] == window.height) & (window.row1 < scene.row1))
        cuts |= WEST * ((boxes[:, 1] == 0) & (window.col0 > scene.col0))
        cuts |= EAST * ((boxes[:, 3] == window.width) & (window.col1 < scene.col1))
        row, col = segments.centres.T + np.array([[window.row0], [window.col0]])
        centred = (core.row0 <= row) & (row < core.row1) & (core.col0 <= col) & (col < core.col1)
        return cls(segments.areas.astype(np.int32), segments.scores, cuts, centred)


@dataclass(frozen=True, eq=False)
class Matches:
    """Segments of two tiles that are of one object, by the tiles' own numbering."""

    first: NDArray[np.int32]
    """(m,) segment of the first tile."""
    second: NDArray[np.int32]
    """(m,) segment of the second tile."""
    common: NDArray[np.int32]
    """(m,) pixels both cover."""
    agree: NDArray[np.bool_]
    """(m,) True where they agree; else both are cut where the tiles meet and share most of the smaller one's band."""


def forward_neighbours(grid: TileGrid, tile: Tile) -> list[Tile]:
    """The neighbours with which a tile is compared: each pair of tiles once."""
    return [other for other in grid.neighbours(tile) if (other.row, other.col) > (tile.row, tile.col)]


def match(tile: Tile, segments: Segments, other: Tile, others: Segments, scene: Window) -> Matches:
    """Match the segments of two neighbouring tiles, each in the frame of its own window."""
    band = tile.window.clip(other.window)
    one = segments.shift(tile.window.row0 - band.row0, tile.window.col0 - band.col0).clip(Window(0, 0, *band.shape))
    two = others.shift(other.window.row0 - band.row0, other.window.col0 - band.col0).clip(Window(0, 0, *band.shape))
    first, second, common = overlaps(one, two, band)
    union = one.areas[first] + two.areas[second] - common
    facing = _facing(tile, other)
    cut = (Sight.of(tile, segments, scene).cuts & facing[0]) > 0, (Sight.of(other, others, scene).cuts & facing[1]) > 0
    runs_on = segments.areas > one.areas, others.areas > two.areas
    agree = (common > AGREEMENT * union) & (cut[1][second] | ~runs_on[0][first]) & (cut[0][first] | ~runs_on[1][second])
    ground = cut[0][first] & cut[1][second] & (common > OVERLAP * np.minimum(one.areas[first], two.areas[second]))
    keep = agree | ground
    narrow = [values[keep].astype(np.int32) for values in (first, second, common)]
    return Matches(narrow[0], narrow[1], narrow[2], agree[keep])


def overlaps(
    one: Segments, two: Segments, frame: Window
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of segments with pixels in common, in one frame: indices into both, and the number of pixels."""

    def incidence(segments: Segments) -> csr_array:
        """(segments, pixels) ones where a segment covers a pixel."""
        index, pixel = segments.pixels(frame.width)
        shape = (len(segments), frame.area)
        return csr_array(coo_array((np.ones(len(index), np.int64), (index, pixel)), shape))

    both = coo_array(incidence(one) @ incidence(two).T)
    order = np.lexsort((both.col, both.row))
    return both.row[order].astype(np.int64), both.col[order].astype(np.int64), both.data[order]


def _facing(tile: Tile, other: Tile) -> tuple[np.uint8, np.uint8]:
    """Sides of each tile's window that lie inside the other's."""
    ours, theirs = np.uint8(0), np.uint8(0)
    if other.row != tile.row:
        ours, theirs = (ours | SOUTH, theirs | NORTH) if other.row > tile.row else (ours | NORTH, theirs | SOUTH)
    if other.col != tile.col:
        ours, theirs = (ours | EAST, theirs | WEST) if other.col > tile.col else (ours | WEST, theirs | EAST)
    return ours, theirs


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of a scene and which segments paint them."""

    offsets: NDArray[np.int64]
    """(tiles + 1,) where every tile's segments begin in the scene-wide numbering."""
    of_segment: NDArray[np.uint32]
    """(segments,) the object a segment is a shape of; 0 when it is not painted."""
    segment_areas: NDArray[np.int32]
    """(segments,) pixels of every segment."""
    areas: NDArray[np.int64]
    """(objects + 1,) pixels before painting; [0] is nobody."""
    layers: NDArray[np.uint8]
    """(objects + 1,) how sure the shape is: LOST, PIECES or WHOLE; what is surer is painted over what is not."""
    scores: NDArray[np.float32]
    """(objects + 1,) area-weighted mean of the segments' scores."""

    def __len__(self) -> int:
        return len(self.areas) - 1

    def save(self, path: Path) -> None:
        """Write the arrays to one ``.npz`` file, which appears when it is whole."""
        with appearing(path) as part, part.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Objects:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def of_tile(self, number: int) -> NDArray[np.uint32]:
        """(n,) object ids of the segments of the tile with this row-major number."""
        return self.of_segment[self.offsets[number] : self.offsets[number + 1]]

    @property
    def ranks(self) -> NDArray[np.uint32]:
        """(objects + 1,) painting order: by layer, then from large to small; ties by id."""
        order = np.lexsort((np.arange(len(self.areas)), -self.areas, self.layers))
        ranks = np.empty(len(order), np.uint32)
        ranks[order] = np.arange(len(order), dtype=np.uint32)
        return ranks


def stitch(sights: list[Sight], matches: Iterable[tuple[int, int, Matches]]) -> Objects:
    """Decide on the objects of a scene.

    Args:
        sights: of every tile, in row-major order.
        matches: (number of the first tile, number of the second tile, their matches), in any order.

    Returns:
        Objects numbered from 1 by the position of their first segment; the same for any order of the matches.
    """
    offsets = np.concatenate([[0], np.cumsum([len(sight.areas) for sight in sights])]).astype(np.int64)
    count = int(offsets[-1])
    areas = np.concatenate([sight.areas for sight in sights])
    scores = np.concatenate([sight.scores for sight in sights])
    cuts = np.concatenate([sight.cuts for sight in sights])
    centred = np.concatenate([sight.centred for sight in sights])
    pairs = [np.stack([offsets[a] + m.first, offsets[b] + m.second, m.common, m.agree]) for a, b, m in matches]
    first, second, common, agree = np.concatenate([np.zeros((4, 0), np.int64), *pairs], 1)
    whole, strong = cuts == 0, agree > 0
    group = _components(first[strong], second[strong], count)
    alone = (np.bincount(group, minlength=count) == 1)[group]
    lost = alone & ~whole  # cut by their window, and nobody agrees
    used = strong | (lost[first] & lost[second])
    first, second, common = first[used], second[used], common[used]
    group = _components(first, second, count)
    seen_whole = np.bincount(group[whole], minlength=count) > 0
    painted = np.where(seen_whole[group], _representatives(group, whole, centred, areas), True)
    painted &= ~(alone & whole & ~centred)
    layers = np.where(lost, LOST, np.where(seen_whole[group], WHOLE, PIECES))
    return _number(offsets, group, painted, areas, scores, layers, (first, common))


def _components(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """(count,) number of the connected component of every segment."""
    links = coo_array((np.ones(len(first), np.int8), (first, second)), (count, count))
    return np.asarray(connected_components(links, directed=False)[1])


def _representatives(
    group: NDArray[np.int32], whole: NDArray[np.bool_], centred: NDArray[np.bool_], areas: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """(segments,) True for the one segment of each group that saw the object whole and best: centred, then largest."""
    order = np.lexsort((np.arange(len(group)), -areas, ~centred, ~whole, group))
    best = np.zeros(len(group), bool)
    if len(order):
        best[order[np.concatenate([[True], np.diff(group[order]) > 0])]] = True
    return best


def _number(
    offsets: NDArray[np.int64],
    group: NDArray[np.int32],
    painted: NDArray[np.bool_],
    areas: NDArray[np.int32],
    scores: NDArray[np.float32],
    layers: NDArray[np.uint8],
    matched: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Objects:
    """Ids for the painted groups, and what the objects weigh."""
    kept, first_seen, inverse = np.unique(group[painted], return_index=True, return_inverse=True)
    number = np.empty(len(kept), np.uint32)
    number[np.argsort(first_seen, kind="stable")] = np.arange(1, len(kept) + 1, dtype=np.uint32)
    of_segment = np.zeros(len(group), np.uint32)
    of_segment[painted] = number[inverse]
    count = len(kept) + 1
    weight = np.where(painted, areas, 0)
    total = np.bincount(of_segment, weight, count)
    mean = np.bincount(of_segment, weight * scores, count) / np.maximum(total, 1)
    # a union counts what its pieces have in common once; exact for two pieces, an estimate where three meet
    first, common = matched
    union = total - np.bincount(of_segment[first], np.where(painted[first], common, 0), count)
    largest = np.zeros(count)
    np.maximum.at(largest, of_segment, weight)
    layer = np.zeros(count, np.uint8)
    layer[of_segment[painted]] = layers[painted]
    total = np.where(np.bincount(of_segment[painted], minlength=count) > 1, np.maximum(union, largest), total)
    total[0], mean[0] = 0, 0
    return Objects(offsets, of_segment, areas, total.astype(np.int64), layer, mean.astype(np.float32))
