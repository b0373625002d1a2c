"""Made scenes: the same pixels however they are asked for, and truth that fits them."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import find_objects
from skimage.draw import polygon2mask

from geoalps.errors import OptionError
from geoalps.grid import Window
from geoalps.sample import CLASSES, SampleScene, SampleWindow
from geoalps.sample.canvas import Canvas
from geoalps.sample.light import TALLEST, Light
from geoalps.sample.noise import chance, hash32, value_noise
from geoalps.sample.plan import Plan, U, V
from geoalps.sample.scene import PIECE


@pytest.fixture(scope="module")
def scene() -> SampleScene:
    return SampleScene((2048, 2048), seed=1)


@pytest.fixture(scope="module")
def whole(scene: SampleScene) -> SampleWindow:
    return scene.read(scene.window)


def assert_same(got: SampleWindow, whole: SampleWindow, window: Window) -> None:
    view = window.slices()
    np.testing.assert_array_equal(got.rgb, whole.rgb[view])
    np.testing.assert_array_equal(got.classes, whole.classes[view])
    np.testing.assert_array_equal(got.instances, whole.instances[view])


def test_shapes_and_dtypes(scene: SampleScene) -> None:
    made = scene.read(Window(10, 20, 74, 148))
    assert made.rgb.shape == (64, 128, 3)
    assert made.rgb.dtype == np.uint8
    assert made.classes.shape == made.instances.shape == (64, 128)
    assert (made.classes.dtype, made.instances.dtype) == (np.uint8, np.uint32)


@pytest.mark.parametrize(
    "window",
    [
        Window(0, 0, 300, 2048),
        Window(700, 400, 1300, 1100),
        Window(1023, 1023, 1026, 1026),
        Window(1501, 733, 1502, 1400),
        Window(2000, 1900, 2048, 2048),
    ],
)
def test_windows_equal_the_whole(scene: SampleScene, whole: SampleWindow, window: Window) -> None:
    assert_same(scene.read(window), whole, window)


def test_small_windows_tile_the_whole(scene: SampleScene, whole: SampleWindow) -> None:
    for row in range(900, 1200, 100):
        for col in range(850, 1150, 75):
            window = Window(row, col, row + 100, col + 75)
            assert_same(scene.read(window), whole, window)


def test_a_scene_is_the_corner_of_larger_ones(whole: SampleWindow) -> None:
    small = SampleScene((640, 512), seed=1)
    assert_same(small.read(small.window), whole, small.window)


def test_deterministic_and_different_by_seed() -> None:
    def digest(seed: int) -> str:
        made = SampleScene((256, 256), seed=seed).read(Window(0, 0, 256, 256))
        return hashlib.sha256(made.rgb.tobytes() + made.instances.tobytes()).hexdigest()

    assert digest(5) == digest(5)
    assert digest(5) != digest(6)


def test_negative_and_huge_seeds() -> None:
    for seed in (-1, 2**40 + 3):
        assert SampleScene((64, 64), seed=seed).read(Window(0, 0, 64, 64)).rgb.std() > 1


def test_every_class_occurs(whole: SampleWindow) -> None:
    count = np.bincount(whole.classes.ravel(), minlength=len(CLASSES))
    assert len(count) == len(CLASSES)
    assert count.min() > 100, dict(zip(CLASSES, count.tolist(), strict=True))


def test_ids_are_unique(whole: SampleWindow) -> None:
    """An id belongs to one class, and a small thing's pixels lie together: no two cells gave the same id."""
    ids, index = np.unique(whole.instances, return_inverse=True)
    index = index.reshape(whole.instances.shape)
    pairs = np.unique(index.astype(np.int64) * len(CLASSES) + whole.classes)
    index_of_pair, class_of_pair = np.divmod(pairs, len(CLASSES))
    assert len(ids) > 500
    assert ids[0] == 0
    assert np.bincount(index_of_pair[index_of_pair > 0]).max() == 1
    reach = {"vehicle": 60, "tree": 50, "ship": 280, "building": 700}
    boxes = find_objects(index)
    for i, k in zip(index_of_pair, class_of_pair, strict=True):
        if i and CLASSES[k] in reach:
            assert max(side.stop - side.start for side in boxes[i - 1]) < reach[CLASSES[k]]


def test_instances_cover_their_classes(whole: SampleWindow) -> None:
    for name in ("building", "field", "tree", "water", "vehicle", "ship"):
        assert (whole.instances[whole.classes == CLASSES.index(name)] > 0).all(), name
    assert (whole.instances[whole.classes == 0] == 0).all()


def test_truth_lies_on_its_pixels(whole: SampleWindow) -> None:
    """Water is bluish, trees are green, fields bright; the image changes along the truth's borders, not beside them."""
    rgb = whole.rgb.astype(float)

    def mean(name: str) -> np.ndarray:
        return rgb[whole.classes == CLASSES.index(name)].mean(0)

    water, tree, field = mean("water"), mean("tree"), mean("field")
    assert water[2] > water[0]
    assert tree[1] > max(tree[0], tree[2])
    assert field.sum() > 1.3 * tree.sum()

    for axis in (0, 1):
        step = np.abs(np.diff(rgb, axis=axis)).sum(2)
        border = np.diff(whole.instances.astype(np.int64), axis=axis) != 0
        beside = [step[np.roll(border, shift, axis)].mean() for shift in (-3, -2, 2, 3)]
        assert step[border].mean() > 1.3 * max(beside)


def test_no_border_follows_the_pieces(whole: SampleWindow) -> None:
    step = np.abs(np.diff(whole.rgb.astype(float), axis=1)).mean((0, 2))
    assert step[PIECE - 1] < 1.15 * np.median(step)


def test_memory_is_that_of_a_window() -> None:
    """A window far out in a huge scene takes what one in a small scene takes."""

    def peak(scene: SampleScene, window: Window) -> int:
        tracemalloc.start()
        scene.read(window)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    far = peak(SampleScene((20000, 20000), seed=2), Window(19000, 19000, 19128, 19128))
    assert far < 120e6
    near = peak(SampleScene((512, 512), seed=2), Window(0, 0, 128, 128))
    assert far < 2 * near + 20e6


@pytest.mark.parametrize("pixel_size", [0.1, 1.0, 2.0])
def test_other_pixel_sizes(pixel_size: float) -> None:
    scene = SampleScene((200, 320), seed=4, pixel_size=pixel_size)
    made = scene.read(scene.window)
    part = Window(50, 60, 120, 200)
    assert made.rgb.std() > 5
    assert_same(scene.read(part), made, part)


@pytest.mark.parametrize(
    ("shape", "pixel_size"), [((0, 100), 0.3), ((100, 100), 0.01), ((100, 100), 5.0), ((10**6, 10**6), 0.3)]
)
def test_refuses(shape: tuple[int, int], pixel_size: float) -> None:
    with pytest.raises(OptionError):
        SampleScene(shape, pixel_size=pixel_size)


def test_refuses_windows_outside() -> None:
    with pytest.raises(OptionError, match="reaches out"):
        SampleScene((100, 100)).read(Window(0, 0, 100, 101))


def test_chance_is_hash32_for_one_place() -> None:
    for key, row, col in ((0, 0, 0), (7, -3, 12), (2**32 - 1, 10**6, -(10**6)), (123456, 5, -1)):
        one = hash32(np.array([row], np.int64), np.array([col], np.int64), key)[0]
        assert chance(key, row, col) == int(one) / 2**32


def test_noise_is_smooth_and_within_bounds() -> None:
    noise = value_noise(Window(-50, -70, 250, 230), 20.0, 3)
    assert np.abs(noise).max() <= 1
    assert np.abs(np.diff(noise, axis=0)).max() < 2 * 1.5 / 20 + 1e-6
    np.testing.assert_array_equal(noise[60:90, 100:180], value_noise(Window(10, 30, 40, 110), 20.0, 3))


def test_fill_is_even_odd_on_pixel_centres() -> None:
    rng = np.random.default_rng(0)
    window = Window(0, 0, 60, 80)
    canvas = Canvas(window, 1.0, 0)
    for corners in (3, 4, 9):
        outline = rng.uniform(-10, 90, (corners, 2)) + 0.0123
        mask = np.zeros(window.area, bool)
        mask[canvas.fill(outline)] = True
        # polygon2mask takes (row, col) with pixel centres on whole numbers.
        np.testing.assert_array_equal(mask.reshape(window.shape), polygon2mask(window.shape, outline[:, ::-1] - 0.5))


def test_shadow_by_brute_force() -> None:
    light = Light(seed=3, pixel=1.0)
    height = np.zeros((90, 90), np.float32)
    height[40:50, 40:50] = 12.0
    dark = light.lit(height) < 0.5
    dx, dy = light.towards
    rows, cols = np.mgrid[0:90, 0:90]
    want = np.zeros_like(dark)
    for metres in np.arange(0, 12, 0.02):
        row, col = np.rint(rows + dy * metres).astype(int), np.rint(cols + dx * metres).astype(int)
        inside = (row >= 0) & (row < 90) & (col >= 0) & (col < 90)
        want |= np.where(inside, height[row.clip(0, 89), col.clip(0, 89)], 0) > height + metres
    # The ray is rounded to whole pixels in other places: borders may differ by a pixel or two.
    assert (dark & want).sum() > 0.85 * (dark | want).sum()
    assert want.sum() > 50
    assert not dark[height > 0].any()


def test_nothing_is_taller_than_shadows_reach(scene: SampleScene) -> None:
    from geoalps.sample.districts import content

    plan = Plan(scene.seed)
    for i, j in plan.cells((0, 0, 600, 600)):
        things = content(plan, i, j)
        roofs = [
            b.eaves + b.slope * b.width / 2 + 0.5 + max((d.rise for d in b.details), default=0) for b in things.blocks
        ]
        assert max([*roofs, *things.trees[:, 3] * 1.2]) < TALLEST


def test_neighbouring_cells_share_their_side() -> None:
    plan = Plan(11)
    at = np.linspace(0, 1, 5)
    np.testing.assert_allclose(plan.side(2, 3, U, at)[-1], plan.side(3, 3, U, at)[0])
    np.testing.assert_allclose(plan.side(2, 3, V, at)[-1], plan.side(2, 4, V, at)[0])
