"""The best cut: of all nodes of a region tree, those that look like one thing each, and together cover every pixel.

A small network scores every node by its descriptors (:mod:`geoalps.models.nodes`): how likely it is to match a true
thing. Dynamic programming over the tree then finds the nodes, none within another, whose values have the largest sum:

    value = area ** 3/4 * (score + floor) * exp(-caution * distance)

with the distance, in logarithms, of the horizontal cut's altitude from the altitudes between which a node stands. With
the area to a power below one a large thing weighs more than a small one, and still a ship is not lost in the water
around it, of which it is a thousandth; caution holds the cut near the horizontal one where scores say little, as over
open land. The weights were trained on made chips alone (:mod:`geoalps.training.choice`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import CheckpointError
from geoalps.models.branches import Branches
from geoalps.models.hierarchy import RegionTree
from geoalps.models.nodes import NAMES

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]

REMEDY = "take the file that geoalps ships, or train one with `python -m geoalps.training`"
OUTPUTS = ("thing_50", "any_50", "thing_75", "any_75")
"""What the network tells of a node: whether it matches a thing, or any region, at IoU 0.5 and at 0.75."""
FLOOR = 0.01
"""Added to scores, so that a node scored 0 is not worth nothing."""
AREA_POWER = 0.75
"""Power of the area in a node's value."""
CAUTION = 1.0
"""How fast a node's value falls with its distance from the horizontal cut, per unit of log altitude; large values
give the horizontal cut itself."""
FAR = 5.0
"""Standard deviations beyond which a descriptor counts no further: photographs hold what no made scene does."""
LOWEST = 1e-3
"""Altitude below which nodes are not told apart; leaves stand at 0."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """A small network over node descriptors; each of its ``OUTPUTS`` is the chance of a match."""

    mean: Float32
    """(c,) float32: of every descriptor over the training nodes."""
    deviation: Float32
    """(c,) float32, positive: of the same."""
    layers: tuple[tuple[Float32, Float32], ...]
    """Weights (inputs, outputs) float32 and biases (outputs,) float32; rectified linear units between layers."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            CheckpointError: a shape that does not follow from the one before it, a number that is not finite.
        """
        arrays = [self.mean, self.deviation, *(array for layer in self.layers for array in layer)]
        if not self.layers or not all(np.isfinite(array).all() for array in arrays) or not (self.deviation > 0).all():
            raise CheckpointError(f"the scorer's weights are not all finite numbers; {REMEDY}")
        width: tuple[int, ...] = (len(NAMES),)
        for weights, bias in self.layers:
            if weights.ndim != 2 or bias.shape != weights.shape[1:] or weights.shape[:1] != width:
                width = ()
                break
            width = bias.shape
        if width != (len(OUTPUTS),) or self.mean.shape != (len(NAMES),) or self.deviation.shape != (len(NAMES),):
            raise CheckpointError(f"the scorer's arrays do not fit {len(NAMES)} descriptors; {REMEDY}")

    def __call__(self, values: Float32) -> Float32:
        """(nodes,) float32 in 0..1: how likely nodes of (nodes, c) float32 descriptors match a thing.

        The mean of the chances of a match at IoU 0.5 and at 0.75: a close match is better than a loose one.
        """
        flow = np.clip((values - self.mean) / self.deviation, -FAR, FAR)
        for number, (weights, bias) in enumerate(self.layers):
            flow = flow @ weights + bias
            if number < len(self.layers) - 1:
                np.maximum(flow, 0, out=flow)
        # what is too far out for exp is as good as 0 or 1
        things = flow[:, [OUTPUTS.index("thing_50"), OUTPUTS.index("thing_75")]]
        return np.asarray((1 / (1 + np.exp(-np.clip(things, -30, 30)))).mean(1), np.float32)

    @classmethod
    def from_json(cls, text: str) -> Scorer:
        """From a model file.

        Raises:
            CheckpointError: no JSON of a scorer, made for other descriptors, or damaged.
        """
        try:
            held = json.loads(text)
            names = tuple(held["descriptors"])
            layers = tuple(
                (np.asarray(layer["weights"], np.float32), np.asarray(layer["bias"], np.float32))
                for layer in held["layers"]
            )
            mean, deviation = (np.asarray(held[key], np.float32) for key in ("mean", "deviation"))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"this is no scorer of region nodes ({error}); {REMEDY}") from None
        if names != NAMES:
            raise CheckpointError(f"the scorer was trained on {len(names)} other descriptors; {REMEDY}")
        return cls(mean, deviation, layers)

    def to_json(self, record: Mapping[str, Any]) -> str:
        """The model file's text; ``record`` says how it was trained."""

        def rounded(array: Float32) -> Any:
            """Nested lists of five digits, which is more than the scores need."""
            return [rounded(row) for row in array] if array.ndim > 1 else [float(f"{value:.5g}") for value in array]

        layers = [{"weights": rounded(weights), "bias": rounded(bias)} for weights, bias in self.layers]
        held = {
            "descriptors": list(NAMES),
            "outputs": list(OUTPUTS),
            "mean": rounded(self.mean),
            "deviation": rounded(self.deviation),
            "layers": layers,
            "training": dict(record),
        }
        return json.dumps(held) + "\n"


def hand_scores(values: Float32) -> Float32:
    """(nodes,) float32 in 0..1: the control without training, from a few of (nodes, c) float32 descriptors.

    A node scores high whose border is stronger than what lies inside it and than the border it would lose by growing,
    and whose outline has few dents.
    """

    def column(name: str) -> Float32:
        """(nodes,) one descriptor."""
        return np.asarray(values[:, NAMES.index(name)])

    weak = column("sibling_border") - 0.5 * column("border_to_inside") - 0.5 * column("ring_to_spreads")
    dents = 2 * np.log(np.maximum(column("raggedness"), 0.5)) + np.abs(np.log(column("solidity")))
    return np.asarray(1 / (1 + np.exp(np.clip(weak + dents, -30, 30))), np.float32)


def best_cut(branches: Branches, values: Float) -> Int:
    """The nodes, none within another and together covering all leaves, whose values have the largest sum.

    Args:
        branches: the tree.
        values: (nodes,) float64, finite.

    Returns:
        Ascending node numbers. Of sums alike the one of the higher node stands.
    """
    best, whole = np.asarray(values, float).copy(), np.ones(len(values), bool)
    for level in branches.levels:
        one, two = branches.below(level)
        below = best[one] + best[two]
        whole[level] = below <= best[level]
        best[level] = np.maximum(best[level], below)
    under = np.zeros(len(values), bool)
    for level in reversed(branches.levels):
        one, two = branches.below(level)
        under[one] = under[two] = under[level] | whole[level]
    return np.flatnonzero(whole & ~under)


def node_values(tree: RegionTree, sizes: Float, scores: Float32, altitude: float, caution: float = CAUTION) -> Float:
    """(nodes,) float64: what every node is worth to the cut; see the module's docstring.

    Args:
        tree: of n leaves.
        sizes: (2n - 1,) float64: pixels of every node.
        scores: (2n - 1,) float32 in 0..1.
        altitude: of the horizontal cut that the best cut keeps near.
        caution: see ``CAUTION``.
    """
    upper = tree.altitudes[tree.parents]
    upper[-1] = np.inf  # the root stands up to any altitude
    wanted = np.log(max(altitude, LOWEST))
    distance = np.maximum(np.log(np.maximum(tree.altitudes, LOWEST)) - wanted, 0)
    distance += np.maximum(wanted - np.log(np.maximum(upper, LOWEST)), 0)
    # islands joined for the tree's sake stand at infinity and are worth 0: any cut below them is better
    return np.asarray(sizes**AREA_POWER * (scores.astype(float) + FLOOR) * np.exp(-caution * distance))


def choose(tree: RegionTree, sizes: Float, scores: Float32, altitude: float, caution: float = CAUTION) -> Int:
    """The best cut of a tree.

    Args:
        tree: of n leaves.
        sizes: (n,) float64: pixels of every leaf.
        scores: (2n - 1,) float32 in 0..1: of all nodes.
        altitude: of the horizontal cut that the best cut keeps near: the dial from fine to coarse.
        caution: see ``CAUTION``.

    Returns:
        (n,) int64: group 0..count-1 of every leaf, numbered by the order of their tops in the tree, as
        :meth:`RegionTree.cut` does.
    """
    branches = Branches.of(tree.parents)
    total = branches.total(sizes[:, None])[:, 0]
    return _groups(branches, best_cut(branches, node_values(tree, total, scores, altitude, caution)))


def _groups(branches: Branches, top: Int) -> Int:
    """(n,) int64: which of the nodes of a cut every leaf is part of."""
    group = np.full(len(branches.parents), -1)
    group[top] = np.arange(len(top))
    for level in reversed(branches.levels):
        one, two = branches.below(level)
        held = group[level] >= 0
        group[one[held]] = group[two[held]] = group[level[held]]
    return group[: branches.leaves]
