"""Superpixels: the basins of an image's colour gradient, found without a queue.

Every pixel points at its lowest neighbour; following the pointers to the end (by pointer jumping, a dozen passes over
the image) gives the watershed basins of the gradient. What a basin looks like depends on its own pixels only, so that
two tiles that see the same ground cut it in the same basins.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.protocols import Image, Mask

Float = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)


def _srgb_to_linear() -> Float:
    """(256,) float32: linear light of every 8-bit sRGB value (IEC 61966-2-1)."""
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _srgb_to_linear()
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_TO_XYZ_N = (_TO_XYZ / _WHITE[:, None]).astype(np.float32)


def lab(image: Image) -> Float:
    """CIE L*a*b* (D65) of an sRGB image.

    Args:
        image: (height, width, 3) uint8.

    Returns:
        (3, height, width) float32: L 0..100, a and b about -100..100.
    """
    return _lab(_LINEAR[image])


def lab_exact(rgb: Float) -> Float:
    """The same of (3, height, width) float32 sRGB, 0..1, which may lie between the levels of 8 bits."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _lab(np.moveaxis(linear.astype(np.float32), 0, -1))


def _lab(linear: Float) -> Float:
    """(3, h, w) L*a*b* of (h, w, 3) linear light."""
    xyz = linear @ _TO_XYZ_N.T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + np.float32(16 / 116))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def fill_invalid(values: NDArray[Number], valid: Mask) -> NDArray[Number]:
    """(c, h, w) values with every invalid pixel replaced by the nearest valid one, so that nodata makes no edge."""
    if valid.all() or not valid.any():
        return values
    row, col = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return values[:, row, col]


def gradients(values: Float) -> tuple[Float, Float]:
    """Derivatives of (h, w) values down the rows and along the columns by Sobel's operator, per pixel, float32."""
    down, along = (np.asarray(ndimage.sobel(values, axis) / 8, np.float32) for axis in (0, 1))
    return down, along


def basins(height: Float, valid: Mask) -> tuple[NDArray[np.int32], int]:
    """Watershed basins by steepest descent over the 4-neighbourhood.

    Args:
        height: (h, w) float32, usually a gradient magnitude.
        valid: (h, w) bool.

    Returns:
        (h, w) int32 labels, 1..n numbered by the row-major position of each basin's bottom, 0 where invalid; and n.
        Equal heights are ordered by position, so the result is deterministic; a plateau may give several basins.
    """
    shape = height.shape
    position = np.arange(height.size, dtype=np.int32).reshape(shape)
    level = np.where(valid, height, np.inf).astype(np.float32)
    lowest, target = level.copy(), position.copy()
    for here, there in _neighbour_slices():
        value, where = level[there], position[there]
        low, to = lowest[here], target[here]
        # strictly lower in (height, position): without the second key two equal pixels would point at each other
        better = (value < low) | ((value == low) & (where < to))
        low[better], to[better] = value[better], where[better]
    pointer = np.where(valid, target, position).ravel()
    while True:
        further = pointer[pointer]
        if np.array_equal(further, pointer):
            break
        pointer = further
    bottom = (pointer == position.ravel()) & valid.ravel()
    number = np.cumsum(bottom, dtype=np.int32)
    labels = np.where(valid.ravel(), number[pointer], 0).reshape(shape)
    return labels.astype(np.int32), int(number[-1])


def _neighbour_slices() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Pairs of (pixels, the same pixels' neighbours) for the four directions."""
    everything, first, last = slice(None), slice(None, -1), slice(1, None)
    pairs: list[tuple[Any, Any]] = [
        ((everything, first), (everything, last)),
        ((first, everything), (last, everything)),
    ]
    return [pair for one, other in pairs for pair in ((one, other), (other, one))]
