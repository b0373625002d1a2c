"""The best cut: against all cuts of small trees; node descriptors against masks; model files that must be refused."""

import json
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from test_regions import blocks

from geoalps.errors import CheckpointError
from geoalps.models.branches import Branches
from geoalps.models.choice import Scorer, best_cut, choose, hand_scores, node_values
from geoalps.models.hierarchy import RegionTree
from geoalps.models.nodes import NAMES, describe_nodes
from geoalps.models.regions import SCORER_FILE, RegionSegmenter

seeds = st.integers(0, 2**32)


def shipped_scorer():
    """The scorer that comes with geoalps."""
    return Scorer.from_json((resources.files("geoalps.models") / SCORER_FILE).read_text("utf-8"))


def random_tree(rng, leaves):
    """A binary tree of leaves joined at random, with rising altitudes."""
    parents, free = np.zeros(2 * leaves - 1, np.int64), list(range(leaves))
    for node in range(leaves, 2 * leaves - 1):
        for _ in range(2):
            parents[free.pop(rng.integers(len(free)))] = node
        free.append(node)
    parents[-1] = len(parents) - 1
    return RegionTree(parents, np.concatenate([np.zeros(leaves), np.cumsum(rng.random(leaves - 1) + 0.01)]))


def leaves_below(parents, node):
    """Leaves of a node, the slow way."""
    if node < (len(parents) + 1) // 2:
        return {node}
    return set().union(*(leaves_below(parents, c) for c in np.flatnonzero(parents[:-1] == node)))


def all_cuts(parents, node):
    """Every cut of the tree below a node, as tuples of nodes."""
    cuts = [(node,)]
    if node >= (len(parents) + 1) // 2:
        one, two = np.flatnonzero(parents[:-1] == node)
        cuts += [a + b for a in all_cuts(parents, one) for b in all_cuts(parents, two)]
    return cuts


def pictured(image):
    """A picture's leaves, graph, tree, colour and gradient, as the segmenter makes them."""
    return RegionSegmenter().tree_of(image, np.ones(image.shape[:2], bool))


def described(it):
    """Descriptors of all nodes of a picture."""
    return describe_nodes(it.tree, it.graph, it.labels, it.colour, it.gradient)


@pytest.fixture(scope="module")
def picture():
    return pictured(blocks()[0])


@given(seeds, st.integers(1, 7))
def test_the_best_cut_is_the_best_of_all(seed, leaves):
    rng = np.random.default_rng(seed)
    tree, values = random_tree(rng, leaves), rng.normal(0, 1, 2 * leaves - 1)
    cut = best_cut(Branches.of(tree.parents), values)
    covered = sorted(leaf for node in cut for leaf in leaves_below(tree.parents, node))
    assert covered == list(range(leaves))
    best = max(values[list(other)].sum() for other in all_cuts(tree.parents, 2 * leaves - 2))
    assert values[cut].sum() == pytest.approx(best)


def test_of_values_alike_the_higher_node_stands():
    tree = random_tree(np.random.default_rng(0), 6)
    assert best_cut(Branches.of(tree.parents), np.zeros(11)).tolist() == [10]


@given(seeds, st.integers(2, 40))
def test_branches_sum_and_meet_as_the_slow_way_says(seed, leaves):
    rng = np.random.default_rng(seed)
    tree, values = random_tree(rng, leaves), rng.integers(0, 9, (leaves, 2)).astype(float)
    branches = Branches.of(tree.parents)
    below = [leaves_below(tree.parents, node) for node in range(2 * leaves - 1)]
    assert (branches.total(values) == [values[sorted(held)].sum(0) for held in below]).all()
    one, two = rng.integers(0, leaves, (2, 12))
    one, two = one[one != two], two[one != two]
    lowest = [min(n for n, held in enumerate(below) if {a, b} <= held) for a, b in zip(one, two, strict=True)]
    assert branches.meetings(one, two).tolist() == lowest


@given(seeds, st.integers(2, 30))
def test_a_cautious_choice_is_the_horizontal_cut(seed, leaves):
    rng = np.random.default_rng(seed)
    tree, scores = random_tree(rng, leaves), rng.random(2 * leaves - 1).astype(np.float32)
    altitude = float(rng.uniform(0.02, tree.altitudes[-1]))
    # log altitudes of neighbours in the tree differ by more than 1e-6 here, and the values by a factor below 5
    chosen = choose(tree, np.ones(leaves), scores, altitude, caution=1e8)
    assert np.array_equal(chosen, tree.cut(tree.count_above(altitude)))


def test_islands_are_never_one_thing():
    tree = RegionTree(np.array([2, 2, 2]), np.array([0.0, 0.0, np.inf]))
    assert node_values(tree, np.array([3.0, 4.0, 7.0]), np.ones(3, np.float32), 1.0)[2] == 0
    assert choose(tree, np.array([3.0, 4.0]), np.ones(3, np.float32), 1.0).tolist() == [0, 1]


def test_the_groups_of_a_choice_are_the_nodes_of_the_cut(picture):
    tree, sizes = picture.tree, picture.graph.sizes
    scores = np.random.default_rng(1).random(len(tree.parents)).astype(np.float32)
    group, branches = choose(tree, sizes, scores, 50.0), Branches.of(tree.parents)
    cut = best_cut(branches, node_values(tree, branches.total(sizes[:, None])[:, 0], scores, 50.0))
    for number, node in enumerate(cut[:20]):
        assert set(np.flatnonzero(group == number)) == leaves_below(tree.parents, node)
    assert group.max() + 1 == len(cut)


def test_descriptors_of_nodes_are_those_of_their_masks(picture):
    values = described(picture)
    assert values.shape == (len(picture.tree.parents), len(NAMES))
    assert np.isfinite(values).all()
    light, strength = picture.colour, picture.gradient
    row, col = np.indices(picture.labels.shape)
    for node in np.random.default_rng(2).integers(0, len(values) - 1, 12):
        mask = np.isin(picture.labels - 1, sorted(leaves_below(picture.tree.parents, node)))
        got = dict(zip(NAMES, values[node], strict=True))
        framed = np.pad(mask, 1)
        outline = (framed[1:] != framed[:-1]).sum() + (framed[:, 1:] != framed[:, :-1]).sum()
        height, width = np.ptp(row[mask]) + 1, np.ptp(col[mask]) + 1
        assert got["fill"] == pytest.approx(mask.sum() / (height * width), rel=1e-5)
        assert got["raggedness"] == pytest.approx(outline / (2 * (height + width)), rel=1e-5)
        spread = np.cov(np.stack([row[mask], col[mask]]), bias=True) + np.eye(2) / 12
        small, large = np.linalg.eigvalsh(spread)
        assert got["elongation"] == pytest.approx(np.log(large / max(small, 1 / 24)) / 2, abs=1e-4)
        sides = []
        for axis in (0, 1):
            near, far = (np.moveaxis(mask, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
            g = np.moveaxis(strength, axis, 0)
            sides.append(np.maximum(g[1:], g[:-1])[near != far])
        border, inner = np.concatenate(sides).mean() + 0.5, strength[mask].mean() + 0.5
        assert got["border"] == pytest.approx(np.log(border), abs=1e-4)
        assert got["border_to_inner"] == pytest.approx(np.log(border / inner), abs=1e-4)
        own = np.sqrt(light[:, mask].var(1).sum()) + 1
        assert got["ring"] - got["ring_to_own"] == pytest.approx(np.log(own), abs=1e-3)


def test_descriptors_of_what_two_windows_see_are_the_same():
    # plain discs far apart: what lies beyond the grey between them is nobody's business
    image = np.full((90, 260, 3), 120, np.uint8)
    row, col = np.indices((90, 260))
    for centre, colour in ((45, 30), (130, 200), (215, 60)):
        image[(row - 45) ** 2 + (col - centre) ** 2 < 18**2] = colour
    noise = np.random.default_rng(3).integers(0, 6, image.shape, np.uint8)
    image += noise
    whole, part = pictured(image), pictured(np.ascontiguousarray(image[:, 60:200]))
    disc = (row - 45) ** 2 + (col - 130) ** 2 < 17**2

    def inside(it, mask):
        """Descriptors, without those of relatives, of all leaves that lie in a mask."""
        held = [n for n in np.unique(it.labels[mask]) if mask[it.labels == n].all()]
        own = [n for n, name in enumerate(NAMES) if not name.startswith(("parent", "grandparent", "sibling"))]
        kept = [n for n in own if NAMES[n] not in {"persistence", "long_persistence", "colour_to_sibling"}]
        kept = [n for n in kept if NAMES[n] != "border_with_sibling"]
        return described(it)[np.array(held) - 1][:, kept]

    one, two = inside(whole, disc), inside(part, disc[:, 60:200])
    assert len(one) > 3
    assert one == pytest.approx(two, rel=1e-4, abs=1e-4)


def test_scores_are_the_same_again_and_in_range(picture):
    values = described(picture)
    for scores in (shipped_scorer()(values), hand_scores(values)):
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.std() > 0.01
    assert np.array_equal(shipped_scorer()(values), shipped_scorer()(described(picture)))


def test_the_choice_finds_plain_blocks():
    image, truth = blocks(seed=4)
    it = pictured(image)
    heights = np.sort(it.tree.altitudes)
    group = choose(it.tree, it.graph.sizes, shipped_scorer()(described(it)), float(heights[-30]))
    found = group[it.labels - 1]
    pieces, count = ndimage.label(truth == 8)
    assert count
    mask = pieces == 1
    both = np.bincount(found[mask], minlength=group.max() + 1)
    assert (both / (np.bincount(found.ravel()) + mask.sum() - both)).max() > 0.8


def a_model():
    """A model file's content."""
    wide = len(NAMES)
    layers = (
        (np.ones((wide, 3), np.float32), np.zeros(3, np.float32)),
        (np.ones((3, 4), np.float32), np.zeros(4, np.float32)),
    )
    return json.loads(Scorer(np.zeros(wide, np.float32), np.ones(wide, np.float32), layers).to_json({"seed": 1}))


def test_a_model_file_read_again_scores_alike(picture):
    text = shipped_scorer().to_json({})
    assert len(text) < 1e6
    assert np.array_equal(Scorer.from_json(text)(described(picture)), shipped_scorer()(described(picture)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: held["layers"][0]["weights"].pop(),
        lambda held: held["layers"][0]["bias"].append(1.0),
        lambda held: held["layers"][1]["weights"][0].__setitem__(0, float("nan")),
        lambda held: held["mean"].pop(),
        lambda held: held["deviation"].__setitem__(0, 0.0),
        lambda held: held["deviation"].__setitem__(0, float("inf")),
        lambda held: held["descriptors"].__setitem__(0, "colour"),
        lambda held: held.pop("layers"),
        lambda held: held.__setitem__("layers", []),
        lambda held: held["layers"][0]["weights"][0].append("x"),
    ],
)
def test_a_damaged_model_file_is_refused(damage):
    held = a_model()
    Scorer.from_json(json.dumps(held))
    damage(held)
    with pytest.raises(CheckpointError):
        Scorer.from_json(json.dumps(held))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"descriptors": 3}'])
def test_what_is_no_model_file_is_refused(text):
    with pytest.raises(CheckpointError):
        Scorer.from_json(text)


def test_the_ordered_tree_rises_and_stands_at_the_plain_costs(picture):
    tree, graph = picture.tree, picture.graph
    assert (tree.altitudes[tree.parents] >= tree.altitudes).all()
    leaves = len(graph)
    one, two = Branches.of(tree.parents).children.T
    for node in np.random.default_rng(5).integers(leaves, 2 * leaves - 1, 10):
        below = [sorted(leaves_below(tree.parents, child[node - leaves])) for child in (one, two)]
        group = np.arange(leaves) + 2  # all others apart from one another
        group[below[0]], group[below[1]] = 0, 1
        kept, group = np.unique(group, return_inverse=True)
        merged = graph.merge(group.astype(np.int64), len(kept))
        cost = merged.costs()[(merged.edges == (0, 1)).all(1)].item()
        lower = max(tree.altitudes[one[node - leaves]], tree.altitudes[two[node - leaves]])
        assert tree.altitudes[node] == pytest.approx(max(cost, lower))


def test_one_region_and_islands_have_descriptors_and_a_cut():
    image, valid = blocks()[0], np.zeros((160, 200), bool)
    for part in (np.s_[:1, :1], np.s_[100:120, 100:130]):
        valid[part] = True
        it = RegionSegmenter().tree_of(image, valid)
        tree, values = it.tree, described(it)
        assert np.isfinite(values).all()
        group = choose(tree, it.graph.sizes, shipped_scorer()(values), 1e9)
        assert group.max() + 1 == (1 if valid.sum() == 1 else 2)
