"""Made chips to learn from, and batches of them: turned, seen by other cameras in other light, zoomed and blurred."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from geoalps.errors import OptionError
from geoalps.models.affinity_net import COARSEST
from geoalps.sample.chips import Chip, made_chip
from geoalps.training.processes import in_order

DENSE, EVERY = "settlement", 8
"""A kind of place that every so many chips shows, beside those drawn by chance: its roofs are hardest to tell apart."""
LEFT_OUT = ("sar",)
"""Sensors whose chips are not learnt from: radar looks like no photograph."""

SMALLEST = 64
"""Pixels of a side that the network needs, to be asked about the longest pairs."""
BATCH = 8
"""Pictures of a batch."""
ZOOM, ZOOMS = 0.25, (4, 5, 6)
"""Share of batches that are crops blown up to full size, and the crops' sides in eighths."""
BLUR = 0.25
"""Share of batches that are blurred."""

Label = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Chips:
    """What is learnt from, as it is kept in memory."""

    images: NDArray[np.uint8]
    """(n, size, size, 3) uint8."""
    wholes: Label
    """(n, size, size) uint16: ids 1, 2, ... in each chip."""
    parts: Label
    """(n, size, size) uint16: the same of parts."""
    things: NDArray[np.bool_]
    """(n, most + 1): whether a whole is a countable thing; False beyond a chip's last."""

    def __len__(self) -> int:
        return len(self.images)


def draw_chips(seeds: Sequence[int], size: int, workers: int, tick: Callable[[], None] = lambda: None) -> Chips:
    """The chips of some seeds but those of sensors left out, drawn by worker processes.

    Args:
        seeds: of :func:`geoalps.sample.chips.made_chip`.
        size: pixels of a side; a whole number of ``COARSEST``, at least ``SMALLEST``.
        workers: processes; the chips do not depend on it.
        tick: called after every seed.

    Raises:
        OptionError: no seeds, or a size that is not fit.
    """
    if not len(seeds) or size % COARSEST or size < SMALLEST:
        allowed = f"give at least one, of a multiple of {COARSEST} pixels from {SMALLEST} on"
        raise OptionError(f"{len(seeds)} chips of {size} pixels; {allowed}")
    shape, kept = (len(seeds), size, size), 0
    images, wholes, parts = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint16), np.empty(shape, np.uint16)
    things = []
    for chip in in_order(partial(training_chip, size=size), seeds, workers):
        if chip.sensor not in LEFT_OUT:
            images[kept], wholes[kept], parts[kept] = chip.image, chip.wholes, chip.parts
            things.append(chip.things)
            kept += 1
        tick()
    most = max(map(len, things), default=0)
    table = np.array([np.pad(flags, (0, most - len(flags))) for flags in things], bool).reshape(kept, most)
    return Chips(images[:kept], wholes[:kept], parts[:kept], table)


def training_chip(seed: int, size: int) -> Chip:
    """The chip of a seed."""
    return made_chip(seed, size, DENSE if seed % EVERY == 0 else None)


@dataclass(frozen=True, eq=False)
class Batch:
    """Augmented pictures and their truth, as tensors; b pictures of side s."""

    pictures: Tensor
    """(b, 3, s, s) float32 in 0..1."""
    wholes: Tensor
    """(b, s, s) int32."""
    parts: Tensor
    """(b, s, s) int32."""
    things: Tensor
    """(b, s, s) float32: 1 on things, 0 on ground."""
    diameters: Tensor
    """(b, s, s) float32: binary logarithm of the diameter in pixels of a disc as large as the pixel's whole."""
    inside: Tensor
    """(b, s, s) float32: 0 where the whole touches the chip's frame, so that its size is not known, else 1."""


def sizes_of(wholes: Label) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(s, s) ``diameters`` float32 and ``inside`` of one chip; see :class:`Batch`."""
    areas = np.bincount(wholes.ravel())
    logs = np.log2(np.sqrt(np.maximum(areas, 1) * 4 / np.pi)).astype(np.float32)
    inside = np.ones(len(areas), bool)
    inside[np.concatenate([wholes[0], wholes[-1], wholes[:, 0], wholes[:, -1]])] = False
    return logs[wholes], inside[wholes]


def relit(picture: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """A (s, s, 3) picture in 0..1 by another camera in other light.

    Grey or channels mixed up; gamma, contrast, brightness and tint; noise.
    """
    colours, noisy = rng.random(2)
    if colours < 0.15:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    elif colours < 0.25:
        picture = picture[..., rng.permutation(3)]
    picture = np.clip(picture, 1e-3, 1) ** np.float32(math.exp(rng.normal(0, 0.3)))
    mean = picture.mean()
    picture = (picture - mean) * np.float32(math.exp(rng.normal(0, 0.25))) + mean + np.float32(rng.normal(0, 0.08))
    picture = picture * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    if noisy < 0.3:
        picture += rng.normal(0, rng.uniform(0, 0.04), picture.shape).astype(np.float32)
    return np.clip(picture, 0, 1)


def turned(values: NDArray[Any], turn: int) -> NDArray[Any]:
    """(s, s, ...) values turned by ``turn`` quarters; mirrored as well from 4 to 7."""
    values = np.rot90(values, turn % 4)
    return values if turn < 4 else values[:, ::-1]


def example(chips: Chips, number: int, rng: Generator) -> tuple[NDArray[Any], ...]:
    """One chip turned and relit: the fields of :class:`Batch` without the first axis, the picture (s, s, 3)."""
    wholes, turn = chips.wholes[number], int(rng.integers(8))
    truth = (wholes, chips.parts[number], chips.things[number][wholes], *sizes_of(wholes))
    picture = relit(turned(chips.images[number], turn).astype(np.float32) / np.float32(255), rng)
    types = (np.int32, np.int32, np.float32, np.float32, np.float32)
    return picture, *(turned(values, turn).astype(kind) for values, kind in zip(truth, types, strict=True))


def zoomed(batch: Batch, side: int, top: int, left: int) -> Batch:
    """A square crop of a batch blown up to the batch's own size: pictures bilinear, truth by nearest pixels."""
    full = batch.wholes.shape[-1]
    nearest = torch.arange(full) * side // full
    crop = batch.pictures[..., top : top + side, left : left + side]
    pictures = functional.interpolate(crop, size=full, mode="bilinear")
    wholes, parts, things, diameters, inside = (
        values[:, nearest + top][:, :, nearest + left]
        for values in (batch.wholes, batch.parts, batch.things, batch.diameters, batch.inside)
    )
    return Batch(pictures, wholes, parts, things, diameters + math.log2(full / side), inside)


def blurred(pictures: Tensor, wide: bool) -> Tensor:
    """(b, 3, s, s) means over 3 x 3 pixels, or over 2 x 2."""
    padding = (1, 1, 1, 1) if wide else (0, 1, 0, 1)
    return functional.avg_pool2d(functional.pad(pictures, padding, mode="replicate"), 3 if wide else 2, 1)


def drawn_batch(chips: Chips, rng: Generator) -> Batch:
    """Some chips by chance, augmented; now and then zoomed into, now and then blurred."""
    examples = [example(chips, int(number), rng) for number in rng.integers(0, len(chips), BATCH)]
    pictures, *truth = (torch.from_numpy(np.stack(values)) for values in zip(*examples, strict=True))
    batch = Batch(pictures.permute(0, 3, 1, 2), *truth)
    full = batch.wholes.shape[-1]
    if rng.random() < ZOOM:
        side = full * int(rng.choice(ZOOMS)) // 8
        top, left = rng.integers(0, full - side + 1, 2)
        batch = zoomed(batch, side, int(top), int(left))
    pictures = blurred(batch.pictures, bool(rng.random() < 0.5)) if rng.random() < BLUR else batch.pictures
    return replace(batch, pictures=pictures.contiguous(memory_format=torch.channels_last))
