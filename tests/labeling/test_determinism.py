"""The same bits from any workers, in any order of tiles."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

import fragile
import pytest
from comparison import differences, tiles, unfinished
from running import Before, run
from scenes import colours, write

import geoalps as ga

TILED = {"tile_size": 48, "margin": 12, "regions_per_mpx": 1500}
OPTIONS = ("-k", 5, "--tile-size", 48, "--margin", 12, "--option", "regions_per_mpx=1500")
DEADLY, BAD = (251, 3, 7), (5, 252, 1)
"""Colours of spots in the cores of the tiles r00002c00001 and r00000c00003."""
CLUSTER = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")


@dataclass(frozen=True)
class Shuffled:
    """One worker that takes the tiles in an order of its own, and hands over the results in another."""

    seed: int

    def run_stage(self, stage, items, progress):
        rng = random.Random(self.seed)  # noqa: S311 - no secret
        items = list(items)
        rng.shuffle(items)
        done = [(item, stage.function(item)) for item in items]
        rng.shuffle(done)
        for item, result in done:
            stage.sink(item, result)
            progress.advance()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The path of 16 tiles, in two of which there is a spot."""
    values = colours((192, 192))
    fragile.mark(values, 120, 72, DEADLY)
    fragile.mark(values, 24, 168, BAD)
    return write(tmp_path_factory.mktemp("scene") / "town.tif", values, photometric="rgb").path


@pytest.mark.parametrize("workers", [{"threads": 5}, {"workers": Shuffled(0)}], ids=["threads", "shuffled"])
def test_nothing_depends_on_threads_or_the_order_of_tiles(scene, tmp_path, tmp_path_factory, workers):
    given = {"simplify": 1, **TILED}
    alone = tmp_path_factory.getbasetemp() / "alone"
    if not alone.exists():
        ga.tile_label(scene, alone, 5, **given, threads=1)
    ga.tile_label(scene, tmp_path / "out", 5, **given, **workers)
    assert not differences(alone, tmp_path / "out")


# A cluster


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A directory with the plug-in ``fragile``, and that of its fates."""
    folder = tmp_path_factory.mktemp("plugins")
    return folder, fragile.install(folder)


@pytest.fixture(scope="module", autouse=True)
def scheduler(tmp_path_factory, plugins):
    """A scheduler's file with its address, and two workers' processes; on the loopback, begun before the first test."""
    folder = tmp_path_factory.mktemp("cluster")
    place = folder / "scheduler.json"
    log = (folder / "log").open("w")

    def start(module, *args):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(place), "--no-dashboard"]
        settings = {"PYTHONPATH": str(plugins[0]), "PYTHONWARNINGS": "ignore"}
        environment = {**os.environ, **settings}
        return subprocess.Popen([*command, *args], env=environment, cwd=folder, stdout=log, stderr=log)

    processes = [start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")]
    alone = ("--nthreads", "1", "--no-nanny", "--preload", "geoalps.cli.run", "--preload", "geoalps.models.regions")
    processes += [start("dask_worker", *alone, "--name", name) for name in ("one", "two")]
    try:
        yield place, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()


@pytest.fixture(scope="module")
def label(scene, plugins):
    """Runs ``geoalps tile-label`` with the plug-in to its end."""
    command = ("-q", "tile-label", scene, *OPTIONS, "--segmenter", "fragile")
    return partial(run, *command, plugins=plugins[0])


@pytest.fixture(scope="module")
def address(scheduler):
    """Of the scheduler, once it is there."""
    while not scheduler[0].exists():
        time.sleep(0.05)
    return json.loads(scheduler[0].read_text())["address"]


@pytest.fixture(scope="module")
def by_threads(label, tmp_path_factory):
    """A product, to be read only."""
    out = tmp_path_factory.mktemp("threads") / "out"
    assert label("-o", out, "--threads", 2).code == 0
    return out


@CLUSTER
def test_a_scheduler_and_two_workers_give_the_bits_of_threads(label, scheduler, address, by_threads, tmp_path):
    done = label("-o", tmp_path / "out", "--scheduler", address)
    assert done.code == 0, done.err
    assert not differences(tmp_path / "out", by_threads)
    assert [process.poll() for process in scheduler[1]] == [None, None]


@CLUSTER
def test_killed_while_a_cluster_works_for_it_a_run_goes_on(label, address, by_threads, tmp_path):
    out, by_cluster = tmp_path / "out", ("--scheduler", address)
    assert label("-o", out, *by_cluster, before=Before("seams.npz")).code == -signal.SIGKILL
    assert len(tiles(out)) == 16
    assert label("-o", out, *by_cluster).code == 0
    assert not differences(out, by_threads)


@CLUSTER
def test_one_of_two_workers_dies_in_the_middle_of_a_tile_and_another_tile_fails(
    label, scheduler, address, plugins, by_threads, tmp_path
):
    """The last test that has two workers."""
    processes = scheduler[1]
    out, dies, fails = tmp_path / "out", fragile.fate(plugins[1], DEADLY, "once"), fragile.fate(plugins[1], BAD, "fail")
    dies.touch()
    fails.touch()
    done = label("-o", out, "--scheduler", address)
    assert sorted(process.poll() or 0 for process in processes) == [-signal.SIGKILL, 0]
    assert not dies.exists()
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done
    assert "1 of 16 tiles failed: r00000c00003: ValueError: seen what nobody should see;" in done.err
    before = tiles(out)
    assert len(before) == 15
    fails.unlink()
    assert label("-o", out, "--scheduler", address).code == 0
    assert tiles(out).items() >= before.items()
    assert not differences(out, by_threads)
    assert not unfinished(out)
