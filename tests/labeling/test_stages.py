"""The main job from Python: laws that hold for any scene, with a segmenter that is exact and with ours."""

import json

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray
from affine import Affine

import geoalps as ga
from geoalps.errors import OptionError, PluginError, ProductError, StoreError
from geoalps.labeling.segmentation import sample_windows
from geoalps.labeling.stages import default_output
from geoalps.testing import PlainSegmenter


def picture(shape=(150, 190), seed=0, nodata=True, colours=4):
    """(3, h, w) uint8 plain patches of a few colours (0 is nodata), large and small, and some nodata."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    seeds = rng.random((30, 2)) * shape
    cell = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    palette = np.array([[200, 40, 40], [40, 180, 60], [40, 60, 200], [230, 230, 210]], np.uint8)
    if colours == 30:  # every patch its own, so that no two grow together
        image = np.stack([np.arange(30) * 8 + 10, np.full(30, 90), np.arange(30)[::-1] * 8 + 10], 1).astype(np.uint8)[
            cell
        ]
    else:
        image = palette[rng.integers(0, 4, 30)[cell]]
    if nodata:
        image[:20, 100:] = 0
    return image.transpose(2, 0, 1)


def write(path, image, **profile):
    place = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5200000), "nodata": 0, **profile}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(image),
        height=image.shape[1],
        width=image.shape[2],
        dtype=image.dtype,
        **place,
    ) as file:
        file.write(image)
    return path


@pytest.fixture
def scene(tmp_path):
    return write(tmp_path / "town.tif", picture())


def run(scene, out, **options):
    given = {"n_classes": 4, "segmenter": PlainSegmenter(), "tile_size": 64, "margin": 16, "min_area": 0, **options}
    return ga.tile_label(scene, out, **given)


def rasters(product):
    return product.labels().to_numpy(), product.object_ids().to_numpy()


def same_partition(one, two):
    pairs = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(two))


@pytest.mark.parametrize(("size", "margin"), [(48, 24), (64, 16), (100, 30), (64, 8)])
def test_labels_do_not_depend_on_the_tile_size_for_an_exact_segmenter(tmp_path, size, margin):
    """Classes for patches of any shape; objects for convex ones: arms that meet outside a window stay two."""
    for colours in (4, 30):
        path = write(tmp_path / f"town{colours}.tif", picture(colours=colours))
        whole = rasters(run(path, tmp_path / f"whole{colours}", tile_size=512, margin=0))
        tiled = rasters(run(path, tmp_path / f"tiled{colours}", tile_size=size, margin=margin))
        assert same_partition(whole[0], tiled[0])
        assert same_partition(whole[1], tiled[1]) or colours == 4


@pytest.mark.parametrize("segmenter", [PlainSegmenter(), "regions"])
def test_nothing_depends_on_the_number_of_workers(scene, tmp_path, segmenter):
    products = [
        run(scene, tmp_path / str(workers), segmenter=segmenter, workers=workers, n_classes=3) for workers in (1, 2, 5)
    ]
    first = rasters(products[0])
    for product in products[1:]:
        assert all((a == b).all() for a, b in zip(first, rasters(product), strict=True))
        assert product.objects().equals(products[0].objects())


def test_nodata_stays_uncovered_and_class_zero_is_visible(scene, tmp_path):
    labels, objects = rasters(run(scene, tmp_path / "out"))
    nodata = picture()[0] == 0
    assert ((labels == 255) == nodata).all()
    assert ((objects == 0) == nodata).all()
    assert set(np.unique(labels)) == {0, 1, 2, 3, 255}


def test_an_all_nodata_tile_changes_nothing(tmp_path):
    image = picture((150, 128), nodata=False)
    padded = np.concatenate([image, np.zeros((3, 150, 70), np.uint8)], 2)
    bare = rasters(run(write(tmp_path / "bare.tif", image), tmp_path / "a"))
    wide = rasters(run(write(tmp_path / "wide.tif", padded), tmp_path / "b"))
    assert (wide[0][:, :128] == bare[0]).all()
    assert same_partition(wide[1][:, :128], bare[1])
    assert (wide[0][:, 128:] == 255).all()


def test_a_dataarray_and_a_dataset_are_as_good_as_a_path(scene, tmp_path):
    with rasterio.open(scene) as source:
        array = xarray.DataArray(source.read(), dims=("band", "y", "x"), name="town")
        array = array.rio.write_crs(source.crs).rio.write_transform(source.transform).rio.write_nodata(0)
        by_dataset = rasters(run(source, tmp_path / "dataset"))
    by_array = rasters(run(array.chunk({"y": 50, "x": 60}), tmp_path / "array"))
    by_path = rasters(run(scene, tmp_path / "path"))
    for other in (by_dataset, by_array):
        assert all((a == b).all() for a, b in zip(by_path, other, strict=True))


def test_the_stages_apart_are_the_whole(scene, tmp_path):
    whole = rasters(run(scene, tmp_path / "whole", segmenter="regions", n_classes=3))
    opened = ga.open_scene(scene)
    store = ga.segment(opened, ga.TileGrid(opened.shape, 64, 16), path=tmp_path / "store")
    model = ga.fit_classes([store], 3)
    apart = rasters(ga.label(store, model, tmp_path / "apart", min_area=0))
    assert all((a == b).all() for a, b in zip(whole, apart, strict=True))


def test_done_tiles_are_not_done_again_and_lost_ones_are(scene, tmp_path):
    first = rasters(run(scene, tmp_path / "out"))
    tiles = sorted((tmp_path / "out" / "work" / "tiles").glob("*/*.parquet"))
    times = {file: file.stat().st_mtime_ns for file in tiles}
    tiles[1].unlink()
    again = rasters(run(scene, tmp_path / "out", overwrite=True))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    changed = [file for file in tiles if file.stat().st_mtime_ns != times[file]]
    assert changed == [tiles[1]]


def test_a_store_made_with_other_options_is_refused_with_the_difference(scene, tmp_path):
    ga.segment(scene, ga.TileGrid((150, 190), 64, 16), path=tmp_path / "store")
    with pytest.raises(StoreError, match="margin: 16, now 8"):
        ga.segment(scene, ga.TileGrid((150, 190), 64, 8), path=tmp_path / "store")
    write(scene, picture(seed=5))
    with pytest.raises(StoreError, match="mtime"):
        ga.segment(scene, ga.TileGrid((150, 190), 64, 16), path=tmp_path / "store")
    store = ga.segment(scene, ga.TileGrid((150, 190), 64, 16), path=tmp_path / "store", overwrite=True)
    assert not list(store.missing())


def test_a_class_model_carries_over(scene, tmp_path):
    first = run(scene, tmp_path / "first")
    other = write(tmp_path / "village.tif", picture(seed=3))
    second = run(other, tmp_path / "second", class_model=tmp_path / "first")
    image, labels = picture(seed=3), second.labels().to_numpy()
    old_image, old = picture(), first.labels().to_numpy()
    for colour in np.unique(old_image.reshape(3, -1), axis=1).T:
        then = np.unique(old[(colour == old_image.T).all(-1).T])
        now = np.unique(labels[(colour == image.T).all(-1).T])
        assert then.tolist() == now.tolist()
    assert second.classes().colour.tolist() == first.classes().colour.tolist()


def test_a_class_model_of_another_segmenter_is_refused(scene, tmp_path):
    run(scene, tmp_path / "plain")
    with pytest.raises(OptionError, match=r"'plain'.*'regions'"):
        run(scene, tmp_path / "regions", segmenter="regions", class_model=tmp_path / "plain")


def test_an_existing_product_is_kept(scene, tmp_path):
    run(scene, tmp_path / "out")
    with pytest.raises(ProductError, match="--overwrite"):
        run(scene, tmp_path / "out")


def test_more_classes_than_objects(scene, tmp_path):
    with pytest.raises(OptionError, match="use -k"):
        run(scene, tmp_path / "out", n_classes=500)
    assert not (tmp_path / "out" / "labels.tif").exists()


def test_more_than_255_classes(tmp_path):
    rng = np.random.default_rng(0)
    image = np.repeat(np.repeat(rng.integers(1, 256, (3, 20, 20), np.uint8), 4, 1), 4, 2)
    product = run(write(tmp_path / "many.tif", image), tmp_path / "out", n_classes=300)
    assert product.labels().dtype == np.uint16
    assert len(product.classes()) == 300


def test_further_bands_join_the_embedding(tmp_path):
    """Two meadows that look alike in the first three bands and differ in the fourth."""
    image = np.full((4, 96, 96), 90, np.uint8)
    image[:3, :, ::12] = 30
    image[3, :, 48:] = 200
    path = write(tmp_path / "four.tif", image, nodata=None, photometric="minisblack")
    options = {"segmenter": PlainSegmenter(), "n_classes": 2, "normalisation": "none"}
    product = run(path, tmp_path / "all", **options)
    assert product.run()["counts"]["objects"] > 2
    plain = (image[0] == 90) & (np.arange(96) > 12)
    seen = product.labels().to_numpy()
    assert np.unique(seen[:, 60:][plain[:, 60:]]).tolist() != np.unique(seen[:, 13:48][plain[:, 13:48]]).tolist()
    three = run(path, tmp_path / "three", bands=(1, 2, 3), **options).labels().to_numpy()
    assert np.unique(three[:, 60:][plain[:, 60:]]).tolist() == np.unique(three[:, 13:48][plain[:, 13:48]]).tolist()


def test_run_json_says_how_it_was_made(scene, tmp_path):
    run_ = json.loads((run(scene, tmp_path / "out").path / "run.json").read_text())
    assert run_["n_classes"] == 4
    assert run_["counts"]["tiles"] == 9
    assert run_["scene"]["name"] == "town"
    assert run_["segmenter"]["name"] == "plain"
    assert run_["seam_index"]["lines"] == 4
    assert {"segment", "stitch", "fit", "paint", "rasters", "geopackage"} <= set(run_["seconds"])


def test_a_plugin_that_breaks_its_protocol_is_refused_by_name(scene, tmp_path):
    class Spills(PlainSegmenter):
        def segment(self, image, valid):
            return super().segment(image, np.ones_like(valid))

    with pytest.raises(PluginError, match=r"'plain'.*nodata"):
        run(scene, tmp_path / "out", segmenter=Spills())
    with pytest.raises(PluginError, match=r"installed are.*regions"):
        run(scene, tmp_path / "out", segmenter="nonsense")
    with pytest.raises(OptionError, match="no option 'colour'"):
        run(scene, tmp_path / "out", segmenter="regions", colour=3)


def test_sample_windows_lie_in_the_scene_and_reach_its_corners():
    for shape in [(10, 10), (400, 5000), (3000, 2000), (1, 90)]:
        windows = sample_windows(shape)
        assert all(window in ga.Window(0, 0, *shape) for window in windows)
        assert (windows[0].row0, windows[0].col0) == (0, 0)
        assert (windows[-1].row1, windows[-1].col1) == shape


def test_the_default_output_lies_beside_the_scene(scene, tmp_path):
    assert default_output(ga.open_scene(scene)) == tmp_path / "town_labels"
