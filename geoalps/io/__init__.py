"""The disk: rasters in, tiles between, rasters and polygons out."""

import os

# GDAL keeps decoded blocks up to 5 % of the machine's memory: gigabytes on a large one, for windows that are read once.
# Read by GDAL when it first keeps a block, in this process and in worker processes; what the user set goes first.
os.environ.setdefault("GDAL_CACHEMAX", "64")
