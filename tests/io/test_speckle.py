"""Lee's filter against a loop over pixels, and who gets it."""

import numpy as np
import pytest
import rasterio
import xarray
from rasterio.enums import ColorInterp

from geoalps.grid import Window
from geoalps.io.bands import radar
from geoalps.io.scene import open_scene
from geoalps.io.speckle import despeckled, fit_variation
from geoalps.io.stretch import Stretch, fit_stretch


def noisy(shape=(90, 110), looks=4, seed=0):
    """(1, h, w) float32 intensities: two plains, a hundredfold apart, and speckle of so many looks."""
    ground = np.where(np.arange(shape[1]) < shape[1] // 2, 1.0, 100.0)
    noise = np.random.default_rng(seed).gamma(looks, 1 / looks, (1, *shape))
    return (ground * noise).astype(np.float32)


def scene_of(values):
    return open_scene(xarray.DataArray(values, dims=("band", "y", "x")))


def slow(band, valid, variation):
    """Lee's filter in words."""
    out = np.zeros(band.shape)
    for row, col in np.argwhere(valid):
        square = np.s_[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        around = band[square][valid[square]].astype(float)
        mean, variance = around.mean(), around.var()
        signal = max(0, variance - (variation * mean) ** 2) / (1 + variation**2)
        out[row, col] = mean + (signal / variance if variance > 0 else 0) * (float(band[row, col]) - mean)
    return out


@pytest.mark.parametrize("variation", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_the_filter_is_the_slow_loop(dtype, variation):
    rng = np.random.default_rng(1)
    values = np.minimum(noisy((17, 23)) * 20, 250).astype(dtype)
    values = np.concatenate([values, values[:, ::-1] // 2])
    for share in (1.0, 0.6):
        valid = rng.random((17, 23)) < share
        found = despeckled(values, valid, variation)
        for band, filtered in zip(values, found, strict=True):
            np.testing.assert_allclose(filtered, slow(band, valid, variation), rtol=1e-9, atol=1e-9)


def test_what_is_not_valid_is_never_looked_at():
    values, valid = noisy(), np.random.default_rng(2).random((90, 110)) < 0.8
    spoilt = np.where(valid, values, np.nan)
    np.testing.assert_array_equal(despeckled(values, valid, 0.5), despeckled(spoilt, valid, 0.5))


def test_noise_goes_and_edges_stay():
    values, valid = noisy(), np.ones((90, 110), bool)
    found = despeckled(values, valid, 0.5)[0]
    assert found[:, :50].std() < values[0, :, :50].std() / 2
    before, after = found[:, 54].mean(), found[:, 55].mean()
    assert after > 5 * before


@pytest.mark.parametrize("looks", [1, 4, 16])
def test_the_noise_is_measured(looks):
    assert fit_variation([scene_of(noisy((300, 400), looks))]) == pytest.approx(looks**-0.5, rel=0.15)


def test_windows_of_a_filtered_scene_agree_away_from_their_edges():
    scene = scene_of(noisy((200, 240)))
    stretch = fit_stretch(scene, decibel=True)
    whole, _ = scene.read_rgb(Window(0, 0, 200, 240), stretch)
    for row, col in ((0, 0), (37, 51), (110, 130)):
        window = Window(row, col, row + 80, col + 90)
        part, _ = scene.read_rgb(window, stretch)
        np.testing.assert_array_equal(part[2:-2, 2:-2], whole[window.slices()][2:-2, 2:-2])
        exact = stretch.exact(*scene.read(window))
        assert np.abs(np.moveaxis(exact, 0, -1) * 255 - part).max() <= 0.501


def test_who_is_filtered():
    plain = scene_of(noisy())
    assert fit_stretch(plain).speckle == 0
    assert fit_stretch(plain, decibel=True).speckle == fit_stretch(plain, speckle=True).speckle > 0.3
    assert fit_stretch(plain, decibel=True, speckle=False).speckle == 0
    decibels = scene_of(10 * np.log10(noisy()) - 20)
    assert fit_stretch(decibels, speckle=True).speckle == 0
    stretch = fit_stretch(plain, decibel=True)
    assert Stretch.from_json(stretch.to_json()) == stretch
    assert "speckle" not in fit_stretch(plain).to_json()


@pytest.mark.parametrize(
    ("driver", "colours", "descriptions", "expected"),
    [
        ("GTiff", ["gray"], [None], False),
        ("GTiff", ["gray"], ["VV"], True),
        ("GTiff", ["gray", "undefined"], ["sigma0_VV_db", "sigma0_vh"], True),
        ("GTiff", ["gray", "undefined"], ["VV", "elevation"], False),
        ("GTiff", ["gray"], ["savvy"], False),
        ("GTiff", ["sar_c"], [None], True),
        ("SAFE", ["undefined"], [None], True),
        ("SENTINEL2", ["red"], ["B4"], False),
        ("MEM", [], [], False),
    ],
)
def test_a_raster_says_that_it_is_of_a_radar(driver, colours, descriptions, expected):
    assert radar(driver, [ColorInterp[name] for name in colours], descriptions) is expected


def test_a_file_with_named_polarisations_is_filtered_without_an_option(tmp_path):
    values = noisy()
    place = {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6), "crs": "EPSG:32631"}
    for name in ("VV", "grey"):
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", "GTiff", 110, 90, 1, dtype="float32", **place) as file:
            file.write(values)
            file.set_band_description(1, name)
        assert (fit_stretch(open_scene(path)).speckle > 0) == (name == "VV")
