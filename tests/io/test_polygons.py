import itertools
import warnings

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
from geoalps.io.polygons import last_windows, polygonise, simplify_coverage, to_map

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


def cuts(draw, size):
    inner = draw(st.lists(st.integers(1, size - 1), max_size=4, unique=True)) if size > 1 else []
    return itertools.pairwise([0, *sorted(inner), size])


@st.composite
def partitions(draw, shape):
    rows, cols = list(cuts(draw, shape[0])), list(cuts(draw, shape[1]))
    return draw(st.permutations([Window(r0, c0, r1, c1) for (r0, r1) in rows for (c0, c1) in cols]))


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
    path = save(ids)
    one, cut = collect(polygonise(path, whole(ids))), collect(polygonise(path, data.draw(partitions(ids.shape))))
    assert {i: g.wkb for i, g in one.items()} == {i: g.wkb for i, g in cut.items()}


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


def test_an_object_is_handed_out_once_its_last_window_is_read(save):
    ids = np.repeat([[1, 2, 3, 1]], 2, axis=0).repeat(4, axis=1)
    windows = [Window(0, col, 2, col + 4) for col in (0, 4, 8, 12)]
    assert last_windows(save(ids), windows).tolist() == [-1, 3, 1, 2]
    batches = [out.tolist() for out, _ in polygonise(save(ids), windows, batch_objects=1)]
    assert batches == [[2], [3], [1]]


def test_pass_over_the_raster_is_saved_by_giving_the_last_windows(save, monkeypatch):
    ids = np.array([[1, 1, 2], [3, 1, 1]])
    path, windows = save(ids), [Window(0, 0, 2, 1), Window(0, 1, 2, 3)]
    want = collect(polygonise(path, windows))
    last = last_windows(path, windows)
    monkeypatch.setattr("geoalps.io.polygons.last_windows", None)
    assert collect(polygonise(path, windows, last)) == want


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_uncovered_raster_gives_nothing(save, shape):
    assert collect(polygonise(save(np.zeros(shape)), whole(np.zeros(shape)))) == {}


def test_windows_that_miss_pixels_are_refused(save):
    with pytest.raises(OptionError, match="hold 6 pixels of 12"):
        next(polygonise(save(np.ones((3, 4))), [Window(0, 0, 3, 2)]))


def test_other_rasters_are_refused(save):
    with pytest.raises(ProductError, match=r"uint8.*uint32"):
        next(polygonise(save(np.ones((3, 4)), "uint8"), [Window(0, 0, 3, 4)]))


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

    def spoil(geometries, tolerance):
        tried.append(tolerance)
        out = honest(geometries, tolerance)
        return out if tolerance < 2 else np.array([shapely.Polygon(), *out[1:]], object)

    monkeypatch.setattr(shapely, "coverage_simplify", spoil)
    ids = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((6, 6), int))
    geometries = np.array(list(collect(polygonise(save(ids), whole(ids))).values()), object)
    simple = simplify_coverage(geometries, 6.0)
    assert tried == [6.0, 3.0, 1.5]
    assert not shapely.is_empty(simple).any()


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
    assert shapely.is_valid(placed).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(placed))).all()
    col, row = shapely.get_coordinates(got[1])[0]
    corner = transform.a * col + transform.b * row + transform.c, transform.d * col + transform.e * row + transform.f
    moved = shapely.get_coordinates(placed[list(got).index(1)])
    assert np.abs(moved - corner).sum(1).min() == pytest.approx(0, abs=1e-9)
    burnt = features.rasterize(zip(placed, got, strict=True), ids.shape, transform=transform, dtype="uint32")
    assert (burnt == ids).all()
