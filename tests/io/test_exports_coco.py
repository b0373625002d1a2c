"""COCO, read back by pycocotools; and the images of chips, which other formats have too."""

import json
import os
import shutil

import numpy as np
import pytest
import rasterio
import rioxarray
from PIL import Image
from pycocotools.coco import COCO

import geoalps as ga
from geoalps.errors import GeoalpsWarning, OptionError, ProductError, SceneError
from geoalps.io.exports import write_coco
from geoalps.io.product import Product
from geoalps.testing import PlainSegmenter

SIZE = 64


@pytest.fixture
def quiet_coco(capsys):
    """Opens annotations with pycocotools, which talks."""

    def opened(path):
        found = COCO(str(path))
        capsys.readouterr()
        return found

    return opened


def window_of(values, image, fill=0):
    """What of a scene's array a chip shows, filled up to its size."""
    row0, col0, row1, col1 = image["window"]
    part = values[row0:row1, col0:col1]
    grow = [(0, image["height"] - part.shape[0]), (0, image["width"] - part.shape[1])] + [(0, 0)] * (values.ndim - 2)
    return np.pad(part, grow, constant_values=fill)


def read_png(path):
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.parametrize("size", [SIZE, 512])
def test_masks_are_the_windows_of_the_object_raster(finished, tmp_path, quiet_coco, size):
    folder = write_coco(finished.product, tmp_path / "coco", chip_size=size, min_visible=0, min_cover=0)
    coco, ids, classes = quiet_coco(folder / "annotations.json"), finished.ids, finished.read("labels.tif")
    seen = np.zeros(ids.max() + 1, np.int64)
    for number, image in coco.imgs.items():
        wanted = window_of(ids, image)
        found = np.zeros_like(wanted)
        for annotation in coco.loadAnns(coco.getAnnIds([number])):
            mask = coco.annToMask(annotation).astype(bool)
            assert not found[mask].any()
            found[mask] = annotation["object_id"]
            seen[annotation["object_id"]] += mask.sum()
            assert set(window_of(classes, image)[mask]) == {annotation["class_id"]}
            assert annotation["area"] == mask.sum()
            rows, cols = np.nonzero(mask)
            box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
            assert annotation["bbox"] == box
            assert annotation["truncated"] == (mask.sum() < (ids == annotation["object_id"]).sum())
        assert (found == wanted).all()
    assert (seen[1:] == np.bincount(ids.ravel())[1:]).all()


def test_categories_are_the_classes(finished, tmp_path, quiet_coco):
    folder = write_coco(finished.product, tmp_path / "coco", chip_size=SIZE)
    coco, table = quiet_coco(folder / "annotations.json"), finished.product.classes()
    known = [(c["id"], c["class_id"], c["name"]) for c in coco.loadCats(coco.getCatIds())]
    assert known == [(row.class_id + 1, row.class_id, row.class_name) for row in table.itertuples()]
    class_of = finished.product.objects().set_index("object_id").class_id
    assert coco.anns
    for annotation in coco.anns.values():
        assert annotation["category_id"] == annotation["class_id"] + 1 == class_of[annotation["object_id"]] + 1
        assert annotation["iscrowd"] == 0


@pytest.mark.parametrize("least", [0.3, 0.8])
def test_objects_of_which_little_is_seen_are_left_out(finished, tmp_path, quiet_coco, least):
    folder = write_coco(finished.product, tmp_path / "coco", chip_size=SIZE, min_visible=least, min_cover=0)
    coco, ids = quiet_coco(folder / "annotations.json"), finished.ids
    whole, wanted = np.bincount(ids.ravel()), set()
    for number, image in coco.imgs.items():
        pixels = np.bincount(window_of(ids, image).ravel(), minlength=len(whole))
        wanted |= {(number, i) for i in np.flatnonzero(pixels) if i and pixels[i] > least * whole[i]}
    assert {(each["image_id"], each["object_id"]) for each in coco.anns.values()} == wanted


def test_images_are_the_scene(finished, tmp_path):
    folder = write_coco(finished.product, tmp_path / "coco", chip_size=SIZE)
    images = json.loads((folder / "annotations.json").read_text())["images"]
    assert len(images) > 8
    for image in images:
        assert (read_png(folder / "images" / image["file_name"]) == window_of(finished.image, image)).all()


def test_images_are_stretched_as_the_class_model_says(finished, tmp_path):
    path = tmp_path / "deep.tif"
    with rasterio.open(finished.scene) as file:
        profile, values = file.profile, file.read().astype(np.uint16) * 40
    with rasterio.open(path, "w", **{**profile, "dtype": "uint16"}) as file:
        file.write(values)
    product = ga.tile_label(path, tmp_path / "out", 4, segmenter=PlainSegmenter(), bands=(3, 1, 1), min_area=0)
    folder = write_coco(product, tmp_path / "coco", path, chip_size=SIZE, min_cover=0)
    stretch = product.run()["stretch"]
    low, high = np.array(stretch["low"]), np.array(stretch["high"])
    shown = np.clip((values[[2, 0, 0]].transpose(1, 2, 0) - low) / (high - low), 0, 1) * 255 + 0.5
    shown[~values[[2, 0]].any(0)] = 0
    for image in json.loads((folder / "annotations.json").read_text())["images"]:
        found = read_png(folder / "images" / image["file_name"])
        assert (abs(found.astype(int) - window_of(shown.astype(int), image)) <= 1).all()


def test_a_nodata_value_of_the_run_is_that_of_the_images(finished, tmp_path):
    value = int(finished.image[100, 100, 0])
    product = ga.tile_label(
        finished.scene, tmp_path / "out", 4, segmenter=PlainSegmenter(), bands=(1,), nodata=value, min_area=0
    )
    folder = write_coco(product, tmp_path / "coco", finished.scene, chip_size=SIZE, min_cover=0)
    shown = np.where(finished.image[..., :1] == value, np.uint8(0), finished.image[..., [0, 0, 0]])
    for image in json.loads((folder / "annotations.json").read_text())["images"]:
        assert (read_png(folder / "images" / image["file_name"]) == window_of(shown, image)).all()


def test_images_know_their_place(anywhere, tmp_path):
    folder = write_coco(anywhere.product, tmp_path / "coco", chip_size=SIZE)
    with rasterio.open(anywhere.scene) as file:
        crs, place = file.crs, file.transform
    images = json.loads((folder / "annotations.json").read_text())["images"]
    for image in images:
        with rasterio.open(folder / "images" / image["file_name"]) as file:
            assert file.crs == crs
            row0, col0 = image["window"][:2]
            for col, row in ((0, 0), (0, SIZE), (SIZE, 0)):
                wanted = place @ (col + col0, row + row0)
                assert file.transform @ (col, row) == pytest.approx(wanted, rel=1e-12)
                assert rasterio.Affine(*image["transform"]) @ (col, row) == pytest.approx(wanted, rel=1e-12)


def test_splits_share_no_chip_and_lose_none(finished, tmp_path, quiet_coco):
    options = {"chip_size": 32, "min_cover": 0, "min_visible": 0}
    folder = write_coco(finished.product, tmp_path / "split", split=(0.6, 0.2, 0.2), block_chips=2, **options)
    whole = quiet_coco(write_coco(finished.product, tmp_path / "all", **options) / "annotations.json")
    assert not (folder / "annotations.json").exists()
    parts = [quiet_coco(folder / f"annotations_{name}.json") for name in ("train", "val", "test")]
    assert [len(part.imgs) > 0 for part in parts] == [True] * 3
    names = [image["file_name"] for part in parts for image in part.imgs.values()]
    assert sorted(names) == sorted(image["file_name"] for image in whole.imgs.values())
    assert sorted(names) == sorted(path.name for path in (folder / "images").glob("*.png"))
    for kind in ("imgs", "anns"):
        numbers = [number for part in parts for number in getattr(part, kind)]
        assert sorted(numbers) == sorted(getattr(whole, kind)), "numbers are those of all splits together"
    counts = json.loads((folder / "export.json").read_text())["counts"]
    assert {name: value["images"] for name, value in counts.items()} == {
        name: len(part.imgs) for name, part in zip(("train", "val", "test"), parts, strict=True)
    }


@pytest.mark.parametrize("least", [-0.1, 1, float("nan")])
def test_a_visible_share_out_of_range_is_refused(finished, tmp_path, least):
    with pytest.raises(OptionError, match="the least visible share is"):
        write_coco(finished.product, tmp_path / "coco", min_visible=least)


def moved_away(finished, tmp_path):
    """A copy of the product whose scene is no longer where it was."""
    folder = shutil.copytree(finished.product.path, tmp_path / "product", ignore=shutil.ignore_patterns("work"))
    run = json.loads((folder / "run.json").read_text())
    assert run["scene"]["path"] == str(finished.scene)
    run["scene"]["path"] = str(tmp_path / "gone" / "town.tif")
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_a_scene_that_is_gone_is_asked_for(finished, tmp_path):
    folder = moved_away(finished, tmp_path)
    with pytest.raises(SceneError, match="say where it is with --scene"):
        write_coco(Product(folder), tmp_path / "coco")
    moved = shutil.copy2(finished.scene, tmp_path / "moved.tif")
    write_coco(Product(folder), tmp_path / "coco", moved, chip_size=SIZE)
    assert (tmp_path / "coco" / "images" / "town_r00001c00001.png").exists()
    assert not list(tmp_path.glob("*.part"))


def test_the_scene_is_where_the_run_says(finished, tmp_path):
    folder = shutil.copytree(finished.product.path, tmp_path / "product", ignore=shutil.ignore_patterns("work"))
    assert write_coco(Product(folder), tmp_path / "coco", chip_size=SIZE).exists()


@pytest.mark.parametrize("opened", [ga.open_scene, str])
def test_a_scene_may_be_given_as_what_it_is(finished, tmp_path, opened):
    assert write_coco(finished.product, tmp_path / "coco", opened(finished.scene), chip_size=128).exists()


def test_a_scene_that_is_an_array_is_known_by_its_values(finished, tmp_path):
    with rioxarray.open_rasterio(finished.scene) as array:
        product = ga.tile_label(array, tmp_path / "out", 4, segmenter=PlainSegmenter(), min_area=0)
        folder = write_coco(product, tmp_path / "coco", array, chip_size=SIZE)
        for image in json.loads((folder / "annotations.json").read_text())["images"]:
            assert (read_png(folder / "images" / image["file_name"]) == window_of(finished.image, image)).all()
        with pytest.raises(SceneError, match="digest: "):
            write_coco(product, tmp_path / "again", array.copy(data=255 - array.values), chip_size=SIZE)


def test_a_scene_beside_the_product_is_found_unless_it_was_changed(finished, tmp_path):
    folder = moved_away(finished, tmp_path)
    scene = shutil.copy2(finished.scene, tmp_path / "town.tif")
    write_coco(Product(folder), tmp_path / "coco", chip_size=SIZE)
    os.utime(scene, ns=(0, 10**18))
    with pytest.raises(SceneError, match=r"town\.tif is not the scene that the product was made of \(mtime_ns: "):
        write_coco(Product(folder), tmp_path / "again", chip_size=SIZE)
    with pytest.warns(GeoalpsWarning, match="was written at another time"):
        write_coco(Product(folder), tmp_path / "again", scene, chip_size=SIZE)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"transform": rasterio.Affine(1, 0, 9, 0, -1, 9)}, "transform: "),
        ({"crs": "EPSG:32633"}, "crs: "),
        ({"dtype": "uint16"}, "dtype: uint8, now uint16"),
        ({"width": 229}, r"shape: \[200, 230\], now \[200, 229\]"),
        ({"compress": "deflate"}, "size: "),
    ],
)
def test_another_scene_is_refused(finished, tmp_path, change, what):
    with rasterio.open(finished.scene) as file:
        profile, values = file.profile, file.read()
    profile.pop("blockysize", None)
    with rasterio.open(tmp_path / "other.tif", "w", **{**profile, **change}) as file:
        file.write(values[:, :, : file.width])
    with pytest.raises(SceneError, match=f"not the scene that the product was made of .*{what}"):
        write_coco(finished.product, tmp_path / "coco", tmp_path / "other.tif")
    assert not (tmp_path / "coco").exists()


def test_what_is_there_stays_unless_it_is_an_export(finished, tmp_path):
    options = {"chip_size": 128}
    folder = tmp_path / "coco"
    folder.mkdir()
    write_coco(finished.product, folder, **options)
    with pytest.raises(ProductError, match="holds an export already; use --overwrite"):
        write_coco(finished.product, folder, **options)
    (folder / "images" / "old.png").touch()
    write_coco(finished.product, folder, overwrite=True, **options)
    assert not (folder / "images" / "old.png").exists()
    (folder / "export.json").unlink()
    for taken in (folder, finished.product.path, finished.product.path.parent):
        with pytest.raises(ProductError, match="holds other things than an export"):
            write_coco(finished.product, taken, overwrite=True, **options)
    with pytest.raises(ProductError, match="is a file"):
        write_coco(finished.product, folder / "annotations.json", overwrite=True, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]


def test_an_error_on_the_way_leaves_the_old_export(finished, tmp_path, monkeypatch):
    folder = write_coco(finished.product, tmp_path / "new" / "coco", chip_size=128)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    calls = iter([None, None])

    def full(*args):
        if next(calls, 1):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoalps.io.exports.images.write_png", full)
    for overwrite, out in ((True, folder), (False, tmp_path / "more" / "coco")):
        with pytest.raises(OSError, match="No space left"):
            write_coco(finished.product, out, chip_size=64, overwrite=overwrite)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
