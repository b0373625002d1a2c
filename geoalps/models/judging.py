"""Which of a decoder's masks are stable, where their boxes are, and what they are at the window's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoalps.models.enlarging import Cells, Enlarger, segments_of
from geoalps.models.promptable import Answers, EncodedImage
from geoalps.protocols import Mask
from geoalps.segments import Segments

COVERING = 0.1
"""Share of a window above which a mask does not keep finer points from being asked: there are things in it."""

DOUBT = 0.03
"""How far the stability of cells may be from that of pixels: those so near the limit are measured at full size."""

Boxes = NDArray[np.int32]
Scores = NDArray[np.float32]


class Judge:
    """Hears the answers to all points of a window, and keeps the stable ones as the decoder gave them.

    Args:
        encoded: the window.
        valid: (height, width) bool of it: masks are cut to valid pixels before they are judged.
        threshold: of the logits.
        stable: masks of a lower stability are dropped; 0 drops none.
        offset: stability is the IoU of the mask cut this much above and this much below the threshold.
    """

    def __init__(self, encoded: EncodedImage, valid: Mask, *, threshold: float, stable: float, offset: float) -> None:
        self._encoded, self._valid = encoded, valid
        self._threshold, self._stable, self._offset = threshold, stable, offset
        self._enlarger: Enlarger | None = None
        self._covered = np.zeros((0, 0), bool)
        self._cells: list[Cells] = []
        self._boxes, self._iou = [np.zeros((0, 4), np.int32)], [np.zeros(0, np.float32)]

    @property
    def boxes(self) -> Boxes:
        """(n, 4) int32 half-open (row0, col0, row1, col1) in pixels of the window: of all masks kept so far."""
        return np.concatenate(self._boxes)

    @property
    def iou(self) -> Scores:
        """(n,) float32: their predicted IoU."""
        return np.concatenate(self._iou)

    def hear(self, answers: Answers) -> None:
        """Judge the answers to some points."""
        if not len(answers.iou):
            return
        if self._enlarger is None:
            side, device = answers.logits.shape[-1], answers.logits.device
            self._enlarger = Enlarger.of(self._encoded, side, self._valid, device)
            self._covered = np.zeros((side, side), bool)
        self._keep(answers, self._enlarger)

    def _keep(self, answers: Answers, enlarger: Enlarger) -> None:
        """Keep what is stable and not empty, each cut to its box."""
        judged = self._valid_cells(answers.logits, enlarger)
        logits, iou = answers.logits, answers.iou
        if self._stable > 0:
            steady = self._steady(judged, logits, enlarger)
            judged, logits, iou = judged[steady], logits[steady], iou[steady]
        inside = judged > self._threshold
        boxes, some = boxes_of(inside)
        self._cover(inside)
        down, along = enlarger.down, enlarger.along
        edges = [axis.pixels(boxes[:, i]) for i, axis in enumerate((down, along, down, along))]
        # a sliver between two pixels' centres is still a pixel wide
        edges[2:] = [np.maximum(stop, start + 1) for start, stop in zip(edges[:2], edges[2:], strict=True)]
        self._boxes.append(np.stack(edges, 1).astype(np.int32)[some])
        self._iou.append(iou.float().cpu().numpy()[some])
        here = torch.from_numpy(some).to(logits.device)
        self._cells.append(enlarger.cells(logits[here], boxes[some]))

    def _steady(self, judged: Tensor, logits: Tensor, enlarger: Enlarger) -> Tensor:
        """(n,) bool: which masks are stable, by their cells where these leave no doubt, else by their pixels."""
        by_cells = stability(judged, self._threshold, self._offset)
        doubt = ((by_cells - self._stable).abs() < DOUBT).nonzero()[:, 0]
        if len(doubt):
            boxes, _ = boxes_of(logits[doubt] > self._threshold - self._offset)
            for which, piece, _ in enlarger.pieces(enlarger.cells(logits[doubt], boxes)):
                by_cells[doubt[torch.from_numpy(which).to(doubt.device)]] = stability(
                    piece, self._threshold, self._offset
                )
        return by_cells >= self._stable

    def _valid_cells(self, logits: Tensor, enlarger: Enlarger) -> Tensor:
        """(n, side, side) logits, minus infinity in cells whose centre is padding or not valid."""
        rows, cols = enlarger.down.centres, enlarger.along.centres
        there = np.pad(self._valid, ((0, 1), (0, 1)))[np.ix_(rows, cols)]
        if there.all():
            return logits
        return logits.masked_fill(torch.from_numpy(~there).to(logits.device), -torch.inf)

    def _cover(self, inside: Tensor) -> None:
        """Remember which cells lie in one of (n, side, side) bool masks that is not too large."""
        small = inside.flatten(1).sum(1) < COVERING * inside[0].numel() if len(inside) else slice(0)
        self._covered |= inside[small].any(0).cpu().numpy()

    def covered(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) bool: which (n, 2) points (x, y) in pixels lie in a mask kept so far that is not too large."""
        if not self._covered.size:
            return np.zeros(len(points), bool)
        scale = np.array(self._encoded.input_shape[::-1]) / self._encoded.shape[::-1] / self._encoded.input_size
        cols, rows = np.floor(points * scale * len(self._covered)).astype(np.int64).T
        return np.asarray(self._covered[rows, cols])

    def segments(self, keep: NDArray[np.int64]) -> Segments:
        """Some of the masks at the window's size, in this order; those that turn out empty are left out."""
        if self._enlarger is None:
            return Segments.empty()
        cells = Cells(
            [one for part in self._cells for one in part.logits],
            np.concatenate([part.rows for part in self._cells]),
            np.concatenate([part.cols for part in self._cells]),
        ).take(keep)
        scores, parts, order = self.iou[keep], [], []
        for which, piece, corner in self._enlarger.pieces(cells):
            parts.append(segments_of(piece > self._threshold, corner, scores[which]))
            order.append(which)
        made = joined(parts).take(np.argsort(np.concatenate(order))) if parts else Segments.empty()
        return made.take(made.areas > 0)


class ExactJudge(Judge):
    """Judges every mask at the window's size, as segment-anything does, and keeps its pixels."""

    def __init__(self, encoded: EncodedImage, valid: Mask, *, threshold: float, stable: float, offset: float) -> None:
        super().__init__(encoded, valid, threshold=threshold, stable=stable, offset=offset)
        self._found: list[Segments] = []

    def _keep(self, answers: Answers, enlarger: Enlarger) -> None:
        """Keep what is stable and not empty, as runs."""
        self._cover(self._valid_cells(answers.logits, enlarger) > self._threshold)
        # outside of this box no pixel is counted: each is a mean of cells
        boxes, some = boxes_of(answers.logits > self._threshold - self._offset)
        here = torch.from_numpy(some).to(answers.logits.device)
        iou = answers.iou.float().cpu().numpy()[some]
        parts, order = [Segments.empty()], [np.zeros(0, np.int64)]
        for which, piece, corner in enlarger.pieces(enlarger.cells(answers.logits[here], boxes[some])):
            masks = piece > self._threshold
            good = masks.flatten(1).any(1)
            if self._stable > 0:
                good &= stability(piece, self._threshold, self._offset) >= self._stable
            chosen = which[good.cpu().numpy()]
            parts.append(segments_of(masks[good], corner, iou[chosen]))
            order.append(chosen)
        found = joined(parts).take(np.argsort(np.concatenate(order)))
        self._found.append(found)
        self._boxes.append(found.boxes)
        self._iou.append(found.scores)

    def segments(self, keep: NDArray[np.int64]) -> Segments:
        """Some of the masks, in this order."""
        return joined(self._found).take(keep)


def stability(logits: Tensor, threshold: float, offset: float) -> Tensor:
    """(n,) float32: IoU of (n, height, width) logits cut at threshold + offset and - offset; NaN where none passes."""
    inner = torch.count_nonzero(logits > threshold + offset, dim=(-2, -1))
    return inner / torch.count_nonzero(logits > threshold - offset, dim=(-2, -1))


def boxes_of(masks: Tensor) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n, 4) int64 half-open boxes (row0, col0, row1, col1) of (n, h, w) bool masks; (n,) bool: which are not empty.

    The box of an empty mask is all of it.
    """
    rows: NDArray[np.bool_] = masks.any(2).cpu().numpy()
    cols: NDArray[np.bool_] = masks.any(1).cpu().numpy()
    starts = [one.argmax(1) for one in (rows, cols)]
    stops = [one.shape[1] - one[:, ::-1].argmax(1) for one in (rows, cols)]
    return np.stack([*starts, *stops], 1).astype(np.int64), np.asarray(rows.any(1))


def joined(parts: Sequence[Segments]) -> Segments:
    """All segments of several lots, lot after lot."""
    if not parts:
        return Segments.empty()
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    return Segments(
        np.concatenate([part.runs for part in parts]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.scores for part in parts]),
    )
