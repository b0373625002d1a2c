"""Class models and class tables from the command line, as processes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from scenes import TILED, check_product, colours, pixels_of, write


@pytest.fixture
def out(product, tmp_path):
    """A product of five classes that a test may write to."""
    shutil.copytree(product, tmp_path / "out")
    return tmp_path / "out"


def made(done):
    assert done.code == 0, done.err
    return Path(done.out.strip())


def refused(done, *says):
    assert done.code == 1, done.out
    assert done.out == ""
    assert done.err.count("\n") == 1
    for words in says:
        assert words in done.err


def table(out):
    return pyogrio.read_dataframe(out / "labels.gpkg", layer="classes", read_geometry=False)


def test_scenes_are_fitted_at_once_and_stores_and_products_too(geoalps, scene, product, tmp_path):
    other = write(tmp_path / "other.tif", colours((140, 170), step=29)).path
    model = made(geoalps("-q", "fit", scene.path, other, "-o", tmp_path / "classes", "-k", 4, *TILED)).parent
    assert sorted(path.name for path in (model / "work").iterdir()) == sorted([Path(scene.path).stem, "other"])
    stores = [model / "work" / name for name in (Path(scene.path).stem, "other")]
    again = made(geoalps("-q", "fit", *stores, "-o", tmp_path / "again", "-k", 4)).parent
    assert (again / "classes.json").read_bytes() == (model / "classes.json").read_bytes()
    by_product = made(geoalps("-q", "fit", product, "-o", tmp_path / "third", "-k", 5)).parent
    assert (
        json.loads((by_product / "classes.json").read_text())["classes"]
        == json.loads((product / "classes.json").read_text())["classes"]
    )
    # what there is, is not overwritten without a word
    refused(geoalps("-q", "fit", stores[0], "-o", model, "-k", 3), "holds a class model already", "--overwrite")
    refused(geoalps("-q", "fit", stores[0], "-o", product, "-k", 3, "--overwrite"), "is a product", "-o")
    done = geoalps("-q", "tile-label", other, "--class-model", model, "-o", tmp_path / "out", *TILED)
    assert len(table(made(done))) == 4


def test_the_number_of_classes_may_be_left_to_the_program(geoalps, scene, product, tmp_path):
    done = geoalps("tile-label", scene.path, "-o", tmp_path / "out", "-k", "auto", *TILED)
    found = json.loads((made(done) / "run.json").read_text())["n_classes"]
    told = json.loads(geoalps("-q", "suggest-classes", product, "--json").out)
    assert found == told["k"] == len(table(tmp_path / "out"))
    assert told["reason"] in " ".join(done.err.split())
    check_product(scene, tmp_path / "out", found)
    wrong = geoalps("tile-label", scene.path, "-o", tmp_path / "no", "-k", "many")
    assert wrong.code == 2
    assert "many" in wrong.err


def test_update_goes_on_and_leaves_a_product_alone(geoalps, out, tmp_path):
    other = write(tmp_path / "other.tif", colours((140, 170), step=29)).path
    for args in ((out,), (out / "classes.json",), (out, "-o", out, "--overwrite")):
        refused(geoalps("-q", "update", args[0], other, *args[1:], *TILED), "is a product", "-o")
    model = made(geoalps("-q", "update", out, other, "-o", tmp_path / "classes", *TILED)).parent
    before, after = (json.loads((path / "classes.json").read_text()) for path in (out, model))
    assert before["classes"] == after["classes"]
    assert after["source"]["scenes"][-1] == "other"
    assert after["source"]["objects"] > before["source"]["objects"]
    # in place, and from what is segmented
    made(geoalps("-q", "update", model, model / "work" / "other"))
    assert len(json.loads((model / "classes.json").read_text())["source"]["scenes"]) == 3
    wide = write(tmp_path / "wide.tif", colours((140, 170), step=29).astype(np.uint16)).path
    refused(geoalps("-q", "update", model, wide, *TILED), "uint8", "uint16")


def test_drift_is_said_of_the_next_scene_alone(geoalps, out, scene, tmp_path):
    other = write(tmp_path / "other.tif", 255 - colours((140, 170), step=29)).path
    done = geoalps("tile-label", other, "--class-model", out, "-o", tmp_path / "next", *TILED)
    assert "drift: " in done.err
    again = geoalps("tile-label", other, "--class-model", out, "--adapt", "-o", tmp_path / "adapted", *TILED)
    assert made(again) == tmp_path / "adapted"
    store = geoalps("-q", "segment", other, "--class-model", out, "-o", tmp_path / "store", *TILED)
    labelled = geoalps("label", made(store), "--class-model", out, "--adapt", "-o", tmp_path / "third")
    for one, two in zip(pixels_of(made(again)), pixels_of(made(labelled)), strict=True):
        assert np.array_equal(one, two)
    assert "drift: " not in geoalps("tile-label", other, "-o", tmp_path / "own", "-k", 3, *TILED).err


def test_a_class_table_is_edited_and_taken_back(geoalps, out, scene, tmp_path):
    before = pixels_of(out)
    text = (out / "classes.csv").read_text(encoding="utf-8-sig").splitlines()
    assert text[0] == "class_id,name,colour,merge_into"
    names = tmp_path / "names.csv"
    names.write_text("class_id;name;colour;merge_into\n0;Wasser;#2040ff;\n1;;;0\n3;Wald;;\n")
    assert made(geoalps("relabel", out, names, "--dissolve")) == out
    assert table(out).class_name.tolist() == ["Wasser", "class 2", "Wald", "class 4"]
    assert not (pixels_of(out)[0] == 1).any()
    dissolved = pyogrio.read_dataframe(out / "dissolved.gpkg", layer="dissolved")
    assert dissolved.object_count.sum() == len(pyogrio.read_dataframe(out / "labels.gpkg", layer="objects"))
    # the table that lies beside the product says it now, and again changes nothing
    done = geoalps("relabel", out)
    assert made(done) == out
    assert "4 classes, 1 merged into others" in done.err
    made(geoalps("relabel", out, "--reset"))
    assert all(np.array_equal(one, two) for one, two in zip(pixels_of(out), before, strict=True))
    assert table(out).class_name[0] == "Wasser"
    check_product(scene, out, 5)


def test_the_table_is_edited_in_qgis(geoalps, out):
    import sqlite3

    with sqlite3.connect(out / "labels.gpkg") as database:
        database.execute("UPDATE classes SET class_name = 'wood', merge_into = 0 WHERE class_id = 2")
        database.execute("UPDATE classes SET colour = '#00ff00' WHERE class_id = 4")
    database.close()
    # the table beside the product does not know of it, and is not taken without being named
    refused(geoalps("-q", "relabel", out), "was edited", "labels.gpkg", "classes.csv")
    made(geoalps("-q", "relabel", out, out / "labels.gpkg"))
    assert table(out).class_id.tolist() == [0, 1, 3, 4]
    with rasterio.open(out / "labels.tif") as file:
        assert file.colormap(1)[4][:3] == (0, 255, 0)
    assert "2,wood," in (out / "classes.csv").read_text(encoding="utf-8-sig")


def test_names_are_taken_from_a_legend(geoalps, out, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("class_id,name\n0,80\n1,tree cover\n")
    made(geoalps("-q", "relabel", out, names, "--legend", "worldcover"))
    found = table(out).set_index("class_id")
    assert found.class_name[0] == "Permanent water bodies"
    assert found.class_name[1] == "Tree cover"
    assert found.colour[0] == "#0064c8"
    assert found.class_name[2] == "class 2"
    names.write_text("class_id,name\n0,treecover\n")
    refused(geoalps("-q", "relabel", out, names, "--legend", "worldcover"), "treecover", "Tree cover")
    refused(geoalps("-q", "relabel", out, "--legend", "world"), "world", "worldcover")


@pytest.mark.parametrize(("text", "says"), [
    ("class_id,name\n9,water\n", "line 2 of names.csv: there is no class 9, only 0 to 4"),
    ("name\nwater\n", "has no column class_id"),
    ("class_id,name\n0,a\n1,a\n", "classes 0, 1 are all named 'a'"),
    ("class_id,merge_into\n0,0\n", "class 0 is to be merged into itself"),
    ("class_id,colour\n0,blue\n", "class 0 has colour 'blue'"),
])  # fmt: skip
def test_a_table_that_makes_no_sense_changes_nothing(geoalps, out, tmp_path, text, says):
    names = tmp_path / "names.csv"
    names.write_text(text)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    refused(geoalps("-q", "relabel", out, names), says)
    assert before == {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_a_class_is_split_by_number_or_name(geoalps, out, scene):
    before = pixels_of(out)[0]
    made(geoalps("-q", "split", out, "class 1", "-k", 3))
    after = pixels_of(out)[0]
    assert np.array_equal(after[before != 1], before[before != 1])
    assert set(np.unique(after[before == 1])) == {1, 5, 6}
    assert table(out).class_name.tolist()[1::4] == ["class 1 (1)", "class 1 (2)"]
    check_product(scene, out, 7)
    refused(geoalps("-q", "split", out, "meadow"), "there is no class 'meadow'", "0 (class 0)")
    refused(geoalps("-q", "split", out, 17), "there is no class '17'")
    shutil.rmtree(out / "work")
    refused(geoalps("-q", "split", out, 0), "has no store", "--clean")


def test_what_is_no_product_is_told(geoalps, tmp_path):
    refused(geoalps("-q", "relabel", tmp_path), "is not a product")
    refused(geoalps("-q", "split", tmp_path, 1), "is not a product")
    refused(geoalps("-q", "update", tmp_path, tmp_path), "holds no class model")
