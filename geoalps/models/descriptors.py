"""Hand-made descriptors of regions: what a person would say of one before knowing what it is.

Colour in L*a*b* (mean and deviation), edges inside it, texture at two scales, how much it differs from what surrounds
it, how large it is and what shape it has. All are means or ratios, so that they do not depend on where the region
lies; they are z-scored over the scene when classes are fitted. What two columns say alike therefore counts twice: how
ragged the outline is, which follows the size of a region that was grown in a picture, is no column.

:func:`describe` is for the regions of a partition, :func:`describe_masks` for any masks, overlapping ones too. Of a
partition both say the same but in the columns ``ring_*``: a region has neighbours, a mask has the pixels around it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

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
"""What every column holds, in order."""
SHAPE_NAMES = NAMES[-3:]
"""Those that say nothing of colours: size and shape."""
RING = 3
"""Pixels from a mask's border to where its ring ends: wide enough for what a blurred border does not reach."""
MOST_RUNS = 100_000
"""Runs of masks that are grown at once: bounds the memory that thousands of large masks take."""


class _Means(Protocol):
    """Means of images over regions."""

    def __call__(self, values: NDArray[Any]) -> Float:
        """(n,) means of an (h, w) image."""
        ...


def describe(
    labels: NDArray[np.int32], segments: Segments, graph: RegionGraph, colour: NDArray[Any], slopes: NDArray[Any]
) -> NDArray[np.float32]:
    """Descriptors of the regions of a label map.

    Args:
        labels: (h, w) int32, 1..n; 0 is nobody's.
        segments: the same regions as runs of pixels.
        graph: the regions' adjacency graph.
        colour: (3, h, w) L*a*b*, not smoothed.
        slopes: (2, h, w) derivative of L down the rows and along the columns.

    Returns:
        (n, len(NAMES)) float32.
    """
    sums = _RegionMeans(labels, len(graph))
    mean = np.stack([sums(channel) for channel in colour])
    columns = [*mean, *_deviation(sums, colour, mean), *_ring_contrast(graph, mean), *_inside(sums, colour, slopes)]
    return np.stack([*columns, *_shape(segments)], 1).astype(np.float32)


def describe_masks(
    segments: Segments, colour: NDArray[Any], slopes: NDArray[Any], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Descriptors of masks that may overlap and need not cover everything.

    Args:
        segments: n masks, none of them empty, on valid pixels.
        colour: (3, h, w) L*a*b*, not smoothed.
        slopes: (2, h, w) derivative of L down the rows and along the columns.
        valid: (h, w) bool; what is False belongs to no ring.

    Returns:
        (n, len(NAMES)) float32. ``ring_*`` is the mask's mean less that of the valid pixels up to :data:`RING` pixels
        outside of it, whatever masks they are in; 0 where there are none.
    """
    sums = _MaskMeans(segments)
    mean = np.stack([sums(channel) for channel in colour])
    around = _MaskSums(dilated(segments, RING, valid.shape))
    inner = _MaskSums(segments)
    room = around(valid) - inner(valid)
    ring = np.stack([around(channel * valid) - inner(channel * valid) for channel in colour]) / np.maximum(room, 1)
    contrast = np.where(room > 0, mean - ring, 0)
    columns = [*mean, *_deviation(sums, colour, mean), *contrast, *_inside(sums, colour, slopes), *_shape(segments)]
    return np.stack(columns, 1).astype(np.float32)


def dilated(segments: Segments, radius: int, shape: tuple[int, int]) -> Segments:
    """Masks grown by a disc, each for itself, within a window.

    Args:
        segments: n masks.
        radius: pixels.
        shape: (height, width) of the window.

    Returns:
        n masks: the pixels whose centres lie at most ``radius`` from that of a pixel of the mask.
    """
    # at least one mask at a time, however many runs it has
    part = np.maximum(segments.offsets[1:] - 1, 0) // MOST_RUNS
    edges = np.searchsorted(part, np.arange(int(part.max(initial=-1)) + 2))
    grown = [_dilated(segments.take(np.arange(*pair)), radius, shape) for pair in pairwise(edges)]
    counts = [np.diff(some.offsets) for some in grown]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([[], *counts]))]).astype(np.int64)
    runs = np.concatenate([np.zeros((0, 3), np.int32), *(some.runs for some in grown)])
    return Segments(runs, offsets, segments.scores)


def _dilated(segments: Segments, radius: int, shape: tuple[int, int]) -> Segments:
    """:func:`dilated`, all masks at once."""
    height, width = shape
    shifts = np.arange(-radius, radius + 1)
    reach = np.floor(np.sqrt(radius**2 - shifts**2)).astype(np.int64)
    row = (segments.runs[:, :1] + shifts).ravel()
    start = np.maximum(segments.runs[:, 1:2] - reach, 0).ravel()
    stop = np.minimum(segments.runs[:, 2:] + reach, width).ravel()
    line = np.repeat(segments.index, len(shifts)) * height + row
    there = (row >= 0) & (row < height)
    line, start, stop = line[there], start[there], stop[there]
    order = np.lexsort((start, line))
    line = line[order]
    # every row of every mask gets a stretch of one long line to itself, so that one pass joins what overlaps
    start, stop = line * (width + 1) + start[order], line * (width + 1) + stop[order]
    reached = np.maximum.accumulate(stop)
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reached[:-1]])[: len(start)])
    last = np.append(first[1:], len(start))[: len(first)] - 1
    number, line = line[first] // height, line[first]
    runs = np.stack([line % height, start[first] - line * (width + 1), reached[last] - line * (width + 1)], 1)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(segments)))]).astype(np.int64)
    return Segments(runs.astype(np.int32), offsets, segments.scores)


class _MaskSums:
    """Sums of images over masks: two looks a run into the image summed along its rows."""

    def __init__(self, segments: Segments) -> None:
        """Of masks that may overlap."""
        self.index, self.count = segments.index, len(segments)
        self.row, self.start, self.stop = segments.runs.T

    def __call__(self, values: NDArray[Any]) -> Float:
        """(n,) sums of an (h, w) image."""
        before = np.zeros((values.shape[0], values.shape[1] + 1))
        np.cumsum(values, 1, dtype=np.float64, out=before[:, 1:])
        inside = before[self.row, self.stop] - before[self.row, self.start]
        return np.asarray(np.bincount(self.index, inside, self.count), np.float64)


class _MaskMeans:
    """Means of images over masks."""

    def __init__(self, segments: Segments) -> None:
        """Of masks that may overlap."""
        self.sums, self.sizes = _MaskSums(segments), np.maximum(segments.areas, 1)

    def __call__(self, values: NDArray[Any]) -> Float:
        """(n,) means of an (h, w) image; 0 for an empty mask."""
        return np.asarray(self.sums(values) / self.sizes)


class _RegionMeans:
    """Means of images over the regions of one label map."""

    def __init__(self, labels: NDArray[np.int32], count: int) -> None:
        """Of an (h, w) label map: 1..count, 0 is nobody's."""
        self.flat, self.count = labels.ravel(), count
        self.sizes = np.maximum(np.bincount(self.flat, minlength=count + 1)[1:], 1)

    def __call__(self, values: NDArray[Any]) -> Float:
        """(count,) means of an (h, w) image; 0 for a number without a pixel."""
        return np.asarray(np.bincount(self.flat, values.ravel(), self.count + 1)[1:] / self.sizes)


def _deviation(means: _Means, colour: NDArray[Any], mean: Float) -> Float:
    """(3, n) standard deviations of every channel, whose means are ``mean``."""
    return np.asarray(np.sqrt(np.maximum(np.stack([means(channel * channel) for channel in colour]) - mean**2, 0)))


def _inside(means: _Means, colour: NDArray[Any], slopes: NDArray[Any]) -> list[Float]:
    """Gradient, fine and coarse texture, coherence."""
    textures = (means(texture) for texture in _textures(colour[0]))
    return [means(np.hypot(*slopes)), *textures, _coherence(means, slopes)]


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


def _coherence(means: _Means, slopes: NDArray[Any]) -> Float:
    """How much the gradients inside have one direction, 0..1: rows of a field against a meadow.

    From the mean structure tensor J: sqrt((Jyy - Jxx)^2 + 4 Jxy^2) / (Jyy + Jxx).
    """
    down, along = slopes
    yy, xx, xy = means(down * down), means(along * along), means(down * along)
    return np.asarray(np.sqrt((yy - xx) ** 2 + 4 * xy**2) / np.maximum(yy + xx, 1e-6))


def _shape(segments: Segments) -> list[Float]:
    """log2 of the area; log of the ratio of the axes of the ellipse with the same second moments; area / box."""
    row, col = segments.runs[:, 0] + 0.5, (segments.runs[:, 1] + segments.runs[:, 2]) / 2
    area = np.maximum(segments.areas, 1)

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
