"""Outlining: the painted objects as polygons on the map, traced core by core and kept beside the raster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoalps.errors import ProductError
from geoalps.grid import Tile, TileGrid
from geoalps.io.polygons import Geometries, Joiner, Traced, simplify_coverage, to_map, trace_window
from geoalps.io.rasters import Georeference
from geoalps.io.store import appearing, remove
from geoalps.labeling.tasks import InOrder, Stage, Workers
from geoalps.progress import Progress

if TYPE_CHECKING:
    from geoalps.labeling.painting import Painted

POLYGONS = "polygons.parquet"
WRITTEN_AT_ONCE = 2_000
"""Objects, at least, that are written together, some 20 MB: a row group of the file."""
SIMPLIFIED_AT_ONCE = 10_000
"""Objects whose coverage is simplified as one; of more, the outlines where two such parts meet stay as they are."""
_SCHEMA = pa.schema([("object_id", pa.uint32()), ("geometry", pa.binary())])


@dataclass(frozen=True, eq=False)
class Contour:
    """One core to be outlined."""

    tile: Tile
    """Whose core."""
    alone: NDArray[np.uint32]
    """Ids of the objects that lie in this core and in no other."""

    @property
    def name(self) -> str:
        """The tile's."""
        return self.tile.name


@dataclass(frozen=True, eq=False)
class Outliner:
    """The function of the stage ``polygons``: finished polygons of a core, and pieces of the outlines that go on."""

    raster: Path
    """``objects.tif``."""
    transform: Affine | None
    """Of the raster; None leaves the polygons in pixels, to be simplified there."""

    def __call__(self, contour: Contour) -> Traced:
        """See :func:`geoalps.io.polygons.trace_window`."""
        return trace_window(self.raster, contour.tile.core, contour.alone, self.transform)


def outline(
    folder: Path,
    painted: Painted,
    grid: TileGrid,
    place: Georeference,
    simplify: float,
    workers: Workers,
    progress: Progress,
) -> None:
    """Write ``polygons.parquet`` beside ``objects.tif``, unless it is there with the same simplification.

    Args:
        folder: where the object raster is.
        painted: what was counted while it was painted.
        grid: of the tiles.
        place: of the raster.
        simplify: metres (pixels without a CRS).
        workers: who traces.
        progress: hears of every core.
    """
    target, wanted = folder / POLYGONS, repr(float(simplify)).encode()
    if _outlined(target, wanted):
        return
    remove(target)
    pixel = float(np.sqrt(painted.area_m2.sum() / painted.pixels.sum())) if len(painted) else 1.0
    schema = _SCHEMA.with_metadata({"simplify": wanted.decode()})
    options = {"compression": "zstd", "write_page_checksum": True}
    with appearing(target) as part, pq.ParquetWriter(part, schema, **options) as file:
        sink = _Sink(file, Joiner(painted.cores), place.transform, simplify / pixel)
        outliner = Outliner(folder / "objects.tif", None if simplify else place.transform)
        progress.start("polygons", len(grid))
        contours = (Contour(tile, painted.alone(grid.number(tile))) for tile in grid)
        ordered = InOrder(sink, lambda contour: grid.number(contour.tile))
        workers.run_stage(Stage("polygons", outliner, ordered), contours, progress)
        sink.close()


def _outlined(target: Path, simplify: bytes) -> bool:
    """Whether there is a file of polygons with this simplification, whole and undamaged."""
    try:
        if (pq.read_schema(target).metadata or {}).get(b"simplify") != simplify:
            return False
        return sum(len(part) for part in _row_groups(target)) == int(pq.read_metadata(target).num_rows)
    except (OSError, pa.ArrowException):
        return False


@dataclass(eq=False)
class _Sink:
    """Joins what goes on from core to core, simplifies, and writes."""

    file: Any
    joiner: Joiner
    transform: Affine
    tolerance: float
    """Pixels; 0 writes the outlines as they are."""
    batches: int = 0

    def __call__(self, _: Contour, traced: Traced) -> None:
        """Take one core's."""
        self.joiner.add(traced)
        self._write(SIMPLIFIED_AT_ONCE if self.tolerance else WRITTEN_AT_ONCE, last=False)

    def close(self) -> None:
        """All cores have come.

        Raises:
            ProductError: some object was counted in cores in which it is not.
        """
        self._write(1, last=True)
        if self.joiner.unfinished:
            raise ProductError(
                f"{self.joiner.unfinished} objects are in fewer tiles than were painted; make the product again"
            )

    def _write(self, least: int, last: bool) -> None:
        if not self.tolerance:
            if (done := self.joiner.finished_wkb(least)) is not None:
                self._append(*done)
        elif (found := self.joiner.finished(least)) is not None:
            # a scene in one part has no border to keep
            fixed = bool(self.batches) or not last
            simple = simplify_coverage(found[1], self.tolerance, fixed_boundary=fixed)
            self._append(found[0], shapely.to_wkb(to_map(simple, self.transform)))
            self.batches += 1

    def _append(self, ids: NDArray[np.uint32], wkb: NDArray[np.object_]) -> None:
        self.file.write_table(pa.table([pa.array(ids), pa.array(wkb, pa.binary())], schema=_SCHEMA))


def read_polygons(folder: Path) -> Iterator[tuple[NDArray[np.uint32], Geometries]]:
    """Batches of (n,) ids and (n,) polygons on the map, from what :func:`outline` wrote."""
    for part in _row_groups(folder / POLYGONS):
        yield np.asarray(part["object_id"]), shapely.from_wkb(np.asarray(part["geometry"]))


def _row_groups(path: Path) -> Iterator[pa.Table]:
    """What was written together, one part after the other; read in advance, as is usual, a file would fill memory."""
    with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, use_threads=False)
