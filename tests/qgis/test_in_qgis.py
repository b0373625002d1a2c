"""The plugin in QGIS: through qgis_process, and headless with layers open."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyogrio
import pytest

from geoalps.io.product import Product

CLASSES = [f"class {number}" for number in range(6)]


def names(product):
    """Class -> name, of the GeoPackage's polygons."""
    rows = pyogrio.read_dataframe(product / "labels.gpkg", layer="objects", read_geometry=False)
    return dict(zip(rows["class_id"].tolist(), rows["class_name"].tolist(), strict=True))


def test_tile_label_gives_a_product_and_its_layers(labelled, town):
    results, product = labelled
    assert results["OBJECTS"] == f"{product}/labels.gpkg|layername=objects"
    assert results["LABELS"] == f"{product}/labels.tif"
    assert results["FOLDER"] == results["OUTPUT"] == str(product)
    assert Path(results["REPORT"]) == product / "report.html"
    assert Product.open(product).run()["n_classes"] == 6
    assert set(names(product).values()) == set(CLASSES)


def test_an_error_of_geoalps_is_its_one_line(qgis, labelled, town):
    done = qgis.process("run", "geoalps:tile_label", "--", f"SCENE={town}", f"OUTPUT={labelled[1]}", check=False)
    assert done.returncode == 1
    assert "holds a product already; use --overwrite to replace it" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_relabel_by_a_table_and_back(qgis, product, tmp_path):
    table = tmp_path / "names.csv"
    table.write_text("class_id,name,colour,merge_into\n0,water,#0000ff,\n3,,,2\n", encoding="utf-8")
    results = qgis.algorithm("relabel", PRODUCT=product, TABLE=table, DISSOLVE="true")
    assert (product / "dissolved.gpkg").exists()
    assert results["FOLDER"] == str(product)
    assert names(product)[0] == "water"
    assert 3 not in names(product)
    qgis.algorithm("relabel", PRODUCT=product, RESET="true")
    assert 3 in names(product)


def test_relabel_by_the_table_in_the_geopackage(qgis, product):
    with closing(sqlite3.connect(product / "labels.gpkg")) as database, database:
        database.execute("UPDATE classes SET class_name = 'meadow' WHERE class_id = 1")
    done = qgis.algorithm("relabel", check=False, PRODUCT=product)
    assert done.returncode == 1
    assert "choose labels.gpkg under Take classes from (SOURCE)" in done.stdout + done.stderr
    qgis.algorithm("relabel", PRODUCT=product, SOURCE="labels.gpkg")
    assert names(product)[1] == "meadow"


def test_evaluate_against_a_raster_and_features(qgis, labelled, town, tmp_path):
    output, html = tmp_path / "scores.json", tmp_path / "scores.html"
    truth = town.with_name("town_class.tif")
    results = qgis.algorithm(
        "evaluate", PRODUCT=labelled[1], TRUTH=truth, IGNORE="0,1", OUTPUT=output, HTML=html
    )  # fmt: skip
    found = json.loads(output.read_text())
    assert {entry["name"] for entry in found["classes"]}.isdisjoint({"0", "1"})
    assert results["MEAN_IOU"] == pytest.approx(found["one_to_one"]["mIoU"])
    assert "Confusion" in html.read_text()
    own = qgis.algorithm("evaluate", PRODUCT=labelled[1], TRUTH=f"{labelled[1]}/labels.gpkg|layername=objects",
                         FIELD="class_name", OUTPUT=output, HTML=html)  # fmt: skip
    assert own["OVERALL_ACCURACY"] == pytest.approx(1)


def test_export(qgis, labelled, tmp_path):
    results = qgis.algorithm("export", PRODUCT=labelled[1], FORMAT="geoparquet", OUTPUT=tmp_path / "o.parquet")
    assert results["OUTPUT"] == str(tmp_path / "o.parquet")
    assert (tmp_path / "o.parquet").stat().st_size > 1000


def test_the_environment_is_checked(qgis, tmp_path):
    found = qgis.algorithm("check_environment", DOCTOR="false")
    assert found["WELL"] is True
    assert found["PROGRAM"].endswith("-m geoalps")
    for place, said in (("/nowhere/geoalps", "does not exist"), (str(tmp_path), "holds neither geoalps nor a Python")):
        done = qgis.algorithm("check_environment", check=False, changes={"GEOALPS_PROGRAM": place}.items())
        assert done.returncode == 1
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    done = qgis.algorithm("check_environment", check=False, changes={"GEOALPS_PROGRAM": "/usr/bin/python3"}.items())
    assert "geoalps is not installed in the environment of /usr/bin/python3" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def session(qgis, town, tmp_path_factory):
    """(what happened, product) of a session in QGIS."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "town.tif").symlink_to(town)
    return qgis.inside("loading", folder / "town_labels"), folder / "town_labels"


def test_cancelling_ends_the_run_and_the_next_goes_on(session):
    found = session[0]["cancelled"]
    assert "cancelled; what is done so far is kept: run it again with the same settings" in found["said"]
    assert found["left"] == []
    assert 0 < found["tiles"] < 4
    assert not found["whole"]
    assert found["figures"] == sorted(found["figures"])
    assert session[0]["results"]["FOLDER"] == str(session[1])


def test_layers_are_loaded_in_colour_and_follow_a_relabelling(session):
    found, product = session
    with (product / "classes.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [(row["name"], row["colour"]) for row in csv.DictReader(file)]
    before = [(name, colour) for name, (_, colour) in zip(CLASSES, rows, strict=True)]
    assert set(found["loaded"]) == {"town_labels", "town_labels (raster)"}
    for look in found["loaded"].values():
        assert [tuple(entry) for entry in look["entries"]] == before
    assert found["loaded"]["town_labels"]["renderer"] == "QgsCategorizedSymbolRenderer"
    assert found["loaded"]["town_labels (raster)"]["renderer"] == "QgsPalettedRasterRenderer"
    for moment in ("while editing", "saved, still editing"):
        assert "the layer classes of this product is being edited; save or discard the edits" in found[moment]
    assert found["log"]  # QGIS left one: the case that geoalps by itself refuses
    assert "choose labels.gpkg under Take classes from" in found["wrong table"]
    assert isinstance(found["relabelled"], dict), found["relabelled"]
    assert rows[:2] == [("meadow", before[0][1]), ("forest", before[1][1])]
    assert set(found["after"]) == {"town_labels", "town_labels (raster)"}  # none is there twice
    for look in found["after"].values():
        assert [tuple(entry) for entry in look["entries"]] == rows
    assert set(found["after"]["town_labels"]["values"]) == {name for name, _ in rows}
    assert all("deleted" not in name for name in found["open"])


def test_layers_that_left_their_files_come_back(qgis, product):
    found = qgis.inside("table_layer", product)
    assert "no classes: " in found["refused"]["said"]
    assert found["refused"]["kept"] == 0
    assert found["detached"]["count"] == 0
    assert [name for name, _ in found["detached"]["look"]] == CLASSES
    assert isinstance(found["result"], dict), found["result"]
    (look,) = [look for name, look in found["after"].items() if name == "objects"]
    assert [name for name, _ in look["entries"]] == ["class 0", "class 1", "roof", "road", "class 4", "class 5"]
    assert look["entries"][2][1] == "#0000ff"
    assert {"roof", "road"} <= set(look["values"])
