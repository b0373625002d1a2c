"""What a region tree knows of its nodes: how each is bordered, shaped and related to the nodes beside and above it.

All columns are means, ratios or logarithms of them, so that neither the place of a node in its window nor what lies far
from it moves them. Columns that hold the picture's own level (how much texture, how dark, how many pixels) are left out
on purpose: they tell made pictures from photographs, and the objects of one sensor from those of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.models.branches import Branches
from geoalps.models.hierarchy import RegionGraph, RegionTree

Float = NDArray[np.float64]
Int = NDArray[np.int64]

GRADIENT_FLOOR = 0.5
"""L*a*b* units per pixel added to gradients before their ratio is taken: below it there is noise."""
COLOUR_FLOOR = 1.0
"""The same for differences of colour, in L*a*b* units."""

_PARENT = (
    "elongation", "solidity", "raggedness", "compactness", "border", "border_to_inner", "border_to_inside",
    "step_to_inside", "step_spread", "ring_to_spreads", "ring", "fill",
)  # fmt: skip
_SIBLING = ("elongation", "solidity", "raggedness", "border_to_inner", "ring", "fill")
_GRANDPARENT = ("solidity", "raggedness", "border_to_inside", "ring_to_spreads")
_CHILD = ("solidity", "raggedness", "border_to_inside", "ring_to_spreads", "elongation")
_OWN = (
    "elongation", "solidity", "fill", "raggedness", "compactness",
    "border", "border_to_inner", "border_to_inside", "border_to_strongest", "border_spread",
    "step", "step_to_inside", "step_to_strongest", "step_spread",
    "ring", "ring_to_spreads", "ring_to_own", "ring_spread",
)  # fmt: skip
_KIN = (
    "parent_growth", "sibling_size", "grandparent_growth", "border_with_sibling", "sibling_border_with_me",
    "colour_to_sibling", "sibling_border", "persistence", "long_persistence",
    "small_child_size", "children_colours", "children_border", "children_contrast",
)  # fmt: skip
NAMES: tuple[str, ...] = (
    *_OWN,
    *(f"parent_{name}" for name in _PARENT),
    *(f"sibling_{name}" for name in _SIBLING),
    *(f"grandparent_{name}" for name in _GRANDPARENT),
    *_KIN,
    *(f"large_child_{name}" for name in _CHILD),
    *(f"small_child_{name}" for name in _CHILD),
)
"""What every column of :func:`describe_nodes` holds, in order."""


def describe_nodes(
    tree: RegionTree, graph: RegionGraph, labels: NDArray[np.int32], colour: NDArray[Any], gradient: NDArray[Any]
) -> NDArray[np.float32]:
    """Descriptors of all nodes of a merging tree.

    Args:
        tree: of the regions of ``graph``.
        graph: the tree's leaves and who borders on whom.
        labels: (h, w) int32, 1..n: which leaf each pixel is part of; 0 is nobody's.
        colour: (3, h, w) L*a*b*, not smoothed.
        gradient: (h, w) edge strength in L*a*b* units per pixel.

    Returns:
        (2n - 1, len(NAMES)) float32, finite.
    """
    branches = Branches.of(tree.parents)
    sums = branches.total(_leaf_sums(labels, len(graph), colour, gradient))
    border = _Borders.of(branches, graph, (sums[: len(graph), 1:4] / sums[: len(graph), :1]))
    columns = _shape(sums, _boxes(branches, labels, len(graph)), border.outer[:, 0])
    columns |= _contrast(sums, border)
    columns |= _relatives(branches, columns, sums, border, tree.altitudes)
    return np.stack([columns[name] for name in NAMES], 1).astype(np.float32)


def _leaf_sums(labels: NDArray[np.int32], count: int, colour: NDArray[Any], gradient: NDArray[Any]) -> Float:
    """(n, 12) float64 sums over the pixels of every leaf.

    One, colour (3), squared colour, gradient, row, column, their squares and product; and the pixel sides on nodata or
    on the window's edge.
    """
    height, width = labels.shape
    flat = labels.ravel()
    row, col = np.repeat(np.arange(height) + 0.5, width), np.tile(np.arange(width) + 0.5, height)
    energy = (colour * colour).sum(0)
    images = [*colour, energy, gradient]
    weights = [*(image.ravel() for image in images), row, col, row * row, col * col, row * col]
    sums = [np.bincount(flat, minlength=count + 1), *(np.bincount(flat, weight, count + 1) for weight in weights)]
    framed = np.pad(labels, 1)
    pairs = ((framed[1:], framed[:-1]), (framed[:, 1:], framed[:, :-1]))
    free = [near[(near > 0) & (far == 0)] for one, two in pairs for near, far in ((one, two), (two, one))]
    sums.append(np.bincount(np.concatenate(free), minlength=count + 1))
    return np.stack(sums, 1)[1:].astype(float)


def _boxes(branches: Branches, labels: NDArray[np.int32], count: int) -> Float:
    """(nodes, 2): height and width of every node's bounding box."""
    height, width = labels.shape
    flat = labels.ravel()
    far = np.full((2 * count, 4), -np.inf)  # last row and column, first ones negated
    for axis, place in enumerate((np.repeat(np.arange(height), width), np.tile(np.arange(width), height))):
        largest, smallest = np.full(count + 1, -1), np.full(count + 1, height + width)
        np.maximum.at(largest, flat, place)
        np.minimum.at(smallest, flat, place)
        far[:count, axis], far[:count, axis + 2] = largest[1:], -smallest[1:]
    spread = branches.gather(far[:-1], np.maximum)
    return np.asarray(spread[:, :2] + spread[:, 2:] + 1)


@dataclass(frozen=True, eq=False)
class _Borders:
    """Sums over the borders between leaves: those around every node, and those inside it."""

    outer: Float
    """(nodes, 11): length, gradient, its square, step, its square, neighbours' colour (3) and squared colour (3);
    a step is the distance of the mean colours of two adjacent leaves."""
    inner: Float
    """(nodes, 11): the same of borders inside, each counted from both sides."""
    strongest: Float
    """(nodes, 2): largest mean gradient of a border inside, largest step; 0 for leaves."""

    @classmethod
    def of(cls, branches: Branches, graph: RegionGraph, mean: Float) -> _Borders:
        """From the leaves' graph and their (n, 3) mean colours."""
        one, two = graph.edges.T
        length, strength = graph.lengths, graph.contrasts / graph.lengths
        step = np.sqrt(((mean[one] - mean[two]) ** 2).sum(1))
        both = [length, graph.contrasts, graph.contrasts * strength, length * step, length * step**2]

        def seen(other: Float) -> Float:
            """(m, 11) what one side of every edge sees."""
            return np.stack([*both, *(length * other.T), *(length * other.T**2)], 1)

        from_one, from_two = seen(mean[two]), seen(mean[one])
        all_round = _summed(one, from_one, branches.leaves) + _summed(two, from_two, branches.leaves)
        meeting = branches.meetings(one, two)
        nodes = len(branches.parents)
        inner = branches.gather(_summed(meeting, from_one + from_two, nodes))
        strongest = np.zeros((nodes, 2))
        for column, value in enumerate((strength, step)):
            np.maximum.at(strongest[:, column], meeting, value)
        return cls(branches.total(all_round) - inner, inner, branches.gather(strongest, np.maximum))


def _summed(index: Int, values: Float, count: int) -> Float:
    """(count, c): sums of the (m, c) values of every index."""
    return np.stack([np.bincount(index, column, count) for column in values.T], 1)


def _shape(sums: Float, box: Float, border: Float) -> dict[str, Float]:
    """Columns of shape, and the area's logarithm.

    From the ellipse with the same second moments, from the bounding box, and from the length of the outline in pixel
    sides, which is the box's own for a shape without dents.
    """
    area = sums[:, 0]
    row, col = sums[:, 6] / area, sums[:, 7] / area
    # 1/12 is a pixel's own spread
    yy, xx, xy = (
        sums[:, 8] / area - row**2 + 1 / 12,
        sums[:, 9] / area - col**2 + 1 / 12,
        sums[:, 10] / area - row * col,
    )
    half, root = (yy + xx) / 2, np.sqrt((yy - xx) ** 2 / 4 + xy**2)
    outline = np.maximum(border, 0) + sums[:, 11]
    return {
        "log_area": np.log(area),
        "elongation": np.log((half + root) / np.maximum(half - root, 1 / 24)) / 2,
        "solidity": area / (4 * np.pi * np.sqrt(np.maximum(half**2 - root**2, 1 / 144))),
        "fill": area / box.prod(1),
        "raggedness": outline / (2 * box.sum(1)),
        "compactness": 16 * area / outline**2,
    }


def _contrast(sums: Float, border: _Borders) -> dict[str, Float]:
    """Columns of contrast: across the border against inside."""
    length = np.maximum(border.outer[:, 0], 1)
    strength, square, step, step_square = (border.outer[:, n] / length for n in range(1, 5))
    ring, ring_square = border.outer[:, 5:8] / length[:, None], border.outer[:, 8:11].sum(1) / length
    inside = border.inner[:, [1, 3]] / np.maximum(border.inner[:, :1], 1)
    mean = sums[:, 1:4] / sums[:, :1]
    own = np.sqrt(np.maximum(sums[:, 4] / sums[:, 0] - (mean**2).sum(1), 0)) + COLOUR_FLOOR
    around = np.sqrt(np.maximum(ring_square - (ring**2).sum(1), 0))
    apart = np.sqrt(((mean - ring) ** 2).sum(1)) + COLOUR_FLOOR
    edge, jump = strength + GRADIENT_FLOOR, step + COLOUR_FLOOR
    return {
        "border": np.log(edge),
        "border_to_inner": np.log(edge / (sums[:, 5] / sums[:, 0] + GRADIENT_FLOOR)),
        "border_to_inside": np.log(edge / (inside[:, 0] + GRADIENT_FLOOR)),
        "border_to_strongest": np.log(edge / (border.strongest[:, 0] + GRADIENT_FLOOR)),
        "border_spread": np.sqrt(np.maximum(square - strength**2, 0)) / edge,
        "step": np.log(jump),
        "step_to_inside": np.log(jump / (inside[:, 1] + COLOUR_FLOOR)),
        "step_to_strongest": np.log(jump / (border.strongest[:, 1] + COLOUR_FLOOR)),
        "step_spread": np.sqrt(np.maximum(step_square - step**2, 0)) / jump,
        "ring": np.log(apart),
        "ring_to_spreads": np.log(apart / (own + around)),
        "ring_to_own": np.log(apart / own),
        "ring_spread": np.log((around + COLOUR_FLOOR) / own),
    }


def _relatives(
    branches: Branches, own: dict[str, Float], sums: Float, border: _Borders, altitudes: Float
) -> dict[str, Float]:
    """Columns about a node's parent, grandparent, sibling and children."""
    parent, sibling = branches.parents, branches.siblings
    grandparent, size = parent[parent], own["log_area"]
    out = {f"parent_{name}": own[name][parent] for name in _PARENT}
    out |= {f"sibling_{name}": own[name][sibling] for name in _SIBLING}
    out |= {f"grandparent_{name}": own[name][grandparent] for name in _GRANDPARENT}
    shared = (border.outer + border.outer[sibling] - border.outer[parent])[:, :2] / 2
    length, strength = np.maximum(border.outer[:, 0], 1), border.outer[:, 1]
    mean = sums[:, 1:4] / sums[:, :1]
    height = np.where(np.isfinite(altitudes), altitudes, altitudes[np.isfinite(altitudes)].max())
    with_sibling = np.maximum(shared[:, 1], 0) / np.maximum(shared[:, 0], 1) + GRADIENT_FLOOR
    out |= {
        "parent_growth": size[parent] - size,
        "sibling_size": size[sibling] - size,
        "grandparent_growth": size[grandparent] - size,
        "border_with_sibling": shared[:, 0] / length,
        "sibling_border_with_me": shared[:, 0] / length[sibling],
        "colour_to_sibling": np.log(np.sqrt(((mean - mean[sibling]) ** 2).sum(1)) + COLOUR_FLOOR),
        "sibling_border": np.log(with_sibling / (strength / length + GRADIENT_FLOOR)),
        "persistence": np.log((height[parent] + 1) / (height + 1)),
        "long_persistence": np.log((height[grandparent] + 1) / (height + 1)),
    }
    return out | _offspring(branches, own, out)


def _offspring(branches: Branches, own: dict[str, Float], kin: dict[str, Float]) -> dict[str, Float]:
    """Columns about a node's children; 0 for leaves."""
    size, one, two = own["log_area"], branches.children[:, 0], branches.children[:, 1]
    # of two of one size the one with the stronger border is the large one: the order must not come from numbers
    first = (size[one] > size[two]) | ((size[one] == size[two]) & (own["border"][one] >= own["border"][two]))
    large, small = np.where(first, one, two), np.where(first, two, one)

    def of(child: Int, values: Float) -> Float:
        """(nodes,): a child's value at its parent."""
        return np.concatenate([np.zeros(branches.leaves), values[child]])

    out = {f"large_child_{name}": of(large, own[name]) for name in _CHILD}
    out |= {f"small_child_{name}": of(small, own[name]) for name in _CHILD}
    return out | {
        "small_child_size": -of(small, kin["parent_growth"]),
        "children_colours": of(small, kin["colour_to_sibling"]),
        "children_border": of(small, kin["border_with_sibling"]),
        "children_contrast": of(small, kin["sibling_border"]),
    }
