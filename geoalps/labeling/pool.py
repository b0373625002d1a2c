r"""Pooling: one vector per segment from an encoder's dense map, exactly.

The mean over a mask of the bilinearly up-sampled map needs no up-sampling. With U the (linear) up-sampling from the
map's cells to pixels, m a mask and F the map,

.. math:: f = \frac{\sum_x m(x) (U F)(x)}{\sum_x m(x)} = \frac{(U^T m) F}{|m|}

and U is separable, so that a horizontal run of pixels needs two looks into a table of cumulative column weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from geoalps.protocols import EmbeddingMap, Image
from geoalps.segments import Segments

CHUNK = 4_000_000
"""Weights held at once: bounds the memory of pooling many segments."""


def upsampling(cells: int, pixels: int) -> NDArray[np.float64]:
    """(pixels, cells) bilinear up-sampling along one axis, pixel centres aligned (``align_corners=False``).

    Every row sums to one.
    """
    position = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    left = np.minimum(np.floor(position).astype(int), max(cells - 2, 0))
    share = position - left
    table = np.zeros((pixels, cells))
    np.add.at(table, (np.arange(pixels), left), 1 - share)
    np.add.at(table, (np.arange(pixels), np.minimum(left + 1, cells - 1)), share)
    return table


def pool(segments: Segments, embedding: EmbeddingMap) -> NDArray[np.float32]:
    """Mean of the up-sampled embedding over every mask.

    Args:
        segments: n masks, none of them empty, in the frame of the window that ``embedding`` covers.
        embedding: (channels, h, w) map.

    Returns:
        (n, channels) float32.

    Raises:
        ValueError: a mask is empty; drop and count those before (a mean of nothing is no vector).
    """
    if len(segments) and segments.areas.min() == 0:
        raise ValueError("an empty mask has no mean; drop empty masks before pooling")
    channels, height, width = embedding.values.shape
    rows, cols = upsampling(height, embedding.shape[0]), upsampling(width, embedding.shape[1])
    before = np.concatenate([np.zeros((1, width)), np.cumsum(cols, 0)])
    flat = embedding.values.reshape(channels, -1).astype(np.float64).T
    out = np.empty((len(segments), channels), np.float32)
    step = max(1, CHUNK // (height * width))
    for start in range(0, len(segments), step):
        part = segments.take(np.arange(start, min(start + step, len(segments))))
        weights = _cell_weights(part, rows, before)
        out[start : start + step] = (weights @ flat) / part.areas[:, None]
    return out


def mean_colours(segments: Segments, image: Image) -> NDArray[np.uint8]:
    """(n, 3) uint8: the mean colour of every mask, none of them empty, in an (h, w, 3) uint8 image."""
    row, start, stop = segments.runs.T
    sums = []
    for channel in np.moveaxis(image, 2, 0):
        before = np.zeros((channel.shape[0], channel.shape[1] + 1), np.int64)
        np.cumsum(channel, 1, dtype=np.int64, out=before[:, 1:])
        sums.append(np.bincount(segments.index, before[row, stop] - before[row, start], len(segments)))
    return np.round(np.stack(sums, 1) / np.maximum(segments.areas, 1)[:, None]).astype(np.uint8)


def _cell_weights(segments: Segments, rows: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, h * w) float64: U^T m of every mask."""
    height, width = rows.shape[1], before.shape[1]
    row, start, stop = segments.runs.T
    run, cell = np.nonzero(rows[row])
    weight = rows[row[run], cell]
    place = segments.index[run] * height + cell
    gather = coo_array((weight, (place, run)), (len(segments) * height, len(row))).tocsr()
    return np.asarray(gather @ (before[stop] - before[start])).reshape(len(segments), height * width)
