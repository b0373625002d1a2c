"""A product against the truth: figures against independent ones, laws of windows and grids."""

import importlib.util
import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from scipy import ndimage

from geoalps.errors import OptionError, ProductError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.product import FILES
from geoalps.io.truth import UNKNOWN, Known
from geoalps.labeling import evaluation
from geoalps.labeling.evaluation import evaluate, evaluation_of
from geoalps.labeling.tallying import RADIUS, borders, tally

ORACLES = Path(os.environ.get("GEOALPS_ORACLES", Path(__file__).parents[3] / "shared" / "oracles"))
"""Independent scripts, ``hungarian.py`` and ``object_recall.py``, which are not part of the project."""
PLACE = {"crs": CRS.from_epsg(32633), "transform": Affine(2, 0, 500_000, 0, -2, 5_000_400)}
ALL_NAMES = {number: f"class {number}" for number in range(9)}


def patches(seed, kinds, shape=(90, 110), step=9, ragged=2):
    """(h, w) numbers below ``kinds`` in patches with ragged borders."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape) + rng.integers(-ragged, ragged + 1, (2, *shape))
    corner = rng.integers(0, kinds, (shape[0] // step + 2, shape[1] // step + 2))
    return corner[np.clip(rows // step, 0, None), np.clip(cols // step, 0, None)]


def write(path, values, nodata=None, **place):
    place = {**PLACE, **place}
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **size, **place) as file:
        file.write(values, 1)
    return path


def product_of(folder, labels, objects, names=ALL_NAMES, **place):
    """What evaluation reads of a product."""
    folder.mkdir(exist_ok=True)
    write(folder / "labels.tif", labels.astype(np.uint8), 255, **place)
    write(folder / "objects.tif", objects.astype(np.uint32), 0, **place)
    rows = {"class_id": list(names), "class_name": list(names.values())}
    table = geopandas.GeoDataFrame(rows, geometry=[shapely.Point(0, 0)] * len(names), crs=PLACE["crs"])
    (folder / "labels.gpkg").unlink(missing_ok=True)
    table.to_file(folder / "labels.gpkg", layer="classes")
    for name in FILES:
        (folder / name).touch()
    return folder


def made(seed=0, clusters=5, classes=4, hole=True):
    """Labels, objects, classes and instances; the first two with pixels that nobody has."""
    truth, noise = patches(seed, classes), patches(seed + 1, clusters, step=14)
    labels = np.where(patches(seed + 2, 3) > 0, truth % clusters, noise)
    objects = np.zeros_like(labels)
    for kind in range(clusters):
        found = ndimage.label(labels == kind)[0]
        objects = np.where(found > 0, found + objects.max(), objects)
    instances = patches(seed + 3, 9, step=11)
    if hole:
        void = patches(seed + 4, 6) == 0
        labels, objects = np.where(void, 255, labels), np.where(void, 0, objects)
    return labels, objects, truth, instances


def oracle(name, *args):
    """Unrounded figures of an independent script."""
    if not (ORACLES / f"{name}.py").exists():
        pytest.skip(f"no {name}.py in GEOALPS_ORACLES or ../shared/oracles")
    spec = importlib.util.spec_from_file_location(name, ORACLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.round = lambda value, _digits: value
    before, sys.argv = sys.argv, [name, *map(str, args), "--json"]
    try:
        with redirect_stdout(io.StringIO()) as out:
            assert module.main() == 0
    finally:
        sys.argv = before
    return json.loads(out.getvalue())


CASES = [(3, 6, ()), (3, 6, (0, 4)), (5, 5, ()), (5, 5, (1,)), (8, 3, ()), (8, 3, (0,)), (1, 2, ()), (4, 1, ())]


@pytest.mark.parametrize(("clusters", "classes", "ignore"), CASES)
def test_class_figures_are_those_of_the_oracle(tmp_path, clusters, classes, ignore):
    labels, objects, truth, _ = made(clusters, clusters, classes)
    truth[:7] = 200
    out = product_of(tmp_path / "out", labels, objects)
    path = write(tmp_path / "t.tif", truth.astype(np.uint8), 200)
    wanted = oracle("hungarian", out / "labels.tif", path, *(["--ignore", *ignore] if ignore else []))
    found = evaluate(out, path, ignore=ignore)
    for name, matching in (("hungarian", found.one_to_one), ("majority", found.majority)):
        assert matching.overall_accuracy == pytest.approx(wanted[name]["OA"], abs=1e-6)
        assert matching.mean_iou == pytest.approx(wanted[name]["mIoU"], abs=1e-6)
        assert matching.mean_accuracy == pytest.approx(wanted[name]["mAcc"], abs=1e-6)
    iou = {entry.name: value for entry, value in zip(found.classes, found.majority.iou, strict=True)}
    assert iou == pytest.approx(wanted["majority_iou"], abs=1e-6)
    assert found.to_json()["NMI"] == pytest.approx(wanted["NMI"], abs=1e-6)
    assert found.to_json()["ARI"] == pytest.approx(wanted["ARI"], abs=1e-6)
    assert found.purity == pytest.approx(wanted["purity"], abs=1e-6)
    assert found.uncovered == pytest.approx(wanted["unlabelled"], abs=1e-6)
    assert (found.pixels, len(found.classes)) == (wanted["pixels"], wanted["classes"])
    assert sum(cluster.class_id is not None for cluster in found.clusters) == wanted["clusters"]


@pytest.mark.parametrize("seed", range(4))
def test_object_figures_are_those_of_the_oracle(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(evaluation, "WINDOW", 32)
    labels, objects, truth, instances = made(seed, hole=seed % 2)
    out = product_of(tmp_path / "out", labels, objects)
    classes = write(tmp_path / "t.tif", truth.astype(np.uint8))
    path = write(tmp_path / "i.tif", instances.astype(np.uint16), 8 if seed > 1 else None)
    wanted = oracle("object_recall", out / "objects.tif", path)
    found = evaluate(out, classes, instances=path).objects.to_json()
    sizes, wanted_sizes = found.pop("by_size"), wanted.pop("by_size")
    assert found.pop("instances") == wanted.pop("n")
    assert found.pop("objects_per_mpx") == pytest.approx(wanted.pop("objects_per_mpx"), abs=1e-6)
    assert found == pytest.approx(wanted, abs=1e-6)
    for name, part in wanted_sizes.items():
        assert sizes[name].pop("instances") == part.pop("n")
        assert {key: value for key, value in sizes[name].items() if value is not None} == pytest.approx(part, abs=1e-6)


class ArrayTruth:
    """A truth in memory."""

    name, names, has_instances = "memory", (), True

    def __init__(self, classes, instances, inside):
        self.known = classes, instances, inside
        self.reach = self.near = Window(0, 0, *classes.shape)

    def read(self, window):
        return Known(*(part[window.slices()] for part in self.known))

    def class_name(self, value):
        return str(value)


def array_figures(labels, objects, truth, instances, inside, size, dtype=np.uint8):
    known = ArrayTruth(np.where(inside, truth, UNKNOWN), np.where(inside, instances, 0), inside)

    def reading(values):
        return lambda window: values[window.slices()]

    grid = TileGrid(labels.shape, size, 0)
    counts = tally(reading(labels.astype(dtype)), reading(objects), known, grid)
    return evaluation_of(counts, known, ALL_NAMES, "out").to_json()


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([16, 23, 40, 64]))
def test_windows_make_no_difference(seed, size):
    parts = made(seed)
    inside = patches(seed + 9, 5, step=20) > 0
    assert array_figures(*parts, inside, size) == array_figures(*parts, inside, 4096)


def test_borders_near_a_border_are_counted_pixel_by_pixel():
    labels, objects, truth, instances = made(3)
    everywhere = np.ones(labels.shape, bool)
    found = array_figures(labels, objects, truth, instances, everywhere, 32)["objects"]

    def on_border(ids):
        padded = np.pad(ids, 1, mode="edge")
        return np.logical_or.reduce(
            [
                padded[1 + r : 1 + r + ids.shape[0], 1 + c : 1 + c + ids.shape[1]] != ids
                for r, c in ((0, 1), (1, 0), (0, -1), (-1, 0))
            ]
        )

    true = on_border(instances) & (instances > 0)
    distance = ndimage.distance_transform_edt(~on_border(objects))
    near = distance**2 <= RADIUS**2 + 0.5
    assert found["boundary_recall"] == pytest.approx(near[true].mean())
    assert found["boundary_chance"] == pytest.approx(near[objects > 0].mean())
    assert (borders(objects, everywhere) == on_border(objects)).all()


def test_a_truth_smaller_than_the_scene_scores_its_extent_only(tmp_path):
    labels, objects, truth, instances = made(5)
    out = product_of(tmp_path / "out", labels, objects)
    rows, cols = slice(13, 71), slice(20, 99)
    moved = PLACE["transform"] @ Affine.translation(cols.start, rows.start)
    cut = [part[rows, cols] for part in (labels, objects, truth, instances)]
    part = product_of(tmp_path / "part", *cut[:2], transform=moved)
    files = [
        write(tmp_path / f"{name}.tif", values.astype(np.uint8), transform=moved)
        for name, values in zip(("c", "i"), cut[2:], strict=True)
    ]
    found, wanted = (evaluate(folder, files[0], instances=files[1]).to_json() for folder in (out, part))
    assert {**found, "product": ""} == {**wanted, "product": ""}


@pytest.mark.parametrize("factor", [0.5, 1.5])
@pytest.mark.parametrize("crs", [32633, 3035, 4326])
def test_another_reference_system_and_resolution_changes_only_pixels_at_borders(tmp_path, crs, factor):
    """A bound: the accuracies differ by no more than the share of pixels near a border of the truth.

    The value of a scene's pixel comes, by way of the other grid, from a place at most half a diagonal of both pixels
    away. So it is another value only within that distance of a border; and overall accuracy, the best over matchings
    of the share of pixels that are right, cannot change by more than the share of pixels that may.
    """
    truth = patches(6, 4, step=20, ragged=0)
    labels = np.where(patches(7, 4, step=15) > 0, truth, patches(8, 4))
    out = product_of(tmp_path / "out", labels, labels + 1)
    same = evaluate(out, write(tmp_path / "same.tif", truth.astype(np.uint8)))
    path = tmp_path / "other.tif"
    with rasterio.open(tmp_path / "same.tif") as file:
        corners = np.array([file.transform @ corner for corner in ((0, 0), (110, 0), (0, 90), (110, 90))])
        x, y = rasterio.warp.transform(PLACE["crs"], CRS.from_epsg(crs), *corners.T)
        height, width = round(90 / factor * 1.3), round(110 / factor * 1.3)
        step = max(np.ptp(x) / width, np.ptp(y) / height) * 1.1
        place = Affine(step, 0, min(x) - step, 0, -step, max(y) + step)
        other = np.full((height, width), 255, np.uint8)
        target = {"dst_crs": CRS.from_epsg(crs), "dst_transform": place, "dst_nodata": 255}
        rasterio.warp.reproject(rasterio.band(file, 1), other, **target)
    write(path, other, 255, crs=CRS.from_epsg(crs), transform=place)
    with rasterio.open(path) as file:
        bounds = rasterio.warp.transform_bounds(file.crs, PLACE["crs"], *file.bounds)
        coarser = max((bounds[2] - bounds[0]) / width, (bounds[3] - bounds[1]) / height) / 2
    reach = np.hypot(1, 1) / 2 * (1 + max(coarser, 1))
    near = ndimage.distance_transform_edt(~borders(truth, np.ones(truth.shape, bool))) <= reach
    found = evaluate(out, path)
    lost = 1 - found.pixels / same.pixels  # at the rim, where the other grid ends
    assert lost < 0.05
    for one, two in ((same.one_to_one, found.one_to_one), (same.majority, found.majority)):
        assert abs(one.overall_accuracy - two.overall_accuracy) <= near.mean() + lost < 0.4
        assert abs(one.overall_accuracy - two.overall_accuracy) < 0.02  # most of those pixels do not change
        assert abs(one.mean_iou - two.mean_iou) < 0.05


def test_polygons_give_the_figures_of_their_raster(tmp_path):
    labels, objects, truth, _ = made(7)
    out = product_of(tmp_path / "out", labels, objects)
    names = ["water", "grass", "road", "roof"]
    outlines = list(rasterio.features.shapes(truth.astype(np.uint8), transform=PLACE["transform"]))
    shapes, values = [shapely.geometry.shape(s) for s, _ in outlines], [int(v) for _, v in outlines]
    table = geopandas.GeoDataFrame({"class": [names[v] for v in values]}, geometry=shapes, crs=PLACE["crs"])
    table.to_file(tmp_path / "t.gpkg")
    numbers = rasterio.features.rasterize(zip(shapes, range(1, 1 + len(shapes)), strict=True), truth.shape,
                                          transform=PLACE["transform"], dtype="int32")  # fmt: skip
    instances = write(tmp_path / "i.tif", numbers)
    raster = evaluate(out, write(tmp_path / "t.tif", truth.astype(np.uint8)), instances=instances).to_json()
    polygons = evaluate(out, tmp_path / "t.gpkg", field="class").to_json()
    assert polygons["objects"] == raster["objects"]
    assert [polygons[name] for name in ("NMI", "purity")] == pytest.approx([raster["NMI"], raster["purity"]])
    order = [sorted(names).index(name) for name in names]
    iou = [polygons["majority"]["per_class"][i] for i in order]
    assert [entry["name"] for entry in iou] == names
    assert [entry["IoU"] for entry in iou] == [entry["IoU"] for entry in raster["majority"]["per_class"]]


def test_polygons_in_one_corner_are_held_against_whole_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "WINDOW", 16)
    labels, objects, truth, _ = made(10)
    out = product_of(tmp_path / "out", labels, objects // 40 + (objects > 0))
    left, top = PLACE["transform"] @ (3, 2)
    shapes = [shapely.box(left + 20 * i, top - 14, left + 20 * i + 12, top) for i in range(3)]
    table = geopandas.GeoDataFrame({"class": ["roof"] * 3}, geometry=shapes, crs=PLACE["crs"])
    table.to_file(tmp_path / "t.gpkg")
    numbers = rasterio.features.rasterize(
        zip(shapes, (1, 2, 3), strict=True), truth.shape, transform=PLACE["transform"], dtype="int32"
    )
    classes, instances = write(tmp_path / "t.tif", truth.astype(np.uint8)), write(tmp_path / "i.tif", numbers)
    raster = evaluate(out, classes, instances=instances).to_json()
    assert evaluate(out, tmp_path / "t.gpkg").to_json()["objects"] == raster["objects"]


def named(tmp_path, names, classes=("water", "grass")):
    """A product of three classes, the third of which is like the second, and its truth."""
    labels = np.repeat([0, 1, 2], 30)[None].repeat(20, 0)
    out = product_of(tmp_path / "out", labels, labels + 1, dict(enumerate(names)))
    left, top = PLACE["transform"].c, PLACE["transform"].f
    shapes = [shapely.box(left, top - 40, left + 70, top), shapely.box(left + 70, top - 40, left + 180, top)]
    geopandas.GeoDataFrame({"class": classes}, geometry=shapes, crs=PLACE["crs"]).to_file(tmp_path / "t.gpkg")
    return out, tmp_path / "t.gpkg"


def test_a_named_map_is_judged_by_its_names(tmp_path):
    found = evaluate(*named(tmp_path, ["Water", "grass", "grass 2"]))
    assert found.by_name.match.tolist() == [1, 0, 0]
    assert found.by_name.overall_accuracy == 85 / 90
    wrong = evaluate(*named(tmp_path, ["grass", "water", "bare"]))
    assert wrong.by_name.overall_accuracy == 5 / 90
    assert wrong.majority.overall_accuracy == 85 / 90
    assert wrong.to_json()["by_name"]["match"] == ["grass", "water", None]
    assert evaluate(*named(tmp_path, ["class 0", "class 1", "class 2"])).by_name is None


def test_a_class_is_ignored_by_name_or_value(tmp_path):
    out, truth = named(tmp_path, ["a", "b", "c"])
    assert [entry.name for entry in evaluate(out, truth, ignore=["water"]).classes] == ["grass"]
    with pytest.raises(OptionError, match="no class 'watr' to ignore; it has grass, water"):
        evaluate(out, truth, ignore=["watr"])
    with pytest.raises(OptionError, match=r"no pixel of .* is left to score.*it has grass, water there"):
        evaluate(out, truth, ignore=["water", "grass"])
    values = np.repeat(np.array([3, 4, 10], np.uint8), 30)[None].repeat(20, 0)
    raster = write(tmp_path / "t.tif", values)
    assert [entry.value for entry in evaluate(out, raster, ignore=["10", 77]).classes] == [3, 4]


def test_a_numbered_class_of_features_is_ignored_by_its_number_alone(tmp_path):
    """The values that features are burnt with are the program's own."""
    out, truth = named(tmp_path, ["a", "b", "c"])
    table = geopandas.read_file(truth)
    table["class"] = table["class"].map({"grass": 1, "water": 2})
    table.to_file(tmp_path / "numbers.gpkg")
    for ignored, left in ((["1"], ["2"]), (["2"], ["1"]), (["0"], ["1", "2"]), ([], ["1", "2"])):
        found = evaluate(out, tmp_path / "numbers.gpkg", ignore=ignored)
        assert [entry.name for entry in found.classes] == left
    assert [entry.name for entry in evaluate(out, truth, ignore=["0"]).classes] == ["grass", "water"]


def test_sixteen_bit_labels_have_another_number_for_none():
    labels, objects, truth, instances = made(4)
    everywhere = np.ones(labels.shape, bool)
    wide = np.where(labels == 255, 65535, labels)
    same = array_figures(labels, objects, truth, instances, everywhere, 64)
    assert same["uncovered"] > 0
    assert array_figures(wide, objects, truth, instances, everywhere, 64, np.uint16) == same


def test_a_product_without_objects_is_all_wrong():
    _, _, truth, instances = made(4)
    everywhere = np.ones(truth.shape, bool)
    found = array_figures(np.full_like(truth, 255), np.zeros_like(truth), truth, instances, everywhere, 64)
    assert [found[name]["OA"] for name in ("one_to_one", "majority")] == [0, 0]
    assert found["uncovered"] == 1
    assert found["objects"]["recall50"] == found["objects"]["boundary_recall"] == 0
    assert found["objects"]["boundary_chance"] is None


def test_json_is_whole_and_plain(tmp_path):
    labels, objects, truth, instances = made(8)
    out = product_of(tmp_path / "out", labels, objects)
    files = write(tmp_path / "t.tif", truth.astype(np.uint8)), write(tmp_path / "i.tif", instances.astype(np.uint8))
    content = evaluate(out, files[0], instances=files[1]).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert np.sum(content["table"]) == content["pixels"] == labels.size
    ids = [cluster["class_id"] for cluster in content["clusters"]]
    assert ids == [*sorted(np.unique(labels[labels < 255]).tolist()), None]
    for name in ("one_to_one", "majority"):
        confusion = np.array(content[name]["confusion"])
        assert confusion.sum() == labels.size
        assert content[name]["OA"] == np.trace(confusion[:-1]) / labels.size


def test_what_cannot_be_evaluated_is_refused(tmp_path):
    labels, objects, truth, _ = made(9)
    path = write(tmp_path / "t.tif", truth.astype(np.uint8))
    with pytest.raises(ProductError, match="is not a product"):
        evaluate(tmp_path / "none", path)
    out = product_of(tmp_path / "out", labels, objects, {0: "a"})
    with pytest.raises(ProductError, match="holds class 1, which its table"):
        evaluate(out, path)
    out = product_of(tmp_path / "out", labels, objects)
    with pytest.raises(SceneError, match="does not exist"):
        evaluate(out, tmp_path / "none.tif")
    with pytest.raises(OptionError, match=r"no pixel .* it has none there"):
        evaluate(out, write(tmp_path / "u.tif", np.full_like(truth, 3, np.uint8), 3))
    many = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    out = product_of(tmp_path / "out", np.zeros((300, 300)), np.ones((300, 300)))
    with pytest.raises(OptionError, match="over 65535 classes; are they instances"):
        evaluate(out, write(tmp_path / "many.tif", many))
