"""A merging tree made for choosing from: what merges first is not what a horizontal cut goes by.

Regions A and B merge in the order of

    h^(3/4) * (c + |mean(A) - mean(B)|)^(1/2) * (e + g(A, B))^(3/5) * (f + r(A, B)) / length^(1/2)

with h, c, e and g as of :mod:`geoalps.models.hierarchy`, and r the mean chance, by the affinity network, that pairs of
pixels across the common border are parted by a border of two wholes. What shares much border joins early, and what the
network holds for one thing before what it does not: more true objects become a node. A node stands as high as the
plain cost of its merge, not below its children, so that a horizontal cut still weighs sizes against each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoalps.models.branches import Branches
from geoalps.models.hierarchy import COLOUR_FLOOR, EDGE_FLOOR, EDGE_POWER, RegionGraph, RegionTree, merge_tree

Float = NDArray[np.float64]

PARTING_FLOOR = 0.02
"""f of the order: keeps what the network is sure of from being free, so that sizes count there."""
UNASKED, BELIEF = 0.3, 5e-4
"""Chance of being parted where the network was asked nothing, and the weight it has against what was asked."""


def order_costs(graph: RegionGraph) -> Float:
    """(m,) float64: the module's order across every edge."""
    one, two = graph.sizes[graph.edges[:, 0]], graph.sizes[graph.edges[:, 1]]
    lengths, (pairs, parted) = graph.lengths, graph.answers
    apart = (parted + BELIEF * UNASKED) / (pairs + BELIEF)
    colour, border = COLOUR_FLOOR + graph.colour_distances(), EDGE_FLOOR + graph.contrasts / lengths
    weight = (one * two / (one + two)) ** 0.75
    return np.asarray(weight * np.sqrt(colour / lengths) * border**0.6 * (PARTING_FLOOR + apart))


def ordered_tree(graph: RegionGraph) -> RegionTree:
    """Merge reciprocal nearest neighbours by :func:`order_costs`; altitudes are the hierarchy's plain costs."""
    tree = merge_tree(graph, order_costs)
    branches = Branches.of(tree.parents)
    heights = np.concatenate([np.zeros(len(graph)), _merge_costs(branches, graph)])
    heights[np.isinf(tree.altitudes)] = np.inf
    return RegionTree(tree.parents, branches.gather(heights[:, None], np.maximum)[:, 0])


def _merge_costs(branches: Branches, graph: RegionGraph) -> Float:
    """(n - 1,) float64: the hierarchy's cost between the two children of every inner node."""
    held = branches.total(np.concatenate([graph.sizes[:, None], graph.sums.T], 1))
    meeting = branches.meetings(graph.edges[:, 0], graph.edges[:, 1]) - len(graph)
    length, contrast = (np.bincount(meeting, w, len(graph) - 1) for w in (graph.lengths, graph.contrasts))
    one, two = branches.children.T
    mean = held[:, 1:] / held[:, :1]
    colours = np.sqrt(((mean[one] - mean[two]) ** 2).sum(1))
    weight = held[one, 0] * held[two, 0] / (held[one, 0] + held[two, 0])
    border = contrast / np.maximum(length, 1)
    return np.asarray(weight * (COLOUR_FLOOR + colours) * (EDGE_FLOOR + border) ** EDGE_POWER)
