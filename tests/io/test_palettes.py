"""Colours of classes: near what the scene shows, apart to every eye, and the same whatever the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoalps.errors import OptionError
from geoalps.io.oklab import VISIONS, oklab, seen, srgb
from geoalps.io.palettes import (
    APART,
    ASKED,
    CALM,
    CAREFUL,
    DARKEST,
    GREY,
    HUE_REACH,
    LEFT,
    MEDIAN_CHROMA,
    MOST_STRETCH,
    MUTED,
    PALEST,
    RAREST,
    SLIP,
    _lattice,
    class_colours,
    palette,
)

SCENE = np.array(
    [
        (38, 58, 82), (52, 76, 70), (48, 72, 44), (70, 92, 58), (98, 118, 76), (128, 140, 92), (150, 128, 98),
        (176, 152, 118), (122, 96, 78), (164, 104, 84), (132, 72, 60), (96, 96, 98), (128, 127, 126), (164, 164, 166),
        (206, 204, 200), (30, 30, 32),
    ],
    np.uint8,
)  # fmt: skip
"""Water, dark and green; woods and meadows; soils; roofs; asphalt, concrete and shadow."""
SHARES = np.array([20, 5, 18, 12, 9, 7, 6, 4, 3, 3, 2, 4, 3, 2, 1, 1.0])


def scenes(most=24):
    """Means and weights of up to so many classes."""
    counts = st.integers(0, most)
    weights = st.floats(0, 1e12) | st.integers(0, 3).map(float)
    return counts.flatmap(lambda k: st.tuples(arrays(np.uint8, (k, 3)), arrays(float, k, elements=weights)))


def rows(colours):
    return [tuple(map(int, colour)) for colour in colours]


def apart(colours):
    """(k, k) least distance over the eyes, each by what is asked of it; inf to itself."""
    looks = seen(colours)
    distance = np.linalg.norm(looks[:, None] - looks, axis=-1) / [ASKED[eyes] for eyes in VISIONS]
    return distance.min(-1) + np.diag(np.full(len(colours), np.inf))


def turn(colour, other):
    """Angle in the plane of hues between two (k, 3) OKLab, in radians."""
    one, two = ((lab[:, 1] + 1j * lab[:, 2]) for lab in (colour, other))
    return np.abs(np.angle(one * two.conj()))


@settings(max_examples=30, deadline=None)
@given(scenes(), st.randoms())
def test_colours_go_with_their_classes(scene, random):
    means, weights = scene
    order = np.array(random.sample(range(len(means)), len(means)), int)
    colours, moved = class_colours(means, weights), class_colours(means[order], weights[order])

    def by_class(means, weights, colours):
        """Classes that are equal in all may swap their colours."""
        return sorted(zip(rows(means), weights.tolist(), rows(colours), strict=True))

    assert by_class(means, weights, colours) == by_class(means[order], weights[order], moved)


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_colours_differ_and_show_on_a_page(scene):
    colours = class_colours(*scene)
    assert (colours.shape, colours.dtype) == (scene[0].shape, np.uint8)
    assert len(set(rows(colours))) == len(colours)
    lightness = oklab(colours)[:, 0]
    assert ((lightness > DARKEST - 0.01) & (lightness < PALEST + 0.01)).all()


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_a_hue_is_kept_where_there_is_one(scene):
    means, colours = oklab(scene[0]), oklab(class_colours(*scene))
    chroma = np.hypot(means[:, 1], means[:, 2])
    sure = chroma > 3 * GREY
    most = HUE_REACH + np.arcsin(np.minimum(1, GREY / np.maximum(chroma, GREY))) + np.radians(3)  # of 8 bits
    assert (turn(means, colours) <= most)[sure].all()


@settings(max_examples=20, deadline=None)
@given(st.integers(-20, 20), scenes(12))
def test_the_unit_of_the_weights_does_not_matter(power, scene):
    means, weights = scene
    weights = weights.round()
    assert rows(class_colours(means, weights)) == rows(class_colours(means, weights * 2.0**power))


def test_water_is_blue_woods_are_green_and_roofs_are_red():
    colours = class_colours(SCENE, SHARES).astype(int)
    red, green, blue = colours.T
    assert blue[0] > green[0] > red[0]
    assert (green[2:5] > np.maximum(red, blue)[2:5]).all()
    assert (red[6:11] > green[6:11]).all()
    assert (green[6:11] > blue[6:11]).all()
    # what has no hue gets none that is loud
    assert (np.ptp(colours[11:], axis=1) < 70).all()


def test_classes_of_a_scene_can_be_told_apart_by_every_eye():
    distance = apart(class_colours(SCENE, SHARES))
    assert distance.min() > 0.7 * APART
    assert apart(SCENE).min() < 0.3 * APART
    assert np.median(distance.min(1)) > 0.8 * APART


@pytest.mark.parametrize("step", [(8, 10, 7), (3, 3, 3), (1, 2, 1)])
def test_six_meadows_can_be_told_apart_and_stay_green(step):
    means = np.array([[60 + i * step[0], 90 + i * step[1], 50 + i * step[2]] for i in range(6)], np.uint8)
    colours = class_colours(means, np.ones(6))
    assert apart(colours).min() > 0.8 * APART
    assert turn(oklab(means), oklab(colours)).max() < HUE_REACH + np.radians(12)


def test_greys_stay_muted_and_apart():
    means = np.repeat(np.arange(60, 220, 20, np.uint8)[:, None], 3, axis=1)
    colours = class_colours(means, np.ones(8))
    lab = oklab(colours)
    assert np.hypot(lab[:, 1], lab[:, 2]).max() < 0.06
    assert apart(colours).min() > 0.7 * APART


def test_lighter_classes_are_lighter_on_the_map_as_a_rule():
    lightness = oklab(SCENE)[:, 0], oklab(class_colours(SCENE, SHARES))[:, 0]
    ranks = [np.argsort(np.argsort(values)) for values in lightness]
    assert np.corrcoef(ranks)[0, 1] > 0.7


def aims():
    """Lightness, chroma and hue that the classes of SCENE should have, as the module's docstring says."""
    lightness, a, b = oklab(SCENE).T
    colour = a + 1j * b
    stretched = np.interp(lightness, [lightness.min(), lightness.max()], [DARKEST, PALEST])
    assert (PALEST - DARKEST) / np.ptp(lightness) < MOST_STRETCH
    gain = min(MOST_STRETCH, max(1, MEDIAN_CHROMA / np.median(np.abs(colour))))
    chroma = gain * np.abs(colour)
    return stretched, chroma / np.hypot(1, chroma / CALM), np.angle(colour)


def objective(i, colours, every):
    """(n,) what the docstring minimises, as far as class i has a part in it, were it each of n colours."""
    lightness, chroma, hue = (values[i] for values in aims())
    lab = oklab(every)
    own, turned = np.hypot(lab[:, 1], lab[:, 2]), np.angle((lab[:, 1] + 1j * lab[:, 2]) * np.exp(-1j * hue))
    along = 2 * np.sqrt(own * chroma) * np.sin(np.abs(turned) / 2)
    slips = np.column_stack([lab[:, 0] - lightness, own - chroma, along]) / SLIP
    mean = np.hypot(*oklab(SCENE[i : i + 1])[0, 1:])
    reach = HUE_REACH + np.arcsin(GREY / mean) if mean > GREY else np.pi
    allowed = (np.abs(turned) <= reach) & (own <= chroma + MUTED) & (own >= LEFT * chroma)
    cost = np.where(allowed, (slips**2).sum(1), np.inf)
    there = seen(every)
    for j in set(range(len(colours))) - {i}:
        looks = np.linalg.norm(there - seen(colours[j : j + 1]), axis=-1) / list(ASKED.values())
        priority = RAREST + (1 - RAREST) * np.sqrt(SHARES[j] / SHARES.max())
        cost += priority * (APART / np.maximum(looks.min(1), 1e-3)) ** 6
    return cost


def test_no_class_has_a_better_place():
    """The same objective, written anew: where all others stay, each class has the best colour that there is for it."""
    colours, (every, _) = class_colours(SCENE, SHARES), _lattice()
    for i in range(len(SCENE)):
        here, best = objective(i, colours, colours[i : i + 1])[0], objective(i, colours, every).min()
        assert here < best + 1e-4, i


def test_commoner_classes_are_placed_nearer_to_their_aims():
    """Of two classes alike, the common one keeps the look that it has alone."""
    means = np.array([(70, 100, 60), (70, 100, 60), (40, 60, 90), (180, 160, 130)], np.uint8)
    alone = oklab(class_colours(means[1:], np.ones(3)))[0]
    common, rare = oklab(class_colours(means, np.array([1.0, 100, 10, 10])))[[1, 0]]
    assert np.linalg.norm(common - alone) < np.linalg.norm(rare - alone)


def test_taken_colours_are_kept_clear_of():
    first = class_colours(SCENE[:8], SHARES[:8])
    second = class_colours(SCENE[:8], SHARES[:8], taken=first)
    assert apart(np.concatenate([first, second])).min() > 0.4 * APART
    assert rows(class_colours(SCENE, SHARES, taken=first[:0])) == rows(class_colours(SCENE, SHARES))
    many = class_colours(np.repeat(SCENE, 20, axis=0), np.ones(320), taken=first)
    assert len(set(rows(np.concatenate([many, first])))) == 328


@pytest.mark.parametrize("mean", [(0, 0, 0), (255, 255, 255), (255, 255, 0), (0, 0, 255), (90, 92, 60)])
def test_as_many_as_are_placed_differ_though_all_are_alike(mean):
    colours = class_colours(np.full((CAREFUL, 3), mean, np.uint8), np.ones(CAREFUL))
    assert len(set(rows(colours))) == CAREFUL
    assert apart(colours).min() > 0.015
    lab, own = oklab(colours), oklab(np.array([mean], np.uint8))
    chroma = np.hypot(*own[0, 1:])
    if chroma > GREY:  # however great the crowd, blue stays blue
        assert turn(lab, own).max() < HUE_REACH + np.arcsin(GREY / chroma) + np.radians(3)
    else:
        assert np.hypot(lab[:, 1], lab[:, 2]).max() < MUTED + 0.005


@pytest.mark.parametrize("kind", ["any", "alike", "black and a white one"])
@pytest.mark.parametrize("k", [CAREFUL + 1, 3000, 65535])
def test_many_classes_all_differ(k, kind):
    rng = np.random.default_rng(k)
    means = rng.integers(0, 256, (k, 3)).astype(np.uint8) * (kind == "any")
    means[0] = 255 * (kind == "black and a white one")
    colours = class_colours(means, np.arange(k, dtype=float))
    assert len(np.unique(colours, axis=0)) == k
    assert oklab(colours)[:, 0].min() > DARKEST - 0.05
    order = rng.permutation(k)
    assert (class_colours(means[order], order.astype(float)) == colours[order]).all()


def test_many_classes_follow_their_means():
    means = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(np.uint8)
    lab, colours = oklab(means), oklab(class_colours(means, np.ones(500)))
    sure = np.hypot(lab[:, 1], lab[:, 2]) > 0.08
    assert np.median(turn(lab, colours)[sure]) < HUE_REACH


def test_no_class_has_no_colour():
    assert class_colours(np.zeros((0, 3), np.uint8), np.zeros(0)).shape == (0, 3)


@pytest.mark.parametrize(
    ("means", "weights", "taken", "text"),
    [
        (np.zeros((2, 3)), np.ones(2), None, "means are float64"),
        (np.zeros((2, 4), np.uint8), np.ones(2), None, r"means are uint8 \(2, 4\)"),
        (np.zeros(3, np.uint8), np.ones(1), None, "means are"),
        (np.zeros((65536, 3), np.uint8), np.ones(65536), None, "at most 65535"),
        (np.zeros((2, 3), np.uint8), np.ones(3), None, r"weights are \(3,\); want \(2,\)"),
        (np.zeros((2, 3), np.uint8), np.array([1, np.nan]), None, "finite"),
        (np.zeros((2, 3), np.uint8), np.array([1, np.inf]), None, "finite"),
        (np.zeros((2, 3), np.uint8), np.array([1, -1.0]), None, "none negative"),
        (np.zeros((2, 3), np.uint8), np.ones(2), np.zeros((1, 3)), "colours taken are float64"),
        (np.zeros((2, 3), np.uint8), np.ones(2), np.zeros((65534, 3), np.uint8), "at most 65533"),
    ],
)
def test_what_is_no_scene_is_refused(means, weights, taken, text):
    with pytest.raises(OptionError, match=text):
        class_colours(means, weights, taken)


def test_oklab_there_and_back():
    colours = np.concatenate([palette(2000), np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.uint8)])
    back, _ = srgb(oklab(colours))
    assert np.abs(back.astype(int) - colours).max() <= 1
    # published by its author: https://bottosson.github.io/posts/oklab/
    assert srgb(np.array([[1.0, 0.4, 0]]))[1].tolist() == [False]


def test_eyes_see_greys_alike_and_colours_by_their_cones():
    greys = np.repeat(np.arange(0, 256, 15, np.uint8)[:, None], 3, axis=1)
    looks = seen(greys)
    assert np.abs(looks - looks[:, :1]).max() < 2e-3
    assert np.allclose(seen(palette(50))[:, 0], oklab(palette(50)))
    red_green = seen(np.array([[200, 60, 40], [110, 110, 30]], np.uint8))
    blue_green = seen(np.array([[0, 150, 200], [0, 155, 150]], np.uint8))
    normal, deuteranope, protanope, tritanope = range(4)

    def between(pair, eyes):
        return np.linalg.norm(pair[0, eyes] - pair[1, eyes])

    assert between(red_green, deuteranope) < 0.5 * between(red_green, normal)
    assert between(red_green, protanope) < 0.8 * between(red_green, normal)
    assert between(blue_green, tritanope) < 0.5 * between(blue_green, normal)
