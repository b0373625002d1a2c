"""SAM's "segment everything" over one window: a grid of point prompts, filters, box NMS, and the embedding beside it.

What :class:`MaskGenerator` keeps with ``exact`` is what ``segment_anything.SamAutomaticMaskGenerator`` keeps. Without
it, stability and boxes are taken from the masks as the decoder gives them, and only what box NMS leaves is brought to
the window's size. Either way masks that the predicted IoU rejects are never computed, none is brought to full size
outside of its box, and no stack of full-size masks ever exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from segment_anything.utils.amg import build_point_grid, generate_crop_boxes, is_box_near_crop_edge
from torchvision.ops import nms

from geoalps.errors import OptionError
from geoalps.models.judging import ExactJudge, Judge, joined
from geoalps.models.promptable import EncodedImage, Promptable
from geoalps.protocols import EmbeddingMap, Image, Mask
from geoalps.segments import Segments

POINTS_PER_BATCH, ON_CUDA = 64, 256
"""Where it is not said."""
ADAPTIVE_STRIDES = (4, 2, 1)
"""Of the grid of points: the coarsest is asked whole, a finer one where no mask is yet."""

Boxes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """What segment-anything's generator takes, by its names and with its defaults; ``exact`` and ``adaptive`` are ours.

    Raises:
        OptionError: a value is outside of what is allowed.
    """

    points_per_side: int = 32
    """Points along a side of the window."""
    points_per_batch: int | None = None
    """Points that go through the decoder together; memory, not results, depends on it. None goes by the device."""
    pred_iou_thresh: float = 0.88
    """Masks whose predicted IoU is not above it are dropped; 0 drops none."""
    stability_score_thresh: float = 0.95
    """Masks of a lower stability are dropped; 0 drops none."""
    stability_score_offset: float = 1.0
    """Stability is the IoU of the mask cut this much above and this much below the threshold of the logits."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have a larger IoU the one of lower predicted IoU is dropped."""
    crop_n_layers: int = 0
    """Layers of crops of the window that are looked at too; layer i has 4 ** i crops."""
    crop_nms_thresh: float = 0.7
    """Of two masks of different crops whose boxes have a larger IoU that of the larger crop is dropped."""
    crop_overlap_ratio: float = 512 / 1500
    """How far crops of the first layer overlap, as a share of the window's shorter side."""
    crop_n_points_downscale_factor: int = 1
    """By what points along a side become fewer from layer to layer."""
    min_mask_region_area: int = 0
    """Holes and islands of fewer pixels are removed; 0 leaves them."""
    point_grids: tuple[tuple[tuple[float, float], ...], ...] | None = None
    """Instead of a regular grid: points (x, y) in 0..1 of the width and height, for the window and one layer of crops
    after the other."""
    exact: bool = False
    """Judge every mask at the window's size: segment-anything's own result, at more cost."""
    adaptive: bool = False
    """Ask a coarse grid first, then points of finer ones only where no mask is yet."""

    def __post_init__(self) -> None:
        for name in ("points_per_side", "points_per_batch", "crop_n_points_downscale_factor"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise OptionError(f"{name} is {value}; at least 1 is needed")
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}; allowed is 0 to 1")
        if not 0 <= self.crop_overlap_ratio < 1:
            raise OptionError(f"crop_overlap_ratio is {self.crop_overlap_ratio}; allowed is 0 to below 1")
        if not 0 <= self.crop_n_layers <= 5:
            raise OptionError(f"crop_n_layers is {self.crop_n_layers}; allowed is 0 to 5")
        for name in ("stability_score_offset", "min_mask_region_area"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.point_grids is not None:
            object.__setattr__(self, "point_grids", self._grids())

    def _grids(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """The grids as tuples of numbers, whatever sequences or arrays they came as."""
        if self.adaptive:
            raise OptionError("point_grids are asked whole; leave adaptive or point_grids out")
        try:
            grids = [np.asarray(grid, np.float64).reshape(-1, 2) for grid in iter(self.point_grids or ())]
        except (TypeError, ValueError):
            raise OptionError("point_grids are no lists of points [x, y], one list for each layer") from None
        if len(grids) != self.crop_n_layers + 1:
            needed = f"{self.crop_n_layers + 1} are needed, for the window and each layer of crops"
            raise OptionError(f"point_grids has {len(grids)} grids; {needed}")
        if not all(((grid >= 0) & (grid < 1)).all() for grid in grids):
            raise OptionError("point_grids has a point outside of the window; allowed is 0 to below 1")
        return tuple(tuple((float(x), float(y)) for x, y in grid) for grid in grids)


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of the window that is encoded on its own; the first is the window itself."""

    box: tuple[int, int, int, int]
    """Half-open (col0, row0, col1, row1), as segment-anything has it."""
    window: tuple[int, int]
    """(height, width) of the window."""
    valid: Mask
    """(height, width) bool of the crop."""
    points: tuple[NDArray[np.float64], ...]
    """(n, 2) float64 (x, y) in pixels of the crop: what is asked first, what then where no mask is, and so on."""

    def cuts(self, boxes: Boxes) -> NDArray[np.bool_]:
        """(n,) bool: which (n, 4) boxes (row0, col0, row1, col1) of the crop it seems to cut."""
        corners = torch.from_numpy(boxes[:, [1, 0, 3, 2]] - [0, 0, 1, 1])
        height, width = self.window
        return np.asarray(is_box_near_crop_edge(corners, list(self.box), [0, 0, width, height]).numpy())


@dataclass(frozen=True, eq=False)
class MaskGenerator:
    """Segments and embedding map of a window from one network; see the module's docstring."""

    network: Promptable
    """In evaluation mode, on its device."""
    options: GeneratorOptions = GeneratorOptions()
    """Thresholds and numbers of points."""

    def generate(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap]:
        """Segments of one window in one encoder pass, and one more for each crop.

        Args:
            image: (height, width, 3) uint8 RGB; its values under nodata do not matter.
            valid: (height, width) bool; points on nodata are not asked for, masks are cut to valid pixels before
                they are judged.

        Returns:
            Segments in the frame of ``image``, best predicted IoU first without crops, their scores this IoU clipped
            to 0..1; and the encoder's embedding, see :meth:`EncodedImage.embedding_map`. Where every point lies on
            nodata, no segments and an embedding of zeros.
        """
        crops = list(self._crops(valid))
        with torch.inference_mode():
            encoded = self._encoded(image, crops[0])
            found = [self._found(encoded, crops[0])]
            found += [self._found(self._encoded(image, crop), crop) for crop in crops[1:]]
        segments = joined(found)
        if len(crops) > 1:
            sizes = np.repeat([crop.valid.size for crop in crops], [len(part) for part in found])
            segments = segments.take(_kept(segments.boxes, 1 / sizes, self.options.crop_nms_thresh))
        if self.options.min_mask_region_area:
            segments = self._without_small_parts(segments, valid)
        scores = np.clip(segments.scores, 0, 1).astype(np.float32)
        return Segments(segments.runs, segments.offsets, scores), encoded.embedding_map()

    def _crops(self, valid: Mask) -> Iterator[Crop]:
        """The window, and its crops layer by layer."""
        options, (height, width) = self.options, valid.shape
        boxes, layers = generate_crop_boxes((height, width), options.crop_n_layers, options.crop_overlap_ratio)
        strides = ADAPTIVE_STRIDES if options.adaptive else (1,)
        for (left, top, right, bottom), layer in zip(boxes, layers, strict=True):
            part = valid[top:bottom, left:right]
            if options.point_grids is None:
                side = max(1, int(options.points_per_side / options.crop_n_points_downscale_factor**layer))
                points = prompt_points(part, side, strides)
            else:
                points = (given_points(part, options.point_grids[layer]),)
            yield Crop((left, top, right, bottom), (height, width), part, points)

    def _encoded(self, image: Image, crop: Crop) -> EncodedImage:
        """A crop's encoding; zeros when nothing will be asked."""
        left, top, right, bottom = crop.box
        if not any(map(len, crop.points)):
            return self.network.blank(crop.valid.shape)
        return self.network.encode(image[top:bottom, left:right], crop.valid)

    def _found(self, encoded: EncodedImage, crop: Crop) -> Segments:
        """Masks of a crop that pass filters and box NMS, in the window's frame, their scores the predicted IoU."""
        options = self.options
        judge = (ExactJudge if options.exact else Judge)(
            encoded,
            crop.valid,
            threshold=self.network.mask_threshold,
            stable=options.stability_score_thresh,
            offset=options.stability_score_offset,
        )
        step = options.points_per_batch or (ON_CUDA if self.network.device.type == "cuda" else POINTS_PER_BATCH)
        for level in crop.points:
            points = level[~judge.covered(level)]
            for at in range(0, len(points), step):
                judge.hear(self.network.predict(encoded, points[at : at + step], options.pred_iou_thresh))
        inner = np.flatnonzero(~crop.cuts(judge.boxes))
        kept = inner[_kept(judge.boxes[inner], judge.iou[inner], options.box_nms_thresh)]
        return judge.segments(kept).shift(crop.box[1], crop.box[0])

    def _without_small_parts(self, segments: Segments, valid: Mask) -> Segments:
        """Holes and islands removed, then the duplicates that arose; masks left as they were win over others."""
        options, width = self.options, valid.shape[1]
        parts, untouched = [], np.zeros(len(segments), np.float32)
        for i in range(len(segments)):
            mask = np.zeros(valid.shape, bool)
            mask.flat[segments.take([i]).pixels(width)[1]] = True
            tidy = without_small_parts(mask, options.min_mask_region_area)
            untouched[i] = (tidy == mask).all()
            parts.append(Segments.from_masks([tidy & valid], scores=segments.scores[i : i + 1]))
        tidied = joined(parts)
        return tidied.take(_kept(tidied.boxes, untouched, max(options.box_nms_thresh, options.crop_nms_thresh)))


def prompt_points(valid: Mask, per_side: int, strides: tuple[int, ...] = (1,)) -> tuple[NDArray[np.float64], ...]:
    """(n, 2) float64 points (x, y) in pixels: a regular grid over the window, row by row, without those on nodata.

    Args:
        valid: (height, width) bool.
        per_side: points along a side.
        strides: of the grid's rows and columns, ending with 1; for each stride the points no stride before it had.
    """
    height, width = valid.shape
    points: NDArray[np.float64] = build_point_grid(per_side) * (width, height)
    cols, rows = points.astype(np.int64).T
    down, along = np.divmod(np.arange(len(points)), per_side)
    left = valid[rows, cols]
    levels = []
    offset = strides[0] // 2
    for stride in strides:
        now = left & ((down - offset) % stride == 0) & ((along - offset) % stride == 0)
        levels.append(points[now])
        left = left & ~now
    return tuple(levels)


def given_points(valid: Mask, grid: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """(n, 2) float64 points (x, y) in pixels: those of a grid in 0..1 that do not lie on nodata."""
    height, width = valid.shape
    points = np.array(grid, np.float64).reshape(-1, 2) * (width, height)
    cols, rows = points.astype(np.int64).T
    return np.asarray(points[valid[rows, cols]])


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
    """(height, width) bool: what is connected to fewer than ``area`` pixels of a mask."""
    parts = ndimage.label(mask, np.ones((3, 3)))[0]
    return np.asarray((np.bincount(parts.ravel()) < area)[parts] & mask)


def _kept(boxes: Boxes, scores: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
    """Indices that box NMS leaves, best score first; boxes span pixel centres, as segment-anything's do."""
    corners = boxes[:, [1, 0, 3, 2]].astype(np.float32) - np.array([0, 0, 1, 1], np.float32)
    return np.asarray(nms(torch.from_numpy(corners), torch.from_numpy(scores.astype(np.float32)), threshold).numpy())
