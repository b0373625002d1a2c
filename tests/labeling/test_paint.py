"""Painting against painting pixel by pixel, and cores against the whole."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from geoalps.grid import TileGrid, Window
from geoalps.labeling.paint import Shapes, drop_slivers, fill_nearest, paint
from geoalps.segments import Segments


def shapes_of(masks, ranks=None):
    count = len(masks)
    ranks = np.arange(count) if ranks is None else np.array(ranks)
    return Shapes(Segments.from_masks(masks), np.arange(1, count + 1, dtype=np.uint32), ranks)


@given(st.integers(0, 2**32))
def test_like_painting_mask_after_mask(seed):
    rng = np.random.default_rng(seed)
    masks, ranks = rng.random((6, 12, 15)) < 0.2, rng.permutation(6)
    valid = rng.random((12, 15)) < 0.8
    want = np.zeros((12, 15), int)
    for i in np.argsort(ranks):
        want[masks[i]] = i + 1
    want[~valid] = 0
    found = paint(shapes_of(masks, ranks), Window(0, 0, 12, 15), valid, fill=False, sliver=0)
    assert (found == want).all()


@given(st.integers(0, 2**32))
def test_some_lie_over_others_whatever_their_ranks(seed):
    rng = np.random.default_rng(seed)
    masks, ranks = rng.random((6, 12, 15)) < 0.4, rng.permutation(6)
    over = rng.permuted(np.tile(np.arange(6), (5, 1)), axis=1)[:, :2]
    want = np.zeros((12, 15), int)
    for i in np.argsort(ranks):
        want[masks[i]] = i + 1
    for upper, lower in over:
        want[masks[upper] & masks[lower] & (want == lower + 1)] = upper + 1
    shapes = replace(shapes_of(masks, ranks), over=over)
    assert (paint(shapes, Window(0, 0, 12, 15), np.ones((12, 15), bool), fill=False, sliver=0) == want).all()


@given(st.integers(0, 2**32), st.integers(5, 40))
def test_cores_painted_one_by_one_are_the_whole_cut(seed, sliver):
    """With a frame that holds what is decided, every core comes out as in the whole scene."""
    rng = np.random.default_rng(seed)
    shape = (120, 140)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    masks = [
        ((rows - r) ** 2 + (cols - c) ** 2 < size**2)
        for r, c, size in zip(rng.random(60) * 120, rng.random(60) * 140, rng.random(60) * 14, strict=True)
    ]
    shapes = shapes_of([mask for mask in masks if mask.any()])
    valid = np.ones(shape, bool)
    whole = paint(shapes, Window(0, 0, *shape), valid, fill=False, sliver=sliver)
    for tile in TileGrid(shape, 50, 0):
        window = tile.core.pad(3 * sliver + 4).clip(Window(0, 0, *shape))
        part = paint(shapes, window, valid[window.slices()], fill=False, sliver=sliver)
        assert (part[tile.core.slices(window)] == whole[tile.core.slices()]).all()


def test_gaps_go_to_the_nearest_object_and_nodata_stays_uncovered():
    ids = np.zeros((5, 9), np.uint32)
    ids[:, 0], ids[:, 8] = 1, 2
    valid = np.ones((5, 9), bool)
    valid[0] = False
    ids[0] = 0
    filled = fill_nearest(ids, valid)
    assert filled[2].tolist() == [1, 1, 1, 1, filled[2, 4], 2, 2, 2, 2]
    assert (filled[0] == 0).all()
    assert (fill_nearest(np.zeros((3, 3), np.uint32), np.ones((3, 3), bool)) == 0).all()


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_no_piece_below_the_sliver_is_left_beside_a_larger_one(seed, sliver):
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.repeat(rng.integers(1, 4, (6, 6)), 4, 0), 4, 1).astype(np.uint32)
    speckle = rng.random(ids.shape) < 0.03
    ids[speckle] = 9
    cleaned = drop_slivers(ids, sliver)
    assert ((cleaned > 0) == (ids > 0)).all()
    for value in np.unique(cleaned):
        pieces, count = ndimage.label(cleaned == value)
        sizes = np.bincount(pieces.ravel())[1:]
        assert count == 0 or sizes.min() >= sliver


def test_the_longest_border_inherits():
    ids = np.full((6, 8), 1, np.uint32)
    ids[:, 4:] = 2
    ids[2:4, 3] = 7  # beside 1 on four sides, beside 2 on two
    assert (drop_slivers(ids, 4)[2:4, 3] == 1).all()
    assert (drop_slivers(ids, 2) == ids).all()


def test_an_island_without_neighbours_stays():
    ids = np.zeros((9, 9), np.uint32)
    ids[4, 4] = 3
    assert (drop_slivers(ids, 30) == ids).all()
