"""Hand-made descriptors of regions: what a person would say of one before knowing what it is.

Colour in L*a*b* (mean and deviation), edges inside it, texture at two scales, how much it differs from what surrounds
it, how large it is and what shape it has. All are means or ratios, so that they do not depend on where the region
lies; they are z-scored over the scene when classes are fitted. What two columns say alike therefore counts twice: how
ragged the outline is, which follows the size of a region that was grown in a picture, is no column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.models.hierarchy import RegionGraph
from geoalps.segments import Segments

Float = NDArray[np.float64]

NAMES = (
    *(f"{kind}_{channel}" for kind in ("mean", "deviation", "ring") for channel in "Lab"),
    "gradient",
    "fine_texture",
    "coarse_texture",
    "coherence",
    "log_area",
    "elongation",
    "fill",
)
"""What every column of :func:`describe` holds, in order."""


def describe(
    labels: NDArray[np.int32], graph: RegionGraph, colour: NDArray[Any], slopes: NDArray[Any]
) -> NDArray[np.float32]:
    """Descriptors of the regions of a label map.

    Args:
        labels: (h, w) int32, 1..n; 0 is nobody's.
        graph: the regions' adjacency graph.
        colour: (3, h, w) L*a*b*, not smoothed.
        slopes: (2, h, w) derivative of L down the rows and along the columns.

    Returns:
        (n, len(NAMES)) float32.
    """
    sums = _RegionMeans(labels, len(graph))
    mean = np.stack([sums(channel) for channel in colour])
    deviation = np.sqrt(np.maximum(np.stack([sums(channel * channel) for channel in colour]) - mean**2, 0))
    inside = [sums(np.hypot(*slopes)), *(sums(texture) for texture in _textures(colour[0])), _coherence(sums, slopes)]
    columns = [*mean, *deviation, *_ring_contrast(graph, mean), *inside, *_shape(labels, graph)]
    return np.stack(columns, 1).astype(np.float32)


class _RegionMeans:
    """Means of images over the regions of one label map."""

    def __init__(self, labels: NDArray[np.int32], count: int) -> None:
        """Of an (h, w) label map: 1..count, 0 is nobody's."""
        self.flat, self.count = labels.ravel(), count
        self.sizes = np.maximum(np.bincount(self.flat, minlength=count + 1)[1:], 1)

    def __call__(self, values: NDArray[Any]) -> Float:
        """(count,) means of an (h, w) image; 0 for a number without a pixel."""
        return np.asarray(np.bincount(self.flat, values.ravel(), self.count + 1)[1:] / self.sizes)


def _textures(light: NDArray[Any]) -> list[NDArray[Any]]:
    """|difference| of the lightness and its mean over 3 x 3, and of its means over 3 x 3 and 9 x 9 pixels."""
    near, far = (ndimage.uniform_filter(light, size) for size in (3, 9))
    return [np.abs(light - near), np.abs(near - far)]


def _ring_contrast(graph: RegionGraph, mean: Float) -> Float:
    """(c, n): own mean less the neighbours' means, weighted by the border in common; 0 without neighbours."""
    one, two = graph.edges.T
    count = len(graph)
    weight = np.bincount(one, graph.lengths, count) + np.bincount(two, graph.lengths, count)
    around = np.stack(
        [
            np.bincount(one, graph.lengths * channel[two], count)
            + np.bincount(two, graph.lengths * channel[one], count)
            for channel in mean
        ]
    )
    return np.where(weight > 0, mean - around / np.maximum(weight, 1), 0)


def _coherence(sums: _RegionMeans, slopes: NDArray[Any]) -> Float:
    """How much the gradients inside have one direction, 0..1: rows of a field against a meadow.

    From the mean structure tensor J: sqrt((Jyy - Jxx)^2 + 4 Jxy^2) / (Jyy + Jxx).
    """
    down, along = slopes
    yy, xx, xy = sums(down * down), sums(along * along), sums(down * along)
    return np.asarray(np.sqrt((yy - xx) ** 2 + 4 * xy**2) / np.maximum(yy + xx, 1e-6))


def _shape(labels: NDArray[np.int32], graph: RegionGraph) -> list[Float]:
    """log2 of the area; log of the ratio of the axes of the ellipse with the same second moments; area / box."""
    segments = Segments.from_labels(labels, np.ones(len(graph), np.float32))
    row, col = segments.runs[:, 0] + 0.5, (segments.runs[:, 1] + segments.runs[:, 2]) / 2
    area = np.maximum(graph.sizes, 1)

    def mean(values: NDArray[Any]) -> Float:
        """(n,) mean over the pixels of every region of one value a run."""
        return np.asarray(np.bincount(segments.index, values * segments.lengths, len(segments)) / area)

    centre_row, centre_col = mean(row), mean(col)
    # a run's own spread along its row, and a pixel's, belong to the second moments
    yy = mean((row - centre_row[segments.index]) ** 2) + 1 / 12
    xx = mean((col - centre_col[segments.index]) ** 2 + segments.lengths**2 / 12)
    xy = mean((row - centre_row[segments.index]) * (col - centre_col[segments.index]))
    root = np.sqrt((yy - xx) ** 2 / 4 + xy**2)
    half = (yy + xx) / 2
    elongation = np.log((half + root) / np.maximum(half - root, 1 / 24)) / 2
    boxes = segments.boxes.astype(float)
    box = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1)
    return [np.log2(area), elongation, area / box]
