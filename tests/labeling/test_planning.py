"""Plans: they refuse what the run refuses, write nothing, and know what the run will find."""

import os
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import rasterio
from affine import Affine

import geoalps as ga
from geoalps.errors import GeoalpsError, OptionError, ProductError, StoreError, TileError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.machine import Machine
from geoalps.io.scene import open_scene
from geoalps.labeling import planning
from geoalps.labeling.forecast import largest_window
from geoalps.labeling.planning import plan
from geoalps.labeling.trying import Tried, _choose, _part
from geoalps.testing import PlainSegmenter

SHAPE = (200, 300)
TILED = {"tile_size": 64, "margin": 16, "segmenter": PlainSegmenter(), "threads": 2}

TRIED = Tried((Window(0, 0, 64, 64),) * 2, 8192, 1.0, (2e-6, 4e-6), 2e-6, 100.0, 1e-3, 0.1, 0.5)
"""Windows that took 3 microseconds a pixel."""


def write(path, shape=SHAPE, valid=None, seed=0):
    """Squares of 20 pixels of few colours; where not valid, nodata 0."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(1, 5, (shape[0] // 20 + 1, shape[1] // 20 + 1)) * 50
    values = np.kron(kinds, np.ones((20, 20), int))[: shape[0], : shape[1]].astype(np.uint8)
    values = np.where(valid, values, 0) if valid is not None else values
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 5e5, 0, -0.5, 5e6), "nodata": 0}
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=shape[0], width=shape[1], dtype="uint8", **place
    ) as f:
        f.write(np.stack([values] * 3))
    return path


@pytest.fixture
def scene(tmp_path):
    return write(tmp_path / "scene.tif")


def everything(folder):
    """All paths below a directory with their times: what a plan must leave as it is."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_a_plan_writes_nothing_and_a_run_after_it_goes_as_planned(scene, tmp_path):
    before = everything(tmp_path)
    found = plan(scene, tmp_path / "out", 3, **TILED)
    assert everything(tmp_path) == before
    (each,) = found.scenes
    assert (len(each.grid), each.done, each.valid) == (20, 0, 1.0)
    assert (found.processes, found.threads) == (0, 2)
    assert found.memory_bytes > found.worker_bytes
    ga.tile_label(scene, tmp_path / "out" / "scene", 3, **TILED)
    # the fingerprint that was planned is the one that was made
    again = plan(scene, tmp_path / "out", 3, overwrite=True, **TILED).scenes[0]
    assert again.done == 20
    assert again.store_bytes < each.store_bytes


def test_tiles_that_are_there_are_not_planned_again(scene, tmp_path):
    store = ga.segment(scene, TileGrid(SHAPE, 64, 16), PlainSegmenter(), path=tmp_path / "store")
    for name in ("r00000c00000", "r00001c00002", "r00002c00001"):
        next(store.path.rglob(f"{name}.parquet")).unlink()
    before = everything(tmp_path)
    found = plan(scene, [tmp_path / "store"], product=False, **TILED)
    assert found.scenes[0].done == 17
    assert found.scenes[0].product_bytes == 0
    assert everything(tmp_path) == before
    with pytest.raises(StoreError, match="was made with other options"):
        plan(scene, [tmp_path / "store"], product=False, **{**TILED, "margin": 8})
    anew = plan(scene, [tmp_path / "store"], product=False, overwrite=True, **{**TILED, "margin": 8})
    assert anew.scenes[0].done == 0


def test_pixels_read_again_are_those_of_the_windows(scene, tmp_path):
    each = plan(scene, tmp_path / "out", **TILED).scenes[0]
    read = np.zeros(SHAPE, int)
    for tile in each.grid:
        read[tile.window.slices()] += 1
    assert each.read_again == pytest.approx(read.sum() / read.size - 1)
    assert largest_window(each.grid) == max(tile.window.area for tile in each.grid)


def test_objects_and_data_are_foreseen_where_half_is_nodata(tmp_path):
    valid = np.indices(SHAPE)[1] < 150
    scene = write(tmp_path / "half.tif", valid=valid)
    each = plan(scene, tmp_path / "out", **TILED).scenes[0]
    assert each.valid == pytest.approx(0.5, abs=0.15)
    product = ga.tile_label(scene, tmp_path / "real", 3, **TILED)
    # windows cut objects, so there are more pieces than objects
    assert 0.5 < each.objects / product.run()["counts"]["objects"] < 4


def test_a_scene_without_data_has_a_plan(tmp_path):
    scene = write(tmp_path / "empty.tif", valid=np.zeros(SHAPE, bool))
    each = plan(scene, tmp_path / "out", **TILED).scenes[0]
    assert (each.objects, each.tried.windows, each.valid) == (0, (), 0.0)


WRONG = {
    "k": {"n_classes": 0},
    "normalisation": {"normalisation": "best"},
    "gate": {"max_area_fraction": 0.0},
    "on error": {"on_error": "stop"},
    "margin": {"margin": 60},
    "tile size": {"tile_size": 8},
    "no segmenter": {"segmenter": "nonsense"},
    "option of the segmenter": {"segmenter": "regions", "granularity": 1e6},
    "unknown option": {"segmenter": "regions", "colour": 3},
    "min area": {"min_area": -1.0},
    "simplify": {"simplify": -1.0},
    "threads": {"threads": 0},
    "workers": {"workers": 0},
    "adapt alone": {"adapt": True},
    "bands": {"bands": (1, 2, 9)},
    "encoder": {"encoder": "nonsense"},
    "with shape twice": {"segmenter": "regions", "with_shape": True},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_fail_as_in_the_run(scene, tmp_path, name):
    given = {**TILED, **WRONG[name]}
    with pytest.raises(GeoalpsError) as planned:
        plan([scene], [tmp_path / "out"], **given)
    with pytest.raises(GeoalpsError) as real:
        ga.tile_label_scenes([scene], [tmp_path / "out"], **given)
    assert type(planned.value) is type(real.value)
    if name not in ("threads", "workers"):
        assert str(planned.value) == str(real.value)


def test_a_product_that_is_there_and_places_that_cannot_be_written(scene, tmp_path):
    ga.tile_label(scene, tmp_path / "there", 3, **TILED)
    with pytest.raises(ProductError, match="holds a product already"):
        plan([scene], [tmp_path / "there"], **TILED)
    with pytest.raises(ProductError, match="cannot write to"):
        plan([scene], [scene / "below"], **TILED)
    with pytest.raises(OptionError, match="two scenes would go to"):
        plan([scene, scene], tmp_path / "out", **TILED)


def test_what_does_not_suffice_is_told(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(planning.Machine, "look", lambda: Machine(4, 4.0, 1 << 40, None, 1 << 40))
    monkeypatch.setattr(planning, "free_disk", lambda _: 1 << 40)
    found = plan(scene, tmp_path / "out", **TILED)
    assert found.free_memory == 1 << 40
    assert found.shortages == ()
    (each,) = found.scenes
    assert "memory will not suffice" in replace(found, free_memory=found.memory_bytes - 1).shortages[0]
    # two that fit one by one, and not together
    tight = replace(each, free_bytes=each.disk_bytes + 1)
    assert replace(found, scenes=(tight,)).shortages == ()
    (line,) = replace(found, scenes=(tight, tight)).shortages
    assert "the disk of" in line


def test_processes_hold_more_than_threads(scene, tmp_path):
    alone = plan(scene, tmp_path / "out", **TILED)
    many = plan(scene, tmp_path / "out", **{**TILED, "threads": 2, "workers": 3})
    assert (many.processes, many.threads) == (3, 2)
    assert many.memory_bytes > 2 * alone.memory_bytes


def test_more_tiles_take_longer_and_more_workers_shorter(scene, tmp_path):
    tried = TRIED
    job = planning._Job(None, 0.3, False, False, True, 1)
    job.shared = type("Shared", (), {"segmenter": PlainSegmenter(), "encoder": None})()
    one = job._segmenting([1e6] * 8, tried)
    assert one == pytest.approx(8e6 * tried.rate * planning.LARGER)
    assert job._segmenting([1e6] * 16, tried) == pytest.approx(2 * one)
    job.at_a_time = 2
    workers = min(2, max(os.cpu_count(), len(tried.windows)))
    assert job._segmenting([1e6] * 8, tried) == pytest.approx(one / workers)
    # a last tile alone keeps one worker busy
    assert job._segmenting([1e6] * 9, tried) == pytest.approx(one / 8 * -(-9 // workers))


def test_a_scene_of_more_tiles_is_planned_to_take_longer(scene, tmp_path):
    job = planning._Job(None, 0.3, False, False, True, 1)
    job.shared = type("Shared", (), {"segmenter": PlainSegmenter(), "encoder": None})()
    grid = TileGrid(SHAPE, 64, 16)
    whole, part = (job._expect(None, grid, tmp_path, list(grid)[:n], TRIED, 2.0) for n in (20, 5))
    areas = [tile.window.area for tile in grid]
    assert whole.seconds - part.seconds == pytest.approx(sum(areas[5:]) * TRIED.rate * planning.LARGER)
    kept = job.sum_up((whole,), 0, 1, 1.5)
    assert kept.seconds == pytest.approx(1.5 + whole.seconds)
    assert job.sum_up((whole, part), 0, 1, 1.5).seconds == pytest.approx(kept.seconds + part.seconds)


@dataclass(frozen=True)
class Failing(PlainSegmenter):
    """Fails at some windows: the first after the one that warms up, or all."""

    every: bool = False
    calls: list = field(default_factory=list)

    def segment(self, image, valid):
        """As the plain one, or an error of another library."""
        self.calls.append(1)
        if self.every or len(self.calls) == 2:
            raise RuntimeError("boom")
        return super().segment(image, valid)


@pytest.mark.parametrize("every", [False, True])
def test_windows_that_fail_are_left_out_where_the_run_skips_them(scene, tmp_path, every):
    given = {**TILED, "threads": 2}
    whole = plan(scene, tmp_path / "out", on_error="skip", **given).scenes[0].tried
    given["segmenter"] = Failing(every=every)
    tried = plan(scene, tmp_path / "out", on_error="skip", **given).scenes[0].tried
    assert len(tried.windows) == (0 if every else len(whole.windows) - 1)
    assert len(tried.seconds) == len(tried.windows)
    given["segmenter"] = Failing(every=every)
    with pytest.raises(TileError, match="RuntimeError: boom"):
        plan(scene, tmp_path / "out", **given)


def test_crops_lie_inside_their_tiles_and_differ():
    tile = TileGrid((3000, 3000), 1024, 128)[1, 1]
    crops = [_part(tile, 512, number) for number in range(20)]
    assert all(crop.window in tile.window and crop.window.shape == (512, 512) for crop in crops)
    assert len({crop.window for crop in crops}) == 20
    small = Tile(0, 0, Window(0, 0, 100, 700), Window(0, 0, 100, 700))
    assert _part(small, 512, 3).window.shape == (100, 512)


def test_windows_are_tried_where_there_are_data(tmp_path):
    shape = (1500, 1500)
    valid = np.zeros(shape, bool)
    valid[:, :500] = True
    scene = open_scene(write(tmp_path / "strip.tif", shape, valid))
    function = type("Function", (), {"scene": scene, "segmenter": PlainSegmenter(), "encoder": None})()
    chosen, share = _choose(function, list(TileGrid(shape, 1024, 128)), 2)
    assert chosen
    found = [scene.read(tile.window)[1].mean() for tile in chosen]
    assert min(found) > 0.3
    assert 0.1 < share < 0.6
