"""The commands, as processes: what they write, what they reuse, what they say."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from scenes import SCENES, TILED, check_product, colours, pixels_of, plain, write
from scipy import ndimage

from geoalps.cli.main import COMMANDS

RASTERS = ("labels.tif", "objects.tif")


def made(done):
    """The process made what it says on stdout."""
    assert done.code == 0, done.err
    return done.out.strip()


def same_product(one, other):
    """Rasters byte for byte, polygons and attributes value for value."""
    for name in RASTERS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    layers = [pyogrio.read_dataframe(out / "labels.gpkg", layer="objects") for out in (one, other)]
    assert layers[0].drop(columns="geometry").equals(layers[1].drop(columns="geometry"))
    assert (shapely.to_wkb(layers[0].geometry) == shapely.to_wkb(layers[1].geometry)).all()


def times(out):
    return {path.stem: path.stat().st_mtime_ns for path in (out / "work" / "tiles").glob("*/*.parquet")}


@pytest.mark.parametrize("kind", SCENES)
def test_any_scene_gives_a_whole_product(geoalps, tmp_path, kind):
    scene = SCENES[kind](tmp_path / "scene.tif")
    k = 5 if scene.valid.size > 1000 else 1
    done = geoalps("-q", "tile-label", scene.path, "-o", tmp_path / "out", "-k", k, *TILED)
    assert (done.code, done.out, done.err) == (0, f"{tmp_path / 'out'}\n", "")
    layer, run = check_product(scene, tmp_path / "out", k)
    assert run["counts"]["tiles"] == -(-scene.valid.shape[0] // 128) * -(-scene.valid.shape[1] // 128)
    assert len(layer) > 10 or scene.valid.size < 1000


def test_stages_apart_make_the_same_product(geoalps, scene, product, tmp_path):
    store, model, out = (tmp_path / name for name in ("store", "model", "out"))
    assert made(geoalps("-q", "segment", scene.path, "-o", store, *TILED)) == str(store)
    assert made(geoalps("-q", "fit", store, "-o", model, "-k", 5)) == str(model / "classes.json")
    assert made(geoalps("-q", "label", store, "--class-model", model, "-o", out)) == str(out)
    same_product(out, product)
    assert (model / "classes.json").read_bytes() == (product / "classes.json").read_bytes()
    assert not (out / "work").exists()
    check_product(scene, out, 5)


def test_a_class_model_of_two_scenes(geoalps, product, tmp_path):
    other = plain(tmp_path / "other.tif", (140, 150))
    made(geoalps("-q", "segment", other.path, "-o", tmp_path / "store", *TILED))
    made(geoalps("-q", "fit", product / "work", tmp_path / "store", "-o", tmp_path / "model", "-k", 4))
    content = json.loads((tmp_path / "model" / "classes.json").read_text())
    assert content["source"]["scenes"] == ["plain", "other"]
    made(geoalps("-q", "label", tmp_path / "store", "--class-model", tmp_path / "model", "-o", tmp_path / "out"))
    check_product(other, tmp_path / "out", 4)


def test_lost_tiles_are_made_again_and_no_others(geoalps, scene, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    before = times(out)
    lost = sorted(before)[1:3]
    for name in lost:
        (out / "work" / "tiles" / name[:6] / f"{name}.parquet").unlink()
    (out / "work" / "seams.npz").unlink()
    done = geoalps("tile-label", scene.path, "-o", out, "-k", 5, *TILED, "--overwrite")
    assert made(done) == str(out)
    assert "segment: 2 of 2 tiles" in done.err
    after = times(out)
    assert {name for name in after if after[name] != before[name]} == set(lost)
    same_product(out, product)


def test_another_number_of_classes_costs_no_tile(geoalps, scene, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    before = times(out)
    done = geoalps("tile-label", scene.path, "-o", out, "-k", 3, *TILED, "--overwrite", "--clean")
    assert "segment: " not in done.err
    check_product(scene, out, 3)
    assert not (out / "work").exists()
    assert before == times(product)
    assert (pixels_of(out)[1] == pixels_of(product)[1]).all()


def test_bits_do_not_depend_on_the_workers(geoalps, scene, product, tmp_path):
    for workers in (1, 2, 4):
        out = tmp_path / str(workers)
        made(geoalps("-q", "tile-label", scene.path, "-o", out, "-k", 5, *TILED, "--workers", workers))
        same_product(out, product)


def test_more_classes_than_a_byte_holds(geoalps, scene, tmp_path):
    options = (*TILED[:4], "--option", "regions_per_mpx=20000", "--option", "smallest=8", "--option", "choice=cut")
    made(geoalps("-q", "tile-label", scene.path, "-o", tmp_path / "out", "-k", 260, *options))
    check_product(scene, tmp_path / "out", 260)


def test_the_next_scene_gets_the_same_classes(geoalps, scene, product, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(product / "classes.npz", model)
    content = json.loads((product / "classes.json").read_text())
    for entry, name in zip(content["classes"], ("roof", "water", "meadow", "street", "wood"), strict=True):
        entry["class_name"] = name
    (model / "classes.json").write_text(json.dumps(content))
    run = ("-q", "tile-label", *TILED, "--class-model", model)
    made(geoalps(*run, scene.path, "-o", tmp_path / "same"))
    layer, _ = check_product(scene, tmp_path / "same", 5)
    for name in RASTERS:
        assert (tmp_path / "same" / name).read_bytes() == (product / name).read_bytes()
    assert set(layer.class_name) <= {"roof", "water", "meadow", "street", "wood"}

    # the same patches elsewhere, under a georeference of its own
    moved = write(tmp_path / "next.tif", colours((200, 170))[:, 18:, 36:], crs="EPSG:3035", photometric="rgb")
    made(geoalps(*run, moved.path, "-o", tmp_path / "next"))
    check_product(moved, tmp_path / "next", 5)
    assert json.loads((tmp_path / "next" / "classes.json").read_text()) == content
    agree = pixels_of(tmp_path / "next")[0] == pixels_of(product)[0][18:, 36:]
    assert agree.mean() > 0.8


def test_simplified_outlines_keep_shared_borders(geoalps, scene, product, tmp_path):
    made(geoalps("-q", "label", product / "work", "--class-model", product, "-o", tmp_path / "out", "--simplify", 1))
    layer, _ = check_product(scene, tmp_path / "out", 5, follows_pixels=False)
    before = pyogrio.read_dataframe(product / "labels.gpkg", layer="objects")
    assert shapely.get_num_coordinates(layer.geometry).sum() < shapely.get_num_coordinates(before.geometry).sum() * 0.8
    for name in RASTERS:
        assert (tmp_path / "out" / name).read_bytes() == (product / name).read_bytes()


def test_no_piece_is_smaller_than_asked_for(geoalps, scene, product, tmp_path):
    def smallest(out):
        ids = pixels_of(out)[1]
        pieces = [ndimage.label(ids == i)[0] for i in np.unique(ids)]
        return min(np.bincount(piece.ravel())[1:].min() for piece in pieces)

    # a pixel has a quarter of a square metre
    made(geoalps("-q", "label", product / "work", "--class-model", product, "-o", tmp_path / "out", "--min-area", 60))
    check_product(scene, tmp_path / "out", 5)
    assert smallest(product) < 60 / 0.25 <= smallest(tmp_path / "out")


def test_options_of_reading(geoalps, tmp_path):
    values = colours((150, 150), 4)
    values[:, 60:90] = 9
    scene = write(tmp_path / "scene.tif", values, (values != 9).any(0))
    run = ("-q", "tile-label", scene.path, "-k", 3, *TILED, "--nodata", 9, "--bands", "4,3,2")
    made(geoalps(*run, "--stretch", "percentile", "--percentiles", 1, 99))
    # without -o the product lies beside the scene
    _, report = check_product(scene, tmp_path / "scene_labels", 3)
    assert report["scene"]["bands"] == [4, 3, 2]
    assert report["scene"]["nodata"] == 9
    assert report["stretch"]["low"] != [0, 0, 0]


def test_what_is_said(geoalps, tmp_path):
    scene = plain(tmp_path / "scene [red].tif", (60, 60), crs=None)
    options = ("-k", 2, *TILED, "--overwrite")
    quiet = geoalps("-q", "tile-label", scene.path, *options)
    out = tmp_path / "scene_red_labels"
    assert (quiet.code, quiet.out, quiet.err) == (0, f"{out}\n", "")
    done = geoalps("tile-label", scene.path, *options)
    assert done.out == f"{out}\n"
    warned = [line for line in done.err.splitlines() if "Warning" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"Warning: {scene.path} has no CRS: areas are in pixels")
    assert "segmenter: regions" in done.err
    assert f"open {out / 'report.html'} in a browser, and {out / 'labels.gpkg'} in QGIS" in done.err
    _, ids = pixels_of(out)
    layer = pyogrio.read_dataframe(out / "labels.gpkg", layer="objects")
    assert (layer.area_m2 == np.bincount(ids.ravel())[layer.object_id]).all()


def test_no_warning_where_all_is_well(geoalps, scene, tmp_path):
    done = geoalps("segment", scene.path, "-o", tmp_path / "store", *TILED)
    assert done.code == 0
    assert "Warning" not in done.err


def test_info(geoalps, scene, product):
    def told(path):
        content = json.loads(made(geoalps("info", path, "--json")))
        text = made(geoalps("info", path))
        assert content["kind"] in text
        assert content["path"] == str(path)
        return content

    said = told(scene.path)
    assert (said["kind"], said["height"], said["width"], said["bands"]) == ("scene", 200, 170, 3)
    assert (said["dtype"], said["crs"], said["unit"]) == ("uint8", "EPSG:32633", "metre")
    assert said["pixel size"] == [0.5, 0.5]
    said = told(product)
    assert (said["kind"], said["scene"], said["n_classes"]) == ("product", "plain", 5)
    assert len(said["classes"]) == 5
    assert said["counts"]["objects"] == len(np.unique(pixels_of(product)[1]))
    said = told(product / "work")
    assert (said["kind"], said["tiles"], said["tile size"], said["margin"]) == ("store", "4 of 4", 128, 32)


def test_info_of_a_class_model(geoalps, product, tmp_path):
    for name in ("classes.json", "classes.npz"):
        shutil.copy(product / name, tmp_path)
    said = json.loads(made(geoalps("info", tmp_path, "--json")))
    assert said["kind"] == "class model"
    assert said["classes"].keys() == set("01234")


HELP = """
import sys
import click
from geoalps.cli.main import COMMANDS, main

def text(*args):
    try:
        main([*args, "--help"], prog_name="geoalps", standalone_mode=False)
    except click.exceptions.Exit:
        pass

text()
for name in COMMANDS:
    print("=" * 9, name)
    text(name)
print("=" * 9, sorted({"torch", "numpy", "rasterio", "higra"} & set(sys.modules)))
"""


def test_help_shows_examples_and_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    first, *commands, loaded = done.stdout.split("=" * 9)
    assert loaded.strip() == "[]"
    assert "geoalps tile-label made.tif" in first
    names = [text.split()[0] for text in commands]
    assert names == list(COMMANDS)
    for name, text in zip(names, commands, strict=True):
        assert f"  {name} " in first
        assert f"\n    geoalps {name} " in text, f"{name} shows no example"


def test_rasters_say_what_they_hold(product):
    with rasterio.open(product / "labels.tif") as file:
        assert file.overviews(1) == []
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    table = json.loads((product / "classes.json").read_text())["classes"]
    categories = (product / "labels.tif.aux.xml").read_text()
    assert all(f"<Category>{entry['class_name']}</Category>" in categories for entry in table)
