"""What a scene is like, from few of its pixels: a sample of its values, and the areas of its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from geoalps.errors import SceneError
from geoalps.grid import Window
from geoalps.io.arrays import Source
from geoalps.io.bands import Values
from geoalps.io.damage import ForgivingSource
from geoalps.protocols import Mask

SIDE = 512
"""Side in pixels of the windows that a sample of a huge scene is spread over; whole blocks, so at least this."""
EFFORT = 16
"""A sample of n pixels may read this many times n pixels where a single decimated read would do."""
NODES = 17
"""Rows and columns of exact areas in a window; cubic between them, better than 1e-6 for any scene of one country."""


def sample(source: Source | ForgivingSource, pixels: int) -> tuple[Values, Mask]:
    """About ``pixels`` pixels from all over a scene; the same ones every time.

    A small scene, and one with overviews, is read whole and decimated. Of a huge one without, some windows of whole
    blocks on a regular lattice are read, and more of them while hardly anything valid is found. Damage that is
    forgiven makes overviews as good as none.

    Returns:
        (3, h, w) values and (h, w) validity; h is 1 when windows are strung together.

    Raises:
        SceneError: some of these pixels cannot be read.
    """
    if not isinstance(source, ForgivingSource):
        return _sample(source, source, source.overviews, pixels)
    try:
        return _sample(source.inner, source.inner, source.inner.overviews, pixels)
    except SceneError as error:
        if error.window is None:
            raise
        return _sample(source, source.inner, (), pixels)


def _sample(
    reader: Source | ForgivingSource, source: Source, overviews: tuple[int, ...], pixels: int
) -> tuple[Values, Mask]:
    """As :func:`sample`: what ``reader`` reads of ``source``, as if it had these overviews."""
    values: Values = np.zeros((3, 0, 0), source.dtype)
    valid: Mask = np.zeros((0, 0), bool)
    for lattice in (8, 16, 32):
        windows = sample_windows(source.shape, source.block_shape, overviews, pixels, lattice)
        parts = [reader.read(window, size) for window, size in windows]
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([part.reshape(3, 1, -1) for part, _ in parts], 2)
        valid = np.concatenate([part.reshape(1, -1) for _, part in parts], 1)
        if 100 * np.count_nonzero(valid) >= pixels:
            break
    return values, valid


def sample_windows(
    shape: tuple[int, int], block: tuple[int, int], overviews: tuple[int, ...], pixels: int, lattice: int
) -> list[tuple[Window, tuple[int, int]]]:
    """Windows to read for a sample, each with the (height, width) to decimate it to."""
    whole = Window(0, 0, *shape)
    shrink = math.sqrt(max(1.0, whole.area / pixels))
    overview = max((factor for factor in overviews if factor <= shrink), default=1)
    if whole.area <= EFFORT * pixels * overview**2:
        return [(whole, _decimated(whole, pixels))]
    cols = min(shape[1], -(-SIDE // block[1]) * block[1])
    rows = min(shape[0], -(-max(1, SIDE * SIDE // cols) // block[0]) * block[0])
    down, across = -(-shape[0] // rows), -(-shape[1] // cols)
    budget = max(1, EFFORT * pixels * (lattice // 8) ** 2 // (rows * cols))
    take_across = min(across, lattice, budget)
    take_down = max(1, min(down, lattice * lattice // take_across, budget // take_across))
    windows = [
        Window(row * rows, col * cols, (row + 1) * rows, (col + 1) * cols).clip(whole)
        for row in _spread(down, take_down)
        for col in _spread(across, take_across)
    ]
    return [(window, _decimated(window, max(1, pixels // len(windows)))) for window in windows]


def _spread(count: int, take: int) -> list[int]:
    return [(2 * i + 1) * count // (2 * take) for i in range(take)]


def _decimated(window: Window, pixels: int) -> tuple[int, int]:
    """(height, width) of at most ``pixels`` pixels, about in the window's proportions; never more than the window."""
    if window.area <= pixels:
        return window.shape
    height = min(pixels, max(1, int(window.height / math.sqrt(window.area / pixels))))
    return height, min(window.width, pixels // height)


@dataclass(frozen=True, eq=False)
class CellAreas:
    """Areas of a scene's pixels on the ellipsoid of its CRS.

    An area is exact to second order in the pixel's size: the meridional and transverse radii of curvature at its
    centre, times the Jacobian of (longitude, latitude) along its two axes.
    """

    transform: Affine
    """Pixel (col, row) to map (x, y)."""
    crs: CRS | None
    """None makes every area 1.0: pixels."""

    def __call__(self, window: Window) -> NDArray[np.float64]:
        """Square metres per pixel, float64 that broadcasts to the window's (height, width).

        The map's own area, in metres, where the CRS has no ellipsoid (local, engineering) and for single pixels
        that lie nowhere on it (space around a geostationary disk).
        """
        ground = self._ground
        if ground is None or not window.area:
            return np.full((1, 1), self.planar)
        rows, cols = _centres(window.row0, window.row1), _centres(window.col0, window.col1)
        if self._by_latitude:
            return ground.cell_areas(self.transform, rows, cols[:1])
        row_nodes, col_nodes = _nodes(rows), _nodes(cols)
        area = ground.cell_areas(self.transform, row_nodes, col_nodes)
        outside = ~np.isfinite(area)
        area[outside] = self.planar
        # A cubic would swing at the edge of what is not on the ground.
        degree = 1 if outside.any() else 3
        return np.asarray(_weights(row_nodes, rows, degree) @ area @ _weights(col_nodes, cols, degree).T)

    @cached_property
    def planar(self) -> float:
        """Area of a pixel on the map, in square metres; 1.0 without a CRS."""
        if self.crs is None:
            return 1.0
        axes = self._crs.axis_info if self._crs is not None else []
        metres = axes[0].unit_conversion_factor if axes else 1.0
        return float(abs(self.transform.determinant) * (metres or 1.0) ** 2)

    @cached_property
    def _crs(self) -> pyproj.CRS | None:
        try:
            return None if self.crs is None else pyproj.CRS.from_wkt(self.crs.to_wkt(version="WKT2_2019"))
        except pyproj.exceptions.CRSError:
            return None

    @cached_property
    def _by_latitude(self) -> bool:
        """Rows are parallels: an area depends on the row alone."""
        crs = self._crs
        straight = self.transform.b == 0 == self.transform.d
        return crs is not None and crs.is_geographic and not crs.is_derived and straight

    @cached_property
    def _ground(self) -> _Ground | None:
        crs = self._crs
        geodetic, geod = (crs.geodetic_crs, crs.get_geod()) if crs is not None else (None, None)
        if crs is None or geodetic is None or geod is None or crs.is_geocentric:
            return None
        try:
            to_lonlat = pyproj.Transformer.from_crs(crs.to_2d(), geodetic.to_2d(), always_xy=True)
        except pyproj.exceptions.ProjError:
            return None
        return _Ground(to_lonlat, geodetic.axis_info[0].unit_conversion_factor, geod.a, geod.es)


@dataclass(frozen=True, eq=False)
class _Ground:
    """The ellipsoid of a CRS and the way there from the map."""

    to_lonlat: pyproj.Transformer
    radians: float
    """One unit of its longitudes and latitudes."""
    axis: float
    """Semi-major, in metres."""
    squared: float
    """Squared eccentricity."""

    def cell_areas(
        self, transform: Affine, rows: NDArray[np.float64], cols: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(len(rows), len(cols)) areas of the pixels with these centres; not finite where there is no ground."""
        # Centre, then the middles of the left, right, upper and lower sides.
        row = rows[:, None] + np.array([0, 0, 0, -0.5, 0.5])[:, None, None]
        col = cols[None, :] + np.array([0, -0.5, 0.5, 0, 0])[:, None, None]
        x = transform.a * col + transform.b * row + transform.c
        y = transform.d * col + transform.e * row + transform.f
        lon, lat = (np.asarray(angle) * self.radians for angle in self.to_lonlat.transform(x, y))
        with np.errstate(invalid="ignore"):
            east, south = _turn(lon[2] - lon[1]), _turn(lon[4] - lon[3])
            jacobian = np.abs(east * (lat[4] - lat[3]) - south * (lat[2] - lat[1]))
            flat = 1 - self.squared * np.sin(lat[0]) ** 2
            return np.asarray(self.axis**2 * (1 - self.squared) / flat**2 * np.abs(np.cos(lat[0])) * jacobian)


def _centres(start: int, stop: int) -> NDArray[np.float64]:
    return np.arange(start, stop, dtype=np.float64) + np.float64(0.5)


def _nodes(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The positions themselves when they are few, else evenly spread ones from the first to the last."""
    return np.linspace(at[0], at[-1], min(NODES, len(at)), dtype=np.float64)


def _turn(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """A difference of longitudes in radians, the short way round."""
    return np.where(np.abs(angle) > math.pi, angle - np.copysign(2 * math.pi, angle), angle)


def _weights(nodes: NDArray[np.float64], at: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """(len(at), len(nodes)): interpolation from the nodes as a matrix."""
    if len(nodes) == len(at):
        return np.eye(len(at))
    # Most of the time it takes to start, and few scenes need it.
    from scipy.interpolate import make_interp_spline

    return np.asarray(make_interp_spline(nodes, np.eye(len(nodes)), k=degree)(at))
