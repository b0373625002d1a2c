"""What the affinity network is asked and what its answers make of borders, against loops over pixels; its inference."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.affinities import OFFSETS, STEP, WEIGHTS, parted_pairs, shifted
from geoalps.models.affinity_net import AffinityNet, partings, save_net
from geoalps.models.hierarchy import RegionGraph
from geoalps.models.order import order_costs
from geoalps.models.regions import NET_FILE, SCORER_FILE, RegionSegmenter, crowding

seeds = st.integers(0, 2**32)
sides = st.integers(1, 13)


def answers(rng, height, width):
    """Random partings of a window."""
    return rng.random((len(OFFSETS), -(-height // STEP), -(-width // STEP))).astype(np.float32)


def slow_pairs(labels, told):
    """All parted pairs by a loop: {(smaller, larger): [weight, weighted chance]}."""
    found = {}
    asked = labels[::STEP, ::STEP]
    rows, cols = asked.shape
    for (down, along), weight, chances in zip(OFFSETS, WEIGHTS, told, strict=True):
        for row in range(rows):
            for col in range(cols):
                if not (row + down < rows and 0 <= col + along < cols):
                    continue
                one, two = sorted((int(asked[row, col]), int(asked[row + down, col + along])))
                if one != two and one > 0:
                    sums = found.setdefault((one, two), [0.0, 0.0])
                    sums[0] += weight
                    sums[1] += weight * float(chances[row, col])
    return found


@given(seeds, sides, sides)
def test_pairs_are_those_of_the_slow_way(seed, height, width):
    rng = np.random.default_rng(seed)
    labels, told = rng.integers(0, 4, (height, width)).astype(np.int32), answers(rng, height, width)
    found = {}
    for ones, twos, weight, chances in parted_pairs(labels, told):
        for one, two, chance in zip(ones, twos, chances, strict=True):
            sums = found.setdefault((min(one, two), max(one, two)), [0.0, 0.0])
            sums[0] += weight
            sums[1] += weight * float(chance)
    want = slow_pairs(labels, told)
    assert found.keys() == want.keys()
    assert all(found[pair] == pytest.approx(sums) for pair, sums in want.items())


@given(seeds, st.integers(2, 13), st.integers(2, 13))
def test_a_graph_knows_what_was_said_of_its_borders(seed, height, width):
    rng = np.random.default_rng(seed)
    labels = np.unique(rng.integers(0, 5, (height, width)), return_inverse=True)[1].reshape(height, width) + 1
    labels, told = labels.astype(np.int32), answers(rng, height, width)
    graph = RegionGraph.from_labels(labels, int(labels.max()), rng.random((3, height, width)), np.ones(labels.shape))
    asked, want = graph.asked(labels, told), slow_pairs(labels, told)
    for (one, two), pairs, parted in zip(graph.edges + 1, *asked.borders[2:], strict=True):
        assert (pairs, parted) == pytest.approx(tuple(want.get((int(one), int(two)), (0.0, 0.0))))
    assert np.array_equal(asked.borders[:2], graph.borders[:2])


def test_what_the_network_parts_merges_last():
    labels = np.repeat(np.array([[1, 2, 3]], np.int32), 8, 0).repeat(8, 1)
    graph = RegionGraph.from_labels(labels, 3, np.zeros((3, 8, 24)), np.ones((8, 24)))
    told = np.zeros((len(OFFSETS), 4, 12), np.float32)
    told[:, :, 7:8] = 1  # the pairs that cross the second border begin here
    costs = order_costs(graph.asked(labels, told))
    assert costs[0] < costs[1]
    assert order_costs(graph)[0] == order_costs(graph)[1]


@given(st.integers(3, 9), st.integers(4, 9))
def test_both_ends_of_a_pair_lie_at_its_offset(height, width):
    place = np.arange(height * width).reshape(height, width)
    for down, along in ((0, 1), (1, 0), (2, 3), (1, -2)):
        here, there = shifted(place, (down, along))
        assert (there - here == down * width + along).all()
        assert here.size == (height - down) * (width - abs(along))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(5)
    return AffinityNet(trainable=True).folded()


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (31, 33), (64, 64), (65, 100)])
def test_any_window_gets_an_answer_for_every_asked_pixel(net, shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    told = partings(image, net)
    assert told.shape == (len(OFFSETS), -(-shape[0] // STEP), -(-shape[1] // STEP))
    assert told.dtype == np.float32
    assert ((told > 0) & (told < 1)).all()
    assert np.array_equal(told, partings(image, net))


def test_answers_do_not_depend_on_how_many_threads_torch_has(net):
    image = np.random.default_rng(2).integers(0, 256, (96, 128, 3), np.uint8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = partings(image, net)
        torch.set_num_threads(2)
        assert np.array_equal(partings(image, net), one)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_shipped_network_sees_one_striped_roof_and_two_plain_ones():
    image = np.full((128, 192, 3), 110, np.uint8)
    image += np.random.default_rng(3).integers(0, 8, image.shape, np.uint8)
    stripes = (np.arange(64)[None, :, None] // 4 % 2 * 30).astype(np.uint8)
    image[32:96, 16:80] = 150 + stripes
    image[32:96, 112:140], image[32:96, 146:174] = 200, 200
    told = partings(image, RegionSegmenter().network)[0]  # right-hand neighbours
    inside = told[24:40, 14:34].mean()
    gap = told[24:40, 68:75].max(1).mean()
    assert inside < 0.5 * gap


def test_weights_of_ones_own_are_used_and_named(net, tmp_path):
    save_net(net, tmp_path / NET_FILE, {})
    own = RegionSegmenter(weights=str(tmp_path), choice="cut")
    shipped = RegionSegmenter(choice="cut")
    assert own.identity["models"].keys() == {NET_FILE}
    assert own.identity["models"] != shipped.identity["models"]
    assert RegionSegmenter().identity["models"].keys() == {NET_FILE, SCORER_FILE}
    assert RegionSegmenter(choice="hand", affinity=False).identity["models"] == {}
    image = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(own.segment(image, np.ones((64, 64), bool))[0])
    with pytest.raises(CheckpointError, match=SCORER_FILE):
        _ = RegionSegmenter(weights=str(tmp_path)).identity


@pytest.mark.parametrize(
    ("options", "text"),
    [({"granularity": 0}, "granularity is 0"), ({"granularity": 101}, "101"), ({"choice": "best"}, "'best'")],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(OptionError, match=text):
        RegionSegmenter(**options)


def test_the_dial_goes_from_coarse_to_fine(town):
    image, valid = town
    counts = []
    for granularity in (0.5, 1, 2, 4):
        segmenter = RegionSegmenter(granularity=granularity).adapted([(image, valid)])
        counts.append(len(segmenter.segment(image, valid)[0]))
    assert counts == sorted(counts)
    assert counts[-1] > 1.5 * counts[0]


def test_coarse_pixels_hold_more_regions(town):
    image, valid = town
    fine, coarse = (RegionSegmenter(choice="cut").adapted([town], size) for size in (None, 10.0))
    assert crowding(0.1) == crowding(0.5) == crowding(None) == 1
    assert crowding(10) == pytest.approx(20**0.4)
    ratio = len(coarse.segment(image, valid)[0]) / len(fine.segment(image, valid)[0])
    assert ratio == pytest.approx(20**0.4, rel=0.1)


@pytest.fixture(scope="module")
def town():
    """A made chip of a town, all valid."""
    from geoalps.sample import made_chip

    chip = made_chip(7, 320, "urban", "aerial", 0.3)
    return chip.image, np.ones(chip.wholes.shape, bool)
