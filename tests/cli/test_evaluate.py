"""``geoalps evaluate`` and ``geoalps name-from``, as processes."""

import json
import shutil

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from scenes import check_product, pixels_of, write


@pytest.fixture(scope="module")
def truth(product, tmp_path_factory):
    """Polygons: what the product says, but for its left half, which is of one kind."""
    objects = pyogrio.read_dataframe(product / "labels.gpkg", layer="objects")
    middle = objects.total_bounds[[0, 2]].mean()
    west = objects.geometry.centroid.x < middle
    names = np.where(west, "west", "kind " + objects.class_id.astype(str))
    path = tmp_path_factory.mktemp("truth") / "truth.gpkg"
    geopandas.GeoDataFrame({"class": names}, geometry=objects.geometry, crs=objects.crs).to_file(path)
    return path


def failed(done, text):
    assert done.code == 1
    assert text in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_tables_for_a_person(geoalps, product, truth):
    done = geoalps("-q", "evaluate", product, truth)
    assert done.code == 0, done.err
    assert done.err == ""
    for text in ("west", "kind 1", "one-to-one", "many-to-one", "mIoU", "NMI", "Confusion", "true outlines"):
        assert text in done.out
    assert "by name" not in done.out
    assert max(map(len, done.out.splitlines())) < 200


def test_one_to_one_that_cannot_reach_one_says_so(geoalps, product, scene, tmp_path):
    labels = pixels_of(product)[0]
    two = write(tmp_path / "two.tif", (labels[None] % 2).astype(np.uint8))
    done = geoalps("evaluate", product, two.path)
    assert "One-to-one cannot reach 1 here: 5 clusters for 2 classes leave 3 wrong" in done.out
    assert "No outlines in the truth" in done.out


def test_json_on_stdout_and_in_a_file(geoalps, product, truth, tmp_path):
    done = geoalps("-q", "evaluate", product, truth, "--json", "-o", tmp_path / "figures.json", "--ignore", "west")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert json.loads((tmp_path / "figures.json").read_text()) == content
    assert content["majority"]["OA"] == 1
    assert content["objects"]["recall75"] == 1
    assert "west" not in [entry["name"] for entry in content["classes"]]


def test_a_raster_with_instances(geoalps, product, tmp_path):
    labels, objects = pixels_of(product)
    classes = write(tmp_path / "c.tif", labels[None], nodata=255)
    instances = write(tmp_path / "i.tif", objects[None].astype(np.uint32))
    done = geoalps("-q", "evaluate", product, classes.path, "--instances", instances.path, "--json")
    content = json.loads(done.out)
    assert content["one_to_one"]["mIoU"] == content["ARI"] == content["objects"]["recall50"] == 1
    assert content["objects"]["boundary_recall"] == 1


def test_many_classes_have_no_confusion_table(geoalps, product, tmp_path):
    values = np.arange(30, dtype=np.uint8).repeat(200 * 170 // 30 + 1)[: 200 * 170].reshape(1, 200, 170)
    done = geoalps("evaluate", product, write(tmp_path / "t.tif", values).path)
    assert done.code == 0, done.err
    assert "The confusion table has 30 columns" in done.out


def test_what_cannot_be_evaluated_is_told_in_a_line(geoalps, product, truth, tmp_path):
    failed(geoalps("evaluate", product, truth, "--field", "kind"), "has no field 'kind'; its fields are class")
    failed(geoalps("evaluate", product, tmp_path / "no.tif"), "does not exist")
    failed(geoalps("evaluate", tmp_path, truth), "is not a product")
    failed(geoalps("-q", "evaluate", product, truth, "--ignore", "wst"), "no class 'wst' to ignore")
    failed(geoalps("-q", "evaluate", product, truth, "-o", tmp_path / "no" / "f.json"), "No such file")
    assert geoalps("evaluate", product).code == 2


@pytest.fixture
def labelled(product, tmp_path):
    """A copy of the product, and points in classes 0, 1 (both ``water``) and 2."""
    out = tmp_path / "out"
    shutil.copytree(product, out)
    with rasterio.open(out / "labels.tif") as file:
        labels, transform, crs = file.read(1), file.transform, file.crs
    rows = []
    for number, (name, count) in enumerate((("water", 3), ("water", 2), ("grass", 2))):
        pixels = np.argwhere(labels == number)[::50][:count]
        rows += [(name, shapely.Point(transform @ (col + 0.5, row + 0.5))) for row, col in pixels]
    names, points = zip(*rows, strict=True)
    path = tmp_path / "places.gpkg"
    geopandas.GeoDataFrame({"what": names}, geometry=list(points), crs=crs).to_crs(4326).to_file(path)
    return out, path


def test_a_dry_run_shows_the_evidence_and_changes_nothing(geoalps, labelled):
    out, path = labelled
    before = {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}
    done = geoalps("name-from", out, path, "--field", "what", "--dry-run")
    assert done.code == 0, done.err
    assert "water (into 0)" in done.out
    assert "class 3 (kept)" in done.out
    assert "m2" in done.out
    assert "nothing is changed" in done.err
    assert {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()} == before


def test_names_are_given_and_judged(geoalps, labelled, scene):
    out, path = labelled
    classes = pixels_of(out)[0]
    done = geoalps("name-from", out, path, "--field", "what", "--json")
    assert done.code == 0, done.err
    assert [entry["merge_into"] for entry in json.loads(done.out)["classes"]] == [None, 0, None, None, None]
    assert (pixels_of(out)[0] == np.where(classes == 1, 0, classes)).all()
    objects = pyogrio.read_dataframe(out / "labels.gpkg", layer="objects", read_geometry=False)
    assert set(objects.class_name) == {"water", "grass", "class 3", "class 4"}
    judged = json.loads(geoalps("-q", "evaluate", out, path, "--field", "what", "--json").out)
    assert judged["by_name"]["OA"] == 1
    assert judged["pixels"] == 7


def test_names_kept_apart_are_numbered_and_judged_as_one(geoalps, labelled, scene):
    out, path = labelled
    done = geoalps("name-from", out, path, "--field", "what", "--keep-apart")
    assert done.code == 0, done.err
    layer, _ = check_product(scene, out, 5)
    assert set(layer.class_name) == {"water", "water 2", "grass", "class 3", "class 4"}
    judged = json.loads(geoalps("-q", "evaluate", out, path, "--field", "what", "--json").out)
    assert judged["by_name"]["OA"] == 1
