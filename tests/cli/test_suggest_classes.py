"""``geoalps suggest-classes`` as a process, and the method it is asked for."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from scenes import TILED, plain

from geoalps.cli import suggest_classes
from geoalps.io.store import Store
from geoalps.labeling.class_count import suggest
from geoalps.labeling.fitting import sampled
from geoalps.models.niw import Moments
from geoalps.training import deep_mixture


@pytest.fixture(scope="module")
def suggested(product):
    """What the function says of the product's store."""
    sample, areas = sampled([Store.open(product / "work")], "zscore")
    return suggest(sample, largest=8, areas=areas)


def test_a_table_and_last_the_recommendation(geoalps, product, suggested):
    done = geoalps("-q", "suggest-classes", product, "--largest", 8)
    assert (done.code, done.err) == (0, "")
    *table, last = done.out.splitlines()
    assert table == suggested.table()
    assert last == f"{suggested.k} classes: {suggested.reason}"


def test_json_and_a_plot_of_a_store(geoalps, product, suggested, tmp_path):
    picture = tmp_path / "classes.png"
    done = geoalps("-q", "suggest-classes", product / "work", "--largest", 8, "--json", "--plot", picture)
    assert done.code == 0, done.err
    assert json.loads(done.out) == suggested.as_json()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_several_stores_and_another_normalisation(geoalps, product, tmp_path):
    other = plain(tmp_path / "other.tif", (140, 150))
    assert geoalps("-q", "segment", other.path, "-o", tmp_path / "store", *TILED).code == 0
    both = ("suggest-classes", product, tmp_path / "store", "--largest", 3, "--normalisation", "pca", "--json")
    done = geoalps("-q", *both)
    assert done.code == 0, done.err
    stores = [Store.open(path) for path in (product / "work", tmp_path / "store")]
    sample, areas = sampled(stores, "pca")
    assert json.loads(done.out) == suggest(sample, largest=3, areas=areas).as_json()


def test_the_network_counts_when_it_is_asked_for(monkeypatch):
    asked = []

    def fit(x, prior, seed):
        asked.append(seed)
        return Moments.of(x, np.arange(len(x)) % 3, 3)

    monkeypatch.setattr(deep_mixture, "fit", fit)
    values = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    assert suggest_classes._counter("network")(values, 5) == (3,)
    assert asked == [5]


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        ((), 2, "Missing argument 'STORES...'"),
        (("nowhere",), 1, "nowhere is not a store"),
        (("{product}", "--plot", "picture.txt"), 1, "ends in .txt; a plot ends in .pdf, .png, .svg"),
        (("{product}", "--plot", "no/where.png"), 1, "there is no directory no"),
        (("{product}", "--largest", "1"), 2, "--largest"),
        (("{product}", "--method", "guess"), 2, "--method"),
        (("{product}", "--normalisation", "loud"), 2, "--normalisation"),
    ],
)
def test_bad_input_is_told_in_one_line(geoalps, product, tmp_path, args, code, text):
    done = geoalps("-q", "suggest-classes", *(part.format(product=product) for part in args), cwd=tmp_path)
    assert done.code == code
    assert text in done.err
    assert not done.out
    assert not list(tmp_path.iterdir())


def test_a_product_without_its_store_says_what_to_do(geoalps, product, tmp_path):
    bare = shutil.copytree(product, tmp_path / "bare", ignore=shutil.ignore_patterns("work"))
    done = geoalps("-q", "suggest-classes", bare)
    assert done.code == 1
    assert "has no store (work/), which holds the embeddings; make the product again" in done.err


def test_a_scene_without_objects_is_refused(geoalps, tmp_path):
    empty = plain(tmp_path / "empty.tif", (40, 40))
    with rasterio.open(empty.path, "r+") as file:
        file.write(np.zeros((3, 40, 40), np.uint8))
        file.nodata = 0
    assert geoalps("-q", "segment", empty.path, "-o", tmp_path / "store", *TILED).code == 0
    done = geoalps("-q", "suggest-classes", tmp_path / "store")
    assert done.code == 1
    assert "no more than 0 objects differ" in done.err
