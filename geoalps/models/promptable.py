"""What the mask generator asks of a network: one encoding a window, and masks with their predicted IoU for points.

Segment Anything and its successors differ inside; seen from here they are one family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoalps.protocols import EmbeddingMap, Image, Mask


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What an image encoder made of one window."""

    embedding: Tensor
    """(1, channels, rows, cols) floats: the dense embedding over the square input, padding included."""
    held: Any
    """Whatever else the network keeps for its decoder."""
    shape: tuple[int, int]
    """(height, width) of the window in pixels."""
    input_shape: tuple[int, int]
    """(height, width) of the resized window in the square input, without padding."""
    input_size: int
    """Side of the square input in pixels."""

    def embedding_map(self) -> EmbeddingMap:
        """The tokens that saw the window.

        A side that is no whole number of tokens keeps its last one, which lies partly on padding. ``shape`` is what
        the kept tokens cover, at their own size, so it may exceed the window by up to a token at the bottom or right;
        rounding it to whole pixels moves no token by more than half a pixel.
        """
        token = self.input_size / self.embedding.shape[-1]
        rows, cols = (int(np.ceil(side / token)) for side in self.input_shape)
        values = self.embedding[0, :, :rows, :cols].float().cpu().numpy()
        covered = [
            round(cells * token * side / resized)
            for cells, side, resized in zip((rows, cols), self.shape, self.input_shape, strict=True)
        ]
        return EmbeddingMap(np.ascontiguousarray(values), (covered[0], covered[1]))


@dataclass(frozen=True, eq=False)
class Answers:
    """Masks of some points that may be good enough."""

    logits: Tensor
    """(n, side, side) floats over the square input, padding included, at the decoder's resolution."""
    iou: Tensor
    """(n,) float32: the predicted IoU of each."""


class Promptable(Protocol):
    """A network with points for prompts."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def mask_threshold(self) -> float:
        """Logits above it are inside a mask."""
        ...

    def encode(self, image: Image, valid: Mask) -> EncodedImage:
        """One window.

        Args:
            image: (height, width, 3) uint8 RGB; its values under nodata do not matter.
            valid: (height, width) bool.
        """
        ...

    def blank(self, shape: tuple[int, int]) -> EncodedImage:
        """Zeros in place of the encoding of a window of (height, width) pixels that nothing would ask for."""
        ...

    def predict(self, encoded: EncodedImage, points: NDArray[np.float64], above: float) -> Answers:
        """Masks at (n, 2) points (x, y) in window pixels, point after point, several a point.

        Those whose predicted IoU is not above ``above`` are left out; 0 leaves out none.
        """
        ...
