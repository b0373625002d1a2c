"""What the report tells: the product's numbers, examples as brute force finds them, and in words what is missing."""

import base64
import io
import json
import random
import shutil
import zlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
import rasterio
from PIL import Image

import geoalps as ga
from geoalps.errors import GeoalpsWarning, OptionError, ProductError, SceneError
from geoalps.io.report.page import BUDGET, read_payload
from geoalps.io.report.preview import block_side, mosaic, piece, preview_shape, shrunk
from geoalps.io.store import Store
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.embedding_map import principal, projected
from geoalps.labeling.examples import EACH, POINTS, drawn
from geoalps.labeling.relabelling import relabel, split_class
from geoalps.labeling.reporting import remake_report, size_distribution
from geoalps.testing import PlainSegmenter

K = 5
TILED = {"segmenter": PlainSegmenter(), "tile_size": 64, "margin": 16}


def picture(seed=0, shape=(150, 190), patches=60, colours=40):
    """(3, h, w) uint8: patches of some colours, and nodata (0) in a corner."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    seeds = rng.random((patches, 2)) * shape
    cell = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    image = rng.integers(1, 256, (colours, 3)).astype(np.uint8)[rng.integers(0, colours, patches)[cell]]
    image[:20, 100:] = 0
    return image.transpose(2, 0, 1)


def write(path, image, **place):
    given = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 500000, 0, -0.5, 5200000), "nodata": 0, **place}
    shape = {"count": len(image), "height": image.shape[1], "width": image.shape[2], "dtype": image.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **given) as file:
        file.write(image)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return ga.tile_label(write(folder / "town.tif", picture()), folder / "out", K, **TILED)


@pytest.fixture
def product(made, tmp_path):
    """A copy, with its scene beside it."""
    shutil.copytree(made.path, tmp_path / "out")
    return ga.Product.open(tmp_path / "out")


def told(product):
    return read_payload(product.path / "report.html")


def entries(product):
    return ClassModel.load(product.path).classes


# What it says is what the product says


def check(product):
    """The page's classes, counts, areas, sizes, labels and run are those of the product's other files."""
    page, run, table = told(product), product.run(), product.classes()
    assert {row["id"]: (row["name"], row["colour"], row["count"]) for row in page["classes"]} == {
        row.class_id: (row.class_name, row.colour, row.object_count) for row in table.itertuples()
    }
    assert [row["area"] for row in page["classes"]] == pytest.approx(table.area_m2.tolist())
    objects = product.objects()
    edges = np.array(page["sizeEdges"])
    for row in page["classes"]:
        areas = objects.area_m2[objects.class_id == row["id"]].to_numpy()
        assert sum(row["sizes"]) == row["count"] == len(areas)
        inside = np.histogram(areas, edges)[0]
        assert abs(np.cumsum(inside) - np.cumsum(row["sizes"])).max(initial=0) <= 1  # an area on an edge
    facts = {fact["label"]: fact["value"] for fact in page["facts"]}
    assert facts["Objects"] == f"{len(objects):,}"
    assert facts["Classes"] == str(len(table))
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1)
    assert labels.shape == preview_shape(labels.shape) == tuple(page["labels"]["shape"])
    packed = zlib.decompress(base64.b64decode(page["labels"]["data"]))
    assert (np.frombuffer(packed, labels.dtype).reshape(labels.shape) == labels).all()
    covered = run["counts"]["covered_pixels"]
    assert covered == (labels != 255).sum()
    assert facts["Uncovered"] == f"{100 * (1 - covered / labels.size):.1f} %"
    assert {key: value for key, value in page["run"].items() if key != "seconds"} == {
        key: value for key, value in run.items() if key != "seconds"
    }
    return page


def test_the_page_says_what_the_product_says(made):
    page = check(made)
    assert page["pixel"] == pytest.approx(0.5, rel=1e-3)
    assert not page["notes"]
    assert not page["gallery"]["missing"]
    assert (made.path / "report.html").stat().st_size < BUDGET
    assert made.run()["seconds"]["report"] > 0


def test_examples_are_those_of_brute_force(made):
    page, model, objects = told(made), ClassModel.load(made.path), made.objects()
    store = made.store()
    colour = {}
    with rasterio.open(made.store().scene_path) as scene, rasterio.open(made.path / "objects.tif") as raster:
        image, ids = scene.read(), raster.read(1)
    for number in objects.object_id:
        colour[number] = image[:, ids == number].mean(1)
    x = model.normalised(np.array([colour[number] for number in objects.object_id], np.float32))
    away = np.sqrt(((x[:, None] - model.centres.vectors[model.centres.leaves]) ** 2).sum(-1))
    near = np.sort(away, 1)
    assert len(store.grid) > 1
    for class_id in range(K):
        mine = np.flatnonzero(objects.fitted_class_id == class_id)
        assert (away[mine].argmin(1) == class_id).all()
        typical = page["gallery"]["typical"][str(class_id)]
        borderline = page["gallery"]["borderline"][str(class_id)]
        assert len(typical) == len(borderline) == min(EACH, len(mine))
        ranked = np.sort(near[mine, 0])[: len(typical)]
        place = {number: at for at, number in enumerate(objects.object_id)}
        assert [near[place[number], 0] for number in typical] == pytest.approx(ranked.tolist(), abs=2e-3)
        sure = np.sort(1 - near[mine, 0] / near[mine, 1])[: len(borderline)]
        assert [1 - near[place[n], 0] / near[place[n], 1] for n in borderline] == pytest.approx(sure.tolist(), abs=2e-3)
        assert {*typical, *borderline} <= set(objects.object_id[mine])
    assert {point[0]: point[1] for point in page["gallery"]["points"]} == dict(
        zip(objects.object_id, objects.fitted_class_id, strict=True)
    )


def test_every_example_has_a_picture_of_its_place(made):
    gallery = told(made)["gallery"]
    shown = {n for ids in (*gallery["typical"].values(), *gallery["borderline"].values()) for n in ids}
    assert shown | {point[0] for point in gallery["points"]} == set(gallery["chips"])
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(gallery["sheet"]))))
    side, columns = gallery["side"], gallery["columns"]
    assert sheet.shape[1] == columns * side
    assert sheet.shape[0] == -(-len(gallery["chips"]) // columns) * side
    with rasterio.open(made.store().scene_path) as scene, rasterio.open(made.path / "objects.tif") as raster:
        image, ids = scene.read(), raster.read(1)
    for at, (number, box) in enumerate(zip(gallery["chips"], gallery["boxes"], strict=True)):
        rows, cols = np.nonzero(ids == number)
        assert box[0] <= rows.min()
        assert rows.max() < box[2]
        assert box[1] <= cols.min()
        assert cols.max() < box[3]
        chip = sheet[at // columns * side :, at % columns * side :][:side, :side].astype(int)
        colour = np.median(image[:, ids == number], 1)
        assert (abs(chip - colour).max(-1) < 40).any(), number  # the object's colour is there


# The preview


@pytest.mark.parametrize(("shape", "size", "factor"), [((150, 190), 64, 1), ((70, 4200), 100, 3), ((40, 6300), 150, 4)])
def test_pieces_put_together_are_block_means_of_the_scene(tmp_path, shape, size, factor):
    rng = np.random.default_rng(3)
    step = 23 * factor  # JPEG blurs what is finer
    coarse = rng.integers(0, 256, (shape[0] // step + 1, shape[1] // step + 1, 3))
    image = np.repeat(np.repeat(coarse, step, 0), step, 1)[: shape[0], : shape[1]].astype(np.uint8)
    valid = np.ones(shape, bool)
    valid[: shape[0] // 3, 30:60] = False
    grid = {"shape": list(shape), "size": size, "margin": size // 8}
    store = Store.create(tmp_path / "work", {"grid": grid, "scene": {"name": "a"}, "segmenter": {"name": "b"}})
    tiles = list(store.grid)
    random.Random(0).shuffle(tiles)  # noqa: S311 - no secret
    assert block_side(shape) == factor
    height, width = preview_shape(shape)
    seen = np.zeros((height, width), int)
    from geoalps.io.store import TileRecord
    from geoalps.segments import Segments

    for tile in tiles:
        seen[piece(tile, factor).slices()] += 1
        at = tile.window.slices()
        preview = shrunk(image[at], valid[at], tile, shape)
        nothing = np.zeros((0, 0), np.float32), np.zeros((0, 3), np.uint8)
        store.write(tile, TileRecord(Segments.empty(), *nothing, valid[at], {}, True, preview))
        assert store.read_preview(tile) == preview == store.read(tile).preview
    assert (seen == 1).all()
    found, there = mosaic(store)
    rows, cols = (np.arange(0, length, factor) for length in shape)
    weight = np.add.reduceat(np.add.reduceat(valid.astype(float), rows, 0), cols, 1)
    total = np.add.reduceat(np.add.reduceat(image * valid[..., None].astype(float), rows, 0), cols, 1)
    assert found.shape == (-(-shape[0] // factor), -(-shape[1] // factor), 3)
    assert (there == (weight > 0)).all()
    mean = total[there] / weight[there][:, None]
    assert np.median(abs(found[there] - mean)) < 6  # a JPEG's
    assert np.mean(abs(found[there] - mean)) < 14


def test_a_failed_tile_has_no_preview(made):
    assert not shrunk(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), next(iter(made.store().grid)), (8, 8))


# Nothing depends on the order of tiles and workers


@dataclass(frozen=True)
class Shuffled:
    """One worker that takes the tiles in an order of its own, and hands over the results in another."""

    seed: int

    def run_stage(self, stage, items, progress):
        rng = random.Random(self.seed)  # noqa: S311 - no secret
        items = list(items)
        done = [(item, stage.function(item)) for item in rng.sample(items, len(items))]
        for item, result in rng.sample(done, len(done)):
            stage.sink(item, result)
            progress.advance()


def test_the_page_does_not_depend_on_the_order_of_tiles(made, tmp_path):
    other = ga.tile_label(made.store().scene_path, tmp_path / "out", K, **TILED, workers=Shuffled(1))
    one, two = told(made), told(other)
    for page in (one, two):
        page["run"].pop("seconds")
    assert one == two


def test_points_are_drawn_by_id_alone_and_from_every_class():
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(100_000, 20_000, replace=False)) + 1
    fitted = np.minimum(rng.geometric(0.4, 20_000) - 1, 15)
    found = drawn(ids, fitted)
    order = rng.permutation(len(ids))
    assert (drawn(ids[order], fitted[order]) == found).all()
    assert len(found) == POINTS
    of_class = np.bincount(fitted[np.isin(ids, found)], minlength=16)
    assert (of_class >= np.minimum(np.bincount(fitted, minlength=16), 3)).all()
    assert of_class[0] / POINTS == pytest.approx((fitted == 0).mean(), abs=0.08)


def test_neighbours_stay_neighbours_on_the_map():
    from sklearn.manifold import trustworthiness  # a second

    rng = np.random.default_rng(1)
    kind = rng.integers(0, 6, 150)
    x = ((rng.normal(size=(6, 20)) * 3)[kind] + rng.normal(size=(150, 20))).astype(np.float32)
    xy, method = projected(x)
    assert method == "t-SNE"
    assert trustworthiness(x, xy) > trustworthiness(x, principal(x)[:, :2])
    assert (projected(x)[0] == xy).all()
    apart = np.linalg.norm(xy[:, None] - xy, axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (kind[apart.argmin(1)] == kind).mean() > 0.95


@pytest.mark.parametrize("count", range(1, 60))
def test_any_number_of_embeddings_has_places(count):
    xy, _ = projected(np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32))
    assert xy.shape == (count, 2)
    assert np.isfinite(xy).all()


def test_a_product_does_not_fail_for_its_page(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no page today")

    scene = write(tmp_path / "a.tif", picture())
    monkeypatch.setattr("geoalps.labeling.reporting.write_report", fail)
    with pytest.warns(GeoalpsWarning, match=r"no page today.*geoalps report .*out tries again"):
        product = ga.tile_label(scene, tmp_path / "out", K, **TILED)
    assert len(product.objects())
    assert not (product.path / "report.html").exists()
    monkeypatch.undo()
    assert remake_report(ga.Product.open(product.path)).exists()


def test_a_page_of_other_classes_is_not_left(product, monkeypatch):
    monkeypatch.setattr("geoalps.labeling.reporting.write_report", lambda *_: 1 / 0)
    with pytest.warns(GeoalpsWarning, match="ZeroDivisionError"):
        relabel(product, ClassModel.load(product.path).classes)
    assert not (product.path / "report.html").exists()


def test_renaming_opens_no_scene(product, monkeypatch):
    """A product may come from anybody, and name an address or a device as its scene's place."""
    (product.path / "report.html").unlink()
    for kept in (product.path / "work").rglob("chips.parquet"):
        kept.unlink()
    monkeypatch.setattr("geoalps.labeling.reporting.open_scene", lambda *_: pytest.fail("the scene was opened"))
    relabel(product, ClassModel.load(product.path).classes)
    assert "geoalps report PRODUCT --scene PATH" in told(product)["gallery"]["missing"]


def test_an_address_is_opened_only_when_it_is_named(product, monkeypatch):
    store = product.store()
    store.keep_scene_path("http://127.0.0.1:9/secret.tif")
    (product.path / "report.html").unlink()
    for kept in (product.path / "work").rglob("chips.parquet"):
        kept.unlink()
    monkeypatch.setattr("geoalps.labeling.reporting.open_scene", lambda *_: pytest.fail("the scene was opened"))
    remake_report(product)
    assert "is no file here" in told(product)["gallery"]["missing"]


@pytest.mark.parametrize("x", [np.zeros((1, 4)), np.ones((40, 4)), np.arange(8.0).reshape(2, 4), np.eye(30, 3)])
def test_few_or_equal_embeddings_have_places(x):
    xy, _ = projected(x.astype(np.float32))
    assert xy.shape == (len(x), 2)
    assert np.isfinite(xy).all()
    assert xy.min() >= 0
    assert xy.max() <= 1


def test_sizes_are_counted_on_a_logarithmic_scale():
    row = ga.labeling.reporting.ClassRow(0, "a", "#000000", 4, 1.0)
    edges, sizes = size_distribution(np.array([1.0, 10.0, 15.0, 99.0]), np.zeros(4, int), (row,))
    assert edges[0] == 1
    assert edges[5] == 10
    assert edges[-1] == 100
    assert sizes[0] == [1, 0, 0, 0, 0, 2, 0, 0, 0, 1]


# Scenes of every kind


def label(tmp_path, image, k=2, **place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geoalps.labeling.stages._warn_of_no_crs", lambda scene: None)
        return ga.tile_label(write(tmp_path / "a.tif", image, **place), tmp_path / "out", k, **TILED)


def test_a_scene_without_data(tmp_path):
    one = ga.tile_label(write(tmp_path / "b.tif", picture()), tmp_path / "model", K, **TILED)
    model = ClassModel.load(one.path)
    path = write(tmp_path / "a.tif", np.zeros((3, 70, 80), np.uint8))
    page = told(ga.tile_label(path, tmp_path / "out", class_model=model, **TILED))
    assert page["there"] is not None
    assert not page["gallery"]["points"]
    assert page["gallery"]["sheet"] is None
    assert {fact["label"]: fact["value"] for fact in page["facts"]}["Uncovered"] == "100.0 %"


def test_one_object(tmp_path):
    page = check_one(label(tmp_path, np.full((3, 30, 40), 90, np.uint8), 1))
    assert page["gallery"]["typical"] == page["gallery"]["borderline"] == {"0": [1]}
    assert page["gallery"]["projection"] == "PCA"


def check_one(product):
    page = told(product)
    assert [row["count"] for row in page["classes"]] == [1]
    return page


def test_a_scene_without_a_crs_counts_pixels(tmp_path):
    page = told(label(tmp_path, picture(), 3, crs=None, transform=rasterio.Affine.identity()))
    facts = {fact["label"]: fact["value"] for fact in page["facts"]}
    assert page["pixel"] is None
    assert not page["georeferenced"]
    assert facts["CRS"] == "none"
    assert facts["Area"].endswith(" px")


def test_more_than_255_classes(tmp_path):
    rng = np.random.default_rng(0)
    image = np.repeat(np.repeat(rng.integers(1, 256, (3, 20, 20)), 10, 1), 10, 2).astype(np.uint8)
    product = label(tmp_path, image, 300)
    page = told(product)
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1)
    found = np.frombuffer(zlib.decompress(base64.b64decode(page["labels"]["data"])), "<u2").reshape(labels.shape)
    assert (found == labels).all()
    assert page["labels"]["none"] == 65535
    assert labels.max() > 255
    assert len(page["gallery"]["typical"]) == 300


# Other names, merges and splits


def test_relabelling_takes_over_what_costs(product, monkeypatch):
    before, rows = told(product), list(entries(product))
    monkeypatch.setattr("geoalps.labeling.reporting._seen", None)  # would be called to look again
    rows[0] = replace(rows[0], class_name="roof", colour="#123456")
    rows[3] = replace(rows[3], merge_into=1)
    page = check(relabel(product, rows))
    assert page["gallery"] == before["gallery"]
    assert page["preview"] == before["preview"]
    merged = next(row for row in page["classes"] if row["id"] == 1)
    assert merged["parts"] == [1, 3]
    for kind in ("typical", "borderline"):
        one, two = (before["gallery"][kind][number] for number in "13")
        assert sorted(merged[kind]) == sorted(one + two)
        assert [n for n in merged[kind] if n in one] == one
        assert merged[kind][:2] == [one[0], two[0]]
    again = check(relabel(product, [replace(row, merge_into=None) for row in rows]))
    assert again["gallery"] == before["gallery"]


def test_a_product_without_its_store_keeps_its_pictures(product):
    before = told(product)
    shutil.rmtree(product.path / "work")
    rows = [replace(row, class_name=f"kind {row.class_id}") for row in entries(product)]
    page = check(relabel(product, rows))
    assert page["gallery"] == before["gallery"]
    assert page["preview"] == before["preview"]
    assert not page["notes"]
    remake_report(product)
    assert told(product)["gallery"] == before["gallery"]
    (product.path / "report.html").unlink()
    page = check(relabel(product, rows))  # nothing is left to take over
    assert "no store" in page["notes"][0]
    assert page["preview"] is None
    assert not page["gallery"]["chips"]
    with pytest.raises(ProductError, match="no store"):
        remake_report(product, "x.tif")


@pytest.mark.parametrize("damage", [b"", b"<html>", b"half"])
def test_a_damaged_page_is_made_again(product, damage):
    page = product.path / "report.html"
    before, text = told(product), page.read_bytes()
    page.write_bytes(text[: len(text) // 2] if damage == b"half" else damage)
    relabel(product, entries(product))
    assert told(product)["gallery"] == before["gallery"]


def test_the_page_of_another_product_is_not_taken_over(product, tmp_path):
    other = ga.tile_label(write(tmp_path / "b.tif", picture(4)), tmp_path / "b", K, **TILED)
    before = told(product)
    shutil.copyfile(other.path / "report.html", product.path / "report.html")
    relabel(product, entries(product))
    assert told(product)["gallery"] == before["gallery"]


def test_a_split_shows_examples_of_its_parts(product, monkeypatch):
    cut = []
    monkeypatch.setattr("geoalps.labeling.reporting.cut_chips", lambda *given: cut.append(given[3]) or {})
    before = told(product)
    split_class(product, 0, 2)
    page = check(product)
    gallery = page["gallery"]
    assert set(gallery["typical"]) == {str(number) for number in range(K + 1)}
    parts = {n for number in (0, K) for n in gallery["typical"][str(number)]}
    objects = product.objects()
    assert parts <= set(objects.object_id[objects.fitted_class_id.isin([0, K])])
    assert not cut  # all pictures were there
    assert gallery["chips"] == before["gallery"]["chips"]


# Where the scene is gone


def test_without_the_scene_the_page_says_so_and_report_adds_what_is_missing(product, tmp_path):
    before = told(product)
    (product.path / "work" / "painted" / "chips.parquet").unlink()
    was = product.store().scene_path
    (product.path / "work" / "scene.json").write_text(json.dumps({"path": str(tmp_path / "gone.tif")}))
    remake_report(product)
    page = check(product)
    assert not page["gallery"]["chips"]
    assert page["preview"] == before["preview"]
    assert "gone.tif" in page["gallery"]["missing"]
    assert "--scene" in page["gallery"]["missing"]
    moved = shutil.copy(was, tmp_path / "moved.tif")
    remake_report(product, moved)
    assert told(product)["gallery"] == before["gallery"]


def test_another_scene_is_refused(product, tmp_path):
    (product.path / "work" / "painted" / "chips.parquet").unlink()
    before = (product.path / "report.html").read_bytes()
    other = write(tmp_path / "other.tif", picture(1, (150, 191)))
    for path, error in ((other, "not the scene.*shape"), (tmp_path / "none.tif", "none.tif")):
        with pytest.raises((SceneError, OptionError), match=error):
            remake_report(product, path)
    assert (product.path / "report.html").read_bytes() == before
    ga.Product.open(product.path)


def test_a_changed_scene_gives_no_pictures(tmp_path):
    path = write(tmp_path / "a.tif", picture())
    store = ga.segment(path, path=tmp_path / "work", grid=ga.TileGrid((150, 190), 64, 16), segmenter=PlainSegmenter())
    model = ga.fit_classes(store, K)
    write(path, picture(2))
    page = told(ga.label(store, model, tmp_path / "out"))
    assert not page["gallery"]["chips"]
    assert "not the scene" in page["gallery"]["missing"]
    assert page["preview"]
    assert page["gallery"]["points"]


@dataclass
class Loses:
    """A progress that does something to the scene's file before the product is made."""

    path: object
    happens: object

    def start(self, stage, total):
        if stage == "product":
            self.happens(self.path)

    def advance(self, steps=1):
        pass

    def tell(self, text):
        pass


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("happens", [half, lambda path: path.unlink(), lambda path: path.write_bytes(b"no TIFF")])
def test_a_scene_that_is_lost_meanwhile_fails_no_product(tmp_path, happens):
    path = write(tmp_path / "a.tif", picture())
    product = ga.tile_label(path, tmp_path / "out", K, **TILED, progress=Loses(path, happens))
    page = check(product)
    assert page["preview"]
    assert page["gallery"]["points"]
    assert page["gallery"]["chips"] or page["gallery"]["missing"]


def test_an_array_and_an_open_dataset_have_pictures(tmp_path):
    import rioxarray

    path = write(tmp_path / "a.tif", picture())
    array = rioxarray.open_rasterio(path)
    page = told(ga.tile_label(array, tmp_path / "array", K, **TILED))
    assert page["gallery"]["chips"]
    assert not page["gallery"]["missing"]
    remake_report(ga.Product.open(tmp_path / "array"))
    assert told(ga.Product.open(tmp_path / "array"))["gallery"] == page["gallery"]
    with rasterio.open(path) as dataset:
        assert told(ga.tile_label(dataset, tmp_path / "dataset", K, **TILED))["gallery"]["chips"]
