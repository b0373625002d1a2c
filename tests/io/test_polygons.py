import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import features
from rasterio.errors import NotGeoreferencedWarning

from geoalps.errors import OptionError, ProductError
from geoalps.grid import TileGrid, Window
from geoalps.io.polygons import Joiner, polygonise, simplify_coverage, to_map, trace_window

LIGHT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def save(tmp_path):
    def write(ids, dtype="uint32"):
        path = tmp_path / "objects.tif"
        profile = {"driver": "GTiff", "dtype": dtype, "count": 1, "height": ids.shape[0], "width": ids.shape[1]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **profile) as target:
                target.write(ids.astype(dtype), 1)
        return path

    return write


@st.composite
def rasters(draw):
    """Noise, noise in blocks, or cells around points: holes, several parts and diagonal contact are all common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    kinds = draw(st.integers(1, 6))
    block = draw(st.integers(1, 3))
    noise = rng.integers(0, kinds + 1, (height, width)).astype(np.uint32)
    if draw(st.booleans()):
        return np.kron(noise, np.ones((block, block), np.uint32))
    rows, cols = np.mgrid[:height, :width]
    points = rng.uniform(0, 1, (2 * kinds, 2)) * (height, width)
    cells = np.argmin((rows[..., None] - points[:, 0]) ** 2 + (cols[..., None] - points[:, 1]) ** 2, -1)
    return np.where(rng.random((height, width)) < 0.1, noise, cells + kinds).astype(np.uint32)


@st.composite
def partitions(draw, shape):
    """Windows cut in two, again and again: not all of one size, nor in rows and columns; in any order."""
    todo, windows = [Window(0, 0, *shape)], []
    while todo:
        at = todo.pop()
        along = draw(st.sampled_from(["rows", "cols", "whole"]))
        if along == "rows" and at.height > 1:
            row = draw(st.integers(at.row0 + 1, at.row1 - 1))
            todo += [Window(at.row0, at.col0, row, at.col1), Window(row, at.col0, at.row1, at.col1)]
        elif along == "cols" and at.width > 1:
            col = draw(st.integers(at.col0 + 1, at.col1 - 1))
            todo += [Window(at.row0, at.col0, at.row1, col), Window(at.row0, col, at.row1, at.col1)]
        else:
            windows.append(at)
    return draw(st.permutations(windows))


def census(ids, windows):
    """In how many windows each id is; and for each window the ids that are in no other."""
    found = [np.setdiff1d(ids[window.slices()], [0]) for window in windows]
    counts = np.bincount(np.concatenate(found), minlength=int(ids.max()) + 1)
    return counts, [there[counts[there] == 1].astype(np.uint32) for there in found]


def through_windows(path, ids, windows, transform=None, order=None):
    """As a driver does it: windows traced anywhere, sent as bytes, and joined in some order."""
    counts, own = census(ids, windows)
    send = [pickle.dumps(trace_window(path, *given, transform)) for given in zip(windows, own, strict=True)]
    joiner, batches = Joiner(counts), []
    for i in order or range(len(windows)):
        joiner.add(pickle.loads(send[i]))  # noqa: S301 - our own
        batches.append(joiner.finished())
    assert joiner.unfinished == 0
    assert joiner.finished() is None
    return collect(filter(None, batches))


def whole(ids):
    return [Window(0, 0, *ids.shape)]


def collect(batches):
    return {int(i): geometry for ids, geometries in batches for i, geometry in zip(ids, geometries, strict=True)}


def by_gdal(ids):
    parts = {}
    for geometry, value in features.shapes(ids.astype(np.int32), mask=ids > 0, connectivity=4):
        parts.setdefault(int(value), []).append(shapely.geometry.shape(geometry))
    return {
        i: shapely.normalize(part[0] if len(part) == 1 else shapely.MultiPolygon(part)) for i, part in parts.items()
    }


@LIGHT
@given(data=st.data(), ids=rasters())
def test_windows_in_any_order_give_what_gdal_gives_for_the_whole(data, ids, save):
    path = save(ids)
    got = collect(polygonise(path, data.draw(partitions(ids.shape)), batch_objects=data.draw(st.integers(1, 9))))
    want = by_gdal(ids)
    assert got.keys() == want.keys()
    for i, geometry in got.items():
        assert geometry.is_valid
        assert shapely.normalize(geometry).equals_exact(want[i], 0)


@LIGHT
@given(data=st.data(), ids=rasters())
def test_polygons_do_not_depend_on_the_windows_to_the_last_vertex(data, ids, save):
    path, windows = save(ids), data.draw(partitions(ids.shape))
    one, cut = collect(polygonise(path, whole(ids))), through_windows(path, ids, windows)
    assert {i: g.wkb for i, g in one.items()} == {i: g.wkb for i, g in cut.items()}
    assert shapely.area(list(cut.values())).tolist() == [np.sum(ids == i) for i in cut]


@pytest.mark.parametrize("seed", range(3))
def test_windows_traced_by_several_threads_give_the_same(save, seed):
    ids = np.kron(np.random.default_rng(seed).integers(0, 90, (20, 30)), np.ones((3, 3), int)).astype(np.uint32)
    path, windows = save(ids), [tile.core for tile in TileGrid(ids.shape, 16, 0)]
    counts, own = census(ids, windows)
    joiner = Joiner(counts)
    with ThreadPoolExecutor(4) as threads:
        for traced in threads.map(lambda given: trace_window(path, *given), zip(windows, own, strict=True)):
            joiner.add(traced)
    together = joiner.finished()
    assert together[0].tolist() == sorted(together[0])
    assert {i: g.wkb for i, g in collect([together]).items()} == {
        i: g.wkb for i, g in collect(polygonise(path, whole(ids))).items()
    }


def test_parts_of_an_object_in_windows_that_do_not_meet(save):
    ids = np.zeros((16, 80), np.uint32)
    ids[2:5, 2:5] = ids[10:12, 70:75] = ids[0:16, 33:35] = 1
    ids[7, 40] = 2
    path, windows = save(ids), [tile.core for tile in TileGrid(ids.shape, 16, 0)]
    got = through_windows(path, ids, windows, order=[4, 0, 3, 1, 2])
    assert [part.bounds for part in got[1].geoms] == [(33, 0, 35, 16), (2, 2, 5, 5), (70, 10, 75, 12)]
    assert got[2].equals(shapely.box(40, 7, 41, 8))


# Around the common corner of four windows: parts that touch, an outline that touches itself, and both at once.
AT_A_CORNER = {
    "two parts": [[1, 2], [2, 1]],
    "two parts and nothing": [[0, 1], [1, 0]],
    "one part": [[1, 1, 1, 1], [1, 1, 2, 1], [1, 3, 1, 1], [1, 1, 1, 1]],
    "one part and nothing": [[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]],
    "a hole that is open": [[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1]],
    "a ring around another": [[2, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 2]],
    "a chequerboard": [[1, 2, 1, 2], [2, 1, 2, 1], [1, 2, 1, 2], [2, 1, 2, 1]],
}


@pytest.mark.parametrize("pattern", AT_A_CORNER.values(), ids=AT_A_CORNER.keys())
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_contact_at_the_corner_of_four_windows(save, pattern, order):
    ids = np.array(pattern, np.uint32)
    path, half = save(ids), len(ids) // 2
    windows = [Window(r, c, r + half, c + half) for r in (0, half) for c in (0, half)]
    got, want = through_windows(path, ids, windows, order=order), by_gdal(ids)
    assert got.keys() == want.keys()
    for i, geometry in got.items():
        assert geometry.is_valid
        assert shapely.normalize(geometry).equals_exact(want[i], 0)
        assert geometry.wkb == collect(polygonise(path, whole(ids)))[i].wkb


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_a_raster_of_one_row_or_column(save, shape):
    ids = np.repeat([5, 0, 7, 5, 900, 900, 3, 5], 5).reshape(shape).astype(np.uint32)
    path, windows = save(ids), [tile.core for tile in TileGrid(shape, 16, 0)]
    got = through_windows(path, ids, windows)
    assert sorted(got) == [3, 5, 7, 900]
    assert all(got[i].equals(polygon) for i, polygon in by_gdal(ids).items())
    assert len(got[900].exterior.coords) == 5


def test_a_window_that_an_object_fills_counts(save):
    ids = np.ones((48, 48), np.uint32)
    ids[0, 0] = 2
    path, windows = save(ids), [tile.core for tile in TileGrid(ids.shape, 16, 0)]
    middle = trace_window(path, windows[4], np.zeros(0, np.uint32))
    assert (middle.shared.tolist(), len(middle.paths), len(middle.ids)) == ([1], 0, 0)
    for order in (range(9), [4, 0, 1, 2, 3, 5, 6, 7, 8], [8, 7, 6, 5, 0, 1, 2, 3, 4]):
        got = through_windows(path, ids, windows, order=list(order))
        assert len(got[1].exterior.coords) == 7


def test_polygons_burnt_again_are_the_raster(save):
    ids = np.kron(np.random.default_rng(3).integers(0, 400, (40, 50)), np.ones((5, 4), int))
    got = collect(polygonise(save(ids), [tile.core for tile in TileGrid(ids.shape, 32, 0)]))
    burnt = features.rasterize([(g, i) for i, g in got.items()], ids.shape, dtype="uint32")
    assert (burnt == ids).all()


def test_a_hole_that_touches_its_shell_and_an_island_in_a_hole(save):
    ids = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1],
            [1, 2, 2, 2, 2, 2, 1],
            [1, 2, 1, 1, 1, 2, 1],
            [1, 2, 1, 0, 1, 2, 1],
            [1, 2, 1, 1, 1, 2, 1],
            [1, 2, 2, 2, 2, 2, 1],
            [1, 1, 1, 1, 1, 1, 3],
        ]
    )
    got = collect(polygonise(save(ids), whole(ids)))
    outer, island = sorted(got[1].geoms, key=lambda part: -part.area)
    assert [len(part.interiors) for part in (outer, island)] == [1, 1]
    assert (outer.area, island.area, got[2].area) == (23, 8, 16)


def test_diagonal_pixels_are_parts_and_diagonal_holes_are_separate(save):
    ids = np.array([[1, 2, 2, 2, 2], [2, 1, 2, 3, 2], [2, 2, 3, 2, 2], [2, 2, 2, 2, 2]])
    got = collect(polygonise(save(ids), whole(ids)))
    assert len(shapely.get_parts(got[1])) == len(shapely.get_parts(got[3])) == 2
    assert all(geometry.is_valid for geometry in got.values())
    # The second pixel of object 1 touches the outside of object 2 at a corner only: a hole as well.
    assert shapely.get_num_interior_rings(got[2]) == 3


def test_an_object_is_handed_out_once_its_last_window_has_come(save):
    ids = np.repeat([[1, 2, 3, 1]], 2, axis=0).repeat(4, axis=1).astype(np.uint32)
    windows = [Window(0, col, 2, col + 6) for col in range(0, 12, 6)] + [Window(0, 12, 2, 16)]
    path, (counts, own) = save(ids), census(ids, windows)
    joiner, came = Joiner(counts), []
    for i in (2, 1, 0):
        joiner.add(trace_window(path, windows[i], own[i]))
        batch = joiner.finished()
        came.append((batch[0].tolist() if batch else None, joiner.unfinished))
    assert came == [(None, 1), ([3], 2), ([1, 2], 0)]


def test_fewer_than_the_least_are_kept(save):
    ids = np.arange(1, 65, dtype=np.uint32).reshape(1, 64)
    windows = [tile.core for tile in TileGrid(ids.shape, 16, 0)]
    path, (counts, own) = save(ids), census(ids, windows)
    joiner, sizes = Joiner(counts), []
    for window, mine in zip(windows, own, strict=True):
        joiner.add(trace_window(path, window, mine))
        batch = joiner.finished(20)
        sizes.append(len(batch[0]) if batch else 0)
    assert sizes == [0, 32, 0, 32]
    assert [len(batch) for batch, _ in polygonise(path, windows, batch_objects=20)] == [32, 32]


def test_what_is_held_does_not_grow_with_the_height(save):
    most = []
    for rows in (6, 24):
        ids = np.kron(np.arange(1, 1 + rows * 10).reshape(rows, 10), np.ones((10, 10), int)).astype(np.uint32)
        windows = [tile.core for tile in TileGrid(ids.shape, 16, 0)]
        path, (counts, own) = save(ids), census(ids, windows)
        joiner, held = Joiner(counts), []
        for window, mine in zip(windows, own, strict=True):
            joiner.add(trace_window(path, window, mine))
            joiner.finished()
            held.append(joiner.unfinished)
        most.append(max(held))
    assert most[0] == most[1] < 20


def test_many_finished_outlines_are_closed_as_they_come(save, monkeypatch):
    ids = np.kron(np.arange(1, 37).reshape(6, 6), np.ones((5, 5), int)).astype(np.uint32)
    path, windows = save(ids), [Window(row, 0, row + 1, 30) for row in range(30)]
    want = collect(polygonise(path, windows))
    monkeypatch.setattr("geoalps.io.polygons.CLOSE_VERTICES", 10)
    got = collect(polygonise(path, windows))
    assert {i: g.wkb for i, g in got.items()} == {i: g.wkb for i, g in want.items()}


def test_a_window_given_twice_is_refused(save):
    ids = np.ones((2, 4), np.uint32)
    path, windows = save(ids), [Window(0, 0, 2, 2), Window(0, 2, 2, 4)]
    traced = trace_window(path, windows[0], np.zeros(0, np.uint32))
    joiner = Joiner(np.array([0, 2]))
    joiner.add(traced)
    joiner.add(traced)
    with pytest.raises(ProductError, match="do not close"):
        joiner.finished()


@pytest.mark.parametrize("counts", [[0, 0], [0]])
def test_an_object_that_was_not_counted_is_refused(save, counts):
    traced = trace_window(save(np.ones((2, 4))), Window(0, 0, 2, 2), np.zeros(0, np.uint32))
    with pytest.raises(ProductError, match="object 1 lies in a window"):
        Joiner(np.array(counts)).add(traced)


def test_an_object_that_goes_on_is_not_its_windows_own(save):
    with pytest.raises(ProductError, match="do not close"):
        trace_window(save(np.ones((2, 4))), Window(0, 0, 2, 2), np.array([1], np.uint32))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_uncovered_raster_gives_nothing(save, shape):
    assert collect(polygonise(save(np.zeros(shape)), whole(np.zeros(shape)))) == {}


def test_windows_that_miss_pixels_are_refused(save):
    with pytest.raises(OptionError, match="hold 6 pixels of 12"):
        next(polygonise(save(np.ones((3, 4))), [Window(0, 0, 3, 2)]))


def test_other_rasters_are_refused(save):
    with pytest.raises(ProductError, match=r"uint8.*uint32"):
        next(polygonise(save(np.ones((3, 4)), "uint8"), [Window(0, 0, 3, 4)]))


def test_a_raster_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "objects.tif").write_text("nothing")
    with pytest.raises(ProductError, match="cannot be read"):
        trace_window(tmp_path / "objects.tif", Window(0, 0, 3, 4), np.zeros(0, np.uint32))


@LIGHT
@given(ids=rasters(), tolerance=st.sampled_from([0.3, 1.0, 1.5, 4.0, 100.0]))
def test_simplified_coverage_has_no_gaps_and_keeps_every_object(ids, tolerance, save):
    geometries = np.array(list(collect(polygonise(save(ids), whole(ids))).values()), object)
    simple = simplify_coverage(geometries, tolerance)
    assert len(simple) == len(geometries)
    if len(geometries):
        assert shapely.is_valid(simple).all()
        assert (shapely.area(simple) > 0).all()
        assert (shapely.get_num_geometries(simple) == shapely.get_num_geometries(geometries)).all()
        assert shapely.coverage_is_valid(simple)
        if (ids > 0).all():
            inner = shapely.get_num_interior_rings(shapely.get_parts(shapely.coverage_union_all(simple)))
            assert (inner == 0).all()


def test_borders_of_any_length_meet_at_the_same_vertices(save):
    # Points on a side of 49, at multiples of 1 / 49, are not all whole numbers.
    ids = np.ones((98, 100))
    ids[49:, :49], ids[49:, 49:], ids[:20, 22:] = 2, 3, 4
    geometries = np.array(list(collect(polygonise(save(ids), whole(ids))).values()), object)
    assert not shapely.coverage_is_valid(geometries)
    simple = simplify_coverage(geometries, 1.0)
    assert shapely.coverage_is_valid(simple)
    assert shapely.area(simple).sum() == ids.size
    assert shapely.get_num_coordinates(simple).sum() < 60


def test_simplification_that_spoils_an_object_is_done_with_less_tolerance(save, monkeypatch):
    honest, tried = shapely.coverage_simplify, []

    def spoil(geometries, tolerance, **options):
        tried.append(tolerance)
        out = honest(geometries, tolerance, **options)
        return out if tolerance < 2 else np.array([shapely.Polygon(), *out[1:]], object)

    monkeypatch.setattr(shapely, "coverage_simplify", spoil)
    ids = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((6, 6), int))
    geometries = np.array(list(collect(polygonise(save(ids), whole(ids))).values()), object)
    simple = simplify_coverage(geometries, 6.0)
    assert tried == [6.0, 3.0, 1.5]
    assert not shapely.is_empty(simple).any()


@LIGHT
@given(data=st.data(), ids=rasters(), tolerance=st.sampled_from([1.0, 4.0, 100.0]))
def test_parts_of_a_coverage_simplified_apart_have_no_gaps_between_them(data, ids, tolerance, save):
    got = collect(polygonise(save(ids), whole(ids)))
    batch = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(got), max_size=len(got))))
    geometries = np.array(list(got.values()), object)
    parts = [geometries[batch == i] for i in range(3)]
    simple = [simplify_coverage(part, tolerance, fixed_boundary=True) for part in parts]
    for part, out in zip(parts, simple, strict=True):
        assert shapely.union_all(out).equals(shapely.union_all(part))
    together = np.concatenate(simple)
    assert shapely.is_valid(together).all()
    assert shapely.coverage_is_valid(together)
    assert shapely.area(together).sum() == pytest.approx((ids > 0).sum())


def test_inside_of_a_fixed_boundary_borders_are_simplified():
    ids = np.where(np.arange(12)[:, None] > np.arange(24)[None] // 2, 1, 2)
    left, right = (features.shapes(np.where(ids == i, ids, 0).astype(np.int32), mask=ids == i) for i in (1, 2))
    pair = np.array([shapely.geometry.shape(next(one)[0]) for one in (left, right)], object)
    fixed, free = simplify_coverage(pair, 4.0, fixed_boundary=True), simplify_coverage(pair, 4.0)
    common = [shapely.intersection(*both) for both in (pair, fixed, free)]
    assert shapely.length(common[1]) < 0.8 * shapely.length(common[0])  # stairs became a ramp
    assert shapely.union_all(fixed).equals(shapely.box(0, 0, 24, 12))
    assert shapely.get_num_coordinates(free).sum() < shapely.get_num_coordinates(fixed).sum()


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, np.inf])
def test_tolerance_outside_of_what_is_allowed(tolerance):
    with pytest.raises(OptionError, match="tolerance"):
        simplify_coverage(np.array([shapely.box(0, 0, 1, 1)]), tolerance)


def test_no_tolerance_changes_nothing():
    geometries = np.array([shapely.box(0, 0, 5, 1)])
    assert simplify_coverage(geometries, 0.0) is geometries


TRANSFORMS = {
    "north up": Affine(0.5, 0, 500000, 0, -0.5, 5000000),
    "south up": Affine(0.5, 0, 500000, 0, 0.5, 5000000),
    "rotated": Affine(0.4455, 0.227, 500000, 0.227, -0.4455, 5000000),
    "sheared": Affine(0.5, 0.11, 10, 0.07, -0.4, 900),
    "degrees": Affine(1e-5, 0, 8.5, 0, -1e-5, 47.4),
    "pixels": Affine.identity(),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_polygons_on_the_map_burn_back_and_are_wound_as_they_should(save, transform):
    ids = np.kron(np.random.default_rng(5).integers(0, 9, (9, 11)), np.ones((3, 3), int))
    got = collect(polygonise(save(ids), whole(ids)))
    placed = to_map(np.array(list(got.values()), object), transform)
    windows = [tile.core for tile in TileGrid(ids.shape, 16, 0)]
    in_place = through_windows(save(ids), ids.astype(np.uint32), windows, transform)
    assert {i: g.wkb for i, g in in_place.items()} == dict(zip(got, shapely.to_wkb(placed), strict=True))
    assert shapely.is_valid(placed).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(placed))).all()
    col, row = shapely.get_coordinates(got[1])[0]
    corner = transform.a * col + transform.b * row + transform.c, transform.d * col + transform.e * row + transform.f
    moved = shapely.get_coordinates(placed[list(got).index(1)])
    assert np.abs(moved - corner).sum(1).min() == pytest.approx(0, abs=1e-9)
    burnt = features.rasterize(zip(placed, got, strict=True), ids.shape, transform=transform, dtype="uint32")
    assert (burnt == ids).all()
