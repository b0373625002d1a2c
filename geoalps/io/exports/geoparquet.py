"""A product's objects as one GeoParquet 1.1 file, which geopandas, DuckDB, QGIS and GDAL read.

The rows stream from ``labels.gpkg``, so that memory holds one batch of them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from geoalps.errors import ProductError
from geoalps.io.exports.target import new_file
from geoalps.io.product import Product
from geoalps.progress import Progress, Silence

GEOMETRY, BBOX = "geometry", "bbox"
"""Columns: the polygons, and the box of each, by which a reader skips what lies elsewhere."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ROWS = 20_000
"""Objects of a batch, which becomes a row group."""


def write_geoparquet(
    product: Product,
    path: str | Path,
    *,
    overwrite: bool = False,
    rows: int = _ROWS,
    progress: Progress | None = None,
) -> Path:
    """Write the layer ``objects`` of a product: every column there is, geometries as WKB, and their boxes.

    Args:
        product: whose objects.
        path: the file to make.
        overwrite: replace what is there.
        rows: objects of a row group, and in memory at a time.
        progress: hears of the row groups.

    Returns:
        The path.

    Raises:
        ProductError: the file exists or cannot be written, or the GeoPackage is damaged.
    """
    import pyogrio

    path, source, progress = Path(path), product.path / "labels.gpkg", progress or Silence()
    with new_file(path, product, overwrite) as part:
        try:
            total = int(pyogrio.read_info(source, layer="objects")["features"])
            progress.start("objects", -(-total // rows))
            with pyogrio.open_arrow(source, layer="objects", use_pyarrow=True, batch_size=rows) as (meta, batches):
                written = _copy(batches, meta, part, progress)
        except (RuntimeError, pa.ArrowException) as error:
            raise ProductError(f"{source} cannot be copied to {path} ({error}); is the disk full?") from error
        if written != total:
            raise ProductError(f"{source} gave {written} of {total} objects; it is damaged, make the product again")
    return path


def _copy(batches: Any, meta: dict[str, Any], part: Path, progress: Progress) -> int:
    """Write all batches and what is known of them at the end; the number of rows."""
    count, seen = 0, _Seen()
    schema = _schema(batches.schema, meta["geometry_name"])
    with pq.ParquetWriter(part, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(_with_boxes(batch, meta["geometry_name"], schema, seen))
                count += batch.num_rows
                progress.advance()
        writer.add_key_value_metadata({"geo": json.dumps(_metadata(meta["crs"], seen))})
    return count


class _Seen:
    """What the metadata say of all geometries together."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.box = np.array([math.inf, math.inf, -math.inf, -math.inf])

    def add(self, geometries: NDArray[Any], boxes: NDArray[np.float64]) -> None:
        """Look at a batch: its geometries and their (n, 4) boxes."""
        kinds = np.unique(shapely.get_type_id(geometries[shapely.is_geometry(geometries)]))
        self.types |= {_TYPES[kind] for kind in kinds.tolist()}
        # fmin and fmax pass over the boxes of empty geometries, which are NaN
        low = np.fmin.reduce(boxes[:, :2], axis=0, initial=math.inf)
        high = np.fmax.reduce(boxes[:, 2:], axis=0, initial=-math.inf)
        self.box = np.concatenate([np.fmin(self.box[:2], low), np.fmax(self.box[2:], high)])


_TYPES = {3: "Polygon", 6: "MultiPolygon"}
"""GeoParquet's names of what shapely numbers so; a product holds nothing else."""


def _schema(given: pa.Schema, geometry: str) -> pa.Schema:
    """The layer's columns, the geometry behind them as geopandas orders them, and its box."""
    kept = [given.field(name).remove_metadata() for name in given.names if name != geometry]
    box = pa.struct([(corner, pa.float64()) for corner in _CORNERS])
    return pa.schema([*kept, pa.field(GEOMETRY, pa.binary()), pa.field(BBOX, box)])


def _with_boxes(batch: pa.RecordBatch, geometry: str, schema: pa.Schema, seen: _Seen) -> pa.RecordBatch:
    """A batch in the order of the schema."""
    wkb = batch.column(geometry)
    geometries = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
    boxes = shapely.bounds(geometries)
    seen.add(geometries, boxes)
    struct = pa.StructArray.from_arrays([pa.array(boxes[:, i]) for i in range(4)], list(_CORNERS))
    columns = [batch.column(name) for name in schema.names[:-2]]
    return pa.RecordBatch.from_arrays([*columns, wkb.cast(pa.binary()), struct], schema=schema)


def _metadata(crs: str | None, seen: _Seen) -> dict[str, Any]:
    """The file's metadata ``geo``: GeoParquet 1.1."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(seen.types),
        "crs": _projjson(crs),
        "covering": {"bbox": {corner: [BBOX, corner] for corner in _CORNERS}},
    }
    if np.isfinite(seen.box).all():
        column["bbox"] = seen.box.tolist()
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def _projjson(crs: str | None) -> dict[str, Any] | None:
    """A reference system as PROJJSON; None where there is none, which readers take for unknown."""
    import pyproj

    return pyproj.CRS.from_user_input(crs).to_json_dict() if crs else None
