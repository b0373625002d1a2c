"""The truth on a product's grid, against pixel by pixel geometry."""

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geoalps.errors import GeoalpsWarning, OptionError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.rasters import Georeference
from geoalps.io.truth import UNKNOWN, open_truth
from geoalps.io.truth_features import Features, FeatureTruth

UTM = CRS.from_epsg(32633)
NORTH_UP = Georeference((40, 50), Affine(2, 0, 500_000, 0, -2, 5_000_080), UTM)
ROTATED = Georeference((40, 50), NORTH_UP.transform @ Affine.rotation(30) @ Affine.shear(10), UTM)
SOUTH_UP = Georeference((40, 50), Affine(2, 0, 500_000, 0, 2, 5_000_000), UTM)
WIDE = Georeference((40, 50), Affine(5000, 0, 400_000, 0, -5000, 5_200_000), UTM)
NOWHERE = Georeference((40, 50), Affine.identity(), None)
GRIDS = {"north-up": NORTH_UP, "rotated": ROTATED, "south-up": SOUTH_UP, "no CRS": NOWHERE}
RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 6, (40, 50)).astype(np.uint8)


def whole(place):
    return Window(0, 0, *place.shape)


def write(path, values, place=NORTH_UP, count=1, mask=None, **profile):
    place = {"crs": place.crs, "transform": place.transform} | profile
    size = {"height": values.shape[-2], "width": values.shape[-1], "count": count, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(values.reshape(count, *values.shape[-2:]))
        if mask is not None:
            file.write_mask(mask)
    return path


def read(path, place=NORTH_UP, window=None, **asked):
    with open_truth(path, place, **asked) as truth:
        return truth.read(window or whole(place))


def windowed(path, place, grid, **asked):
    """The same, put together from windows."""
    classes, instances = np.zeros((2, *place.shape), np.int64)
    with open_truth(path, place, **asked) as truth:
        for tile in grid:
            known = truth.read(tile.core)
            classes[tile.core.slices()], instances[tile.core.slices()] = known.classes, known.instances
    return classes, instances


def centres(place, crs=None):
    """(h, w) x and y of the pixels' centres, in another reference system if asked."""
    cols, rows = np.meshgrid(np.arange(place.shape[1]) + 0.5, np.arange(place.shape[0]) + 0.5)
    t = place.transform
    x, y = t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
    return pyproj.Transformer.from_crs(place.crs, crs, always_xy=True).transform(x, y) if crs else (x, y)


@pytest.mark.parametrize("place", GRIDS.values(), ids=GRIDS)
def test_a_raster_on_the_same_grid_is_itself(tmp_path, place):
    known = read(write(tmp_path / "t.tif", VALUES, place), place)
    assert (known.classes == VALUES).all()
    assert known.inside.all()
    assert not known.instances.any()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"])
def test_any_type_of_whole_numbers_on_another_grid(tmp_path, dtype):
    finer = {"transform": NORTH_UP.transform @ Affine.scale(0.5)}
    known = read(write(tmp_path / "t.tif", np.kron(VALUES, np.ones((2, 2))).astype(dtype), **finer))
    assert (known.classes == VALUES).all()


@pytest.mark.parametrize("shift", [0, 7], ids=["same grid", "other grid"])
@pytest.mark.parametrize("how", ["nodata", "nan", "mask", "alpha"])
def test_nodata_and_masked_pixels_are_unknown(tmp_path, how, shift):
    hole = VALUES == 3
    place = {"transform": NORTH_UP.transform @ Affine.translation(-shift, 0)}
    if how == "nodata":
        path = write(tmp_path / "t.tif", VALUES, nodata=3, **place)
    elif how == "nan":
        path = write(tmp_path / "t.tif", np.where(hole, np.float32("nan"), VALUES), **place)
    elif how == "mask":
        path = write(tmp_path / "t.tif", VALUES, mask=~hole, **place)
    else:
        path = write(tmp_path / "t.tif", np.stack([VALUES, np.uint8(255) * ~hole]), count=2, **place)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
    known = read(path)
    expected = np.where(hole, UNKNOWN, VALUES.astype(np.int64))[:, shift:]
    assert (known.classes[:, : 50 - shift] == expected).all()
    assert (known.classes[:, 50 - shift :] == UNKNOWN).all()
    assert not known.inside[:, 50 - shift :].any()


@pytest.mark.parametrize("factor", [1, 2])
def test_nodata_of_the_instances_is_inside_and_no_instance(tmp_path, factor):
    finer = np.kron(VALUES, np.ones((factor, factor), np.uint8))
    place = {"nodata": 0, "transform": NORTH_UP.transform @ Affine.scale(1 / factor)}
    classes, instances = write(tmp_path / "c.tif", VALUES), write(tmp_path / "i.tif", finer, **place)
    known = read(classes, instances=instances)
    assert known.inside.all()
    assert (known.instances == VALUES).all()


@pytest.mark.parametrize("place", [NORTH_UP, ROTATED, SOUTH_UP, WIDE], ids=["north-up", "rotated", "south-up", "wide"])
@pytest.mark.parametrize("crs", [4326, 3035, 32633])
def test_another_grid_is_its_nearest_pixel_in_every_window(tmp_path, crs, place):
    x, y = centres(place, crs)
    turn = Affine.rotation(-12)
    step = max(np.ptp(x), np.ptp(y)) / 40
    own = Affine.translation(x.min() - 2 * step, y.min() - 2 * step) @ Affine.scale(step) @ turn
    values = RNG.integers(1, 9, (60, 70)).astype(np.int16)
    path = write(tmp_path / "t.tif", values, crs=CRS.from_epsg(crs), transform=own)
    known = read(path, place)
    back = ~own
    cols, rows = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
    inside = (cols >= 0) & (rows >= 0) & (cols < 70) & (rows < 60)
    at = np.floor(np.clip(rows, 0, 59)).astype(int), np.floor(np.clip(cols, 0, 69)).astype(int)
    expected = np.where(inside, values[at].astype(np.int64), UNKNOWN)
    # on an edge between two pixels both are as near
    clear = np.minimum(abs(cols - np.round(cols)), abs(rows - np.round(rows))) > 1e-3
    assert clear.mean() > 0.9
    assert (known.classes == expected)[clear].all()
    assert (known.inside == inside)[clear].all()
    assert inside.mean() > 0.3
    classes, _ = windowed(path, place, TileGrid(place.shape, 17, 0))
    assert (classes == known.classes).all()


def test_only_the_part_that_the_truth_reaches_is_worth_reading(tmp_path):
    path = write(tmp_path / "t.tif", VALUES[10:20, 30:35], transform=NORTH_UP.transform @ Affine.translation(30, 10))
    with open_truth(path, NORTH_UP) as truth:
        known = truth.read(whole(NORTH_UP))
        assert Window(10, 30, 20, 35) in truth.reach
        assert truth.reach.area < 200
    assert (known.classes[10:20, 30:35] == VALUES[10:20, 30:35]).all()
    assert known.inside.sum() == 50


def test_a_raster_names_its_categories(tmp_path):
    path = write(tmp_path / "t.tif", VALUES)
    names = "".join(f"<Category>{name}</Category>" for name in ("", "water", "grass &amp; moss"))
    (tmp_path / "t.tif.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>'
    )
    with open_truth(path, NORTH_UP) as truth:
        assert [truth.class_name(value) for value in (0, 1, 2, 3, -1)] == ["0", "water", "grass & moss", "3", "-1"]


def blobs(seed, count=12, place=NORTH_UP, crs=None):
    """Polygons of random corners, some large, some small, in map coordinates."""
    rng = np.random.default_rng(seed)
    x, y = centres(place, crs)
    low, size = np.array([x.min(), y.min()]), np.array([np.ptp(x), np.ptp(y)])
    middles, reach = rng.uniform(0, 1, (count, 1, 2)), rng.uniform(0.03, 0.4, (count, 1, 1))
    corners = low + size * (middles + reach * rng.uniform(-1, 1, (count, 5, 2)))
    return [shapely.MultiPoint(part).convex_hull for part in corners]


def frame(shapes, crs=UTM, **columns):
    columns = columns or {"class": [f"kind {i % 3}" for i in range(len(shapes))]}
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)


def painted(shapes, place, crs=None):
    """(h, w) 1-based number of the smallest shape that holds a pixel's centre, 0 none; and where that is clear."""
    x, y = centres(place, crs)
    points = shapely.points(x, y)
    result, unclear = np.zeros(place.shape, int), np.zeros(place.shape, bool)
    for number in sorted(range(len(shapes)), key=lambda i: -shapes[i].area):
        result[shapely.contains(shapes[number], points)] = number + 1
        unclear |= shapely.distance(shapes[number].boundary, points) < 1e-4 * np.ptp(x) / place.shape[1]
    return result, ~unclear


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "parquet", "fgb"])
@pytest.mark.parametrize("place", GRIDS.values(), ids=GRIDS)
def test_polygons_have_the_pixels_whose_centre_they_hold(tmp_path, place, suffix):
    shapes = blobs(1, place=place)
    data, path = frame(shapes, place.crs), tmp_path / f"t.{suffix}"
    if suffix == "geojson" and place.crs is None:
        pytest.skip("GeoJSON always has a reference system")
    data.to_parquet(path) if suffix == "parquet" else data.to_file(path)
    with open_truth(path, place) as truth:
        known = truth.read(whole(place))
        names = np.array([truth.class_name(v) if v != UNKNOWN else "" for v in known.classes.ravel()])
    expected, clear = painted(shapes, place)
    wanted = np.array(["", *data["class"]])[expected]
    assert (names.reshape(place.shape) == wanted)[clear].all()
    pairs = np.unique(np.stack([known.instances[clear], expected[clear]]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]  # one number a polygon
    assert known.inside.all()
    assert (known.instances >= 0).all()


@pytest.mark.parametrize("place", [ROTATED, WIDE], ids=["rotated", "wide"])
@pytest.mark.parametrize(("crs", "suffix"), [(4326, "gpkg"), (3035, "gpkg"), (4326, "parquet")])
def test_polygons_of_another_reference_system(tmp_path, crs, suffix, place):
    shapes = [*blobs(2, place=place, crs=crs), shapely.box(-170, -80, 170, 80) if crs == 4326 else shapely.Point()]
    data, path = frame(shapes, crs), tmp_path / f"t.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_file(path)
    known = read(path, place)
    expected, clear = painted(shapes, place, crs)
    assert ((known.instances > 0) == (expected > 0))[clear].all()
    pairs = np.unique(np.stack([known.instances[clear], expected[clear]]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    assert clear.mean() > 0.99


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([16, 19, 31]), st.sampled_from([None, 4326]))
def test_windows_are_the_whole_cut(seed, size, crs):
    shapes = blobs(seed, 8, ROTATED, crs)
    rng = np.random.default_rng(seed)
    shapes += [shapely.Point(*p) for p in rng.uniform(shapes[0].bounds[:2], shapes[0].bounds[2:], (4, 2))]
    data = frame(shapes, crs or UTM)
    features = Features("memory", None, "class", data.crs, ("kind 0", "kind 1", "kind 2"), data.total_bounds, data)
    truth = FeatureTruth(features, ROTATED)
    at_once = truth.read(whole(ROTATED))
    for tile in TileGrid(ROTATED.shape, size, 0):
        part = truth.read(tile.core)
        assert (part.classes == at_once.classes[tile.core.slices()]).all()
        assert (part.instances == at_once.instances[tile.core.slices()]).all()


def test_windows_of_a_geopackage_are_the_whole_cut(tmp_path):
    frame(blobs(3, 30)).to_file(tmp_path / "t.gpkg")
    known = read(tmp_path / "t.gpkg")
    classes, instances = windowed(tmp_path / "t.gpkg", NORTH_UP, TileGrid(NORTH_UP.shape, 16, 0))
    assert (classes == known.classes).all()
    assert (instances == known.instances).all()


def test_rows_of_a_table_may_have_names(tmp_path):
    shapes = blobs(3, 5)
    frame(shapes).set_index(np.array(list("abcde"))).to_parquet(tmp_path / "t.parquet")
    frame(shapes).to_file(tmp_path / "t.gpkg")
    named, numbered = (read(tmp_path / name) for name in ("t.parquet", "t.gpkg"))
    assert (named.classes == numbered.classes).all()


def test_a_point_is_one_pixel_on_top_and_no_instance(tmp_path):
    x, y = centres(NORTH_UP)
    shapes = [shapely.Point(x[3, 4] + 0.9, y[3, 4] - 0.9), shapely.box(x.min(), y.min(), x.max(), y.max())]
    shapes.append(shapely.MultiPoint([(x[5, 6], y[5, 6]), (x[7, 8], y[7, 8]), (0, 0)]))
    frame(shapes, **{"class": ["tree", "field", "tree"]}).to_file(tmp_path / "t.gpkg")
    known = read(tmp_path / "t.gpkg")
    assert sorted(zip(*np.nonzero(known.instances < 0), strict=True)) == [(3, 4), (5, 6), (7, 8)]
    assert (known.classes[known.instances < 0] == 1).all()
    assert (known.classes[known.instances > 0] == 0).all()


def test_features_without_class_or_geometry_say_nothing(tmp_path):
    shapes = [*blobs(4, 3), None, shapely.Polygon()]
    frame(shapes, **{"class": ["a", None, " ", "b", "c"]}).to_file(tmp_path / "t.gpkg")
    with open_truth(tmp_path / "t.gpkg", NORTH_UP) as truth:
        known = truth.read(whole(NORTH_UP))
    alone, clear = painted(shapes[:1], NORTH_UP)
    assert ((known.classes != UNKNOWN) == (alone > 0))[clear].all()


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "parquet"])
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        ([10, None, 2], ("2", "10")),
        ([1.0, 2.0, None], ("1", "2")),
        (["b", "a ", "b"], ("a", "b")),
    ],
)
def test_names_of_classes_are_in_order(tmp_path, values, names, suffix):
    data, path = frame(blobs(5, 3), kind=values), tmp_path / f"t.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_file(path)
    with open_truth(path, NORTH_UP, field="kind") as truth:
        assert truth.names == names
        known = truth.read(whole(NORTH_UP))
        assert {truth.class_name(v) for v in np.unique(known.classes) if v != UNKNOWN} <= set(names)


def test_a_background_is_a_class_of_all_the_rest(tmp_path):
    shapes = blobs(6, 3)
    frame(shapes).to_file(tmp_path / "t.gpkg")
    with open_truth(tmp_path / "t.gpkg", NORTH_UP, background="other") as truth:
        known = truth.read(whole(NORTH_UP))
        assert truth.names == ("kind 0", "kind 1", "kind 2", "other")
    expected, clear = painted(shapes, NORTH_UP)
    assert ((known.classes == 3) == (expected == 0))[clear].all()
    with open_truth(tmp_path / "t.gpkg", NORTH_UP, background="kind 1") as truth:
        assert truth.names == ("kind 0", "kind 1", "kind 2")


def test_without_a_field_of_that_name_all_is_one_class(tmp_path):
    frame(blobs(7, 3), height=[1.5, 2.5, 3.5]).to_file(tmp_path / "houses.gpkg")
    with pytest.warns(GeoalpsWarning, match="no field 'class'.*fields are height"):
        known = read(tmp_path / "houses.gpkg")
    assert set(np.unique(known.classes)) == {UNKNOWN, 0}


def refused(error, text, path, place=NORTH_UP, **asked):
    with pytest.raises(error, match=text) as caught:
        read(path, place, **asked)
    assert "\n" not in str(caught.value)


def test_what_is_no_truth_is_refused(tmp_path):
    refused(SceneError, "does not exist", tmp_path / "none.gpkg")
    (tmp_path / "text.txt").write_text("water, grass")
    refused(SceneError, "text.txt cannot be read", tmp_path / "text.txt")
    (tmp_path / "no.parquet").write_text("water, grass")
    refused(SceneError, "no.parquet cannot be read", tmp_path / "no.parquet")
    lines = [part.boundary for part in blobs(8, 3)]
    for suffix in ("gpkg", "geojson"):
        frame(lines).to_file(tmp_path / f"lines.{suffix}")
        refused(OptionError, "holds lines", tmp_path / f"lines.{suffix}")
    frame([shapely.GeometryCollection(lines[:1])]).to_file(tmp_path / "mix.gpkg")
    refused(OptionError, "holds collections", tmp_path / "mix.gpkg")
    refused(OptionError, "3 bands of uint8", write(tmp_path / "rgb.tif", np.stack([VALUES] * 3), count=3))
    refused(OptionError, "complex", write(tmp_path / "c.tif", VALUES.astype("complex64")))
    refused(OptionError, r"holds \d\.5; class values are whole", write(tmp_path / "f.tif", VALUES * 0.5))


def test_what_does_not_fit_is_refused(tmp_path):
    raster = write(tmp_path / "t.tif", VALUES)
    refused(OptionError, "is a raster.*'kind'", raster, field="kind")
    refused(OptionError, "is a raster.*'rest'", raster, background="rest")
    features = tmp_path / "t.gpkg"
    frame(blobs(9, 3), kind=["a", "b", "c"], size=[0.5, 1.5, 2]).to_file(features, layer="one")
    refused(OptionError, "no field 'sort'; its fields are kind, size", features, field="sort")
    refused(OptionError, "'size' holds 0.5", features, field="size")
    refused(OptionError, "leave out", features, field="kind", instances=raster)
    frame(blobs(9, 3)).to_file(features, layer="two")
    refused(OptionError, "2 layers; give --layer, one of one, two", features)
    refused(SceneError, "cannot be read.*three", features, layer="three")
    assert (read(features, layer="two").classes >= 0).any()


def test_a_truth_of_elsewhere_is_refused(tmp_path):
    away = NORTH_UP.transform @ Affine.translation(5000, 0)
    refused(SceneError, "does not overlap", write(tmp_path / "t.tif", VALUES, transform=away))
    here = write(tmp_path / "here.tif", VALUES)
    refused(SceneError, "t.tif does not overlap", here, instances=tmp_path / "t.tif")
    frame([shapely.affinity.translate(part, 1e5) for part in blobs(1)]).to_file(tmp_path / "t.gpkg")
    refused(SceneError, "does not overlap", tmp_path / "t.gpkg")
    frame(blobs(1)[:0], **{"class": np.array([], object)}).to_file(tmp_path / "empty.gpkg")
    refused(SceneError, "does not overlap", tmp_path / "empty.gpkg")


def test_a_reference_system_on_one_side_only_is_refused(tmp_path):
    frame(blobs(1), None).to_file(tmp_path / "t.gpkg")
    refused(SceneError, "t.gpkg has no reference system, and the product has one", tmp_path / "t.gpkg")
    refused(SceneError, "t.tif has no reference", write(tmp_path / "t.tif", VALUES, crs=None))
    refused(SceneError, "the product has no reference system", write(tmp_path / "u.tif", VALUES), NOWHERE)


def test_without_any_georeference_pixels_are_the_coordinates(tmp_path):
    bare = Georeference((40, 50), Affine.identity(), None)
    path, part = write(tmp_path / "t.tif", VALUES, bare), write(tmp_path / "u.tif", VALUES[:9, :8], bare)
    for place in (bare, Georeference((40, 50), Affine(2, 0, 7, 0, -2, 9), None)):
        assert (read(path, place).classes == VALUES).all()
        known = read(part, place)
        assert (known.classes[:9, :8] == VALUES[:9, :8]).all()
        assert known.inside.sum() == 72


def test_another_planet_is_refused(tmp_path):
    moon = CRS.from_proj4("+proj=longlat +R=1737400 +no_defs")
    refused(SceneError, "cannot be placed on the product", write(tmp_path / "t.tif", VALUES, crs=moon))


def test_a_damaged_raster_names_the_place(tmp_path):
    path = write(tmp_path / "t.tif", np.kron(VALUES, np.ones((9, 9), np.uint8)), compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    place = Georeference((360, 450), NORTH_UP.transform, UTM)
    refused(SceneError, "cannot be read at rows 0 to 360", path, place)
