"""Tasks: one Dask task a tile, a bounded number in flight.

The local threaded scheduler; results come back in the order of the tiles, whatever the order of the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from dask.base import compute
from dask.delayed import delayed
from threadpoolctl import threadpool_limits

from geoalps.grid import Tile

Result = TypeVar("Result")
IN_FLIGHT = 64
"""Tasks handed to the scheduler at a time and worker: the graph does not grow with the scene."""


class Progress(Protocol):
    """Hears of the work: ``start`` of a stage with its number of steps, then ``advance`` for each."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps are done."""
        ...


class Silence:
    """A progress that tells nobody."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""


def run_tiles(
    stage: str,
    function: Callable[[Tile], Result],
    tiles: Sequence[Tile],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Yield function(tile) for every tile, in order, computed by ``workers`` threads (None: one a core).

    The first error stops the work and is raised as it is.
    """
    progress = progress or Silence()
    progress.start(stage, len(tiles))
    workers = workers or os.cpu_count() or 1

    def step(tile: Tile) -> Result:
        result = function(tile)
        progress.advance()
        return result

    batch = IN_FLIGHT * workers
    # one BLAS thread a task: no oversubscription, and no bit depends on how many threads there are
    with threadpool_limits(1, user_api="blas"):
        for start in range(0, len(tiles), batch):
            work = [_named(step, stage, tile) for tile in tiles[start : start + batch]]
            yield from compute(*work, scheduler="threads", num_workers=workers)


def _named(function: Callable[[Tile], Any], stage: str, tile: Tile) -> Any:
    return delayed(function, pure=False)(tile, dask_key_name=f"{stage}-{tile.name}")
