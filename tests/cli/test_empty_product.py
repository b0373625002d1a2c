"""A product without a single object: every command that needs some says so, and what to do."""

import numpy as np
import pytest
import rasterio


@pytest.fixture(scope="module")
def empty(geoalps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.3, 0, 500000, 0, -0.3, 5200000), "nodata": 0}
    shape = {"driver": "GTiff", "count": 3, "height": 300, "width": 300, "dtype": "uint8"}
    with rasterio.open(folder / "night.tif", "w", **shape, **place) as file:
        file.write(np.zeros((3, 300, 300), np.uint8))
    done = geoalps("tile-label", "night.tif", cwd=folder)
    assert done.code == 0
    assert "no objects: the scene holds no valid pixels" in done.err
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "relabel night_labels",
        "split night_labels 0 -k 2",
        "suggest-classes night_labels",
        "name-from night_labels night_labels/labels.gpkg --field class_name",
        "export night_labels -f coco -o coco",
        "export night_labels -f mmseg -o mmseg",
    ],
)
def test_what_needs_objects_says_so_in_one_line(geoalps, empty, command):
    done = geoalps(*command.split(), cwd=empty)
    assert done.code == 1
    assert "night_labels holds no objects" in done.err
    assert "geoalps tile-label SCENE --overwrite" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["info night_labels", "report night_labels", "export night_labels -f geoparquet -o none.parquet"]
)
def test_what_does_without_works(geoalps, empty, command):
    assert geoalps(*command.split(), cwd=empty).code == 0
