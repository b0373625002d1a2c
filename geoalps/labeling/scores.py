"""Figures of a map against the truth: tables of counted pixels in, numbers out.

Two tables hold all that is needed. A *class table* counts pixels by cluster and true class; from it come overall
accuracy, IoU and the rest, once it is settled which class each cluster stands for. A table of *pairs* counts pixels by
object and true instance. Both are filled window by window (:class:`PairCounts`), so that memory grows with the number
of pairs that occur, not with the number of pixels.

Pixels without a label are wrong: they are a cluster that stands for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
SIZE_BINS = (1024, 9216)
"""Pixels that part small, middle and large instances: those of COCO, 32 x 32 and 96 x 96."""


@dataclass(eq=False)
class PairCounts:
    """How many pixels hold each pair of two whole numbers; sparse."""

    rows: Counts = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    """(3, n): first, second and count of every pair, by first, then second."""
    _new: list[Counts] = field(default_factory=list)
    _waiting: int = 0

    def add(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> None:
        """Count the pixels of two arrays of one shape."""
        one, two = np.ravel(first).astype(np.int64), np.ravel(second).astype(np.int64)
        if not len(one):
            return
        # runs of equal neighbours first: what is sorted is some hundred times less than the pixels
        begins = np.flatnonzero(np.concatenate([[True], (one[1:] != one[:-1]) | (two[1:] != two[:-1])]))
        self._new.append(_merged(np.stack([one[begins], two[begins], np.diff(begins, append=len(one))])))
        self._waiting += self._new[-1].shape[1]
        if self._waiting > max(self.rows.shape[1], 1 << 16):  # so that each pair is merged a few times only
            self._merge()

    def pairs(self) -> tuple[Counts, Counts, Counts]:
        """(n,) first, second and count of every pair that occurred, sorted."""
        self._merge()
        return self.rows[0], self.rows[1], self.rows[2]

    def _merge(self) -> None:
        self.rows = _merged(np.concatenate([self.rows, *self._new], axis=1))
        self._new, self._waiting = [], 0


def _merged(rows: Counts) -> Counts:
    """(3, n) pairs and counts, sorted, each pair once."""
    if not rows.shape[1]:
        return rows
    rows = rows[:, np.lexsort((rows[1], rows[0]))]
    starts = np.flatnonzero(np.concatenate([[True], (rows[:2, 1:] != rows[:2, :-1]).any(0)]))
    return np.stack([rows[0, starts], rows[1, starts], np.add.reduceat(rows[2], starts)])


def dense(first: Counts, second: Counts, counts: Counts) -> tuple[Counts, Counts, Counts]:
    """(rows,) and (columns,) numbers that occur, sorted, and the (rows, columns) table of their counts."""
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    table = np.zeros((len(rows), len(columns)), np.int64)
    table[row, column] = counts
    return rows, columns, table


@dataclass(frozen=True, eq=False)
class Matching:
    """Figures of a map whose clusters stand for classes."""

    match: Counts
    """(clusters,) column of the class that each cluster stands for, -1 for none."""
    confusion: Counts
    """(classes + 1, classes) pixels by the class the map says and the true one; the last row: it says none of them."""

    @property
    def hits(self) -> Counts:
        """(classes,) pixels that are right."""
        return np.diag(self.confusion)

    @property
    def truth(self) -> Counts:
        """(classes,) pixels of each class in truth."""
        return np.asarray(self.confusion.sum(0))

    @property
    def said(self) -> Counts:
        """(classes,) pixels of each class in the map."""
        return np.asarray(self.confusion[:-1].sum(1))

    @property
    def iou(self) -> Floats:
        """(classes,) intersection over union."""
        return np.asarray(self.hits / np.maximum(self.truth + self.said - self.hits, 1))

    @property
    def recall(self) -> Floats:
        """(classes,) share of the true pixels that are right (producer's accuracy)."""
        return np.asarray(self.hits / np.maximum(self.truth, 1))

    @property
    def precision(self) -> Floats:
        """(classes,) share of the map's pixels that are right (user's accuracy); NaN where the map has none."""
        return np.where(self.said > 0, self.hits / np.maximum(self.said, 1), np.nan)

    @property
    def overall_accuracy(self) -> float:
        """Share of all pixels that are right."""
        return float(self.hits.sum() / self.confusion.sum())

    @property
    def mean_iou(self) -> float:
        """Mean of the classes' IoU."""
        return float(self.iou.mean())

    @property
    def mean_accuracy(self) -> float:
        """Mean of the classes' recall."""
        return float(self.recall.mean())


def matching(table: Counts, match: NDArray[np.integer]) -> Matching:
    """The figures of a (clusters, classes) table when cluster i stands for the class in column ``match[i]``."""
    confusion = np.zeros((table.shape[1] + 1, table.shape[1]), np.int64)
    np.add.at(confusion, match, table)  # -1 is the last row
    return Matching(np.asarray(match, np.int64), confusion)


def one_to_one(table: Counts, void: NDArray[np.bool_]) -> Matching:
    """Hungarian matching: each class one cluster, each cluster one class, with the most pixels right.

    Clusters left over are wrong, so that with more clusters than classes it cannot reach 1.

    Args:
        table: (clusters, classes) pixels.
        void: (clusters,) bool, those that are no cluster but pixels without a label.
    """
    rows, columns = linear_sum_assignment(np.where(void[:, None], 0, table), maximize=True)
    match = np.full(len(table), -1)
    match[rows] = columns
    return matching(table, np.where(void, -1, match))


def majority(table: Counts, void: NDArray[np.bool_]) -> Matching:
    """Many-to-one matching: each cluster its commonest class, as a person would name them; arguments as one_to_one."""
    return matching(table, np.where(void, -1, table.argmax(1)))


def mutual_information(table: Counts) -> float:
    """NMI: mutual information over the arithmetic mean of both entropies, 0..1; 1 when neither side has two kinds."""
    joint = table / table.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    there = joint > 0
    shared = float((joint[there] * np.log(joint[there] / np.outer(rows, columns)[there])).sum())
    both = _entropy(rows) + _entropy(columns)
    return 2 * shared / both if both else 1.0


def _entropy(shares: Floats) -> float:
    """In nats, of shares that add up to 1."""
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())


def rand_index(table: Counts) -> float:
    """ARI: agreement on which two pixels are of one kind, 0 by chance, 1 for equal partitions."""
    together, rows, columns = _pairs(table), _pairs(table.sum(1)), _pairs(table.sum(0))
    expected = rows * columns / max(_pairs(table.sum()), 1.0)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def _pairs(counts: NDArray[np.int64] | np.int64) -> float:
    """Pairs of pixels within each count, all together; as floats, since squares of pixels leave 64 bits."""
    values = np.asarray(counts, np.float64)
    return float((values * (values - 1) / 2).sum())


@dataclass(frozen=True)
class Recall:
    """How well some true instances are matched by objects; the figures are NaN where there are none."""

    instances: int
    """Number of them."""
    recall50: float
    """Share with an object of IoU >= 0.5."""
    recall75: float
    """Share with an object of IoU >= 0.75."""
    mean_best_iou: float
    """Mean over instances of the best IoU of any object."""
    union_iou: float
    """Mean IoU of all objects together that lie mostly in the instance: what merging objects could reach."""


@dataclass(frozen=True, eq=False)
class InstanceMatches:
    """The best that any object is for each true instance."""

    ids: Counts
    """(n,) of the instances."""
    areas: Counts
    """(n,) pixels."""
    best: Floats
    """(n,) best IoU over all objects."""
    union: Floats
    """(n,) IoU of the union of the objects that lie by more than half in the instance."""
    objects: int
    """Objects there are."""
    covered: int
    """Pixels of objects."""
    pixels: int
    """Pixels that were looked at."""

    @classmethod
    def of(cls, objects: Counts, instances: Counts, counts: Counts) -> InstanceMatches:
        """From counted pairs of object and instance; 0 is no object, no instance.

        Every pixel must be counted, those of neither too: the pairs are where areas come from.
        """
        objects, instances, counts = (np.asarray(column, np.int64) for column in (objects, instances, counts))
        object_ids, o = np.unique(objects, return_inverse=True)
        ids, t = np.unique(instances, return_inverse=True)
        sizes, areas = (np.bincount(index, counts).astype(np.int64) for index in (o, t))
        both = (objects > 0) & (instances > 0)
        o, t, shared = o[both], t[both], counts[both]
        best = np.zeros(len(ids))
        np.maximum.at(best, t, shared / (areas[t] + sizes[o] - shared))
        mostly = 2 * shared > sizes[o]
        got = np.bincount(t[mostly], shared[mostly], len(ids))
        size = np.bincount(t[mostly], sizes[o[mostly]], len(ids))
        real = ids > 0
        union = got / (areas + size - got)
        there = object_ids > 0
        total = int(there.sum()), int(sizes[there].sum()), int(counts.sum())
        return cls(ids[real], areas[real], best[real], union[real], *total)

    def recall(self, least: float = 0, below: float = np.inf) -> Recall:
        """Of the instances of ``least`` to ``below`` pixels."""
        chosen = (self.areas >= least) & (self.areas < below)
        best = self.best[chosen]
        if not len(best):
            return Recall(0, *[float("nan")] * 4)
        shares = float((best >= 0.5).mean()), float((best >= 0.75).mean())
        return Recall(len(best), *shares, float(best.mean()), float(self.union[chosen].mean()))

    def by_size(self, bins: Sequence[int] = SIZE_BINS) -> dict[str, Recall]:
        """By pixels of the instance: ``0-1024``, ``1024-9216``, ``9216-``."""
        edges = [0, *bins, np.inf]
        spans = [(f"{low:.0f}-{'' if np.isinf(high) else int(high)}", low, high) for low, high in pairwise(edges)]
        return {name: self.recall(low, high) for name, low, high in spans}
