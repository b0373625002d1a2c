"""Hierarchies of regions: an adjacency graph, small regions eliminated, a merging tree, a cut.

The cost of merging regions A and B is

    d(A, B) = h * (c + |mean(A) - mean(B)|) * (e + g(A, B)) ** p,   h = |A||B| / (|A| + |B|)

with the mean colour in L*a*b*, and g the mean gradient along the common border: Ward's size term keeps the regions of
a cut alike in weight, the border term keeps them where the picture has edges. Regions merge when each is the other's
cheapest neighbour (reciprocal nearest neighbours): for Ward's cost between all pairs that is the tree of merging the
cheapest pair of the whole image first, and here, among neighbours, what merges depends on the neighbourhood alone, so
that two tiles that see the same ground build the same tree over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoalps.models.affinities import parted_pairs

Float = NDArray[np.float64]
Int = NDArray[np.int64]

COLOUR_FLOOR = 2.0
"""c of the merging cost, in L*a*b* units: keeps noise between two means from deciding what looks alike."""
EDGE_FLOOR = 0.5
"""e of the merging cost, in L*a*b* units per pixel: keeps smooth borders from costing nothing."""
EDGE_POWER = 1.25
"""p of the merging cost: how much the border counts against the colours."""
STAR = 1.25
"""A region also joins its nearest neighbour's merge when that costs at most this much more than the merge itself.
Without it an orchard, a thousand trees around one soil, would take a thousand rounds."""


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions of an image and who borders on whom."""

    sizes: Float
    """(n,) float64: pixels."""
    sums: Float
    """(c, n) float64: sum over the pixels of every channel."""
    edges: Int
    """(m, 2) int64: pairs of adjacent regions, smaller index first, sorted, each pair once."""
    borders: Float
    """(2 or 4, m) float64: of the common border the pixel sides, and the sum of the gradient over them; where a network
    was asked (:meth:`asked`), also the weight of the pairs of pixels on both hands, and the sum of their chances to be
    parted."""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def lengths(self) -> Float:
        """(m,) float64: pixel sides that the two have in common."""
        return np.asarray(self.borders[0])

    @property
    def contrasts(self) -> Float:
        """(m,) float64: sum of the gradient over those pixel sides."""
        return np.asarray(self.borders[1])

    @property
    def answers(self) -> Float:
        """(2, m) float64: weight of the pairs that a network was asked about, and the sum of their chances."""
        return np.asarray(self.borders[2:]) if len(self.borders) > 2 else np.zeros_like(self.borders)

    @property
    def means(self) -> Float:
        """(c, n) float64: mean of every channel."""
        return self.sums / self.sizes

    @classmethod
    def from_labels(
        cls, labels: NDArray[np.int32], count: int, values: NDArray[Any], gradient: NDArray[Any]
    ) -> RegionGraph:
        """The adjacency graph of a label map.

        Args:
            labels: (h, w) int32, 1..count; 0 is nobody's.
            count: number of regions.
            values: (c, h, w) the channels whose means tell regions apart.
            gradient: (h, w) edge strength.
        """
        flat = labels.ravel()
        sums = np.stack([np.bincount(flat, channel.ravel(), count + 1)[1:] for channel in values]).astype(float)
        one, two, across = (np.concatenate(part) for part in zip(*_sides(labels, gradient), strict=True))
        edges, borders = _gather(one - 1, two - 1, count, np.stack([np.ones(len(one)), across]))
        return cls(np.bincount(flat, minlength=count + 1)[1:].astype(float), sums, edges, borders)

    def asked(self, labels: NDArray[np.int32], partings: NDArray[np.float32]) -> RegionGraph:
        """The same graph with what a network says of the regions' borders.

        Args:
            labels: (h, w) int32, 1..n: which region each pixel is part of; 0 is nobody's.
            partings: as of :func:`geoalps.models.affinity_net.partings`.
        """
        if not len(self.edges):
            return replace(self, borders=np.zeros((4, 0)))
        parts = [(*pair, weight * (1 + 1j * chance)) for *pair, weight, chance in parted_pairs(labels, partings)]
        one, two, told = (np.concatenate(part) for part in zip(*parts, strict=True))
        where = (np.minimum(one, two) - 1, np.maximum(one, two) - 1)
        sums = coo_array((told, where), (len(self), len(self))).tocsr()
        # the ends of far pairs are often of regions that do not meet
        met = np.asarray(sums[self.edges[:, 0], self.edges[:, 1]])
        return replace(self, borders=np.concatenate([self.borders[:2], [met.real, met.imag]]))

    def merge(self, group: Int, count: int) -> RegionGraph:
        """Regions united by ``group``, (n,) int64 in 0..count-1."""
        sums = np.stack([np.bincount(group, channel, count) for channel in self.sums]).astype(float)
        first, second = group[self.edges[:, 0]], group[self.edges[:, 1]]
        apart = first != second
        packed = _gather(first[apart], second[apart], count, self.borders[:, apart])
        return RegionGraph(np.bincount(group, self.sizes, count).astype(float), sums, *packed)

    def colour_distances(self) -> Float:
        """(m,) float64: Euclidean distance of the means across every edge."""
        means = self.means
        return np.asarray(np.sqrt(((means[:, self.edges[:, 0]] - means[:, self.edges[:, 1]]) ** 2).sum(0)))

    def costs(self) -> Float:
        """(m,) float64: the merging cost d of the module's docstring across every edge."""
        one, two = self.sizes[self.edges[:, 0]], self.sizes[self.edges[:, 1]]
        border = self.contrasts / self.lengths
        return np.asarray(
            one * two / (one + two) * (COLOUR_FLOOR + self.colour_distances()) * (EDGE_FLOOR + border) ** EDGE_POWER
        )


def _sides(
    labels: NDArray[np.int32], gradient: NDArray[Any]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any]]]:
    """Regions on both hands of the pixel sides between two regions, and the gradient there; upright sides, level ones.

    What lies within regions, most of a picture, is left out before anything is gathered: it would fill memory.
    """
    first, last, all_ = slice(None, -1), slice(1, None), slice(None)
    for here, there in (((all_, first), (all_, last)), ((first, all_), (last, all_))):
        one, two = labels[here], labels[there]
        side = (one != two) & (one > 0) & (two > 0)
        yield one[side], two[side], np.maximum(gradient[here][side], gradient[there][side])


def _gather(one: NDArray[Any], two: NDArray[Any], count: int, weights: NDArray[Any]) -> tuple[Int, Float]:
    """(m, 2) unordered pairs of 0..count-1, each once and sorted, and (w, m) the sums of their (w, k) weights, w even.

    By compressing a sparse matrix, which sorts by counting; of two weights at a time, as parts of complex numbers.
    """
    where = (np.minimum(one, two), np.maximum(one, two))
    twos = zip(weights[::2], weights[1::2], strict=True)
    sums = [coo_array((real + 1j * imaginary, where), (count, count)).tocsr() for real, imaginary in twos]
    pairs = np.stack(sums[0].tocoo().coords, 1).astype(np.int64)
    return pairs, np.concatenate([[some.data.real, some.data.imag] for some in sums])


def eliminate(graph: RegionGraph, smallest: int) -> tuple[RegionGraph, Int]:
    """Regions under ``smallest`` pixels given to the neighbour most like them, in rounds until none is left.

    Returns:
        The graph of what is left, and (n,) int64: which of those every region has become part of. A small region
        without a neighbour stays.
    """
    total = np.arange(len(graph))
    while len(graph.edges):
        distance = graph.colour_distances() + graph.contrasts / graph.lengths
        best = _cheapest(graph, distance)
        chosen = best[(graph.sizes < smallest) & (best >= 0)]
        if not len(chosen):
            break
        links = coo_array((np.ones(len(chosen)), tuple(graph.edges[chosen].T)), (len(graph), len(graph)))
        count, group = connected_components(links, directed=False)
        graph, total = graph.merge(group.astype(np.int64), count), group[total]
    return graph, total


def _cheapest(graph: RegionGraph, cost: Float) -> Int:
    """(n,) int64 index of every region's cheapest edge, of edges alike the first; -1 without one."""
    least, best = np.full(len(graph), np.inf), np.full(len(graph), len(cost))
    ends = graph.edges.T
    for end in ends:
        np.minimum.at(least, end, cost)
    for end in ends:
        edge = np.flatnonzero(cost == least[end])
        np.minimum.at(best, end[edge], edge)
    return np.where(best < len(cost), best, -1)


@dataclass(frozen=True, eq=False)
class RegionTree:
    """Binary merging tree of n regions: nodes 0..n-1 are the regions, the root is the last node.

    Altitudes rise along every branch; from node to node they need not.
    """

    parents: Int
    """(nodes,) int64: every node's parent, which comes after it; the root's is the root."""
    altitudes: Float
    """(nodes,) float64: cost at which a node was made, not below its children's; leaves 0, joined islands inf."""

    def count_above(self, altitude: float) -> int:
        """Number of regions when every merge above this cost is undone."""
        return int((self.altitudes > altitude).sum()) + 1

    def cut(self, regions: int) -> Int:
        """The horizontal cut with this many regions (or as many as there are islands, when that is more).

        Returns:
            (n,) int64: group 0..count-1 of every leaf, numbered by the order of their tops in the tree.
        """
        nodes = len(self.parents)
        leaves = (nodes + 1) // 2
        # the costliest merges are undone; of merges alike the one higher up
        rank = np.empty(nodes, np.int64)
        rank[np.argsort(self.altitudes, kind="stable")] = np.arange(nodes)
        undone = max(min(regions, leaves) - 1, int(np.isinf(self.altitudes).sum()))
        top = np.where(rank[self.parents] < nodes - undone, self.parents, np.arange(nodes))
        while not np.array_equal(top, higher := top[top]):
            top = higher
        return np.asarray(np.unique(top[:leaves], return_inverse=True)[1], np.int64)


def merge_tree(graph: RegionGraph, order: Callable[[RegionGraph], Float] = RegionGraph.costs) -> RegionTree:
    """Merge reciprocal nearest neighbours until one region is left.

    Args:
        graph: the tree's leaves.
        order: (m,) costs across the edges of a graph; what costs less merges first.
    """
    leaves = len(graph)
    parents = np.zeros(2 * leaves - 1, np.int64)
    heights = np.zeros(2 * leaves - 1)
    node, made = np.arange(leaves), leaves
    while len(graph.edges):
        hubs, joined, cost = _stars(graph, order(graph))
        new = made + np.arange(len(hubs))
        made += len(hubs)
        heights[new] = cost
        # within a star the merges follow one another: each takes up what the one before it made
        follows = np.flatnonzero(hubs[1:] == hubs[:-1]) + 1
        below = node[hubs]
        below[follows] = new[follows - 1]
        parents[below] = parents[node[joined]] = new
        node[hubs] = new  # the last of a star stands
        group = np.arange(leaves)
        group[joined] = hubs
        kept, group = np.unique(group, return_inverse=True)
        node, leaves = node[kept], len(kept)
        graph = graph.merge(group.astype(np.int64), leaves)
    for island in node[1:]:
        parents[[node[0], island]] = made
        heights[made], node[0], made = np.inf, made, made + 1
    return _sorted_tree(parents[:made], heights[:made], (made + 1) // 2)


def _stars(graph: RegionGraph, cost: Float) -> tuple[Int, Int, Float]:
    """One round of merges: (k,) hubs, (k,) regions that join them, (k,) costs; sorted by hub, then by cost."""
    best = _cheapest(graph, cost)
    one, two = graph.edges.T
    mutual = np.flatnonzero((best[one] == np.arange(len(cost))) & (best[two] == np.arange(len(cost))))
    larger = graph.sizes[one[mutual]] >= graph.sizes[two[mutual]]
    hub, leaf = np.where(larger, one[mutual], two[mutual]), np.where(larger, two[mutual], one[mutual])
    limit = np.full(len(graph), -1.0)
    limit[hub] = STAR * cost[mutual]
    taken = np.zeros(len(graph), bool)
    taken[hub] = taken[leaf] = True
    free = np.flatnonzero(~taken & (best >= 0))
    edge = best[free]
    target = np.where(one[edge] == free, two[edge], one[edge])
    near = cost[edge] <= limit[target]
    hubs, joined = np.concatenate([hub, target[near]]), np.concatenate([leaf, free[near]])
    edges = np.concatenate([mutual, edge[near]])
    order = np.lexsort((edges, cost[edges], hubs))
    return hubs[order], joined[order], cost[edges[order]]


def _sorted_tree(parents: Int, heights: Float, leaves: int) -> RegionTree:
    """Nodes renumbered by altitude after making it grow towards the root."""
    nodes = len(parents)
    parents[-1] = nodes - 1
    rising = _highest_below(parents, heights)
    order = np.concatenate([np.arange(leaves), leaves + np.argsort(rising[leaves:], kind="stable")])
    place = np.empty(nodes, np.int64)
    place[order] = np.arange(nodes)
    return RegionTree(place[parents[order]], rising[order])


def _highest_below(parents: Int, heights: Float) -> Float:
    """(nodes,) float64: the largest height of every node and all below it, by doubling the distance looked across."""
    highest, ancestor, root = heights.copy(), parents, len(parents) - 1
    while True:
        np.maximum.at(highest, ancestor, highest.copy())
        if (ancestor == root).all():
            return highest
        ancestor = ancestor[ancestor]
