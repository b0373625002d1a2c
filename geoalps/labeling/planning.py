"""Planning: what a run would do and take, before it is begun; everything is checked, nothing is written."""

from __future__ import annotations

import heapq
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from geoalps.errors import OptionError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.machine import Machine, free_disk
from geoalps.io.scene import Scene
from geoalps.io.store import FORMAT, Store
from geoalps.labeling.checking import check_fitting, check_folder, is_usable, who_works
from geoalps.labeling.fitting import BUFFER
from geoalps.labeling.forecast import Plan, ScenePlan, largest_window
from geoalps.labeling.painting import Labelling
from geoalps.labeling.scenes import Shared, as_model, bands_of, product_folders, tile_label_scenes
from geoalps.labeling.segmentation import TileSegmentation, ground_pixel, naming_tile, sample_windows, see
from geoalps.labeling.spectra import Spectra
from geoalps.labeling.stages import (
    NumberOfClasses,
    SceneLike,
    as_scene,
    check_segmenting,
    fingerprint_of,
)
from geoalps.labeling.trying import Tried, resident, try_windows, warm_up
from geoalps.protocols import Adaptive

# What follows was fitted to real runs by benchmarks/plan.py; the reason stands beside each number.
LARGER = 1.3
"""A tile takes so much longer a pixel than a crop of it: more of it falls out of the cache, threads wait longer."""
PAINTING, WRITING = 0.6e-6, 0.1e-6
"""Seconds a pixel: paint and polygons by one worker; rasters, GeoPackage and classes, which are made by one."""
STARTED, REPORTED = 1.0, 3.0
"""Seconds: what a process imports; the report with its pictures."""
CLUSTERED = 5.0
"""Seconds until worker processes are there."""
LATER = 150_000_000
"""Bytes of libraries that are loaded after the tiles: tables, clustering."""
OBJECT = 110
"""Bytes that the process of the command holds for an object."""
RASTERS, SCRATCH = 0.15, 4.0
"""Bytes a pixel: labels and objects as finished rasters; objects once more, uncompressed, until they are."""
VERTICES, ROW = 24.0, 450.0
"""Bytes of the GeoPackage: for a run of pixels along a row, whose ends are corners; for an object."""
PAGE, PICTURES = 2_000_000, 1_400_000
"""Bytes of the report; of the pictures for it in the store."""
SCHEDULED = 20_000
"""Tiles of which is computed who takes which; of more, that they are even."""


def plan(
    scenes: Sequence[SceneLike] | SceneLike,
    out: str | Path | Sequence[str | Path] | None = None,
    n_classes: NumberOfClasses = 16,
    *,
    product: bool = True,
    **arguments: Any,
) -> Plan:
    """Look at what a run of :func:`geoalps.tile_label_scenes` with these arguments would do; write nothing.

    All is checked as the run checks it, the segmenter looks at the scenes as it would, and some windows of each are
    really segmented: this takes some seconds, more where a network has to see whole tiles.

    Args:
        scenes: one or several, as of the run.
        out: as of the run; the stores' directories when there is to be no product.
        n_classes: as of the run.
        product: False plans :func:`geoalps.segment_scenes`.
        **arguments: as of the run, by the same names and with the same defaults.

    Raises:
        GeoalpsError: what the run would raise before it begins.
        TypeError: the run has no such argument.
    """
    given = scenes if isinstance(scenes, list | tuple) else [scenes]
    call = signature(tile_label_scenes).bind(given, out, n_classes, **arguments)
    call.apply_defaults()
    asked = SimpleNamespace(**call.arguments)
    model = as_model(asked.class_model)
    if asked.adapt and model is None:
        raise OptionError("adapt is for a class model, and none is given; leave it out, or give class_model")
    opened = [as_scene(scene, bands_of(asked.bands, model), asked.nodata) for scene in given]
    folders = product_folders(opened, out)
    Labelling(asked.min_area, asked.simplify)
    check_fitting(n_classes, asked.normalisation)
    for folder in folders:
        check_folder(folder, asked.overwrite, product)
    grids = [TileGrid(scene.shape, asked.tile_size, asked.margin) for scene in opened]
    for scene, grid in zip(opened, grids, strict=True):
        check_segmenting(scene, grid, asked.max_area_fraction, asked.on_error)
    began = time.perf_counter()
    shared = Shared.of(
        opened, grids, model, asked.segmenter, asked.encoder, asked.with_shape, asked.stretch, asked.options,
        asked.on_error,
    )  # fmt: skip
    looked = time.perf_counter() - began
    processes, each = who_works(asked.workers, asked.threads)
    at_a_time = max(processes, 1) * each
    job = _Job(shared, asked.max_area_fraction, asked.on_error == "skip", asked.overwrite, product, at_a_time)
    planned = tuple(
        job.scene(scene, grid, folder, spectra)
        for scene, grid, folder, spectra in zip(opened, grids, folders, shared.spectra, strict=True)
    )
    start = STARTED + looked + (CLUSTERED if processes else 0)
    return job.sum_up(planned, processes, each, start)


@dataclass(eq=False)
class _Job:
    """What all scenes of a plan have in common, and the memory that was seen."""

    shared: Shared
    max_area_fraction: float
    skip: bool
    overwrite: bool
    product: bool
    at_a_time: int
    """Tiles in work at a time."""
    base: int = 0
    """Bytes of this process with the segmenter loaded, between tiles."""

    def scene(self, scene: Scene, grid: TileGrid, folder: Path, spectra: Spectra) -> ScenePlan:
        """The plan of one scene.

        Raises:
            StoreError: there is a store with other options.
        """
        seen = scene.forgiving() if self.skip else scene
        home = folder / "work" if self.product else folder
        store = self._store(seen, grid, home, spectra)
        missing = list(store.missing()) if is_usable(store, self.overwrite) else list(grid)
        began = time.perf_counter()
        with naming_tile(seen, grid):
            chosen = self.shared.segmenter
            if isinstance(chosen, Adaptive):
                looks = (see(chosen, seen, self.shared.stretch, spectra, part) for part in sample_windows(grid.shape))
                chosen = chosen.adapted(looks, ground_pixel(seen))
            adapting = time.perf_counter() - began if missing else 0.0
            function = TileSegmentation(
                seen,
                self.shared.stretch,
                spectra,
                chosen,
                self.shared.encoder,
                self.max_area_fraction,
                store,
                self.skip,
            )
            # what is loaded at the first window counts as a start, not as a part of every tile
            began = time.perf_counter()
            warm_up(function, _first(grid))
            adapting += time.perf_counter() - began if missing else 0.0
            self.base = max(self.base, resident())
            tried = try_windows(function, missing or list(grid), self.at_a_time)
        return self._expect(scene, grid, folder, missing, tried, adapting)

    def _store(self, scene: Scene, grid: TileGrid, home: Path, spectra: Spectra) -> Store:
        """The store as the run would open it; it need not be there."""
        shared = self.shared
        fingerprint = fingerprint_of(
            scene, grid, shared.stretch, spectra, shared.segmenter, shared.encoder, self.max_area_fraction
        )
        return Store(home.absolute(), json.loads(json.dumps({"format": FORMAT, **fingerprint})))

    def _expect(
        self, scene: Scene, grid: TileGrid, folder: Path, missing: list[Tile], tried: Tried, adapting: float
    ) -> ScenePlan:
        """What one scene takes, from what its tried windows took."""
        pixels = grid.scene.area * tried.valid
        areas = [tile.window.area * tried.valid for tile in missing]
        seconds = adapting + self._segmenting(areas, tried)
        if self.product:
            seconds += pixels * (PAINTING / min(self.at_a_time, len(grid), os.cpu_count() or 1) + WRITING) + REPORTED
        objects = pixels * tried.segments
        polygons = pixels * tried.runs * VERTICES + objects * ROW
        rasters = grid.scene.area * RASTERS
        kept = polygons / 6 + rasters + PICTURES if self.product else 0.0
        return ScenePlan(
            scene, grid, folder, len(grid) - len(missing), tried.valid, round(objects),
            store_bytes=round(sum(areas) * tried.stored + kept),
            product_bytes=round(polygons + rasters + PAGE) if self.product else 0,
            scratch_bytes=round(grid.scene.area * SCRATCH) if self.product else 0,
            free_bytes=free_disk(folder), tried=tried, seconds=seconds,
        )  # fmt: skip

    def _segmenting(self, areas: list[float], tried: Tried) -> float:
        """Seconds in which the workers segment windows with so many valid pixels."""
        if not self.shared.segmenter.partition or self.shared.encoder is not None:
            # networks take turns: side by side they take no less time than was seen
            return sum(areas) * tried.wall
        workers = min(self.at_a_time, max(os.cpu_count() or 1, len(tried.windows)))
        if len(areas) > SCHEDULED:
            return sum(areas) * tried.rate * LARGER / workers
        busy = [0.0] * workers
        for area in areas:
            heapq.heapreplace(busy, busy[0] + area)
        return max(busy) * tried.rate * LARGER

    def sum_up(self, planned: tuple[ScenePlan, ...], processes: int, threads: int, start: float) -> Plan:
        """All scenes together."""
        tile = max(each.tried.memory * largest_window(each.grid) for each in planned)
        at_once = min(self.at_a_time, max(len(each.grid) for each in planned))
        objects = max(each.objects for each in planned) * OBJECT + min(BUFFER, sum(e.objects for e in planned)) * 1000
        own = self.base + (0 if processes else at_once * tile)
        driver = max(own, self.base + LATER + objects if self.product else own)
        memory = driver + (processes * (self.base + threads * tile) if processes else 0)
        seconds, spread = start + sum(each.seconds for each in planned), max(each.tried.spread for each in planned)
        return Plan(
            planned, processes, threads, round(memory), round(tile), Machine.look().free_memory, seconds, spread
        )


def _first(grid: TileGrid) -> Tile:
    """A few pixels in the middle of a scene as a tile."""
    row, col = grid.shape[0] // 2, grid.shape[1] // 2
    window = Window(row, col, row, col).pad(32).clip(grid.scene)
    return Tile(0, 0, window, window)
