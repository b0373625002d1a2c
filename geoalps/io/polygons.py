"""Polygons of an object raster: traced window by window in any order, simplified as a coverage, placed on the map.

:func:`trace_window` needs nothing but the raster and runs in any thread or process; a :class:`Joiner` puts together the
objects that lie in several windows. The polygons are the same, to the last vertex, for every partition into windows and
any order of them. Coordinates are (col, row) in pixels, or (x, y) with a transform.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from geoalps.errors import OptionError, ProductError
from geoalps.grid import Window
from geoalps.io.outlines import Paths, find
from geoalps.io.rasters import quiet
from geoalps.io.rings import Geometries, close

__all__ = ["Geometries", "Joiner", "Traced", "polygonise", "simplify_coverage", "to_map", "trace_window"]

BATCH_OBJECTS = 50_000
"""Objects that are finished before they are handed out."""
CLOSE_VERTICES = 250_000
"""Vertices of finished outlines that are closed to polygons together, which takes about 40 MB for a moment."""


@dataclass(frozen=True, eq=False)
class Traced:
    """What :func:`trace_window` finds in one window; arrays and bytes only, to be sent anywhere."""

    ids: NDArray[np.uint32]
    """(n,) objects that lie in no other window, ascending."""
    polygons: NDArray[np.object_]
    """(n,) WKB of their polygons."""
    shared: NDArray[np.uint32]
    """(m,) objects of the window that have pixels in others too, ascending."""
    paths: Paths
    """Their outlines, as far as they are sides of this window's pixels."""
    transform: Affine | None
    """What the polygons are placed with; paths are in pixels always."""


def trace_window(
    objects: str | Path, window: Window, own: NDArray[np.uint32], transform: Affine | None = None
) -> Traced:
    """Polygons of the objects of one window, as far as it alone knows them.

    Memory is about 20 bytes for each pixel of the window and 100 for each vertex, for a moment.

    Args:
        objects: single-band uint32 raster, 0 is uncovered.
        window: of the raster.
        own: ids that have pixels in this window and in no other of the partition, in any order. Whether an object lies
            whole in a window cannot be told from the window: another part may lie far off.
        transform: of the raster, for polygons in map coordinates.

    Raises:
        ProductError: the raster cannot be read or does not hold uint32; or an object of ``own`` goes on outside.
    """
    block = _read_with_rim(objects, window)
    paths = find(block, (window.row0, window.col0))
    mine = np.isin(paths.ids, own)
    rest = paths.take(np.flatnonzero(~mine))
    ids, geometries = close(paths.take(np.flatnonzero(mine)))
    # An object without any side in a window fills it.
    shared = np.unique(rest.ids if len(paths) else np.setdiff1d(block[1:-1, 1:-1][:1, :1], [0]))
    return Traced(ids, _encode(geometries, transform), shared, rest, transform)


class Joiner:
    """Puts together the objects of windows that come in any order.

    Memory: of objects of which windows are missing, 8 bytes for each vertex, 8 for each path and about 500 for each
    window that an object was found in; of objects that are finished and not yet handed out, WKB of 16 bytes a vertex.
    With windows that come row by row, missing are windows of objects that cross the border of what has come: as many as
    the raster is wide, however high it is.

    Args:
        counts: (largest id + 1,) number of windows in which each object has pixels.
    """

    def __init__(self, counts: NDArray[Any]) -> None:
        self._counts = counts
        self._missing: dict[int, int] = {}
        self._paths: defaultdict[int, list[Paths]] = defaultdict(list)
        self._ready: list[Paths] = []
        self._done: list[tuple[NDArray[np.uint32], NDArray[np.object_]]] = []
        self._transform: Affine | None = None
        self._count = 0

    @property
    def unfinished(self) -> int:
        """Objects of which some windows came and others are missing; 0 in the end."""
        return len(self._missing)

    def add(self, traced: Traced) -> None:
        """Take one window's.

        Raises:
            ProductError: ``counts`` does not know an object.
        """
        self._transform = traced.transform
        if len(traced.ids):
            self._done.append((traced.ids, traced.polygons))
        for i, part in traced.paths.by_object():
            self._paths[i].append(part)
        whole = [i for i in traced.shared.tolist() if self._is_whole(i)]
        for i in whole:
            self._ready += self._paths.pop(i)
        self._count += len(traced.ids) + len(whole)
        if sum(len(part.vertices) for part in self._ready) >= CLOSE_VERTICES:
            self._close()

    def finished(self, least: int = 1) -> tuple[NDArray[np.uint32], Geometries] | None:
        """All objects whose windows have come and that were not handed out before.

        Args:
            least: number of objects below which nothing is handed out yet.

        Returns:
            (n,) ids, ascending, and one valid Polygon or MultiPolygon for each; None for fewer than ``least``, or none.

        Raises:
            ProductError: outlines do not close, because windows were given twice or are of different rasters.
        """
        found = self.finished_wkb(least)
        return found and (found[0], np.asarray(shapely.from_wkb(found[1]), object))

    def finished_wkb(self, least: int = 1) -> tuple[NDArray[np.uint32], NDArray[np.object_]] | None:
        """As :meth:`finished`, the polygons as WKB: for who only writes them."""
        if self._count < max(least, 1):
            return None
        self._close()
        ids, polygons = (np.concatenate(part) for part in zip(*self._done, strict=True))
        self._done, self._count = [], 0
        order = np.argsort(ids)
        return ids[order], polygons[order]

    def _is_whole(self, i: int) -> bool:
        """Count one window of an object; True for the last."""
        missing = self._missing.pop(i, int(self._counts[i]) if i < len(self._counts) else 0) - 1
        if missing < 0:
            raise ProductError(f"object {i} lies in a window, but is counted in none; count the windows of this raster")
        if missing:
            self._missing[i] = missing
        return not missing

    def _close(self) -> None:
        """Turn finished outlines into polygons."""
        if self._ready:
            ids, geometries = close(Paths.concatenate(self._ready))
            self._done.append((ids, _encode(geometries, self._transform)))
            self._ready = []


def polygonise(
    objects: str | Path, windows: Iterable[Window], *, batch_objects: int = BATCH_OBJECTS
) -> Iterator[tuple[NDArray[np.uint32], Geometries]]:
    """Polygons of an object raster, 4-connected, one valid Polygon or MultiPolygon for each object.

    Reads the raster twice, in this thread: first to see which objects lie in which windows.

    Args:
        objects: single-band uint32 raster, 0 is uncovered. Ids should be dense: 4 bytes are held for each up to the
            largest, and 4 for each window that an object lies in.
        windows: a partition of the raster, in any order.
        batch_objects: least number of objects in a batch, save for the last.

    Yields:
        (n,) uint32 ids, ascending, and their (n,) geometries in pixel coordinates (col, row).

    Raises:
        OptionError: the windows do not add up to the raster.
        ProductError: the raster cannot be read or does not hold uint32.
    """
    order = list(windows)
    _check_partition(objects, order)
    found = [_ids(_read_with_rim(objects, window)[1:-1, 1:-1]) for window in order]
    counts = np.zeros(1 + max((int(ids.max(initial=0)) for ids in found), default=0), np.uint32)
    for ids in found:
        counts[ids] += 1
    joiner = Joiner(counts)
    for ids, window in zip(found, order, strict=True):
        joiner.add(trace_window(objects, window, ids[counts[ids] == 1]))
        if batch := joiner.finished(batch_objects):
            yield batch
    if batch := joiner.finished():
        yield batch


def simplify_coverage(
    geometries: Geometries, tolerance: float, pixel: float = 1.0, *, fixed_boundary: bool = False
) -> Geometries:
    """Polygons with fewer vertices whose shared borders stay shared: no gaps, no overlaps, no object lost.

    Traced polygons have no vertex where a neighbour's border meets their own, so they are no valid coverage until
    each border has a vertex at every pixel corner. Should an object come out empty or invalid, the whole coverage is
    simplified with half the tolerance, and so on: what one border does binds its neighbours.

    Args:
        geometries: (n,) all polygons of the scene, vertices on a lattice of spacing ``pixel``; or some of them, with
            ``fixed_boundary``.
        tolerance: square root of the area that removing a vertex may move, in the unit of the coordinates.
        pixel: lattice spacing.
        fixed_boundary: leave the outer boundary of these polygons as it is, with a vertex at every pixel corner, so
            that parts of a scene that are simplified apart still have their common borders in common.

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
        simple = np.asarray(shapely.coverage_simplify(dense, tolerance, simplify_boundary=not fixed_boundary), object)
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
    t = transform

    def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2); not as a matrix product, whose rounding depends on a vertex's place in the array."""
        x, y = xy.T
        return np.stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f], 1)

    placed = shapely.transform(np.asarray(geometries, object), place)
    return np.asarray(shapely.orient_polygons(placed), object)


def _encode(geometries: Geometries, transform: Affine | None) -> NDArray[np.object_]:
    """(n,) WKB, in map coordinates with a transform."""
    return np.asarray(shapely.to_wkb(geometries if transform is None else to_map(geometries, transform)), object)


def _open(objects: str | Path) -> Any:
    """A rasterio dataset, without the warning that it has no place on the map."""
    with quiet():
        return rasterio.open(objects)


def _check_partition(objects: str | Path, windows: Sequence[Window]) -> None:
    """An OptionError unless the windows have as many pixels as the raster."""
    with _open(objects) as source:
        area, want = sum(window.area for window in windows), source.height * source.width
    if area != want:
        raise OptionError(f"the windows hold {area} pixels of {want}; they must cover {objects} exactly once")


def _read_with_rim(objects: str | Path, window: Window) -> NDArray[np.uint32]:
    """(height + 2, width + 2) ids of a window and one pixel around it, 0 outside of the raster."""
    wide = window.pad(1)
    block = np.zeros(wide.shape, np.uint32)
    try:
        with rasterio.Env(), _open(objects) as source:
            if source.dtypes[0] != "uint32":
                raise ProductError(f"{objects} holds {source.dtypes[0]}; an object raster holds uint32 ids")
            inside = wide.clip(Window(0, 0, *source.shape))
            bounds = ((inside.row0, inside.row1), (inside.col0, inside.col1))
            block[inside.slices(wide)] = source.read(1, window=bounds)
    except RasterioError as error:
        raise ProductError(f"{objects} cannot be read ({error}); make the product again") from error
    return block


def _ids(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The different ids of an array but 0, ascending."""
    flat = values.ravel()
    new = np.ones(len(flat), bool)
    np.not_equal(flat[1:], flat[:-1], out=new[1:])
    ids = np.unique(flat[new])  # of runs, which are few
    return ids[ids > 0]
