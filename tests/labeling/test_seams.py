"""Seams: made situations decided one by one, and laws over random scenes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoalps.grid import TileGrid, Window
from geoalps.labeling.paint import Shapes, paint
from geoalps.labeling.seams import LOST, PIECES, WHOLE, Objects, Sight, forward_neighbours, match, overlaps, stitch
from geoalps.segments import Segments


def seen(grid, masks):
    """What a segmenter that finds exactly these masks of the whole scene sees in every tile."""
    found = []
    for tile in grid:
        parts = [mask[tile.window.slices()] for mask in masks]
        found.append(Segments.from_masks([part for part in parts if part.any()]))
    return found


def stitched(grid, segments, order=None):
    tiles = list(grid)
    number = {tile: i for i, tile in enumerate(tiles)}
    sights = [Sight.of(tile, part, grid.scene) for tile, part in zip(tiles, segments, strict=True)]
    matches = [
        (number[tile], number[other], match(tile, segments[number[tile]], other, segments[number[other]], grid.scene))
        for tile in tiles
        for other in forward_neighbours(grid, tile)
    ]
    return stitch(sights, matches if order is None else [matches[i] for i in order])


def rectangle(shape, row0, col0, row1, col1):
    mask = np.zeros(shape, bool)
    mask[row0:row1, col0:col1] = True
    return mask


GRID = TileGrid((64, 128), size=64, margin=16)  # two tiles; both see columns 48 to 80


@pytest.mark.parametrize(
    ("span", "tiles"),
    [((10, 30), 1), ((55, 75), 2), ((50, 62), 2), ((30, 70), 2), ((10, 120), 2), ((70, 100), 2)],
    ids=[
        "inside one",
        "whole in both",
        "whole in both, left of the line",
        "whole in one",
        "cut by both",
        "whole in the right one",
    ],
)
def test_an_object_is_one_object_wherever_it_lies(span, tiles):
    segments = seen(GRID, [rectangle((64, 128), 20, span[0], 40, span[1])])
    assert sum(len(part) for part in segments) == tiles
    objects = stitched(GRID, segments)
    assert len(objects) == 1
    assert objects.layers[1] == (PIECES if span == (10, 120) else WHOLE)
    assert objects.areas[1] == 20 * (span[1] - span[0])


def test_an_object_that_some_tile_saw_whole_takes_that_shape_alone():
    segments = seen(GRID, [rectangle((64, 128), 20, 30, 40, 70)])  # the right tile sees columns 48 to 70 only
    objects = stitched(GRID, segments)
    assert objects.of_tile(0).tolist() == [1]
    assert objects.of_tile(1).tolist() == [0]


def test_an_object_that_every_tile_saw_cut_is_painted_by_all_its_pieces():
    objects = stitched(GRID, seen(GRID, [rectangle((64, 128), 20, 10, 40, 120)]))
    assert objects.of_segment.tolist() == [1, 1]


def test_of_two_whole_views_the_tile_with_the_centre_paints():
    left = stitched(GRID, seen(GRID, [rectangle((64, 128), 20, 50, 40, 62)]))
    right = stitched(GRID, seen(GRID, [rectangle((64, 128), 20, 66, 40, 78)]))
    assert left.of_segment.tolist() == [1, 0]
    assert right.of_segment.tolist() == [0, 1]


def test_objects_beside_each_other_stay_apart():
    masks = [rectangle((64, 128), 0, 40, 20, 90), rectangle((64, 128), 20, 40, 40, 90)]
    objects = stitched(GRID, seen(GRID, masks))
    assert len(objects) == 2
    assert objects.of_tile(0).tolist() == [1, 2]


def test_a_whole_segment_unmatched_belongs_to_the_tile_with_its_centre():
    mine, foreign = rectangle((64, 80), 10, 10, 20, 20), rectangle((64, 80), 30, 66, 40, 76)
    segments = [Segments.from_masks([mine, foreign]), Segments.empty()]
    objects = stitched(GRID, segments)
    assert objects.of_segment.tolist() == [1, 0]


def test_a_cut_segment_unmatched_lies_under_everything():
    segments = [Segments.from_masks([rectangle((64, 80), 10, 60, 20, 80)]), Segments.empty()]
    objects = stitched(GRID, segments)
    assert objects.of_segment.tolist() == [1]
    assert objects.layers[1] == LOST


def test_a_segment_that_runs_on_is_not_one_with_a_whole_one():
    # the left tile sees a field that fills its window; the right one is sure that it ends at column 50
    segments = [
        Segments.from_masks([rectangle((64, 80), 0, 0, 64, 80)]),
        Segments.from_masks([rectangle((64, 80), 0, 2, 64, 40)]),
    ]
    objects = stitched(GRID, segments)
    assert len(objects) == 2


def test_an_object_across_the_corner_of_four_tiles():
    grid = TileGrid((128, 128), size=64, margin=16)
    objects = stitched(grid, seen(grid, [rectangle((128, 128), 56, 56, 72, 72)]))
    assert len(objects) == 1
    assert np.count_nonzero(objects.of_segment) == 1
    huge = stitched(grid, seen(grid, [rectangle((128, 128), 4, 4, 124, 124)]))
    assert len(huge) == 1
    assert np.count_nonzero(huge.of_segment) == 4


def test_a_whole_is_no_smaller_than_its_parts():
    # the lower right tile alone sees the strip end, a few pixels before its window does
    shape, grid = (128, 128), TileGrid((128, 128), size=64, margin=16)
    strip, end = rectangle(shape, 50, 0, 78, 90), rectangle(shape, 50, 52, 78, 90)
    segments = seen(grid, [strip])
    segments[3] = Segments.from_masks([end[grid[1, 1].window.slices()]])
    objects = stitched(grid, segments)
    assert len(objects) == 1
    assert objects.layers[1] == PIECES
    assert (objects.of_segment == 1).all()


def test_a_cut_segment_unmatched_joins_the_pieces_it_overlaps_most():
    shape = (64, 192)
    grid = TileGrid(shape, size=64, margin=16)
    field, road = rectangle(shape, 0, 0, 48, 192), rectangle(shape, 48, 0, 64, 192)
    segments = seen(grid, [field, road])
    segments[0] = Segments.from_masks([rectangle(shape, 0, 30, 20, 80)[grid[0, 0].window.slices()]])
    objects = stitched(grid, segments)
    assert objects.of_tile(0).tolist() == [1]
    assert objects.of_tile(1).tolist() == objects.of_tile(2).tolist() == [1, 2]
    assert objects.areas[1] == 48 * 144 + 20 * 18


def painted(grid, segments, objects):
    """The object ids of the whole scene."""
    parts = [part.shift(tile.window.row0, tile.window.col0) for tile, part in zip(grid, segments, strict=True)]
    shapes = Shapes.join(
        [Shapes(part, objects.of_tile(i), objects.ranks[objects.of_tile(i)]) for i, part in enumerate(parts)]
    )
    valid = np.ones(grid.shape, bool)
    return paint(replace(shapes, over=objects.over), grid.scene, valid, fill=False, sliver=0)


def test_a_piece_gives_way_where_it_ends_at_its_window_and_another_does_not():
    # the tiles of the middle see a field end at column 124; those on the right see one field in all their window
    shape = (128, 192)
    grid = TileGrid(shape, size=64, margin=16)
    segments = seen(grid, [rectangle(shape, 0, 0, 128, 124), rectangle(shape, 0, 124, 128, 192)])
    for row in (0, 1):
        window = grid[row, 2].window
        segments[grid.number(grid[row, 2])] = Segments.from_masks([np.ones(window.shape, bool)])
    objects = stitched(grid, segments)
    ids = painted(grid, segments, objects)
    assert (ids == ids[:1]).all()
    assert np.flatnonzero(np.diff(ids[0].astype(int))).tolist() == [123]


@pytest.mark.parametrize(("row", "objects"), [(34, 1), (43, 2)])
def test_pieces_that_run_on_across_each_other_s_windows_are_one(row, objects):
    # the tiles on the left see a border along a row, those on the right see none in the common band
    shape = (64, 256)
    grid = TileGrid(shape, size=64, margin=16)
    left = seen(grid, [rectangle(shape, 0, 0, row, 256), rectangle(shape, row, 0, 64, 256)])
    right = seen(grid, [rectangle(shape, 0, 0, 64, 256)])
    assert len(stitched(grid, [*left[:2], *right[2:]])) == objects


@given(st.integers(0, 2**32))
def test_pairs_of_some_tiles(seed):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 5, 6))])
    count = int(offsets[-1])
    over = rng.integers(0, max(count, 1), (30 if count else 0, 2))
    over = over[np.lexsort(over.T[::-1])]
    none = np.zeros(0)
    objects = Objects(offsets, none.astype(np.uint32), none.astype(int), none.astype(int), none, none, over)
    tiles = rng.permutation(6)[: rng.integers(1, 7)]
    numbers = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in tiles]).tolist()
    want = [(numbers.index(a), numbers.index(b)) for a, b in over if a in numbers and b in numbers]
    assert sorted(map(tuple, objects.over_in(tiles).tolist())) == sorted(want)


@st.composite
def scenes(draw):
    """A label map of Voronoi cells and a grid over it."""
    shape = draw(st.integers(40, 150)), draw(st.integers(40, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    seeds = rng.random((draw(st.integers(1, 25)), 2)) * shape
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    distance = (rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2
    size = draw(st.integers(24, 64))
    return distance.argmin(-1) + 1, TileGrid(shape, size, draw(st.integers(8, size // 2)))


@given(scenes())
def test_exact_views_of_a_partition_give_back_its_objects(scene):
    labels, grid = scene
    segments = seen(grid, [labels == i for i in range(1, labels.max() + 1)])
    objects = stitched(grid, segments)
    ids_of = np.zeros(labels.shape, int)
    for number, (tile, part) in enumerate(zip(grid, segments, strict=True)):
        index, pixel = part.shift(tile.window.row0, tile.window.col0).pixels(labels.shape[1])
        ids = objects.of_tile(number)[index]
        assert ((ids_of.ravel()[pixel] == 0) | (ids == 0) | (ids_of.ravel()[pixel] == ids)).all()
        ids_of.ravel()[pixel[ids > 0]] = ids[ids > 0]
    pairs = np.unique(np.stack([labels.ravel(), ids_of.ravel()]), axis=1)
    assert (ids_of > 0).all()
    # one object a cell: two cells are never one object; a thin cell may fall apart only where its pieces do not touch
    assert len(np.unique(pairs[1])) == pairs.shape[1]


@given(scenes(), st.randoms(use_true_random=False))
def test_nothing_depends_on_the_order_of_the_matches(scene, random):
    labels, grid = scene
    segments = seen(grid, [labels == i for i in range(1, labels.max() + 1)])
    count = sum(len(forward_neighbours(grid, tile)) for tile in grid)
    order = random.sample(range(count), count)
    one, other = stitched(grid, segments), stitched(grid, segments, order)
    assert (one.of_segment == other.of_segment).all()
    assert (one.areas == other.areas).all()
    assert (one.ranks == other.ranks).all()
    assert (one.over == other.over).all()


@given(st.integers(0, 2**32))
def test_overlaps_are_counted_like_masks(seed):
    rng = np.random.default_rng(seed)
    one, two = rng.random((4, 9, 11)) < 0.3, rng.random((3, 9, 11)) < 0.4
    first, second, common = overlaps(Segments.from_masks(one), Segments.from_masks(two), Window(0, 0, 9, 11))
    want = np.einsum("ihw,jhw->ij", one.astype(int), two.astype(int))
    assert (want[first, second] == common).all()
    assert common.sum() == want.sum()


def test_saved_and_read_again(tmp_path):
    objects = stitched(GRID, seen(GRID, [rectangle((64, 128), 20, 10, 40, 120)]))
    objects.save(tmp_path / "seams.npz")
    again = Objects.load(tmp_path / "seams.npz")
    assert (again.of_segment == objects.of_segment).all()
    assert [file.name for file in tmp_path.iterdir()] == ["seams.npz"]


def test_small_objects_lie_on_top_and_cut_ones_below():
    areas, layers = np.array([0, 5, 50, 500, 70]), np.array([LOST, WHOLE, WHOLE, LOST, PIECES])
    objects = Objects(
        np.array([0, 0]),
        np.zeros(0, np.uint32),
        np.zeros(0, np.int64),
        areas,
        layers,
        np.zeros(5, np.float32),
        np.zeros((0, 2), np.int64),
    )
    assert [i for i in np.argsort(objects.ranks) if i] == [3, 4, 2, 1]
