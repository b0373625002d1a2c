"""Dissolving: neighbouring objects of one class as one polygon, for maps on which objects do not matter."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoalps.grid import TileGrid
from geoalps.io.geopackage import write_geopackage
from geoalps.io.rasters import CoreWriter, RasterReader
from geoalps.io.sampling import CellAreas
from geoalps.io.style import ClassRow
from geoalps.labeling.outlining import outline, read_polygons
from geoalps.labeling.painting import Painted
from geoalps.labeling.workers import working
from geoalps.progress import Silence

READ_AT_ONCE = 1024
"""Side in pixels of the windows in which the raster is read."""


def write_dissolved(
    target: Path, objects: Path, values: NDArray[Any], rows: Sequence[ClassRow], run: Mapping[str, Any]
) -> None:
    """Write a GeoPackage whose layer ``dissolved`` holds areas of one class: objects that touch along a side.

    An area has the id of its smallest object, the number of its objects (``object_count``) and its ``area_m2``. The
    outlines are simplified as those of the product are.

    Args:
        target: the file.
        objects: ``objects.tif``.
        values: (largest object id + 1,) class of every object, merges applied; [0] is nobody.
        rows: of the table of classes.
        run: of the product: says how its outlines were simplified.
    """
    work = target.with_name("dissolved")
    work.mkdir()
    with RasterReader(objects) as reader:
        grid = TileGrid(reader.shape, READ_AT_ONCE, 0)
        area_of, pieces = _areas(reader, grid, values)
        painted = _painted(reader, grid, area_of, work / "objects.tif")
        with working(None) as at_work:
            outline(work, painted, grid, reader.place, run["options"]["simplify"], at_work, Silence())
        columns = {"class_id": values, "object_count": pieces, "area_m2": painted.area_m2}
        polygons = read_polygons(work)
        write_geopackage(target, polygons, columns, rows, reader.place.crs, layer="dissolved", total=len(painted))
    shutil.rmtree(work)


def _areas(reader: RasterReader, grid: TileGrid, values: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(objects + 1,) smallest id of the area that every object belongs to, and (objects + 1,) objects of that area."""
    count, pairs, there = len(values), [np.zeros((2, 0), np.int64)], np.zeros(len(values), bool)
    for tile in grid:
        ids = reader.read(tile.core.pad(1).clip(grid.scene)).astype(np.int64)
        there[np.unique(ids)] = True
        for one, other in ((ids[1:], ids[:-1]), (ids[:, 1:], ids[:, :-1])):
            touch = (one != other) & (one > 0) & (other > 0)
            key = np.unique(one[touch] * count + other[touch])
            first, second = np.divmod(key, count)
            alike = values[first] == values[second]
            pairs.append(np.stack([first[alike], second[alike]]))
    first, second = np.concatenate(pairs, 1)
    _, area = connected_components(coo_array((np.ones(len(first)), (first, second)), (count, count)), directed=False)
    # of equal numbers the first, which is the smallest id
    _, smallest, number = np.unique(area, return_index=True, return_inverse=True)
    there[0] = False
    return smallest[number].astype(np.uint32), np.bincount(number, there)[number].astype(np.int64)


def _painted(reader: RasterReader, grid: TileGrid, area_of: NDArray[np.uint32], raster: Path) -> Painted:
    """Paint the areas, and count."""
    count, cells = len(area_of), CellAreas(reader.place.transform, reader.place.crs)
    pixels, area, cores = np.zeros(count, np.int64), np.zeros(count), np.zeros(count, np.uint32)
    found: list[NDArray[np.uint32]] = []
    with CoreWriter(raster, reader.place, "uint32", 0) as file:
        for tile in grid:
            ids = area_of[reader.read(tile.core)]
            file.write(tile.core, ids)
            here, where = np.unique(ids, return_inverse=True)
            flat, cell = where.ravel(), np.broadcast_to(cells(tile.core), ids.shape).ravel()
            some = here > 0
            pixels[here[some]] += np.bincount(flat)[some]
            area[here[some]] += np.bincount(flat, cell)[some]
            cores[here[some]] += 1
            found.append(here[some])
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in found])]).astype(np.int64)
    return Painted(pixels, area, cores, offsets, np.concatenate(found))
