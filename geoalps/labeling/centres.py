"""Centres: where the classes lie among the embeddings, as a tree.

The centres on top share out all embeddings, each to the nearest. Where one was split, its children share out those that
came to it and no others: splitting one class moves no object of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from geoalps.labeling.kmeans import OnlineKMeans, assign, group_sums

Vectors = NDArray[np.float64]
Batch = NDArray[np.float32]
USUAL = 0.99
"""Share of a class's objects that lie nearer to its centre than what is called unusual."""
ROUNDS, WEIGHT = 10, 0.5
"""Of adapting to another scene; chosen on made pairs and real halves (``benchmarks/carry_over.py`` has other pairs)."""


@dataclass(frozen=True, eq=False)
class Located:
    """Where n embeddings lie."""

    class_id: NDArray[np.int64]
    """(n,) 0..k-1."""
    confidence: NDArray[np.float32]
    """(n,) 0..1: margin 1 - d1 / d2 between nearest and second-nearest centre, the least on the way down the tree."""
    node: NDArray[np.int64]
    """(n,) row of the centre that an embedding came to."""
    distance: NDArray[np.float64]
    """(n,) to that centre."""


@dataclass(frozen=True, eq=False)
class Centres:
    """m centres in normalised space; see the module's docstring."""

    vectors: Vectors
    """(m, channels) float64."""
    parents: NDArray[np.int64]
    """(m,) row of the centre that was split into this and others; -1 on top. Children come after their parent."""
    classes: NDArray[np.int64]
    """(m,) class of what comes to a centre and goes no further; -1 where it was split."""
    counts: Vectors
    """(m,) objects that it was learnt from."""
    radii: Vectors
    """(m,) greatest distance of an object it was learnt from."""
    usual: Vectors
    """(m,) distance below which USUAL of those objects lie."""

    @classmethod
    def flat(cls, vectors: Vectors) -> Centres:
        """K centres of classes 0..k-1 that nothing is known of but where they are."""
        k = len(vectors)
        nothing, endless = np.zeros(k), np.full(k, np.inf)
        return cls(vectors, np.full(k, -1), np.arange(k), nothing, endless, endless)

    def __len__(self) -> int:
        """Classes."""
        return int((self.classes >= 0).sum())

    @property
    def leaves(self) -> NDArray[np.int64]:
        """(k,) row of the centre of every class."""
        rows = np.flatnonzero(self.classes >= 0)
        return rows[np.argsort(self.classes[rows])]

    @property
    def whole(self) -> bool:
        """Whether the arrays fit together and make a tree."""
        m = len(self.vectors)
        rows = (self.parents, self.classes, self.counts, self.radii, self.usual)
        kinds = [self.vectors.dtype.kind, *(array.dtype.kind for array in rows)]
        if self.vectors.ndim != 2 or [a.shape for a in rows] != [(m,)] * 5 or kinds != ["f", "i", "i", "f", "f", "f"]:
            return False
        split = np.unique(self.parents[self.parents >= 0])
        return (
            bool(((self.parents >= -1) & (self.parents < np.arange(m))).all())
            and np.array_equal(split, np.flatnonzero(self.classes < 0))
            and np.array_equal(np.sort(self.classes[self.classes >= 0]), np.arange(m - len(split)))
        )

    def families(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(parent, rows of its children), the top first."""
        for parent in [-1, *np.flatnonzero(self.classes < 0)]:
            yield int(parent), np.flatnonzero(self.parents == parent)

    def locate(self, x: Batch) -> Located:
        """Go down the tree with (n, channels) normalised embeddings, each time to the nearest centre."""
        node, margin = np.full(len(x), -1), np.ones(len(x), np.float32)
        for parent, members in self.families():
            here = np.flatnonzero(node == parent)
            if len(here) and len(members):
                nearest, gap = assign(x[here], self.vectors[members])
                node[here], margin[here] = members[nearest], np.minimum(margin[here], gap)
        distance = np.sqrt(((x.astype(np.float64) - self.vectors[node]) ** 2).sum(1))
        return Located(self.classes[node], margin, node, distance)

    def unseen(self, x: Batch, located: Located) -> NDArray[np.bool_]:
        """(n,) bool: farther from the centre of every class than any object it was learnt from."""
        far = located.distance > self.radii[located.node]
        rows = np.flatnonzero(far)
        if len(rows):
            leaves = self.leaves
            away = cdist(x[rows].astype(np.float64), self.vectors[leaves])
            far[rows] = (away > self.radii[leaves]).all(1)
        return far

    def unusual(self, located: Located) -> NDArray[np.bool_]:
        """(n,) bool: farther from its own centre than USUAL of the objects that this was learnt from."""
        return np.asarray(located.distance > self.usual[located.node])

    def measured(self, batches: Iterable[Batch]) -> Centres:
        """The same centres with counts, radii and usual distances of all embeddings of some batches."""
        nodes, distances = [np.zeros(0, np.int64)], [np.zeros(0)]
        for x in batches:
            located = self.locate(x)
            nodes.append(located.node)
            distances.append(located.distance)
        counts, radii, usual = _spread(np.concatenate(nodes), np.concatenate(distances), len(self.vectors))
        # what a centre that was split is measured by are its children, as far as they reach
        for parent, members in reversed(list(self.families())):
            if parent >= 0:
                away = np.sqrt(((self.vectors[members] - self.vectors[parent]) ** 2).sum(1))
                counts[parent] = counts[members].sum()
                radii[parent], usual[parent] = (radii[members] + away).max(), (usual[members] + away).max()
        return replace(self, counts=counts, radii=radii, usual=usual)

    def learnt(self, batches: Iterable[Batch]) -> Centres:
        """These centres after one pass of incremental k-means over further embeddings; what they knew still counts.

        Every family of the tree learns from what comes to it: c <- (n c + sum x) / (n + m), n <- n + m.
        """
        vectors, counts = self.vectors.copy(), self.counts.copy()
        for x in batches:
            here = Centres(vectors, self.parents, self.classes, counts, self.radii, self.usual)
            node = here.locate(x).node
            while (node >= 0).any():  # from the leaves to the top, every centre on the way learns
                for parent in np.unique(self.parents[node[node >= 0]]):
                    members = np.flatnonzero(self.parents == parent)
                    mine = np.isin(node, members)
                    learner = OnlineKMeans(vectors[members], counts[members])
                    learner.learn(x[mine].astype(np.float64), np.searchsorted(members, node[mine]))
                    vectors[members], counts[members] = learner.centres, learner.counts
                node = np.where(node >= 0, self.parents[node], -1)
        return replace(self, vectors=vectors, counts=counts)

    def adapted(self, passes: Callable[[], Iterable[Batch]], rounds: int = ROUNDS, weight: float = WEIGHT) -> Centres:
        """These centres after some rounds of k-means over another scene's embeddings, from which they start.

        Each is held where it was by as many objects, ``weight`` times, as would be its own if the other scene had the
        classes in the same shares: c <- (w c_0 + sum x) / (w + m).

        Args:
            passes: gives all embeddings, batch by batch, as often as it is called.
            rounds: of k-means.
            weight: 0 lets the centres go wherever k-means takes them.
        """
        now, share = self, self.counts / max(self.counts[self.parents < 0].sum(), 1)
        for _ in range(rounds):
            sums, counts = np.zeros_like(self.vectors), np.zeros(len(self.vectors))
            for x in passes():
                node = now.locate(x).node
                sums += group_sums(x.astype(np.float64), node, len(sums))
                counts += np.bincount(node, minlength=len(counts))
            for row in range(len(sums) - 1, -1, -1):  # children come after their parent
                if (parent := self.parents[row]) >= 0:
                    sums[parent] += sums[row]
                    counts[parent] += counts[row]
            held = weight * share * counts[self.parents < 0].sum()
            total = np.where(held + counts > 0, held + counts, 1)[:, None]
            moved = (held[:, None] * self.vectors + sums) / total
            now = replace(self, vectors=np.where((held + counts > 0)[:, None], moved, self.vectors))
        return now

    def reaching(self, before: Centres, new: Centres) -> Centres:
        """These moved centres, with the spread of what they learnt from before and since.

        Args:
            before: the centres as they were; how far a centre moved is added to what it reached.
            new: these centres as :meth:`measured` on what they learnt since.
        """
        moved = np.sqrt(((self.vectors - before.vectors) ** 2).sum(1))
        radii, usual = (
            np.maximum(old + moved, now) for old, now in ((before.radii, new.radii), (before.usual, new.usual))
        )
        return replace(self, radii=radii, usual=usual)

    def split(self, class_id: int, children: Centres) -> Centres:
        """With the centre of one class split: the first child keeps its number, the others come after all there are."""
        row, m = int(self.leaves[class_id]), len(self.vectors)
        numbers = np.concatenate([[class_id], len(self) + np.arange(len(children) - 1)])
        classes = np.concatenate([self.classes, numbers])
        classes[row] = -1
        parents = np.concatenate([self.parents, np.full(len(children), row)])
        ours = (self.vectors, self.counts, self.radii, self.usual)
        theirs = (children.vectors, children.counts, children.radii, children.usual)
        vectors, counts, radii, usual = (np.concatenate(pair) for pair in zip(ours, theirs, strict=True))
        assert len(parents) == m + len(children)  # noqa: S101 - one row a child
        return Centres(vectors, parents, classes, counts, radii, usual)


def _spread(node: NDArray[np.int64], distance: Vectors, m: int) -> tuple[Vectors, Vectors, Vectors]:
    """(m,) counts, greatest distances and those below which USUAL lie, of (n,) distances to the centres ``node``."""
    counts = np.bincount(node, minlength=m)
    radii, usual = np.zeros(m), np.zeros(m)
    order = np.argsort(node, kind="stable")
    for row, part in enumerate(np.split(distance[order], np.cumsum(counts)[:-1])):
        if len(part):
            radii[row], usual[row] = part.max(), np.quantile(part, USUAL)
    return counts.astype(np.float64), radii, usual
