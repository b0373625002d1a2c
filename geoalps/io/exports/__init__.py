"""Finished products in the formats of others: one function a format.

::

    write_geoparquet(product, "objects.parquet")          objects as a table
    write_coco(product, "coco/")                          chips with run-length encoded masks
    write_mmseg(product, "mmseg/")                        chips with label maps, in blocked splits
    write_constraints(product, "sgo/")                    objects and boundaries, rasters for training
    write_constraint_chips(product, "sgo_chips/")         the same as chips
    write_stac(product, "item.json")                      an item for catalogues

All is written under another name and renamed at the end; what is there stays unless ``overwrite``.
"""

from geoalps.io.exports.coco import write_coco
from geoalps.io.exports.constraints import write_constraint_chips, write_constraints
from geoalps.io.exports.geoparquet import write_geoparquet
from geoalps.io.exports.mmseg import write_mmseg
from geoalps.io.exports.stac import write_stac

__all__ = [
    "write_coco",
    "write_constraint_chips",
    "write_constraints",
    "write_geoparquet",
    "write_mmseg",
    "write_stac",
]
