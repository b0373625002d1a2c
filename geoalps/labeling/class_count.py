"""How many classes to ask for: what a mixture counts, beside two curves that a person can judge.

The recommendation is the mixture's (:mod:`geoalps.labeling.mixture`). The curves come from k-means, which is what makes
the classes, for every number of classes: the *silhouette*, how much nearer objects are to their own class than to the
next, and the *stability*, how far two clusterings of two halves of the sample agree on the whole of it (adjusted Rand
index). A peak of either says that k classes fit; a curve that only falls says that there is no natural number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from geoalps.errors import OptionError
from geoalps.io.store import appearing
from geoalps.labeling.kmeans import assign
from geoalps.labeling.mixture import count_components
from geoalps.labeling.objects import Embeddings

Counter = Callable[[Embeddings, int], Sequence[int]]
"""Counts kinds of objects: (n, channels) embeddings and a seed to the number that each of some runs found."""

CURVES, SILHOUETTE = 4000, 2000
"""Objects that the curves are drawn from, and of these those of the silhouette, whose time is their square."""
FINE = 20
"""Up to here every number of classes is tried, then every fourth."""
SPLITS = 2
"""Halvings of the sample that the stability is the mean of."""
SMALL = 0.1
"""Objects below this share of the usual area, see :func:`telling`, are not counted."""
FEW = 5
"""Classes below which a map says little: the user is told what else to do."""
PICTURES = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class Row:
    """What k-means with one number of classes is like."""

    k: int
    """Classes."""
    silhouette: float
    """-1..1, larger is better."""
    stability: float
    """Adjusted Rand index, 1 is the same clustering of both halves, 0 what chance gives."""
    spread: float
    """Share 0..1 of the variance that is left within the classes; it falls with k."""


@dataclass(frozen=True)
class Suggestion:
    """A number of classes, and why."""

    k: int
    """The recommendation."""
    reason: str
    """One sentence."""
    objects: int
    """In the sample."""
    counts: tuple[int, ...]
    """What each run of the mixture found, ascending."""
    rows: tuple[Row, ...]
    """By k; the recommendation is among them."""

    def table(self) -> list[str]:
        """Lines of text: a heading, one line for each number of classes, the recommended one marked."""
        lines = [
            f"{row.k:>7}  {row.silhouette:>10.3f}  {row.stability:>9.3f}  {row.spread:>6.3f}"
            + ("  <- recommended" if row.k == self.k else "")
            for row in self.rows
        ]
        return [f"{'classes':>7}  {'silhouette':>10}  {'stability':>9}  {'spread':>6}", *lines]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {**asdict(self), "counts": list(self.counts), "rows": [asdict(row) for row in self.rows]}

    def plot(self, path: Path) -> None:
        """Draw the curves and the recommendation.

        Args:
            path: of the picture to be, by its ending a PNG, PDF or SVG.

        Raises:
            OptionError: another ending, or a directory that is not there.
        """
        writable(path)
        figure = self._figure()
        with appearing(path) as part:
            # the part's name has another ending, so the format is told
            figure.savefig(part, dpi=120, format=path.suffix[1:].lower())

    def _figure(self) -> Any:
        """Both curves, what the mixture's runs found as a band, the recommendation as a line."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        k = [row.k for row in self.rows]
        axes.axvspan(self.counts[0] - 0.3, self.counts[-1] + 0.3, color="0.9", label="runs of the mixture")
        axes.axvline(self.k, color="0.3", linestyle="--", label=f"recommended: {self.k}")
        axes.plot(k, [row.stability for row in self.rows], color="#185bd2", marker="o", markersize=4, label="stability")
        axes.plot(
            k, [row.silhouette for row in self.rows], color="#d08a18", marker="s", markersize=4, label="silhouette"
        )
        axes.set(xlabel="classes", ylabel="stability (ARI), silhouette", title=f"{self.objects} objects")
        axes.set_ylim(min(0.0, *(row.silhouette for row in self.rows)), 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
        return figure


def writable(path: Path) -> None:
    """Refuse a path that no plot can be written to.

    Raises:
        OptionError: another ending than PICTURES, or a directory that is not there.
    """
    if path.suffix.lower() not in PICTURES:
        raise OptionError(f"{path} ends in {path.suffix or 'nothing'}; a plot ends in {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise OptionError(f"there is no directory {path.parent}; make it, or plot to another")


def suggest(
    sample: Embeddings,
    *,
    smallest: int = 2,
    largest: int = 40,
    seed: int = 0,
    mixture: Counter = count_components,
    areas: NDArray[Any] | None = None,
) -> Suggestion:
    """Recommend a number of classes for objects like those of a sample.

    Args:
        sample: (n, channels) float32 normalised embeddings, in any order.
        smallest: number of classes to recommend.
        largest: likewise; more than half of the objects that differ are never recommended.
        seed: of the random numbers.
        mixture: counts the kinds of objects.
        areas: (n,) of the objects, in any unit. With them the mixture does not count small ones, see :func:`telling`.

    Raises:
        OptionError: areas that do not fit, bounds that exclude every number, values that are not finite, or fewer than
            twice ``smallest`` objects that differ.
    """
    if not 2 <= smallest <= largest:
        raise OptionError(f"classes between {smallest} and {largest} were asked for; want 2 <= smallest <= largest")
    if sample.ndim != 2 or not np.isfinite(sample).all():
        raise OptionError(f"got embeddings of shape {sample.shape}; rows of finite numbers are needed")
    if areas is not None and areas.shape != sample.shape[:1]:
        raise OptionError(f"got {areas.shape} areas of {len(sample)} objects; each object has one")
    distinct = len(np.unique(sample, axis=0))
    if distinct < 2 * smallest:
        raise OptionError(
            f"no more than {distinct} objects differ; at least {2 * smallest} are needed to suggest a number of "
            "classes: give more scenes, or a number of your own with --classes"
        )
    largest = min(largest, distinct // 2)
    counts = tuple(sorted(mixture(sample if areas is None else sample[telling(areas)], seed)))
    found = counts[len(counts) // 2]
    k = min(max(found, smallest), largest)
    rows = tuple(_curves(sample, sorted({*_numbers(smallest, largest), k}), seed))
    return Suggestion(k, _reason(k, counts, rows), len(sample), counts, rows)


def telling(areas: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) bool: objects large enough to tell what kinds there are, by their (n,) areas.

    Half of all that is covered is covered by objects as large as the one that sets the scale; what is below SMALL of it
    is mostly slivers along borders. They can be two thirds of the objects, on a twentieth of the map.
    """
    order = np.argsort(areas)
    covered = np.cumsum(areas[order])
    return np.asarray(areas >= SMALL * areas[order][np.searchsorted(covered, covered[-1] / 2)])


def _numbers(smallest: int, largest: int) -> Iterator[int]:
    """Numbers of classes to try."""
    yield from range(smallest, min(FINE, largest) + 1)
    yield from range(max(FINE + 4, smallest), largest + 1, 4)


def _curves(sample: Embeddings, numbers: Sequence[int], seed: int) -> Iterator[Row]:
    """One row for each number of classes, from at most CURVES of the (n, channels) embeddings."""
    from sklearn.metrics import pairwise_distances, silhouette_score

    rng = np.random.default_rng(seed)
    # sorted, so that nothing depends on the order in which tiles gave the sample
    x = rng.permutation(sample[np.lexsort(sample.T)])[:CURVES]
    some = x[:SILHOUETTE]
    distances = pairwise_distances(some.astype(np.float64))
    halves = [np.array_split(rng.permutation(len(x)), 2) for _ in range(SPLITS)]
    variance = float(x.astype(np.float64).var(0).sum()) or 1.0
    for k in numbers:
        centres = _k_means(x, k, seed)
        group = assign(x, centres)[0]
        left = float(((x - centres[group]) ** 2).sum(1).mean()) / variance
        labels = group[: len(some)]
        told = 2 <= len(np.unique(labels)) < len(some)
        silhouette = float(silhouette_score(distances, labels, metric="precomputed")) if told else 0.0
        yield Row(k, silhouette, _stability(x, halves, k, seed), left)


def _k_means(x: Embeddings, k: int, seed: int) -> NDArray[np.float64]:
    """(k, channels) centres; fewer when fewer of the embeddings differ.

    scikit-learn's greedy seeds: with plain ones, few starts leave two kinds with one centre, and a dent in the curve.
    """
    from sklearn.cluster import KMeans

    model = KMeans(min(k, len(np.unique(x, axis=0))), n_init=2, random_state=seed)
    with threadpool_limits(1):
        return np.asarray(model.fit(x.astype(np.float64)).cluster_centers_)


def _stability(x: Embeddings, halves: list[list[NDArray[np.int64]]], k: int, seed: int) -> float:
    """Mean adjusted Rand index, on all of x, of the k-means of two halves; one halving after the other."""
    from sklearn.metrics import adjusted_rand_score

    pairs = ([assign(x, _k_means(x[half], k, seed))[0] for half in halving] for halving in halves)
    return float(np.mean([adjusted_rand_score(*pair) for pair in pairs]))


def _reason(k: int, counts: tuple[int, ...], rows: tuple[Row, ...]) -> str:
    """What the mixture found, and whether the curves say the same; of few classes, what else to do."""
    found = counts[len(counts) // 2]
    runs = f"{counts[0]} to {counts[-1]} in {len(counts)} runs" if len(counts) > 1 else "one run"
    head = f"the mixture finds {found} {'kind' if found == 1 else 'kinds'} of objects ({runs})"
    if k != found:
        head += f", and {k} is the {'smallest' if k > found else 'largest'} number allowed"
    peaks = {name: max(rows, key=lambda row: getattr(row, name)).k for name in ("silhouette", "stability")}
    near = [name for name, peak in peaks.items() if abs(peak - k) <= max(1, k // 4)]
    verdict = {0: "neither is near", 1: f"only {''.join(near)} is near", 2: "both are near"}[len(near)]
    tops = f"silhouette is highest at {peaks['silhouette']} classes and stability at {peaks['stability']}"
    few = (
        " So few stand clearly apart: more classes, merged afterwards (geoalps relabel), show nuances."
        if k < FEW
        else ""
    )
    return f"{head}; {tops}: {verdict}.{few}"
