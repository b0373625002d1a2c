"""The mixture: the published numbers, oracles for the prior's mathematics, and made clusters."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import multivariate_normal, multivariate_t

from geoalps.errors import OptionError
from geoalps.labeling.mixture import (
    Clusters,
    DPMixture,
    count_components,
    dense_core,
    neighbour_prior,
    principal,
    two_means,
)
from geoalps.models.niw import NIW, Moments, log_density


def of_one(x):
    """Moments of one cluster."""
    return Moments.of(x, np.zeros(len(x), np.int64), 1)


def prior_1d(mean=0.0):
    return NIW(1e-4, 3.0, np.array([[0.005]]), np.array([mean]))


def blobs(k, d, seed, each=80, apart=8.0):
    """Points of k Gaussians of unit covariance, whose centres lie on the corners of a lattice, and their numbers."""
    rng = np.random.default_rng(seed)
    corners = np.array(list(itertools.islice(itertools.product((0, 1, 2), repeat=d), 3**d)))
    centres = apart * corners[rng.permutation(len(corners))[:k]]
    group = np.repeat(np.arange(k), each)
    return centres[group] + rng.normal(size=(k * each, d)), group


def test_two_clusters_are_split_by_the_published_ratio():
    x = np.array([-1.1, -1.05, -1, -0.95, -0.9, -1])[:, None]
    one, other = of_one(x), of_one(-x)
    prior = prior_1d()
    assert prior.log_marginal(one)[0] == pytest.approx(1.456331, abs=1e-6)
    assert prior.log_marginal(other)[0] == pytest.approx(1.456331, abs=1e-6)
    assert prior.log_marginal(one.joined(other))[0] == pytest.approx(-31.679433, abs=1e-6)
    assert prior.log_split(one, other, 10.0)[0] == pytest.approx(28.967355, abs=1e-6)


def test_one_cluster_is_not_split_by_the_published_ratio():
    x = np.array([-0.05, 0.02, -0.01, 0.03, 0, 0.01])[:, None]
    y = np.array([0.04, -0.03, -0.02, 0.05, -0.04, 0.02])[:, None]
    prior = prior_1d(float(np.concatenate([x, y]).mean()))
    assert prior.log_split(of_one(x), of_one(y), 10.0)[0] == pytest.approx(-11.099716, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), d=st.integers(1, 4))
def test_the_marginal_is_the_product_of_what_each_point_says_of_the_next(seed, n, d):
    rng = np.random.default_rng(seed)
    x, a = rng.normal(size=(n, d)), rng.normal(size=(d, d))
    prior = NIW(0.7, d + 1.5, a @ a.T + np.eye(d), rng.normal(size=d))
    total = 0.0
    for i in range(n):
        kappa, nu = prior.kappa + i, prior.nu + i
        mean = (prior.kappa * prior.mean + x[:i].sum(0)) / kappa
        psi = (
            prior.psi + prior.kappa * np.outer(prior.mean, prior.mean) + x[:i].T @ x[:i] - kappa * np.outer(mean, mean)
        )
        freedom = nu - d + 1
        total += multivariate_t(mean, psi * (kappa + 1) / (kappa * freedom), df=freedom).logpdf(x[i])
    assert prior.log_marginal(of_one(x))[0] == pytest.approx(total, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 30), d=st.integers(1, 4))
def test_moments_of_joined_clusters_are_those_of_all_their_points(seed, n, d):
    rng = np.random.default_rng(seed)
    x, group = rng.normal(5, 2, (n, d)), rng.permutation(np.arange(n) % 2)
    parts = Moments.of(x, group, 2)
    joined = parts.take(np.array([0])).joined(parts.take(np.array([1])))
    assert joined.count[0] == n
    assert joined.mean[0] == pytest.approx(x.mean(0))
    assert joined.scatter[0] == pytest.approx(np.cov(x.T, bias=True).reshape(d, d) * n, abs=1e-8)


def test_density_is_that_of_scipy():
    rng = np.random.default_rng(0)
    x, mean, a = rng.normal(size=(9, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 3))
    covariance = a @ a.transpose(0, 2, 1) + np.eye(3)
    found = log_density(x, mean, covariance) - 1.5 * np.log(2 * np.pi)
    wanted = [multivariate_normal(m, c).logpdf(x) for m, c in zip(mean, covariance, strict=True)]
    assert found == pytest.approx(np.stack(wanted, 1))


@pytest.mark.parametrize(("k", "d"), [(1, 3), (2, 2), (5, 4), (12, 6), (20, 8)])
def test_separate_blobs_are_found_as_they_are(k, d):
    x, group = blobs(k, d, seed=k)
    found = DPMixture(neighbour_prior(x)).fit(x)
    assert len(found) == k
    # the same partition: as many pairs of labels as labels
    assert len(np.unique(np.stack([found.group, group]), axis=1).T) == k


def test_the_best_partition_of_few_points_is_found():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(-6, 1, (7, 1)), rng.normal(6, 1, (7, 1))])
    mixture = DPMixture(NIW(1e-2, 4.0, np.eye(1), x.mean(0)))
    found = mixture.fit(x)
    masks = (np.array(bits) for bits in itertools.product((0, 1), repeat=13))
    every = (Clusters.of(x, np.concatenate([[0], bits])) for bits in masks)
    best = max((c for c in every if c.moments.count.min() > mixture.smallest), key=mixture.score)
    assert mixture.score(found) == pytest.approx(mixture.score(best))


def test_nothing_more_is_accepted_at_the_end():
    x, _ = blobs(6, 3, seed=5, apart=3.0)
    mixture = DPMixture(neighbour_prior(x))
    found = mixture.fit(x)
    pairs = np.array(list(itertools.combinations(range(len(found)), 2)))
    one, other = (found.moments.take(pairs[:, side]) for side in (0, 1))
    assert (mixture.prior.log_split(one, other, mixture.alpha) >= 0).all()
    single = Clusters.of(x, np.zeros(len(x), np.int64))
    assert mixture.score(found) > mixture.score(single)


def test_children_of_five_points_or_fewer_are_refused():
    rng = np.random.default_rng(0)
    prior = prior_1d()
    for few, clusters in ((5, 1), (6, 2)):
        x = np.concatenate([rng.normal(0, 0.05, (30, 1)), rng.normal(9, 0.05, (few, 1))])
        assert len(DPMixture(prior).fit(x)) == clusters


def test_the_score_is_the_published_sum():
    x, group = blobs(3, 2, seed=0, each=9)
    mixture = DPMixture(NIW(1e-2, 4.0, np.eye(2), x.mean(0)), alpha=7.0)
    clusters = Clusters.of(x, group)
    wanted = sum(
        np.log(7.0) + gammaln((group == c).sum()) + mixture.prior.log_marginal(of_one(x[group == c]))[0]
        for c in range(3)
    )
    assert mixture.score(clusters) == pytest.approx(wanted)


@pytest.mark.parametrize("stochastic", [False, True])
def test_a_seed_gives_the_same_clusters_again(stochastic):
    x, _ = blobs(7, 3, seed=1, apart=2.5)
    mixture = DPMixture(neighbour_prior(x), stochastic=stochastic, most_rounds=12)
    first, again = mixture.fit(x, 4), mixture.fit(x, 4)
    assert np.array_equal(first.group, again.group)


@pytest.mark.parametrize(
    "x", [np.zeros((0, 2)), np.zeros((4, 3)), np.zeros(4), np.full((4, 2), np.nan), np.full((4, 2), np.inf)]
)
def test_what_is_no_sample_is_refused(x):
    with pytest.raises(OptionError, match="2 finite numbers"):
        DPMixture(NIW(1.0, 4.0, np.eye(2), np.zeros(2))).fit(x)


def test_two_means_of_equal_points_is_one_group():
    assert not two_means(np.ones((8, 3)), np.random.default_rng(0)).any()


def test_the_count_does_not_depend_on_the_order_of_the_rows():
    x, _ = blobs(6, 4, seed=2, apart=3.0)
    mixed = np.random.default_rng(0).permutation(x)
    assert count_components(x.astype(np.float32)) == count_components(mixed.astype(np.float32))


def test_slivers_between_the_kinds_do_not_count():
    x, _ = blobs(5, 6, seed=3)
    rng = np.random.default_rng(0)
    one, other = (x[rng.permutation(len(x))[:150]] for _ in range(2))
    share = rng.random((150, 1))
    mixed = np.concatenate([x, share * one + (1 - share) * other + rng.normal(0, 4, (150, 6))])
    assert count_components(mixed)[1] == 5
    assert len(DPMixture(neighbour_prior(principal(mixed))).fit(principal(mixed))) > 5


def test_the_dense_core_is_where_neighbours_are_near():
    x = np.concatenate([np.random.default_rng(0).normal(size=(200, 3)), [[60.0, 0, 0], [0, -70, 0]]])
    core = dense_core(x)
    distance = np.sort(np.linalg.norm(x[:, None] - x, axis=2), 1)[:, 5]
    assert np.array_equal(core, x[distance <= 1.5 * np.quantile(distance, 0.25)])
    assert np.abs(core).max() < 10


@pytest.mark.parametrize("n", [1, 2, 3, 4, 12])
def test_few_objects_and_equal_ones_are_one_kind(n):
    assert set(count_components(np.ones((n, 7), np.float32))) == {1}
    assert set(count_components(np.random.default_rng(0).normal(size=(n, 7)))) == {1}


def test_principal_axes_keep_all_distances_of_a_flat_cloud():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 40))
    scores = principal(flat)
    assert scores.shape == (50, 3)
    ordered = flat[np.lexsort(flat.T)]
    assert np.linalg.norm(scores[:, None] - scores, axis=2) == pytest.approx(
        np.linalg.norm(ordered[:, None] - ordered, axis=2), abs=1e-9
    )


@pytest.mark.parametrize("values", [np.zeros((0, 4)), np.zeros((3, 0)), np.zeros(3), np.array([[1.0, np.nan]])])
def test_embeddings_that_are_none_are_refused(values):
    with pytest.raises(OptionError, match="at least one row of finite numbers"):
        count_components(values)
