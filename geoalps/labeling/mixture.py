"""How many kinds of objects there are: a Dirichlet process mixture that splits and merges its clusters.

:class:`DPMixture` begins with one cluster, and once more with far too many. It proposes to cut each in two by 2-means,
and neighbours to be joined, and does what raises the posterior, by the Hastings ratios of :mod:`geoalps.models.niw`,
until nothing does; the more probable of both ends stands.

Embeddings of objects are not Gaussian, and a mixture takes what it cannot explain for more clusters.
:func:`count_components` therefore does three things first; each was chosen on made scenes of 5 to 22 classes other than
those that the results are reported on, where the number of clusters was to be that of the classes.

- **Principal axes.** At most 16: a covariance in hundreds of dimensions cannot be told from some hundred objects.
- **The dense core.** An object whose fifth neighbour is more than 1.5 times as far as for the densest quarter of all
  objects is left out. Slivers along borders and objects of two things lie between the kinds, far from one another, and
  would be clusters of their own: of five classes the mixture of all objects makes eight to twelve. They may be half of
  all objects, so a median would be theirs. What is lost is a class whose objects differ from one another much more
  than those of other classes.
- **The prior's covariance from neighbours.** Half the mean outer product of the differences between each object and
  its three nearest ones is the scatter among like objects, in units that differ from column to column. Widened to what
  100 neighbours would span, were they as dense (by 1.5 in 16 dimensions, by 33 in two), and worth as many objects, it
  is the prior: clusters are alike in shape unless many objects say otherwise. A prior that is worth few objects lets a
  cluster be broad and swallow two small classes; one that is worth 1000 breaks every cluster that is not Gaussian into
  many. Of embeddings with one or two axes the widening makes too much, and too few clusters are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from geoalps.errors import OptionError
from geoalps.labeling.kmeans import OnlineKMeans, assign
from geoalps.models.niw import NIW, Float, Int, Moments, log_density

AXES = 16
"""Principal axes that are kept."""
NEIGHBOUR, SPARSE = 5, 1.5
"""An object is left out when its neighbour of this number is farther than so many times the first quartile."""
NEAREST, WORTH = 3, 100.0
"""Neighbours that tell the scatter among like objects, and objects that the prior is worth."""
RUNS = 3
"""Fits with different random numbers; their median is the number to go by."""
SHARE = 0.01
"""Of the objects that a cluster has to have to count: what is left of the slivers is smaller."""
CANDIDATES = 8
"""Nearest clusters that each may be joined with."""
CROWD = 64
"""Clusters of the second start."""
STARTS, ROUNDS = 4, 15
"""Of 2-means."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """What a mixture found."""

    group: Int
    """(n,) int64: the cluster of every point, 0..k-1."""
    moments: Moments
    """Of the k clusters."""

    def __len__(self) -> int:
        """Clusters."""
        return len(self.moments.count)

    @classmethod
    def of(cls, x: Float, group: NDArray[Any]) -> Clusters:
        """Clusters by (n,) labels of any numbers, renumbered without gaps."""
        found, dense = np.unique(group, return_inverse=True)
        return cls(dense.astype(np.int64), Moments.of(x, dense, len(found)))


@dataclass(frozen=True, eq=False)
class DPMixture:
    """A Dirichlet process mixture of Gaussians with hard assignments."""

    prior: NIW
    """Over every cluster's mean and covariance."""
    alpha: float = 10.0
    """Concentration: larger makes more clusters, slowly."""
    smallest: int = 5
    """A split with a child of so few points is refused."""
    most_rounds: int = 100
    """Of proposals for all clusters."""
    stochastic: bool = False
    """Accept with probability H what lowers the posterior too, as samplers do; then only ``most_rounds`` ends it."""

    def fit(self, x: Float, seed: int = 0) -> Clusters:
        """Clusters of points; the same for the same points in the same order and the same seed.

        Args:
            x: (n, d) float64.
            seed: of the proposals.

        Raises:
            OptionError: no points, values that are not finite, or not of the prior's dimension.
        """
        if x.ndim != 2 or not len(x) or x.shape[1] != len(self.prior.mean) or not np.isfinite(x).all():
            raise OptionError(
                f"the mixture got values of shape {x.shape}; it takes at least one row of {len(self.prior.mean)} "
                "finite numbers"
            )
        rng = np.random.default_rng(seed)
        # the last bits of BLAS depend on its threads, and what is accepted may depend on them
        with threadpool_limits(1):
            # halving what is many alike, such as evenly spaced kinds along one axis, helps nobody and is refused: so
            # there is a second start, from far too many
            found = [self._moved(x, start, rng) for start in (np.zeros(len(x), np.int64), self._crowd(x, seed))]
        return max(found, key=self.score)

    def _crowd(self, x: Float, seed: int) -> Int:
        """(n,) clusters of k-means, far more than are likely, but none of too few points."""
        k = min(CROWD, len(x) // (4 * self.smallest), len(np.unique(x, axis=0)))
        if k < 2:
            return np.zeros(len(x), np.int64)
        wide = x.astype(np.float32)
        k = min(k, len(np.unique(wide, axis=0)))  # what differs as float64 may not as float32
        return assign(wide, OnlineKMeans.seeded(wide, k, seed, starts=2, settled=1).centres)[0]

    def _moved(self, x: Float, start: Int, rng: np.random.Generator) -> Clusters:
        """Clusters after splits and merges, from a start, until nothing more is accepted."""
        clusters = Clusters.of(x, np.unique(start, return_inverse=True)[1])
        for _ in range(self.most_rounds):
            clusters, merged = self._merge(x, clusters, rng)
            clusters, split = self._split(x, clusters, rng)
            clusters = self._reassign(x, clusters)
            if not split and not merged:
                break
        return self._merge(x, clusters, rng)[0]

    def score(self, clusters: Clusters) -> float:
        """Log posterior of a partition, up to a constant."""
        return float(self.prior.log_score(clusters.moments, self.alpha).sum())

    def _accepts(self, ratio: float, rng: np.random.Generator) -> bool:
        """Whether a proposal with this log Hastings ratio is done."""
        return ratio > 0 or (self.stochastic and np.log(rng.random()) < ratio)

    def _split(self, x: Float, clusters: Clusters, rng: np.random.Generator) -> tuple[Clusters, bool]:
        """Every cluster in two where that is accepted; whether any was."""
        group, count = clusters.group.copy(), len(clusters)
        for number in range(len(clusters)):
            rows = np.flatnonzero(clusters.group == number)
            ratio, child = max(self._children(x[rows], rng), key=lambda found: found[0], default=(-np.inf, rows))
            if self._accepts(ratio, rng):
                group[rows[child == 1]] = count
                count += 1
        return (Clusters.of(x, group), True) if count > len(clusters) else (clusters, False)

    def _children(self, x: Float, rng: np.random.Generator) -> Iterator[tuple[float, Int]]:
        """(log Hastings ratio, (n,) 0 or 1) of proposals that leave both children large enough.

        2-means cuts across the longest axis, which in a long cluster is not where two kinds meet; so it is asked a
        second time in the units of the cluster's own scatter. Both are refined as a mixture of two Gaussians.
        """
        if len(x) <= 2 * self.smallest:
            return
        whole = self.prior.expected(Moments.of(x, np.zeros(len(x), np.int64), 1))[1][0]
        own = np.asarray(np.linalg.solve(np.linalg.cholesky(whole), x.T).T, np.float64)
        for y in (x, own):
            child = self._refined(x, two_means(y, rng))
            moments = Moments.of(x, child, 2)
            if moments.count.min() > self.smallest:
                one, other = moments.take(np.array([0])), moments.take(np.array([1]))
                yield float(self.prior.log_split(one, other, self.alpha)[0]), child

    def _refined(self, x: Float, child: Int, rounds: int = 10) -> Int:
        """(n,) 0 or 1: points go to the child that explains them better, some times over."""
        for _ in range(rounds):
            moments = Moments.of(x, child, 2)
            if moments.count.min() <= self.smallest:
                break
            before, child = child, self._best(x, moments)
            if np.array_equal(before, child):
                break
        return child

    def _best(self, x: Float, moments: Moments) -> Int:
        """(n,) the cluster that explains each point best."""
        density = log_density(x, *self.prior.expected(moments))
        return np.asarray((density + np.log(moments.count)).argmax(1))

    def _reassign(self, x: Float, clusters: Clusters, rounds: int = 3) -> Clusters:
        """Points go to the cluster that explains them best, while that raises the posterior."""
        for _ in range(rounds):
            moved = Clusters.of(x, self._best(x, clusters.moments))
            if self.score(moved) <= self.score(clusters):
                break
            clusters = moved
        return clusters

    def _merge(self, x: Float, clusters: Clusters, rng: np.random.Generator) -> tuple[Clusters, bool]:
        """Neighbouring clusters joined, the best pair first, while that is accepted; whether any was."""
        before = len(clusters)
        while len(clusters) > 1:
            one, other = _neighbours(clusters.moments.mean).T
            ratio = -self.prior.log_split(clusters.moments.take(one), clusters.moments.take(other), self.alpha)
            best = int(ratio.argmax())
            if not self._accepts(float(ratio[best]), rng):
                break
            clusters = Clusters.of(x, np.where(clusters.group == other[best], one[best], clusters.group))
        return clusters, len(clusters) < before


def _neighbours(mean: Float) -> Int:
    """(pairs, 2) of clusters one of which is among the nearest CANDIDATES of the other, each pair once."""
    order = np.argsort(cdist(mean, mean), axis=1, kind="stable")[:, : CANDIDATES + 1]
    pairs = np.stack([np.repeat(np.arange(len(mean)), order.shape[1]), order.ravel()], 1)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def two_means(x: Float, rng: np.random.Generator) -> Int:
    """(n,) 0 or 1: the best of STARTS starts of 2-means; all 0 when the points are all alike."""
    best, least = np.zeros(len(x), np.int64), np.inf
    for _ in range(STARTS):
        centres = x[rng.integers(len(x), size=1)]
        distance = cdist(x, centres, "sqeuclidean")[:, 0]
        if not distance.any():
            continue
        centres = np.stack([centres[0], x[rng.choice(len(x), p=distance / distance.sum())]])
        for _ in range(ROUNDS):
            distances = cdist(x, centres, "sqeuclidean")
            group = distances.argmin(1)
            before, centres = centres, np.stack([x[group == 0].mean(0), x[group == 1].mean(0)])
            if np.array_equal(before, centres):
                break
        loss = float(distances.min(1).sum())
        if loss < least:
            best, least = group, loss
    return best


def fitted(x: Float, prior: NIW, seed: int) -> Moments:
    """Clusters that a :class:`DPMixture` with default options finds."""
    return DPMixture(prior).fit(x, seed).moments


def count_components(
    values: NDArray[np.floating[Any]],
    seed: int = 0,
    *,
    fit: Callable[[Float, NIW, int], Moments] = fitted,
    runs: int = RUNS,
) -> tuple[int, ...]:
    """How many clusters a DP mixture sees in embeddings; see the module's docstring for what is done first.

    Args:
        values: (n, channels) normalised embeddings, n >= 1, in any order.
        seed: of the random numbers.
        fit: (n, d) points, a prior and a seed to the moments of clusters: another form of the mixture.
        runs: fits with different random numbers.

    Returns:
        The number that each run found, ascending. Clusters below SHARE of the objects do not count.

    Raises:
        OptionError: no rows, or values that are not finite.
    """
    x = dense_core(principal(values))
    with threadpool_limits(1):
        prior = neighbour_prior(x)
    found = (fit(x, prior, seed * runs + run).count for run in range(runs))
    return tuple(sorted(int((count >= SHARE * len(x)).sum()) for count in found))


def principal(values: NDArray[np.floating[Any]], axes: int = AXES) -> Float:
    """(n, at most ``axes``) float64 scores on the principal axes that have any spread; at least one axis.

    Rows are sorted first, so that nothing later depends on their order.

    Raises:
        OptionError: no rows, or values that are not finite.
    """
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise OptionError(f"got embeddings of shape {values.shape}; at least one row of finite numbers is needed")
    x = values.astype(np.float64)[np.lexsort(values.T)]
    x -= x.mean(0)
    with threadpool_limits(1):
        spread, vector = np.linalg.eigh(x.T @ x / len(x))
        order = np.argsort(-spread)[:axes]
        kept = order[spread[order] > 1e-6 * spread.max()] if spread.max() > 0 else order[:1]
        return np.asarray(x @ vector[:, kept])


def dense_core(x: Float) -> Float:
    """(m, d) of (n, d) points: those whose neighbours are not much farther than is usual; all of a few points."""
    if len(x) <= 2 * NEIGHBOUR:
        return x
    distance = cKDTree(x).query(x, NEIGHBOUR + 1)[0][:, -1]
    # equal points are at no distance, and would set a scale at which all others are alone
    apart = distance[distance > 0]
    return np.asarray(x[distance <= SPARSE * np.quantile(apart, 0.25)]) if len(apart) else x


def neighbour_prior(x: Float) -> NIW:
    """A prior whose covariance is the scatter among neighbours of (n, d) points; see the module's docstring."""
    d = x.shape[1]
    within = np.zeros((d, d))
    if len(x) > NEAREST:
        near = cKDTree(x).query(x, NEAREST + 1)[1][:, 1:]
        apart = (x[:, None] - x[near]).reshape(-1, d)
        within = apart.T @ apart / (2 * len(apart))
    # where neighbours are equal there is still a least scale, a thousandth of all spread
    within += np.eye(d) * max(1e-3 * float(x.var(0).mean()), 1e-12)
    # a ball of one density that holds m points has a squared radius in proportion to m ** (2 / d)
    wider = (WORTH / NEAREST) ** (2 / d)
    return NIW(1e-4, d + 1 + WORTH, wider * WORTH * within, x.mean(0))
