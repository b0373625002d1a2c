"""Progress on the terminal: a bar a stage with the time left; in a log, a line now and then; for a program, JSON."""

from __future__ import annotations

import json
import os
import threading
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from geoalps.errors import OptionError

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
    "report": "parts",
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
ASKED = "GEOALPS_PROGRESS"
"""Environment variable that asks for progress as JSON lines, which other programs read."""
JSON_EVERY = 0.25
"""Seconds between two JSON lines of one stage, at least; its last step is always told."""


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


class JsonLines:
    """A JSON object a line, for programs that start geoalps: QGIS, a web page.

    ``{"stage": "segment", "done": 3, "total": 20, "seconds_left": 12.3, "note": ""}`` when a stage begins (``done`` 0
    and ``seconds_left`` null), at its steps, not oftener than every :data:`JSON_EVERY` seconds, and at its last one;
    ``{"tell": "..."}`` for what is told in between. All else on the same stream is text, warnings and errors included.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._stage, self._total, self._done, self._began, self._told = "", 0, 0, 0.0, 0.0

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        with self._lock:
            self._stage, self._total, self._done = stage, total, 0
            self._began = self._told = time.monotonic()
            self._write_steps(None, "")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So many steps are done; ``note`` is how it goes."""
        with self._lock:
            self._done += steps
            now = time.monotonic()
            if now - self._told < JSON_EVERY and self._done < self._total:
                return
            self._told = now
            left = (now - self._began) / max(self._done, 1) * max(self._total - self._done, 0)
            self._write_steps(round(left, 1), note)

    def tell(self, text: str) -> None:
        """A line of its own."""
        self._write({"tell": text})

    def _write_steps(self, seconds_left: float | None, note: str) -> None:
        """Where the stage is."""
        where = {"stage": self._stage, "done": self._done, "total": self._total}
        self._write({**where, "seconds_left": seconds_left, "note": note})

    def _write(self, event: dict[str, object]) -> None:
        """One line, in ASCII whatever the stream's encoding is."""
        self._console.print(json.dumps(event), soft_wrap=True, markup=False, emoji=False, highlight=False)

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def progress_for(console: Console) -> Bars | Lines | JsonLines:
    """Bars on a terminal, lines elsewhere; JSON lines where the environment says ``GEOALPS_PROGRESS=json``.

    Raises:
        OptionError: it says something else.
    """
    asked = os.environ.get(ASKED, "")
    if asked == "json":
        return JsonLines(console)
    if asked:
        raise OptionError(f"{ASKED}={asked} is not known; set it to json, or unset it")
    return Bars(console) if console.is_terminal else Lines(console)
