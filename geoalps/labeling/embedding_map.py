"""A map of embeddings in two dimensions, for a few hundred of them: t-SNE (van der Maaten and Hinton 2008) or PCA."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Points = NDArray[np.float64]
FEW = 24
"""Points below which PCA says what there is to say."""
COMPONENTS = 30
"""Principal components that t-SNE looks at."""
PERPLEXITY, STEPS = 25, 500
"""Neighbours, about, that a point minds; and after which little moves any more."""


def projected(x: NDArray[np.float32]) -> tuple[Points, str]:
    """(n, 2) places in 0..1 of (n, channels) embeddings, one scale for both axes; and by what method.

    Few points, or points without spread, stay where the principal components put them.
    """
    from sklearn.manifold import TSNE

    with threadpool_limits(1):  # sums of several threads differ in the last digit, and t-SNE makes much of it
        components = principal(x.astype(np.float64))
        if len(x) < FEW or not components[:, 0].std() > 0:
            return _framed(components[:, :2]), "PCA"
        near = min(PERPLEXITY, (len(x) - 1) // 3)  # it must stay well below the number of points
        places = TSNE(perplexity=near, max_iter=STEPS, init="pca", random_state=0).fit_transform(components)
        return _framed(places.astype(np.float64)), "t-SNE"


def principal(x: Points) -> Points:
    """(n, 2 to COMPONENTS) principal components of (n, channels), their signs fixed; zeros where there are too few."""
    from sklearn.decomposition import PCA

    if len(x) < 2:
        return np.zeros((len(x), 2))
    found = PCA(min(*x.shape, COMPONENTS), svd_solver="full").fit_transform(x)
    return np.pad(found, ((0, 0), (0, max(0, 2 - found.shape[1]))))


def _framed(xy: Points) -> Points:
    """Moved and scaled into 0..1, its middle in the middle."""
    low, high = xy.min(0), xy.max(0)
    span = float((high - low).max())
    return np.asarray((xy - (low + high) / 2) / (span if span > 0 else 1) + 0.5)
