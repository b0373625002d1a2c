"""Where a raster lies on Earth: its outline in longitude and latitude, as GeoJSON wants it.

Straight sides on a map are curves on the globe, so that the outline has points along its sides. An outline that crosses
the 180th meridian is cut there in two; one that goes around a pole is closed over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoalps.io.rasters import Georeference

_POINTS = 16
"""Pieces of each side."""
_DIGITS = 9
"""Of degrees: a tenth of a millimetre."""
_STRAIGHT = 1e-7
"""Degrees, a centimetre, by which a point must lie beside a straight side to stay."""


@dataclass(frozen=True)
class Footprint:
    """An outline as GeoJSON has it, WGS 84."""

    geometry: dict[str, Any]
    """A Polygon, or a MultiPolygon where it crosses the 180th meridian."""
    bbox: list[float]
    """West, south, east, north; west is the greater one where it crosses the 180th meridian."""

    @classmethod
    def of(cls, place: Georeference) -> Footprint | None:
        """The footprint of a raster; None where it has no CRS, or one that is not tied to this Earth."""
        ring = _ring(place)
        if ring is None:
            return None
        ring[:, 0] = np.unwrap(ring[:, 0], period=360)
        around = round((ring[-1, 0] - ring[0, 0]) / 360)
        polygon = shapely.make_valid(shapely.Polygon(_over_pole(ring, around) if around else ring))
        west, south, east, north = shapely.bounds(polygon)
        shift = 360 * np.floor((west + 180) / 360)
        west, east = west - shift, east - shift
        polygon = shapely.transform(polygon, lambda xy: xy - np.array([shift, 0]))
        if east > 180:
            polygon = _cut(polygon)
            west, east = (-180.0, 180.0) if around else (west, east - 360)
        plain = shapely.simplify(shapely.set_precision(polygon, 10.0**-_DIGITS), _STRAIGHT)
        shape = shapely.orient_polygons(plain)
        box = [round(float(value), _DIGITS) for value in (west, south, east, north)]
        return cls(_geojson(shape), box)


def _ring(place: Georeference) -> NDArray[np.float64] | None:
    """(n, 2) longitudes and latitudes of the outline, its first point repeated; None where there are none."""
    import pyproj

    if place.crs is None:
        return None
    height, width = place.shape
    step = np.arange(_POINTS) / _POINTS
    cols = np.concatenate([width * step, np.full(_POINTS, width), width * (1 - step), np.zeros(_POINTS), [0]])
    rows = np.concatenate([np.zeros(_POINTS), height * step, np.full(_POINTS, height), height * (1 - step), [0]])
    try:
        to_earth = pyproj.Transformer.from_crs(place.crs.to_wkt(), "OGC:CRS84", always_xy=True)
        ring = np.stack(to_earth.transform(*on_map(place.transform, cols, rows)), 1)
    except pyproj.exceptions.ProjError:
        return None
    return ring if np.isfinite(ring).all() else None


def on_map(transform: Affine, col: Any, row: Any) -> tuple[Any, Any]:
    """Map (x, y) of pixel coordinates, numbers or arrays."""
    # written out, since how an Affine multiplies differs between its versions
    place = transform
    return place.a * col + place.b * row + place.c, place.d * col + place.e * row + place.f


def _over_pole(ring: NDArray[np.float64], around: int) -> NDArray[np.float64]:
    """A ring that runs from one longitude to the same one full turn on, closed along the pole that it goes around."""
    # a raster that holds a pole lies around it
    pole = 90.0 if ring[:, 1].mean() > 0 else -90.0
    end = ring[0, 0] + 360 * around
    return np.concatenate([ring[:-1], [[end, ring[0, 1]], [end, pole], [ring[0, 0], pole], ring[0]]])


def _cut(polygon: shapely.Geometry) -> shapely.Geometry:
    """A polygon that reaches over 180 degrees, its part beyond moved to where it belongs."""
    here = shapely.intersection(polygon, shapely.box(-180, -90, 180, 90))
    beyond = shapely.intersection(polygon, shapely.box(180, -90, 540, 90))
    moved = shapely.transform(beyond, lambda xy: xy - np.array([360, 0]))
    parts = [part for each in (here, moved) for part in shapely.get_parts(each) if shapely.area(part) > 0]
    return shapely.multipolygons(parts)


def _geojson(shape: shapely.Geometry) -> dict[str, Any]:
    """A geometry as GeoJSON values, lists throughout."""
    import json

    content: dict[str, Any] = json.loads(shapely.to_geojson(shape))
    return content
