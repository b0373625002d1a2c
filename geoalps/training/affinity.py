"""Trains the affinity network (:mod:`geoalps.models.affinity_net`) on made chips.

Beside the offsets that the network is for, it learns more of the same truth through an auxiliary convolution that is
dropped afterwards: pairs farther apart, borders of parts, what is a thing, and how large the whole is that a pixel lies
in. A network that knows these tells wholes apart better.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoalps.errors import OptionError
from geoalps.models.affinities import OFFSETS, STEP, shifted
from geoalps.models.affinity_net import FEATURES, AffinityNet
from geoalps.training.chips import Batch, Chips, drawn_batch
from geoalps.training.seeding import seeded

LONG_OFFSETS = tuple((far * down, far * along) for far in (8, 20) for down, along in ((0, 1), (1, 0), (1, 1), (1, -1)))
"""Auxiliary pairs, (rows, columns) in steps as ``OFFSETS``."""
PART_OFFSETS = ((0, 1), (1, 0))
"""Auxiliary pairs that are asked whether they lie in one part."""
AUXILIARY = len(LONG_OFFSETS) + len(PART_OFFSETS) + 2
"""Auxiliary maps: pairs far apart, pairs of parts, thing or ground, size."""
APART = {1: 3.0, 3: 2.0, 8: 1.5, 20: 1.5}
"""How much a parted pair weighs against one of one whole, by the longer side of its offset: it is the rarer one."""
SMALL = 4.0
"""Binary logarithm of the diameter in pixels up to which wholes have the full extra weight."""
PART_SHARE, THING_SHARE, SIZE_SHARE = 0.5, 2.0, 1.0
"""Weights of the auxiliary losses; that of a pair of wholes is 1."""
USUAL_SIZE = 5.0
"""Added to the size's map: the binary logarithm of a usual diameter."""

RATE, LAST_RATE, WARM_UP, DECAY, CLIP = 2e-3, 1e-5, 100, 0.02, 1.0
"""AdamW: learning rate at its height and at the end, steps of warm-up, decay, largest gradient."""
MEMORY = 0.998
"""Of the exponential moving average of the weights, which is what is kept."""


def affinity_loss(logits: Tensor, auxiliary: Tensor, batch: Batch) -> Tensor:
    """The loss of a batch.

    Args:
        logits: (b, len(OFFSETS), s / STEP, s / STEP) float32 of being of one whole.
        auxiliary: (b, AUXILIARY, s / STEP, s / STEP) float32: logits of one whole at ``LONG_OFFSETS``, of one part at
            ``PART_OFFSETS``, of a thing, and the diameter's binary logarithm less ``USUAL_SIZE``.
        batch: the truth.

    Returns:
        Scalar.
    """
    wholes, parts, things, diameters, inside = (
        values[:, ::STEP, ::STEP] for values in (batch.wholes, batch.parts, batch.things, batch.diameters, batch.inside)
    )
    weight = 1 + 2 * torch.exp2(-(diameters - SMALL).clamp(0))  # small things weigh more
    pairs = torch.cat([logits, auxiliary[:, : len(LONG_OFFSETS)]], 1)
    part_pairs = auxiliary[:, len(LONG_OFFSETS) : -2]
    loss = torch.zeros(())
    for number, offset in enumerate((*OFFSETS, *LONG_OFFSETS)):
        loss = loss + pair_loss(pairs[:, number], wholes, offset, weight)
    for number, offset in enumerate(PART_OFFSETS):
        loss = loss + PART_SHARE * pair_loss(part_pairs[:, number], parts, offset)
    thing = functional.binary_cross_entropy_with_logits(auxiliary[:, -2], things)
    size = functional.smooth_l1_loss(auxiliary[:, -1] + USUAL_SIZE, diameters, reduction="none")
    return loss + THING_SHARE * thing + SIZE_SHARE * (size * inside).sum() / inside.sum().clamp(1)


def pair_loss(logits: Tensor, labels: Tensor, offset: tuple[int, int], weight: Tensor | None = None) -> Tensor:
    """Weighted mean cross-entropy of the pairs at an offset having one label.

    Args:
        logits: (b, h, w) at the first pixel of each pair; those of pairs that leave the picture do not count.
        labels: (b, h, w) integers.
        offset: (rows, columns) in steps, rows not negative; shorter than the maps.
        weight: (b, h, w) of the pair whose first pixel it is; None is 1.

    Returns:
        Scalar.
    """
    one, two = _ends(labels, offset)
    asked, same = _ends(logits, offset)[0], one == two
    balance = torch.where(same, 1.0, APART[max(map(abs, offset))])
    if weight is not None:
        balance = balance * _ends(weight, offset)[0]
    losses = functional.binary_cross_entropy_with_logits(asked, same.float(), reduction="none")
    return (losses * balance).sum() / balance.sum()


def _ends(values: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Both ends of all pairs: tensors are cut as arrays are."""
    return shifted(values, offset)  # type: ignore[arg-type, return-value]


def train_affinity(chips: Chips, steps: int, seed: int, tick: Callable[[float], None] = lambda _: None) -> AffinityNet:
    """Train a network, with one thread: two are no quicker at maps this small, and would round otherwise.

    Args:
        chips: at least one.
        steps: of a batch each.
        seed: of weights and augmentation; the same one gives the same network, bit by bit.
        tick: called after every step with its loss.

    Returns:
        The moving average of the network's weights, folded.

    Raises:
        OptionError: no chips, or no steps.
    """
    if not len(chips) or steps < 1:
        raise OptionError(f"{steps} steps with {len(chips)} chips; at least 1 of each is needed")
    rng = np.random.default_rng([41, seed])
    with seeded(seed, 1):
        net = AffinityNet(trainable=True).to(memory_format=torch.channels_last).train()
        extra = nn.Conv2d(FEATURES, AUXILIARY, 1)
        parameters = [*net.parameters(), *extra.parameters()]
        optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
        mean = {name: value.clone() for name, value in net.state_dict().items()}
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps)
            batch = drawn_batch(chips, rng)
            with torch.autocast("cpu", torch.bfloat16):
                features = net.features(batch.pictures)
                logits, auxiliary = net.head(features), extra(features)
            loss = affinity_loss(logits.float(), auxiliary.float(), batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            _remember(mean, net, step + 1)
            tick(loss.item())
        net.load_state_dict(mean)
        return net.folded()


def learning_rate(step: int, steps: int) -> float:
    """Half a cosine after a linear warm-up."""
    return RATE * min(1, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps)) + LAST_RATE


@torch.no_grad()
def _remember(mean: dict[str, Tensor], net: nn.Module, step: int) -> None:
    """Move the average of the weights towards those after ``step`` steps; at first it forgets fast."""
    share = 1 - min(MEMORY, (step + 1) / (step + 10))
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            mean[name].lerp_(value, share)
        else:
            mean[name].copy_(value)
