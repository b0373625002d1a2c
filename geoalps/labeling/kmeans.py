r"""OnlineKMeans: k-means in mini-batches that never holds all embeddings.

A batch is assigned with the centres as they stand, then every centre moves to the running mean of all it was given:

.. math:: c \leftarrow \frac{n c + \sum x}{n + m}, \qquad n \leftarrow n + m

for the m vectors nearest to c. Several passes over batches that are shuffled across tiles; at the start of each pass
the counts decay, so that the centres can leave what the first, poor assignment gave them. Seeds are the best of many
k-means++ starts on a sample across all tiles: passes in mini-batches settle, but hardly leave a poor optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from geoalps.errors import OptionError

Vectors = NDArray[np.float64]
Batch = NDArray[np.float32]

COMPARED = 4096
"""Vectors, at least, on which starts are compared with one another."""
TRIED, SETTLED = 6, 100
"""Rounds of Lloyd's algorithm after which starts are compared, and those at most until one settles."""


@dataclass(eq=False)
class OnlineKMeans:
    """k centres that learn batch by batch. Mutable: it is the learner; a class model is what it has learnt."""

    centres: Vectors
    """(k, channels) float64."""
    counts: Vectors
    """(k,) float64: vectors behind every centre."""
    loss: float = 0.0
    """Sum over all batches of the squared distance at the time: the online loss."""

    @classmethod
    def seeded(cls, sample: Batch, k: int, seed: int, starts: int = 32, settled: int = 8) -> OnlineKMeans:
        """Centres from a sample: the best of several starts by Lloyd's algorithm.

        Args:
            sample: (n, channels) embeddings.
            k: centres wanted.
            seed: of the random numbers.
            starts: k-means++ starts, compared after a few rounds, on a part of a large sample.
            settled: the best of them, compared when they have settled. The best one settles on the whole sample.

        Raises:
            OptionError: fewer distinct vectors in the sample than centres wanted.
        """
        # sorted, so that the seeds do not depend on the order in which tiles gave the sample
        x = sample.astype(np.float64)[np.lexsort(sample.T)]
        distinct = len(np.unique(x, axis=0))
        if distinct < k:
            error = OptionError(
                f"{k} classes were asked for, and no more than {distinct} objects differ; use -k {distinct} or fewer"
            )
            error.most = distinct
            raise error
        part = np.random.default_rng(seed).permutation(x)[: max(COMPARED, 32 * k)]
        if len(part) < len(x) and len(np.unique(part, axis=0)) < k:
            part = x
        first = (_plus_plus(part, k, np.random.default_rng([seed, start])) for start in range(starts))
        tried = sorted((_refined(part, centres, TRIED) for centres in first), key=lambda result: result[0])
        _, best = min(
            (_refined(part, centres, SETTLED) for _, centres in tried[:settled]), key=lambda result: result[0]
        )
        return cls(_refined(x, best, SETTLED)[1], np.zeros(k))

    def partial_fit(self, batch: Batch) -> None:
        """Learn from (n, channels) embeddings by the module's formula."""
        x = batch.astype(np.float64)
        nearest, distance = _nearest(x, self.centres)
        self.loss += float(distance.sum())
        self.learn(x, nearest)

    def assign(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest centre of (n, channels) embeddings, and the margin 1 - d1 / d2 to the second nearest, 0..1."""
        return assign(batch, self.centres)

    def fit(self, batches: Callable[[int], Iterable[Batch]], passes: int = 4, decay: float = 0.1) -> None:
        """Learn in several passes.

        Args:
            batches: gives the embeddings of a pass, batch by batch, shuffled anew for each.
            passes: over all batches.
            decay: what the counts are multiplied with before every pass.
        """
        for number in range(passes):
            self.counts *= decay
            chosen, far = np.zeros(len(self.centres)), _Farthest(len(self.centres))
            for batch in batches(number):
                x = batch.astype(np.float64)
                nearest, distance = _nearest(x, self.centres)
                chosen += np.bincount(nearest, minlength=len(chosen))
                far.feed(x, distance)
                self.loss += float(distance.sum())
                self.learn(x, nearest)
            if number + 1 < passes:
                self._revive(np.flatnonzero(chosen == 0), far.vectors)

    def learn(self, x: Vectors, nearest: NDArray[np.int64]) -> None:
        """Move the centres by the module's formula: (n, channels) vectors, and (n,) the centre of each."""
        mass = np.bincount(nearest, minlength=len(self.centres))
        got, total = mass > 0, self.counts + mass
        moved = self.counts[:, None] * self.centres + group_sums(x, nearest, len(self.centres))
        self.centres[got] = moved[got] / total[got, None]
        self.counts = total

    def _revive(self, dead: NDArray[np.int64], farthest: Vectors) -> None:
        """Centres that nothing chose go to the vectors that were farthest from any centre."""
        for centre, vector in zip(dead, farthest, strict=False):
            self.centres[centre], self.counts[centre] = vector, 0


class _Farthest:
    """The few vectors farthest from their centres in a pass."""

    def __init__(self, keep: int) -> None:
        """None yet, and never more than ``keep``."""
        self.keep = keep
        self.distances: Vectors = np.zeros(0)
        self.vectors: Vectors = np.zeros((0, 0))

    def feed(self, x: Vectors, distance: Vectors) -> None:
        """Keep the farthest of these (n, channels) vectors and those kept so far, the farthest first."""
        if len(self.distances):
            distance, x = np.concatenate([self.distances, distance]), np.concatenate([self.vectors, x])
        order = np.argsort(-distance, kind="stable")[: self.keep]
        self.distances, self.vectors = distance[order], x[order]


def assign(batch: Batch, centres: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) int64 nearest centres and (n,) float32 margins 1 - d1 / d2 (1 with a single centre)."""
    distance = _distances(batch.astype(np.float64), centres)
    nearest = distance.argmin(1)
    if len(centres) < 2:
        return nearest, np.ones(len(batch), np.float32)
    first, second = np.partition(distance, 1, axis=1)[:, :2].T
    # two centres on one spot leave no margin
    margin = 1 - np.sqrt(np.divide(first, second, out=np.ones(len(batch)), where=second > 0))
    return nearest, margin.astype(np.float32)


def _distances(x: Vectors, centres: Vectors) -> Vectors:
    """(n, k) squared Euclidean distances, from differences and without BLAS: no bit depends on how that cuts work."""
    return np.asarray(cdist(x, centres, "sqeuclidean"))


def _nearest(x: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """(n,) int64 nearest centres and (n,) squared distances to them."""
    distance = _distances(x, centres)
    nearest = distance.argmin(1)
    return nearest, distance[np.arange(len(x)), nearest]


def group_sums(x: Vectors, group: NDArray[np.int64], k: int) -> Vectors:
    """(k, channels) sums by group, in the order of the rows."""
    member = csr_array((np.ones(len(x)), group, np.arange(len(x) + 1)), shape=(len(x), k))
    return np.asarray(member.T @ x)


def _refined(x: Vectors, centres: Vectors, rounds: int) -> tuple[float, Vectors]:
    """Loss and centres after some rounds of Lloyd's algorithm; an empty centre stays where it is."""
    for _ in range(rounds):
        before, (nearest, _) = centres, _nearest(x, centres)
        mass = np.bincount(nearest, minlength=len(centres))[:, None]
        centres = np.where(mass > 0, group_sums(x, nearest, len(centres)) / np.maximum(mass, 1), centres)
        if np.array_equal(before, centres):
            break
    return float(_nearest(x, centres)[1].sum()), centres


def _plus_plus(x: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """Seeds by greedy k-means++: of a few vectors, the next seed is the one that leaves the least loss.

    They are drawn with a chance in proportion to their squared distance to the nearest seed.
    """
    chosen = [int(rng.integers(len(x)))]
    distance = _distances(x[chosen], x)[0]
    while len(chosen) < k:
        drawn = rng.choice(len(x), 2 + int(np.log(k)), p=distance / distance.sum())
        left = np.minimum(distance, _distances(x[drawn], x))
        best = int(left.sum(1).argmin())
        chosen.append(int(drawn[best]))
        distance = left[best]
    return x[chosen]
