"""Forecasts: what a run would do and take, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoalps.grid import TileGrid
from geoalps.io.scene import Scene
from geoalps.labeling.trying import Tried


@dataclass(frozen=True)
class ScenePlan:
    """What is planned for one scene."""

    scene: Scene
    """Opened."""
    grid: TileGrid
    """Its tiles."""
    folder: Path
    """Where the product goes, or the store when there is to be none."""
    done: int
    """Tiles that are in the store already and would not be done again."""
    valid: float
    """Share of pixels with data, as far as was looked."""
    objects: int
    """About how many there will be."""
    store_bytes: int
    """About what the store will take more than it does now."""
    product_bytes: int
    """About what the product will take; 0 when there is to be none."""
    scratch_bytes: int
    """About what else is on the disk for a while."""
    free_bytes: int
    """Free where all this goes."""
    tried: Tried
    """What was really segmented."""
    seconds: float
    """About what the run takes for this scene."""

    @property
    def read_again(self) -> float:
        """Share of pixels that are read once more, as margins: 0.5 is half as many again as there are."""
        return read_pixels(self.grid) / self.grid.scene.area - 1

    @property
    def disk_bytes(self) -> int:
        """All that will be on the disk at a time."""
        return self.store_bytes + self.product_bytes + self.scratch_bytes


@dataclass(frozen=True)
class Plan:
    """What a run would do and take."""

    scenes: tuple[ScenePlan, ...]
    """One a scene."""
    processes: int
    """Worker processes; 0 where threads of this process do it."""
    threads: int
    """Of each process."""
    memory_bytes: int
    """At the peak, all processes together."""
    worker_bytes: int
    """At the peak, for each tile in work."""
    free_memory: int
    """That can be taken on this machine now."""
    seconds: float
    """Expected, from the command to its end."""
    spread: float
    """Factor by which the seconds may be off, both ways."""

    @property
    def shortages(self) -> tuple[str, ...]:
        """What will not suffice, and what to do about it."""
        short = []
        if self.memory_bytes > self.free_memory:
            short.append("memory will not suffice: fewer --workers or --threads, or a smaller --tile-size")
        places: dict[Path, list[ScenePlan]] = {}
        for each in self.scenes:
            places.setdefault(each.folder.absolute().parent, []).append(each)
        for place, those in places.items():
            if sum(each.disk_bytes for each in those) > min(each.free_bytes for each in those):
                short.append(f"the disk of {place} will not suffice: free some, or use -o for another one")
        return tuple(short)


def read_pixels(grid: TileGrid) -> int:
    """Pixels of all windows of a grid."""
    rows = sum(grid[row, 0].window.height for row in range(grid.rows))
    return rows * sum(grid[0, col].window.width for col in range(grid.cols))


def largest_window(grid: TileGrid) -> int:
    """Pixels of the largest window of a grid: beyond the second row and column none is larger."""
    return max(grid[row, col].window.area for row in range(min(grid.rows, 2)) for col in range(min(grid.cols, 2)))
