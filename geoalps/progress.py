"""Progress on the terminal: a bar a stage with the time left; in a log, a line now and then."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

WHAT = {
    "segment": "tiles",
    "stitch": "tiles",
    "fit": "passes",
    "update": "passes",
    "adapt": "rounds",
    "paint": "tiles",
    "polygons": "tiles",
    "product": "parts",
    "relabel": "files",
    "evaluate": "tiles",
    "name": "tiles",
    "cover": "chips",
    "objects": "row groups",
    "sgo": "windows",
    "stac": "items",
    "sample": "pieces",
    "chips": "chips",
    "network": "steps",
    "scenes": "scenes",
    "scorer": "passes",
}
"""What the steps of a stage are."""


class Progress(Protocol):
    """Hears of the work: ``start`` of a stage with its number of steps, ``advance`` for each, ``tell`` in between."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps are done."""
        ...

    def tell(self, text: str) -> None:
        """Something the user should know: that work is there already and not done again."""
        ...


class Silence:
    """A progress that tells nobody."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def tell(self, text: str) -> None:
        """Nothing."""


class Bars:
    """A bar a stage on a terminal; see :class:`Progress`."""

    def __init__(self, console: Console) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=console,
        )  # fmt: skip
        self._now: TaskID | None = None

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._now = self._bars.add_task(stage, total=total, what=WHAT.get(stage, ""), note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So many steps are done; ``note`` is how it goes."""
        if self._now is not None:
            self._bars.update(self._now, advance=steps, note=note)

    def tell(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, highlight=False)

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class Lines:
    """A line at every tenth of a stage, at most every two seconds, for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._stage, self._total, self._done, self._began, self._told = "", 0, 0, 0.0, 0.0

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._stage, self._total, self._done = stage, total, 0
        self._began = self._told = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So many steps are done; ``note`` is how it goes."""
        with self._lock:
            self._done += steps
            now = time.monotonic()
            if now - self._told < 2 and self._done < self._total:
                return
            self._told = now
            left = (now - self._began) / self._done * (self._total - self._done)
            told = f"{self._stage}: {self._done} of {self._total} {WHAT.get(self._stage, '')}, {left:.0f} s left"
            self._console.print(f"{told}, {note}" if note else told, highlight=False)

    def tell(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, highlight=False)

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def progress_for(console: Console) -> Bars | Lines:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)
