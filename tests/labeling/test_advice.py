"""Advice: ordinary products get none, each bad one the right one."""

import copy
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geoalps as ga
from geoalps.io.style import ClassRow
from geoalps.labeling.advice import advice
from geoalps.labeling.reporting import finished_product

RUN = {
    "scene": {"shape": [2000, 2000], "dtype": "uint8", "crs": "EPSG:32632", "bands": [1, 2, 3]},
    "n_classes": 16,
    "options": {"grid": {"shape": [2000, 2000], "size": 1024, "margin": 128}, "gate": None},
    "segmenter": {"name": "regions", "options": {"granularity": 1.0}},
    "stretch": {"low": [0.0] * 3, "high": [255.0] * 3, "decibel": False},
    "counts": {"objects": 1600, "covered_pixels": 4_000_000, "tiles": 4, "empty": 0, "gated": 0},
    "damaged_tiles": {},
    "seam_index": {"on": 0.022, "beside": 0.02, "lines": 2, "index": 1.1, "by_chance": 1.2},
    "drift": {"unseen": 0, "unusual": 0},
}
SAM = {"segmenter": {"name": "sam", "options": {"pred_iou_thresh": 0.88}}, "options": {"gate": 0.3}}
ROWS = [ClassRow(i, f"class_{i:02}", "#336699", 100, 250_000.0) for i in range(16)]


def changed(run, changes):
    """A copy of nested dictionaries, some values replaced."""
    made = copy.deepcopy(run)
    for key, value in changes.items():
        made[key] = changed(made.get(key, {}), value) if isinstance(value, dict) and key != "damaged_tiles" else value
    return made


def rows(counts, areas=None):
    return [ClassRow(i, f"c{i}", "#336699", n, float((areas or counts)[i])) for i, n in enumerate(counts)]


def test_an_ordinary_product_gets_none():
    assert advice(RUN, ROWS) == ()


BAD = {
    "no data": (
        {"counts": {"objects": 0, "covered_pixels": 0}},
        [],
        ["no objects: the scene holds no valid", "--nodata"],
    ),
    "no mask": (
        {"counts": {"objects": 0, "covered_pixels": 0}, **SAM},
        [],
        ["no mask passed", "--option pred_iou_thresh=0.7"],
    ),
    "gated": (
        {"counts": {"objects": 0, "covered_pixels": 0, "gated": 9}, **SAM},
        [],
        ["all 9 masks were over 0.3 of a tile", "--max-area-fraction 1"],
    ),
    "uncovered": (
        {"counts": {"covered_pixels": 1_000_000}, **SAM},
        ROWS,
        ["75% of the pixels are uncovered", "--option points_per_side=64"],
    ),
    "hardly any data": ({"counts": {"covered_pixels": 40_000, "objects": 200}}, ROWS, ["cover 1.0%", "--nodata"]),
    "one class": (
        {},
        rows([100] * 16, [1] * 15 + [900]),
        ["class 15 (c15) has 98% of the area", "geoalps split PRODUCT 15"],
    ),
    "few objects": (
        {"counts": {"objects": 40}},
        rows([1] * 8 + [4] * 8),
        ["40 objects in 16 classes, 8 of these", "-k 4 or -k auto"],
    ),
    "lonely classes": ({}, rows([1] * 12 + [400] * 4), ["1600 objects in 16 classes, 12 of these", "-k 8"]),
    "tiny": ({"counts": {"objects": 80_000}}, ROWS, ["20,000 objects a megapixel", "--granularity 0.33", "--min-area"]),
    "coarse": ({"counts": {"objects": 30}}, rows([10, 10, 10]), ["30 objects on 4.0 megapixels", "--granularity 2"]),
    "flat": (
        {"scene": {"dtype": "uint16"}, "stretch": {"low": [500.0] * 3, "high": [503.0] * 3}},
        ROWS,
        ["nearly one value in band 1, 2, 3 (500 to 503)", "--bands", "--percentiles"],
    ),
    "flat floats": (
        {"scene": {"dtype": "float32"}, "stretch": {"low": [0.0, 0.2, 0.0], "high": [1.0, 0.2, 1.0]}},
        ROWS,
        ["in band 2 "],
    ),
    "flat radar": (
        {"scene": {"dtype": "float32"}, "stretch": {"low": [-9.0] * 3, "high": [-8.9] * 3, "decibel": True}},
        ROWS,
        ["picture is flat"],
    ),
    "whole range": (
        {"scene": {"dtype": "uint16"}, "stretch": {"high": [65535.0] * 3}, "counts": {"objects": 100}},
        ROWS,
        ["the whole range of uint16 (0 to 65535)", "leave out --stretch none"],
    ),
    "seams": (
        {"seam_index": {"index": 3.0}},
        ROWS,
        ["seam index 3.00 (1.20 is by chance)", "of 1024 pixels", "--margin 256"],
    ),
    "seams of small tiles": (
        {"seam_index": {"index": 3.0}, "options": {"grid": {"size": 64, "margin": 32}}},
        ROWS,
        ["--tile-size 128 --margin 64"],
    ),
    "damaged": (
        {"damaged_tiles": {"r00000c00001": "9 pixels cannot be read"}},
        ROWS,
        ["1 tiles are not whole (r00000c00001: 9"],
    ),
    "no CRS": ({"scene": {"crs": None}}, ROWS, ["no CRS", "gdal_edit.py -a_srs EPSG:CODE"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_gets_the_right_line_and_no_other(name):
    changes, classes, says = BAD[name]
    (line,) = advice(changed(RUN, changes), classes)
    assert "\n" not in line
    for words in says:
        assert words in line


def test_what_is_near_a_threshold_is_left_alone():
    for changes in (
        {"seam_index": {"index": 1.7}},  # within what other lines have by chance
        {"seam_index": {"index": 9.0, "lines": 1}},
        {"seam_index": {"index": None, "by_chance": None}},
        {"counts": {"covered_pixels": 1_000_000}},  # a frame that is not full
        {"scene": {"dtype": "uint16"}, "stretch": {"low": [100.0] * 3, "high": [900.0] * 3}},
        {"scene": {"dtype": "uint16"}, "stretch": {"high": [65535.0] * 3}},
        {"counts": {"objects": 8_000}},
    ):
        assert advice(changed(RUN, changes), ROWS) == ()
    assert advice(changed(RUN, {"scene": {"crs": None}}), ROWS, place=False) == ()


def test_products_of_before_have_no_counts_of_pixels():
    old = changed(RUN, {})
    del old["counts"]["covered_pixels"], old["seam_index"]["by_chance"]
    assert advice(old, ROWS) == ()


def of(product):
    finished = finished_product(product)
    return advice(finished.run, finished.rows)


def test_a_made_scene_is_ordinary_and_a_constant_one_is_not(tmp_path):
    from geoalps.io.sample import write_sample
    from geoalps.sample import SampleScene

    good = write_sample(tmp_path / "good.tif", SampleScene((300, 300)), truth=False)["image"]
    assert of(ga.tile_label(good, tmp_path / "good", 8)) == ()
    with rasterio.open(good) as file:
        profile = {**file.profile, "dtype": "uint16", "height": 256, "width": 256}
    with rasterio.open(tmp_path / "flat.tif", "w", **profile) as file:
        file.write(
            np.full((3, 256, 256), 700, np.uint16) + np.random.default_rng(0).integers(0, 2, (3, 256, 256), np.uint16)
        )
    said = of(ga.tile_label(tmp_path / "flat.tif", tmp_path / "flat", 1, affinity=False))
    assert any("the picture is flat" in line for line in said), said


DATA = Path(__file__).parents[3] / "shared" / "data" / "scenes"


@pytest.mark.parametrize("name", ["whu_0", "ssdd_000001"])
def test_real_scenes_are_ordinary(tmp_path, name):
    scene = DATA / f"{name}.tif"
    if not scene.exists():
        pytest.skip("the real scenes are not beside the repository")
    assert [line for line in of(ga.tile_label(scene, tmp_path / "out")) if "CRS" not in line] == []
