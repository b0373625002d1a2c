"""Segment Anything as the mask generator asks it: segment-anything's weights in an order that computes less."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor
from torchvision.transforms.functional import resize, to_pil_image

from geoalps.models import sam_encoder
from geoalps.models.checkpoint import cache_directory
from geoalps.models.promptable import Answers, EncodedImage
from geoalps.models.sam_decoder import PointDecoder
from geoalps.protocols import Image, Mask

NODATA_COLOUR = np.array([124, 116, 104], np.uint8)
"""SAM's mean colour: nodata looks like the padding beside it, whatever values lie under it."""
PLACE = "TORCHINDUCTOR_CACHE_DIR"
"""The variable by which torch is told where to keep what it compiles."""
PROMPTS_AT_ONCE = {torch.float32: 2, torch.bfloat16: 4}
"""Prompts that go through the decoder together on a processor: what they hold should stay in its cache."""


class SamNetwork:
    """A :class:`~geoalps.models.promptable.Promptable` of segment-anything's modules.

    Args:
        sam: in evaluation mode, on its device, in float32. In bfloat16 its image encoder is changed in place.
        dtype: float32 or bfloat16, of everything that is computed for every pixel.
        compiled: through ``torch.compile``: the first window takes minutes, and a compiler is needed on a processor.
            What it makes is kept in the cache directory.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype = torch.float32, *, compiled: bool = False) -> None:
        self.sam = sam
        self.dtype = dtype
        sam.image_encoder.to(dtype)
        self._encode: Callable[..., Tensor] = sam_encoder.encode
        self._decoder = PointDecoder(sam.mask_decoder, dtype)
        if compiled:
            _keep_what_is_compiled()
            self._encode = torch.compile(sam_encoder.encode)
            self._decoder.compile()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.sam.device
        return device

    @property
    def mask_threshold(self) -> float:
        """Logits above it are inside a mask."""
        return float(self.sam.mask_threshold)

    def encode(self, image: Image, valid: Mask) -> EncodedImage:
        """A window: its longest side brought to the network's, normalised, padded right and bottom."""
        side = self.sam.image_encoder.img_size
        input_shape = resized_shape(valid.shape, side)
        filled = image if valid.all() else np.where(valid[..., None], image, NODATA_COLOUR)
        pixels = np.array(resize(to_pil_image(filled), list(input_shape)))
        batch = torch.as_tensor(pixels, device=self.device).permute(2, 0, 1).contiguous()[None]
        embedding = self._encode(self.sam.image_encoder, self.sam.preprocess(batch).to(self.dtype)).float()
        return EncodedImage(embedding, self._image_side(embedding), valid.shape, input_shape, side)

    def _image_side(self, embedding: Tensor) -> Any:
        """What the decoder keeps of an image."""
        prompts = self.sam.prompt_encoder
        dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return self._decoder.image_side(embedding, dense, prompts.get_dense_pe())

    def blank(self, shape: tuple[int, int]) -> EncodedImage:
        """Zeros in place of the encoding of a window that nothing would ask for."""
        side, grid = self.sam.image_encoder.img_size, self.sam.prompt_encoder.image_embedding_size
        zeros = torch.zeros((1, self.sam.prompt_encoder.embed_dim, *grid))
        return EncodedImage(zeros, None, shape, resized_shape(shape, side), side)

    def predict(self, encoded: EncodedImage, points: NDArray[np.float64], above: float) -> Answers:
        """Three masks a point; see :meth:`geoalps.models.promptable.Promptable.predict`."""
        scale = np.array(encoded.input_shape[::-1]) / encoded.shape[::-1]
        # Double precision up to the positional encoding, as upstream; Metal has none.
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        coords = torch.as_tensor(points * scale, dtype=dtype, device=self.device)[:, None, :]
        labels = torch.ones((len(points), 1), dtype=torch.int, device=self.device)
        sparse, _ = self.sam.prompt_encoder(points=(coords, labels), boxes=None, masks=None)
        at_once = PROMPTS_AT_ONCE[self.dtype] if self.device.type == "cpu" else len(points)
        parts = [self._decoder.predict(encoded.held, some.float(), above) for some in sparse.split(at_once)]
        logits, iou = (torch.cat(part) for part in zip(*parts, strict=True))
        return Answers(logits, iou)


def _keep_what_is_compiled() -> None:
    """Have torch keep it in the cache directory, unless the user said where; its own place is a temporary one."""
    # importing torch may have written its own place into the environment already
    theirs = Path(tempfile.gettempdir()) / "torchinductor_"
    if os.environ.get(PLACE, str(theirs)).startswith(str(theirs)):
        os.environ[PLACE] = str(cache_directory() / "compiled")


def resized_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """(height, width) after the longest side became ``side``: halves rounded up, never below 1 pixel."""
    scale = side / max(shape)
    return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))
