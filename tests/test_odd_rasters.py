"""Rasters that trip other programs, each by a process of its own: a whole product, or one line that says why not.

They are small files from the tests of public projects and are not part of this repository. The tests look for
``odd_rasters``, with its ``MANIFEST.csv``, in the directory that ``GEOALPS_TEST_DATA`` names, else in ``data``.
"""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window
from scenes import Made, check_product

FOLDER = Path(os.environ.get("GEOALPS_TEST_DATA", Path(__file__).parents[1] / "data")) / "odd_rasters"
pytestmark = [
    pytest.mark.skipif(not (FOLDER / "MANIFEST.csv").is_file(), reason="no odd_rasters in GEOALPS_TEST_DATA or data"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

FINE = ("--option", "regions_per_mpx=250000", "--option", "smallest=2")
"""For files of a few hundred pixels, which are one object otherwise."""
ONE = ("-k", "1")
"""For what has less than two objects however fine."""
LARGEST, MIDDLE = 4_000_000, 1024
"""Of files with more pixels only so many rows and columns of the middle are taken, so that the tests end soon."""

PRODUCTS = {
    "rasterio/RGB.byte.tif": (),
    "rasterio/RGBA.uint16.tif": (),
    "rasterio/red.tif": ONE,
    "rasterio/rotated.tif": FINE,
    "rasterio/float_nan.tif": ONE,
    "rasterio/float_raster_with_nodata.tif": FINE,
    "rasterio/all-nodata.tif": (),
    "rasterio/alpha.tif": (),
    "rasterio/shade.tif": (),
    "rasterio/world.byte.tif": (),
    "rasterio/goes.tif": (),
    "rasterio/test_esri_wkt.tif": ONE,
    "rasterio/389225main_sw_1965_1024.jpg": (),
    "rio-tiler/cog_nodata_nan.tif": (),
    "rio-tiler/cog_cmap.tif": (),
    "rio-tiler/cog_rgb_mask.tif": (),
    "rio-tiler/inverted_lat.tif": (),
    "rio-tiler/cog_dateline.tif": (),
    "rio-tiler/cog_scale.tif": (),
    "rio-tiler/cog_tags.tif": (),
    "stars/L7_ETMs.tif": (),
    "stars/geomatrix.tif": FINE,
    "stars/lc.tif": FINE,
    "stars/na.tif": FINE,
    "terra/sent2_L2A_2024-08-24.tif": (),
    "terra/meuse.tif": FINE,
    "terra/logo.tif": (),
    "odc-geo/au-3577.tif": (),
    "odc-geo/au-3577-rotated.tif": (),
    "solaris/ms1.tif": (),
    "solaris/pan2.tif": (),
    "data/m_4709963_se_14_1_20140720.tif": (),
    "data/cog.tif": (),
    "qgis-plugin-deepness/oils.tif": (),
    "DeepForest/test_tiled.tif": (),
    "gdal/oddsize1bit.tif": (),
    "gdal/byte_nogeoref.tif": FINE,
    "gdal/float16.tif": FINE,
    "gdal/int12.tif": FINE,
    "gdal/rgbsmall_LZW_separate.tif": FINE,
    "gdal/bigtiff_one_strip_long8.tif": ONE,
}
"""What becomes a product, and with which options beside ``-k 2 --min-area 0``."""
REFUSED = {
    "rasterio/RGB.byte.gcp.vrt": "{path} is placed by ground control points only, without a transform; warp it first",
    "rasterio/RGB.byte.rpc.vrt": "{path} is placed by RPCs only, without a transform; warp it first: gdalwarp -rpc",
    "rasterio/corrupt.tif": "tile r00000c00000: {path} cannot be read at rows 341 to 683, columns 341 to 683",
    "rasterio/two-subs.h5": "{path} holds 2 rasters; give the name of one: HDF5:",
    "rio-tiler/cog_gcps.tif": "{path} is placed by ground control points only, without a transform; warp it first",
    "gdal/byte_truncated.tif": "tile r00000c00000: {path} cannot be read at rows 0 to 20, columns 0 to 20",
    "gdal/cint16.tif": "{path} holds complex numbers; write their amplitude or intensity to a raster first",
}
"""What becomes none, and how the one line begins."""
TOO_SMALL = [name for name, options in PRODUCTS.items() if options == ONE]


def tile_label(geoalps, path, out, *options):
    """The finished process; nothing is said that is not an error."""
    done = geoalps("-q", "tile-label", path, "-o", out, "-k", 2, "--min-area", 0, *options)
    assert "Traceback" not in done.err
    return done


def of_bearable_size(path, folder):
    """The file itself, or its middle with all that makes it odd."""
    with rasterio.open(path) as file:
        if file.height * file.width <= LARGEST:
            return path
        window = Window((file.width - MIDDLE) // 2, (file.height - MIDDLE) // 2, MIDDLE, MIDDLE)
        place = {"height": MIDDLE, "width": MIDDLE, "transform": file.window_transform(window)}
        with rasterio.open(folder / path.name, "w", **{**file.profile, **place}) as middle:
            middle.colorinterp = file.colorinterp
            middle.write(file.read(window=window))
            for band in range(1, file.count + 1):
                if file.colorinterp[band - 1] == ColorInterp.palette:
                    middle.write_colormap(band, file.colormap(band))
    return folder / path.name


def has_data(path, bands):
    """(height, width) bool: by GDAL's masks of the bands that were used, and numbers in all of them."""
    with rasterio.open(path) as file:
        return (file.read_masks(bands) > 0).any(0) & np.isfinite(file.read(bands)).all(0)


def test_every_file_has_its_outcome_here():
    with (FOLDER / "MANIFEST.csv").open() as lines:
        listed = {row["file"] for row in csv.DictReader(lines)}
    assert listed == PRODUCTS.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(geoalps, tmp_path, name):
    path, out = of_bearable_size(FOLDER / name, tmp_path), tmp_path / "out"
    done = tile_label(geoalps, path, out, *PRODUCTS[name])
    assert (done.code, done.out, done.err) == (0, f"{out}\n", "")
    bands = json.loads((out / "run.json").read_text())["scene"]["bands"]
    made = Made(path, has_data(path, bands))
    layer, _ = check_product(made, out, 1 if PRODUCTS[name] == ONE else 2)
    assert bool(len(layer)) == made.valid.any()


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(geoalps, tmp_path, name):
    path, out = FOLDER / name, tmp_path / "out"
    done = tile_label(geoalps, path, out)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {REFUSED[name].format(path=path)}")
    assert done.err.count("\n") == 1
    assert not (out / "run.json").exists()


@pytest.mark.parametrize("name", TOO_SMALL)
def test_more_classes_than_there_are_objects(geoalps, tmp_path, name):
    done = tile_label(geoalps, FOLDER / name, tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    # there is one object, or several that are alike
    assert done.err.startswith("Error: 2 classes were asked for")
    assert " 1 " in done.err
    assert done.err.count("\n") == 1
