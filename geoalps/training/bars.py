"""How far training is: a bar a stage with the time left on a terminal; in a log, a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

EVERY = 10.0
"""Seconds from line to line in a log."""
LAST = 0.1
"""Share of a stage's end whose mean loss is told."""


class Stages:
    """Stages of training, one after the other, on standard error.

    Attributes:
        seconds: by name, of every stage so far.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
            disable=not self._console.is_terminal,
        )  # fmt: skip
        self.seconds: dict[str, float] = {}
        self._name, self._what, self._total, self._done, self._losses = "", "", 0, 0, list[float]()
        self._began = self._told = time.monotonic()
        self._bar: TaskID | None = None

    def start(self, name: str, total: int, what: str = "") -> None:
        """A stage of ``total`` steps begins, counted in ``what`` where its name does not say it."""
        self._name, self._what, self._total, self._done, self._losses = name, what, total, 0, []
        self._began = self._told = time.monotonic()
        self.seconds[name] = 0.0
        self._bar = self._bars.add_task(name, total=total, what=what)

    def advance(self, loss: float | None = None) -> None:
        """One step is done; ``loss`` is that of a training step."""
        self._done += 1
        self._losses += [] if loss is None else [loss]
        now = time.monotonic()
        self.seconds[self._name] = now - self._began
        if self._bar is not None:
            self._bars.advance(self._bar)
        if not self._console.is_terminal and (now - self._told >= EVERY or self._done == self._total):
            self._told = now
            left = (now - self._began) / self._done * (self._total - self._done)
            what = f" {self._what}" if self._what else ""
            loss_told = f", loss {self._loss():.3f}" if self._losses else ""
            self._console.print(
                f"{self._name}: {self._done} of {self._total}{what}{loss_told}, {left:.0f} s left",
                highlight=False,
            )

    def record(self) -> dict[str, Any]:
        """Of the stage that ended: its seconds and, as far as it had any, the mean of its last losses."""
        return {"seconds": round(self.seconds[self._name], 1)} | (
            {"loss": round(self._loss(), 4)} if self._losses else {}
        )

    def _loss(self) -> float:
        """Mean of the last losses."""
        last = self._losses[-max(1, int(self._total * LAST)) :]
        return sum(last) / len(last)

    def __enter__(self) -> Stages:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
