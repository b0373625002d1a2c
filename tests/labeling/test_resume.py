"""Killed at any moment and run again, a run goes on and ends as if nothing had been; and a store is used again."""

import json
import shutil
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
from comparison import differences, tiles, unfinished
from running import Before, Call, run
from scenes import check_product, plain

from geoalps.errors import StoreError
from geoalps.io.store import Store, TileRecord
from geoalps.segments import Segments

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and watched in /proc")

TILED = ("--tile-size", 48, "--margin", 12, "--option", "regions_per_mpx=1500")
TILE = "r?????c?????.parquet"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """16 tiles."""
    return plain(tmp_path_factory.mktemp("scene") / "town.tif", (192, 192))


@pytest.fixture(scope="module")
def label(scene):
    """Runs ``geoalps tile-label`` on the scene to its end."""
    return lambda out, *args, **settings: run("tile-label", scene.path, "-o", out, "-k", 5, *TILED, *args, **settings)


@pytest.fixture(scope="module")
def undisturbed(label, tmp_path_factory):
    """A product, to be read or copied only."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = label(out)
    assert done.code == 0, done.err
    return out


MOMENTS = {
    "before there is a store": Before("manifest.json"),
    "before the first tile": Before(TILE),
    "after six tiles": Before(TILE, 7),
    "before the last tile": Before(TILE, 16),
    "before it is known what is one object": Before("seams.npz"),
    "while cores are painted": Call("geoalps.io.rasters", "CoreWriter", "write", 7),
    "when the object raster is painted": Before("objects.work.tif"),
    "before what was painted is described": Before("painted/objects.json", 2),
    "while outlines are traced": Call("geoalps.io.polygons", "Joiner", "add", 9),
    "before the outlines": Before("polygons.parquet", 2),
    "when the class raster is painted": Before("labels.work.tif"),
    "before the polygons": Before("product.part/labels.gpkg"),
    "before run.json is written": Before("product.part/run.json"),
    "while the files are moved to their names": Before("out/labels.gpkg"),
    "just before run.json": Before("out/run.json", 2),
}
"""In the order of a run, so that one run after the other can be killed in one directory."""


def killed(done):
    return done.code == -signal.SIGKILL and not done.out


@pytest.mark.parametrize("moment", ["while cores are painted", "just before run.json"])
def test_killed_and_run_again_gives_the_same(label, undisturbed, tmp_path, moment):
    out = tmp_path / "out"
    assert killed(label(out, before=MOMENTS[moment]))
    assert not (out / "run.json").exists()
    before = tiles(out)
    done = label(out)
    assert (done.code, done.out) == (0, f"{out}\n"), done.err
    assert (f"{len(before)} of 16 tiles are in" in done.err) == bool(before)
    assert tiles(out).items() >= before.items(), "a tile was done again"
    assert not differences(out, undisturbed)
    assert not unfinished(out)


def test_killed_again_and_again_it_ends_all_the_same(label, undisturbed, tmp_path):
    out = tmp_path / "out"
    count = 0
    for name, moment in MOMENTS.items():
        if "tile" in name:
            # those that are there already do not appear again
            moment = replace(moment, nth=moment.nth - count)  # noqa: PLW2901
        assert killed(label(out, before=moment)), name
        assert len(tiles(out)) >= count
        count = len(tiles(out))
    assert label(out).code == 0
    assert not differences(out, undisturbed)
    assert not unfinished(out)


def test_an_overwriting_run_that_is_killed_leaves_nothing_of_the_old_store(label, undisturbed, tmp_path):
    out, other = tmp_path / "out", ("--overwrite", "--margin", 24)
    shutil.copytree(undisturbed, out)
    assert label(tmp_path / "fresh", *other).code == 0
    for moment in (Before("r00002c00001.parquet"), Before(TILE, 5)):
        assert killed(label(out, *other, before=moment))
    assert label(out, *other).code == 0
    assert not differences(out, tmp_path / "fresh")


def test_of_several_scenes_the_finished_ones_do_not_stop_the_same_command(tmp_path):
    plain(tmp_path / "north.tif", (100, 90))
    plain(tmp_path / "south.tif", (90, 140))
    command = ("-q", "tile-label", tmp_path, "-k", 4, *TILED, "-o")
    out, fine = tmp_path / "out", tmp_path / "fine"
    assert run(*command, fine).code == 0
    assert killed(run(*command, out, before=Before("south/work/painted/objects.json", 2)))
    assert (out / "north" / "run.json").exists()
    done = run(*command, out)
    assert done.code == 0, done.err
    for name in ("north", "south"):
        assert not differences(out / name, fine / name)
        assert not unfinished(out / name)
    refused = run(*command, out)
    assert refused.code == 1
    assert "holds a product already" in refused.err


# A store is used again


def test_options_that_touch_no_tile_use_the_store_and_say_so(scene, label, undisturbed, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    other = ("-k", 3, "--min-area", 30, "--simplify", 1, "--seed", 4, "--normalisation", "pca", "--overwrite")
    shutil.copytree(undisturbed, out)
    before = tiles(out)
    done = label(out, *other)
    assert f"16 of 16 tiles are in {out / 'work'} already and are not done again" in done.err
    assert "segment: " not in done.err
    assert "stitch: " not in done.err
    assert label(fresh, *other).code == 0
    assert not differences(out, fresh)
    check_product(scene, out, 3, follows_pixels=False)
    # and back
    back = label(out, "--overwrite")
    assert "segment: " not in back.err
    assert not differences(out, undisturbed)
    assert tiles(out) == before
    # what is painted is used again as well
    again = label(out, "--overwrite", "-k", 3, "--seed", 4, "--normalisation", "pca")
    assert "paint: " not in again.err
    assert "polygons: " not in again.err


def test_other_names_cost_no_tile(label, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    content = json.loads((out / "classes.json").read_text())
    content["classes"][2]["class_name"] = "quay"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "classes.json").write_text(json.dumps(content))
    shutil.copy(out / "classes.npz", tmp_path / "model")
    done = label(out, "--class-model", tmp_path / "model", "--overwrite")
    assert "16 of 16 tiles are in" in done.err
    assert "paint: " not in done.err
    found = differences(out, undisturbed)
    assert [line.split(":")[0] for line in found] == ["objects", "classes", "classes.json"]


TOUCHING = {
    "size": (("--tile-size", 96), "grid.size: 48, now 96"),
    "stretch": (("--stretch", "percentile"), "stretch."),
    "nodata": (("--nodata", 9), "scene.nodata: null, now 9"),
    "option": (("--option", "regions_per_mpx=900"), "segmenter.options.regions_per_mpx: 1500, now 900"),
}


@pytest.mark.parametrize("kind", TOUCHING)
def test_options_that_touch_the_tiles_are_refused_with_the_difference(label, undisturbed, tmp_path, kind):
    args, difference = TOUCHING[kind]
    shutil.copytree(undisturbed / "work", tmp_path / "out" / "work")
    before = tiles(tmp_path / "out")
    done = label(tmp_path / "out", "-q", *args)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert difference in done.err
    assert "--overwrite" in done.err
    assert tiles(tmp_path / "out") == before


def test_tiles_of_unknown_origin_are_not_taken_for_ours(label, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed / "work", out / "work")
    (out / "work" / "manifest.json").unlink()
    done = label(out, "-q", "--margin", 24)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "manifest.json is gone" in done.err
    assert label(out, "-q", "--overwrite").code == 0
    assert not differences(out, undisturbed)


def test_whoever_still_writes_for_a_killed_run_does_not_write_into_the_next_ones_store(tmp_path):
    grid = {"grid": {"shape": [40, 40], "size": 20, "margin": 4}, "scene": {}, "segmenter": {}}
    late = Store.create(tmp_path, {**grid, "gate": 0.3})
    record = TileRecord(
        Segments.empty(), np.zeros((0, 0), np.float32), np.zeros((0, 3), np.uint8), np.ones((24, 24), bool)
    )
    store = Store.create(tmp_path, {**grid, "gate": 0.5}, overwrite=True)
    with pytest.raises(StoreError, match="started over"):
        late.write(late.grid[0, 0], record)
    assert len(list(store.missing())) == 4
    assert not unfinished(tmp_path)
    store.write(store.grid[0, 0], record)
    assert len(list(store.missing())) == 3
