"""Trains the scorer of region nodes (:class:`geoalps.models.choice.Scorer`) on made chips.

Every chip is segmented as ``regions`` does it, every node of its tree is described and compared with the chip's true
wholes. The scorer learns whether a node matches one: a thing, or any, ground as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geoalps.errors import OptionError
from geoalps.models.branches import Branches
from geoalps.models.choice import FAR, Scorer
from geoalps.models.nodes import NAMES, describe_nodes
from geoalps.models.regions import RegionSegmenter
from geoalps.sample.chips import made_chip
from geoalps.training.processes import in_order
from geoalps.training.seeding import seeded

Float32 = NDArray[np.float32]

LEFT_OUT = ("sar", "infrared")
"""Sensors whose scenes are not learnt from: they look like no photograph."""
PLAYED, EVERY = "sport", 8
"""A kind of place that every so many scenes show, beside those drawn by chance: courts and diamonds are things within
grounds that look like things."""
OVERLAPS = (0.5, 0.75)
"""IoU that counts as a match: each gives an output for things and one for any whole."""
POOR, KEPT = 0.3, 0.15
"""Of nodes up to this best IoU this share is kept, with the weight that makes up for it."""
AT_ONCE = 256
"""True wholes that all nodes are compared with at once."""
HIDDEN = (64, 32)
"""Width of the hidden layers."""
EPOCHS, BATCH, RATE, DECAY = 6, 1024, 2e-3, 1e-2
"""AdamW: passes over all nodes, nodes a step, learning rate at the start, decay."""
NOISE = 0.2
"""Standard deviations of what is added to descriptors: made scenes are cleaner than photographs."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes to learn from."""

    values: Float32
    """(n, len(NAMES)) float32 descriptors."""
    overlaps: Float32
    """(n, 2) float32: IoU with the best thing, and with the best whole of any kind."""
    weights: Float32
    """(n,) float32: how many nodes each one stands for."""

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def joined(cls, several: Sequence[Nodes]) -> Nodes:
        """All nodes of several scenes."""
        return cls(*(np.concatenate([vars(nodes)[name] for nodes in several]) for name in vars(several[0])))


def draw_nodes(
    seeds: Sequence[int], size: int, weights: str | None, workers: int, tick: Callable[[], None] = lambda: None
) -> Nodes:
    """Nodes of the scenes of some seeds but those of sensors left out, by worker processes.

    Args:
        seeds: of :func:`geoalps.sample.chips.made_chip`.
        size: pixels of a side.
        weights: directory with the affinity network that the trees are built with; None is that of geoalps.
        workers: processes; the nodes do not depend on it.
        tick: called after every seed.

    Raises:
        CheckpointError: the network cannot be loaded.
        OptionError: no nodes: there are no seeds, or the sensors of all of them are left out.
    """
    several = []
    for nodes in in_order(partial(scene_nodes, size=size, weights=weights), seeds, workers):
        several += [] if nodes is None else [nodes]
        tick()
    if not several:
        raise OptionError(f"none of {len(seeds)} scenes has a sensor to learn from; give more scenes, or another seed")
    return Nodes.joined(several)


def scene_nodes(seed: int, size: int, weights: str | None) -> Nodes | None:
    """Nodes of one scene; None for a sensor that is left out; arguments as for :func:`draw_nodes`."""
    chip = made_chip(seed, size, PLAYED if seed % EVERY == 0 else None)
    if chip.sensor in LEFT_OUT:
        return None
    seen = RegionSegmenter(weights=weights).tree_of(chip.image, np.ones(chip.wholes.shape, bool))
    overlaps = node_overlaps(seen.labels, Branches.of(seen.tree.parents), chip.wholes, chip.things)
    fair = overlaps[:, 1] > POOR
    taken = fair | (np.random.default_rng([31, seed]).random(len(fair)) < KEPT)
    values = describe_nodes(seen.tree, seen.graph, seen.labels, seen.colour, seen.gradient)
    return Nodes(values[taken], overlaps[taken], np.where(fair, 1, 1 / KEPT).astype(np.float32)[taken])


def node_overlaps(
    labels: NDArray[np.int32], branches: Branches, wholes: NDArray[np.uint16], things: NDArray[np.bool_]
) -> Float32:
    """IoU of every node with its best thing, and with its best whole of any kind.

    Args:
        labels: (h, w) int32: the leaf, 1..n, that each pixel is part of.
        branches: of the n leaves' tree.
        wholes: (h, w) uint16: ids 1, 2, ...
        things: (wholes + 1,) bool.

    Returns:
        (nodes, 2) float32.
    """
    leaves, areas = branches.leaves, np.bincount(wholes.ravel(), minlength=len(things))
    leaf, whole = labels.ravel().astype(np.int64) - 1, wholes.ravel()
    sizes = branches.total(np.bincount(leaf, minlength=leaves)[:, None].astype(float))
    best = np.zeros((len(branches.parents), 2), np.float32)
    for first in range(1, len(areas), AT_ONCE):  # some at a time: nodes by wholes are too many for memory
        some = slice(first, min(first + AT_ONCE, len(areas)))
        count, here = some.stop - first, (whole >= first) & (whole < some.stop)
        key = leaf[here] * count + whole[here] - first
        shared = branches.total(np.bincount(key, minlength=leaves * count).reshape(leaves, count).astype(float))
        overlap = shared / (sizes + areas[some] - shared)
        best[:, 0] = np.maximum(best[:, 0], np.where(things[some], overlap, 0).max(1))
        best[:, 1] = np.maximum(best[:, 1], overlap.max(1))
    return best


def train_choice(nodes: Nodes, seed: int, tick: Callable[[float], None] = lambda _: None) -> Scorer:
    """Train a scorer, with one thread.

    Args:
        nodes: at least one.
        seed: of weights, order and noise; the same one gives the same scorer, bit by bit.
        tick: called after every one of ``EPOCHS`` passes with its mean loss.

    Raises:
        OptionError: no nodes.
    """
    if not len(nodes):
        raise OptionError("there are no nodes to learn from; give more scenes")
    with seeded(seed, 1):
        values, weights = torch.from_numpy(nodes.values), torch.from_numpy(nodes.weights)
        matches = torch.from_numpy(np.concatenate([nodes.overlaps >= overlap for overlap in OVERLAPS], 1)).float()
        mean, deviation = values.mean(0), values.std(0, correction=0).clamp(1e-3)
        network = _network((len(NAMES), *HIDDEN, matches.shape[1]))
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        batch = min(BATCH, len(nodes))
        steps = len(nodes) // batch
        for epoch in range(EPOCHS):
            losses = []
            for number, some in enumerate(torch.randperm(len(nodes))[: steps * batch].view(steps, batch)):
                progress = (epoch + number / steps) / EPOCHS
                optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * progress))
                inputs = (values[some] - mean) / deviation
                noisy = (inputs + NOISE * torch.randn(inputs.shape)).clamp(-FAR, FAR)
                loss = _loss(network(noisy), matches[some], weights[some])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.item())
            tick(float(np.mean(losses)))
    return Scorer(mean.numpy(), deviation.numpy(), tuple(_layers(network)))


def _network(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with rectified linear units between them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _loss(logits: Tensor, matches: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy, the mean over the outputs and the weighted mean over the nodes."""
    losses = functional.binary_cross_entropy_with_logits(logits, matches, reduction="none").mean(1)
    return (losses * weights).sum() / weights.sum()


def _layers(network: nn.Sequential) -> Iterator[tuple[Float32, Float32]]:
    """Weights (inputs, outputs) and biases of the linear layers."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            yield layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()
