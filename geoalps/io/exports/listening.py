"""Who hears of an export's steps: bars, a log, or nobody."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Hears of the work; :class:`geoalps.progress.Bars` and ``Lines`` are two."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps are done."""
        ...


class Nobody:
    """Hears of nothing."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""
