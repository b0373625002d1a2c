"""Rings: the paths of whole objects joined, made the same whatever their order, and put together to polygons.

Arrays in, geometries out; see :mod:`geoalps.io.outlines` for coordinates and headings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoalps.errors import ProductError
from geoalps.io.outlines import Paths, components, ranges, walk

Geometries = NDArray[np.object_]
"""(n,) shapely geometries."""


def close(paths: Paths) -> tuple[NDArray[np.uint32], Geometries]:
    """Objects from all paths of their outlines, which may come in any order.

    The outlines are followed with the object's pixels 4-connected. Every ring begins at its uppermost vertex, the
    leftmost of these; shells are clockwise on the screen; polygons and holes are sorted by their first vertex. So equal
    objects give equal geometries whatever windows they were found in.

    Returns:
        (n,) ids, ascending, and (n,) one valid Polygon or MultiPolygon for each.

    Raises:
        ProductError: paths are missing or given twice.
    """
    ids, rank = np.unique(paths.ids, return_inverse=True)
    if not len(ids):
        return ids, np.empty(0, object)
    last = np.cumsum(paths.lengths, dtype=np.int64) - 1
    first = last - paths.lengths + 1
    start, stop = paths.vertices[first], paths.vertices[last]
    leaving = _heading(start, paths.vertices[first + 1])
    arriving = _heading(paths.vertices[last - 1], stop)
    # The heading one turn to the left is that of the arrival which stays at the same pixel.
    departures, arrivals = _nodes(rank, (start, stop), ((leaving + 3) % 4, arriving))
    order, counts = walk(_joints(arrivals, departures))
    pieces = first[order], paths.lengths[order].astype(np.int64) - 1
    vertices = paths.vertices[ranges(*pieces)].astype(np.int64)
    begin = np.cumsum(counts) - counts
    lengths = np.add.reduceat(pieces[1], begin)
    # A side that a window's border cuts goes straight on in the next window.
    straight = leaving[order] == _shift(arriving[order], counts, back=True)
    turn = np.ones(len(vertices), bool)
    turn[(np.cumsum(pieces[1]) - pieces[1])[straight]] = False
    lengths -= np.add.reduceat(straight.astype(np.int64), begin)
    return ids, _assemble(*_canonical(vertices[turn], lengths, rank[order[begin]]))


def _heading(start: NDArray[np.int32], stop: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n,) from one vertex to the next, both (n, 2)."""
    col, row = np.sign(stop - start).astype(np.int64).T
    headings: NDArray[np.int64] = np.where(row == 0, 1 - col, 2 - row)
    return headings


def _nodes(
    rank: NDArray[np.int64],
    corners: tuple[NDArray[np.int32], NDArray[np.int32]],
    headings: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For both ends of all paths one sortable number of object, row, column and heading.

    Where an object meets itself at a corner, two paths arrive and two leave; sorting by heading pairs each arrival with
    the path that stays at its pixel.
    """
    col, row = (np.stack([xy[:, axis] for xy in corners]).astype(np.int64) for axis in range(2))
    col, row = col - col.min(), row - row.min()
    nodes: NDArray[np.int64] = ((rank * (row.max() + 1) + row) * (col.max() + 1) + col) * 4 + np.stack(headings)
    return nodes[0], nodes[1]


def _joints(arrivals: NDArray[np.int64], departures: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the path that follows each, such that no ring meets itself.

    Staying at one pixel gives the outline of each 4-connected part, which may touch itself at corners. There the two
    ways are exchanged, which takes off a ring of its own: a hole, as a valid polygon has it. Touching points of one
    outline never interleave, so all can be exchanged at once.
    """
    arriving, leaving = np.argsort(arrivals), np.argsort(departures)
    place = arrivals[arriving] // 4
    if (place != departures[leaving] // 4).any():
        raise ProductError("outlines do not close; give every window of the raster once, all of the same raster")
    follow = np.empty(len(arrivals), np.int64)
    follow[arriving] = leaving
    twin = np.flatnonzero(place[1:] == place[:-1])
    if len(twin):
        one, other = arriving[twin], arriving[twin + 1]
        outline = components(follow)
        same = outline[one] == outline[other]
        one, other = one[same], other[same]
        follow[one], follow[other] = follow[other], follow[one]
    return follow


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


def _canonical(
    vertices: NDArray[np.int64], lengths: NDArray[np.int64], of_object: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rings turned to begin at their first vertex by row and column, sorted by object and first vertex.

    No ring passes a vertex twice, and no two rings of one object begin at the same: both would have to turn there
    around the pixel below and to the right.
    """
    begin = np.cumsum(lengths) - lengths
    place = vertices[:, 1] * (vertices[:, 0].max() + 1) + vertices[:, 0]
    least = np.minimum.reduceat(place, begin)
    head = np.flatnonzero(place == np.repeat(least, lengths))
    by = np.lexsort([least, of_object])
    head, begin, lengths = head[by], begin[by], lengths[by]
    index = ranges(head, lengths)
    index -= np.repeat(lengths, lengths) * (index >= np.repeat(begin + lengths, lengths))
    return vertices[index], lengths, of_object[by]


def _assemble(vertices: NDArray[np.int64], lengths: NDArray[np.int64], of_object: NDArray[np.int64]) -> Geometries:
    """One geometry an object from rings that are in the order of their objects.

    Args:
        vertices: (m, 2) col, row.
        lengths: (r,) vertices of each ring.
        of_object: (r,) 0, 1, 2...: the object of each ring.
    """
    begin = np.cumsum(lengths) - lengths
    ahead = _shift(vertices, lengths, back=False)
    area = np.add.reduceat(vertices[:, 0] * ahead[:, 1] - vertices[:, 1] * ahead[:, 0], begin)
    rings = shapely.linearrings(vertices.astype(float), indices=np.repeat(np.arange(len(lengths)), lengths))
    shell = np.flatnonzero(area > 0)
    owner = _owners(rings, area, of_object, vertices[begin] + np.array([-0.5, 0.5]))
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
