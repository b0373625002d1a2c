"""A binary tree walked level by level: sums from the leaves up, decisions from the root down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Branches:
    """A binary tree read from the leaves to the root and back."""

    parents: Int
    """(nodes,) int64 as of :class:`RegionTree`: nodes 0..n-1 are the leaves, the root is the last, its own parent."""
    children: Int
    """(n - 1, 2) int64: of nodes n, n + 1, ..."""
    levels: tuple[Int, ...]
    """Inner nodes by their distance from the root, the farthest first."""

    @classmethod
    def of(cls, parents: Int) -> Branches:
        """From every node's parent, which comes after it."""
        nodes = len(parents)
        leaves, root = (nodes + 1) // 2, nodes - 1
        children = np.argsort(parents[:-1], kind="stable").reshape(-1, 2)
        depth, ancestor = np.ones(nodes, np.int64), parents
        depth[root] = 0
        while not (ancestor == root).all():
            depth, ancestor = depth + depth[ancestor], ancestor[ancestor]
        inner = np.arange(leaves, nodes)
        order = inner[np.argsort(-depth[inner], kind="stable")]
        ends = np.flatnonzero(np.diff(depth[order])) + 1
        return cls(parents, children, tuple(np.split(order, ends)) if len(order) else ())

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return (len(self.parents) + 1) // 2

    @property
    def siblings(self) -> Int:
        """(nodes,) int64; the root is its own."""
        out = np.full(len(self.parents), len(self.parents) - 1)
        out[self.children[:, 0]], out[self.children[:, 1]] = self.children[:, 1], self.children[:, 0]
        return out

    def below(self, level: Int) -> tuple[Int, Int]:
        """The two children of each of some inner nodes."""
        pair = self.children[level - self.leaves]
        return pair[:, 0], pair[:, 1]

    def gather(self, values: NDArray[Any], joined: Callable[..., Any] = np.add) -> NDArray[Any]:
        """(nodes, c) what every node and all nodes below it hold, joined by a commutative operation.

        The order is that of the tree, so that a node's value depends on nothing outside of it, not even by rounding.
        """
        out = values.copy()
        for level in self.levels:
            one, two = self.below(level)
            out[level] = joined(out[level], joined(out[one], out[two]))
        return out

    def total(self, leaf_values: Float) -> Float:
        """(nodes, c) sums of (n, c) values of the leaves."""
        return self.gather(np.concatenate([leaf_values, np.zeros((self.leaves - 1, leaf_values.shape[1]))]))

    def meetings(self, one: Int, two: Int) -> Int:
        """(m,) lowest node that holds both nodes of every pair."""
        out, active = np.empty_like(one), np.arange(len(one))
        while len(active):
            first = one < two  # the lower one of two nodes cannot hold the other
            one, two = np.where(first, self.parents[one], one), np.where(first, two, self.parents[two])
            met = one == two
            out[active[met]] = one[met]
            active, one, two = active[~met], one[~met], two[~met]
        return out
