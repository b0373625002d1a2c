"""The network form of the mixture: it finds what is plain to see, and is a function of its seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geoalps.errors import OptionError
from geoalps.models.niw import NIW, Moments
from geoalps.training.deep_mixture import DEFAULTS, Settings, _Learner, _Nets, fit

SHORT = Settings(epochs=125, least_steps=12)
CENTRES = 9.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]])


def blobs(k, each=70, seed=0):
    """Points of k Gaussians of unit covariance."""
    return np.repeat(CENTRES[:k], each, 0) + np.random.default_rng(seed).normal(size=(k * each, 3))


def prior(x):
    return NIW(1e-4, 24.0, 20 * np.eye(3), x.mean(0))


def test_defaults_are_the_published_ones():
    wanted = {"hidden": 50, "batch": 128, "epochs": 500, "cuts_from": 45, "proposals_from": 55, "every": 10}
    wanted |= {"frozen": 5, "rate": 5e-4, "cut_rate": 5e-3, "alpha": 10.0, "smallest": 5}
    assert {name: getattr(DEFAULTS, name) for name in wanted} == wanted


@pytest.mark.parametrize("k", [1, 4])
def test_separate_blobs_are_found(k):
    x = blobs(k)
    moments = fit(x, prior(x), settings=SHORT)
    assert moments.count.tolist() == [70] * k
    nearest = np.linalg.norm(moments.mean[:, None] - CENTRES[:k], axis=2)
    assert sorted(nearest.argmin(1)) == list(range(k))
    assert nearest.min(1).max() < 0.6


def test_a_seed_gives_the_same_result_again_and_leaves_torch_as_it_was():
    x = blobs(3)
    state, settings = torch.random.get_rng_state(), replace(SHORT, epochs=66)
    first, again = (fit(x, prior(x), 3, settings=settings) for _ in range(2))
    assert np.array_equal(first.mean, again.mean)
    assert np.array_equal(first.scatter, again.scatter)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_child_follows_its_parent():
    torch.manual_seed(0)
    nets, x = _Nets(3, 8), torch.randn(40, 3)
    nets.follow([0, 0, 0])
    before = nets(x)
    nets.follow([2, 0, 1])
    assert torch.allclose(nets(x), before[:, [2, 0, 1]], atol=0.3)
    assert nets.cut(x, torch.zeros(40, dtype=torch.long)).shape == (40, 2)


def test_a_cut_is_of_the_points_own_cluster():
    torch.manual_seed(1)
    nets, x = _Nets(3, 8), torch.randn(30, 3)
    nets.follow([0, 0])
    group = torch.arange(30) % 2
    both = torch.stack([nets.cut(x, torch.full((30,), number)) for number in (0, 1)], 1)
    assert torch.allclose(nets.cut(x, group), both[torch.arange(30), group])


def test_proposals_are_judged_by_the_ratio():
    x = blobs(2)
    learner = _Learner(x, prior(x), SHORT, torch.device("cpu"))
    halves = np.repeat([0, 1], 70)
    learner.told = lambda: (np.zeros(140, np.int64), halves)
    assert learner.split()
    assert learner.moments.count.tolist() == [70, 70]
    # blobs apart stay so; a blob cut across becomes one again
    learner.told = lambda: (halves.copy(), halves)
    assert not learner.merge()
    across = np.concatenate([np.zeros(70), np.arange(70) % 2 + 1]).astype(np.int64)
    learner.become(across, [0, 0, 0])
    learner.told = lambda: (across.copy(), across)
    assert learner.merge()
    assert learner.moments.count.tolist() == [70, 70]


def test_a_split_with_a_child_of_five_points_is_refused():
    x = np.concatenate([blobs(1), CENTRES[3] + np.zeros((5, 3))])
    learner = _Learner(x, prior(x), SHORT, torch.device("cpu"))
    learner.told = lambda: (np.zeros(75, np.int64), (np.arange(75) >= 70).astype(np.int64))
    assert not learner.split()
    assert Moments.of(x, np.zeros(75, np.int64), 1).count == learner.moments.count


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(4), np.full((4, 3), np.nan)])
def test_what_is_no_sample_is_refused(x):
    with pytest.raises(OptionError, match="3 finite numbers"):
        fit(x, NIW(1.0, 5.0, np.eye(3), np.zeros(3)))


def test_an_unknown_device_is_refused():
    x = blobs(1)
    with pytest.raises(OptionError, match="device is 'abacus'"):
        fit(x, prior(x), device="abacus")
