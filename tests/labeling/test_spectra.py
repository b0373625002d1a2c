import numpy as np
import pytest
import rasterio

from geoalps.errors import OptionError
from geoalps.grid import Window
from geoalps.io.scene import open_scene
from geoalps.labeling.spectra import Spectra
from geoalps.segments import Segments


def scene(path, values):
    """A scene of (bands, h, w) values."""
    profile = {"driver": "GTiff", "width": values.shape[2], "height": values.shape[1], "count": len(values)}
    place = rasterio.Affine(10, 0, 5e5, 0, -10, 4e6)
    with rasterio.open(path, "w", dtype=values.dtype, crs="EPSG:32631", transform=place, **profile) as file:
        file.write(values)
    return open_scene(path)


def values(bands, low, high, seed):
    return np.random.default_rng(seed).integers(low, high, (bands, 40, 50)).astype(np.uint16)


def test_means_are_those_of_the_stretched_bands(tmp_path):
    given = values(5, 100, 3000, 0)
    (spectra,) = Spectra.fit([scene(tmp_path / "a.tif", given)])
    labels = np.arange(2000).reshape(40, 50) // 400 + 1
    window = Window(0, 0, 40, 50)
    found = spectra.means(Segments.from_labels(labels.astype(np.int32)), window)
    assert spectra.bands == (4, 5)
    for column, band in enumerate(given[3:].astype(float)):
        low, high = np.percentile(band, (2, 98))
        grey = np.floor(np.clip((band - low) / (high - low), 0, 1) * 255 + 0.5)
        expected = [grey[labels == i].mean() for i in range(1, 6)]
        assert np.allclose(found[:, column], expected, atol=0.01)


def test_several_scenes_share_one_stretch_over_all_of_them(tmp_path):
    dark, bright = values(5, 0, 1000, 1), values(5, 5000, 9000, 2)
    both = Spectra.fit([scene(tmp_path / "dark.tif", dark), scene(tmp_path / "bright.tif", bright)])
    assert both[0].to_json() == both[1].to_json()
    together = np.concatenate([dark[3].ravel(), bright[3].ravel()])
    assert both[0].to_json()["stretches"][0]["low"][0] == pytest.approx(np.percentile(together, 2), abs=5)
    assert both[0].to_json()["stretches"][0]["high"][0] == pytest.approx(np.percentile(together, 98), abs=5)
    window, whole = Window(0, 0, 40, 50), Segments.from_labels(np.ones((40, 50), np.int32))
    assert both[0].means(whole, window)[0, 0] < 50
    assert both[1].means(whole, window)[0, 0] > 150


def test_scenes_of_other_bands_are_refused_by_name(tmp_path):
    scenes = [scene(tmp_path / "five.tif", values(5, 0, 9, 0)), scene(tmp_path / "six.tif", values(6, 0, 9, 0))]
    with pytest.raises(OptionError, match="six has other bands than five"):
        Spectra.fit(scenes)
