"""Trying: some windows of a scene really segmented, to know what the whole of it takes.

A segmenter that partitions works pixel by pixel: crops of its tiles tell. Any other one (a network that sees every
window at one size) is tried on whole tiles. As many windows are in work at a time as there are workers, because they
share cores and memory as the run's tiles will. Nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa

from geoalps.errors import GeoalpsError, TileError
from geoalps.grid import Tile, Window
from geoalps.io.store import TileRecord
from geoalps.labeling.segmentation import TileSegmentation
from geoalps.labeling.tasks import Stage
from geoalps.labeling.workers import Threads
from geoalps.progress import Silence

CROP, TRIED_WHOLE = 512, 640
"""Pixels: the side of a crop, and the side up to which a tile's window is tried whole."""
FEW, MOST = 6, 16
"""Crops, at least: towns take longer than fields; and at most: more tell nothing new."""
LOOKED_AT = 24
"""Windows that are looked at to find some with data."""
EVERY = 0.01
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Tried:
    """What the tried windows took; per pixel means per valid pixel."""

    windows: tuple[Window, ...]
    """What was segmented; none where the scene holds no data, or all were skipped."""
    pixels: int
    """Valid ones in them."""
    valid: float
    """Share of valid pixels in all windows that were looked at."""
    seconds: tuple[float, ...]
    """A pixel, in each window, beside as many others."""
    wall: float
    """Seconds a pixel of all windows together, as they were in work side by side."""
    memory: float
    """Bytes a pixel of a window in work; of it alone."""
    segments: float
    """A pixel."""
    runs: float
    """Runs of pixels along rows, a pixel."""
    stored: float
    """Bytes a pixel of the compressed record."""

    @property
    def rate(self) -> float:
        """Seconds a pixel in one of the workers: the mean over the windows."""
        return float(np.mean(self.seconds)) if self.seconds else 0.0

    @property
    def spread(self) -> float:
        """By which factor the seconds may be off: the windows' own spread, and what a small sample cannot know."""
        if len(self.seconds) < 2:
            return 1.5
        return float(1.2 + 2 * np.std(self.seconds, ddof=1) / np.sqrt(len(self.seconds)) / max(self.rate, 1e-30))


def try_windows(function: TileSegmentation, tiles: Sequence[Tile], at_a_time: int) -> Tried:
    """Segment some windows as the run would.

    Args:
        function: the run's own, of a store that need not be there.
        tiles: of which to choose.
        at_a_time: windows in work side by side.

    Raises:
        TileError: the segmenter fails at one, and the run would not skip it.
    """
    chosen, valid = _choose(function, tiles, at_a_time)
    if not chosen:
        return _nothing(valid)
    run, at_once = _Run(function), min(at_a_time, len(chosen))
    with _Peak() as peak:
        began = time.perf_counter()
        Threads(at_once).run_stage(run.stage, chosen, Silence())
        wall = time.perf_counter() - began
    pixels = sum(record.valid.sum() for _, record, _ in run.done)
    if not pixels:
        return _nothing(valid)
    areas = sorted((tile.window.area for tile in chosen), reverse=True)
    return Tried(
        tuple(tile.window for tile, _, _ in run.done),
        int(pixels),
        valid,
        tuple(seconds / max(int(record.valid.sum()), 1) for _, record, seconds in run.done),
        wall / pixels,
        peak.bytes / sum(areas[:at_once]),
        sum(len(record.segments) for _, record, _ in run.done) / pixels,
        sum(len(record.segments.runs) for _, record, _ in run.done) / pixels,
        sum(_packed(record) for _, record, _ in run.done) / pixels,
    )


def warm_up(function: TileSegmentation, tile: Tile) -> None:
    """Segment a window of which nothing is wanted: what loads at the first one is there then.

    Raises:
        TileError: as of :func:`try_windows`.
    """
    Threads(1).run_stage(_Run(function).stage, [tile], Silence())


def _nothing(valid: float) -> Tried:
    """Of a scene without data, or whose windows all failed."""
    return Tried((), 0, valid, (), 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(eq=False)
class _Run:
    """The stage's function and sink, and what becomes of windows that fail."""

    function: TileSegmentation
    done: list[tuple[Tile, TileRecord, float]] = field(default_factory=list)
    """Windows, their records, and how many seconds each took."""

    @property
    def stage(self) -> Stage[Tile, tuple[TileRecord, float]]:
        """What workers do."""
        return Stage("try", self, self.keep, self.leave_out)

    def __call__(self, tile: Tile) -> tuple[TileRecord, float]:
        """One window's record and its seconds."""
        began = time.perf_counter()
        return self.function.record(tile), time.perf_counter() - began

    def keep(self, tile: Tile, result: tuple[TileRecord, float]) -> None:
        """Take one result."""
        self.done.append((tile, *result))

    def leave_out(self, tile: Tile, error: Exception) -> None:
        """A window that failed tells nothing, where the run skips it.

        Raises:
            GeoalpsError: the run does not; errors that are none of ours as a TileError.
        """
        if self.function.skip:
            return
        if isinstance(error, GeoalpsError):
            raise error
        (row0, row1), (col0, col1) = (tile.window.row0, tile.window.row1), (tile.window.col0, tile.window.col1)
        text = " ".join(str(error).split())
        raise TileError(
            f"rows {row0} to {row1}, columns {col0} to {col1}: {type(error).__name__}: {text}; the run would fail "
            "there, too: mend the cause, or use --on-error skip to leave such tiles uncovered"
        ) from error


class _Peak:
    """How far the resident memory rises above what it was, in bytes, while a block runs."""

    bytes = 0

    def __enter__(self) -> _Peak:
        self._end, self._before = Event(), resident()
        self._watcher = Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._watcher.join()

    def _watch(self) -> None:
        """Look, until told to end."""
        while not self._end.wait(EVERY):
            self.bytes = max(self.bytes, resident() - self._before)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    return int(psutil.Process().memory_info().rss)


def _choose(function: TileSegmentation, tiles: Sequence[Tile], at_a_time: int) -> tuple[list[Tile], float]:
    """Windows to try, of those looked at the ones with most data; and the share of valid pixels in all of these."""
    crop = function.segmenter.partition and function.encoder is None and tiles[0].window.area > TRIED_WHOLE**2
    if crop:
        # half of a small scene is enough
        half = sum(tile.window.area for tile in tiles[:MOST]) // (2 * CROP**2)
        count = max(min(max(FEW, at_a_time), MOST, half), 1)
    else:
        count = min(at_a_time, MOST, len(tiles))
    looked = max(LOOKED_AT, count) if crop else min(max(LOOKED_AT, count), len(tiles))
    owners = [tiles[(2 * number + 1) * len(tiles) // (2 * looked)] for number in range(looked)]
    parts = [_part(tile, CROP if crop else None, number) for number, tile in enumerate(owners)]
    shares = [float(function.scene.read(part.window)[1].mean()) for part in parts]
    valid = float(np.average(shares, weights=[part.window.area for part in parts]))
    best = round(max(shares), 1)
    full = [part for part, share in zip(parts, shares, strict=True) if share > 0 and round(share, 1) == best]
    if len(full) < count:
        ranked = sorted((number for number in range(looked) if shares[number] > 0), key=lambda i: -shares[i])
        return [parts[number] for number in ranked[:count]], valid
    return [full[(2 * i + 1) * len(full) // (2 * count)] for i in range(count)], valid


def _part(tile: Tile, side: int | None, number: int) -> Tile:
    """A tile's window, or a crop of it somewhere else for every number, as a tile of its own."""
    window = tile.window
    if side is not None:
        height, width = min(window.height, side), min(window.width, side)
        # multiples of irrational numbers are spread evenly, however many there are
        row = window.row0 + round((number * 0.618034 % 1) * (window.height - height))
        col = window.col0 + round((number * 0.754878 % 1) * (window.width - width))
        window = Window(row, col, row + height, col + width)
    # numbered anew: several crops may be of one tile, and tasks go by their names
    return replace(tile, row=number, core=window, window=window)


def _packed(record: TileRecord) -> int:
    """Bytes of a record in the store, about: what it consists of, compressed as there."""
    arrays: list[Any] = [record.segments.runs.astype(np.int32), record.embeddings.astype(np.float16)]
    packed = sum(len(pa.compress(array.tobytes(), codec="zstd", asbytes=True)) for array in arrays if array.size)
    return packed + 7 * len(record.segments)
