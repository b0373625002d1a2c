"""Outlines of the objects of an id raster: found in windows, closed to polygons. Arrays in, arrays and geometries out.

An object's outline is the set of pixel sides behind which another object lies. A window, given with one pixel around
it, knows the sides of its own pixels whatever its neighbours hold, so the sides of all windows together are those of
the whole raster: nothing is ever cut or merged. In a window, sides that follow one another make a path; paths end where
the outline leaves the window, and where an object meets itself at a corner, because which way to go on there depends on
the rest of the outline. :func:`geoalps.io.rings.close` takes the paths of whole objects from any number of windows.

Coordinates are (col, row) of pixel corners. Rows run downwards and the object lies on the right hand of its outline.
Headings are 0 east, 1 south, 2 west, 3 north.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order


@dataclass(frozen=True, eq=False, slots=True)
class Paths:
    """Pieces of object outlines; a piece that is a whole ring ends at its first vertex."""

    ids: NDArray[np.uint32]
    """(n,) the object of each path."""
    lengths: NDArray[np.int32]
    """(n,) vertices of each path, at least 2."""
    vertices: NDArray[np.int32]
    """(sum of lengths, 2) col, row: path after path; every one but the ends is a turn."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes held: 8 for each path and 8 for each vertex."""
        return self.ids.nbytes + self.lengths.nbytes + self.vertices.nbytes

    def take(self, index: NDArray[np.int64]) -> Paths:
        """Some of the paths, in the order of their (n,) indices."""
        lengths = self.lengths[index]
        first = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        return Paths(self.ids[index], lengths, self.vertices[ranges(first[index], lengths)])

    def by_object(self) -> Iterator[tuple[int, Paths]]:
        """The paths of each object, ids ascending; every part has memory of its own."""
        together = self.take(np.argsort(self.ids, kind="stable"))
        new = np.flatnonzero(together.ids[1:] != together.ids[:-1]) + 1
        last = np.cumsum(together.lengths, dtype=np.int64)
        paths, vertices = [0, *new.tolist(), len(self)], [0, *last[new - 1].tolist(), len(self.vertices)]
        for i, start in enumerate(paths[:-1] if len(self) else []):
            of_paths, of_vertices = slice(start, paths[i + 1]), slice(vertices[i], vertices[i + 1])
            ids, lengths = together.ids[of_paths].copy(), together.lengths[of_paths].copy()
            yield int(ids[0]), Paths(ids, lengths, together.vertices[of_vertices].copy())

    @classmethod
    def concatenate(cls, parts: Sequence[Paths]) -> Paths:
        """One after the other; at least one part is needed."""
        ids, lengths, vertices = zip(*((part.ids, part.lengths, part.vertices) for part in parts), strict=True)
        return cls(np.concatenate(ids), np.concatenate(lengths), np.concatenate(vertices))


def find(block: NDArray[np.uint32], corner: tuple[int, int] = (0, 0)) -> Paths:
    """The outlines of the pixels of one window.

    Args:
        block: (height + 2, width + 2) object ids of the window and one pixel around it, 0 for uncovered and for what
            is not in the raster.
        corner: (row, col) of the window's first pixel.
    """
    flat, wide = np.ascontiguousarray(block).ravel(), block.shape[1]
    sides = _Sides.of_block(flat, wide)
    order, lengths = walk(sides.successors(flat))
    last = np.cumsum(lengths)
    first = last - lengths
    vertices = np.empty((len(order) + len(lengths), 2), np.int32)
    end = last + np.arange(len(lengths))
    turn = np.ones(len(vertices), bool)
    turn[end] = False
    heading = sides.heading[order]
    vertices[turn] = _corner(sides.begin[order], heading, wide)
    vertices[end] = _corner(sides.end[order[last - 1]], heading[last - 1] + 1, wide)
    vertices += np.array([corner[1], corner[0]], np.int32)
    return Paths(flat[sides.begin[order[first]]], (lengths + 1).astype(np.int32), vertices)


@dataclass(frozen=True, eq=False)
class _Sides:
    """Straight pieces of outlines, as long as they are in one window. Pixels are indices into its flat block."""

    begin: NDArray[np.int64]
    """(n,) the pixel each side begins at; sides of one heading lie together, in the order of headings."""
    end: NDArray[np.int64]
    """(n,) the pixel it ends at."""
    counts: NDArray[np.int64]
    """(4,) sides of each heading."""
    wide: int
    """Width of the block."""

    @property
    def heading(self) -> NDArray[np.int64]:
        """(n,) of each side."""
        return np.repeat(np.arange(4), self.counts)

    @classmethod
    def of_block(cls, flat: NDArray[np.uint32], wide: int) -> _Sides:
        """All sides of the pixels inside of the rim of a block that is ``wide`` pixels wide."""
        inside = flat != 0
        grid = inside.reshape(-1, wide)
        grid[[0, -1]] = False
        grid[:, [0, -1]] = False
        across, along = np.ones(len(flat), bool), np.ones(len(flat), bool)
        np.not_equal(flat[wide:], flat[:-wide], out=across[wide:])
        np.not_equal(flat[1:], flat[:-1], out=along[1:])
        runs = [_runs(inside, across, along, heading, wide) for heading in range(4)]
        begin, end = zip(*runs, strict=True)
        return cls(np.concatenate(begin), np.concatenate(end), np.array([len(part) for part in begin]), wide)

    def successors(self, flat: NDArray[np.uint32]) -> NDArray[np.int64]:
        """(n,) the side that follows each when one stays at the object's pixels; -1 where a path ends."""
        right, left = np.full(len(self.begin), -1), np.full(len(self.begin), -1)
        begins_at = np.empty(len(flat), np.int32)
        bounds = [0, *np.cumsum(self.counts)]
        part = [slice(*bounds[heading : heading + 2]) for heading in range(4)]
        for heading in range(4):
            begins_at[:] = -1
            begins_at[self.begin[part[heading]]] = np.arange(bounds[heading], bounds[heading + 1])
            # Turning right one stays at the pixel, turning left one comes to the pixel ahead and to the left.
            before, after = (heading + 3) % 4, (heading + 1) % 4
            right[part[before]] = begins_at[self.end[part[before]]]
            ahead = _beside(after + 1, self.wide) + _beside(after, self.wide)
            left[part[after]] = begins_at[self.end[part[after]] + ahead]
        follow = np.where(right < 0, left, right)
        follow[(follow >= 0) & self._meets_itself(flat)[follow]] = -1
        return follow

    def _meets_itself(self, flat: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """(n,) bool, sides that begin at a corner where the object lies on the other side too, and not between."""
        behind = np.repeat([_beside(heading + 3, self.wide) for heading in range(4)], self.counts)
        left = np.repeat([_beside(heading, self.wide) for heading in range(4)], self.counts)
        ids, other = flat[self.begin], self.begin + behind
        twin: NDArray[np.bool_] = (flat[other] != ids) & (flat[other + left] == ids)
        return twin


def _beside(heading: int, wide: int) -> int:
    """From a pixel's index to that of the pixel on the left hand of a heading."""
    return (-wide, 1, wide, -1)[heading % 4]


def _runs(
    inside: NDArray[np.bool_], across: NDArray[np.bool_], along: NDArray[np.bool_], heading: int, wide: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(m,) first and last pixels of the sides of one heading.

    Args:
        inside: (n,) bool, pixels of objects in the window.
        across: (n,) bool, pixels that differ from the one above.
        along: (n,) bool, pixels that differ from the one before.
        heading: of the sides.
        wide: width of the block.
    """
    differs, step = ((across, 1), (along, wide))[heading % 2]
    breaks = (along, across)[heading % 2]
    edge = inside.copy()
    # Faces that lie ahead in memory are those that the next pixel has behind it.
    skip = max(0, _beside(heading, wide))
    edge[: len(edge) - skip] &= differs[skip:]
    begins, ends = edge.copy(), edge.copy()
    begins[step:] &= ~edge[:-step] | breaks[step:]
    ends[:-step] &= ~edge[step:] | breaks[step:]
    begin, end = np.flatnonzero(begins), np.flatnonzero(ends)
    if heading % 2:
        # Down the columns, so that firsts and lasts pair up.
        begin, end = _down(begin, wide), _down(end, wide)
    return (begin, end) if heading < 2 else (end, begin)


def _down(pixels: NDArray[np.int64], wide: int) -> NDArray[np.int64]:
    """Pixels in the order of their columns, then rows, from the order of rows; 16-bit columns are sorted by radix."""
    column = (pixels % wide).astype(np.min_scalar_type(wide))
    return pixels[np.argsort(column, kind="stable")]


def _corner(pixel: NDArray[np.int64], heading: NDArray[np.int64], wide: int) -> NDArray[np.int64]:
    """(n, 2) col, row in the window: where a side that begins at a pixel of its block begins."""
    heading = heading % 4
    row, col = np.divmod(pixel, wide)
    return np.stack([col - 1 + ((heading == 1) | (heading == 2)), row - 1 + (heading >= 2)], 1)


def walk(follow: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Elements chain after chain, and the chains' lengths.

    Args:
        follow: (n,) the successor of each element, -1 for none; nobody has two predecessors. A chain without end
            begins at its least element.
    """
    n = len(follow)
    if not n:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    label = components(follow)
    linked = np.flatnonzero(follow >= 0)
    before = np.full(n, -1)
    before[follow[linked]] = linked
    head = np.empty(int(label.max()) + 1, np.int64)
    head[label[::-1]] = np.arange(n)[::-1]
    begins = np.flatnonzero(before < 0)
    head[label[begins]] = begins
    tail = before[head]
    ends = np.flatnonzero(follow < 0)
    tail[label[ends]] = ends
    # The end of each chain leads on to the head of the next: one path, walked in compiled code.
    path = follow.copy()
    path[tail] = np.roll(head, -1)
    order = depth_first_order(_graph(path), head[0], return_predecessors=False)
    return order.astype(np.int64), np.bincount(label)


def ranges(starts: NDArray[np.int64], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """start, start + 1, ... of each range, one range after the other."""
    offset = starts - (np.cumsum(lengths, dtype=np.int64) - lengths)
    return np.repeat(offset, lengths) + np.arange(int(lengths.sum()))


def components(follow: NDArray[np.int64]) -> NDArray[np.int32]:
    """(n,) which chain each element is in, 0, 1, 2..."""
    labels: NDArray[np.int32] = connected_components(_graph(follow), connection="weak")[1]
    return labels


def _graph(follow: NDArray[np.int64]) -> csr_array:
    """Each element leads to its successor, -1 to none."""
    n, linked = len(follow), follow >= 0
    starts = np.concatenate([[0], np.cumsum(linked, dtype=np.int32)]).astype(np.int32)
    return csr_array((np.ones(int(starts[-1])), follow[linked].astype(np.int32), starts), shape=(n, n))
