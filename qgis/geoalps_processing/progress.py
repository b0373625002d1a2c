"""What geoalps tells while it works, as one figure from 0 to 100 and lines to show."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

TOLD_EVERY = 10.0
"""Seconds between two lines about one stage."""
WEIGHTS: Mapping[str, Sequence[Mapping[str, float]]] = {
    "tile-label": [{"segment": 66, "stitch": 4, "adapt": 2, "fit": 6, "paint": 9, "polygons": 6, "product": 7}],
    "relabel": [{"relabel": 100}],
    "evaluate": [{"evaluate": 100}],
    "export": [{"objects": 100}, {"cover": 10, "chips": 90}, {"sgo": 100}, {"stac": 100}],
}
"""Command -> the ways that it may go, of which a run goes one (a format is one): stages in their order, and about how
much of the work each is. The last one ends every run."""
STEPS = {"segment": "tiles", "stitch": "tiles", "paint": "tiles", "polygons": "tiles", "evaluate": "tiles"}
"""What the steps of a stage are, where it helps to know."""


@dataclass(frozen=True)
class Steps:
    """Where a stage is."""

    stage: str
    done: int
    total: int
    seconds_left: float | None
    note: str


@dataclass(frozen=True)
class Told:
    """A line for the user: kind ``info``, ``warning`` or ``error``."""

    kind: str
    text: str


def parse(line: str) -> Steps | Told | None:
    """What a line of standard error means; None for an empty one. A line that is no event is text."""
    text = line.strip()
    if text.startswith("{"):
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if isinstance(event, dict) and "tell" in event:
            return Told("info", str(event["tell"]))
        if isinstance(event, dict) and {"stage", "done", "total"} <= set(event):
            return _steps(event) or Told("info", text)
    if text.startswith("Warning: "):
        return Told("warning", text[len("Warning: ") :])
    if text.startswith("Error: "):
        return Told("error", text[len("Error: ") :])
    return Told("info", text) if text else None


def _steps(event: Mapping[str, object]) -> Steps | None:
    """The event, if its figures are figures."""
    done, total, left = event["done"], event["total"], event.get("seconds_left")
    numbers = [value for value in (done, total, left) if value is not None]
    if len(numbers) < 2 or not all(isinstance(value, (int, float)) for value in numbers):
        return None
    return Steps(str(event["stage"]), int(done), int(total), left, str(event.get("note", "")))


class Overall:
    """Stage after stage as one percentage that never goes back."""

    def __init__(self, command: str) -> None:
        self._ways = WEIGHTS.get(command, [])
        self.percent = 0.0

    def at(self, steps: Steps) -> float:
        """The percentage, 0 to 100, once a stage is there."""
        way = next((way for way in self._ways if steps.stage in way), None)
        if way is not None:
            names = list(way)
            before = sum(way[name] for name in names[: names.index(steps.stage)])
            part = min(max(steps.done / steps.total, 0.0), 1.0) if steps.total > 0 else 1.0
            self.percent = max(self.percent, 100 * (before + part * way[steps.stage]) / sum(way.values()))
        return self.percent


class Listener:
    """Hears lines of geoalps and passes on what they mean.

    Args:
        command: of geoalps, such as ``tile-label``.
        percent: takes a percentage.
        say: takes the kind of a line (``info``, ``warning``, ``stage``) and the line.
        clock: seconds.
    """

    def __init__(
        self,
        command: str,
        percent: Callable[[float], None],
        say: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._overall, self._percent, self._say, self._clock = Overall(command), percent, say, clock
        self._stage, self._told = "", 0.0

    def __call__(self, line: str) -> None:
        """Hear a line."""
        event = parse(line)
        if isinstance(event, Steps):
            self._percent(self._overall.at(event))
            self._tell_stage(event)
        elif event is not None and event.kind != "error":  # the error is what the run ends with
            self._say(event.kind, event.text)

    def _tell_stage(self, steps: Steps) -> None:
        """A line when a stage begins and ends, and now and then in between."""
        now, new = self._clock(), steps.stage != self._stage
        last = steps.total > 0 and steps.done >= steps.total
        if new or last or now - self._told >= TOLD_EVERY:
            self._stage, self._told = steps.stage, now
            self._say("stage", stage_line(steps))


def stage_line(steps: Steps) -> str:
    """``segment: 3 of 20 tiles, 2 min left``."""
    unit = f" {STEPS[steps.stage]}" if steps.stage in STEPS else ""
    done = steps.total > 0 and steps.done >= steps.total
    left = "" if steps.seconds_left is None or done else f", {duration(steps.seconds_left)} left"
    note = f", {steps.note}" if steps.note else ""
    return f"{steps.stage}: {steps.done} of {steps.total}{unit}{left}{note}"


def duration(seconds: float) -> str:
    """Seconds as people say it: ``40 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
