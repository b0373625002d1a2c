"""Borders that only further bands, or more than 8 bits, show."""

import numpy as np
import pytest
import rasterio

import geoalps as ga
from geoalps.grid import TileGrid, Window
from geoalps.io.bands import red_nir
from geoalps.io.scene import open_scene
from geoalps.io.stretch import fit_stretch
from geoalps.labeling.segmentation import see
from geoalps.labeling.spectra import Spectra
from geoalps.models.regions import RegionSegmenter
from geoalps.models.with_shape import with_shape
from geoalps.protocols import Bands
from geoalps.testing import PlainSegmenter

SHAPE = (120, 140)
VALID = np.ones(SHAPE, bool)
HAND = {"affinity": False, "choice": "cut", "regions_per_mpx": 2000.0}


def grey(seed=0):
    """A picture of faint noise."""
    return np.random.default_rng(seed).integers(118, 123, (*SHAPE, 1)).astype(np.uint8).repeat(3, 2)


def blob(seed=0, inside=0.8, outside=0.3):
    """(h, w) bool of an ellipse, and a band in which it stands out."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[: SHAPE[0], : SHAPE[1]]
    centre, axes = rng.uniform(50, 70, 2), rng.uniform(20, 40, 2)
    there = ((row - centre[0]) / axes[0]) ** 2 + ((col - centre[1]) / axes[1]) ** 2 < 1
    noise = rng.normal(0, 0.005, SHAPE)
    return there, (np.where(there, inside, outside) + noise).astype(np.float32)


def bands_of(image, *further):
    exact = np.moveaxis(image, -1, 0).astype(np.float32) / 255
    return Bands(exact, np.stack(further) if further else np.zeros((0, *image.shape[:2]), np.float32))


def kept_apart(labels, truth):
    """IoU of a mask and all segments that lie in it for the most part: 1 when none reaches across its border."""
    inside = np.bincount(labels.ravel(), truth.ravel()) > np.bincount(labels.ravel()) / 2
    return (inside[labels] & truth).sum() / (inside[labels] | truth).sum()


def label_map(segments):
    """(h, w) int of segments that cover everything once."""
    index, pixel = segments.pixels(SHAPE[1])
    labels = np.zeros(SHAPE, int)
    labels.ravel()[pixel] = index
    return labels


@pytest.mark.parametrize("options", [HAND, {}], ids=["hand", "learned"])
@pytest.mark.parametrize("seed", range(3))
def test_a_border_in_a_further_band_only_becomes_a_border(seed, options):
    image, (truth, band) = grey(seed), blob(seed)
    segmenter = RegionSegmenter(**options)
    seen, _ = segmenter.segment(image, VALID, bands_of(image, np.full(SHAPE, 0.4, np.float32), band))
    blind, _ = segmenter.segment(image, VALID, bands_of(image))
    assert kept_apart(label_map(seen), truth) > 0.96
    assert kept_apart(label_map(blind), truth) < 0.9


def test_a_band_told_many_times_says_no_more():
    image, (_, band) = grey(), blob()
    once, often = (RegionSegmenter(**HAND).tree_of(image, VALID, bands_of(image, *[band] * n)) for n in (1, 9))
    np.testing.assert_allclose(often.gradient, once.gradient, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(often.labels, once.labels)
    np.testing.assert_allclose(often.graph.colour_distances(), once.graph.colour_distances(), rtol=1e-3, atol=1e-3)


def test_the_gradient_of_a_band_joins_in_lab_units():
    """Three bands like lightness together: the energy of one band is three times that of its hundredfold."""
    image = np.full((*SHAPE, 3), 120, np.uint8)
    ramp = np.tile(np.linspace(0, 1, SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
    gradient = RegionSegmenter(**HAND).tree_of(image, VALID, bands_of(image, ramp)).gradient
    assert gradient[60, 70] == pytest.approx(100 * 3**0.5 / (SHAPE[1] - 1), rel=1e-3)


def test_what_lies_between_the_levels_of_8_bits_is_seen():
    truth, _ = blob()
    fine = np.where(truth, 0.5010, 0.4990).astype(np.float32)
    image = np.full((*SHAPE, 3), 128, np.uint8)
    exact = Bands(np.stack([fine] * 3), np.zeros((0, *SHAPE), np.float32))
    assert len(RegionSegmenter(**HAND).segment(image, VALID)[0]) == 1
    tree = RegionSegmenter(**HAND).tree_of(image, VALID, exact)
    assert tree.gradient[truth ^ np.roll(truth, 1, 1)].min() > 0.01


def test_bands_that_are_not_wanted_change_nothing():
    image, (_, band) = grey(), blob()
    deaf = RegionSegmenter(**HAND, all_bands=False)
    assert not deaf.multiband
    with_bands, without = deaf.segment(image, VALID, bands_of(image, band)), deaf.segment(image, VALID)
    np.testing.assert_array_equal(with_bands[0].runs, without[0].runs)


def test_with_shape_passes_the_bands_on():
    image, (_, band) = grey(), blob()
    plain, shaped = RegionSegmenter(**HAND), with_shape(RegionSegmenter(**HAND))
    bands = bands_of(image, band)
    assert shaped.multiband
    assert not with_shape(PlainSegmenter()).multiband
    np.testing.assert_array_equal(
        shaped.segment(image, VALID, bands)[0].runs, plain.segment(image, VALID, bands)[0].runs
    )
    assert shaped.adapted([(image, VALID, bands)]).segmenter == plain.adapted([(image, VALID, bands)])
    assert plain.adapted([(image, VALID, bands)]) != plain.adapted([(image, VALID)])


def write(path, values, descriptions=(), **profile):
    """A scene of (bands, h, w) values."""
    place = {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6), "crs": "EPSG:32631", **profile}
    given = {"width": values.shape[2], "height": values.shape[1], "count": len(values), "dtype": values.dtype}
    with rasterio.open(path, "w", "GTiff", **given, **place) as file:
        file.write(values)
        for number, text in enumerate(descriptions, 1):
            file.set_band_description(number, text)
    return path


def multispectral(seed=0, count=6):
    """(count, h, w) uint16 in which only the last band shows the blob."""
    rng = np.random.default_rng(seed)
    values = rng.integers(990, 1010, (count, *SHAPE))
    truth, _ = blob(seed)
    values[-1] = np.where(truth, 4000, 1000) + rng.integers(0, 50, SHAPE)
    return values.astype(np.uint16), truth


class Recorder:
    """A segmenter of two arguments and no more."""

    partition = True

    @property
    def identity(self):
        return {"name": "recorder", "options": {}, "embedding": ["red", "green", "blue"]}

    def __init__(self):
        self.samples = []

    def segment(self, image, valid):
        return PlainSegmenter().segment(image // 64, valid)

    def adapted(self, samples, pixel_size=None):
        self.samples = [len(sample) for sample in samples]
        return self


def test_a_plug_in_that_wants_no_bands_sees_no_change(tmp_path):
    recorder = Recorder()
    ga.segment(write(tmp_path / "ms.tif", multispectral()[0]), TileGrid(SHAPE, 64, 16), recorder, path=tmp_path / "s")
    assert recorder.samples == [2]


def test_three_bands_of_8_bits_give_what_they_gave(tmp_path):
    values = np.moveaxis(grey(), -1, 0).copy()
    values[:, 30:70, 40:90] += 60
    scene = write(tmp_path / "rgb.tif", values, photometric="RGB")
    grid = TileGrid(SHAPE, 64, 16)
    stores = [ga.segment(scene, grid, path=tmp_path / str(on), all_bands=on, affinity=False) for on in (True, False)]
    for tile in grid:
        one, two = (store.read(tile) for store in stores)
        np.testing.assert_array_equal(one.segments.runs, two.segments.runs)
        np.testing.assert_array_equal(one.embeddings, two.embeddings)
    opened = open_scene(scene)
    assert len(see(RegionSegmenter(), opened, fit_stretch(opened), Spectra.fit([opened])[0], Window(0, 0, 9, 9))) == 2


def test_the_object_of_one_band_is_found_across_tiles(tmp_path):
    values, truth = multispectral()
    for size, margin in ((64, 32), (256, 64)):
        product = ga.tile_label(
            write(tmp_path / "ms.tif", values), tmp_path / str(size), 2, tile_size=size, margin=margin, min_area=0,
            granularity=10,
        )  # fmt: skip
        with rasterio.open(product.path / "objects.tif") as file:
            assert kept_apart(file.read(1), truth) > 0.96


def test_bands_of_windows_are_cut_from_those_of_the_whole(tmp_path):
    values = np.random.default_rng(0).integers(0, 5000, (7, *SHAPE)).astype(np.uint16)
    scene = open_scene(write(tmp_path / "ms.tif", values, ["blue", "green", "red", "NIR", "a", "b", "c"]))
    stretch = fit_stretch(scene)
    (spectra,) = Spectra.fit([scene], stretch)
    *_, whole = see(RegionSegmenter(), scene, stretch, spectra, Window(0, 0, *SHAPE))
    assert whole.further.shape == (5, *SHAPE)
    assert 0 <= whole.further.min() < whole.further.max() <= 1
    for window in (Window(0, 0, 50, 60), Window(33, 41, 97, 140)):
        image, _, part = see(RegionSegmenter(), scene, stretch, spectra, window)
        np.testing.assert_array_equal(part.further, whole.further[(slice(None), *window.slices())])
        np.testing.assert_array_equal(part.exact, whole.exact[(slice(None), *window.slices())])
        assert np.abs(np.moveaxis(part.exact, 0, -1) * 255 - image).max() <= 0.501


def test_ndvi_is_the_last_band_where_the_scene_says_what_is_red(tmp_path):
    values = np.random.default_rng(0).integers(0, 5000, (4, *SHAPE)).astype(np.uint16)
    values[:, 5, 5] = 0
    named = open_scene(write(tmp_path / "named.tif", values, ["blue", "green", "red", "nir"]))
    window = Window(0, 0, *SHAPE)
    (spectra,) = Spectra.fit([named])
    red, nir = values[2:].astype(float)
    light = red + nir
    ndvi = np.divide(nir - red, light, out=np.zeros(SHAPE), where=light > 0)
    np.testing.assert_allclose(2 * spectra.read(window)[-1] - 1, ndvi, atol=1e-5)
    assert spectra.to_json()["red_nir"] == [3, 4]
    again = Spectra.as_fitted(named, spectra.to_json())
    np.testing.assert_array_equal(again.read(window), spectra.read(window))
    (silent,) = Spectra.fit([open_scene(write(tmp_path / "silent.tif", values))])
    assert len(silent.read(window)) == 1
    assert "red_nir" not in silent.to_json()


def test_of_hundreds_of_bands_some_are_taken(tmp_path):
    values = np.random.default_rng(0).integers(0, 5000, (60, 20, 20)).astype(np.uint16)
    scene = open_scene(write(tmp_path / "hyper.tif", values))
    (spectra,) = Spectra.fit([scene])
    found = spectra.read(Window(0, 0, 20, 20))
    assert len(found) == 16
    matches = [
        [np.corrcoef(band.ravel(), other.ravel())[0, 1] > 0.99 for other in values].index(True) for band in found
    ]
    assert np.diff(matches).min() >= 3
    assert 3 <= matches[0] < 7
    assert 54 < matches[-1] < 60


@pytest.mark.parametrize(
    ("colours", "descriptions", "expected"),
    [
        ("red green blue nir", [None] * 4, (1, 4)),
        ("gray undefined undefined undefined", ["B02", "B03", "B04", "B08"], (3, 4)),
        ("gray undefined undefined", ["B8", "B8A", "B4"], (3, 1)),
        ("gray undefined undefined", ["SR_B4", "SR_B5", "SR_B8"], None),
        ("gray undefined undefined", ["red edge", "Near Infrared", "Red"], (3, 2)),
        ("gray undefined", ["red", None], None),
        ("red undefined", [None, "swir"], None),
    ],
)
def test_red_and_near_infrared_are_known_by_what_the_raster_says(colours, descriptions, expected):
    from rasterio.enums import ColorInterp

    assert red_nir([ColorInterp[name] for name in colours.split()], descriptions) == expected
