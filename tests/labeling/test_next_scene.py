"""The next scene: the same classes by a class model; what does not fit is refused; drift; learning that goes on."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio

import geoalps as ga
from geoalps.errors import OptionError
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.relabelling import relabel, split_class
from geoalps.labeling.scenes import segment_scenes
from geoalps.testing import PlainSegmenter

COLOURS = np.array([[30, 60, 110], [60, 120, 50], [170, 90, 60], [200, 200, 190]])
OPTIONS = {"segmenter": PlainSegmenter(), "tile_size": 64, "margin": 16}


def picture(seed=0, colours=COLOURS, shape=(128, 160), bands=3, dtype=np.uint8, spread=6):
    """(bands, h, w): patches of some colours, each patch a little off its colour."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    seeds = rng.random((50, 2)) * shape
    cell = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    own = colours[np.arange(50) % len(colours)] + rng.integers(-spread, spread + 1, (50, 3))
    image = own[cell].transpose(2, 0, 1)
    more = rng.integers(0, 200, (max(bands - 3, 0), 50))[:, cell]
    return np.concatenate([image, more]).astype(dtype)


def write(path, image):
    shape = {"count": len(image), "height": image.shape[1], "width": image.shape[2], "dtype": image.dtype}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 500000, 0, -0.5, 5200000)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(image)
    return path


@pytest.fixture
def first(tmp_path):
    return ga.tile_label(write(tmp_path / "first.tif", picture()), tmp_path / "first", 4, **OPTIONS)


def colour_of_classes(product, path):
    """Mean colour of the pixels of every class."""
    labels = product.labels().to_numpy()
    with rasterio.open(path) as file:
        image = file.read([1, 2, 3])
    return np.array([image[:, labels == number].mean(1) for number in range(4)])


def test_the_next_scene_gets_the_same_classes_names_and_colours(first, tmp_path):
    entries = ClassModel.load(first.path).classes
    named = [replace(e, class_name=f"kind {e.class_id}", colour=f"#00{e.class_id:02x}ff") for e in entries]
    relabel(first, [*named[:3], replace(named[3], merge_into=1)])
    second = ga.tile_label(
        write(tmp_path / "second.tif", picture(1)), tmp_path / "second", class_model=first.path, **OPTIONS
    )
    assert set(np.unique(second.labels())) == {0, 1, 2}
    assert ClassModel.load(second.path).classes == ClassModel.load(first.path).classes
    kinds = second.classes().set_index("class_id")
    assert kinds.class_name.to_dict() == {n: f"kind {n}" for n in (0, 1, 2)}
    # unmerged, each class has the colour that it has in the first scene
    relabel(first, named)
    relabel(second, named)
    one = colour_of_classes(first, tmp_path / "first.tif")
    other = colour_of_classes(second, tmp_path / "second.tif")
    assert np.abs(one - other).max() < 8


def test_colours_of_classes_follow_what_is_seen(first, tmp_path):
    means = colour_of_classes(first, tmp_path / "first.tif")
    blue, green = (int(((means - colour) ** 2).sum(1).argmin()) for colour in COLOURS[:2])
    chosen = {e.class_id: tuple(bytes.fromhex(e.colour[1:])) for e in ClassModel.load(first.path).classes}
    assert chosen[blue][2] == max(chosen[blue]), "water is not orange"
    assert chosen[green][1] == max(chosen[green])


def test_drift_is_told(first, tmp_path):
    assert first.run()["drift"]["unseen"] == 0
    same = ga.tile_label(write(tmp_path / "same.tif", picture()), tmp_path / "same", class_model=first.path, **OPTIONS)
    assert same.run()["drift"] == first.run()["drift"]
    other = picture(2, np.array([*COLOURS[:2], [250, 0, 250], [0, 250, 0]]))
    strange = ga.tile_label(write(tmp_path / "new.tif", other), tmp_path / "new", class_model=first.path, **OPTIONS)
    patches = len(strange.objects())
    red, green, blue = other
    new = len(np.unique(strange.object_ids().to_numpy()[(red > 230) & (blue > 230) | (green > 230)]))
    assert strange.run()["drift"]["unseen"] == pytest.approx(new / patches, abs=0.1)


def test_bands_are_the_models_unless_the_caller_says_others(tmp_path):
    image = picture(bands=5)
    paths = [write(tmp_path / f"{name}.tif", image) for name in "ab"]
    one = ga.tile_label(paths[0], tmp_path / "one", 3, bands=(3, 2, 1), **OPTIONS)
    two = ga.tile_label(paths[1], tmp_path / "two", class_model=one.path, **OPTIONS)
    assert two.run()["scene"]["bands"] == [3, 2, 1]
    assert np.array_equal(one.labels(), two.labels())
    with pytest.raises(
        OptionError, match="fitted with bands 3, 2, 1 as red, green, blue, the scene has 1, 2, 3; give --bands 3,2,1"
    ):
        ga.tile_label(paths[1], tmp_path / "three", class_model=one.path, bands=(1, 2, 3), **OPTIONS)


def test_a_scene_of_other_bands_or_dtype_is_refused(first, tmp_path):
    wide = write(tmp_path / "wide.tif", picture(bands=5))
    store = ga.segment(wide, ga.TileGrid((128, 160), 64, 16), PlainSegmenter(), path=tmp_path / "wide")
    model = ClassModel.load(first.path)
    with pytest.raises(OptionError, match="bands none in the embedding, the scene has 4, 5"):
        ga.label(store, model, tmp_path / "out")
    deep = write(tmp_path / "deep.tif", picture(dtype=np.uint16))
    with pytest.raises(OptionError, match="fitted on a scene of uint8, this one holds uint16"):
        ga.tile_label(deep, tmp_path / "out", class_model=model, **OPTIONS)
    narrow = write(tmp_path / "narrow.tif", picture()[:1])
    with pytest.raises(OptionError, match="has no band 2: it has 1"):
        ga.tile_label(narrow, tmp_path / "out", class_model=model, **OPTIONS)
    with pytest.raises(OptionError, match="fitted with segmenter 'plain', the scene is segmented with 'regions'"):
        ga.tile_label(wide, tmp_path / "out", class_model=model, segmenter="regions")


def test_a_store_with_another_stretch_is_refused(tmp_path):
    dark, light = (write(tmp_path / f"{top}.tif", picture(dtype=np.uint16) * top) for top in (3, 9))
    model = ga.fit_classes(ga.segment(dark, segmenter=PlainSegmenter(), path=tmp_path / "dark"), 3)
    store = ga.segment(light, segmenter=PlainSegmenter(), path=tmp_path / "light")
    with pytest.raises(OptionError, match=r"stretched to 8 bit in another way .* --class-model"):
        ga.label(store, model, tmp_path / "out")
    (alike,) = segment_scenes([light], [tmp_path / "alike"], class_model=model, segmenter=PlainSegmenter())
    assert len(ga.label(alike, model, tmp_path / "out").objects())


def test_stores_that_mean_other_things_are_not_fitted_together(tmp_path):
    dark, light = (write(tmp_path / f"{top}.tif", picture(dtype=np.uint16) * top) for top in (3, 9))
    stores = [ga.segment(path, segmenter=PlainSegmenter(), path=tmp_path / path.stem) for path in (dark, light)]
    with pytest.raises(OptionError, match=r"9 was segmented with another stretch than 3 \(.*--class-model"):
        ga.fit_classes(stores, 3)


class Huge(PlainSegmenter):
    """Embeddings that half a float does not hold."""

    def segment(self, image, valid):
        segments, embedding = super().segment(image, valid)
        return segments, replace(embedding, values=embedding.values * 1000)


def test_embeddings_that_the_store_cannot_hold_are_refused(tmp_path):
    path = write(tmp_path / "scene.tif", picture())
    with pytest.raises(Exception, match=r"the embeddings of 'plain' reach .* up to 65504; scale them"):
        ga.segment(path, segmenter=Huge(), path=tmp_path / "store")


def test_a_model_of_nothing_is_refused_where_there_are_objects(first, tmp_path):
    empty = write(tmp_path / "empty.tif", np.full((3, 64, 64), 7, np.uint8))
    with rasterio.open(empty, "r+") as file:
        file.nodata = 7
    nothing = ga.tile_label(empty, tmp_path / "nothing", 3, **OPTIONS)
    assert len(ClassModel.load(nothing.path)) == 0
    with pytest.raises(OptionError, match="fitted on scenes without objects"):
        ga.tile_label(tmp_path / "first.tif", tmp_path / "out", class_model=nothing.path, **OPTIONS)
    with pytest.raises(OptionError, match="fitted on scenes without objects"):
        ga.update_classes(ClassModel.load(nothing.path), ga.Store.open(first.path / "work"))
    with pytest.raises(OptionError, match="fitted on scenes without objects"):
        ga.adapt_classes(ClassModel.load(nothing.path), ga.Store.open(first.path / "work"))


def test_in_another_light_the_classes_are_found_again_when_it_may_adapt(first, tmp_path):
    image = picture()
    kinds = first.labels().to_numpy()
    dim = write(
        tmp_path / "dim.tif", np.clip(image * 0.55 + np.array([[[30]], [[10]], [[0]]]), 0, 255).astype(np.uint8)
    )
    as_fitted = ga.tile_label(dim, tmp_path / "fixed", class_model=first.path, **OPTIONS)
    adapted = ga.tile_label(dim, tmp_path / "adapted", class_model=first.path, adapt=True, **OPTIONS)
    assert (as_fitted.labels().to_numpy() == kinds).mean() < 0.8
    assert (adapted.labels().to_numpy() == kinds).mean() > 0.95
    model = ClassModel.load(adapted.path)
    assert model.classes == ClassModel.load(first.path).classes
    assert model.source["adapted"] == ["dim"]
    # in the same light there is nothing to adapt to
    same = ga.adapt_classes(ClassModel.load(first.path), ga.Store.open(first.path / "work"))
    assert same.centres.vectors == pytest.approx(ClassModel.load(first.path).centres.vectors, abs=1e-6)
    with pytest.raises(OptionError, match="adapt is for a class model"):
        ga.tile_label(dim, tmp_path / "none", adapt=True, **OPTIONS)


def embeddings(store):
    from geoalps.labeling.fitting import opened

    return np.concatenate(list(opened([store], None, None)))


def test_learning_goes_on_and_nothing_is_forgotten(first, tmp_path):
    entries = ClassModel.load(first.path).classes
    relabel(first, [replace(e, class_name=f"kind {e.class_id}") for e in entries])
    split_class(first, 0, 2)
    model, store = ClassModel.load(first.path), ga.Store.open(first.path / "work")
    path = write(tmp_path / "second.tif", picture(5, COLOURS + 8))
    (second,) = segment_scenes([path], [tmp_path / "second"], class_model=model, **OPTIONS)
    later = ga.update_classes(model, second)
    assert later.classes == model.classes
    assert later.source["scenes"] == ["first", "second"]
    x, new = (model.normalised(embeddings(s)) for s in (store, second))
    assert later.source["objects"] == len(x) + len(new)
    # brute force: every leaf is the mean of all that it was learnt from, before and since, as it was assigned
    for row in model.centres.leaves:
        mine = new[model.centres.locate(new).node == row].astype(float)
        count = model.centres.counts[row]
        wanted = (model.centres.vectors[row] * count + mine.sum(0)) / (count + len(mine))
        assert later.centres.vectors[row] == pytest.approx(wanted, rel=1e-6)
        assert later.centres.counts[row] == count + len(mine)
    for values in (x, new):
        assert not later.centres.unseen(values, later.centres.locate(values)).any()
    # saved and read again it goes on
    later.save(tmp_path / "classes")
    again = ClassModel.load(tmp_path / "classes")
    assert np.array_equal(again.centres.counts, later.centres.counts)
    assert np.array_equal(
        ga.update_classes(again, second).centres.vectors, ga.update_classes(later, second).centres.vectors
    )


def test_what_was_fitted_twice_alike_is_one_model_at_twice_the_weight(first):
    model, store = ClassModel.load(first.path), ga.Store.open(first.path / "work")
    later = ga.update_classes(model, store)
    assert np.array_equal(later.centres.counts, 2 * model.centres.counts)
    # Lloyd's fixed point: the mean of each class's objects is where its centre is, nearly, after five passes
    assert later.centres.vectors == pytest.approx(model.centres.vectors, abs=0.05)
