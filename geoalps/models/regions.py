"""The ``regions`` segmenter: needs no weights, no GPU and no download.

    gradient superpixels -> adjacency graph -> small regions eliminated -> merging tree -> one cut -> descriptors

The segments are a partition of the valid pixels; the embeddings are hand-made descriptors, one per segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.errors import OptionError
from geoalps.models.descriptors import NAMES, describe
from geoalps.models.hierarchy import RegionGraph, eliminate, merge_tree
from geoalps.models.superpixels import basins, fill_invalid, gradients, lab
from geoalps.protocols import Image, Mask, PooledEmbeddings
from geoalps.segments import Segments

Float = NDArray[np.float32]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class RegionSegmenter:
    """Regions of alike colour inside common borders; see the module's docstring."""

    regions_per_mpx: float = 340.0
    """Segments per million valid pixels of the scene: more is finer."""
    altitude: float | None = None
    """Merging cost at which every tile's tree is cut; :meth:`adapted` finds it for a scene. None cuts each window at
    its own regions_per_mpx: then a tile of fields is cut as fine as a tile of roofs, and seams show."""
    smallest: int = 24
    """Pixels below which a region is given to its likest neighbour before anything is merged."""
    smoothing: float = 0.7
    """Standard deviation in pixels of the Gaussian before the gradient."""

    partition = True

    def __post_init__(self) -> None:
        if not 0 < self.regions_per_mpx <= 1e6:
            raise OptionError(f"regions-per-mpx is {self.regions_per_mpx:g}; allowed is above 0 to 1000000")
        if self.smallest < 1:
            raise OptionError(f"smallest is {self.smallest}; at least 1 pixel is needed")
        if not 0 <= self.smoothing <= 10:
            raise OptionError(f"smoothing is {self.smoothing:g}; allowed is 0 to 10 pixels")

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name, revision of the method, options, names of the embedding's columns."""
        return {"name": "regions", "revision": 1, "options": asdict(self), "embedding": list(NAMES)}

    def adapted(self, samples: Iterable[tuple[Image, Mask]]) -> RegionSegmenter:
        """The same segmenter with the altitude that gives ``regions_per_mpx`` over some windows of a scene."""
        if self.altitude is not None:
            return self
        altitudes, pixels, roots = [np.zeros(0)], 0, 0
        for image, valid in samples:
            if valid.any():
                tree = merge_tree(self._superpixels(*self._view(image, valid)[1:3], valid)[2])
                altitudes.append(tree.altitudes[np.isfinite(tree.altitudes)])
                pixels, roots = pixels + int(valid.sum()), roots + 1
        merges = -np.sort(-np.concatenate(altitudes))
        undone = round(self.regions_per_mpx * pixels / 1e6) - roots
        # between two merges, so that rounding cannot move one across
        found = float(merges[undone - 1 : undone + 1].mean()) if 0 < undone < len(merges) else None
        return replace(self, altitude=found)

    def segment(self, image: Image, valid: Mask) -> tuple[Segments, PooledEmbeddings]:
        """Partition one tile's window; see :class:`geoalps.protocols.Segmenter`.

        The score of a segment is its mean border gradient over that plus its mean inner gradient: 0.5 where a border
        is no stronger than what lies inside, towards 1 for a plain region with a sharp outline.
        """
        if not valid.any():
            return Segments.empty(), PooledEmbeddings(np.zeros((0, len(NAMES)), np.float32))
        colour, smooth, gradient, slopes = self._view(image, valid)
        labels, kept, graph = self._superpixels(smooth, gradient, valid)
        tree = merge_tree(graph)
        wanted = max(1, round(self.regions_per_mpx * int(valid.sum()) / 1e6))
        group = tree.cut(wanted if self.altitude is None else tree.count_above(self.altitude))
        labels = np.concatenate([[0], group[kept] + 1]).astype(np.int32)[labels]
        graph = graph.merge(group, int(group.max()) + 1)
        values = describe(labels, graph, colour, slopes)
        return Segments.from_labels(labels, _scores(labels, graph, gradient)), PooledEmbeddings(values)

    def _view(self, image: Image, valid: Mask) -> tuple[Float, Float, Float, Float]:
        """L*a*b* colour (3, h, w), the same smoothed, its gradient (h, w), the slopes (2, h, w) of its lightness."""
        colour = fill_invalid(lab(image), valid)
        smooth = np.stack([ndimage.gaussian_filter(channel, self.smoothing) for channel in colour])
        energy = np.zeros(valid.shape, np.float32)
        slopes = []
        for channel in smooth:  # one at a time: three of them at once are a third of what a tile takes
            slopes.append(gradients(channel))
            energy += slopes[-1][0] ** 2 + slopes[-1][1] ** 2
            del slopes[1:]
        return colour, smooth, np.sqrt(energy), np.stack(slopes[0])

    def _superpixels(self, smooth: Float, gradient: Float, valid: Mask) -> tuple[NDArray[np.int32], Int, RegionGraph]:
        """Basins (h, w) 1..n, which region each is part of once small ones are eliminated, and those regions' graph."""
        labels, count = basins(gradient, valid)
        graph, kept = eliminate(RegionGraph.from_labels(labels, count, smooth, gradient), self.smallest)
        return labels, kept, graph


def _scores(labels: NDArray[np.int32], graph: RegionGraph, gradient: Float) -> Float:
    """(n,) float32 in 0..1."""
    inner = np.bincount(labels.ravel(), gradient.ravel(), len(graph) + 1)[1:] / graph.sizes
    ends = graph.edges.ravel(order="F")
    length = np.bincount(ends, np.tile(graph.lengths, 2), len(graph))
    border = np.bincount(ends, np.tile(graph.contrasts, 2), len(graph)) / np.maximum(length, 1)
    total = border + inner
    return np.asarray(np.divide(border, total, out=np.full(len(graph), 0.5), where=total > 0), np.float32)
