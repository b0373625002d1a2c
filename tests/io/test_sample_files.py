"""Made scenes on the disk."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.enums import ColorInterp

from geoalps.errors import OptionError, ProductError
from geoalps.grid import Window
from geoalps.io.sample import PLACES, write_sample
from geoalps.sample import CLASSES, SampleScene, SampleWindow


def test_round_trip(tmp_path: Path) -> None:
    scene = SampleScene((300, 420), seed=3, pixel_size=0.5)
    paths = write_sample(tmp_path / "town.tif", scene)
    made = scene.read(scene.window)
    assert {name: path.name for name, path in paths.items()} == {
        "image": "town.tif",
        "classes": "town_class.tif",
        "class_names": "town_class.tif.aux.xml",
        "instances": "town_inst.tif",
        "places": "town_places.gpkg",
    }
    with rasterio.open(paths["image"]) as image:
        np.testing.assert_array_equal(image.read(), np.moveaxis(made.rgb, -1, 0))
        assert image.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert image.is_tiled
        assert image.compression.name == "deflate"
        assert image.crs.to_epsg() == 32632
        assert image.res == (0.5, 0.5)
        grid = image.transform, image.crs, image.shape
    for name, want in (("classes", made.classes), ("instances", made.instances)):
        with rasterio.open(paths[name]) as truth:
            np.testing.assert_array_equal(truth.read(1), want)
            assert truth.read(1).dtype == want.dtype
            assert (truth.transform, truth.crs, truth.shape) == grid
    with rasterio.open(paths["classes"]) as truth, rasterio.MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(truth, memory.name, driver="VRT")
        listed = ElementTree.fromstring(memory.read()).iter("Category")  # noqa: S314 - GDAL wrote it just now
        assert [node.text for node in listed] == list(CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths.values())


def test_places_lie_well_inside_what_they_name(tmp_path: Path) -> None:
    paths = write_sample(tmp_path / "town.tif", SampleScene((1100, 700), seed=5))
    places = pyogrio.read_dataframe(paths["places"], layer="places")
    with rasterio.open(paths["classes"]) as file:
        truth, transform = file.read(1), file.transform
        assert places.crs == file.crs
    assert places["class"].value_counts().max() <= PLACES
    for name, point in zip(places["class"], places.geometry, strict=True):
        row, col = rasterio.transform.rowcol(transform, point.x, point.y)
        around = truth[row - 1 : row + 2, col - 1 : col + 2]
        assert around.shape == (3, 3), "a place at the edge of the scene"
        assert (around == CLASSES.index(name)).all()
    common = [CLASSES[n] for n in np.flatnonzero(np.bincount(truth.ravel(), minlength=len(CLASSES)) > 20_000)]
    assert set(common) <= set(places["class"])


def test_image_alone_in_another_crs_over_an_older_file(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_bytes(b"old")
    paths = write_sample(target, SampleScene((64, 64)), truth=False, crs="EPSG:2056")
    assert list(paths) == ["image"]
    with rasterio.open(target) as image:
        assert image.crs.to_epsg() == 2056


def test_windows_are_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene of 2500 x 1100 is asked for in windows of at most 1024 x 1024 that cover it once."""
    asked: list[Window] = []

    def blank(self: SampleScene, window: Window) -> SampleWindow:
        asked.append(window)
        shape = window.shape
        return SampleWindow(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint32))

    monkeypatch.setattr(SampleScene, "read", blank)
    seen: list[tuple[int, int]] = []
    write_sample(
        tmp_path / "big.tif", SampleScene((2500, 1100)), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(n, 6) for n in range(1, 7)]
    assert max(max(window.shape) for window in asked) <= 1024
    cover = np.zeros((2500, 1100), int)
    for window in asked:
        cover[window.slices()] += 1
    assert (cover == 1).all()


def test_unknown_crs_and_missing_folder_leave_nothing(tmp_path: Path) -> None:
    scene = SampleScene((64, 64))
    with pytest.raises(OptionError, match="EPSG:99"):
        write_sample(tmp_path / "a.tif", scene, crs="EPSG:99")
    with pytest.raises(ProductError, match="cannot be written"):
        write_sample(tmp_path / "none" / "a.tif", scene)
    assert list(tmp_path.iterdir()) == []


def test_a_stop_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "a.tif", SampleScene((64, 64)), progress=stop)
    assert list(tmp_path.iterdir()) == []
