"""``--dry-run``: what it prints, that it writes nothing, and that it fails as the run does."""

import re
import shutil

import numpy as np
import pytest
from processes import Finished
from scenes import TILED, colours, many_bands, write

SMALL = ("--option", "affinity=false", "--option", "choice=cut")
"""Options without a network: quick."""


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def lines_of(done: Finished):
    """What was printed, by the word it begins with."""
    assert done.code == 0, done.err
    return {line.split()[0]: line[13:] for line in done.out.splitlines() if line.strip()}


@pytest.fixture
def copy(scene, tmp_path):
    """The plain scene in a directory of its own."""
    return shutil.copy(scene.path, tmp_path / "plain.tif")


def test_it_tells_of_the_scene_and_the_work_and_writes_nothing(geoalps, copy, tmp_path):
    before = everything(tmp_path)
    done = geoalps("tile-label", copy, "--dry-run", "--threads", 2, *TILED, *SMALL)
    assert everything(tmp_path) == before
    told = lines_of(done)
    assert told["scene"].endswith("plain.tif: 200 x 170 pixels, 0.0 megapixels")
    assert told["bands"] == "1, 2, 3 of 3, uint8"
    assert told["place"] == "EPSG:32633, pixels of 0.5 x 0.5 metre"
    assert told["data"] == "100% of the pixels hold data"
    # cores of 128 and 72 by 128 and 42 pixels, with 32 around
    again = ((160 + 104) * (160 + 74)) / (200 * 170) - 1
    assert told["tiles"] == f"4 of 128 pixels with a margin of 32 ({again:.0%} of the pixels read once more)"
    assert told["workers"] == "2 threads"
    for name in ("memory", "time", "disk", "objects"):
        assert "about " in told[name], told
    assert f"free in {tmp_path / 'plain_labels'}" in told["disk"]
    assert "nothing was written" in done.out


def test_tiles_that_are_there_are_told(geoalps, copy, product):
    shutil.copytree(product / "work", copy.parent / "plain_labels" / "work")
    # the copy has another time of writing, and so is another scene
    refused = geoalps("tile-label", copy, "--dry-run", *TILED)
    assert refused.code == 1
    assert "was made with other options (scene.mtime_ns" in refused.err


def test_segment_knows_what_it_did_before(geoalps, copy, tmp_path):
    job = ("segment", copy, "-o", tmp_path / "store", *TILED, *SMALL)
    assert geoalps("-q", *job).code == 0
    before = everything(tmp_path)
    told = lines_of(geoalps(*job, "--dry-run"))
    assert everything(tmp_path) == before
    assert told["tiles"].endswith(", 4 of them are there and not done again")
    assert "product" not in told["disk"]


def test_several_scenes_with_processes(geoalps, copy, tmp_path):
    (tmp_path / "other").mkdir()
    third = many_bands(3, "uint8")(tmp_path / "other" / "third.tif")
    out = tmp_path / "out"
    done = geoalps("tile-label", copy, third.path, "-o", out, "--dry-run", "--workers", 3, *TILED, *SMALL)
    assert done.code == 0, done.err
    assert len(re.findall(r"^scene ", done.out, re.MULTILINE)) == 2
    assert "workers      3 processes of 1 thread each" in done.out
    assert not out.exists()


def test_a_scene_without_data(geoalps, tmp_path):
    made = write(tmp_path / "empty.tif", np.full((3, 90, 90), 7, np.uint8), np.zeros((90, 90), bool), nodata=7)
    told = lines_of(geoalps("tile-label", made.path, "--dry-run", *TILED, *SMALL))
    assert told["data"] == "0% of the pixels hold data"
    assert told["objects"].startswith("none")


def test_further_bands_and_no_crs(geoalps, tmp_path):
    made = write(tmp_path / "four.tif", colours((150, 140), 4).astype(np.uint16) * 9, crs=None)
    told = lines_of(geoalps("-q", "tile-label", made.path, "--dry-run", *TILED, *SMALL))
    assert told["bands"] == "1, 2, 3 and 1 more of 4, uint16"
    assert told["place"].startswith("none: areas will be in pixels")


WRONG = {
    "k": ("-k", "many"),
    "k 0": ("-k", 0),
    "margin": ("--margin", 100),
    "bands": ("--bands", "1,2,9"),
    "segmenter": ("--segmenter", "nonsense"),
    "option": ("--option", "nonsense=3"),
    "percentiles": ("--stretch", "percentile", "--percentiles", 90, 10),
    "adapt": ("--adapt",),
    "encoder option": ("--encoder-option", "a=1"),
    "scheduler and workers": ("--scheduler", "tcp://127.0.0.1:1", "--workers", 2),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_fail_as_in_the_run(geoalps, scene, tmp_path, name):
    job = ("tile-label", scene.path, "-o", tmp_path / "out", *TILED, *WRONG[name])
    planned, real = geoalps(*job, "--dry-run"), geoalps(*job)
    assert planned.code == real.code != 0
    assert planned.err.splitlines()[-1] == real.err.splitlines()[-1]
    assert not planned.out
    assert not (tmp_path / "out").exists()


def test_k_says_what_is_allowed(geoalps, scene):
    done = geoalps("tile-label", scene.path, "-k", "many")
    assert done.code == 2
    assert "'many' is neither a whole number from 1 to 65535 nor auto" in done.err


def test_a_product_that_is_there(geoalps, scene, product):
    done = geoalps("tile-label", scene.path, "-o", product, "--dry-run", *TILED)
    assert done.code == 1
    assert "holds a product already; use --overwrite" in done.err
