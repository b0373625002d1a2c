"""Hand-made descriptors for the segments of any segmenter, to be appended to whatever embedding they get.

>>> from geoalps.models.regions import RegionSegmenter
>>> segmenter = with_shape(RegionSegmenter())
>>> image, valid = np.zeros((20, 30, 3), np.uint8), np.ones((20, 30), bool)
>>> segments, _ = segmenter.segment(image, valid)
>>> segmenter.describe(image, valid, segments).shape == (len(segments), len(NAMES))
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.models.descriptors import NAMES, describe_masks
from geoalps.models.superpixels import fill_invalid, gradients, lab
from geoalps.protocols import (
    Adaptive,
    Bands,
    EmbeddingMap,
    Image,
    Mask,
    MultiBand,
    PooledEmbeddings,
    Sample,
    Segmenter,
)
from geoalps.segments import Segments

REVISION = 1
"""Raised when a column comes to mean something else."""
SMOOTHING = 0.7
"""Standard deviation in pixels of the Gaussian before the slopes: that of the segmenter ``regions``."""


@dataclass(frozen=True)
class WithShape:
    """A segmenter, and what can be said of each of its segments beside the embedding; see :func:`with_shape`."""

    segmenter: Segmenter
    """Whose segments and embeddings these are."""

    @property
    def partition(self) -> bool:
        """As of the segmenter."""
        return self.segmenter.partition

    @property
    def identity(self) -> Mapping[str, Any]:
        """The segmenter's, and ``with_shape``: revision and names of the columns."""
        return {**self.segmenter.identity, "with_shape": {"revision": REVISION, "columns": list(NAMES)}}

    @property
    def multiband(self) -> bool:
        """As of the segmenter."""
        return isinstance(self.segmenter, MultiBand) and self.segmenter.multiband

    def segment(
        self, image: Image, valid: Mask, bands: Bands | None = None
    ) -> tuple[Segments, EmbeddingMap | PooledEmbeddings]:
        """What the segmenter returns, as it is."""
        if bands is None:
            return self.segmenter.segment(image, valid)
        return cast(MultiBand, self.segmenter).segment(image, valid, bands)

    def describe(self, image: Image, valid: Mask, segments: Segments) -> NDArray[np.float32]:
        """Colour, gradient, texture, ring contrast, size and shape of segments that may overlap.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; what the image holds elsewhere changes nothing.
            segments: n segments of this window, none of them empty.

        Returns:
            (n, len(NAMES)) float32; see :func:`geoalps.models.descriptors.describe_masks`.
        """
        if not len(segments):
            return np.zeros((0, len(NAMES)), np.float32)
        colour = fill_invalid(lab(image), valid)
        slopes = np.stack(gradients(ndimage.gaussian_filter(colour[0], SMOOTHING)))
        return describe_masks(segments, colour, slopes, valid)


@dataclass(frozen=True)
class AdaptiveWithShape(WithShape):
    """The same of an :class:`~geoalps.protocols.Adaptive` segmenter."""

    def adapted(self, samples: Iterable[Sample], pixel_size: float | None = None) -> WithShape:
        """With the segmenter that looked at some windows of the scene."""
        return with_shape(cast(Adaptive, self.segmenter).adapted(samples, pixel_size))


def with_shape(segmenter: Segmenter) -> WithShape:
    """A segmenter whose objects get hand-made descriptors beside the embedding of the segmenter or the encoder.

    Args:
        segmenter: any; one that is made with shape already is returned as it is.
    """
    if isinstance(segmenter, WithShape):
        return segmenter
    return (AdaptiveWithShape if isinstance(segmenter, Adaptive) else WithShape)(segmenter)
