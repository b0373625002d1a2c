"""The seam index against a count pixel by pixel, and on rasters of which one knows whether they have seams."""

import numpy as np
import pytest
from scipy import ndimage

from geoalps.grid import TileGrid
from geoalps.labeling.seam_index import OFFSETS, seam_index


def of(ids, size):
    return seam_index(lambda window: ids[window.slices()], TileGrid(ids.shape, size, 0))


def blobs(shape, count, seed):
    """Cells around random points: borders everywhere, none on purpose."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, np.int64)
    seeds[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = np.arange(1, count + 1)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)]


def share(ids, size, offset):
    """Differing and all covered pairs across the lines of both axes, moved by an offset; one pair after the other."""
    differ = pairs = 0
    for image in (ids, ids.T):
        for line in range(size, image.shape[1], size):
            col = line + offset
            for one, two in zip(image[:, col - 1], image[:, col], strict=True):
                pairs += one > 0 and two > 0
                differ += one > 0 and two > 0 and one != two
    return differ, pairs


@pytest.mark.parametrize("seed", range(3))
def test_it_is_a_count_of_pairs(seed):
    ids = blobs((200, 300), 150, seed)
    ids[np.random.default_rng(seed).random(ids.shape) < 0.1] = 0
    found = of(ids, 100)
    counted = {offset: share(ids, 100, offset) for offset in OFFSETS}
    on = counted[0][0] / counted[0][1]
    beside = sum(counted[o][0] for o in OFFSETS if o) / sum(counted[o][1] for o in OFFSETS if o)
    assert (found.on, found.beside, found.index) == pytest.approx((on, beside, on / beside))
    moved = []
    for offset in filter(None, OFFSETS):
        others = [counted[o] for o in OFFSETS if o not in (0, offset)]
        mean = sum(d for d, _ in others) / sum(p for _, p in others)
        moved.append(counted[offset][0] / counted[offset][1] / mean)
    assert found.by_chance == pytest.approx(max(moved))


def test_tiles_that_were_never_stitched_stand_out():
    tiles = np.add.outer(np.arange(400) // 100 * 1000, np.arange(400) // 100 * 10_000)
    found = of(blobs((400, 400), 200, 5) + tiles, 100)
    assert found.index > 3 * found.by_chance


def test_without_seams_chance_explains_the_index():
    found = [of(blobs((400, 400), 120, seed), 100) for seed in range(20)]
    assert sum(one.index > one.by_chance for one in found) <= 6  # one of 13 sets of lines is the highest
    assert np.mean([one.index for one in found]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("ids", [np.zeros((200, 200), int), np.ones((200, 200), int)], ids=["uncovered", "one object"])
def test_without_borders_there_is_no_index(ids):
    found = of(ids, 100)
    assert found.index is None
    assert found.by_chance is None


def test_one_tile_has_no_lines():
    found = of(blobs((90, 90), 30, 1), 100)
    assert (found.lines, found.index, found.by_chance) == (0, None, None)
