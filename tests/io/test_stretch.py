"""One stretch for the whole scene: the same pixel gets the same colour through every window."""

import json

import numpy as np
import pytest
import rasterio
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from geoalps.errors import OptionError
from geoalps.grid import TileGrid, Window
from geoalps.io.scene import open_scene
from geoalps.io.stretch import Stretch, fit_stretch

EVERYWHERE = np.ones((6, 7), bool)


def scene_of(values, nodata=None):
    return open_scene(xarray.DataArray(values, dims=("band", "y", "x")), nodata=nodata)


def formula(stretch, values, valid):
    """The same in words: exact arithmetic, pixel by pixel."""
    out = np.zeros((*valid.shape, 3), np.uint8)
    for row, col in np.argwhere(valid):
        for band in range(3):
            value = float(values[band, row, col])
            if stretch.decibel:
                value = 10 * np.log10(max(value, float(np.finfo(np.float32).tiny)))
            share = (value - stretch.low[band]) / (stretch.high[band] - stretch.low[band])
            out[row, col, band] = int(np.floor(255 * min(1, max(0, share)) + 0.5))
    return out


@pytest.mark.parametrize("decibel", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "float32", "float64"])
def test_every_dtype_follows_the_formula(dtype, decibel):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 120, (3, 6, 7)).astype(dtype)
    if np.dtype(dtype).kind != "u":
        values -= 60
    if np.dtype(dtype).kind == "f":
        values += rng.random(values.shape).astype(dtype)
    valid = rng.random((6, 7)) > 0.2
    stretch = Stretch((0.3, 5, -2), (20.4, 70, 40), decibel)
    image = stretch(values, valid)
    assert image.dtype == np.uint8
    assert image.shape == (6, 7, 3)
    # Halves may fall to either side in single precision.
    difference = np.abs(image.astype(int) - formula(stretch, values, valid))
    assert difference.max() <= (dtype == "float32")
    assert (difference > 0).mean() < 0.05
    assert not image[~valid].any()


def test_identity_leaves_uint8_alone():
    values = np.random.default_rng(0).integers(0, 256, (3, 6, 7), dtype=np.uint8)
    valid = np.random.default_rng(1).random((6, 7)) > 0.5
    image = Stretch.identity()(values, valid)
    np.testing.assert_array_equal(image, np.where(valid, values, 0).transpose(1, 2, 0))
    # The quick way and the table agree.
    np.testing.assert_array_equal(image, Stretch((0.0,) * 3, (255.0,) * 3)(values.astype(np.uint16), valid))


@given(
    values=stn.arrays(st.sampled_from(["float32", "float64", "int16"]), (3, 4, 5)),
    low=st.floats(-1e6, 1e6),
    span=st.floats(0, 1e6) | st.floats(0, 1e-2),
    decibel=st.booleans(),
)
def test_any_values_give_an_image_in_order(values, low, span, decibel):
    valid = np.isfinite(values.astype(float)).all(0)
    with np.errstate(all="raise", under="ignore"):
        image = Stretch((low,) * 3, (low + span,) * 3, decibel)(values, valid)
    assert not image[~valid].any()
    for band in range(3):
        order = np.argsort(values[band][valid], kind="stable")
        assert (np.diff(image[..., band][valid][order].astype(int)) >= 0).all()


def test_invalid_pixels_may_hold_anything():
    values = np.array([np.nan, np.inf, -np.inf, 5], np.float32).reshape(1, 2, 2).repeat(3, 0)
    valid = np.isfinite(values[0])
    with np.errstate(all="raise"):
        image = Stretch((0.0,) * 3, (10.0,) * 3)(values, valid)
    assert image[1, 1].tolist() == [128] * 3
    assert not image[~valid].any()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_windows_of_one_scene_agree(tmp_path, dtype):
    values = np.random.default_rng(0).gamma(2, 300, (3, 90, 130)).astype(dtype)
    values[:, :9] = 0
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", width=130, height=90, count=3, dtype=dtype, nodata=0) as out:
        out.write(values)
    scene = open_scene(path)
    stretch = fit_stretch(scene)
    whole, mask = scene.read_rgb(Window(0, 0, 90, 130), stretch)
    assert whole.std() > 20
    for tile in TileGrid(scene.shape, 32, 8):
        image, valid = scene.read_rgb(tile.window, stretch)
        np.testing.assert_array_equal(image, whole[tile.window.slices()])
        np.testing.assert_array_equal(valid, mask[tile.window.slices()])
    assert fit_stretch(open_scene(path)) == stretch


def test_percentiles_are_those_of_valid_pixels():
    values = np.random.default_rng(0).integers(1, 4000, (3, 60, 70)).astype(np.uint16)
    values[:, :30] = 0
    stretch = fit_stretch(scene_of(values, nodata=0), percentiles=(5, 90))
    for band in range(3):
        assert (stretch.low[band], stretch.high[band]) == tuple(np.percentile(values[band, 30:], (5, 90)))
    scaled = fit_stretch(scene_of(values.astype(np.float32) * 0.001, nodata=0), percentiles=(5, 90))
    np.testing.assert_allclose(np.multiply(scaled.high, 1000), stretch.high, rtol=1e-5)


def test_decibels_of_positive_pixels():
    values = np.random.default_rng(0).gamma(1, 0.1, (1, 60, 70)).astype(np.float32)
    values[0, :9] = 0
    stretch = fit_stretch(scene_of(values), decibel=True, speckle=False)
    assert stretch.low == pytest.approx([np.percentile(10 * np.log10(values[values > 0].astype(float)), 2)] * 3)
    assert stretch.low[0] == stretch.low[1] == stretch.low[2]
    assert -60 < stretch.low[0] < stretch.high[0] < 0
    image, _ = scene_of(values).read_rgb(Window(0, 0, 60, 70), stretch)
    assert not image[:9].any()
    assert 60 < image[9:].mean() < 220


def test_modes():
    byte, word = (scene_of(np.arange(60).reshape(3, 4, 5).astype(dtype)) for dtype in ("uint8", "uint16"))
    assert fit_stretch(byte) == Stretch.identity() == fit_stretch(byte, "none")
    assert fit_stretch(byte, "percentile", (0, 100)) == Stretch((0, 20, 40), (19, 39, 59))
    assert fit_stretch(byte, decibel=True).decibel
    assert fit_stretch(word) == fit_stretch(word, "percentile") != fit_stretch(word, "none")
    assert fit_stretch(word, "none") == Stretch((0.0,) * 3, (65535.0,) * 3)
    assert fit_stretch(scene_of(np.zeros((1, 4, 5), "int16")), "none").low[0] == -32768


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("decibel", [False, True])
@pytest.mark.parametrize("value", [0, 7])
def test_constant_and_empty_scenes(dtype, decibel, value):
    for nodata in (None, value):
        scene = scene_of(np.full((3, 9, 9), value, dtype), nodata)
        with np.errstate(all="raise"):
            image, valid = scene.read_rgb(Window(0, 0, 9, 9), fit_stretch(scene, decibel=decibel))
        assert valid.all() == (nodata is None)
        assert len(np.unique(image)) == 1
    nothing = scene_of(np.full((3, 9, 9), np.nan, np.float32))
    assert np.isfinite(fit_stretch(nothing, decibel=decibel).low).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "best"}, "allowed are auto, percentile, none"),
        ({"percentiles": (98, 2)}, "ascending"),
        ({"percentiles": (-1, 2)}, "ascending"),
        ({"mode": "none"}, "needs integers"),
    ],
)
def test_options_that_are_not_allowed(options, says):
    with pytest.raises(OptionError, match=says):
        fit_stretch(scene_of(np.zeros((3, 4, 5), np.float32)), **options)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=6, max_size=6), st.booleans())
def test_json_round_trip(numbers, decibel):
    stretch = Stretch(tuple(numbers[:3]), tuple(numbers[3:]), decibel)
    assert Stretch.from_json(json.loads(json.dumps(stretch.to_json(), allow_nan=False))) == stretch


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"low": [0, 0, 0]},
        {"low": [0, 0], "high": [1, 1]},
        {"low": [0, 0, "x"], "high": [1, 1, 1]},
        {"low": [0, 0, float("nan")], "high": [1, 1, 1]},
        {"low": 0, "high": 1},
    ],
)
def test_json_that_is_no_stretch(fields):
    with pytest.raises(OptionError, match="three finite numbers"):
        Stretch.from_json(fields)
