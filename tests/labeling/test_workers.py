"""Whoever does the tasks: everything is done once, failures are told, a worker that dies is replaced."""

import errno
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from geoalps.errors import GeoalpsWarning, OptionError, SceneError, StoreError, WorkerError
from geoalps.grid import Window
from geoalps.io.scene import open_scene
from geoalps.labeling.tasks import InOrder, Stage, hopeless
from geoalps.labeling.workers import Cluster, Threads, WorkerDied, working
from geoalps.progress import Silence

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # other processes cannot import a test


@dataclass(frozen=True)
class Thing:
    number: int

    @property
    def name(self):
        return f"thing{self.number:03d}"


THINGS = [Thing(number) for number in range(60)]


class Count(Silence):
    def __init__(self):
        self.steps = 0

    def advance(self, steps=1):
        self.steps += steps


@dataclass(frozen=True)
class Square:
    bad: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    marks: str = ""
    error: Exception | None = None

    def __call__(self, thing):
        if self.marks:
            (Path(self.marks) / f"{thing.number}-{os.getpid()}-{time.monotonic_ns()}").touch()
        if thing.number in self.deadly:
            os._exit(3)
        if thing.number in self.bad:
            raise self.error or ValueError("not a nice number")
        return thing.number**2


@pytest.fixture(scope="module")
def cluster():
    """Workers in this process: all of the protocol but the processes."""
    with (
        LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield Cluster(client)


@pytest.fixture(scope="module")
def processes():
    """Two real worker processes."""
    with working(2) as made:
        yield made


def done(workers, function, **stage):
    got, progress = {}, Count()
    workers.run_stage(
        Stage("square", function, lambda thing, result: got.update({thing: result}), **stage), THINGS, progress
    )
    return got, progress.steps


@pytest.mark.parametrize("kind", ["threads", "cluster", "processes"])
def test_every_item_is_done_once_and_told(kind, request, tmp_path):
    workers = Threads(3) if kind == "threads" else request.getfixturevalue(kind)
    got, steps = done(workers, Square(marks=str(tmp_path)))
    assert got == {thing: thing.number**2 for thing in THINGS}
    assert steps == len(THINGS) == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("kind", ["threads", "cluster", "processes"])
def test_failures_are_told_by_item_and_the_rest_goes_on(kind, request):
    workers, failed = Threads(3) if kind == "threads" else request.getfixturevalue(kind), {}
    got, steps = done(
        workers, Square(bad=(3, 41)), failed=lambda thing, error: failed.update({thing.number: str(error)})
    )
    assert failed == {3: "not a nice number", 41: "not a nice number"}
    assert len(got) == 58
    assert steps == 60


def unreadable(_):
    """What a scene's reader does: a SceneError for what GDAL said, with the window."""
    try:
        with rasterio.open("/nowhere.tif"):
            pass
    except rasterio.RasterioIOError as cause:
        error = SceneError("nowhere.tif cannot be read")
        error.window = Window(1, 2, 3, 4)
        raise error from cause


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_errors_keep_their_type_and_what_they_carry_wherever_they_are_raised(kind, request):
    workers, failed = Threads(2) if kind == "threads" else request.getfixturevalue(kind), []
    done(workers, unreadable, failed=lambda _, error: failed.append(error))
    assert {type(error) for error in failed} == {SceneError}
    assert {str(error) for error in failed} == {"nowhere.tif cannot be read"}
    assert {error.window for error in failed} == {Window(1, 2, 3, 4)}


def test_a_relative_path_means_the_same_in_another_directory(tmp_path, monkeypatch):
    scene = np.arange(600, dtype=np.uint8).reshape(1, 20, 30)
    with rasterio.open(tmp_path / "scene.tif", "w", "GTiff", 30, 20, 1, "EPSG:3857", None, "uint8") as file:
        file.write(scene)
    monkeypatch.chdir(tmp_path)
    opened = open_scene("scene.tif")
    packed = cloudpickle.dumps(opened)
    monkeypatch.chdir("/")
    window = Window(0, 0, 20, 30)
    assert (cloudpickle.loads(packed).read(window)[0] == np.repeat(scene, 3, 0)).all()  # read with three bands


@pytest.mark.parametrize("lacks", ["scheduler", "worker"])
def test_a_cluster_without_geoalps_or_with_another_one_is_refused(lacks, cluster, monkeypatch):
    found = cluster.client.get_versions(packages=["geoalps"])
    place = found["scheduler"] if lacks == "scheduler" else next(iter(found["workers"].values()))
    place["packages"] = {**place["packages"], "geoalps": None if lacks == "scheduler" else "0.0.1"}
    monkeypatch.setattr(cluster.client, "get_versions", lambda packages: found)
    with (
        pytest.raises(WorkerError, match=f"{lacks}.* has geoalps (not at all|0.0.1), this is geoalps"),
        working(cluster.client),
    ):
        pass


def test_a_scheduler_that_goes_away_is_one_clear_line():
    """What is finished is in the sink; the rest is told in words of ours."""
    got = []
    with (
        LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50) as local,
        Client(local.scheduler_address, set_as_default=False, timeout=2) as client,
    ):

        def sink(thing, _):
            got.append(thing)
            if len(got) == 3:
                local.close()

        with pytest.raises(WorkerError, match="run the same command again"):
            Cluster(client).run_stage(Stage("square", Square(), sink), THINGS, Silence())
    assert len(got) >= 3


@pytest.mark.parametrize("kind", ["threads", "cluster"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), StoreError("gone")])
def test_what_every_item_would_meet_stops_the_work(kind, error, request):
    workers = Threads(2) if kind == "threads" else request.getfixturevalue(kind)
    with pytest.raises(type(error)):
        done(workers, Square(bad=(5,), error=error), failed=lambda thing, error: None)


@pytest.mark.parametrize("kind", ["threads", "cluster"])
def test_without_a_taker_the_first_error_stops_the_work(kind, request):
    with pytest.raises(ValueError, match="not a nice number"):
        done(Threads(2) if kind == "threads" else request.getfixturevalue(kind), Square(bad=(7,)))


def test_only_a_bounded_number_is_taken_ahead(cluster):
    taken = []

    def things():
        for thing in THINGS:
            taken.append(thing)
            yield thing

    seen = []
    cluster.run_stage(Stage("square", Square(), lambda *_: seen.append(len(taken) - len(seen))), things(), Silence())
    assert max(seen) <= 2 * 3 + 2


def test_a_worker_that_dies_costs_only_the_task_that_kills(processes):
    failed = {}
    got, steps = done(processes, Square(deadly=(20,)), failed=lambda thing, error: failed.update({thing.number: error}))
    assert list(failed) == [20]
    assert isinstance(failed[20], WorkerDied)
    assert "thing020" in str(failed[20])
    assert len(got) == 59
    assert steps == 60


def test_an_active_client_is_used_unless_threads_are_asked_for():
    with working() as found:
        assert isinstance(found, Threads)
    with (
        LocalCluster(1, processes=False, dashboard_address=None, silence_logs=50) as local,
        Client(local) as client,
    ):
        with working() as found:
            assert found.client is client
        with working(client) as found:
            assert found.client is client
        with working(threads=2) as found:
            assert found == Threads(2)
        with pytest.raises(OptionError, match="threads go with"), working(client, threads=2):
            pass


@pytest.mark.parametrize(("workers", "threads"), [(0, None), (None, 0), (-1, None)])
def test_numbers_below_one_are_refused(workers, threads):
    with pytest.raises(OptionError, match="at least 1"), working(workers, threads):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1:1"])
def test_no_scheduler_is_one_clear_line(address, monkeypatch):
    monkeypatch.setattr("geoalps.labeling.workers.CONNECT", 1)
    with pytest.raises(WorkerError, match="there is no Dask scheduler at"), working(address):
        pass


@given(st.permutations(range(12)))
def test_in_order_puts_any_order_back(order):
    got = []
    sink = InOrder(lambda item, result: got.append((item, result)), lambda item: item)
    for item in order:
        sink(item, -item)
    assert got == [(item, -item) for item in range(12)]
    assert not sink.early


def test_what_is_hopeless():
    assert hopeless(StoreError("x"))
    assert hopeless(OSError(errno.ENOSPC, "x"))
    assert hopeless(KeyboardInterrupt())
    assert not hopeless(SceneError("x"))
    assert not hopeless(ValueError("x"))
    assert not hopeless(MemoryError())


@pytest.mark.parametrize(
    ("count", "gpus", "says"), [(2, 1, "there are 1"), (2, 4, "dask-cuda"), (1, 1, ""), (2, 0, "")]
)
def test_processes_that_would_share_a_gpu_are_told(count, gpus, says, monkeypatch, recwarn):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))
    monkeypatch.setitem(sys.modules, "dask_cuda", None)  # as if it were not installed

    class Local:
        def __init__(self, **_):
            raise InterruptedError

    monkeypatch.setattr("distributed.LocalCluster", Local)
    with pytest.raises(InterruptedError), working(count):
        pass
    told = [str(warning.message) for warning in recwarn if warning.category is GeoalpsWarning]
    assert len(told) == bool(says)
    assert says in "".join(told)
