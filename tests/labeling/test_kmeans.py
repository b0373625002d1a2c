"""OnlineKMeans: published vectors, blobs, and the full k-means as the oracle."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from geoalps.errors import OptionError
from geoalps.labeling.centres import Centres
from geoalps.labeling.class_model import ClassModel, entries
from geoalps.labeling.kmeans import COMPARED, OnlineKMeans, _distances, assign, group_sums
from geoalps.labeling.normalisation import Normalisation

A = np.array([[1, 0], [3, 0], [9, 0]], np.float32)
B = np.array([[4, 0], [12, 0], [8, 0], [10, 0]], np.float32)


def test_two_batches_move_the_centres_to_the_running_means():
    learner = OnlineKMeans(np.array([[0.0, 0], [10, 0]]), np.zeros(2))
    learner.partial_fit(A)
    assert learner.centres.tolist() == [[2, 0], [9, 0]]
    assert learner.counts.tolist() == [2, 1]
    learner.partial_fit(B)
    assert learner.centres == pytest.approx(np.array([[8 / 3, 0], [9.75, 0]]))
    assert learner.counts.tolist() == [3, 4]


def test_one_point_at_a_time_is_macqueens_k_means():
    learner = OnlineKMeans(np.array([[0.0, 0], [10, 0]]), np.zeros(2))
    for point in [*A, *B]:
        learner.partial_fit(point[None])
    assert learner.centres == pytest.approx(np.array([[8 / 3, 0], [9.75, 0]]))
    assert learner.loss == pytest.approx(25.361111)


def batches(x, size=200):
    return lambda number: np.array_split(np.random.default_rng(number).permutation(x), max(len(x) // size, 1))


@pytest.mark.parametrize("k", [4, 12])
def test_as_good_as_full_k_means(k):
    x, truth = make_blobs(3000, centers=k, n_features=8, random_state=1, cluster_std=1.5)
    x = x.astype(np.float32)
    learner = OnlineKMeans.seeded(x[::5], k, seed=0)
    learner.fit(batches(x))
    found, _ = learner.assign(x)
    full = KMeans(k, n_init=10, random_state=0).fit(x)
    assert ((x - learner.centres[found]) ** 2).sum() < 1.01 * full.inertia_
    assert adjusted_rand_score(truth, found) > 0.97


def test_seeds_end_near_the_best_of_many_tries_where_kinds_run_into_one_another():
    rng = np.random.default_rng(5)
    kinds = rng.normal(size=(9, 6))[rng.integers(9, size=1500)]
    x = (kinds + rng.standard_t(3, (1500, 6)) * rng.uniform(0.3, 2, 6)).astype(np.float32)
    best = KMeans(10, n_init=20, random_state=0).fit(x).inertia_
    for seed in range(4):
        learner = OnlineKMeans.seeded(x, 10, seed)
        assert _distances(x.astype(float), learner.centres).min(1).sum() < 1.004 * best


def test_rare_vectors_of_a_large_sample_are_seeds_where_k_asks_for_every_one():
    x = np.zeros((3 * COMPARED, 2), np.float32)
    x[:6] = np.arange(12).reshape(6, 2) + 1
    learner = OnlineKMeans.seeded(x, 7, seed=0)
    assert {tuple(centre) for centre in learner.centres} == {tuple(row) for row in np.unique(x, axis=0)}


def test_the_same_seed_gives_the_same_bits_and_the_sample_any_order():
    x = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)
    one, two = OnlineKMeans.seeded(x, 7, seed=3), OnlineKMeans.seeded(x[::-1], 7, seed=3)
    assert (one.centres == two.centres).all()
    one.fit(batches(x))
    two.fit(batches(x))
    assert (one.centres == two.centres).all()
    assert (OnlineKMeans.seeded(x, 7, seed=4).centres != OnlineKMeans.seeded(x, 7, seed=3).centres).any()


def test_a_dead_centre_comes_back_where_it_is_needed():
    x = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 10), np.full((50, 2), 20)]).astype(np.float32)
    learner = OnlineKMeans(np.array([[0.0, 0], [15, 15], [999, 999]]), np.zeros(3))
    learner.fit(batches(x), passes=6)
    assert np.sort(learner.centres[:, 0]) == pytest.approx([0, 10, 20], abs=0.2)


def test_margins():
    centres = np.array([[0.0, 0], [10, 0]])
    nearest, margin = assign(np.array([[0, 0], [5, 0], [2, 0], [9, 0]], np.float32), centres)
    assert nearest.tolist() == [0, 0, 0, 1]
    assert margin == pytest.approx([1, 0, 0.75, 1 - 1 / 9])
    assert assign(np.ones((3, 2), np.float32), centres[:1])[1].tolist() == [1, 1, 1]
    assert assign(np.ones((1, 2), np.float32), np.ones((2, 2)))[1].tolist() == [0]


def test_sums_and_distances_are_those_of_numpy():
    rng = np.random.default_rng(0)
    x, centres, group = rng.normal(1e4, 1, (300, 7)), rng.normal(1e4, 1, (5, 7)), rng.integers(0, 4, 300)
    want = [x[group == i].sum(0) for i in range(5)]  # nothing is of the last one
    assert group_sums(x, group, 5) == pytest.approx(np.array(want), rel=1e-12)
    assert _distances(x, centres) == pytest.approx(((x[:, None] - centres) ** 2).sum(2), rel=1e-12)


def test_more_centres_than_vectors_is_refused():
    with pytest.raises(OptionError, match="no more than 2 objects differ; use -k 2"):
        OnlineKMeans.seeded(np.array([[1, 1], [2, 2], [1, 1]], np.float32), 3, seed=0)


def embeddings():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) * 5 + 100).astype(np.float32)


@pytest.mark.parametrize("kind", ["none", "l2", "zscore", "pca"])
def test_normalisations_do_what_they_say(kind):
    x = embeddings()
    y = Normalisation.fit(kind, x.mean(0).astype(float), np.cov(x.T, bias=True))(x)
    if kind == "none":
        assert y == pytest.approx(x, rel=1e-6)
    if kind in ("l2", "pca"):
        assert np.linalg.norm(y, axis=1) == pytest.approx(1, rel=1e-5)
    if kind == "zscore":
        assert y.mean(0) == pytest.approx(0, abs=1e-4)
        assert y.std(0) == pytest.approx(1, rel=1e-4)


def test_a_constant_channel_says_nothing():
    x = embeddings()
    x[:, 2] = 7
    y = Normalisation.fit("zscore", x.mean(0).astype(float), np.cov(x.T, bias=True))(x)
    assert (y[:, 2] == 0).all()
    assert np.isfinite(y).all()


def test_unknown_normalisation_is_refused():
    with pytest.raises(OptionError, match="none, l2, zscore, pca"):
        Normalisation.fit("fancy", np.zeros(2), np.eye(2))


def model():
    x = embeddings()
    scaling = Normalisation.fit("pca", x.mean(0).astype(float), np.cov(x.T, bias=True))
    return ClassModel(
        Centres.flat(OnlineKMeans.seeded(scaling(x), 3, 0).centres),
        scaling,
        entries(["#ff0000", "#00ff00", "#0000ff"]),
        {"segmenter": {}, "stretch": {}, "spectra": {}, "bands": [], "dtype": "uint8", "scenes": [], "objects": 0},
    )


def test_a_saved_model_gives_the_same_classes(tmp_path):
    model().save(tmp_path / "classes")
    for path in (tmp_path / "classes", tmp_path / "classes" / "classes.json"):
        again = ClassModel.load(path)
        assert (again.assign(embeddings())[0] == model().assign(embeddings())[0]).all()
        assert again.classes == model().classes
    assert sorted(file.name for file in (tmp_path / "classes").iterdir()) == ["classes.json", "classes.npz"]


def test_a_model_refuses_other_embeddings():
    with pytest.raises(OptionError, match="6 channels, these have 4"):
        model().assign(np.zeros((2, 4), np.float32))
