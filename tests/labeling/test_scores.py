"""Figures, against scikit-learn and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import adjusted_rand_score, confusion_matrix, jaccard_score, normalized_mutual_info_score

from geoalps.labeling import scores
from geoalps.labeling.scores import InstanceMatches, PairCounts

PARTITIONS = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(2, 200)).map(
    lambda drawn: (
        np.random.default_rng(drawn[2]).integers(0, drawn[0], drawn[3]),
        np.random.default_rng(drawn[2] + 1).integers(0, drawn[1], drawn[3]),
    )
)
"""(n,) clusters and (n,) classes."""


def table_of(clusters, classes):
    counts = PairCounts()
    counts.add(clusters, classes)
    return scores.dense(*counts.pairs())


def no_void(table):
    return np.zeros(len(table), bool)


@given(PARTITIONS)
def test_indices_are_those_of_scikit_learn(pair):
    table = table_of(*pair)[2]
    assert scores.mutual_information(table) == pytest.approx(normalized_mutual_info_score(*pair), abs=1e-9)
    assert scores.rand_index(table) == pytest.approx(adjusted_rand_score(*pair), abs=1e-9)


@given(PARTITIONS)
def test_one_to_one_is_the_best_of_all_assignments(pair):
    table = table_of(*pair)[2]
    rows, columns = table.shape
    small, large = sorted((rows, columns))
    wide = table if rows == small else table.T
    best = max(sum(wide[i, p] for i, p in enumerate(order)) for order in itertools.permutations(range(large), small))
    found = scores.one_to_one(table, no_void(table))
    assert found.overall_accuracy == pytest.approx(best / table.sum())
    assert len({column for column in found.match if column >= 0}) == small


@given(PARTITIONS)
def test_figures_are_those_of_scikit_learn_once_clusters_are_named(pair):
    clusters, classes = pair
    rows, columns, table = table_of(clusters, classes)
    for found in (scores.one_to_one(table, no_void(table)), scores.majority(table, no_void(table))):
        named = np.array([columns[c] if c >= 0 else -1 for c in found.match])[np.searchsorted(rows, clusters)]
        iou = jaccard_score(classes, named, labels=columns, average=None, zero_division=0)
        np.testing.assert_allclose(found.iou, iou)
        np.testing.assert_array_equal(
            found.confusion[:-1], confusion_matrix(classes, named, labels=[*columns, -1])[:-1, :-1].T
        )
        np.testing.assert_allclose(found.recall, [(named[classes == c] == c).mean() for c in columns])
        said = [named == c for c in columns]
        precision = [(classes[s] == c).mean() if s.any() else np.nan for c, s in zip(columns, said, strict=True)]
        np.testing.assert_allclose(found.precision, precision)
        assert found.overall_accuracy == pytest.approx((named == classes).mean())
        assert found.mean_accuracy == pytest.approx(found.recall.mean())


def test_pixels_without_a_label_are_wrong_and_match_nothing():
    table = np.array([[1, 0], [0, 1], [90, 80]])
    void = np.array([False, False, True])
    for found in (scores.one_to_one(table, void), scores.majority(table, void)):
        assert found.match.tolist() == [0, 1, -1]
        assert found.overall_accuracy == 2 / 172
        assert found.confusion.tolist() == [[1, 0], [0, 1], [90, 80]]


def test_with_more_clusters_than_classes_only_many_to_one_reaches_one():
    table = np.diag([5, 5, 5, 5]) @ np.repeat(np.eye(2, dtype=int), 2, axis=0)
    assert scores.one_to_one(table, no_void(table)).overall_accuracy == 0.5
    assert scores.majority(table, no_void(table)).mean_iou == 1


def test_a_class_that_no_cluster_stands_for_has_no_precision():
    found = scores.majority(np.array([[9, 1]]), np.array([False]))
    assert np.isnan(found.precision[1])
    assert found.iou.tolist() == [0.9, 0]


NUMBERS = hnp.arrays(np.int64, st.tuples(st.integers(0, 12), st.integers(0, 12)), elements=st.integers(-3, 3))


@given(st.lists(NUMBERS, max_size=6))
def test_pairs_are_counted_as_one_by_one(parts):
    counts, expected = PairCounts(), {}
    for part in parts:
        other = part[::-1] * 2**40
        counts.add(part, other)
        counts.pairs()  # looking does not change it
        for pair in zip(part.ravel().tolist(), other.ravel().tolist(), strict=True):
            expected[pair] = expected.get(pair, 0) + 1
    first, second, pixels = counts.pairs()
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(expected)
    assert dict(zip(zip(first.tolist(), second.tolist(), strict=True), pixels.tolist(), strict=True)) == expected


def test_memory_grows_with_the_pairs_and_not_with_the_pixels():
    counts, rng = PairCounts(), np.random.default_rng(0)
    kept = 0
    for _ in range(60):
        counts.add(rng.integers(0, 100, 20_000), rng.integers(0, 50, 20_000))
        kept = max(kept, counts.rows.shape[1] + sum(part.shape[1] for part in counts._new))
    assert kept < 2 * (1 << 16)
    assert counts.pairs()[2].sum() == 60 * 20_000
    assert counts.rows.shape[1] == 5000


def brute_force(objects, instances):
    """Best and union IoU of every instance."""
    best, union = [], []
    for instance in np.unique(instances[instances > 0]):
        mask = instances == instance
        masks = [objects == number for number in np.unique(objects[objects > 0])]
        best.append(max([(mask & m).sum() / (mask | m).sum() for m in masks], default=0))
        merged = np.zeros(mask.shape, bool)
        for m in masks:
            if (mask & m).sum() > m.sum() / 2:
                merged |= m
        union.append((mask & merged).sum() / (mask | merged).sum())
    return best, union


MAPS = st.integers(0, 2**32 - 1).map(
    lambda seed: tuple(np.random.default_rng(seed + i).integers(0, 5, (9, 11)).repeat(1 + i, 0)[:9] for i in (0, 1))
)


@given(MAPS)
def test_matches_are_those_of_brute_force(maps):
    objects, instances = maps
    counts = PairCounts()
    counts.add(objects, instances)
    found = InstanceMatches.of(*counts.pairs())
    best, union = brute_force(objects, instances)
    np.testing.assert_allclose(found.best, best)
    np.testing.assert_allclose(found.union, union)
    assert found.areas.tolist() == [(instances == number).sum() for number in found.ids]
    assert (found.pixels, found.covered) == (objects.size, (objects > 0).sum())
    recall = found.recall()
    assert recall.recall50 == pytest.approx(np.mean(np.array(best) >= 0.5))
    assert recall.recall75 == pytest.approx(np.mean(np.array(best) >= 0.75))
    assert sum(part.instances for part in found.by_size([3, 8]).values()) == recall.instances


def test_sizes_part_at_the_pixels_of_coco():
    counts = PairCounts()
    for number, size in enumerate((1023, 1024, 9215, 9216), 1):
        counts.add(np.full(size, number), np.full(size, number))
    bins = InstanceMatches.of(*counts.pairs()).by_size()
    assert {name: part.instances for name, part in bins.items()} == {"0-1024": 1, "1024-9216": 2, "9216-": 1}
    assert bins["1024-9216"].mean_best_iou == 1


def test_no_instances_have_no_recall():
    counts = PairCounts()
    counts.add(np.ones(4), np.zeros(4))
    recall = InstanceMatches.of(*counts.pairs()).recall()
    assert recall.instances == 0
    assert np.isnan(recall.recall50)
