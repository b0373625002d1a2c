"""How far training is, how long its stages took, and what they lost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.console import Console

from geoalps.progress import progress_for

LAST = 0.1
"""Share of a stage's end whose mean loss is told."""


class Stages:
    """Stages of training, one after the other, on standard error.

    Attributes:
        seconds: by name, of every stage so far.
    """

    def __init__(self) -> None:
        self._progress = progress_for(Console(stderr=True))
        self._open = ExitStack()
        self.seconds: dict[str, float] = {}
        self._name, self._total, self._losses = "", 0, list[float]()
        self._began = time.monotonic()

    def start(self, name: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._name, self._total, self._losses = name, total, []
        self._began = time.monotonic()
        self.seconds[name] = 0.0
        self._progress.start(name, total)

    def advance(self, loss: float | None = None) -> None:
        """One step is done; ``loss`` is that of a training step."""
        self._losses += [] if loss is None else [loss]
        self.seconds[self._name] = time.monotonic() - self._began
        self._progress.advance(note=f"loss {self._loss():.3f}" if self._losses else "")

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
        self._open.enter_context(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
