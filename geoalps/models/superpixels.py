"""Superpixels: the basins of an image's colour gradient, found without a queue.

Every pixel points at its lowest neighbour; following the pointers to the end (by pointer jumping, a dozen passes over
the image) gives the watershed basins of the gradient. What a basin looks like depends on its own pixels only, so that
two tiles that see the same ground cut it in the same basins.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    return _lab(_LINEAR[image[..., channel]] for channel in range(3))


def lab_exact(rgb: Float) -> Float:
    """The same of (3, height, width) float32 sRGB, 0..1, which may lie between the levels of 8 bits."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _lab(linear.astype(np.float32))


def _lab(linear: Iterable[Float]) -> Float:
    """(3, h, w) L*a*b* of (h, w) linear red, green and blue."""
    red, green, blue = linear
    x, y, z = (_cube_root(row[0] * red + row[1] * green + row[2] * blue) for row in _TO_XYZ_N)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _cube_root(light: Float) -> Float:
    """The cube root, and near black the straight line that CIE puts in its place."""
    return np.where(light > 0.008856, np.cbrt(light), 7.787 * light + np.float32(16 / 116))


def fill_invalid(values: NDArray[Number], valid: Mask) -> NDArray[Number]:
    """(c, h, w) values with every invalid pixel replaced by the nearest valid one, so that nodata makes no edge."""
    if valid.all() or not valid.any():
        return values
    row, col = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return values[:, row, col]


def gradients(values: Float) -> tuple[Float, Float]:
    """Derivatives of (h, w) values down the rows and along the columns by Sobel's operator, per pixel, float32."""
    framed = np.pad(values, 1, mode="edge")
    down, along = framed[2:] - framed[:-2], framed[:, 2:] - framed[:, :-2]
    return (
        (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 8,
        (along[:-2] + 2 * along[1:-1] + along[2:]) / 8,
    )


def basins(height: Float, valid: Mask) -> tuple[NDArray[np.int32], int]:
    """Watershed basins by steepest descent over the 4-neighbourhood.

    Args:
        height: (h, w) float32, 0 or more: usually a gradient magnitude.
        valid: (h, w) bool.

    Returns:
        (h, w) int32 labels, 1..n numbered by the row-major position of each basin's bottom, 0 where invalid; and n.
        Equal heights are ordered by position, so the result is deterministic; a plateau may give several basins.
    """
    shape = height.shape
    position = np.arange(height.size, dtype=np.int32).reshape(shape)
    # height and position in one number: a height's bits rise with it, and without the position two equal pixels would
    # point at each other
    level = np.where(valid, height, np.inf).astype(np.float32).view(np.uint32).astype(np.uint64)
    key = (level << 32) | position.astype(np.uint64)
    lowest = key.copy()
    for here, there in _neighbour_slices():
        np.minimum(lowest[here], key[there], out=lowest[here])
    pointer = np.where(valid, lowest.astype(np.uint32).view(np.int32), position).ravel()
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
