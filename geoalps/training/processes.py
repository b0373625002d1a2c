"""Worker processes for what is drawn and described piece by piece."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from threadpoolctl import threadpool_limits

from geoalps.errors import OptionError, WorkerError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

CHUNK = 4
"""Pieces that a process takes at a time."""


def in_order(function: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int) -> Iterator[Result]:
    """``map`` in so many processes; the results come in the order of the pieces, whichever is done first.

    An interrupt reaches the caller alone, which then lets the processes finish what they are at and end.

    Args:
        function: of a module, so that it can be sent to another process.
        pieces: each of them can be sent, too.
        workers: 1 computes in this process.

    Raises:
        OptionError: ``workers`` below 1.
        WorkerError: a process died.
    """
    if workers < 1:
        raise OptionError(f"workers is {workers}; at least 1 is needed")
    if workers == 1:
        yield from map(partial(_with_one_thread, function), pieces)
        return
    # spawned, not forked: torch's threads do not survive a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            yield from pool.map(partial(_with_one_thread, function), pieces, chunksize=CHUNK)
        except BrokenProcessPool:
            raise WorkerError("a worker process died; out of memory? use fewer --threads") from None


def _with_one_thread(function: Callable[[Piece], Result], piece: Piece) -> Result:
    """In a worker: as many threads compute as there are workers, and no bit depends on how many there are."""
    with threadpool_limits(1):
        return function(piece)
