"""The store: round trips, and every way in which it can be wrong."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from geoalps.errors import StoreError
from geoalps.io.store import Store, TileRecord
from geoalps.segments import Segments

FINGERPRINT = {
    "grid": {"shape": [100, 120], "size": 64, "margin": 8},
    "scene": {"name": "town"},
    "segmenter": {"name": "plain"},
}


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "work", FINGERPRINT)


def record(seed=0, count=5, channels=7):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 72, 72)) < 0.2
    segments = Segments.from_masks(masks, scores=rng.random(count))
    return TileRecord(
        segments,
        rng.normal(size=(count, channels)).astype(np.float32),
        rng.integers(0, 256, (count, 3)).astype(np.uint8),
        rng.random((72, 72)) < 0.7,
        {"empty": 2, "gated": 1},
    )


@pytest.mark.parametrize(("count", "channels"), [(5, 7), (1, 1), (0, 7), (0, 0)])
def test_what_is_written_is_read(store, count, channels):
    tile, put = store.grid[0, 0], record(count=count, channels=channels)
    store.write(tile, put)
    got = store.read(tile)
    assert (got.segments.runs == put.segments.runs).all()
    assert (got.segments.offsets == put.segments.offsets).all()
    assert (got.segments.scores == put.segments.scores).all()
    assert got.embeddings.shape == put.embeddings.shape or count == 0
    assert got.embeddings.ravel() == pytest.approx(put.embeddings.ravel(), rel=1e-3, abs=1e-3)
    assert (got.valid == put.valid).all()
    assert got.info == put.info
    assert np.array_equal(got.colours, put.colours)
    assert np.array_equal(store.read_colours(tile), put.colours)
    assert (store.read_segments(tile).runs == put.segments.runs).all()
    assert (store.read_embeddings(tile) == got.embeddings).all()
    assert (store.read_valid(tile) == put.valid).all()
    assert store.read_info(tile) == put.info


def test_missing_tiles_and_no_leftovers(store):
    assert [tile.name for tile in store.missing()] == [tile.name for tile in store.grid]
    store.write(store.grid[0, 1], record())
    assert store.grid[0, 1] not in list(store.missing())
    assert [str(file.relative_to(store.path)) for file in store.path.glob("tiles/*/*")] == [
        "tiles/r00000/r00000c00001.parquet"
    ]
    with pytest.raises(StoreError, match=r"r00001c00000 is missing.*geoalps segment"):
        store.read(store.grid[1, 0])


def test_a_damaged_tile_is_named(store):
    tile = store.grid[0, 0]
    store.write(tile, record())
    file = store.path / "tiles" / "r00000" / "r00000c00000.parquet"
    file.write_bytes(file.read_bytes()[:100])
    for read in (store.read, store.read_segments, store.read_valid, store.read_info):
        with pytest.raises(StoreError, match=r"r00000c00000.*cannot be read"):
            read(tile)


def test_the_same_options_open_it_and_others_are_named(store):
    store.write(store.grid[0, 0], record())
    assert list(Store.create(store.path, FINGERPRINT).missing()) == list(store.missing())
    other = {**FINGERPRINT, "segmenter": {"name": "sam"}, "scene": {"name": "village"}}
    with pytest.raises(StoreError, match=r'scene.name: "town", now "village"; segmenter.name: "plain", now "sam"'):
        Store.create(store.path, other)
    assert list(Store.create(store.path, other, overwrite=True).missing()) == list(store.grid)


def test_opening_what_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is not a store"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps([1]))
    with pytest.raises(StoreError, match="no JSON object"):
        Store.open(tmp_path)


def test_the_adapted_segmenter_is_kept_until_the_store_is_made_anew(store):
    assert store.adapted is None
    store.keep_adapted({"name": "plain", "altitude": 3.5})
    assert Store.open(store.path).adapted == {"name": "plain", "altitude": 3.5}
    assert Store.create(store.path, {**FINGERPRINT, "stretch": 1}, overwrite=True).adapted is None


def test_a_store_is_found_from_any_directory_and_by_the_name_it_was_given(tmp_path, monkeypatch):
    (tmp_path / "disk" / "far").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "disk" / "far", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "here")
    # after a link, .. is not the directory that the link is in
    given = Path("link") / ".." / "work"
    made, again = Store.create(given, FINGERPRINT), Store.create(given, FINGERPRINT)
    opened = pickle.loads(pickle.dumps(Store.open(given)))  # noqa: S301 - our own
    monkeypatch.chdir("/")
    for store in (made, again, opened):
        assert store.path == tmp_path / "here" / given
    made.write(made.grid[0, 0], record())
    assert (tmp_path / "disk" / "work" / "tiles" / "r00000" / "r00000c00000.parquet").exists()
    assert len(opened.read(opened.grid[0, 0]).segments) == len(record().segments)
