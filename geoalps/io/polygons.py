"""Polygons of an object raster: traced window by window, simplified as one coverage, placed on the map.

An object's outline is the set of pixel sides behind which another object lies. A window, read with one pixel around
it, knows the sides of its own pixels whatever its neighbours hold, so the sides of all windows together are those of
the whole raster and nothing is ever cut or merged: polygons do not depend on the windows, to the last vertex.
Coordinates are (col, row) in pixels until :func:`to_map`.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order

from geoalps.errors import OptionError, ProductError
from geoalps.grid import Window

Geometries = NDArray[np.object_]
"""(n,) shapely geometries."""

BATCH_OBJECTS = 50_000
"""Objects that are finished before they are traced and handed out."""
BATCH_SIDES = 2_000_000
"""The same for sides: about 300 MB at the peak of tracing."""


@dataclass(frozen=True, eq=False)
class _Sides:
    """Straight pieces of object outlines, the object on the right hand (rows run downwards)."""

    ids: NDArray[np.uint32]
    """(n,) the object."""
    start: NDArray[np.int32]
    """(n, 2) col, row."""
    stop: NDArray[np.int32]
    """(n, 2) col, row."""
    heading: NDArray[np.int8]
    """(n,) 0 east, 1 south, 2 west, 3 north."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, keep: Any) -> _Sides:
        return _Sides(*(getattr(self, field.name)[keep] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[_Sides]) -> _Sides:
        """One after the other; at least one part is needed."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def of_window(cls, source: Any, window: Window) -> _Sides:
        """The sides of the pixels of one window of an open object raster."""
        ids, beyond = _read_with_rim(source, window)
        parts = [_runs(ids, (ids != there) & (ids != 0), heading) for heading, there in enumerate(beyond)]
        sides = cls.concatenate(parts)
        corner = np.array([window.col0, window.row0], np.int32)
        return cls(sides.ids, sides.start + corner, sides.stop + corner, sides.heading)


def polygonise(
    objects: str | Path,
    windows: Iterable[Window],
    last_window: NDArray[np.int64] | None = None,
    *,
    batch_objects: int = BATCH_OBJECTS,
) -> Iterator[tuple[NDArray[np.uint32], Geometries]]:
    """Polygons of an object raster, 4-connected, one valid Polygon or MultiPolygon for each object.

    Memory holds one window, the sides of objects that a later window goes on with, and one batch. The polygons are
    the same, vertex by vertex, for every partition into windows; only their order and batches differ.

    Args:
        objects: single-band uint32 raster, 0 is uncovered. Ids should be dense: 8 bytes are held for each up to the
            largest.
        windows: a partition of the raster, in any order.
        last_window: see :func:`last_windows`, which reads the raster once more when this is None.
        batch_objects: least number of objects in a batch, save for the last and for very long outlines.

    Yields:
        (n,) uint32 ids, ascending, and their (n,) geometries in pixel coordinates (col, row).

    Raises:
        OptionError: the windows do not add up to the raster.
        ProductError: the raster does not hold uint32.
    """
    order = list(windows)
    with _open(objects) as source:
        _check(source, order)
        last = last_windows(objects, order) if last_window is None else last_window
        closing = np.bincount(last[last >= 0], minlength=len(order))
        pending: defaultdict[int, list[_Sides]] = defaultdict(list)
        ready: list[_Sides] = []
        count = 0
        for i, window in enumerate(order):
            sides = _Sides.of_window(source, window)
            for end, part in _by_last_window(sides, last):
                pending[end].append(part)
            ready += pending.pop(i, [])
            count += closing[i]
            if ready and (count >= batch_objects or sum(map(len, ready)) >= BATCH_SIDES or i == len(order) - 1):
                yield _trace(_Sides.concatenate(ready), source.shape)
                ready, count = [], 0


def last_windows(objects: str | Path, windows: Iterable[Window]) -> NDArray[np.int64]:
    """For every object id the index of the last window it occurs in, -1 for none.

    Args:
        objects: single-band uint32 raster.
        windows: as given to :func:`polygonise`, in the same order.

    Returns:
        (largest id + 1,) int64, indexed by object id; 0 (uncovered) is -1.
    """
    last = np.full(1, -1, np.int64)
    with _open(objects) as source:
        for i, window in enumerate(windows):
            ids = _read(source, window)
            top = int(ids.max(initial=0))
            if top >= len(last):
                last = np.concatenate([last, np.full(max(top + 1 - len(last), len(last)), -1, np.int64)])
            last[ids.ravel()] = i
    last[0] = -1
    return last[: 1 + int(np.flatnonzero(last >= 0).max(initial=0))]


def simplify_coverage(geometries: Geometries, tolerance: float, pixel: float = 1.0) -> Geometries:
    """Polygons with fewer vertices whose shared borders stay shared: no gaps, no overlaps, no object lost.

    Traced polygons have no vertex where a neighbour's border meets their own, so they are no valid coverage until
    each border has a vertex at every pixel corner. Should an object come out empty or invalid, the whole coverage is
    simplified with half the tolerance, and so on: what one border does binds its neighbours.

    Args:
        geometries: (n,) all polygons of the scene, vertices on a lattice of spacing ``pixel``.
        tolerance: square root of the area that removing a vertex may move, in the unit of the coordinates.
        pixel: lattice spacing.

    Raises:
        OptionError: the tolerance is negative or not finite.
    """
    if not 0 <= tolerance < np.inf:
        raise OptionError(f"simplification tolerance is {tolerance}; allowed is 0 (none) and above")
    if not tolerance or not len(geometries):
        return geometries
    # Steps along a side are a rounding error off the lattice, and neighbours' sides begin at different ends.
    dense = shapely.transform(shapely.segmentize(geometries, pixel), lambda xy: np.rint(xy / pixel) * pixel)
    while tolerance > pixel / 16:
        simple = np.asarray(shapely.coverage_simplify(dense, tolerance), object)
        if (shapely.is_valid(simple) & (shapely.area(simple) > 0)).all():
            return simple
        tolerance /= 2
    return geometries


def to_map(geometries: Geometries, transform: Affine) -> Geometries:
    """Geometries moved from pixel to map coordinates.

    Equal vertices stay equal, so that a coverage stays one. Shells run counter-clockwise on the map and holes
    clockwise, for south-up and mirrored transforms too.

    Args:
        geometries: (n,) polygons in pixel coordinates (col, row).
        transform: of the raster; rotation and shear are allowed.
    """
    matrix = np.array([[transform.a, transform.b], [transform.d, transform.e]])
    origin = np.array([transform.c, transform.f])
    placed = shapely.transform(np.asarray(geometries, object), lambda xy: xy @ matrix.T + origin)
    return np.asarray(shapely.orient_polygons(placed), object)


def _open(objects: str | Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(objects)


def _check(source: Any, windows: Sequence[Window]) -> None:
    if source.dtypes[0] != "uint32":
        raise ProductError(f"{source.name} holds {source.dtypes[0]}; an object raster holds uint32 ids")
    area, want = sum(window.area for window in windows), source.height * source.width
    if area != want:
        raise OptionError(f"the windows hold {area} pixels of {want}; they must cover {source.name} exactly once")


def _read(source: Any, window: Window) -> NDArray[np.uint32]:
    bounds = ((window.row0, window.row1), (window.col0, window.col1))
    ids: NDArray[np.uint32] = source.read(1, window=bounds)
    return ids


def _read_with_rim(source: Any, window: Window) -> tuple[NDArray[np.uint32], list[NDArray[np.uint32]]]:
    """The ids of a window, and the ids of each pixel's north, east, south and west neighbour."""
    wide = window.pad(1)
    inside = wide.clip(Window(0, 0, *source.shape))
    block = np.zeros(wide.shape, np.uint32)
    block[inside.slices(wide)] = _read(source, inside)
    here = slice(1, -1)
    return block[here, here], [block[:-2, here], block[here, 2:], block[2:, here], block[here, :-2]]


def _runs(ids: NDArray[np.uint32], edge: NDArray[np.bool_], heading: int) -> _Sides:
    """Longest straight sides of a window's pixels on the face that one heading runs along.

    Args:
        ids: (height, width) objects.
        edge: (height, width) bool, where a pixel's face is a side of its object.
        heading: of the side; even ones run along rows, odd ones along columns.
    """
    if heading % 2:
        ids, edge = np.ascontiguousarray(ids.T), np.ascontiguousarray(edge.T)
    joined = edge[:, 1:] & edge[:, :-1] & (ids[:, 1:] == ids[:, :-1])
    first, final = edge.copy(), edge.copy()
    first[:, 1:] &= ~joined
    final[:, :-1] &= ~joined
    line, begin = np.nonzero(first)
    end = np.nonzero(final)[1] + 1
    far = line + (heading in (1, 2))
    ends = [np.stack([far, along] if heading % 2 else [along, far], 1).astype(np.int32) for along in (begin, end)]
    start, stop = ends if heading < 2 else ends[::-1]
    return _Sides(ids[line, begin], start, stop, np.full(len(line), heading, np.int8))


def _by_last_window(sides: _Sides, last: NDArray[np.int64]) -> Iterator[tuple[int, _Sides]]:
    """Sides grouped by the window that finishes their object."""
    end = last[sides.ids]
    order = np.argsort(end, kind="stable")
    values, starts = np.unique(end[order], return_index=True)
    for value, part in zip(values, np.split(order, starts[1:]), strict=False):
        yield int(value), sides[part]


def _trace(sides: _Sides, shape: tuple[int, int]) -> tuple[NDArray[np.uint32], Geometries]:
    """Ids and polygons of objects all of whose sides are given."""
    ids, rank = np.unique(sides.ids, return_inverse=True)
    leaving = np.argsort(_nodes(rank, sides.start, (sides.heading + 3) % 4, shape))
    sides, rank = sides[leaving], rank[leaving]
    order, lengths = _rings(_successors(_nodes(rank, sides.stop, sides.heading, shape)))
    turn = sides.heading[order] != _shift(sides.heading[order], lengths, back=True)
    ring = np.repeat(np.arange(len(lengths)), lengths)[turn]
    vertices = sides.start[order[turn]].astype(np.int64)
    of_object = rank[order[np.cumsum(lengths) - lengths]]
    return ids, _assemble(vertices, np.bincount(ring, minlength=len(lengths)), of_object)


def _nodes(
    rank: NDArray[np.int64], xy: NDArray[np.int32], heading: NDArray[np.int8], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """One sortable number of object, row, column and heading.

    Where an object meets itself at a corner, two sides arrive and two leave. With the heading for arrivals, and the
    heading one turn to the left for departures, sorting pairs each arrival with the side that stays at its pixel.
    """
    return ((rank * (shape[0] + 1) + xy[:, 1]) * (shape[1] + 1) + xy[:, 0]) * 4 + heading


def _successors(arrivals: NDArray[np.int64]) -> NDArray[np.int64]:
    """For sides sorted by where they leave, the side that follows each, such that no ring meets itself.

    Staying at one pixel gives the outline of each 4-connected part, which may touch itself at corners. There the two
    ways are exchanged, which takes off a ring of its own: a hole, as a valid polygon has it. Touching points of one
    outline never interleave, so all can be exchanged at once.
    """
    arriving = np.argsort(arrivals)
    follow = np.empty(len(arrivals), np.int64)
    follow[arriving] = np.arange(len(arrivals))
    twin = np.flatnonzero(np.diff(arrivals[arriving] // 4) == 0)
    if len(twin):
        one, other = arriving[twin], arriving[twin + 1]
        outline = _cycles(follow)
        same = outline[one] == outline[other]
        one, other = one[same], other[same]
        follow[one], follow[other] = follow[other], follow[one]
    return follow


def _cycles(follow: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which cycle of a permutation each element is in."""
    labels: NDArray[np.int32] = connected_components(_graph(follow), connection="weak")[1]
    return labels


def _rings(follow: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Elements of a permutation, cycle after cycle and each from its least element on; and the cycles' lengths."""
    label = _cycles(follow)
    count = int(label.max(initial=-1)) + 1
    head = np.empty(count, np.int64)
    head[label[::-1]] = np.arange(len(label))[::-1]
    by_head = np.argsort(head)
    head = head[by_head]
    before = np.empty_like(follow)
    before[follow] = np.arange(len(follow))
    # The end of each cycle leads on to the head of the next: one path, walked in compiled code.
    path = follow.copy()
    path[before[head]] = np.roll(head, -1)
    order = depth_first_order(_graph(path), head[0], return_predecessors=False)
    return order.astype(np.int64), np.bincount(label, minlength=count)[by_head]


def _graph(follow: NDArray[np.int64]) -> csr_array:
    n = len(follow)
    return csr_array((np.ones(n), follow.astype(np.int32), np.arange(n + 1, dtype=np.int32)), shape=(n, n))


def _shift(values: NDArray[Any], lengths: NDArray[np.int64], *, back: bool) -> NDArray[Any]:
    """Values rolled by one within each ring: its predecessor's (back) or successor's."""
    out = np.roll(values, 1 if back else -1, axis=0)
    first = np.cumsum(lengths) - lengths
    final = first + lengths - 1
    if back:
        out[first] = values[final]
    else:
        out[final] = values[first]
    return out


def _assemble(vertices: NDArray[np.int64], lengths: NDArray[np.int64], of_object: NDArray[np.int64]) -> Geometries:
    """One geometry an object from rings that are in the order of their objects.

    Args:
        vertices: (m, 2) col, row.
        lengths: (r,) vertices of each ring.
        of_object: (r,) 0, 1, 2...: the object of each ring.
    """
    ahead = _shift(vertices, lengths, back=False)
    cross = vertices[:, 0] * ahead[:, 1] - vertices[:, 1] * ahead[:, 0]
    area = np.add.reduceat(cross, np.cumsum(lengths) - lengths)
    rings = shapely.linearrings(vertices.astype(float), indices=np.repeat(np.arange(len(lengths)), lengths))
    shell = np.flatnonzero(area > 0)
    first = vertices[np.cumsum(lengths) - lengths]
    owner = _owners(rings, area, of_object, first + np.array([-0.5, 0.5]))
    order = np.lexsort([area < 0, owner])
    parts = shapely.polygons(rings[order], indices=np.searchsorted(shell, owner[order]))
    part_of = of_object[shell]
    single = np.bincount(part_of)[part_of] == 1
    out = np.empty(int(part_of[-1]) + 1, object)
    out[part_of[single]] = parts[single]
    several, index = np.unique(part_of[~single], return_inverse=True)
    out[several] = shapely.multipolygons(parts[~single], indices=index) if len(several) else []
    return out


def _owners(
    rings: Geometries, area: NDArray[np.int64], of_object: NDArray[np.int64], beside: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(r,) int64: the shell of each ring, itself for a shell.

    ``beside`` are (r, 2) points inside the object, next to each hole: of the object's shells around it, the least
    is the one of the part that it is a hole of.
    """
    shells, holes = np.flatnonzero(area > 0), np.flatnonzero(area < 0)
    owner = np.arange(len(area))
    owner[holes] = shells[np.searchsorted(of_object[shells], of_object[holes])]
    many = np.bincount(of_object[shells]) > 1
    holes, shells = holes[many[of_object[holes]]], shells[many[of_object[shells]]]
    if len(holes):
        tree = shapely.STRtree(shapely.polygons(rings[shells]))
        hole, around = tree.query(shapely.points(beside[holes]), predicate="within")
        hole, around = holes[hole], shells[around]
        same = of_object[hole] == of_object[around]
        hole, around = hole[same], around[same]
        widest_first = np.argsort(-area[around], kind="stable")
        owner[hole[widest_first]] = around[widest_first]
    return owner
