"""A scene read in windows is the raster read by others; what has no place on the map is refused."""

import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
import rioxarray
import xarray
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import MemoryFile
from rasterio.rpc import RPC
from rasterio.vrt import WarpedVRT

from geoalps.errors import OptionError, SceneError
from geoalps.grid import TileGrid, Window
from geoalps.io.sampling import CellAreas, sample_windows
from geoalps.io.scene import open_scene
from geoalps.io.stretch import Stretch, fit_stretch

UTM = CRS.from_epsg(32632)
PLACE = Affine(10, 0, 4e5, 0, -10, 5.1e6)
SHAPE = (90, 130)
WINDOWS = [Window(0, 0, 90, 130), Window(0, 0, 1, 1), Window(13, 29, 71, 118), Window(89, 100, 90, 130)]
LAYOUTS = {
    "striped": {"blockysize": 7},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
    "planar": {"interleave": "band", "compress": "lzw"},
}


def pixels(dtype="uint8", bands=3, shape=SHAPE, seed=0):
    """Values with a corner of zeros."""
    values = np.random.default_rng(seed).integers(1, 120, (bands, *shape)).astype(dtype)
    values[:, :20, :30] = 0
    values[0, 40:50, 40:50] = 0
    return values


def write(path, values, *, crs=UTM, transform=PLACE, mask=None, colours=None, **profile):
    count, height, width = values.shape
    profile = {"driver": "GTiff", "crs": crs, "transform": transform, "dtype": values.dtype, **profile}
    with rasterio.open(path, "w", width=width, height=height, count=count, **profile) as out:
        if colours:
            out.colorinterp = colours
        out.write(values)
        if mask is not None:
            out.write_mask(mask)
    return str(path)


def truth(path, bands):
    """Values and validity of the whole raster, by rasterio alone."""
    with rasterio.open(path) as src:
        values, valid = src.read(bands), src.dataset_mask() > 0
    return values, valid & np.isfinite(values.astype(float)).all(0)


def check_windows(scene, values, valid):
    assert valid.any()
    assert not valid.all() or scene.nodata is None
    for window in WINDOWS:
        rows, cols = window.slices()
        got, mask = scene.read(window)
        assert got.dtype == values.dtype == np.dtype(scene.dtype)
        np.testing.assert_array_equal(got, values[:, rows, cols])
        np.testing.assert_array_equal(mask, valid[rows, cols])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("nodata", [None, 0])
def test_windows_equal_the_whole_cut(tmp_path, layout, dtype, nodata):
    path = write(tmp_path / "scene.tif", pixels(dtype, 4), nodata=nodata, **LAYOUTS[layout])
    check_windows(open_scene(path), *truth(path, [1, 2, 3]))


@pytest.mark.parametrize("value", [-9999.0, 300.0, -3.4028234663852886e38, 0.1])
def test_nodata_of_floats_is_what_gdal_makes_of_it(tmp_path, value):
    values = pixels("float32")
    values[values == 0] = value
    values[1, 70, 70] = np.nan
    values[2, 71, 71] = np.inf
    path = write(tmp_path / "scene.tif", values, nodata=value)
    _, valid = truth(path, [1, 2, 3])
    assert not valid[0, 0]
    assert valid[45, 45]
    assert not valid[70, 70]
    check_windows(open_scene(path), *truth(path, [1, 2, 3]))
    # The same value given by hand, and its decimal rounding, mean the same.
    for given in (value, float(f"{value:.7g}")):
        plain = write(tmp_path / "plain.tif", values)
        _, mask = open_scene(plain, nodata=given).read(WINDOWS[0])
        np.testing.assert_array_equal(mask, valid)


def test_nan_as_nodata(tmp_path):
    values = pixels("float32")
    values[:, :9] = np.nan
    values[1, 80, 80] = np.nan
    path = write(tmp_path / "scene.tif", values, nodata=np.nan)
    scene = open_scene(path)
    got, valid = scene.read(WINDOWS[0])
    np.testing.assert_array_equal(valid, np.isfinite(values).all(0))
    np.testing.assert_array_equal(got, values)
    assert json.loads(json.dumps(scene.fingerprint, allow_nan=False))["nodata"] == "nan"


@pytest.mark.parametrize("beside", [False, True])
def test_mask_bands_inside_and_beside_the_file(tmp_path, beside):
    mask = np.zeros(SHAPE, bool)
    mask[5:60, 11:90] = True
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not beside):
        path = write(tmp_path / "scene.tif", pixels(), mask=mask, nodata=0)
    assert Path(path + ".msk").exists() == beside
    values, valid = truth(path, [1, 2, 3])
    np.testing.assert_array_equal(valid, mask)
    check_windows(open_scene(path), values, valid)


RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize(
    "colours",
    [RGBA, (*RGBA[2::-1], RGBA[3]), (*RGBA[:3], ColorInterp.undefined), (ColorInterp.gray, ColorInterp.alpha)],
)
def test_alpha(tmp_path, dtype, nodata, colours):
    values = pixels(dtype, len(colours))
    values[-1] = np.random.default_rng(1).integers(0, 3, SHAPE)
    path = write(tmp_path / "scene.tif", values, colours=colours, nodata=nodata)
    bands = [colours.index(c) + 1 for c in RGBA[:3]] if len(colours) == 4 else [1, 1, 1]
    scene = open_scene(path)
    assert list(scene.bands) == bands
    values, valid = truth(path, bands)
    if nodata is not None and len(set(bands)) < 4 and colours[0] != ColorInterp.red:
        # Only the bands that are read are asked for nodata: less than dataset_mask, never more.
        _, mask = scene.read(WINDOWS[0])
        assert not (mask & ~valid).any()
        np.testing.assert_array_equal(mask, (values != 0).any(0))
    else:
        check_windows(scene, values, valid)


def test_nodata_given_overrides_that_of_the_file(tmp_path):
    values = pixels()
    values[:, 60:, :] = 7
    path = write(tmp_path / "scene.tif", values, nodata=0)
    scene = open_scene(path, nodata=7)
    assert scene.nodata == 7
    np.testing.assert_array_equal(scene.read(WINDOWS[0])[1], (values != 7).any(0))
    assert open_scene(path, nodata=-1).read(WINDOWS[0])[1].all()
    assert open_scene(path, nodata=np.nan).read(WINDOWS[0])[1].all()


def test_nodata_given_leaves_the_mask_alone(tmp_path):
    mask = np.ones(SHAPE, bool)
    mask[:, 100:] = False
    values = pixels()
    path = write(tmp_path / "scene.tif", values, mask=mask)
    np.testing.assert_array_equal(open_scene(path, nodata=0).read(WINDOWS[0])[1], mask & (values != 0).any(0))


@pytest.mark.parametrize(
    ("colours", "wanted", "bands"),
    [
        ("red green blue", None, (1, 2, 3)),
        ("blue green red alpha", None, (3, 2, 1)),
        ("alpha undefined blue undefined red green", None, (5, 6, 3)),
        ("gray undefined undefined undefined", None, (1, 2, 3)),
        ("alpha gray undefined undefined", None, (2, 3, 4)),
        ("gray", None, (1, 1, 1)),
        ("gray undefined", None, (1, 1, 1)),
        ("alpha gray", None, (2, 2, 2)),
        ("gray undefined undefined undefined", (4, 3, 2), (4, 3, 2)),
        ("gray undefined undefined undefined", (4,), (4, 4, 4)),
        ("gray undefined undefined undefined", (2, 2, 1), (2, 2, 1)),
    ],
)
def test_bands(tmp_path, colours, wanted, bands):
    names = colours.split()
    interpretation = [ColorInterp[name] for name in names]
    path = write(tmp_path / "scene.tif", pixels(bands=len(names)), photometric="minisblack", colours=interpretation)
    scene = open_scene(path, bands=wanted)
    assert scene.bands == bands
    assert scene.band_count == len(names)
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(scene.read(WINDOWS[2])[0], src.read(bands)[(slice(None), *WINDOWS[2].slices())])


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        ((1, 2), "2 bands are given"),
        ((), "0 bands"),
        ((1, 2, 3, 4), "4 bands"),
        ((5,), "no band 5: it has 4"),
        ((0, 1, 2), "no band 0"),
    ],
)
def test_bands_there_are_none_of(tmp_path, bands, says):
    path = write(tmp_path / "scene.tif", pixels(bands=4))
    with pytest.raises(OptionError, match=says):
        open_scene(path, bands=bands)
    with rioxarray.open_rasterio(path) as array, pytest.raises(OptionError, match=says):
        open_scene(array, bands=bands)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_palette(tmp_path, dtype):
    index = np.random.default_rng(2).integers(0, 6, (1, *SHAPE)).astype(dtype)
    table = {0: (1, 2, 3, 0), 1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (9, 8, 7, 255), 4: (5, 5, 5, 255)}
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", width=130, height=90, count=1, dtype=dtype, crs=UTM) as out:
        out.write(index)
        out.write_colormap(1, table)
    with rasterio.open(path) as src:
        table = src.colormap(1)
    scene = open_scene(path)
    assert scene.dtype == "uint8"
    rgb = np.array([table[value][:3] for value in index.ravel()]).reshape(*SHAPE, 3)
    opaque = np.array([table[value][3] > 0 for value in index.ravel()]).reshape(SHAPE)
    check_windows(scene, rgb.transpose(2, 0, 1).astype(np.uint8), opaque)
    image, _ = scene.read_rgb(WINDOWS[0], fit_stretch(scene))
    np.testing.assert_array_equal(image[opaque], rgb[opaque])


def test_transparent_colours_of_a_palette_are_no_data(tmp_path):
    index = np.random.default_rng(2).integers(0, 3, (1, *SHAPE)).astype("uint8")
    path, vrt = tmp_path / "scene.tif", tmp_path / "scene.vrt"
    with rasterio.open(path, "w", driver="GTiff", width=130, height=90, count=1, dtype="uint8", crs=UTM) as out:
        out.write(index)
        out.write_colormap(1, {0: (9, 9, 9, 255), 1: (255, 0, 0, 255), 2: (0, 255, 0, 255)})
    rasterio.shutil.copy(path, vrt, driver="VRT")
    # A TIFF's colours are opaque.
    vrt.write_text(vrt.read_text().replace('c1="255" c2="0" c3="0" c4="255"', 'c1="255" c2="0" c3="0" c4="0"'))
    np.testing.assert_array_equal(open_scene(vrt).read(WINDOWS[0])[1], index[0] != 1)


def test_a_window_out_of_the_scene_is_a_mistake(tmp_path):
    scene = open_scene(write(tmp_path / "scene.tif", pixels()))
    for window in (Window(0, 0, 91, 130), Window(-1, 0, 5, 5), Window(200, 200, 201, 201)):
        with pytest.raises(ValueError, match="reaches out of scene"):
            scene.read(window)
    values, valid = scene.read(Window(5, 5, 5, 9))
    assert values.shape == (3, 0, 4)
    assert valid.shape == (0, 4)


# DataArrays


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("chunks", [None, {"x": 50, "y": 40}])
@pytest.mark.parametrize("masked", [False, True])
def test_a_dataarray_is_the_file_it_came_from(tmp_path, dtype, chunks, masked):
    values = pixels(dtype)
    if dtype == "float32":
        values[1, 70, 70] = np.nan
    path = write(tmp_path / "harbour.tif", values, nodata=0)
    scene = open_scene(path)
    with rioxarray.open_rasterio(path, chunks=chunks, masked=masked) as array:
        same = open_scene(array)
        assert (same.shape, same.crs, same.transform, same.bands) == (scene.shape, UTM, PLACE, (1, 2, 3))
        assert same.path is None
        if not masked:
            assert same.nodata == 0
            check_windows(same, *truth(path, [1, 2, 3]))
            return
        # Masked band by band: a pixel with a hole in one band is no number there.
        got, valid = same.read(WINDOWS[2])
        cut = values[(slice(None), *WINDOWS[2].slices())]
        np.testing.assert_array_equal(valid, ((cut != 0) & np.isfinite(cut.astype(float))).all(0))
        np.testing.assert_array_equal(got[:, valid], cut[:, valid])


def test_dataarrays_of_any_order():
    values = pixels("uint16")
    plain = xarray.DataArray(values, dims=("band", "y", "x")).rio.write_crs(UTM).rio.write_transform(PLACE)
    for array in (
        plain,
        plain.transpose("y", "x", "band"),
        plain.astype(">u2"),
        plain.rename(x="lon", y="lat").rio.set_spatial_dims("lon", "lat"),
    ):
        scene = open_scene(array, nodata=0)
        assert scene.dtype == "uint16"
        assert scene.transform == PLACE
        check_windows(scene, values, (values != 0).any(0))
        image, _ = scene.read_rgb(WINDOWS[0], Stretch((0.0,) * 3, (120.0,) * 3))
        assert image.max() > 200
    flat = open_scene(plain[1], nodata=0)
    assert flat.bands == (1, 1, 1)
    np.testing.assert_array_equal(flat.read(WINDOWS[0])[0], values[[1, 1, 1]])


def test_nodata_of_a_dataarray_from_attributes_or_encoding():
    values = pixels("int16")
    array = xarray.DataArray(values, dims=("band", "y", "x"), attrs={"_FillValue": 0})
    hidden = xarray.DataArray(values, dims=("band", "y", "x"))
    hidden.encoding["_FillValue"] = 0
    for given in (array, hidden):
        scene = open_scene(given)
        assert scene.nodata == 0
        assert scene.crs is None
        np.testing.assert_array_equal(scene.read(WINDOWS[0])[1], (values != 0).any(0))


def test_only_the_chunks_of_a_window_are_computed():
    seen = []

    def chunk(block_id):
        seen.append(block_id)
        return np.full((3, 30, 26), 1, np.uint8)

    data = dask.array.map_blocks(
        chunk, chunks=((3,), (30,) * 3, (26,) * 5), dtype="uint8", meta=np.zeros((0, 0, 0), "uint8")
    )
    scene = open_scene(xarray.DataArray(data, dims=("band", "y", "x")))
    assert scene.block_shape == (30, 26)
    scene.read(Window(31, 27, 59, 53))
    assert sorted(set(seen)) == [(0, 1, 1), (0, 1, 2)]
    seen.clear()
    lazy = scene.to_xarray(TileGrid(SHAPE, 30, 0))
    assert not seen
    lazy[:, :30, :26].compute()
    assert set(seen) == {(0, 0, 0), (0, 0, 1)}


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (xarray.DataArray(np.zeros((2, 3, 4, 5)), dims=("time", "band", "y", "x")), "dimensions"),
        (xarray.DataArray(np.zeros((4, 5)), dims=("a", "b")), "no place on the map"),
        (xarray.DataArray(np.zeros((4, 5), complex), dims=("y", "x")), "complex128"),
        (xarray.DataArray(np.zeros((4, 5), bool), dims=("y", "x")), "bool"),
        (xarray.DataArray(np.zeros((3, 0, 5)), dims=("band", "y", "x")).rio.write_transform(PLACE), "no pixels"),
    ],
)
def test_dataarrays_that_are_no_scene(array, says):
    with pytest.raises(SceneError, match=says):
        open_scene(array)


# to_xarray


@pytest.mark.parametrize("transform", [PLACE, Affine(9, 4, 4e5, 3, -11, 5.1e6)])
def test_to_xarray_is_the_windowed_read_in_chunks_of_cores(tmp_path, transform):
    path = write(tmp_path / "harbour.tif", pixels("uint16", 4), nodata=0, transform=transform)
    scene = open_scene(path, bands=(4, 2, 1))
    grid = TileGrid(scene.shape, 32, 8)
    array = scene.to_xarray(grid)
    assert array.dims == ("band", "y", "x")
    assert array.chunks == ((3,), *grid.chunks)
    assert array.dtype == np.uint16
    assert (array.rio.crs, array.rio.nodata) == (UTM, 0)
    assert array.rio.transform() == pytest.approx(transform)
    np.testing.assert_array_equal(array.values, scene.read(WINDOWS[0])[0])
    for tile in grid:
        np.testing.assert_array_equal(array.data.blocks[0, tile.row, tile.col].compute(), scene.read(tile.core)[0])
    again = open_scene(array)
    assert again.transform == pytest.approx(transform)
    check_windows(again, *scene.read(WINDOWS[0]))
    assert scene.to_xarray(grid).data.name == array.data.name != scene.to_xarray(TileGrid(scene.shape, 64, 8)).data.name


def test_to_xarray_has_the_coordinates_of_rioxarray(tmp_path):
    path = write(tmp_path / "harbour.tif", pixels())
    with rioxarray.open_rasterio(path) as other:
        array = open_scene(path).to_xarray()
        xarray.testing.assert_allclose(array.drop_vars("spatial_ref"), other.drop_vars("spatial_ref"))
    with pytest.raises(ValueError, match="does not fit"):
        open_scene(path).to_xarray(TileGrid((50, 50)))


# Ways to come by a scene, and to share one


def test_any_name_rasterio_knows(tmp_path):
    path = write(tmp_path / "harbour.tif", pixels())
    whole = open_scene(path).read(WINDOWS[0])[0]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as out:
        out.write(path, "harbour.tif")
    for source in (
        tmp_path / "harbour.tif",
        f"/vsizip/{tmp_path}/all.zip/harbour.tif",
        f"zip://{tmp_path}/all.zip!harbour.tif",
        f"GTIFF_DIR:1:{path}",
    ):
        scene = open_scene(source)
        assert "harbour" in scene.name
        assert scene.path == str(source)
        np.testing.assert_array_equal(scene.read(WINDOWS[0])[0], whole)


def test_rasterio_datasets(tmp_path):
    path = write(tmp_path / "harbour.tif", pixels())
    whole = open_scene(path).read(WINDOWS[0])[0]
    with rasterio.open(path) as src:
        scene = open_scene(src)
    np.testing.assert_array_equal(scene.read(WINDOWS[0])[0], whole)
    with MemoryFile(Path(path).read_bytes()) as memory, memory.open() as src:
        held = open_scene(src)
        np.testing.assert_array_equal(held.read(WINDOWS[0])[0], whole)
        digest = held.fingerprint["digest"]
    changed = pixels()
    changed[0, 60, 60] += 1
    with MemoryFile() as memory:
        write(memory.name, changed)
        assert open_scene(memory.name).fingerprint["digest"] != digest


def test_a_warped_vrt_is_read_by_every_thread(tmp_path):
    path = write(tmp_path / "harbour.tif", pixels(), nodata=0)
    with rasterio.open(path) as src, WarpedVRT(src, crs="EPSG:3035", resampling=Resampling.bilinear) as vrt:
        whole, mask = vrt.read(), vrt.dataset_mask() > 0
        scene = open_scene(vrt)
        assert scene.crs == vrt.crs
    assert scene.name == "harbour"
    with ThreadPoolExecutor(2) as pool:
        for values, valid in pool.map(scene.read, [Window(0, 0, *scene.shape)] * 4):
            np.testing.assert_array_equal(values, whole)
            np.testing.assert_array_equal(valid, mask)


def test_threads_read_the_same_as_one(tmp_path):
    path = write(tmp_path / "harbour.tif", pixels("uint16", shape=(300, 400)), nodata=0, **LAYOUTS["tiled"])
    scene = open_scene(path)
    windows = [tile.window for tile in TileGrid(scene.shape, 48, 16)]
    alone = [scene.read(window) for window in windows]
    with ThreadPoolExecutor(8) as pool:
        for (values, valid), (want, mask) in zip(pool.map(scene.read, windows), alone, strict=True):
            np.testing.assert_array_equal(values, want)
            np.testing.assert_array_equal(valid, mask)


def test_a_scene_travels(tmp_path):
    scene = open_scene(write(tmp_path / "harbour.tif", pixels(), nodata=0))
    scene.read(WINDOWS[0])
    scene.cell_area(WINDOWS[0])
    other = pickle.loads(pickle.dumps(scene))  # noqa: S301
    np.testing.assert_array_equal(other.read(WINDOWS[2])[0], scene.read(WINDOWS[2])[0])
    assert other.fingerprint == scene.fingerprint


@pytest.mark.parametrize(
    ("path", "name"),
    [("harbour.v2.tif", "harbour.v2"), ("two words (1).tif", "two_words_1"), ("Müll.tif", "Müll")],
)
def test_names(tmp_path, path, name):
    assert open_scene(write(tmp_path / path, pixels())).name == name


# The fingerprint


def test_the_fingerprint_knows_content_from_decoration(tmp_path):
    path = write(tmp_path / "scene.tif", pixels(), nodata=0)
    before = open_scene(path).fingerprint
    assert json.loads(json.dumps(before, allow_nan=False)) == before
    assert before["size"] == Path(path).stat().st_size
    (tmp_path / "scene.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "scene.tif.ovr").write_bytes((tmp_path / "scene.tif").read_bytes())
    assert open_scene(path).fingerprint == before
    assert open_scene(path, bands=(3, 2, 1)).fingerprint != before
    assert open_scene(path, nodata=1).fingerprint != before
    write(path, pixels(seed=1), nodata=0)
    os.utime(path, ns=(1, before["mtime_ns"] + 1))
    assert open_scene(path).fingerprint != before


def test_a_mask_beside_the_file_is_part_of_it(tmp_path):
    path = write(tmp_path / "scene.tif", pixels())
    before = open_scene(path).fingerprint
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as out:
        out.write_mask(np.zeros(SHAPE, bool))
    assert open_scene(path).fingerprint != before


def test_dataarrays_are_known_by_their_values():
    array = xarray.DataArray(pixels(), dims=("band", "y", "x"))
    assert open_scene(array).fingerprint == open_scene(array.chunk(x=20)).fingerprint
    assert open_scene(array).fingerprint != open_scene(array + np.uint8(1)).fingerprint


# Refused, one by one


def test_files_that_are_not_there_or_no_raster(tmp_path):
    with pytest.raises(SceneError, match=r"nope\.tif does not exist"):
        open_scene(tmp_path / "nope.tif")
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(SceneError, match="cannot be opened"):
        open_scene(tmp_path / "text.tif")
    with pytest.raises(SceneError, match="a list is no scene"):
        open_scene([1, 2])


def test_complex_numbers(tmp_path):
    path = write(tmp_path / "slc.tif", np.zeros((1, 4, 4), "complex64"))
    with pytest.raises(SceneError, match="complex"):
        open_scene(path)


def test_many_rasters_in_one_file(tmp_path):
    path = str(tmp_path / "cube.nc")
    rasterio.shutil.copy(write(tmp_path / "cube.tif", pixels("int16", 4)), path, driver="netCDF")
    with pytest.raises(SceneError, match=r"holds 4 rasters; give the name of one: .*Band1.*, \.\.\.$") as error:
        open_scene(path)
    first = str(error.value).split(": ", 1)[1].split(",")[0]
    assert open_scene(first).shape == SHAPE
    assert open_scene(first).name == "cube_Band1"


@pytest.mark.parametrize("points", ["gcps", "rpcs"])
def test_scenes_that_only_points_place(tmp_path, points):
    corners = [
        GroundControlPoint(row, col, 9 + col / 1e4, 46 - row / 1e4)
        for row, col in ((0, 0), (0, 130), (90, 0), (90, 130))
    ]
    rpc = RPC(
        0.0,
        1.0,
        46.0,
        1.0,
        [1.0] + [0.0] * 19,
        [0.0, 0.0, -1.0] + [0.0] * 17,
        45.0,
        45.0,
        9.0,
        1.0,
        [1.0] + [0.0] * 19,
        [0.0, 1.0] + [0.0] * 18,
        65.0,
        65.0,
        None,
        None,
    )
    given = {"gcps": corners, "crs": "EPSG:4326"} if points == "gcps" else {"rpcs": rpc}
    path = tmp_path / "raw.tif"
    with rasterio.open(path, "w", driver="GTiff", width=130, height=90, count=3, dtype="uint8", **given) as out:
        out.write(pixels())
    with pytest.raises(SceneError, match=r"gdalwarp.*raw\.tif warped\.tif, or give a rasterio WarpedVRT"):
        open_scene(path)
    if points == "gcps":
        with rasterio.open(path) as src, WarpedVRT(src, src_crs="EPSG:4326", crs="EPSG:32632") as vrt:
            assert open_scene(vrt).read(Window(0, 0, 5, 5))[0].shape == (3, 5, 5)


def test_a_damaged_block_is_named(tmp_path):
    path = write(tmp_path / "scene.tif", pixels(shape=(256, 256)), **LAYOUTS["tiled"])
    scene = open_scene(path)
    whole, _ = scene.read(Window(0, 0, 64, 256))
    data = (tmp_path / "scene.tif").read_bytes()
    (tmp_path / "scene.tif").write_bytes(data[: len(data) * 2 // 3])
    scene = open_scene(path)
    np.testing.assert_array_equal(scene.read(Window(0, 0, 64, 256))[0], whole)
    with pytest.raises(SceneError, match=r"rows 192 to 256, columns 64 to 256 .*damaged") as error:
        scene.read(Window(192, 64, 256, 256))
    assert "\n" not in str(error.value)
    with pytest.raises(SceneError, match="rows 0 to 256"):
        scene.sample()


def test_huge_blocks_of_a_header_alone(tmp_path):
    path = tmp_path / "bomb.tif"
    profile = {"driver": "GTiff", "width": 40000, "height": 40000, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **profile, tiled=True, blockxsize=39936, blockysize=39936, compress="deflate", sparse_ok=True
    ):
        pass
    with pytest.raises(SceneError, match=r"blocks of 39936 x 39936 pixels, 4.8 GB each"):
        open_scene(path)


# Samples


def test_a_small_scene_is_its_own_sample(tmp_path):
    scene = open_scene(write(tmp_path / "scene.tif", pixels(), nodata=0))
    values, valid = scene.sample()
    np.testing.assert_array_equal(values, scene.read(WINDOWS[0])[0])
    np.testing.assert_array_equal(valid, scene.read(WINDOWS[0])[1])


@pytest.mark.parametrize("sidecar", [False, True])
def test_overviews_are_read_instead_of_pixels(tmp_path, sidecar):
    path = write(tmp_path / "scene.tif", pixels(shape=(800, 1200)), nodata=0, **LAYOUTS["tiled"])
    with rasterio.Env(TIFF_USE_OVR=sidecar), rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4, 8], Resampling.nearest)
    assert Path(path + ".ovr").exists() == sidecar
    scene = open_scene(path)
    assert scene.source.overviews == (2, 4, 8)
    values, valid = scene.sample(15_000)
    with rasterio.open(path, overview_level=2) as src:
        assert values.shape == (3, 100, 150)
        np.testing.assert_array_equal(values, src.read())
        np.testing.assert_array_equal(valid, src.dataset_mask() > 0)


def test_a_huge_sparse_scene_is_sampled_without_reading_it(tmp_path):
    path, shape, block = tmp_path / "huge.tif", (300_000, 400_000), (512, 512)
    coarse, fine = ({window for window, _ in sample_windows(shape, block, (), 50_000, side)} for side in (8, 16))
    lonely = min(fine - coarse)
    profile = {"driver": "GTiff", "width": shape[1], "height": shape[0], "count": 1, "dtype": "uint16", "nodata": 0}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "sparse_ok": True}
    with rasterio.open(path, "w", **profile, **layout, bigtiff=True) as out:
        at = rasterio.windows.Window(lonely.col0, lonely.row0, 512, 512)
        out.write(np.full((1, 512, 512), 9, "uint16"), window=at)
    scene = open_scene(path)
    values, valid = scene.sample(50_000)
    assert values.shape == (3, *valid.shape)
    assert valid.size <= 50_000
    assert valid.any()
    assert (values[:, valid] == 9).all()
    np.testing.assert_array_equal(scene.sample(50_000)[0], values)


def test_the_sample_of_an_array_is_that_of_its_file(tmp_path):
    values = pixels("int16", shape=(700, 900))
    path = write(tmp_path / "scene.tif", values)
    with rioxarray.open_rasterio(path) as array:
        for count in (10**6, 5000):
            file, held = open_scene(path).sample(count), open_scene(array).sample(count)
            np.testing.assert_allclose(file[0].mean((1, 2)), held[0].mean((1, 2)), rtol=0.1)


@pytest.mark.parametrize(
    "shape", [(10, 10), (5000, 7000), (1, 30_000_000), (30_000_000, 3), (100_000, 100_000), (99_999, 512)]
)
@pytest.mark.parametrize("block", [(1, None), (16, 16), (512, 512), (7, None), (None, 1)])
@pytest.mark.parametrize("overviews", [(), (2, 4, 8)])
def test_windows_of_a_sample(shape, block, overviews):
    block = (min(shape[0], block[0] or shape[0]), min(shape[1], block[1] or shape[1]))
    want = 200_000
    for lattice in (8, 16):
        windows = sample_windows(shape, block, overviews, want, lattice)
        scene = Window(0, 0, *shape)
        for window, size in windows:
            assert window in scene
            assert 1 <= size[0] <= window.height
            assert 1 <= size[1] <= window.width
            assert window.row0 % block[0] == window.col0 % block[1] == 0
            assert window.row1 % block[0] == 0 or window.row1 == shape[0]
            assert window.col1 % block[1] == 0 or window.col1 == shape[1]
        assert len({window for window, _ in windows}) == len(windows)
        assert sum(size[0] * size[1] for _, size in windows) <= want
        if len(windows) > 1:
            rows = [window.row0 for window, _ in windows]
            assert max(rows) - min(rows) >= shape[0] // 2 or max(w.col0 for w, _ in windows) >= shape[1] // 2


# Areas


def exact_area(transform, crs, row, col):
    """Area of a pixel as a geodesic polygon with many corners."""
    crs = pyproj.CRS(crs)
    edge = np.linspace(0, 1, 60, endpoint=False)
    cols = col + np.concatenate([edge, np.ones(60), 1 - edge, np.zeros(60)])
    rows = row + np.concatenate([np.zeros(60), edge, np.ones(60), 1 - edge])
    x, y = transform.a * cols + transform.b * rows + transform.c, transform.d * cols + transform.e * rows + transform.f
    lon, lat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    degrees = np.rad2deg(crs.geodetic_crs.axis_info[0].unit_conversion_factor)
    return abs(crs.get_geod().polygon_area_perimeter(lon * degrees, lat * degrees)[0])


PLACES = {
    "web mercator at 70 N": (3857, Affine(600, 0, 1e6, 0, -600, 1.1e7)),
    "across the date line": (3832, Affine(500, 0, 3.2e6, 0, -500, 3e6)),
    "degrees": (4326, Affine(0.02, 0, -20, 0, -0.02, 80)),
    "degrees, south-up": (4326, Affine(0.01, 0, 10, 0, 0.01, -60)),
    "degrees, rotated": (4326, Affine(0.01, 0.004, 10, 0.005, -0.01, 50)),
    "utm": (32632, PLACE),
    "utm, rotated and sheared": (32632, Affine(9, 4, 4e5, 3, -11, 5.1e6)),
    "us survey feet": (2263, Affine(30, 0, 980_000, 0, -30, 200_000)),
    "polar": (3031, Affine(1000, 0, -1.5e6, 0, -1000, 1.5e6)),
    "gradians": (4807, Affine(0.05, 0, 1, 0, -0.05, 52)),
}


@pytest.mark.parametrize("place", PLACES)
def test_areas_are_geodesic(place):
    epsg, transform = PLACES[place]
    areas = CellAreas(transform, CRS.from_epsg(epsg))
    window = Window(100, 50, 700, 950)
    area = np.broadcast_to(areas(window), window.shape)
    for row, col in ((0, 0), (599, 899), (0, 899), (313, 7), (77, 555), (300, 450)):
        exact = exact_area(transform, epsg, 100 + row, 50 + col)
        assert area[row, col] == pytest.approx(exact, rel=2e-6)
    for part in (Window(100, 50, 101, 51), Window(400, 500, 405, 700)):
        rows, cols = part.slices(window)
        np.testing.assert_allclose(np.broadcast_to(areas(part), part.shape), area[rows, cols], rtol=1e-6)


def test_areas_of_pixels_on_the_date_line():
    transform = Affine(500, 0, 3.2e6, 0, -500, 3e6)
    to_map = pyproj.Transformer.from_crs(4326, 3832, always_xy=True)
    col = int((to_map.transform(180, 20)[0] - transform.c) / 500)
    row = int((to_map.transform(180, 20)[1] - transform.f) / -500)
    area = CellAreas(transform, CRS.from_epsg(3832))(Window(row, col - 8, row + 9, col + 8))
    np.testing.assert_allclose(area[4], exact_area(transform, 3832, row + 4, col), rtol=1e-6)


def test_areas_without_an_ellipsoid(tmp_path):
    window = Window(0, 0, 30, 40)
    assert CellAreas(PLACE, None)(window).tolist() == [[1.0]]
    local = CRS.from_wkt('LOCAL_CS["plant",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]')
    assert CellAreas(Affine(2, 1, 0, 0, -3, 0), local)(window) == pytest.approx(6 * 0.3048**2)
    scene = open_scene(write(tmp_path / "scene.tif", pixels(), crs=None))
    assert scene.crs is None
    assert scene.cell_area(window).tolist() == [[1.0]]


def test_space_around_a_geostationary_disk_has_the_area_of_the_map():
    disk = CRS.from_string("+proj=geos +lon_0=-75 +h=35786023 +sweep=x +ellps=GRS80 +units=m")
    areas = CellAreas(Affine(20_000, 0, -5.5e6, 0, -20_000, 5.5e6), disk)
    area = areas(Window(0, 0, 550, 550))
    assert area.shape == (550, 550)
    assert (area > 0).all()
    assert area[0, 0] == pytest.approx(4e8)
    assert area[275, 275] == pytest.approx(exact_area(areas.transform, disk.to_wkt(), 275, 275), rel=1e-3)


def test_scenes_without_a_place_open_without_a_warning(tmp_path):
    path = write(tmp_path / "photo.tif", pixels(), crs=None, transform=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = open_scene(path)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(scene.read, WINDOWS))
    assert scene.transform == Affine.identity()


def test_what_only_dataarrays_need_is_not_loaded():
    code = "import sys, geoalps.io.scene; print(*{'dask', 'pandas', 'rioxarray', 'scipy', 'xarray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
