"""The layout of mmsegmentation: chips, label maps, and what its own reader would be told."""

import json
import shutil
import sys
import types
from collections import Counter

import numpy as np
import pytest
import rasterio
from PIL import Image

from geoalps.errors import OptionError, ProductError
from geoalps.io.class_table import ClassEntry
from geoalps.io.exports import write_mmseg
from geoalps.io.product import Product
from geoalps.labeling.relabelling import relabel


def read(path):
    with Image.open(path) as image:
        return np.array(image)


def chips(folder):
    """(split, stem, window) of every chip, as ``dataset.json`` tells; the files must be just these."""
    dataset = json.loads((folder / "dataset.json").read_text())
    told = [(split, name, window) for split, some in dataset["splits"].items() for name, window in some.items()]
    for kind in ("img_dir", "ann_dir"):
        there = sorted((path.parent.name, path.stem) for path in (folder / kind).glob("*/*.png"))
        assert there == sorted((split, name) for split, name, _ in told)
        assert sorted(path.name for path in (folder / kind).iterdir()) == sorted(dataset["splits"])
    return dataset, told


def check(folder, labels, image, ids):
    """Every chip shows its window of the image, and of the labels with ``ids[value]`` for ``value``."""
    dataset, told = chips(folder)
    size, seen = dataset["chip_size"], np.zeros(labels.shape, int)
    class_of = np.full(65536, -1)
    class_of[: len(ids)] = ids
    for split, name, (row0, col0, row1, col1) in told:
        shown, classes = (
            read(folder / "img_dir" / split / f"{name}.png"),
            read(folder / "ann_dir" / split / f"{name}.png"),
        )
        assert (shown.shape, shown.dtype) == ((size, size, 3), np.uint8)
        assert (classes.shape, classes.dtype) == ((size, size), np.uint8)
        height, width = row1 - row0, col1 - col0
        assert (shown[:height, :width] == image[row0:row1, col0:col1]).all()
        assert not shown[height:].any()
        assert not shown[:, width:].any()
        assert (class_of[classes[:height, :width]] == labels[row0:row1, col0:col1]).all()
        assert (classes[height:] == 255).all()
        assert (classes[:, width:] == 255).all()
        seen[row0:row1, col0:col1] += 1
    assert seen.max() == 1
    return seen


def with_uncovered(ids, uncovered=255):
    """(256,) the class id of every value of a label map."""
    return np.concatenate([ids, np.full(255 - len(ids), -1), [uncovered]])


@pytest.mark.parametrize("size", [32, 100])
def test_chips_are_the_windows_of_scene_and_labels(finished, tmp_path, size):
    folder = write_mmseg(finished.product, tmp_path / "mm", chip_size=size, block_chips=1, min_cover=0)
    labels = finished.read("labels.tif")
    seen = check(folder, labels, finished.image, with_uncovered(range(5)))
    assert seen[labels != 255].all()


def test_splits_are_blocks_in_the_shares_that_were_asked_for(finished, tmp_path):
    folder = write_mmseg(finished.product, tmp_path / "mm", chip_size=16, block_chips=3, split=(0.6, 0.2, 0.2), seed=3)
    _, told = chips(folder)
    split_of = {}
    for split, _, (row0, col0, _, _) in told:
        assert split_of.setdefault((row0 // 48, col0 // 48), split) == split
    counts = Counter(split for split, _, _ in told)
    assert sum(counts.values()) > 100
    for split, share in zip(("train", "val", "test"), (0.6, 0.2, 0.2), strict=True):
        assert abs(counts[split] - share * sum(counts.values())) <= 9
    assert json.loads((folder / "export.json").read_text())["counts"] == counts


def test_a_gap_leaves_chips_out(finished, tmp_path):
    options = {"chip_size": 16, "block_chips": 4, "split": (0.5, 0.5)}
    wide = write_mmseg(finished.product, tmp_path / "wide", gap=1, **options)
    _, kept = chips(wide)
    _, every = chips(write_mmseg(finished.product, tmp_path / "mm", **options))
    assert 0 < len(kept) < len(every)
    for split, _, (row0, col0, _, _) in kept:
        for other, _, (row, col, _, _) in kept:
            assert split == other or max(abs(row - row0), abs(col - col0)) > 2 * 16


def test_a_split_without_a_share_is_not_there(finished, tmp_path):
    folder = write_mmseg(finished.product, tmp_path / "mm", chip_size=64, block_chips=1, split=(0.8, 0.2))
    assert sorted(path.name for path in (folder / "img_dir").iterdir()) == ["train", "val"]
    folder = write_mmseg(finished.product, tmp_path / "one", chip_size=64, split=(1, 0, 0))
    assert [path.name for path in (folder / "img_dir").iterdir()] == ["train"]


def test_merged_classes_leave_no_hole_in_the_numbers(finished, tmp_path):
    product = Product(shutil.copytree(finished.product.path, tmp_path / "product"))
    names = ["water", 'roof "red"', "Bäume", "x", "y"]
    merged = {1: 0, 3: 2}
    relabel(product, [ClassEntry(i, names[i], f"#0{i}ff00", merged.get(i)) for i in range(5)])
    folder = write_mmseg(product, tmp_path / "mm", finished.scene, chip_size=64, block_chips=1, min_cover=0)
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1)
    check(folder, labels, finished.image, with_uncovered([0, 2, 4]))
    classes = json.loads((folder / "dataset.json").read_text())["classes"]
    assert [(c["value"], c["class_id"], c["name"]) for c in classes] == [(0, 0, "water"), (1, 2, "Bäume"), (2, 4, "y")]
    assert [c["colour"] for c in classes] == [[0, 255, 0], [2, 255, 0], [4, 255, 0]]


def test_more_classes_than_fit_are_refused_until_merged(colourful, tmp_path):
    with pytest.raises(OptionError, match=r"has 300 classes; label maps of 8 bit hold 255: merge some with"):
        write_mmseg(colourful.product, tmp_path / "mm", chip_size=60)
    product = Product(shutil.copytree(colourful.product.path, tmp_path / "product"))
    relabel(product, [ClassEntry(i, f"c{i}", "#102030", 0 if 0 < i <= 45 else None) for i in range(300)])
    folder = write_mmseg(product, tmp_path / "mm", colourful.scene, chip_size=60, block_chips=1, min_cover=0)
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1)
    assert labels.dtype == np.uint16
    check(folder, labels, colourful.image, with_uncovered([0, *range(46, 300)], 65535))


def test_the_data_set_class_registers_names_and_colours(finished, tmp_path, monkeypatch):
    folder = write_mmseg(finished.product, tmp_path / "mm", chip_size=64, block_chips=1)
    registered, given = [], {}

    class BaseSegDataset:
        def __init__(self, **kwargs):
            given.update(kwargs)

    registry = types.SimpleNamespace(register_module=lambda: lambda made: registered.append(made) or made)
    for name, content in (
        ("mmseg", {}),
        ("mmseg.datasets", {"BaseSegDataset": BaseSegDataset}),
        ("mmseg.registry", {"DATASETS": registry}),
    ):
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "geoalps_dataset", raising=False)
    import geoalps_dataset

    assert registered == [geoalps_dataset.GeoalpsDataset]
    table = finished.product.classes()
    info = geoalps_dataset.GeoalpsDataset.METAINFO
    assert info["classes"] == tuple(table.class_name)
    assert info["palette"] == [list(bytes.fromhex(colour[1:])) for colour in table.colour]
    geoalps_dataset.GeoalpsDataset(data_root="here")
    assert given == {
        "data_root": "here", "img_suffix": ".png", "seg_map_suffix": ".png", "reduce_zero_label": False
    }  # fmt: skip
    assert f"num_classes={len(table)}" in (folder / "README.txt").read_text()


def test_a_damaged_class_model_is_told(finished, tmp_path):
    product = Product(shutil.copytree(finished.product.path, tmp_path / "product"))
    (product.path / "classes.json").write_text("[]")
    with pytest.raises(ProductError, match=r"classes\.json is damaged"):
        write_mmseg(product, tmp_path / "mm", finished.scene)
