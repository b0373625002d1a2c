"""The regions segmenter: superpixels against brute force, the tree against greedy merging, laws of the whole."""

import higra
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import color

from geoalps.errors import OptionError
from geoalps.models import hierarchy
from geoalps.models.descriptors import NAMES
from geoalps.models.hierarchy import RegionGraph, eliminate, merge_tree
from geoalps.models.regions import RegionSegmenter
from geoalps.models.superpixels import basins, fill_invalid, lab

seeds = st.integers(0, 2**32)


def blocks(shape=(160, 200), seed=0):
    """An image of plain rectangles with noise, and their numbers."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, int)
    for i in range(1, 9):
        row, col = rng.integers(0, shape[0] - 40), rng.integers(0, shape[1] - 40)
        truth[row : row + rng.integers(20, 40), col : col + rng.integers(20, 40)] = i
    colours = rng.integers(30, 225, (9, 3))
    return np.clip(colours[truth] + rng.normal(0, 3, (*shape, 3)), 0, 255).astype(np.uint8), truth


def test_lab_is_that_of_scikit_image():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    assert lab(image) == pytest.approx(color.rgb2lab(image).transpose(2, 0, 1), abs=0.02)


@given(seeds)
def test_basins_are_where_steepest_descent_ends(seed):
    rng = np.random.default_rng(seed)
    height, valid = rng.integers(0, 6, (7, 8)).astype(np.float32), rng.random((7, 8)) < 0.85
    labels, count = basins(height, valid)

    def bottom(row, col):
        """The slow way: walk to the lowest (height, position) neighbour until there is none."""
        while True:
            near = [(row, col), (row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
            near = [(r, c) for r, c in near if 0 <= r < 7 and 0 <= c < 8 and valid[r, c]]
            lowest = min(near, key=lambda at: (height[at], at))
            if lowest == (row, col):
                return lowest
            row, col = lowest

    assert ((labels > 0) == valid).all()
    assert count == labels.max(initial=0)
    ends = {}
    for row, col in zip(*np.nonzero(valid), strict=True):
        assert ends.setdefault(labels[row, col], bottom(row, col)) == bottom(row, col)
    assert len(set(ends.values())) == count


def test_nodata_takes_the_nearest_value():
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    valid = np.ones((3, 4), bool)
    valid[0, 0] = False
    assert fill_invalid(values, valid)[0, 0, 0] in (1, 4)
    assert (fill_invalid(values, valid)[0][valid] == values[0][valid]).all()


@given(seeds)
def test_the_graph_counts_every_border(seed):
    rng = np.random.default_rng(seed)
    labels, gradient = rng.integers(0, 5, (6, 7)).astype(np.int32), rng.random((6, 7))
    graph = RegionGraph.from_labels(labels, 4, np.stack([gradient]), gradient)
    want = {}
    for (r, c), label in np.ndenumerate(labels):
        for r2, c2 in ((r + 1, c), (r, c + 1)):
            if r2 < 6 and c2 < 7 and label and labels[r2, c2] and labels[r2, c2] != label:
                pair = tuple(sorted((int(label) - 1, int(labels[r2, c2]) - 1)))
                length, contrast = want.get(pair, (0, 0))
                want[pair] = (length + 1, contrast + max(gradient[r, c], gradient[r2, c2]))
    assert {tuple(edge) for edge in graph.edges.tolist()} == set(want)
    for edge, length, contrast in zip(graph.edges.tolist(), graph.lengths, graph.contrasts, strict=True):
        assert (length, contrast) == pytest.approx(want[tuple(edge)])


def test_reciprocal_neighbours_give_wards_own_tree(monkeypatch):
    """For Ward's cost, and without stars, the tree is the one that higra builds cheapest pair first."""

    def ward(graph):
        one, two = graph.sizes[graph.edges[:, 0]], graph.sizes[graph.edges[:, 1]]
        return one * two / (one + two) * graph.colour_distances() ** 2

    monkeypatch.setattr(hierarchy, "STAR", 0.0)
    rng = np.random.default_rng(3)
    count = 60
    # every pair adjacent: among neighbours only, a merge can bring up a cheaper neighbour, and the trees may differ
    edges = np.stack(np.triu_indices(count, 1), 1)
    sizes = rng.integers(1, 50, count).astype(float)
    ones = np.ones(len(edges))
    graph = RegionGraph(sizes, rng.random((3, count)) * 100 * sizes, edges, np.stack([ones, ones, 0 * ones, 0 * ones]))
    leaves = higra.UndirectedGraph(count)
    leaves.add_edges(graph.edges[:, 0], graph.edges[:, 1])
    tree, altitudes = higra.binary_partition_tree_ward_linkage(
        leaves, graph.means.T.copy(), graph.sizes, altitude_correction="max"
    )
    ours = merge_tree(graph, ward)
    assert np.sort(ours.altitudes) == pytest.approx(np.sort(altitudes))
    for regions in (2, 5, 20, 40):
        theirs = higra.labelisation_horizontal_cut_from_num_regions(tree, altitudes, regions)
        pairs = np.unique(np.stack([ours.cut(regions), theirs]), axis=1)
        assert pairs.shape[1] == regions


@given(seeds, st.integers(1, 40))
def test_cuts_are_nested_and_have_the_regions_asked_for(seed, regions):
    rng = np.random.default_rng(seed)
    labels = np.arange(1, 65, dtype=np.int32).reshape(8, 8)
    graph = RegionGraph.from_labels(labels, 64, rng.random((3, 8, 8)) * 50, rng.random((8, 8)))
    tree = merge_tree(graph)
    fine, coarse = tree.cut(regions + 1), tree.cut(regions)
    assert len(np.unique(coarse)) == regions
    assert np.unique(np.stack([fine, coarse]), axis=1).shape[1] == regions + 1
    assert (np.diff(tree.altitudes[64:]) >= 0).all()
    for group in range(regions):
        assert ndimage.label(coarse.reshape(8, 8) == group)[1] == 1


@given(seeds, st.integers(1, 60))
def test_no_node_of_a_tree_is_lower_than_what_is_below_it(seed, leaves):
    rng = np.random.default_rng(seed)
    nodes = 2 * leaves - 1
    # every node from the first merge on takes two that are there and have no parent
    parents, free = np.full(nodes, nodes - 1), list(range(leaves))
    for node in range(leaves, nodes):
        for _ in range(2):
            parents[free.pop(rng.integers(max(0, len(free) - 3), len(free)))] = node
        free.append(node)
    heights = np.concatenate([np.zeros(leaves), rng.random(leaves - 1)])
    want = heights.copy()
    for node, parent in enumerate(parents):
        want[parent] = max(want[parent], want[node])
    assert (hierarchy._highest_below(parents, heights) == want).all()


def test_islands_are_never_joined():
    labels = np.zeros((5, 5), np.int32)
    labels[0, :2], labels[4, 3:] = [1, 2], [3, 4]
    tree = merge_tree(RegionGraph.from_labels(labels, 4, np.random.default_rng(0).random((3, 5, 5)), np.ones((5, 5))))
    assert np.unique(tree.cut(1)).tolist() == [0, 1]


@given(seeds, st.integers(2, 30))
def test_small_regions_are_eliminated(seed, smallest):
    rng = np.random.default_rng(seed)
    labels = (ndimage.zoom(rng.integers(0, 9, (4, 4)), 4, order=0) + 1).astype(np.int32)
    labels, count = ndimage.label(labels)  # pieces of one label need not touch
    labels = labels.astype(np.int32)
    graph = RegionGraph.from_labels(labels, count, rng.random((3, 16, 16)), rng.random((16, 16)))
    left, group = eliminate(graph, smallest)
    assert left.sizes.sum() == 256
    assert left.sizes.min() >= min(smallest, 256)
    assert (np.bincount(group, graph.sizes) == left.sizes).all()


def test_it_finds_plain_blocks():
    best = []
    for seed in range(12):
        image, truth = blocks(seed=seed)
        segments, _ = RegionSegmenter().segment(image, np.ones(truth.shape, bool))
        index, pixel = segments.pixels(truth.shape[1])
        found = np.zeros(truth.size, int)
        found[pixel] = index + 1
        for i in range(1, 9):
            mask = truth.ravel() == i
            if mask.sum() > 200:
                ids, common = np.unique(found[mask], return_counts=True)
                best.append(max(c / (mask.sum() + (found == j).sum() - c) for j, c in zip(ids, common, strict=True)))
    assert np.mean(np.array(best) > 0.8) > 0.85


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3, 5), (40, 50)])
def test_a_partition_of_the_valid_pixels_of_any_shape(shape):
    rng = np.random.default_rng(1)
    image, valid = rng.integers(0, 256, (*shape, 3), np.uint8), rng.random(shape) < 0.9
    segments, embeddings = RegionSegmenter().segment(image, valid)
    _, pixel = segments.pixels(shape[1])
    assert np.array_equal(np.sort(pixel), np.flatnonzero(valid.ravel()))
    assert segments.areas.min(initial=1) > 0
    assert embeddings.values.shape == (len(segments), len(NAMES))
    assert np.isfinite(embeddings.values).all()
    assert ((segments.scores >= 0) & (segments.scores <= 1)).all()


def test_what_lies_under_nodata_changes_nothing():
    image, truth = blocks()
    valid = np.ones(truth.shape, bool)
    valid[:, :70] = False
    other = image.copy()
    other[:, :70] = 255 - other[:, :70]
    one, two = RegionSegmenter().segment(image, valid), RegionSegmenter().segment(other, valid)
    assert np.array_equal(one[0].runs, two[0].runs)
    assert np.array_equal(one[1].values, two[1].values)


def test_a_plain_image_is_one_region_and_nothing_valid_is_none():
    plain = np.full((50, 50, 3), 90, np.uint8)
    assert len(RegionSegmenter().segment(plain, np.ones((50, 50), bool))[0]) == 1
    assert len(RegionSegmenter().segment(plain, np.zeros((50, 50), bool))[0]) == 0


def test_a_thousand_trees_around_one_soil_take_few_rounds(monkeypatch):
    rounds = []
    costs = RegionGraph.costs
    monkeypatch.setattr(RegionGraph, "costs", lambda graph: rounds.append(1) or costs(graph))
    labels = np.ones((120, 120), np.int32)
    dots = np.zeros((120, 120), bool)
    dots[1::4, 1::4] = True
    labels[dots] = np.arange(2, 2 + dots.sum())
    rng = np.random.default_rng(0)
    values = np.stack([np.where(dots, 20 + rng.random((120, 120)), 60.0)] * 3)
    tree = merge_tree(RegionGraph.from_labels(labels, int(labels.max()), values, dots.astype(float)))
    assert len(np.unique(tree.cut(2))) == 2
    assert len(rounds) < 100


def test_adapting_fixes_one_altitude_for_the_scene():
    image, truth = blocks((200, 240))
    valid = np.ones(truth.shape, bool)
    segmenter = RegionSegmenter(regions_per_mpx=400, choice="cut", affinity=False)
    adapted = segmenter.adapted([(image, valid)])
    assert adapted.altitude is not None
    count = len(adapted.segment(image, valid)[0])
    assert abs(count - 400 * 0.048) <= 2
    assert adapted.adapted([(image[:9, :9], valid[:9, :9])]) is adapted
    assert adapted.identity["options"]["altitude"] == adapted.altitude
    assert segmenter.adapted([]).altitude is None


@pytest.mark.parametrize(
    ("options", "named"),
    [({"regions_per_mpx": 0}, "0"), ({"smallest": 0}, "0"), ({"smoothing": -1}, "-1"), ({"smoothing": 99}, "99")],
)
def test_bad_options_are_refused(options, named):
    with pytest.raises(OptionError, match=named):
        RegionSegmenter(**options)
