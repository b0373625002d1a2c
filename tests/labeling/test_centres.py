"""Centres: a tree of classes that can be split and goes on learning."""

import numpy as np
import pytest

from geoalps.labeling.centres import USUAL, Centres
from geoalps.labeling.kmeans import OnlineKMeans, assign

# the first test vector of incremental k-means: (0,0), (10,0) learn a batch of three and one of four
FIRST, SECOND = [[1, 0], [3, 0], [9, 0]], [[4, 0], [12, 0], [8, 0], [10, 0]]


def blobs(seed=0, count=60, centres=((0, 0), (10, 0), (0, 12), (30, 30))):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(centre, 1, (count, 2)) for centre in centres]).astype(np.float32)


def batch(rows):
    return np.array(rows, np.float32)


def flat(seed=0, k=4):
    x = blobs(seed)
    centres = OnlineKMeans.seeded(x, k, 0).centres
    return Centres.flat(centres[np.lexsort(centres.T)]).measured([x])


def test_without_a_split_it_is_the_nearest_centre():
    centres, x = flat(), blobs(1)
    located = centres.locate(x)
    nearest, margin = assign(x, centres.vectors)
    assert np.array_equal(located.class_id, nearest)
    assert np.array_equal(located.confidence, margin)
    assert located.distance == pytest.approx(np.linalg.norm(x - centres.vectors[nearest], axis=1), rel=1e-5)


def test_a_split_moves_no_object_of_another_class():
    centres, x = flat(), np.random.default_rng(2).uniform(-20, 50, (2000, 2)).astype(np.float32)
    before = centres.locate(x).class_id
    # children that lie where other classes are: nearest of all would take those over
    one = centres.vectors[1]
    children = Centres.flat(one + 0.7 * (centres.vectors[[1, 0, 2]] - one))
    split = centres.split(1, children)
    assert split.whole
    after = split.locate(x).class_id
    mine = before == 1
    assert np.array_equal(after[~mine], before[~mine])
    assert set(after[mine]) == {1, 4, 5}
    nearest = assign(x[mine], children.vectors)[0]
    assert np.array_equal(after[mine], np.array([1, 4, 5])[nearest])
    again = split.split(4, Centres.flat(centres.vectors[:2]))
    assert again.whole
    assert len(again) == 7
    assert np.array_equal(again.locate(x).class_id[~mine], before[~mine])


def test_learning_is_the_running_mean_of_all_that_came():
    learnt = Centres.flat(np.array([[0.0, 0], [10, 0]])).learnt([batch(FIRST)])
    assert np.array_equal(learnt.vectors, [[2, 0], [9, 0]])
    assert np.array_equal(learnt.counts, [2, 1])
    learnt = learnt.learnt([batch(SECOND)])
    assert learnt.vectors == pytest.approx(np.array([[8 / 3, 0], [9.75, 0]]))
    assert np.array_equal(learnt.counts, [3, 4])


def test_every_centre_on_the_way_down_learns():
    """Brute force: after one batch each centre is the mean of what it was and of all that passed through it."""
    x = blobs(3)
    split = flat().split(0, Centres.flat(blobs(4)[:2].astype(float)).measured([blobs(5)[:40]]))
    node = split.locate(x).node
    through = {row: node == row for row in range(len(split.vectors))}
    parent = int(split.parents[-1])
    through[parent] = np.isin(node, np.flatnonzero(split.parents == parent))
    learnt = split.learnt([x])
    for row, mask in through.items():
        total = split.counts[row] + mask.sum()
        mean = (split.counts[row] * split.vectors[row] + x[mask].astype(float).sum(0)) / max(total, 1)
        assert learnt.counts[row] == total
        assert learnt.vectors[row] == pytest.approx(mean if total else split.vectors[row])


@pytest.mark.parametrize("weight", [0, 0.5, 3])
def test_adapting_is_k_means_held_back(weight):
    """Brute force, round by round, where no centre was split."""
    before, x = flat(), (blobs(6) + 4).astype(np.float32)
    share = before.counts / before.counts.sum()
    centres = before.vectors
    for _ in range(3):
        nearest = assign(x, centres)[0]
        rows = [x[nearest == row].astype(float) for row in range(4)]
        held = weight * share * len(x)
        means = [
            (h * c + r.sum(0)) / (h + len(r)) for h, c, r in zip(held, before.vectors, rows, strict=True) if h + len(r)
        ]
        centres = np.array(means)
    found = before.adapted(lambda: [x[:100], x[100:]], 3, weight)
    assert found.vectors == pytest.approx(centres)
    split = before.split(2, Centres.flat(before.vectors[[2, 2]] + [[1.0, 0], [-1, 0]]).measured([blobs()[:9]]))
    after = split.adapted(lambda: [x], 2, weight)
    assert after.whole
    assert len(after) == 5


def test_spread_is_what_was_seen_and_the_far_is_unseen():
    centres, x = flat(), blobs()
    located = centres.locate(x)
    for row in range(4):
        mine = located.distance[located.node == row]
        assert centres.counts[row] == len(mine)
        assert centres.radii[row] == mine.max()
        assert centres.usual[row] == pytest.approx(np.quantile(mine, USUAL))
    assert not centres.unseen(x, located).any()
    assert centres.unusual(located).sum() <= 4 * np.ceil(0.01 * 60)
    far = batch([[200, 200], [-90, 3]])
    assert centres.unseen(far, centres.locate(far)).all()
    # inside of what a class reaches, though nearer to another that reaches less
    two = Centres(
        np.array([[0.0, 0], [10, 0]]), np.full(2, -1), np.arange(2), np.ones(2), np.array([8.0, 1]), np.array([8.0, 1])
    )
    x = batch([[7, 0], [12, 0], [-8, 0], [0, -8.5]])
    assert two.unseen(x, two.locate(x)).tolist() == [False, True, False, True]


def test_moved_centres_still_reach_all_they_learnt_from():
    first, second = blobs(0), blobs(7) + 3
    before = flat()
    moved = before.learnt([second])
    later = moved.reaching(before, moved.measured([second]))
    for x in (first, second):
        located = later.locate(x)
        assert not later.unseen(x, located).any()


@pytest.mark.parametrize(
    "change",
    [
        {"parents": np.array([-1, -1, 3, -1])},
        {"parents": np.array([-2, -1, -1, -1])},
        {"parents": np.array([-1, 0, -1, -1])},
        {"classes": np.array([0, 1, 2, 2])},
        {"classes": np.array([0, 1, 2, -1])},
        {"counts": np.zeros(3)},
        {"radii": np.zeros(4, int)},
        {"vectors": np.zeros((4, 2), np.int64)},
        {"vectors": np.zeros(4)},
    ],
)
def test_what_is_no_tree_is_noticed(change):
    good = Centres.flat(np.zeros((4, 2)))
    fields = {name: getattr(good, name) for name in ("vectors", "parents", "classes", "counts", "radii", "usual")}
    assert good.whole
    assert not Centres(**{**fields, **change}).whole
