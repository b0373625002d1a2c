"""Fitting: what is streamed tile by tile is what all objects together say."""

from types import SimpleNamespace

import numpy as np
import pytest

from geoalps.grid import TileGrid
from geoalps.labeling import fitting
from geoalps.labeling.fitting import Population, _moments, _sample
from geoalps.labeling.kmeans import OnlineKMeans

GRID = TileGrid((64, 48), 16, 0)


class Tiles:
    """Stands for the object embeddings of one scene, counts what is read of them; some tiles have no object."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.values = [(rng.normal(300, 2, (number % 4 * 9, 5))).astype(np.float32) for number in range(len(GRID))]
        self.store, self.reads = SimpleNamespace(grid=GRID), 0

    def of_tile(self, number, tile):
        assert (tile.row, tile.col) == divmod(number, GRID.cols)
        self.reads += 1
        values = self.values[number]
        return np.arange(1, len(values) + 1), values if len(values) else np.zeros((0, 0), np.float32)


@pytest.fixture
def scenes():
    return [Tiles(0), Tiles(1)]


def everything(scenes):
    return np.concatenate([values for scene in scenes for values in scene.values])


def test_moments_are_those_of_all_objects_together(scenes):
    count, mean, covariance = _moments(Population(scenes))
    x = everything(scenes).astype(float)
    assert count == len(x)
    assert mean == pytest.approx(x.mean(0))
    assert covariance == pytest.approx(np.cov(x.T, bias=True), rel=1e-6, abs=1e-9)


def test_a_sample_is_evenly_spaced_and_of_everything_when_that_is_little(scenes, monkeypatch):
    x = everything(scenes)
    assert np.array_equal(_sample(Population(scenes), len(x)), x)
    monkeypatch.setattr(fitting, "SAMPLE", 28)
    sample = _sample(Population(scenes), len(x))
    places = [int(np.flatnonzero((x == row).all(1))[0]) for row in sample]
    assert len(places) == 28
    assert places[0] == 0
    assert places[-1] == len(x) - 1
    assert set(np.diff(places)) <= {len(x) // 28, len(x) // 28 + 1}


def test_a_pass_gives_every_object_once_and_in_another_order(scenes, monkeypatch):
    monkeypatch.setattr(fitting, "BUFFER", 70)
    monkeypatch.setattr(fitting, "BATCH", 16)
    population = Population(scenes)
    passes = [np.concatenate(list(population.shuffled([0, number]))) for number in (0, 1, 1)]
    for rows in passes:
        assert np.array_equal(rows[np.lexsort(rows.T)], (x := everything(scenes))[np.lexsort(x.T)])
    assert not np.array_equal(passes[0], passes[1])
    assert np.array_equal(passes[1], passes[2])


@pytest.mark.parametrize(("room", "reads"), [(10**6, 1), (0, 4)])
def test_what_is_kept_is_read_once_and_changes_nothing(scenes, room, reads):
    population = Population(scenes, room=room)
    _, mean, _ = _moments(population)
    learner = OnlineKMeans.seeded(_sample(population, 324), 5, seed=0)
    learner.fit(lambda number: population.shuffled([0, number]), passes=2)
    # tiles without an object take no room and are kept
    full = [values for scene in scenes for values in scene.values if len(values)]
    assert scenes[0].reads + scenes[1].reads == reads * len(full) + 2 * len(GRID) - len(full)
    again = Population([Tiles(0), Tiles(1)])
    assert np.array_equal(mean, _moments(again)[1])
    other = OnlineKMeans.seeded(_sample(again, 324), 5, seed=0)
    other.fit(lambda number: again.shuffled([0, number]), passes=2)
    assert np.array_equal(learner.centres, other.centres)
