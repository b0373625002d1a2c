r"""OnlineKMeans: k-means in mini-batches that never holds all embeddings.

A batch is assigned with the centres as they stand, then every centre moves to the running mean of all it was given:

.. math:: c \leftarrow \frac{n c + \sum w x}{n + \sum w}, \qquad n \leftarrow n + \sum w

Several passes over batches that are shuffled across tiles; at the start of each pass the counts decay, so that the
centres can leave what the first, poor assignment gave them. Seeds are k-means++ on a sample across all tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError

Vectors = NDArray[np.float64]


@dataclass(eq=False)
class OnlineKMeans:
    """k centres that learn batch by batch. Mutable: it is the learner; a class model is what it has learnt."""

    centres: Vectors
    """(k, channels) float64."""
    counts: Vectors
    """(k,) float64: weight behind every centre."""
    loss: float = field(default=0.0)
    """Sum over all batches of weight x squared distance at the time: the online loss."""

    @classmethod
    def seeded(
        cls, sample: Vectors, weights: Vectors, k: int, seed: int, starts: int = 8, rounds: int = 12
    ) -> OnlineKMeans:
        """Centres from a sample: the best of several k-means++ starts after a few rounds of Lloyd's algorithm.

        Args:
            sample: (n, channels) float64.
            weights: (n,) float64, positive.
            k: centres wanted.
            seed: of the random numbers.
            starts: k-means++ starts to choose from.
            rounds: of Lloyd's algorithm for each.

        Raises:
            OptionError: fewer distinct vectors in the sample than centres wanted.
        """
        distinct = len(np.unique(sample, axis=0))
        if distinct < k:
            raise OptionError(
                f"{k} classes were asked for, but there are only {distinct} distinct objects; "
                f"use -k {max(distinct, 1)} or fewer"
            )
        best: tuple[float, Vectors] | None = None
        for start in range(starts):
            centres = _plus_plus(sample, weights, k, np.random.default_rng([seed, start]))
            for _ in range(rounds):
                centres = _lloyd(sample, weights, centres)
            loss = float((weights * _nearest(sample, centres)[1]).sum())
            if best is None or loss < best[0]:
                best = (loss, centres)
        assert best is not None  # noqa: S101 - starts is at least one
        return cls(best[1], np.zeros(k))

    def partial_fit(self, batch: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Learn from (n, channels) embeddings with (n,) weights, in the order of the module's formula."""
        x, w = batch.astype(np.float64), weights.astype(np.float64)
        nearest, distance = _nearest(x, self.centres)
        self.loss += float((w * distance).sum())
        mass = np.bincount(nearest, w, len(self.centres))
        got = mass > 0
        moved = _sums(x, w, nearest, len(self.centres))
        total = self.counts + mass
        self.centres[got] = (self.counts[got, None] * self.centres[got] + moved[got]) / total[got, None]
        self.counts = total

    def assign(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest centre of (n, channels) embeddings, and the margin 1 - d1 / d2 to the second nearest, 0..1."""
        return assign(batch, self.centres)

    def fit(
        self,
        batches: Callable[[int], Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]],
        passes: int = 4,
        decay: float = 0.1,
    ) -> None:
        """Learn in several passes.

        Args:
            batches: gives the (embeddings, weights) batches of a pass, shuffled anew for each.
            passes: over all batches.
            decay: what the counts are multiplied with before every pass.
        """
        for number in range(passes):
            self.counts *= decay
            seen, far = np.zeros(len(self.centres)), _Farthest(len(self.centres))
            for batch, weights in batches(number):
                nearest, distance = _nearest(batch.astype(np.float64), self.centres)
                seen += np.bincount(nearest, weights, len(seen))
                far.feed(batch, distance)
                self.partial_fit(batch, weights)
            dead = np.flatnonzero(seen == 0)
            if len(dead) and number + 1 < passes:
                self._revive(dead, far)

    def _revive(self, dead: NDArray[np.int64], far: _Farthest) -> None:
        """Centres that nothing chose go to the vectors that were farthest from any centre."""
        for centre, vector in zip(dead, far.vectors, strict=False):
            self.centres[centre], self.counts[centre] = vector, 0


class _Farthest:
    """The few vectors farthest from their centres in a pass."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.distances: Vectors = np.zeros(0)
        self.vectors: Vectors = np.zeros((0, 0))

    def feed(self, batch: NDArray[np.float32], distance: Vectors) -> None:
        vectors = batch.astype(np.float64)
        if len(self.distances):
            distance, vectors = np.concatenate([self.distances, distance]), np.concatenate([self.vectors, vectors])
        order = np.argsort(-distance, kind="stable")[: self.keep]
        self.distances, self.vectors = distance[order], vectors[order]


def assign(batch: NDArray[np.float32], centres: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) int64 nearest centres and (n,) float32 margins 1 - d1 / d2 (1 with a single centre)."""
    distance = _distances(batch.astype(np.float64), centres)
    nearest = distance.argmin(1)
    if len(centres) < 2:
        return nearest, np.ones(len(batch), np.float32)
    first, second = np.partition(distance, 1, axis=1)[:, :2].T
    margin = 1 - np.sqrt(first / np.maximum(second, np.finfo(float).tiny))
    return nearest, margin.astype(np.float32)


def _distances(x: Vectors, centres: Vectors) -> Vectors:
    """(n, k) squared Euclidean distances; one centre at a time, so that no bit depends on how BLAS cuts the work."""
    return np.stack([((x - centre) ** 2).sum(1) for centre in centres], 1)


def _nearest(x: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    distance = _distances(x, centres)
    nearest = distance.argmin(1)
    return nearest, distance[np.arange(len(x)), nearest]


def _sums(x: Vectors, weights: Vectors, group: NDArray[np.int64], k: int) -> Vectors:
    """(k, channels) weighted sums by group."""
    return np.stack([np.bincount(group, weights * channel, k) for channel in x.T], 1)


def _lloyd(x: Vectors, weights: Vectors, centres: Vectors) -> Vectors:
    """One round of Lloyd's algorithm; an empty centre stays where it is."""
    nearest, _ = _nearest(x, centres)
    mass = np.bincount(nearest, weights, len(centres))
    moved = _sums(x, weights, nearest, len(centres)) / np.maximum(mass, np.finfo(float).tiny)[:, None]
    return np.where(mass[:, None] > 0, moved, centres)


def _plus_plus(x: Vectors, weights: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """k-means++: each seed drawn with a chance in proportion to weight x squared distance to the nearest seed."""
    chosen = [int(rng.choice(len(x), p=weights / weights.sum()))]
    distance = ((x - x[chosen[0]]) ** 2).sum(1)
    while len(chosen) < k:
        mass = weights * distance
        chosen.append(int(rng.choice(len(x), p=mass / mass.sum())))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(1))
    return x[chosen].copy()
