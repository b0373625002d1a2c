"""The colour space OKLab, where distances are about as large as they look, also to colour-blind eyes.

Colour-blind eyes see what the matrices of Machado, Oliveira and Fernandes (2009) make of linear RGB, for eyes that lack
one kind of cone altogether. All sums are written out, so that no library's order of adding shows in the result.

>>> [round(float(v), 3) for v in oklab(np.array([[255, 0, 0]], np.uint8))[0]]
[0.628, 0.225, 0.126]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
"""(k, 3) uint8 sRGB."""
Lab = NDArray[np.float64]
"""(..., 3) lightness 0..1, green-red, blue-yellow."""

VISIONS = ("normal", "deuteranope", "protanope", "tritanope")
"""Eyes with all cones, without those for middle (green), long (red) and short (blue) waves."""

_OF_VISION = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
_LMS_OF_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_OF_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_RGB_OF_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_LMS_OF_LAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_VALUES = np.arange(256) / 255
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4)
"""Linear light of each of the 256 values of sRGB."""


def oklab(colours: Colours) -> Lab:
    """(k, 3) OKLab of (k, 3) uint8 sRGB."""
    return _lab(_LINEAR[colours])


def seen(colours: Colours) -> Lab:
    """(k, 4, 3) OKLab of (k, 3) uint8 sRGB as each of VISIONS sees it."""
    linear = _LINEAR[colours]
    eyes = [np.clip(_times(linear, matrix), 0, 1) for matrix in _OF_VISION]
    return _lab(np.stack(eyes, 1))


def srgb(lab: Lab) -> tuple[Colours, NDArray[np.bool_]]:
    """The inverse of :func:`oklab`.

    Args:
        lab: (k, 3) OKLab.

    Returns:
        (k, 3) uint8 sRGB, clipped, and (k,) whether it is of a colour that sRGB has.
    """
    linear = _times(_times(lab, _LMS_OF_LAB) ** 3, _RGB_OF_LMS)
    inside: NDArray[np.bool_] = np.logical_and.reduce((linear >= 0) & (linear <= 1), axis=1)
    linear = linear.clip(0, 1)
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (value * 255).round().astype(np.uint8), inside


def _lab(linear: NDArray[np.float64]) -> Lab:
    """(..., 3) OKLab of linear RGB 0..1."""
    return _times(np.cbrt(_times(linear, _LMS_OF_RGB)), _LAB_OF_LMS)


def _times(values: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) values, each multiplied by a (3, 3) matrix from the left."""
    return values[..., :1] * matrix[:, 0] + values[..., 1:2] * matrix[:, 1] + values[..., 2:] * matrix[:, 2]
