"""Workers: threads of this process, processes of this machine, or a Dask cluster; the results are the same, bit by bit.

``working(None)`` gives the active ``distributed.Client`` when there is one, else threads; ``working(4)`` four worker
processes; ``working("tcp://host:8786")`` a scheduler that runs somewhere. Tasks are handed out a bounded number at a
time, so no graph grows with the scene, and every task carries a tile from its first byte read to its last one written:
nothing is begun that waits for something else to finish.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import cloudpickle
from dask import config, threaded
from dask.base import compute
from dask.delayed import delayed
from threadpoolctl import threadpool_limits

from geoalps.errors import GeoalpsError, GeoalpsWarning, OptionError, WorkerError
from geoalps.labeling.tasks import Piece, Result, Stage, Workers, hopeless
from geoalps.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

WorkersLike: TypeAlias = Union[int, str, "Client", Workers, None]
IN_FLIGHT = 64
"""Tasks handed to the threaded scheduler at a time and thread."""
AHEAD = 3
"""Tasks of a cluster's thread: one at work, two waiting, so that no worker waits for this process."""
HEAVY = 1_000_000
"""Bytes of a pickled function above which it is sent to every worker once, and not along with every task."""
CONNECT = 10
"""Seconds to wait for a scheduler."""
PATIENCE = 120
"""Seconds to wait for a worker where there is none."""
MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 64 << 20,
}
"""How glibc keeps memory in our worker processes: Dask's own setting has the system make every array's pages anew, a
third of the time of a tile. What is free is given back after every task."""
LOOK = 15
"""Seconds without any result after which one looks whether there are workers at all."""
TRIES = 2
"""Workers of this machine that may die of a task before it is tried alone, and then again."""


@contextmanager
def working(workers: WorkersLike = None, threads: int | None = None) -> Iterator[Workers]:
    """Workers for some stages.

    Args:
        workers: None: the active ``distributed.Client`` if there is one, else threads of this process. A number: that
            many worker processes on this machine, gone at the end. A text: the address of a scheduler. Or a Client,
            or workers that are there already.
        threads: of this process, or of each of a number of processes; by default one a core, and one a process.

    Raises:
        OptionError: numbers below 1, or ``threads`` for a cluster that has its own.
        WorkerError: no scheduler at the address, or it has no workers.
    """
    for name, number in (("workers", workers), ("threads", threads)):
        if isinstance(number, int) and number < 1:
            raise OptionError(f"{name} is {number}; at least 1 is needed")
    if isinstance(workers, Workers):
        yield workers
        return
    if isinstance(workers, int):
        with _cluster(workers, threads or 1) as client:
            yield Cluster(client)
        return
    if workers is None and (threads is not None or (workers := _active_client()) is None):
        yield Threads(threads or os.cpu_count() or 1)
        return
    if threads is not None:
        raise OptionError("threads go with a number of worker processes or with none; a cluster's workers have theirs")
    if isinstance(workers, str):
        with _connected(workers) as client:
            _check_versions(client)
            yield Cluster(client)
    else:
        _check_versions(workers)
        yield Cluster(workers)


@dataclass(frozen=True)
class Threads:
    """Threads of this process, through Dask's threaded scheduler."""

    count: int
    """How many."""

    def run_stage(self, stage: Stage[Piece, Result], items: Iterable[Piece], progress: Progress) -> None:
        """See :class:`geoalps.labeling.tasks.Workers`."""
        lock, rest = threading.Lock(), iter(items)

        def step(item: Piece) -> None:
            """One task: the function here, the sink behind a lock."""
            try:
                result = stage.function(item)
            except Exception as error:
                if stage.failed is None or hopeless(error):
                    raise
                with lock:
                    stage.failed(item, error)
                    progress.advance()
                return
            with lock:
                stage.sink(item, result)
                progress.advance()
            _give_back()

        # one BLAS thread a task: no oversubscription, and no bit depends on how many threads there are
        with threadpool_limits(1, user_api="blas"):
            while batch := list(islice(rest, IN_FLIGHT * self.count)):
                tasks = [_task(step, f"{stage.name}-{item.name}", item) for item in batch]
                compute(*tasks, scheduler=threaded.get, num_workers=self.count)  # its name would import distributed


def _give_back() -> None:
    """Return what was freed to the system.

    glibc keeps it for the thread that freed it; over thousands of tiles the pieces between what is in use add up.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _task(function: Callable[[Piece], None], key: str, item: Piece) -> Any:
    return delayed(function, pure=False)(item, dask_key_name=key)


@dataclass(frozen=True, eq=False)
class Cluster:
    """The workers of a Dask cluster, through a ``distributed.Client``."""

    client: Client
    """Connected."""
    told: set[str] = field(default_factory=set)
    """What the user has heard: where the dashboard is."""

    def run_stage(self, stage: Stage[Piece, Result], items: Iterable[Piece], progress: Progress) -> None:
        """See :class:`geoalps.labeling.tasks.Workers`. A task whose worker dies is done by another one."""
        self._wait()
        self._tell(progress)
        function, suspects = self._packed(stage.function), []
        for item, future in self._fly(stage.name, function, iter(items), self._limit):
            if isinstance(error := _error(future, item), WorkerDied):
                # Dask blames whatever waited at a worker that died; alone, a task shows whether it was the one
                suspects.append(item)
            else:
                self._take(stage, item, future, error)
                progress.advance()
        for item, future in self._fly(stage.name, function, iter(suspects), lambda: 1):
            self._take(stage, item, future, _error(future, item))
            progress.advance()

    def _fly(
        self, stage: str, function: Any, items: Iterator[Piece], limit: Callable[[], int]
    ) -> Iterator[tuple[Piece, Any]]:
        """Items and their finished futures, as they finish; at most ``limit()`` are handed out at a time."""
        flying: dict[Any, Piece] = {}
        try:
            while True:
                for item in islice(items, max(limit() - len(flying), 0)):
                    key = f"{stage}-{item.name}-{uuid.uuid4().hex[:8]}"
                    flying[self.client.submit(_call, function, item, key=key, pure=False)] = item
                if not flying:
                    return
                for future in self._finished(list(flying)):
                    yield flying.pop(future), future
        finally:
            if flying:
                self.client.cancel(list(flying))

    def _finished(self, futures: list[Any]) -> Iterable[Any]:
        """Those of some futures that are finished, once there is one.

        Raises:
            WorkerError: all workers are gone and none comes.
        """
        from distributed import CancelledError, wait

        while True:
            try:
                with self.client.as_current():
                    done: set[Any] = wait(futures, timeout=LOOK, return_when="FIRST_COMPLETED").done
                return done
            except TimeoutError:
                self._wait()
            except (CancelledError, asyncio.CancelledError):  # of a future; of all, with the scheduler
                return [future for future in futures if future.status != "pending"]

    def _take(self, stage: Stage[Piece, Result], item: Piece, future: Any, error: BaseException | None) -> None:
        """Pass one result on, or its error."""
        if error is None:
            stage.sink(item, future.result())
        elif stage.failed is None or hopeless(error) or not isinstance(error, Exception):
            raise error
        else:
            stage.failed(item, error)

    def _packed(self, function: Callable[..., Any]) -> Any:
        """The function as bytes, so that every process opens it once; large ones are sent ahead."""
        packed = cloudpickle.dumps(function)
        if len(packed) <= HEAVY:
            return packed
        # a bytes object would be taken apart by scatter as a collection of numbers
        return self.client.scatter([packed], broadcast=True, direct=False)[0]

    def _limit(self) -> int:
        """Tasks that may be in flight; asked anew every time, because clusters grow and shrink."""
        there = self.client.scheduler_info(-1)["workers"].values()
        return AHEAD * max(1, sum(int(worker["nthreads"]) for worker in there))

    def _tell(self, progress: Progress) -> None:
        """Say once where the dashboard is, when there is one."""
        link = self.client.dashboard_link
        if link and link not in self.told and find_spec("bokeh"):
            self.told.add(link)
            progress.tell(f"Dask's dashboard: {link}")

    def _wait(self) -> None:
        """Until there is a worker; at once when there is one.

        Raises:
            WorkerError: none came.
        """
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise WorkerError(
                f"the Dask scheduler has had no workers for {PATIENCE} s; start some with "
                "`dask worker ADDRESS` and run the same command again: it goes on where it stopped"
            ) from error


class WorkerDied(Exception):  # noqa: N818 - a tile's fate, told with its name; WorkerError is the run's
    """All workers that tried one task died, or the one that had its result."""


def _error(future: Any, item: Any) -> BaseException | None:
    """Why a task did not finish; None when it did."""
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        return None
    if future.status == "lost":
        return WorkerDied(f"{item.name}: its worker died before it could hand over the result")
    if future.status != "error":
        return WorkerError(
            f"the Dask scheduler went away or dropped the work ({future.status}); what is finished is kept: run the "
            "same command again"
        )
    error: BaseException = future.exception()
    if not isinstance(error, KilledWorker):
        return error
    return WorkerDied(
        f"{item.name}: every worker that tried it died; out of memory? use a smaller --tile-size, or fewer --threads"
    )


_opening = threading.Lock()


@lru_cache(maxsize=8)
def _unpacked(packed: bytes) -> Any:
    """A function, and with it the segmenter's network, opened once a process."""
    return cloudpickle.loads(packed)


def _call(packed: bytes, item: Any) -> Any:
    """On a worker: open the function once in a process, and call it with one BLAS thread."""
    with _opening:
        function = _unpacked(packed)
    try:
        with threadpool_limits(1, user_api="blas"):
            return function(item)
    except GeoalpsError as error:
        # what GDAL raised below it does not travel, and would take this one's type along
        error.__cause__ = error.__context__ = None
        raise
    finally:
        _give_back()


def _check_versions(client: Client) -> None:
    """Refuse a cluster whose processes have no geoalps, or another one.

    Raises:
        WorkerError: it names the first such process.
    """
    found: Any = client.get_versions(packages=["geoalps"])
    workers = {f"worker {name}": what for name, what in found["workers"].items()}
    here = found["client"]["packages"]["geoalps"]
    for place, what in {"the scheduler": found["scheduler"], **workers}.items():
        there = what["packages"]["geoalps"] if what else None
        if there != here:
            raise WorkerError(
                f"{place} has geoalps {there or 'not at all'}, this is geoalps {here}; install the same version "
                "everywhere, the scheduler included"
            )


def _active_client() -> Client | None:
    """The client that a notebook or script made current; distributed is not imported to find none."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        found: Client = default_client()
    except ValueError:
        return None
    return found


@contextmanager
def _cluster(count: int, threads: int) -> Iterator[Client]:
    """So many worker processes on this machine; on CUDA machines with dask-cuda, one a GPU as far as there are any."""
    from distributed import Client, LocalCluster

    make: Any = LocalCluster
    gpus, advice = _gpus(), ""
    if 1 < count <= gpus:
        try:
            make = import_module("dask_cuda").LocalCUDACluster
        except ImportError:
            advice = "pip install 'dask-cuda[cu13]', or cu12, as the driver is, gives each its own"
    elif gpus and count > gpus:
        advice = f"there are {gpus}; for a segmenter that needs none, CUDA_VISIBLE_DEVICES= hides them"
    if advice:
        message = f"in {count} worker processes a segmenter on CUDA shares the first GPU; {advice}"
        warnings.warn(message, GeoalpsWarning, stacklevel=2)
    settings = {"distributed.scheduler.allowed-failures": TRIES - 1, **MEMORY}
    with warnings.catch_warnings(), config.set(settings):
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        # the dashboard is for this machine: by default Dask shows it to the network
        where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:8787"}
        cluster = make(n_workers=count, threads_per_worker=threads, silence_logs=logging.CRITICAL, **where)
    with cluster, Client(cluster, set_as_default=False) as client, _silent():
        yield client


def _gpus() -> int:
    """CUDA devices, told without loading torch or CUDA here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name and name != "-1"])
    try:
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return 0


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address."""
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkerError(
            f"there is no Dask scheduler at {address!r}; start one with `dask scheduler` and give the address it prints"
        ) from error
    with client, _silent():
        yield client


@contextmanager
def _silent() -> Iterator[None]:
    """Without a client's warnings of results that died with their worker: the tasks are done again."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
