"""SAM's "segment everything" over one tile: a grid of point prompts, filters, box NMS, and the embedding beside it.

What :class:`MaskGenerator` keeps is what ``segment_anything.SamAutomaticMaskGenerator`` keeps without crops, to the
pixel. It differs in order and memory: masks that the predicted IoU rejects are never brought to full size, the others
a few at a time, and each becomes runs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from segment_anything.modeling import Sam
from segment_anything.utils.amg import batched_mask_to_box, build_point_grid
from torch import Tensor
from torchvision.ops import nms
from torchvision.transforms.functional import resize, to_pil_image

from geoalps.errors import OptionError
from geoalps.protocols import EmbeddingMap, Image, Mask
from geoalps.segments import Segments

FULL_SIZE_MASKS = 32
"""Masks that exist at full size at a time."""
NODATA_COLOUR = np.array([124, 116, 104], np.uint8)
"""SAM's mean colour: nodata looks like the padding beside it, whatever values lie under it."""
REPEATED_NMS = 0.7
"""segment-anything's box IoU between crops, which its removal of small parts falls back to as well."""


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """What segment-anything's generator takes, by its names and with its defaults.

    Raises:
        OptionError: a value is outside of what is allowed.
    """

    points_per_side: int = 32
    """Points along a side of the window."""
    points_per_batch: int = 64
    """Points that go through the decoder together; memory, not results, depends on it."""
    pred_iou_thresh: float = 0.88
    """Masks whose predicted IoU is not above it are dropped; 0 drops none."""
    stability_score_thresh: float = 0.95
    """Masks of a lower stability are dropped; 0 drops none."""
    stability_score_offset: float = 1.0
    """Stability is the IoU of the mask cut this much above and this much below the threshold of the logits."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have a larger IoU the one of lower predicted IoU is dropped."""
    min_mask_region_area: int = 0
    """Holes and islands of fewer pixels are removed; 0 leaves them."""

    def __post_init__(self) -> None:
        for name in ("points_per_side", "points_per_batch"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}; allowed is 0 to 1")
        for name in ("stability_score_offset", "min_mask_region_area"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}; it must not be negative")


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What the image encoder made of one window."""

    features: Tensor
    """(1, channels, grid, grid) float32: the neck's output, padding included."""
    shape: tuple[int, int]
    """(height, width) of the window in pixels."""
    input_shape: tuple[int, int]
    """(height, width) of the resized window in the square input, without padding."""
    patch_size: int
    """Side of a token in input pixels."""

    def embedding_map(self) -> EmbeddingMap:
        """The tokens that saw the window.

        A side that is no whole number of tokens keeps its last one, which lies partly on padding. ``shape`` is what
        the kept tokens cover, at their own size, so it may exceed the window by up to a token at the bottom or right;
        rounding it to whole pixels moves no token by more than half a pixel.
        """
        rows, cols = (-(-side // self.patch_size) for side in self.input_shape)
        values = self.features[0, :, :rows, :cols].float().cpu().numpy()
        covered = [
            round(cells * self.patch_size * side / resized)
            for cells, side, resized in zip((rows, cols), self.shape, self.input_shape, strict=True)
        ]
        return EmbeddingMap(np.ascontiguousarray(values), (covered[0], covered[1]))


@dataclass(frozen=True, eq=False)
class MaskGenerator:
    """Segments and embedding map of a window from one SAM; see the module's docstring."""

    network: Sam
    """In evaluation mode, on its device."""
    options: GeneratorOptions = GeneratorOptions()
    """Thresholds and numbers of points."""

    def generate(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap]:
        """Segments of one window in one encoder pass.

        Args:
            image: (height, width, 3) uint8 RGB; its values under nodata do not matter.
            valid: (height, width) bool; points on nodata are not asked for, masks are cut to valid pixels before
                they are judged.

        Returns:
            Segments in the frame of ``image``, best predicted IoU first, their scores this IoU clipped to 0..1; and
            the neck's embedding, see :meth:`EncodedImage.embedding_map`. Where every point lies on nodata, no
            segments and an embedding of zeros.
        """
        points = prompt_points(valid, self.options.points_per_side)
        with torch.inference_mode():
            encoded = self.encode(image, valid) if len(points) else self._blank(valid.shape)
            step = self.options.points_per_batch
            batches = [self.masks_at(encoded, points[i : i + step], valid) for i in range(0, len(points), step)]
        segments = _suppress(_join(batches), self.options.box_nms_thresh)
        if self.options.min_mask_region_area:
            segments = self._without_small_parts(segments, valid)
        scores = np.clip(segments.scores, 0, 1).astype(np.float32)
        return Segments(segments.runs, segments.offsets, scores), encoded.embedding_map()

    def encode(self, image: Image, valid: Mask) -> EncodedImage:
        """The encoder's view of a window: longest side to the network's, normalised, padded right and bottom."""
        side = self.network.image_encoder.img_size
        input_shape = resized_shape(valid.shape, side)
        filled = image if valid.all() else np.where(valid[..., None], image, NODATA_COLOUR)
        pixels = np.array(resize(to_pil_image(filled), list(input_shape)))
        batch = torch.as_tensor(pixels, device=self.network.device).permute(2, 0, 1).contiguous()[None]
        features = self.network.image_encoder(self.network.preprocess(batch))
        return EncodedImage(features, valid.shape, input_shape, side // features.shape[-1])

    def _blank(self, shape: tuple[int, int]) -> EncodedImage:
        """Zeros in place of an encoding that nothing would ask for."""
        side, (rows, cols) = self.network.image_encoder.img_size, self.network.prompt_encoder.image_embedding_size
        features = torch.zeros((1, self.network.prompt_encoder.embed_dim, rows, cols))
        return EncodedImage(features, shape, resized_shape(shape, side), side // cols)

    def masks_at(self, encoded: EncodedImage, points: NDArray[np.float64], valid: Mask) -> Segments:
        """Masks of (n, 2) points (x, y) in window pixels that pass the filters, none of them empty.

        Returns:
            Segments in the frame of the window, their scores the predicted IoU as it is, which may exceed 1.
        """
        logits, iou = self.predict(encoded, points)
        if self.options.pred_iou_thresh > 0:
            keep = iou > self.options.pred_iou_thresh
            logits, iou = logits[keep], iou[keep]
        parts = [
            self._full_size(encoded, logits[i : i + FULL_SIZE_MASKS], iou[i : i + FULL_SIZE_MASKS], valid)
            for i in range(0, len(iou), FULL_SIZE_MASKS)
        ]
        return _join(parts)

    def predict(self, encoded: EncodedImage, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """The decoder's answer to (n, 2) points (x, y) in window pixels.

        Returns:
            (n * masks per point, 4 * grid, 4 * grid) float32 logits over the padded input, and as many predicted
            IoUs, point after point.
        """
        network, device = self.network, self.network.device
        scale = np.array(encoded.input_shape[::-1]) / encoded.shape[::-1]
        # Double precision up to the positional encoding, as upstream; Metal has none.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        coords = torch.as_tensor(points * scale, dtype=dtype, device=device)[:, None, :]
        labels = torch.ones((len(points), 1), dtype=torch.int, device=device)
        sparse, dense = network.prompt_encoder(points=(coords, labels), boxes=None, masks=None)
        logits, iou = network.mask_decoder(
            image_embeddings=encoded.features,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits.flatten(0, 1), iou.flatten(0, 1)

    def _full_size(self, encoded: EncodedImage, logits: Tensor, iou: Tensor, valid: Mask) -> Segments:
        """The stable ones of a few masks, at the window's size, as runs."""
        full = self.network.postprocess_masks(logits[None], encoded.input_shape, encoded.shape)[0]
        if not valid.all():
            full.masked_fill_(torch.as_tensor(~valid, device=full.device), -torch.inf)
        threshold, options = self.network.mask_threshold, self.options
        if options.stability_score_thresh > 0:
            keep = stability(full, threshold, options.stability_score_offset) >= options.stability_score_thresh
            full, iou = full[keep], iou[keep]
        masks = full > threshold
        some = masks.flatten(1).any(1)
        return _segments_of(masks[some], iou[some])

    def _without_small_parts(self, segments: Segments, valid: Mask) -> Segments:
        """Holes and islands removed, then the duplicates that arose; masks left as they were win over others."""
        area, width = self.options.min_mask_region_area, valid.shape[1]
        parts, untouched = [], np.zeros(len(segments), np.float32)
        for i in range(len(segments)):
            mask = np.zeros(valid.shape, bool)
            mask.flat[segments.take([i]).pixels(width)[1]] = True
            tidy = without_small_parts(mask, area)
            untouched[i] = (tidy == mask).all()
            parts.append(Segments.from_masks([tidy & valid], scores=segments.scores[i : i + 1]))
        tidied = _join(parts)
        ranked = Segments(tidied.runs, tidied.offsets, untouched)
        return tidied.take(_kept(ranked, max(self.options.box_nms_thresh, REPEATED_NMS)))


def resized_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """(height, width) after the longest side became ``side``: halves rounded up, never below 1 pixel."""
    scale = side / max(shape)
    return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))


def prompt_points(valid: Mask, per_side: int) -> NDArray[np.float64]:
    """(n, 2) float64 points (x, y) in pixels: a regular grid over the window, row by row, without those on nodata."""
    height, width = valid.shape
    points: NDArray[np.float64] = build_point_grid(per_side) * (width, height)
    cols, rows = points.astype(np.int64).T
    wanted: NDArray[np.float64] = points[valid[rows, cols]]
    return wanted


def stability(logits: Tensor, threshold: float, offset: float) -> Tensor:
    """(n,) float32: IoU of (n, height, width) logits cut at threshold + offset and - offset; NaN where none passes."""
    inner = torch.count_nonzero(logits > threshold + offset, dim=(-2, -1))
    return inner / torch.count_nonzero(logits > threshold - offset, dim=(-2, -1))


def without_small_parts(mask: Mask, area: int) -> Mask:
    """A mask with its holes, then its islands of fewer than ``area`` pixels removed (8-connected).

    A mask that is nothing but small islands keeps the largest.
    """
    filled = mask | _small_parts(~mask, area)
    small = _small_parts(filled, area)
    if (small == filled).all() and filled.any():
        parts = ndimage.label(filled, np.ones((3, 3)))[0]
        return np.asarray(parts == np.bincount(parts[filled]).argmax())
    return filled & ~small


def _small_parts(mask: Mask, area: int) -> Mask:
    parts = ndimage.label(mask, np.ones((3, 3)))[0]
    return np.asarray((np.bincount(parts.ravel()) < area)[parts] & mask)


def _segments_of(masks: Tensor, iou: Tensor) -> Segments:
    """Runs of (n, height, width) bool masks, none empty."""
    boxes = batched_mask_to_box(masks).cpu().numpy()
    stack = masks.cpu().numpy()
    cut = (mask[y0 : y1 + 1, x0 : x1 + 1] for mask, (x0, y0, x1, y1) in zip(stack, boxes, strict=True))
    return Segments.from_masks(cut, [(y0, x0) for x0, y0, _, _ in boxes], iou.float().cpu().numpy())


def _join(parts: Sequence[Segments]) -> Segments:
    if not parts:
        return Segments.empty()
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    return Segments(
        np.concatenate([part.runs for part in parts]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.scores for part in parts]),
    )


def _suppress(segments: Segments, threshold: float) -> Segments:
    return segments.take(_kept(segments, threshold))


def _kept(segments: Segments, threshold: float) -> NDArray[np.int64]:
    """Indices that box NMS leaves, best score first; boxes span pixel centres, as segment-anything's do."""
    row0, col0, row1, col1 = segments.boxes.T.astype(np.float32)
    boxes = np.stack([col0, row0, col1 - 1, row1 - 1], 1)
    kept: Tensor = nms(torch.from_numpy(boxes), torch.from_numpy(segments.scores), threshold)
    return kept.numpy()
