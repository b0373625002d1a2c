"""SGO and SGB against scikit-image's boundaries, object by object."""

import json

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.segmentation import find_boundaries

from geoalps.errors import OptionError
from geoalps.io.exports import write_constraint_chips, write_constraints
from geoalps.io.exports.constraints import constraints, numbered


def oracle(ids, min_pixels, most=None):
    """SGO and SGB as the paper says: each mask on its own, the largest first."""
    sgo, sgb = np.zeros(ids.shape, np.int64), np.zeros(ids.shape, bool)
    masks = [ids == i for i in np.unique(ids) if i]
    for mask in masks:
        sgb |= find_boundaries(mask, mode="thick")
    masks = sorted((mask for mask in masks if mask.sum() >= min_pixels), key=lambda mask: -mask.sum())
    for number, mask in enumerate(masks[:most], 1):
        sgo[mask] = number
    sgo[sgb] = 0
    return sgo, 255 * sgb.astype(np.uint8)


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_a_square_has_twelve_pixels_of_boundary():
    ids = np.zeros((6, 6), np.uint32)
    ids[2:4, 2:4] = 7
    rows = ["000000", "001100", "011110", "011110", "001100", "000000"]
    sgo, sgb = constraints(ids, min_pixels=1)
    assert (sgb == 255 * np.array([[int(sign) for sign in row] for row in rows])).all()
    assert not sgo.any()
    assert (sgo.dtype, sgb.dtype) == (np.uint8, np.uint8)


@st.composite
def images(draw):
    """(h, w) ids of objects in cells of several pixels, with gaps, holes and single pixels."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = draw(st.integers(1, 6))
    ids = np.kron(rng.integers(0, draw(st.integers(1, 12)), shape), np.ones((cell, cell), np.int64))
    ids[rng.random(ids.shape) < draw(st.sampled_from([0, 0.05]))] = 99
    return ids


@given(images(), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 5)))
def test_arrays_are_those_of_the_paper(ids, min_pixels, most):
    for found, wanted in zip(constraints(ids, min_pixels, most), oracle(ids, min_pixels, most), strict=True):
        assert (found == wanted).all()


@pytest.mark.parametrize(("window", "min_pixels"), [(16, 50), (61, 1), (128, 400), (1024, 50)])
def test_a_scene_in_windows_is_the_whole_scene(finished, tmp_path, window, min_pixels):
    folder = write_constraints(finished.product, tmp_path / "sgo", window=window, min_pixels=min_pixels)
    for name, wanted in zip(("sgo.tif", "sgb.tif"), oracle(finished.ids, min_pixels), strict=True):
        assert (read(folder / name) == wanted).all()
    count = int((np.bincount(finished.ids.ravel())[1:] >= min_pixels).sum())
    assert json.loads((folder / "export.json").read_text())["counts"] == {"objects": count}
    assert not list(folder.glob("*.work.tif"))


def test_rasters_lie_on_the_grid_of_the_scene(anywhere, tmp_path):
    folder = write_constraints(anywhere.product, tmp_path / "sgo")
    with rasterio.open(anywhere.scene) as file:
        place = (file.shape, file.crs, file.transform)
    for name, nodata in (("sgo.tif", 0), ("sgb.tif", None)):
        with rasterio.open(folder / name) as file:
            assert (file.shape, file.crs) == place[:2]
            assert file.transform.almost_equals(place[2], 1e-9)
            assert (file.dtypes, file.nodata) == (("uint8",), nodata)
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize(("count", "dtype"), [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65536, "uint32")])
def test_numbers_are_as_small_as_fits(count, dtype):
    number = numbered(np.full(count + 1, 60), 50)
    assert number.dtype == dtype
    assert number.tolist() == list(range(count + 1))


def test_many_objects_take_two_bytes(colourful, tmp_path):
    folder = write_constraints(colourful.product, tmp_path / "sgo", min_pixels=1)
    assert read(folder / "sgo.tif").dtype == np.uint16
    assert (read(folder / "sgo.tif") == oracle(colourful.ids, 1)[0]).all()


def test_a_product_without_objects_has_no_boundaries(empty, tmp_path):
    folder = write_constraints(empty.product, tmp_path / "sgo")
    assert not read(folder / "sgo.tif").any()
    assert not read(folder / "sgb.tif").any()


@pytest.mark.parametrize(("size", "most", "dtype"), [(48, 5, "uint8"), (96, 50, "uint8"), (256, 300, "uint16")])
def test_chips_number_their_own_objects(finished, tmp_path, size, most, dtype):
    options = {"chip_size": size, "most": most, "min_pixels": 20, "min_cover": 0}
    folder = write_constraint_chips(finished.product, tmp_path / "sgo", **options)
    names = [path.name for path in (folder / "img_dir").glob("*.png")]
    assert len(names) == json.loads((folder / "export.json").read_text())["counts"]["all"] > 0
    for name in names:
        row, col = (int(name[at : at + 5]) * size for at in (len("town_r"), len("town_r00000c")))
        part = np.s_[row : row + size, col : col + size]
        sgo, sgb, image = (np.array(Image.open(folder / kind / name)) for kind in ("sgo_dir", "sgb_dir", "img_dir"))
        assert (sgo.dtype, sgb.dtype, sgo.shape, sgb.shape) == (dtype, np.uint8, (size, size), (size, size))
        for found, wanted in zip((sgo, sgb), oracle(finished.ids[part], 20, most), strict=True):
            assert (found[: wanted.shape[0], : wanted.shape[1]] == wanted).all()
            assert not found[wanted.shape[0] :].any()
            assert not found[:, wanted.shape[1] :].any()
        shown = finished.image[part]
        assert (image[: shown.shape[0], : shown.shape[1]] == shown).all()


def test_chips_may_be_split(finished, tmp_path):
    folder = write_constraint_chips(finished.product, tmp_path / "sgo", chip_size=32, split=(0.5, 0.5), block_chips=2)
    for kind in ("img_dir", "sgo_dir", "sgb_dir"):
        assert sorted(path.name for path in (folder / kind).iterdir()) == ["train", "val"]
    names = [{path.name for path in (folder / "sgo_dir" / split).iterdir()} for split in ("train", "val")]
    assert all(names)
    assert not names[0] & names[1]


@pytest.mark.parametrize("most", [0, 70_000])
def test_numbers_of_objects_out_of_range_are_refused(finished, tmp_path, most):
    with pytest.raises(OptionError, match=f"at most {most} objects a chip is given; allowed are 1 to 65535"):
        write_constraint_chips(finished.product, tmp_path / "sgo", most=most)
    for write in (write_constraints, write_constraint_chips):
        with pytest.raises(OptionError, match="the smallest object is given as 0 pixels"):
            write(finished.product, tmp_path / "sgo", min_pixels=0)
