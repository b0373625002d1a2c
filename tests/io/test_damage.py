"""A scene with damage is read on: what cannot be read is no data and is named, all else is as it was."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray
from rasterio.enums import Resampling

from geoalps.errors import SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.scene import open_scene
from geoalps.io.stretch import fit_stretch

SHAPE = (600, 800)
WHOLE = Window(0, 0, *SHAPE)
LAYOUTS = {
    "tiled": {"tiled": True, "blockxsize": 64, "blockysize": 32},
    "striped": {"blockysize": 8},
    "planar": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"},
}


def write(path, bands=3, **profile):
    """Random values above 0."""
    values = np.random.default_rng(0).integers(1, 255, (bands, *SHAPE)).astype(np.uint8)
    size = {"width": SHAPE[1], "height": SHAPE[0], "count": bands, "dtype": "uint8", "crs": "EPSG:32632"}
    place = {"transform": rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", **size, **place, **profile) as out:
        out.write(values)
    return values


def spoil(path, row, col, band=1, level=None):
    """Overwrite the block that holds a pixel; gives the block's window (of the overview, with a level)."""
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as src:
        height, width = src.block_shapes[0]
        at = (col // width, row // height)
        name = "BLOCK_OFFSET_{}_{}", "BLOCK_SIZE_{}_{}"
        start, size = (int(src.get_tag_item(text.format(*at), "TIFF", bidx=band)) for text in name)
        block = Window(at[1] * height, at[0] * width, (at[1] + 1) * height, (at[0] + 1) * width)
        block = block.clip(Window(0, 0, *src.shape))
    with Path(path).open("r+b") as file:
        file.seek(start)
        file.write(b"\xaa" * size)
    return block


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_damaged_blocks_are_lost(tmp_path, layout):
    path = tmp_path / "scene.tif"
    values = write(path, **LAYOUTS[layout])
    lost = [spoil(path, 300, 400, band=1), spoil(path, 599, 799, band=3)]
    good = np.ones(SHAPE, bool)
    for block in lost:
        good[block.slices()] = False
    strict = open_scene(path)
    scene = strict.forgiving()
    windows = [WHOLE, lost[0], Window(290, 390, 310, 410), Window(0, 0, 100, 100), Window(1, 3, 599, 797)]
    windows += [tile.window for tile in TileGrid(SHAPE, 250, 30)]
    for window in windows:
        rows, cols = window.slices()
        got, valid = scene.read(window)
        np.testing.assert_array_equal(valid, good[rows, cols])
        np.testing.assert_array_equal(got, np.where(good, values, 0)[:, rows, cols])
        found = np.zeros(SHAPE, int)
        for part in scene.unreadable(window):
            assert part in window
            found[part.slices()] += 1
        np.testing.assert_array_equal(found[rows, cols], ~good[rows, cols])
        if good[rows, cols].all():
            np.testing.assert_array_equal(strict.read(window)[0], got)
        else:
            with pytest.raises(SceneError, match="damaged"):
                strict.read(window)
    with pytest.raises(ValueError, match="reaches out"):
        scene.unreadable(Window(0, 0, 601, 1))


def test_a_file_cut_short(tmp_path):
    path = tmp_path / "scene.tif"
    values = write(path, tiled=True, blockxsize=64, blockysize=64)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    scene = open_scene(path).forgiving()
    got, valid = scene.read(WHOLE)
    assert 0.5 < valid.mean() < 0.75
    assert valid[:300].all()
    np.testing.assert_array_equal(got, np.where(valid, values, 0))
    assert sum(part.area for part in scene.unreadable(WHOLE)) == (~valid).sum()
    assert scene.unreadable(Window(0, 0, 300, 800)) == []


def test_statistics_leave_the_damage_out(tmp_path):
    path = tmp_path / "scene.tif"
    values = write(path, tiled=True, blockxsize=64, blockysize=64)
    block = spoil(path, 300, 400)
    scene = open_scene(path).forgiving()
    got, valid = scene.sample()
    assert (~valid).sum() == block.area
    np.testing.assert_array_equal(got[:, valid], values[:, valid])
    # What a decimated read of an undamaged file picks.
    write(tmp_path / "whole.tif", tiled=True, blockxsize=64, blockysize=64)
    want, _ = open_scene(tmp_path / "whole.tif").sample(50_000)
    got, valid = scene.sample(50_000)
    assert got.shape == want.shape
    assert 0 < (~valid).sum() < 0.05 * valid.size
    np.testing.assert_array_equal(got[:, valid], want[:, valid])
    image, mask = scene.read_rgb(WHOLE, fit_stretch(scene))
    assert (image[~mask] == 0).all()
    assert (~mask).sum() == block.area


def test_damaged_overviews_are_done_without(tmp_path):
    path = tmp_path / "scene.tif"
    values = write(path, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as out:
        out.build_overviews([4], Resampling.nearest)
    spoil(path, 60, 60, level=0)
    strict = open_scene(path)
    with pytest.raises(SceneError, match="damaged"):
        strict.sample(30_000)
    got, valid = strict.forgiving().sample(30_000)
    assert valid.all()
    assert got.shape == (3, 150, 200)
    np.testing.assert_array_equal(got, values[:, 2::4, 2::4])
    np.testing.assert_array_equal(strict.forgiving().read(WHOLE)[0], values)


def test_forgiveness_travels_and_holds_for_other_bands(tmp_path):
    path = tmp_path / "scene.tif"
    values = write(path, bands=5, tiled=True, blockxsize=64, blockysize=64)
    block = spoil(path, 300, 400)
    scene = open_scene(path, bands=(3, 2, 1)).forgiving()
    for other in (scene.with_bands((4, 5, 5)), pickle.loads(pickle.dumps(scene)).with_bands((4, 5, 5))):  # noqa: S301
        got, valid = other.read(WHOLE)
        assert (~valid).sum() == block.area
        np.testing.assert_array_equal(got[:, valid], values[[3, 4, 4]][:, valid])
    np.testing.assert_array_equal(scene.to_xarray(TileGrid(SHAPE, 250, 0)).values, scene.read(WHOLE)[0])
    assert open_scene(path).fingerprint == open_scene(path).forgiving().fingerprint


def test_a_chunk_that_fails_is_lost_alone():
    import dask.array

    def chunk(block_id):
        if block_id == (0, 1, 2):
            raise OSError("gone")
        return np.full((3, 100, 100), 7, np.uint8)

    data = dask.array.map_blocks(
        chunk, chunks=((3,), (100,) * 4, (100,) * 5), dtype="uint8", meta=np.zeros((0, 0, 0), "uint8")
    )
    scene = open_scene(xarray.DataArray(data, dims=("band", "y", "x"))).forgiving()
    assert scene.unreadable(Window(50, 50, 400, 450)) == [Window(100, 200, 200, 300)]
    got, valid = scene.read(Window(50, 50, 400, 450))
    assert (~valid).sum() == 100 * 100
    assert (got[:, valid] == 7).all()
    assert not scene.changed()


# A file that changes


@pytest.mark.parametrize("how", ["touched", "grown", "gone"])
def test_a_file_that_changes_while_it_is_read(tmp_path, how):
    path = tmp_path / "scene.tif"
    write(path)
    scene = open_scene(path)
    scene.read(WHOLE)
    (tmp_path / "scene.tif.aux.xml").write_text("<PAMDataset/>")
    assert not scene.changed()
    held = pickle.loads(pickle.dumps(scene))  # noqa: S301
    if how == "touched":
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    elif how == "grown":
        before = path.stat()
        with path.open("ab") as file:
            file.write(b"more")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        path.unlink()
    assert scene.changed()
    assert held.changed()
    if how != "gone":
        assert not open_scene(path).changed()


def test_the_parts_of_a_vrt_are_its_files(tmp_path):
    path, vrt = tmp_path / "part.tif", tmp_path / "scene.vrt"
    write(path)
    with rasterio.Env():
        rasterio.shutil.copy(path, vrt, driver="VRT")
    scene = open_scene(vrt)
    assert not scene.changed()
    later = vrt.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    assert scene.changed()
