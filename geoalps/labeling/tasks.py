"""Tasks: one Dask task a tile, a bounded number in flight, and who hears of them.

A stage is a *function* of one item (a tile, and what else it takes), a *sink* for its results, and an order of items.
The function may run in another thread, another process or on another machine: it pickles, reads and writes files, and
holds no state. The sink runs here, one call at a time, in any order; :class:`InOrder` puts the order back.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

from geoalps.errors import GeoalpsError, SceneError
from geoalps.progress import Progress


class Item(Protocol):
    """What one task is about."""

    @property
    def name(self) -> str:
        """Names the task: for the dashboard, unique in its stage."""
        ...


Piece = TypeVar("Piece", bound=Item)
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Stage(Generic[Piece, Result]):
    """One stage's work, wherever it is done."""

    name: str
    """As the dashboard and the progress show it."""
    function: Callable[[Piece], Result]
    """From an item to its result; pickles."""
    sink: Callable[[Piece, Result], None] = lambda _item, _result: None
    """Takes every result, one at a time, in the order in which they come."""
    failed: Callable[[Piece, Exception], None] | None = None
    """Takes an item whose function raised, and the work goes on; None stops it at the first error. What every other
    item would meet too (see :func:`hopeless`) always stops it."""


@runtime_checkable
class Workers(Protocol):
    """Who does the tasks: threads of this process, or a Dask cluster's workers."""

    def run_stage(self, stage: Stage[Piece, Result], items: Iterable[Piece], progress: Progress) -> None:
        """Do a stage for all items, and advance the progress by one for each; items are taken as they are needed."""
        ...


@dataclass(eq=False)
class InOrder(Generic[Piece, Result]):
    """A sink that passes results on in the order of the items, holding those that came early."""

    sink: Callable[[Piece, Result], None]
    """Takes the results in order."""
    place: Callable[[Piece], int]
    """0, 1, 2...: an item's place in the order."""
    early: dict[int, tuple[Piece, Result]] = field(default_factory=dict)
    """What waits for its turn."""
    turn: int = 0
    """Whose turn it is."""

    def __call__(self, item: Piece, result: Result) -> None:
        """Take one result and pass on all whose turn it now is."""
        self.early[self.place(item)] = item, result
        while self.turn in self.early:
            self.sink(*self.early.pop(self.turn))
            self.turn += 1


FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""No space left, larger than files may be, quota used up."""


def hopeless(error: BaseException) -> bool:
    """Whether the next tile would fail in the same way: a full disk, a plug-in without its protocol, a bad option."""
    if isinstance(error, SceneError):
        return False
    return isinstance(error, GeoalpsError | OSError) or not isinstance(error, Exception)
