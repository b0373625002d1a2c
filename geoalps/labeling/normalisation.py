"""Normalisation: what is done to embeddings before distances between them mean something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError

NORMALISATIONS = ("none", "l2", "zscore", "pca")


@dataclass(frozen=True, eq=False)
class Normalisation:
    """A linear map of embeddings fitted on a scene, then optionally unit length: y = (x - shift) @ basis.

    Columns that were appended to an embedding (:class:`~geoalps.models.with_shape.WithShape`) are no part of what
    becomes unit length.
    """

    kind: str
    """One of ``none``, ``l2``, ``zscore``, ``pca`` (whitened, then unit length)."""
    shift: NDArray[np.float64]
    """(channels,) subtracted first."""
    basis: NDArray[np.float64]
    """(channels, out) what the rest is multiplied with."""
    appended: int
    """The last columns, of what goes in and of what comes out, that are no part of the embedding proper."""
    mean: NDArray[np.float64]
    """(channels,) of the embeddings that it was fitted on."""
    deviation: NDArray[np.float64]
    """(channels,) of the same, standard deviations."""

    @classmethod
    def fit(
        cls,
        kind: str,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
        components: int = 32,
        appended: int = 0,
    ) -> Normalisation:
        """Fit on the mean (channels,) and covariance (channels, channels) of a scene's embeddings.

        Args:
            kind: one of NORMALISATIONS.
            mean: (channels,).
            covariance: (channels, channels).
            components: columns that ``pca`` keeps.
            appended: last columns that are z-scored whatever the kind, and together spread as far (in the sum of
                their variances) as all columns before them: few columns are not drowned by many, nor many by few.

        Raises:
            OptionError: unknown kind.
        """
        channels, deviation = len(mean), np.sqrt(np.maximum(np.diag(covariance), 0))
        if appended and channels:
            return cls._joined(kind, mean, covariance, components, appended)
        if kind in ("none", "l2") or not channels:
            return cls(kind, np.zeros(channels), np.eye(channels), 0, mean, deviation)
        if kind == "zscore":
            # a channel without spread says nothing; dividing by its rounding error would make it say a lot
            useful = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
            scale = np.where(useful, 1 / np.where(useful, deviation, 1), 0)
            return cls(kind, mean, np.diag(scale), 0, mean, deviation)
        if kind == "pca":
            value, vector = np.linalg.eigh(covariance)
            order = np.argsort(-value)[: min(components, channels)]
            order = order[value[order] > 1e-9 * max(value.max(), 1e-30)]
            sign = np.sign(vector[np.abs(vector[:, order]).argmax(0), order])
            return cls(kind, mean, vector[:, order] * (sign / np.sqrt(value[order])), 0, mean, deviation)
        raise OptionError(f"normalisation is {kind!r}; allowed are {', '.join(NORMALISATIONS)}")

    @classmethod
    def _joined(
        cls,
        kind: str,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
        components: int,
        appended: int,
    ) -> Normalisation:
        """Both groups of columns, each with its own map; see :meth:`fit`."""
        own = len(mean) - appended
        first = cls.fit(kind, mean[:own], covariance[:own, :own], components)
        last = cls.fit("zscore", mean[own:], covariance[own:, own:])
        spread, columns = first._spread(mean[:own], covariance[:own, :own]), np.count_nonzero(last.basis)
        weight = np.sqrt(spread / columns) if spread > 0 and columns else 1.0
        out = first.basis.shape[1]
        basis = np.zeros((len(mean), out + appended))
        basis[:own, :out], basis[own:, out:] = first.basis, last.basis * weight
        deviation = np.concatenate([first.deviation, last.deviation])
        return cls(kind, np.concatenate([first.shift, last.shift]), basis, appended, mean, deviation)

    def adapted(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> Normalisation:
        """The same map for embeddings of another scene: each column is first brought to the old mean and spread.

        Args:
            mean: (channels,) of the other scene's embeddings.
            covariance: (channels, channels) of the same.
        """
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        useful = (deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)) & (self.deviation > 0)
        ratio = np.where(useful, self.deviation / np.where(useful, deviation, 1), 1)
        shift = mean - (self.mean - self.shift) / ratio
        return Normalisation(self.kind, shift, self.basis * ratio[:, None], self.appended, mean, deviation)

    def _spread(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
        """Sum of the variances of all columns that come out, of the embeddings this was fitted on.

        After ``l2`` it is that of vectors of one length, which those of an encoder nearly are.
        """
        if self.kind == "pca":
            return 1.0
        if self.kind == "l2":
            inner = float(np.trace(covariance))
            return inner / max(inner + float(mean @ mean), 1e-30)
        return float(np.einsum("co,cd,do->", self.basis, covariance, self.basis, optimize=False))

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, out) float32 of (n, channels) embeddings."""
        values = embeddings.astype(np.float64) - self.shift
        if self.kind == "pca":
            # einsum without BLAS: no bit depends on the number of its threads
            values = np.einsum("nc,co->no", values, self.basis)
        else:
            values *= np.diag(self.basis)
        if self.kind in ("l2", "pca"):
            own = values[:, : values.shape[1] - self.appended]
            own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
        return np.asarray(values, np.float32)
