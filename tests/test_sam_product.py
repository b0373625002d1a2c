"""The main job with ``sam``, end to end: a tiny SAM of segment-anything's modules, several tiles, one product."""

import hashlib
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scenes import check_product, colours, hole, pixels_of, write
from test_sam import CONFIG, tiny_sam

from geoalps.cli import main
from geoalps.grid import TileGrid
from geoalps.io.store import Store

SHAPE = (150, 140)
OPTIONS = {"points_per_side": 8, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.1, "box_nms_thresh": 0.8}
"""Of a random network, whose masks are too ragged to be judged at any other size than their own."""
TILED = ("--tile-size", "64", "--margin", "32", "-k", "4", "--min-area", "0")
"""Masks of a network this small are small: all of them are wanted."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save({"model": tiny_sam().state_dict(), "config": CONFIG}, path)
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    valid = hole(SHAPE)
    values = np.where(valid, colours(SHAPE), np.uint8(0))
    return write(tmp_path_factory.mktemp("scene") / "harbour.tif", values, valid, nodata=0, photometric="rgb")


def tile_label(scene, out, checkpoint, *more, **options):
    """``geoalps tile-label`` in this process: starting another with torch in it would take ten times as long."""
    given = {**OPTIONS, "exact": "true", "torch_threads": 1, **options}.items()
    given = [part for name, value in given for part in ("--option", f"{name}={value}")]
    sam = ["--segmenter", "sam", "--checkpoint", str(checkpoint), "--device", "cpu"]
    args = ["-q", "tile-label", str(scene.path), "-o", str(out), *TILED, *sam, *given, *more]
    return CliRunner().invoke(main, args)


def run(scene, out, checkpoint, *more, **options):
    """The product's directory."""
    done = tile_label(scene, out, checkpoint, *more, **options)
    assert done.exit_code == 0, done.output
    assert done.output == f"{out}\n"
    return out


@pytest.fixture(scope="module")
def product(scene, checkpoint, tmp_path_factory):
    return run(scene, tmp_path_factory.mktemp("product") / "out", checkpoint)


def test_product_is_whole(scene, product):
    layer, report = check_product(scene, product, 4, covers=False)
    assert len(layer) > 8
    assert report["counts"]["tiles"] == 9
    assert set(layer.class_id) == {0, 1, 2, 3}


def test_run_says_what_made_it(product, checkpoint):
    report = json.loads((product / "run.json").read_text())
    segmenter = report["segmenter"]
    assert segmenter["name"] == "sam"
    assert segmenter["checkpoint"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert segmenter["options"].items() >= OPTIONS.items()
    assert report["options"]["gate"] == 0.3
    assert report["versions"]["torch"]


def test_store_holds_the_encoders_embeddings(scene, product):
    store = Store.open(product / "work")
    channels = tiny_sam().image_encoder.neck[-1].weight.numel()
    seen = 0
    for tile in store.grid:
        record = store.read(tile)
        assert record.embeddings.shape == (len(record.segments), channels)
        assert np.isfinite(record.embeddings).all()
        assert (record.valid == scene.valid[tile.window.slices()]).all()
        assert (record.segments.areas > 0).all()
        seen += len(record.segments)
    assert seen > 20


def test_gate_drops_large_masks_that_no_border_cuts(scene, product, checkpoint, tmp_path):
    """Kept and gated segments of a strict gate are the segments of an open one."""
    strict, wide = (
        run(scene, tmp_path / name, checkpoint, "--max-area-fraction", fraction)
        for name, fraction in (("strict", "0.004"), ("wide", "1"))
    )
    counts = [json.loads((out / "run.json").read_text())["counts"] for out in (strict, product, wide)]
    assert counts[0]["gated"] > counts[1]["gated"] >= counts[2]["gated"] == 0
    stores = [Store.open(out / "work") for out in (strict, wide)]
    gated = 0
    for tile in TileGrid(SHAPE, 64, 32):
        few, all_ = (store.read_segments(tile) for store in stores)
        large = all_.areas > 0.004 * tile.window.area
        rows, cols = tile.window.shape
        top, left, bottom, right = all_.boxes.T
        cut = (top == 0) & (tile.window.row0 > 0) | (left == 0) & (tile.window.col0 > 0)
        cut |= (bottom == rows) & (tile.window.row1 < SHAPE[0]) | (right == cols) & (tile.window.col1 < SHAPE[1])
        assert len(few) == len(all_) - (large & ~cut).sum()
        gated += (large & ~cut).sum()
    assert gated == counts[0]["gated"]


def test_the_same_again_bit_for_bit_in_a_worker_process(scene, product, checkpoint, tmp_path):
    again = run(scene, tmp_path / "again", checkpoint, "--workers", "1", points_per_batch=5)
    for one, other in zip(pixels_of(again), pixels_of(product), strict=True):
        assert (one == other).all()


def test_a_scene_without_data_needs_no_weights_to_be_empty(checkpoint, tmp_path):
    empty = write(tmp_path / "empty.tif", np.zeros((3, *SHAPE), np.uint8), np.zeros(SHAPE, bool), nodata=0)
    layer, report = check_product(empty, run(empty, tmp_path / "out", checkpoint), 4)
    assert not len(layer)
    assert report["counts"]["gated"] == 0


def test_no_mask_passing_is_explained(scene, tmp_path, checkpoint):
    sam = ["--segmenter", "sam", "--checkpoint", str(checkpoint), "--option", "pred_iou_thresh=1"]
    done = CliRunner().invoke(main, ["tile-label", str(scene.path), "-o", str(tmp_path / "out"), *TILED, *sam])
    assert done.exit_code == 0, done.output
    assert "no objects: no mask passed; try --option pred_iou_thresh=0.7" in done.output


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("missing", {}, "missing.pth is no file"),
        ("damaged", {}, "damaged.pth cannot be read as a checkpoint"),
        ("empty", {}, "empty.pth cannot be read as a checkpoint"),
        ("other", {}, "holds no SAM"),
        ("other", {"points_per_side": 0}, "points_per_side is 0"),
        ("other", {"points_per_side": '"many"'}, "segmenter 'sam' cannot be made with"),
        ("other", {"pred_iou_thresh": 2}, "pred_iou_thresh is 2"),
        ("other", {"device": "gpu"}, "device is 'gpu'"),
        ("other", {"model": "vit_x"}, "model is 'vit_x'"),
    ],
)
def test_bad_checkpoints_and_options(scene, tmp_path, kind, options, says):
    if kind != "missing":
        (tmp_path / f"{kind}.pth").write_bytes(b"PK\3\4" + bytes(999) if kind == "damaged" else b"")
    if kind == "other":
        torch.save({"weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    done = tile_label(scene, tmp_path / "out", tmp_path / f"{kind}.pth", **options)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
    assert says in done.output
    assert not (tmp_path / "out").exists()
