"""The seams of geoalps: what a segmenter, an encoder and a clusterer must do.

A plug-in is any object with these methods; it inherits nothing. ``geoalps.testing.check_segmenter`` tries one, and
``geoalps.plugins`` finds those that are installed by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoalps.segments import Segments

Image = NDArray[np.uint8]
"""(height, width, 3) uint8 RGB: one tile's window after the scene's stretch."""
Mask = NDArray[np.bool_]
"""(height, width) bool."""


@dataclass(frozen=True, eq=False)
class Bands:
    """What a scene holds of one tile's window and its image does not show; all scaled alike in the whole scene."""

    exact: NDArray[np.float32]
    """(3, h, w) float32, 0..1: red, green and blue before they were rounded to 8 bits; the image divided by 255 where
    the scene holds no more."""
    further: NDArray[np.float32]
    """(c, h, w) float32, 0..1: further bands, NDVI last where red and near infrared are known; c may be 0. What is
    there where the image is not valid may be anything finite."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """An encoder's dense view of one tile's window."""

    values: NDArray[np.float32]
    """(channels, h, w) float32; cell (i, j) covers the same share of the window as pixel (i, j) of an h x w image."""
    shape: tuple[int, int]
    """(height, width) in pixels that the h x w cells cover; may exceed the window at the bottom and the right by less
    than a cell, where the window is no whole number of cells."""


@dataclass(frozen=True, eq=False)
class PooledEmbeddings:
    """One vector per segment from a segmenter whose descriptors are no means over the mask (shape, ring contrast)."""

    values: NDArray[np.float32]
    """(n, channels) float32; row i belongs to segment i."""


@runtime_checkable
class Segmenter(Protocol):
    """Class-agnostic masks, and the embedding of the same encoder pass.

    Must be deterministic, and safe to call from several threads on different tiles.
    """

    @property
    def partition(self) -> bool:
        """True when the segments cover every valid pixel exactly once: then no gate is applied to them."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and every option that changes the result, as JSON values; goes into the store's fingerprint."""
        ...

    def segment(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap | PooledEmbeddings]:
        """Segments of one tile's window.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; False is nodata. No prompt, segment or embedding may come from there.

        Returns:
            Segments in the frame of ``image``, and either the dense embedding map to be pooled per mask or the
            pooled embeddings themselves.
        """
        ...


@runtime_checkable
class Adaptive(Protocol):
    """A segmenter that looks at some windows of a scene before it begins, so that it treats all tiles alike."""

    def adapted(self, samples: Iterable[Any], pixel_size: float | None = None) -> Segmenter:
        """A segmenter whose ``identity`` holds what was learnt from the scene.

        Args:
            samples: (image, valid) of some windows.
            pixel_size: side of a pixel on the ground in metres; None where the scene does not say where it is.
        """
        ...


@runtime_checkable
class MultiBand(Protocol):
    """A segmenter that also looks at what its image does not show of the scene.

    One that is :class:`Adaptive` too gets samples of (image, valid, bands).
    """

    @property
    def multiband(self) -> bool:
        """False: it is treated like any other."""
        ...

    def segment(
        self, image: Image, valid: Mask, bands: Bands | None = None
    ) -> tuple[Segments, EmbeddingMap | PooledEmbeddings]:
        """As :meth:`Segmenter.segment`; ``bands`` is None where the image shows all there is."""
        ...


Sample = tuple[Image, Mask] | tuple[Image, Mask, Bands | None]
"""What an Adaptive segmenter sees of a window: (image, valid), or (image, valid, bands) when it is MultiBand."""


@runtime_checkable
class Encoder(Protocol):
    """A dense embedding; when given, it replaces the segmenter's own."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and every option that changes the result, as JSON values."""
        ...

    def encode(self, image: Image, valid: Mask) -> EmbeddingMap:
        """Embedding map of one tile's window; see :class:`EmbeddingMap`."""
        ...


@runtime_checkable
class Clusterer(Protocol):
    """Turns object embeddings into classes, batch by batch."""

    def partial_fit(self, batch: NDArray[np.float32]) -> None:
        """Learn from (n, channels) float32 embeddings."""
        ...

    def assign(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(n,) int64 class ids and (n,) float32 confidences of (n, channels) embeddings."""
        ...
