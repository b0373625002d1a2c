r"""The normal-inverse-Wishart prior: how well a Gaussian that nobody fitted explains a cluster.

With the mean and the covariance of a cluster integrated out, what is left is the log marginal likelihood

.. math:: \log L = -\tfrac{ND}{2}\log\pi + \log\Gamma_D(\tfrac{\nu_N}{2}) - \log\Gamma_D(\tfrac{\nu}{2})
    + \tfrac{\nu}{2}\log|\Psi| - \tfrac{\nu_N}{2}\log|\Psi_N| + \tfrac{D}{2}\log\tfrac{\kappa}{\kappa_N}

of N points in D dimensions, with :math:`\kappa_N = \kappa + N`, :math:`\nu_N = \nu + N` and
:math:`\Psi_N = \Psi + S + \frac{\kappa N}{\kappa_N} (\bar x - m)(\bar x - m)^T`. Whether one cluster should be two is
then a ratio of marginals, as in DeepDPM (Ronen, Finder and Freifeld 2022). Both the mixture and its network form ask
here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Gaussian needs to know of k clusters."""

    count: Float
    """(k,) float64: points, or the sum of their responsibilities."""
    mean: Float
    """(k, d) float64."""
    scatter: Float
    """(k, d, d) float64: sum of (x - mean)(x - mean)^T."""

    @classmethod
    def of(cls, x: Float, group: Int, k: int) -> Moments:
        """Of (n, d) points whose clusters are 0..k-1; a cluster without a point is all zeros."""
        count = np.bincount(group, minlength=k).astype(np.float64)
        order, ends = np.argsort(group, kind="stable"), np.cumsum(count).astype(int)
        mean, scatter = np.zeros((k, x.shape[1])), np.zeros((k, x.shape[1], x.shape[1]))
        for number in np.flatnonzero(count):
            mine = x[order[ends[number] - int(count[number]) : ends[number]]]
            mean[number] = mine.mean(0)
            mine = mine - mean[number]
            scatter[number] = mine.T @ mine
        return cls(count, mean, scatter)

    def take(self, which: Int) -> Moments:
        """Some of the clusters, in this order."""
        return Moments(self.count[which], self.mean[which], self.scatter[which])

    def joined(self, other: Moments) -> Moments:
        """Each cluster as one with its partner in ``other``; one of the two must have a point."""
        count = self.count + other.count
        mean = (self.count[:, None] * self.mean + other.count[:, None] * other.mean) / count[:, None]
        apart = self.mean - other.mean
        weight = self.count * other.count / count
        return Moments(count, mean, self.scatter + other.scatter + weight[:, None, None] * _outer(apart))


@dataclass(frozen=True, eq=False)
class NIW:
    """A normal-inverse-Wishart prior over the mean and covariance of a cluster in d dimensions."""

    kappa: float
    """Points that the prior mean is worth."""
    nu: float
    """Degrees of freedom, over d - 1; what is over d + 1 is the points that the prior covariance is worth."""
    psi: Float
    """(d, d) float64, positive definite: the prior's scatter."""
    mean: Float
    """(d,) float64: the prior mean."""

    def log_marginal(self, moments: Moments) -> Float:
        """(k,) float64: the module's log L of each cluster."""
        n, d = moments.count, len(self.mean)
        nu = self.nu + n
        return np.asarray(
            -n * d / 2 * np.log(np.pi)
            + _log_gamma(nu / 2, d)
            - _log_gamma(np.array([self.nu / 2]), d)
            + self.nu / 2 * np.linalg.slogdet(self.psi)[1]
            - nu / 2 * np.linalg.slogdet(self._scatter(moments))[1]
            + d / 2 * (np.log(self.kappa) - np.log(self.kappa + n))
        )

    def log_score(self, moments: Moments, alpha: float) -> Float:
        """(k,) float64: log alpha + log Gamma(N) + log L, what each cluster adds to the partition's log posterior."""
        return np.asarray(np.log(alpha) + gammaln(moments.count) + self.log_marginal(moments))

    def log_split(self, one: Moments, other: Moments, alpha: float) -> Float:
        """(k,) float64 log Hastings ratios of splitting clusters in two; their negatives are those of merging.

        log H = log alpha + log Gamma(N1) + log L1 + log Gamma(N2) + log L2 - log Gamma(N) - log L

        Args:
            one: of the first child of every cluster, with at least one point.
            other: of the second.
            alpha: concentration of the Dirichlet process.
        """
        both = one.joined(other)
        return self.log_score(one, alpha) + self.log_score(other, alpha) - self.log_score(both, alpha)

    def expected(self, moments: Moments) -> tuple[Float, Float]:
        """(k, d) means and (k, d, d) covariances, the posterior's modes, of clusters with these moments."""
        weight = moments.count[:, None]
        mean = (self.kappa * self.mean + weight * moments.mean) / (self.kappa + weight)
        freedom = self.nu + moments.count + len(self.mean) + 2
        return mean, self._scatter(moments) / freedom[:, None, None]

    def _scatter(self, moments: Moments) -> Float:
        """(k, d, d): the module's Psi_N."""
        weight = self.kappa * moments.count / (self.kappa + moments.count)
        return np.asarray(self.psi + moments.scatter + weight[:, None, None] * _outer(moments.mean - self.mean))


def log_density(x: Float, mean: Float, covariance: Float) -> Float:
    """(n, k) float64 log densities, without the constant d/2 log 2 pi, of (n, d) points under k Gaussians.

    Args:
        x: (n, d).
        mean: (k, d).
        covariance: (k, d, d), positive definite.
    """
    out = np.empty((len(x), len(mean)))
    for number, (centre, root) in enumerate(zip(mean, np.linalg.cholesky(covariance), strict=True)):
        # the root is small, and its inverse times all points is one product
        inverse = np.linalg.inv(root)
        y = (x - centre) @ inverse.T
        out[:, number] = np.log(np.diag(inverse)).sum() - 0.5 * np.einsum("nd,nd->n", y, y)
    return out


def _outer(vectors: Float) -> Float:
    """(k, d, d) outer products of (k, d) vectors with themselves."""
    return np.asarray(vectors[:, :, None] * vectors[:, None, :])


def _log_gamma(a: Float, d: int) -> Float:
    """(k,) logarithms of the multivariate gamma function of dimension d."""
    return np.asarray(d * (d - 1) / 4 * np.log(np.pi) + gammaln(a[:, None] - np.arange(d) / 2).sum(1))
