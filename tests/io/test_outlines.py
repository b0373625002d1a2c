import itertools
import pickle

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoalps.errors import ProductError
from geoalps.io.outlines import Paths, find, ranges, walk
from geoalps.io.rings import close

LIGHT = settings(deadline=None, max_examples=80)
# North, east, south and west side of a pixel (0, 0): start and stop as (col, row), object on the right hand.
SIDES = {(-1, 0): ((0, 0), (1, 0)), (0, 1): ((1, 0), (1, 1)), (1, 0): ((1, 1), (0, 1)), (0, -1): ((0, 1), (0, 0))}


@st.composite
def rasters(draw):
    """Noise of few ids, in pixels or blocks: corner contact, holes and several parts are everywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    noise = rng.integers(0, draw(st.integers(1, 5)) + 1, shape).astype(np.uint32)
    return np.kron(noise, np.ones((1, draw(st.integers(1, 3))), np.uint32))


def block(ids, window=None):
    """The ids of (row0, col0, row1, col1), and one pixel around them."""
    row0, col0, row1, col1 = window or (0, 0, *ids.shape)
    return np.pad(ids, 1)[row0 : row1 + 2, col0 : col1 + 2]


def quarters(ids, row, col):
    windows = [(r0, c0, r1, c1) for r0, r1 in ((0, row), (row, len(ids))) for c0, c1 in ((0, col), (col, len(ids[0])))]
    return [find(block(ids, window), window[:2]) for window in windows]


def unit_sides(paths):
    """(id, start, stop) of every pixel side that the paths run along."""
    out, first = [], 0
    for i, length in zip(paths.ids.tolist(), paths.lengths.tolist(), strict=True):
        corners = paths.vertices[first : first + length].tolist()
        for start, stop in itertools.pairwise(corners):
            steps = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]))
            at = [tuple(np.add(start, np.subtract(stop, start) // steps * k).tolist()) for k in range(steps + 1)]
            out += [(i, *pair) for pair in itertools.pairwise(at)]
        first += length
    return sorted(out)


def brute_force(ids):
    padded, out = np.pad(ids, 1), []
    for row, col in np.argwhere(ids):
        here = int(ids[row, col])
        for (down, right), side in SIDES.items():
            if padded[row + 1 + down, col + 1 + right] != here:
                start, stop = (tuple(np.add(corner, (col, row)).tolist()) for corner in side)
                out.append((here, start, stop))
    return sorted(out)


@LIGHT
@given(data=st.data(), ids=rasters())
def test_paths_run_along_every_side_once(data, ids):
    want = brute_force(ids)
    assert unit_sides(find(block(ids))) == want
    cut = quarters(ids, *(data.draw(st.integers(0, size)) for size in ids.shape))
    assert sorted(side for part in cut for side in unit_sides(part)) == want


@LIGHT
@given(ids=rasters())
def test_paths_turn_at_every_vertex_but_the_ends(ids):
    paths = find(block(ids))
    assert paths.lengths.sum() == len(paths.vertices)
    steps = np.diff(paths.vertices, axis=0)
    ends = np.cumsum(paths.lengths)[:-1]
    inside = np.ones(len(steps), bool)
    inside[ends - 1] = False
    assert (np.count_nonzero(steps[inside], axis=1) == 1).all()
    both = inside[1:] & inside[:-1]
    assert ((steps[1:] * steps[:-1]).sum(1)[both] == 0).all()


@LIGHT
@given(data=st.data(), ids=rasters())
def test_paths_of_any_windows_in_any_order_close_to_the_same(data, ids):
    want_ids, want = close(find(block(ids)))
    cut = quarters(ids, *(data.draw(st.integers(0, size)) for size in ids.shape))
    paths = Paths.concatenate(cut)
    order = np.array(data.draw(st.permutations(range(len(paths)))), np.int64)
    got_ids, got = close(paths.take(order))
    assert got_ids.tolist() == want_ids.tolist() == np.setdiff1d(ids, [0]).tolist()
    assert shapely.to_wkb(got).tolist() == shapely.to_wkb(want).tolist()


@LIGHT
@given(ids=rasters())
def test_rings_begin_at_their_first_vertex_and_are_sorted_by_it(ids):
    for geometry in close(find(block(ids)))[1]:
        shells = [part.exterior for part in shapely.get_parts(geometry)]
        holes = [list(part.interiors) for part in shapely.get_parts(geometry)]
        assert all(shell.is_ccw for shell in shells)
        assert not any(hole.is_ccw for ring in holes for hole in ring)
        for rings in (shells, *holes):
            firsts = [ring.coords[0][::-1] for ring in rings]
            assert firsts == sorted(firsts)
            assert firsts == [min(corner[::-1] for corner in ring.coords) for ring in rings]


@pytest.mark.parametrize("heading", range(4))
def test_a_window_inside_of_an_object_has_no_paths(heading):
    ids = np.full((5, 6), 3, np.uint32)
    assert len(find(ids)) == 0
    np.rot90(ids, heading)[0] = 4
    paths = find(ids)
    assert (len(paths), paths.ids.tolist(), paths.lengths.tolist()) == (1, [3], [2])


def test_a_ring_is_one_path_where_its_object_does_not_meet_itself():
    ids = np.array([[1, 1, 1, 1, 1], [1, 2, 2, 1, 1], [1, 2, 1, 1, 3], [1, 1, 1, 4, 4]], np.uint32)
    paths = find(block(ids))
    last = np.cumsum(paths.lengths) - 1
    assert sorted(paths.ids.tolist()) == [1, 1, 2, 3, 4]
    assert (paths.vertices[last] == paths.vertices[last - paths.lengths + 1]).all()
    assert sorted(paths.lengths.tolist()) == [5, 5, 7, 7, 9]


def test_the_corner_of_the_window_is_added():
    ids = block(np.ones((2, 3), np.uint32))
    assert (find(ids, (10, 70)).vertices - find(ids).vertices == [70, 10]).all()


def test_windows_wider_than_sixteen_bits():
    ids = np.ones((2, 70_000), np.uint32)
    ids[1, 66_000:66_010], ids[0, 400] = 2, 3
    got = dict(zip(*close(find(block(ids))), strict=True))
    assert got[2].equals(shapely.box(66_000, 1, 66_010, 2))
    assert got[3].equals(shapely.box(400, 0, 401, 1))
    assert got[1].area == ids.size - 11


def test_nothing_closes_to_nothing():
    ids, geometries = close(find(np.zeros((4, 4), np.uint32)))
    assert (len(ids), len(geometries)) == (0, 0)


def test_outlines_with_a_window_missing_do_not_close():
    cut = quarters(np.ones((4, 4), np.uint32), 2, 2)
    for some in (cut[:3], [*cut, cut[0]]):
        with pytest.raises(ProductError, match="do not close"):
            close(Paths.concatenate(some))


@LIGHT
@given(data=st.data(), ids=rasters())
def test_paths_object_by_object_are_the_paths(data, ids):
    paths = Paths.concatenate(quarters(ids, *(data.draw(st.integers(0, size)) for size in ids.shape)))
    parts = dict(paths.by_object())
    assert list(parts) == np.unique(paths.ids).tolist()
    assert all((part.ids == i).all() for i, part in parts.items())
    assert sorted(side for part in parts.values() for side in unit_sides(part)) == brute_force(ids)
    assert all(part.vertices.base is None for part in parts.values())
    assert sum(part.nbytes for part in parts.values()) == paths.nbytes


def test_paths_go_through_a_pipe():
    paths = find(block(np.arange(6, dtype=np.uint32).reshape(2, 3)))
    again = pickle.loads(pickle.dumps(paths))  # noqa: S301 - our own
    for name in ("ids", "lengths", "vertices"):
        assert np.array_equal(getattr(again, name), getattr(paths, name))
    assert paths.nbytes == 8 * len(paths) + 8 * len(paths.vertices)


@LIGHT
@given(st.integers(0, 2**32), st.integers(0, 40), st.floats(0, 1))
def test_chains_are_walked_from_end_to_end(seed, size, cut):
    rng = np.random.default_rng(seed)
    follow = rng.permutation(size)
    follow[rng.random(size) < cut] = -1
    order, lengths = walk(follow)
    assert sorted(order) == list(range(size))
    assert lengths.sum() == size
    for chain in np.split(order, np.cumsum(lengths)[:-1]) if size else []:
        assert (follow[chain[:-1]] == chain[1:]).all()
        is_ring = follow[chain[-1]] == chain[0]
        assert chain[0] == chain.min() if is_ring else follow[chain[-1]] == -1 and chain[0] not in follow


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 5)), max_size=8))
def test_ranges(pairs):
    starts, lengths = np.array(pairs, np.int64).reshape(-1, 2).T
    assert ranges(starts, lengths).tolist() == [start + k for start, length in pairs for k in range(length)]
