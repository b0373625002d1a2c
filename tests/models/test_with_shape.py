"""Hand-made descriptors beside any embedding: brute force and the regions' own as oracles, then whole runs."""

import json
import pickle
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from processes import Shell
from scenes import check_product, colours, hole, pixels_of, write
from scipy import ndimage
from test_sam import CONFIG, tiny_sam

import geoalps as ga
from geoalps.errors import OptionError, PluginError, ProductError
from geoalps.io.class_table import ClassEntry
from geoalps.io.store import Store
from geoalps.labeling.centres import Centres
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.normalisation import NORMALISATIONS, Normalisation
from geoalps.models import descriptors
from geoalps.models.descriptors import NAMES, RING, dilated
from geoalps.models.regions import RegionSegmenter
from geoalps.models.superpixels import lab
from geoalps.models.with_shape import AdaptiveWithShape, WithShape, with_shape
from geoalps.plugins import load_segmenter
from geoalps.protocols import Adaptive, EmbeddingMap
from geoalps.segments import Segments
from geoalps.testing import PlainSegmenter, check_segmenter

RINGS = [place for place, name in enumerate(NAMES) if name.startswith("ring")]
REST = [place for place in range(len(NAMES)) if place not in RINGS]
OPTIONS = {"points_per_side": 8, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.1, "torch_threads": 1}


@dataclass(frozen=True)
class Blurred:
    """An encoder: the image, averaged over cells of 4 x 4 pixels."""

    @property
    def identity(self):
        return {"name": "blurred", "options": {}}

    def encode(self, image, valid):
        rows, cols = (-(-side // 4) for side in valid.shape)
        image = np.where(valid[..., None], image, 0)
        whole = np.pad(image, ((0, rows * 4 - len(image)), (0, cols * 4 - image.shape[1]), (0, 0)), mode="edge")
        cells = whole.reshape(rows, 4, cols, 4, 3).mean((1, 3))
        return EmbeddingMap(np.ascontiguousarray(cells.transpose(2, 0, 1), np.float32), (rows * 4, cols * 4))


@dataclass(frozen=True)
class Windows:
    """A segmenter whose segments overlap: squares on a lattice, each half over the next."""

    side: int = 24
    partition = False

    @property
    def identity(self):
        return {"name": "windows", "options": {"side": self.side}}

    def segment(self, image, valid):
        step = self.side // 2
        corners = [(r, c) for r in range(0, len(image) - step, step) for c in range(0, image.shape[1] - step, step)]
        masks = (valid[r : r + self.side, c : c + self.side] for r, c in corners)
        return Segments.from_masks(masks, corners), Blurred().encode(image, valid)


def masks_of(seed, shape=(40, 50), count=12):
    """Overlapping masks of every size, some over the window's edge; (n, h, w) bool."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    made = []
    for _ in range(count):
        row, col, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(1, 12)
        mask = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
        made.append(mask & (rng.random(shape) < rng.choice([0.6, 1])))
        made[-1][int(row), int(col)] = True
    return np.array(made)


def picture(seed=0, shape=(40, 50)):
    """A smooth image with noise and a hole."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(0, 900, (*shape, 3)), (4, 4, 0)) + 128
    return np.clip(smooth + rng.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8), hole(shape)


def disc(radius):
    """(2 r + 1, 2 r + 1) bool."""
    rows, cols = np.indices((2 * radius + 1,) * 2) - radius
    return rows**2 + cols**2 <= radius**2


@pytest.mark.parametrize("most", [1, 40, 10**6])
@pytest.mark.parametrize("radius", [0, 1, 3, 7])
def test_masks_grow_as_scipy_grows_them(radius, most, monkeypatch):
    monkeypatch.setattr(descriptors, "MOST_RUNS", most)
    masks = masks_of(radius)
    grown = dilated(Segments.from_masks(masks), radius, masks.shape[1:])
    want = Segments.from_masks(ndimage.binary_dilation(mask, disc(radius)) for mask in masks)
    assert np.array_equal(grown.offsets, want.offsets)
    assert np.array_equal(grown.runs, want.runs)


def test_no_masks_grow_to_none_and_empty_ones_stay_empty():
    assert len(dilated(Segments.empty(), 3, (5, 6))) == 0
    masks = [np.zeros((4, 4), bool), np.eye(4, dtype=bool), np.zeros((4, 4), bool)]
    assert dilated(Segments.from_masks(masks), 9, (5, 6)).areas.tolist() == [0, 30, 0]


def test_overlapping_masks_are_described_pixel_by_pixel():
    image, valid = picture()
    masks = [mask & valid for mask in masks_of(1)]
    masks = [mask for mask in masks if mask.any()]
    found = dict(zip(NAMES, with_shape(Windows()).describe(image, valid, Segments.from_masks(masks)).T, strict=True))
    for channel, name in zip(lab(image), "Lab", strict=True):
        rings = [ndimage.binary_dilation(mask, disc(RING)) & ~mask & valid for mask in masks]
        assert found[f"mean_{name}"] == pytest.approx([channel[mask].mean() for mask in masks], rel=1e-4)
        assert found[f"deviation_{name}"] == pytest.approx([channel[mask].std() for mask in masks], rel=1e-2, abs=0.02)
        want = [channel[mask].mean() - channel[ring].mean() for mask, ring in zip(masks, rings, strict=True)]
        assert found[f"ring_{name}"] == pytest.approx(want, rel=1e-3, abs=1e-3)
    assert found["log_area"] == pytest.approx([np.log2(mask.sum()) for mask in masks])


def town(shape=(160, 200)):
    """Patches of a few kinds with noise, and a hole in the data."""
    return np.ascontiguousarray(colours(shape, step=23).transpose(1, 2, 0)), hole(shape)


def test_regions_are_described_as_they_describe_themselves():
    """All columns but the ring; that is of pixels here and of whole neighbours there, and goes with it."""
    image, valid = town()
    segments, embedding = RegionSegmenter(regions_per_mpx=3000).segment(image, valid)
    found = with_shape(RegionSegmenter()).describe(image, valid, segments)
    assert len(segments) > 30
    assert found[:, REST] == pytest.approx(embedding.values[:, REST], rel=1e-4, abs=1e-3)
    for column in RINGS:
        assert np.corrcoef(found[:, column], embedding.values[:, column])[0, 1] > 0.95


def test_the_ring_of_a_mask_in_another_is_what_lies_around_it():
    """A segment's neighbours are no matter: a mask over both changes nothing for the one inside."""
    image = np.full((30, 40, 3), 90, np.uint8)
    image[10:20, 10:20] = 200
    inner, outer = np.zeros((2, 30, 40), bool)
    inner[10:20, 10:20], outer[5:25, 5:30] = True, True
    valid = np.ones((30, 40), bool)
    contrast = lab(np.array([[[200] * 3, [90] * 3]], np.uint8))[0, 0]
    for masks in ([inner], [inner, outer], [inner, ~inner]):
        found = with_shape(Windows()).describe(image, valid, Segments.from_masks(masks))
        assert found[0, NAMES.index("ring_L")] == pytest.approx(contrast[0] - contrast[1], rel=1e-3)


def test_what_nodata_holds_changes_nothing_and_no_ring_is_no_contrast():
    image, valid = picture(2)
    segments = Segments.from_masks([mask & valid for mask in masks_of(3) if (mask & valid).any()])
    describe = with_shape(Windows()).describe
    other = np.where(valid[..., None], image, np.uint8(255) - image)
    assert np.array_equal(describe(image, valid, segments), describe(other, valid, segments))
    alone = describe(image, valid, Segments.from_masks([valid]))
    assert (alone[0, RINGS] == 0).all()
    assert np.isfinite(alone).all()
    assert describe(image, valid, Segments.empty()).shape == (0, len(NAMES))


def test_a_wrapped_segmenter_is_the_segmenter_and_says_that_it_is_wrapped():
    plain_one, wrapped = PlainSegmenter(), with_shape(PlainSegmenter())
    check_segmenter(wrapped)
    assert with_shape(wrapped) is wrapped
    assert pickle.loads(pickle.dumps(wrapped)) == wrapped  # noqa: S301 - our own
    assert wrapped.partition is plain_one.partition
    assert {**wrapped.identity, "with_shape": None} == {**plain_one.identity, "with_shape": None}
    assert wrapped.identity["with_shape"]["columns"] == list(NAMES)
    json.dumps(wrapped.identity)
    assert not isinstance(wrapped, Adaptive)


def test_an_adaptive_segmenter_stays_adaptive():
    wrapped = with_shape(RegionSegmenter())
    assert type(wrapped) is AdaptiveWithShape
    adapted = wrapped.adapted([town()])
    assert isinstance(adapted, WithShape)
    assert adapted.segmenter == RegionSegmenter().adapted([town()])


# The store


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    valid = hole((150, 140))
    values = np.where(valid, colours(valid.shape), np.uint8(0))
    return write(tmp_path_factory.mktemp("scene") / "harbour.tif", values, valid, nodata=0, photometric="rgb")


@pytest.mark.parametrize(
    ("segmenter", "encoder"),
    [(PlainSegmenter(), None), (Windows(), None), (Windows(), Blurred()), (RegionSegmenter(altitude=5), Blurred())],
)
def test_the_store_holds_embedding_and_descriptors(scene, tmp_path, segmenter, encoder):
    given = {"segmenter": segmenter, "encoder": encoder}
    opened = ga.open_scene(scene.path)
    grid = ga.TileGrid(opened.shape, 64, 16)
    with_, without = (
        ga.segment(opened, grid, path=tmp_path / str(shape), with_shape=shape, **given) for shape in (True, False)
    )
    seen = 0
    for tile in grid:
        record, plain_one = with_.read(tile), without.read(tile)
        assert np.array_equal(record.segments.runs, plain_one.segments.runs)
        own = plain_one.embeddings.shape[1]
        assert np.array_equal(record.embeddings[:, :own], plain_one.embeddings)
        image, valid = opened.read_rgb(tile.window, ga.Stretch.from_json(with_.fingerprint["stretch"]))
        want = with_shape(segmenter).describe(image, valid, record.segments)
        assert np.array_equal(record.embeddings[:, own:], want.astype(np.float16).astype(np.float32))
        seen += len(record.segments)
    assert seen > 40


def test_further_bands_come_last(tmp_path):
    scene = write(tmp_path / "four.tif", colours((70, 70), 4), photometric="rgb")
    store = ga.segment(scene.path, segmenter=PlainSegmenter(), path=tmp_path / "store", with_shape=True)
    tile = next(iter(store.grid))
    assert store.read(tile).embeddings.shape[1] == 3 + len(NAMES) + 1
    model = ga.fit_classes(store, 4)
    assert model.normalisation.appended == len(NAMES) + 1


# The class model


def embeddings(channels=256, count=400, seed=0):
    """(count, channels + 16) float32: columns that go together beside others of any scale."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(0, 1, (count, 6)) @ rng.normal(0, 1, (6, channels)) + rng.normal(0, 0.3, (count, channels)) + 4
    return np.concatenate([wide, rng.normal(7, 1, (count, 16)) * np.logspace(-2, 3, 16)], 1).astype(np.float32)


def fitted(kind, values, appended=0):
    wide = values.astype(float)
    return Normalisation.fit(kind, wide.mean(0), np.cov(wide.T, bias=True), appended=appended)


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_both_groups_spread_alike_and_the_first_is_as_it_would_be_alone(kind):
    values = embeddings()
    out = fitted(kind, values, 16)(values).astype(float)
    alone = fitted(kind, values[:, :256])(values[:, :256])
    assert out[:, :-16] == pytest.approx(alone, abs=1e-5)
    spread, last = out[:, :-16].var(0).sum(), out[:, -16:].var(0)
    # l2 takes vectors of one length for granted, pca that they are about as long as they are wide
    assert last.sum() == pytest.approx(spread, rel=0.1 if kind in ("l2", "pca") else 1e-4)
    assert last == pytest.approx(np.full(16, last.mean()), rel=1e-4)


def test_a_column_without_spread_takes_no_weight():
    values = embeddings(channels=5)
    values[:, -3:], values[:, 1] = 1, 2
    out = fitted("zscore", values, 16)(values).astype(float)
    assert (out[:, -3:] == 0).all()
    assert out[:, 5:].var(0).sum() == pytest.approx(out[:, :5].var(0).sum(), rel=1e-4)
    constant = np.ones((9, 20), np.float32)
    assert (fitted("zscore", constant, 16)(constant) == 0).all()


def test_a_class_model_keeps_the_groups(tmp_path):
    source = {"segmenter": {}, "encoder": None, "stretch": {}, "spectra": {}}
    source |= {"bands": [], "dtype": "uint8", "scenes": [], "objects": 0}
    values = embeddings(channels=20)
    for name, appended in (("none", 0), ("some", 16)):
        normalisation = fitted("pca", values, appended)
        model = ClassModel(Centres.flat(normalisation(values)[:2].astype(float)), normalisation, _entries(2), source)
        model.save(tmp_path / name)
        path = tmp_path / name / "classes.json"
        content = json.loads(path.read_text())
        again = ClassModel.load(tmp_path / name)
        assert again.normalisation.appended == appended
        assert np.array_equal(again.assign(values)[1], model.assign(values)[1])
        for damaged in (-1, 17.0, True, "16", 10**6):
            path.write_text(json.dumps({**content, "appended": damaged}))
            with pytest.raises(ProductError, match="damaged"):
                ClassModel.load(tmp_path / name)


def _entries(count):
    return tuple(ClassEntry(number, f"class {number}", "#112233") for number in range(count))


def test_the_next_scene_is_described_as_the_class_model_was(scene, tmp_path):
    first = ga.tile_label(scene.path, tmp_path / "a", 4, segmenter=Windows(), with_shape=True, tile_size=64, margin=16)
    again = {"segmenter": Windows(), "class_model": first.path, "tile_size": 64, "margin": 16}
    second = ga.tile_label(scene.path, tmp_path / "b", **again)
    assert "with_shape" in second.run()["segmenter"]
    for one, other in zip(pixels_of(first.path), pixels_of(second.path), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(OptionError, match="with --with-shape, the scene is segmented without it; segment with it"):
        ga.tile_label(scene.path, tmp_path / "c", with_shape=False, **again)
    ga.tile_label(scene.path, tmp_path / "d", 4, segmenter=Windows(), tile_size=64, margin=16)
    with pytest.raises(OptionError, match="fitted without --with-shape"):
        ga.tile_label(scene.path, tmp_path / "e", with_shape=True, **{**again, "class_model": tmp_path / "d"})
    stores = [Store.open(tmp_path / name / "work") for name in "ad"]
    with pytest.raises(OptionError, match="some stores were made --with-shape"):
        ga.fit_classes(stores, 4)
    without = ClassModel.load(tmp_path / "d")
    with pytest.raises(OptionError, match="without --with-shape, the scene is segmented with it; segment witho") as no:
        ga.label(stores[0], without, tmp_path / "f")
    assert len(str(no.value)) < 150
    assert not (tmp_path / "f").exists()


def test_a_class_model_of_another_revision_is_refused_in_few_words(scene, tmp_path):
    given = {"segmenter": Windows(), "with_shape": True, "tile_size": 64, "margin": 16}
    product = ga.tile_label(scene.path, tmp_path / "a", 4, **given)
    model = ClassModel.load(product.path)
    segmenter = {**model.source["segmenter"], "with_shape": {"revision": 0, "columns": list(NAMES)}}
    older = replace(model, source={**model.source, "segmenter": segmenter})
    with pytest.raises(OptionError, match="descriptors of different versions") as refused:
        ga.label(Store.open(product.path / "work"), older, tmp_path / "b")
    assert len(str(refused.value)) < 150


# What is refused


def test_regions_are_refused_but_not_with_an_encoder(scene, tmp_path):
    with pytest.raises(OptionError, match="--with-shape adds nothing to the embedding of 'regions'"):
        ga.tile_label(scene.path, tmp_path / "a", with_shape=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(OptionError, match="--with-shape adds nothing"):
        ga.segment(scene.path, path=tmp_path / "b", with_shape=True)
    assert not (tmp_path / "b").exists()
    given = {"encoder": Blurred(), "tile_size": 96, "margin": 16}
    product = ga.tile_label(scene.path, tmp_path / "c", 4, with_shape=True, regions_per_mpx=3000, **given)
    # the segmenter is adapted to the scene, and stays so for the next one
    assert product.run()["segmenter"]["options"]["altitude"] is not None
    again = ga.tile_label(
        scene.path, tmp_path / "d", encoder=Blurred(), class_model=product.path, tile_size=96, margin=16
    )
    for one, other in zip(pixels_of(product.path), pixels_of(again.path), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("wrong", ["yes", 2, [], 0.5])
def test_the_option_is_true_or_false(wrong):
    with pytest.raises(OptionError, match="with_shape is"):
        load_segmenter("regions", {"with_shape": wrong})


def test_it_is_an_option_of_every_segmenter():
    assert isinstance(load_segmenter(PlainSegmenter(), {"with_shape": True}), WithShape)
    assert isinstance(load_segmenter("regions", {"with_shape": True, "smallest": 9}).segmenter, RegionSegmenter)
    assert load_segmenter("regions", {"with_shape": False}) == RegionSegmenter()
    with pytest.raises(OptionError, match="'smallest' is given beside"):
        load_segmenter(PlainSegmenter(), {"with_shape": True, "smallest": 9})


@dataclass(frozen=True)
class Chatty(PlainSegmenter):
    """Says of its segments whatever it was told to."""

    rows: int = 0
    value: float = 0.0

    def describe(self, image, valid, segments):
        return np.full((len(segments) + self.rows, 2), self.value, np.float32)


@pytest.mark.parametrize(
    ("said", "says"), [({"rows": 1}, "described"), ({"value": np.nan}, "not finite"), ({"value": np.inf}, "not finite")]
)
def test_descriptions_are_checked_at_the_door(scene, tmp_path, said, says):
    with pytest.raises(PluginError, match=says):
        ga.segment(scene.path, segmenter=Chatty(**said), path=tmp_path / "store")


def test_a_segmenter_of_anyone_may_describe(scene, tmp_path):
    store = ga.segment(scene.path, segmenter=Chatty(value=0.5), path=tmp_path / "store")
    assert (store.read_embeddings(next(iter(store.grid)))[:, 3:] == 0.5).all()


# The command


@pytest.fixture(scope="module")
def geoalps(tmp_path_factory, scene):
    """Runs ``geoalps tile-label`` on the scene with a tiny SAM, as a process."""
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save({"model": tiny_sam().state_dict(), "config": CONFIG}, path)
    options = [part for item in OPTIONS.items() for part in ("--option", "{}={}".format(*item))]
    sam = ["--segmenter", "sam", "--checkpoint", path, "--device", "cpu", "--tile-size", 64, "--margin", 32, *options]
    shell = Shell()
    yield lambda out, *args: shell("-q", "tile-label", scene.path, "-o", out, "-k", 4, "--min-area", 0, *sam, *args)
    shell.close()


@pytest.fixture(scope="module")
def product(geoalps, tmp_path_factory):
    """A product with shape, to be read or copied only."""
    out = tmp_path_factory.mktemp("product") / "out"
    done = geoalps(out, "--with-shape")
    assert (done.code, done.out) == (0, f"{out}\n"), done.err
    return out


def test_sam_with_shape_is_a_whole_product(scene, product):
    _, report = check_product(scene, product, 4, covers=False)
    assert report["segmenter"]["name"] == "sam"
    assert report["segmenter"]["with_shape"] == {"revision": 1, "columns": list(NAMES)}
    store, channels = Store.open(product / "work"), tiny_sam().image_encoder.neck[-1].weight.numel()
    records = [store.read(tile) for tile in store.grid]
    assert {record.embeddings.shape[1] for record in records} == {channels + len(NAMES)}
    assert ClassModel.load(product).normalisation.appended == len(NAMES)
    areas = np.concatenate([record.segments.areas for record in records])
    column = np.concatenate([record.embeddings[:, channels + NAMES.index("log_area")] for record in records])
    assert column == pytest.approx(np.log2(areas), rel=1e-3)


def test_another_word_on_it_is_refused_and_the_same_goes_on(product, geoalps, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(product, out)
    refused = geoalps(out, "--overwrite")
    assert refused.code == 0, refused.err  # a store is made anew where one may be overwritten
    assert "with_shape" not in json.loads((out / "run.json").read_text())["segmenter"]
    shutil.rmtree(out)
    shutil.copytree(product / "work", out / "work")
    refused = geoalps(out)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "segmenter.with_shape" in refused.err
    assert "--overwrite" in refused.err
    tile = next((out / "work" / "tiles").glob("*/*.parquet"))
    tile.unlink()
    done = geoalps(out, "--with-shape")
    assert done.code == 0, done.err
    assert tile.exists()
    for one, other in zip(pixels_of(product), pixels_of(out), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--segmenter", "regions"), "--with-shape adds nothing to the embedding of 'regions'"),
        (("--option", "with_shape=true"), "--option with_shape is no option of a segmenter"),
        (("--option", "seed=3"), "--option seed is no option of a segmenter"),
    ],
)
@pytest.mark.parametrize("command", ["tile-label", "segment"])
def test_the_command_refuses_in_one_line(scene, tmp_path, command, args, says):
    shell = Shell()
    done = shell("-q", command, scene.path, "-o", tmp_path / "out", "--with-shape", *args)
    shell.close()
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert says in done.err
