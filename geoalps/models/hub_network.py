"""SAM, SAM-HQ, SAM 2 and 2.1, SAM 3 and EdgeTAM of transformers as one network that answers points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import resize

from geoalps.errors import CheckpointError
from geoalps.models.pretrained import IMAGENET, ModelDirectory, load_network
from geoalps.models.promptable import Answers, EncodedImage
from geoalps.models.sam_network import resized_shape
from geoalps.protocols import Image, Mask

POINTS_AT_ONCE = 4
"""Points that go through the decoder together on a processor: 32 of SAM 2's take 1 GB and a third of the time more."""
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True)
class Family:
    """What models of one kind have in common."""

    architecture: str
    """Class of transformers that answers points."""
    keeps_aspect: bool
    """The window is resized to fit the square input and padded, as SAM does; else it is stretched to the square."""
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    """Mean and standard deviation of red, green and blue in 0..1, unless the model's directory says others."""


FAMILIES: Mapping[str, Family] = {
    "sam": Family("SamModel", True, IMAGENET),
    "sam_hq": Family("SamHQModel", True, IMAGENET),
    **dict.fromkeys(("sam2", "sam2_video"), Family("Sam2Model", False, IMAGENET)),
    **dict.fromkeys(("edgetam", "edgetam_video"), Family("EdgeTamModel", False, IMAGENET)),
    **dict.fromkeys(("sam3_tracker", "sam3_tracker_video", "sam3_video"), Family("Sam3TrackerModel", False, HALF)),
}
"""By the ``model_type`` of a configuration. The published SAM 2.1 and SAM 3 are stored as the models for video, which
hold the one for images."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a window becomes a network's input."""

    side: int
    """Side of the square input in pixels."""
    keeps_aspect: bool
    """See :class:`Family`."""
    mean: tuple[float, ...]
    """Of red, green and blue in 0..1."""
    deviation: tuple[float, ...]
    """Likewise."""

    @classmethod
    def of(cls, directory: ModelDirectory, family: Family, side: int) -> Preprocessing:
        """As the directory says, else as the family does; the side is the network's own.

        Raises:
            CheckpointError: the directory wants an input that its network does not take.
        """
        told = directory.preprocessing
        size = told.get("size") or {}
        asked = {int(size[name]) for name in ("height", "width", "longest_edge") if size.get(name)}
        if asked - {side}:
            raise CheckpointError(
                f"{directory.path} asks for inputs of {sorted(asked)} pixels, its network takes {side}; fetch it again"
            )
        mean, deviation = family.statistics
        return cls(
            side,
            bool(size["longest_edge"]) if size.get("longest_edge") else family.keeps_aspect and not asked,
            tuple(map(float, told.get("image_mean", mean))),
            tuple(map(float, told.get("image_std", deviation))),
        )

    def input_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) in the input of a window of (height, width), without padding."""
        return resized_shape(shape, self.side) if self.keeps_aspect else (self.side, self.side)

    def __call__(self, image: Image, valid: Mask) -> Tensor:
        """(1, 3, side, side) float32 on the CPU: nodata of the mean colour, resized, normalised, padded with zeros."""
        colour = np.rint(np.array(self.mean) * 255).astype(np.uint8)
        filled = image if valid.all() else np.where(valid[..., None], image, colour)
        pixels = torch.from_numpy(np.ascontiguousarray(filled.transpose(2, 0, 1)))
        rows, cols = self.input_shape(valid.shape)
        resized = resize(pixels, [rows, cols], antialias=True).float()
        mean, deviation = (torch.tensor(value).view(3, 1, 1) * 255 for value in (self.mean, self.deviation))
        normalised = (resized - mean) / deviation
        return functional.pad(normalised, (0, self.side - cols, 0, self.side - rows))[None]


@dataclass(frozen=True, eq=False)
class HubNetwork:
    """A model of transformers that answers points: a :class:`~geoalps.models.promptable.Promptable`."""

    network: Any
    """In evaluation mode, on its device."""
    preprocessing: Preprocessing
    """Of its input."""
    dtype: torch.dtype = torch.float32
    """What matrices are multiplied in; what would suffer from bfloat16, such as norms, stays in float32."""
    mask_threshold: ClassVar[float] = 0.0
    """Logits above it are inside a mask, in every model of the family."""

    @classmethod
    def load(cls, directory: ModelDirectory, device: torch.device, dtype: torch.dtype = torch.float32) -> HubNetwork:
        """The network of a directory.

        Raises:
            PluginError: transformers is not installed, or too old.
            CheckpointError: the directory holds another kind of model, or see :func:`load_network`.
        """
        family = family_of(directory)
        network = load_network(directory, family.architecture, device)
        side = network.prompt_encoder.input_image_size
        side = side if isinstance(side, int) else side[0]
        return cls(network, Preprocessing.of(directory, family, int(side)), dtype)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device(self.network.device)

    def _computing(self) -> torch.autocast:
        """Multiplies in ``dtype`` inside."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @torch.inference_mode()
    def encode(self, image: Image, valid: Mask) -> EncodedImage:
        """One window.

        Args:
            image: (height, width, 3) uint8 RGB; its values under nodata do not matter.
            valid: (height, width) bool.
        """
        pixels = self.preprocessing(image, valid).to(self.device)
        with self._computing():
            held = _as_arguments(self.network.get_image_embeddings(pixels))
        dense = held["image_embeddings"]
        # SAM 2 and later have a pyramid, its coarsest level, the one with all channels, last
        return self._encoded((dense[-1] if isinstance(dense, list) else dense).float(), held, valid.shape)

    def blank(self, shape: tuple[int, int]) -> EncodedImage:
        """Zeros in place of the encoding of a window of (height, width) pixels that nothing would ask for."""
        grid = self.network.prompt_encoder.image_embedding_size
        channels = self.network.mask_decoder.hidden_size
        return self._encoded(torch.zeros((1, channels, *grid)), None, shape)

    def _encoded(self, embedding: Tensor, held: Any, shape: tuple[int, ...]) -> EncodedImage:
        """With the geometry of a window of (height, width) pixels."""
        window = (shape[0], shape[1])
        return EncodedImage(embedding, held, window, self.preprocessing.input_shape(window), self.preprocessing.side)

    @torch.inference_mode()
    def predict(self, encoded: EncodedImage, points: NDArray[np.float64], above: float) -> Answers:
        """Masks at (n, 2) points (x, y) in window pixels, point after point, three a point.

        Those whose predicted IoU is not above ``above`` are left out; 0 leaves out none.
        """
        scale = np.array(encoded.input_shape[::-1]) / encoded.shape[::-1]
        coords = torch.as_tensor(points * scale, dtype=torch.float32, device=self.device)
        at_once = POINTS_AT_ONCE if self.device.type == "cpu" else len(points)
        parts = [self._answers(encoded, some, above) for some in torch.split(coords, at_once)]
        return Answers(torch.cat([part.logits for part in parts]), torch.cat([part.iou for part in parts]))

    def _answers(self, encoded: EncodedImage, coords: Tensor, above: float) -> Answers:
        """Of (n, 2) points (x, y) in input pixels."""
        # (images, points, clicks a point, x and y)
        clicks = coords[None, :, None, :]
        labels = torch.ones(clicks.shape[:3], dtype=torch.int, device=self.device)
        with self._computing():
            answer = self.network(**encoded.held, input_points=clicks, input_labels=labels, multimask_output=True)
        logits, iou = answer.pred_masks[0].flatten(0, 1).float(), answer.iou_scores[0].flatten().float()
        if above > 0:
            keep = iou > above
            logits, iou = logits[keep], iou[keep]
        return Answers(logits, iou)


def family_of(directory: ModelDirectory) -> Family:
    """The family of a directory's model.

    Raises:
        CheckpointError: it is no SAM.
    """
    if directory.model_type not in FAMILIES:
        raise CheckpointError(
            f"{directory.path} holds a {directory.model_type}, no SAM; allowed are {', '.join(FAMILIES)}"
        )
    return FAMILIES[directory.model_type]


def _as_arguments(embeddings: Any) -> dict[str, Any]:
    """What ``get_image_embeddings`` gave, as ``forward`` takes it; SAM-HQ has a second list for its decoder."""
    if isinstance(embeddings, tuple):
        return dict(zip(("image_embeddings", "intermediate_embeddings"), embeddings, strict=True))
    return {"image_embeddings": embeddings}
