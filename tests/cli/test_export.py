"""``geoalps export`` as a process: every format, and what it refuses."""

import json
import shutil

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from PIL import Image
from pycocotools.coco import COCO

SMALL = ("--chip-size", 64, "--min-cover", 0)


def made(done):
    """The process made what it says on stdout."""
    assert done.code == 0, done.err
    return done.out.strip()


def ids_of(product):
    with rasterio.open(product / "objects.tif") as file:
        return file.read(1)


@pytest.fixture
def export(geoalps, product, scene, tmp_path):
    """Exports the product to a path in an empty directory."""

    def run(form, name, *options, scene_too=False):
        where = ("--scene", scene.path) if scene_too else ()
        return geoalps("-q", "export", product, "--format", form, "-o", tmp_path / name, *where, *options)

    return run


def test_geoparquet(export, product, tmp_path):
    assert made(export("geoparquet", "objects.parquet")) == str(tmp_path / "objects.parquet")
    ids = ids_of(product)
    assert len(geopandas.read_parquet(tmp_path / "objects.parquet")) == len(np.unique(ids[ids > 0]))


def test_coco(export, product, tmp_path, capsys):
    assert made(export("coco", "coco", *SMALL, "--min-visible", 0, scene_too=True)) == str(tmp_path / "coco")
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    capsys.readouterr()
    assert sum(annotation["area"] for annotation in coco.anns.values()) == (ids_of(product) > 0).sum()


def test_coco_with_splits(export, tmp_path):
    made(export("coco", "coco", *SMALL, "--split", "0.5,0.5", "--block-chips", 1, "--seed", 4, scene_too=True))
    names = sorted(path.name for path in (tmp_path / "coco").glob("*.json"))
    assert names == ["annotations_train.json", "annotations_val.json", "export.json"]
    assert json.loads((tmp_path / "coco" / "export.json").read_text())["options"]["seed"] == 4


def test_mmseg(export, product, tmp_path):
    made(export("mmseg", "mm", *SMALL, "--block-chips", 1, scene_too=True))
    pixels = sum((np.array(Image.open(path)) != 255).sum() for path in (tmp_path / "mm" / "ann_dir").glob("*/*.png"))
    assert pixels == (ids_of(product) > 0).sum()
    assert sorted(path.name for path in (tmp_path / "mm" / "img_dir").iterdir()) == ["test", "train", "val"]


def test_sgo_as_rasters_and_as_chips(export, scene, tmp_path):
    made(export("sgo", "sgo", "--min-pixels", 30))
    with rasterio.open(tmp_path / "sgo" / "sgo.tif") as file, rasterio.open(scene.path) as wanted:
        assert (file.shape, file.crs, file.transform) == (wanted.shape, wanted.crs, wanted.transform)
        assert file.read(1).max() > 10
    made(export("sgo", "chips", *SMALL, "--most", 3, scene_too=True))
    values = [np.array(Image.open(path)).max() for path in (tmp_path / "chips" / "sgo_dir").glob("*.png")]
    assert max(values) == 3


def test_stac(export, product, tmp_path):
    made(export("stac", "item.json", "--id", "town", "--when", "2026-03-01/2026-03-02"))
    item = pystac.Item.from_file(str(tmp_path / "item.json"))
    assert (item.id, item.datetime, item.common_metadata.end_datetime.day) == ("town", None, 2)
    assert item.assets["labels"].get_absolute_href() == str(product / "labels.tif")


def test_the_scene_is_found_beside_the_product(geoalps, product, scene, tmp_path):
    shutil.copytree(product, tmp_path / "out", ignore=shutil.ignore_patterns("work"))
    shutil.copy2(scene.path, tmp_path / scene.path.name)
    done = geoalps("export", tmp_path / "out", "-f", "coco", "-o", tmp_path / "coco", *SMALL)
    assert made(done) == str(tmp_path / "coco")
    assert "chips: 12 of 12 chips" in done.err


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        (
            "geoparquet",
            ("--chip-size", 64),
            "--chip-size is an option of coco, mmseg, sgo; leave it out for geop",
        ),
        ("geoparquet", ("--scene", "x.tif"), "--scene is an option of coco, mmseg, sgo"),
        ("stac", ("--split", "0.5,0.5"), "--split is an option of coco, mmseg, sgo; leave it out for stac"),
        ("stac", ("--min-visible", 0.5), "--min-visible is an option of coco; leave it out for stac"),
        ("mmseg", ("--min-visible", 0.5), "--min-visible is an option of coco; leave it out for mmseg"),
        ("mmseg", ("--most", 5), "--most is an option of sgo; leave it out for mmseg"),
        ("coco", ("--min-pixels", 5), "--min-pixels is an option of sgo; leave it out for coco"),
        ("coco", ("--id", "x"), "--id is an option of stac; leave it out for coco"),
        ("coco", ("--when", "2026"), "--when is an option of stac; leave it out for coco"),
        ("coco", ("--gap", 1), "--gap is about splits; give --split too, or leave it out"),
        ("coco", ("--seed", 0), "--seed is about splits"),
        ("sgo", ("--most", 5), "--most is for chips; give --chip-size too, or leave it out"),
        ("sgo", ("--split", "0.5,0.5"), "--split is for chips"),
        ("coco", ("--split", "a,b"), "'a,b' is no list of numbers like 0.7,0.15,0.15"),
        ("shapefile", (), "'shapefile' is not one of"),
    ],
)
def test_options_that_do_not_apply_are_errors_of_usage(export, tmp_path, form, options, message):
    done = export(form, "out", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("coco", ("--chip-size", 3), "chip size is 3; allowed are 16 to 8192 pixels"),
        ("coco", ("--scene", "gone.tif"), "gone.tif does not exist"),
        ("mmseg", ("--split", "1"), "the split is 1; give the shares of train, val and test"),
        ("mmseg", ("--chip-size", 64, "--block-chips", 1, "--gap", 3), "a gap of 3 chips leaves none for"),
        ("stac", ("--when", "then"), "'then' is no time"),
        ("sgo", ("--min-pixels", 0), "the smallest object is given as 0 pixels"),
    ],
)
def test_values_out_of_range_are_told_in_one_line(export, tmp_path, form, options, message):
    done = export(form, "out", *options, scene_too="--scene" not in options and form in ("coco", "mmseg"))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays_unless_it_is_to_be_replaced(export, tmp_path):
    made(export("sgo", "sgo"))
    again = export("sgo", "sgo")
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "holds an export already; use --overwrite" in again.err
    made(export("sgo", "sgo", "--overwrite"))
    assert [path.name for path in tmp_path.iterdir()] == ["sgo"]


def test_what_is_no_product_is_refused(geoalps, tmp_path):
    done = geoalps("export", tmp_path, "-f", "stac", "-o", tmp_path / "item.json")
    assert done.code == 1
    assert "is not a product" in done.err


def test_a_full_disk_leaves_nothing_behind(geoalps, product, scene, tmp_path):
    limits = {"geoparquet": 3000, "coco": 3000, "mmseg": 3000, "sgo": 600, "stac": 500}
    for form, limit in limits.items():
        where = ("--scene", scene.path, *SMALL) if form in ("coco", "mmseg") else ()
        done = geoalps("export", product, "-f", form, "-o", tmp_path / "out", *where, largest_file=limit)
        assert (done.code, done.out) == (1, ""), form
        assert "full" in done.err, form
        assert not list(tmp_path.iterdir()), form


def test_help_shows_every_format(geoalps):
    text = made(geoalps("export", "--help"))
    for form in ("geoparquet", "coco", "mmseg", "sgo", "stac"):
        assert f"geoalps export ortho_labels/ -f {form} " in text
