"""Seams: which segments of neighbouring tiles are one object, and whose shape it takes.

Ownership is of objects, not of pixels, so that no object is cut by a ruler. Two tiles see a common *band* (the
overlap of their windows). Segments of the two match when they agree there, IoU > 0.7, and when each is cut where the
other runs on: what ends inside its window is not one with what goes on beyond it. Matched segments are one object:

* an object that some tile saw whole takes that tile's shape, unless the pieces that others saw are larger: a whole is
  no smaller than its parts; a tile whose core holds the centre goes first;
* an object that every tile saw cut is the union of its pieces, painted below what some tile saw whole;
* a whole segment that nobody matched is an object of the tile whose core holds its centre, and dropped by any other;
* a cut segment that nobody matched is united with the unmatched cut segments of other tiles that it overlaps, and then
  joins the object in pieces that it overlaps most, or lies under everything else: nobody knows where such ground ends,
  and the one certain thing is that it does not end at a window.

For the same reason a piece gives way to another tile's, whatever their sizes, on the ground where it ends at its window
and the other does not; and two that run on across each other's windows are one.

Matching is symmetric and the groups are connected components, so nothing depends on the order of tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.store import appearing
from geoalps.segments import Segments, ranges

NORTH, SOUTH, WEST, EAST = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
LOST, PIECES, WHOLE = np.uint8(0), np.uint8(1), np.uint8(2)
"""Layers of painting: cut segments that nobody matched, unions of pieces, shapes that a tile saw whole. Only the first
two have borders where a window ends, and what was seen whole hides them."""
OVERLAP = 0.5
"""Share of the smaller one's part of the band that two cut segments must share to be one piece of ground."""
STRAIGHT = 24
"""Pixels of a straight border at a window's end from which on it is better to have none."""
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
    """(m,) True where they agree."""
    ground: NDArray[np.bool_]
    """(m,) True where both are cut where the tiles meet and share most of the smaller one's band."""
    ends: NDArray[np.int32]
    """(2, m) of the pixels both cover, those on the end of the first tile's window and on that of the second's."""


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
    key, ends = first * len(two) + second, np.zeros((2, len(first)), np.int64)
    for side, end in zip(facing, ends, strict=True):
        for line in _lines(Window(0, 0, *band.shape), side):
            a, b, count = overlaps(one.clip(line), two.clip(line), band)
            end[np.searchsorted(key, a * len(two) + b)] += count
    keep = agree | ground | (ends[0] != ends[1])
    narrow = [values[..., keep].astype(np.int32) for values in (first, second, common, ends)]
    return Matches(narrow[0], narrow[1], narrow[2], agree[keep], ground[keep], narrow[3])


def _lines(frame: Window, sides: np.uint8) -> Iterator[Window]:
    """The outermost rows and columns of a frame on some of its sides."""
    row0, col0, row1, col1 = frame.row0, frame.col0, frame.row1, frame.col1
    lines = {
        NORTH: Window(row0, col0, row0 + 1, col1),
        SOUTH: Window(row1 - 1, col0, row1, col1),
        WEST: Window(row0, col0, row1, col0 + 1),
        EAST: Window(row0, col1 - 1, row1, col1),
    }
    return (line for side, line in lines.items() if sides & side)


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
    over: NDArray[np.int64]
    """(n, 2) pairs of segments, sorted, of which the first lies on top of the second although its object's rank is
    lower; only with segmenters that cover everything."""

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

    def over_in(self, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """(m, 2) the pairs of ``over`` among the segments of some tiles, which are counted through in their order."""
        begin, end = self.offsets[tiles], self.offsets[tiles + 1]
        first, last = (np.searchsorted(self.over[:, 0], edge) for edge in (begin, end))
        pairs = self.over[ranges(first, last - first)]
        tile = np.searchsorted(self.offsets, pairs, "right") - 1
        base = np.full(len(self.offsets) - 1, -1)
        base[tiles] = np.cumsum(end - begin) - (end - begin)
        kept = (base[tile] >= 0).all(1)
        return np.asarray((base[tile] + pairs - self.offsets[tile])[kept])

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
    pairs = [
        np.stack([offsets[a] + m.first, offsets[b] + m.second, m.common, m.agree, m.ground, *m.ends])
        for a, b, m in matches
    ]
    first, second, common, agree, ground, *ends = np.concatenate([np.zeros((7, 0), np.int64), *pairs], 1)
    whole, used = cuts == 0, agree > 0
    group = _components(first[used], second[used], count)
    alone = (np.bincount(group, minlength=count) == 1)[group]
    lost = alone & ~whole  # cut by their window, and nobody agrees
    used |= (ground > 0) & lost[first] & lost[second]
    group = _components(first[used], second[used], count)
    best = _representatives(group, whole, centred, areas)
    union = _unions(group, areas, first[used], common[used])[group[best]]
    seen_whole = np.zeros(count, bool)
    seen_whole[group[best]] = whole[best] & (areas[best] >= AGREEMENT * union)
    seen = seen_whole[group]
    # however they are painted, one of two pieces that run on across each other's windows would end at a window
    used |= (np.minimum(*ends) >= STRAIGHT) & ~seen[first] & ~seen[second]
    group = _components(first[used], second[used], count)
    lost = _throughout(lost, group)
    # what is lost joins an object that every tile saw cut, if one of its pieces is the same ground
    mine, other = np.where(lost[first], [first, second], [second, first])
    meets = (ground > 0) & (lost[first] != lost[second]) & ~seen[other]
    group = _joined(group, mine[meets], other[meets], common[meets])
    used |= meets & (group[first] == group[second])
    lost = _throughout(lost, group)
    painted = np.where(seen, best, True) & ~(alone & whole & ~centred)
    layers = np.where(lost, LOST, np.where(seen, WHOLE, PIECES))
    objects = _number(offsets, group, painted, areas, scores, layers, (first[used], common[used]))
    return replace(objects, over=_over(objects, first, second, ends[1] - ends[0]))


def _throughout(flags: NDArray[np.bool_], group: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(segments,) True where a flag is set for all segments of a group."""
    return np.asarray((np.bincount(group[~flags], minlength=len(group)) == 0)[group])


def _over(
    objects: Objects, first: NDArray[np.int64], second: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n, 2) sorted pairs of pieces, the upper one first, where the objects' ranks say otherwise.

    Where ``ends`` is above 0, more of what both cover lies on the end of the second's window than on the first's.
    """
    pairs = np.where(ends > 0, [first, second], [second, first]).T
    upper, lower = objects.of_segment[pairs].T
    # what a tile saw whole has no border where a window ends
    cut = (np.minimum(upper, lower) > 0) & (np.maximum(objects.layers[upper], objects.layers[lower]) < WHOLE)
    pairs = pairs[(ends != 0) & cut & (objects.ranks[upper] < objects.ranks[lower])]
    return np.asarray(pairs[np.lexsort(pairs.T[::-1])])


def _joined(
    group: NDArray[np.int32], lost: NDArray[np.int64], other: NDArray[np.int64], common: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(count,) the group of every segment, once every lost group is part of the one it shares most pixels with."""
    (small, large), where = np.unique(np.stack([group[lost], group[other]]), axis=1, return_inverse=True)
    shared = np.bincount(where.ravel(), common, len(small))
    order = np.lexsort((-shared, small))
    _, most = np.unique(small[order], return_index=True)
    heir = np.arange(len(group), dtype=np.int32)
    heir[small[order][most]] = large[order][most]
    return heir[group]


def _unions(
    group: NDArray[np.int32], areas: NDArray[np.int32], first: NDArray[np.int64], common: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(count,) pixels of every group's union: what two have in common counts once; exact for two pieces."""
    largest = np.zeros(len(group))
    np.maximum.at(largest, group, areas)
    union = np.bincount(group, areas, len(group)) - np.bincount(group[first], common, len(group))
    return np.asarray(np.maximum(union, largest))


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
    over = np.zeros((0, 2), np.int64)
    return Objects(offsets, of_segment, areas, total.astype(np.int64), layer, mean.astype(np.float32), over)
