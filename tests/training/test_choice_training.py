"""Training of the scorer of regions: what its nodes are compared with, what it learns, that nothing is by chance."""

import numpy as np
import pytest
import torch

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.branches import Branches
from geoalps.models.choice import FAR, OUTPUTS, Scorer
from geoalps.models.nodes import NAMES, describe_nodes
from geoalps.models.regions import RegionSegmenter
from geoalps.sample.chips import made_chip
from geoalps.training import choice
from geoalps.training.choice import Nodes, draw_nodes, node_overlaps, scene_nodes, train_choice

LEARNT = [seed for seed in range(99) if made_chip(seed, 64).sensor not in choice.LEFT_OUT]
"""Of scenes that are learnt from."""
SEED = next(seed for seed in LEARNT if seed % choice.EVERY)
PLAYED = next(seed for seed in LEARNT if seed % choice.EVERY == 0 and made_chip(seed, 64).kind != choice.PLAYED)
"""Of a scene that is of its own kind, and of one that is made a sport ground."""


@pytest.fixture(scope="module")
def nodes():
    """Made-up nodes: column 0 tells whether a thing is matched, column 1 whether anything is, column 2 how closely."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6000, len(NAMES))).astype(np.float32)
    thing, whole, close = (values[:, :3] > 0).T
    fit = np.where(close, 0.9, 0.6)
    overlaps = np.stack([np.where(thing, fit, 0.1), np.where(whole | thing, fit, 0.1)], 1).astype(np.float32)
    return Nodes(values * 3 + 5, overlaps, np.ones(len(values), np.float32))


@pytest.fixture
def often(monkeypatch):
    """Many steps although there are few nodes."""
    monkeypatch.setattr(choice, "BATCH", 64)


def outputs(scorer, values):
    """(n, 4) chances of a scorer, by torch."""
    layers = []
    for weights, bias in scorer.layers:
        layer = torch.nn.Linear(*weights.shape)
        layer.load_state_dict({"weight": torch.from_numpy(weights.T.copy()), "bias": torch.from_numpy(bias)})
        layers += [layer, torch.nn.ReLU()]
    inputs = torch.from_numpy((values - scorer.mean) / scorer.deviation).clamp(-FAR, FAR)
    with torch.no_grad():
        return torch.sigmoid(torch.nn.Sequential(*layers[:-1])(inputs)).numpy()


@pytest.mark.parametrize("at_once", [2, 256])
def test_overlaps_against_sets_of_pixels(at_once, monkeypatch):
    monkeypatch.setattr(choice, "AT_ONCE", at_once)
    rng = np.random.default_rng(4)
    labels = np.kron(rng.permutation(9).reshape(3, 3) + 1, np.ones((4, 5), int)).astype(np.int32)
    wholes = np.kron(rng.integers(1, 6, (6, 5)), np.ones((2, 3), int)).astype(np.uint16)
    things = np.array([False, True, False, False, True, True, False])  # the last one has no pixel
    # a chain of merges: leaf 0 with 1, that with 2, ...
    parents = np.array([9, 9, 10, 11, 12, 13, 14, 15, 16, 10, 11, 12, 13, 14, 15, 16, 16])
    members = [*({leaf} for leaf in range(9)), *(set(range(top + 2)) for top in range(8))]
    found = node_overlaps(labels, Branches.of(parents), wholes, things)
    assert found.shape == (17, 2)
    for number, leaves in enumerate(members):
        inside = np.isin(labels - 1, list(leaves))
        ratios = {w: (inside & (wholes == w)).sum() / (inside | (wholes == w)).sum() for w in range(1, 6)}
        assert found[number, 0] == pytest.approx(max(ratios[w] for w in (1, 4, 5)))
        assert found[number, 1] == pytest.approx(max(ratios.values()))


@pytest.mark.parametrize(("seed", "kind"), [(SEED, None), (PLAYED, "sport")])
def test_a_scene_gives_its_fair_nodes_and_some_of_the_poor(seed, kind):
    taken = scene_nodes(seed, 192, None)
    chip = made_chip(seed, 192, kind)
    seen = RegionSegmenter().tree_of(chip.image, np.ones((192, 192), bool))
    values = describe_nodes(seen.tree, seen.graph, seen.labels, seen.colour, seen.gradient)
    overlaps = node_overlaps(seen.labels, Branches.of(seen.tree.parents), chip.wholes, chip.things)
    fair, mine = overlaps.max(1) > choice.POOR, taken.overlaps.max(1) > choice.POOR
    np.testing.assert_array_equal(taken.values[mine], values[fair])
    np.testing.assert_array_equal(taken.overlaps[mine], overlaps[fair])
    assert set(taken.weights[mine]) == {1}
    assert set(taken.weights[~mine]) == {np.float32(1 / choice.KEPT)}
    assert abs((~mine).sum() - choice.KEPT * (~fair).sum()) < 4 * np.sqrt(choice.KEPT * (~fair).sum())
    assert {row.tobytes() for row in taken.values} <= {row.tobytes() for row in values}


def test_scenes_of_sensors_unlike_photographs_are_left_out():
    sensors = {seed: made_chip(seed, 64).sensor for seed in range(60)}
    for name in choice.LEFT_OUT:
        seed = next(seed for seed, sensor in sensors.items() if sensor == name)
        assert scene_nodes(seed, 64, None) is None
        with pytest.raises(OptionError, match="none of 1 scenes"):
            draw_nodes([seed], 64, None, 1)


def test_nodes_do_not_depend_on_who_draws_them():
    seeds, ticks = range(8), []
    alone = draw_nodes(seeds, 64, None, 1, lambda: ticks.append(1))
    together = draw_nodes(seeds, 64, None, 2)
    assert len(ticks) == 8
    assert len(alone) == len(alone.values) > 20
    for name, values in vars(alone).items():
        np.testing.assert_array_equal(values, vars(together)[name])


def test_nodes_need_a_network(tmp_path):
    with pytest.raises(CheckpointError, match="geoalps"):
        draw_nodes([SEED], 64, str(tmp_path), 1)


@pytest.mark.usefixtures("often")
def test_the_scorer_learns_what_matches_each_output_its_own(nodes):
    losses = []
    scorer = train_choice(nodes, 0, losses.append)
    assert len(losses) == choice.EPOCHS
    assert losses[-1] < losses[0]
    learnt = outputs(scorer, nodes.values) > 0.5
    thing, whole = nodes.overlaps.T
    truth = {"thing_50": thing >= 0.5, "any_50": whole >= 0.5, "thing_75": thing >= 0.75, "any_75": whole >= 0.75}
    for number, name in enumerate(OUTPUTS):
        right = learnt[:, number] == truth[name]
        wrong = [(learnt[:, number] == truth[other]).mean() for other in OUTPUTS if other != name]
        assert right.mean() > max(*wrong, 0.7), name


def test_the_scorer_is_what_torch_trained(nodes):
    scorer = train_choice(nodes, 0)
    np.testing.assert_allclose(scorer.mean, nodes.values.mean(0), rtol=1e-4)
    np.testing.assert_allclose(scorer.deviation, nodes.values.std(0), rtol=1e-4)
    chances = outputs(scorer, nodes.values)
    np.testing.assert_allclose(scorer(nodes.values), chances[:, [0, 2]].mean(1), atol=1e-5)
    assert [weights.shape for weights, _ in scorer.layers] == [(len(NAMES), 64), (64, 32), (32, 4)]


@pytest.mark.usefixtures("often")
def test_nodes_weigh_as_many_as_they_stand_for(nodes):
    some = Nodes(nodes.values[:3000], nodes.overlaps[:3000], nodes.weights[:3000])
    matched = some.overlaps[:, 0] >= 0.5
    light, heavy = (
        train_choice(Nodes(some.values, some.overlaps, np.where(matched, weight, 1).astype(np.float32)), 0)
        for weight in (0.2, 5.0)
    )
    assert heavy(nodes.values).mean() > light(nodes.values).mean() + 0.1


def test_the_same_seed_gives_the_same_scorer_and_another_one_another(nodes):
    few = Nodes(nodes.values[:300], nodes.overlaps[:300], nodes.weights[:300])
    before = torch.get_rng_state(), torch.get_num_threads()
    one, same, other = (train_choice(few, seed).to_json({}) for seed in (5, 5, 6))
    assert one == same != other
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.get_num_threads()


def test_a_scorer_comes_back_from_its_file(nodes):
    few = Nodes(nodes.values[:300], nodes.overlaps[:300], nodes.weights[:300])
    scorer = train_choice(few, 0)
    again = Scorer.from_json(scorer.to_json({"seed": 0}))
    np.testing.assert_allclose(again(few.values), scorer(few.values), atol=1e-3)


def test_training_on_nothing_is_refused(nodes):
    with pytest.raises(OptionError, match="more scenes"):
        train_choice(Nodes(nodes.values[:0], nodes.overlaps[:0], nodes.weights[:0]), 0)
