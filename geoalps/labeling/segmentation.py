"""Segmentation: one tile of a scene to its record in the store, on whatever worker."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geoalps.errors import PluginError, SceneError, TileError
from geoalps.grid import Tile, TileGrid, Window
from geoalps.io.report.preview import shrunk
from geoalps.io.scene import Scene
from geoalps.io.store import Store, TileRecord
from geoalps.io.stretch import Stretch
from geoalps.labeling.pool import mean_colours, pool
from geoalps.labeling.seams import Sight
from geoalps.labeling.spectra import Spectra
from geoalps.labeling.tasks import Stage, Workers
from geoalps.plugins import Describing, check_description, check_map, check_result, refuse_twice
from geoalps.progress import Progress
from geoalps.protocols import Adaptive, Bands, Encoder, MultiBand, PooledEmbeddings, Segmenter
from geoalps.segments import Segments

SEARCHED = 100_000_000
"""Pixels of an unreadable window in which the unreadable tile is looked for."""
SAMPLE_WINDOW, SAMPLES = 384, 4
"""An adaptive segmenter looks at SAMPLES x SAMPLES windows of this side, spread evenly."""
LARGEST = float(np.finfo(np.float16).max)
"""Number that the store can keep."""
NAMED = 5
"""Failures that an error tells one by one."""


@dataclass(frozen=True, eq=False)
class TileSegmentation:
    """The function of the stage ``segment``: reads a tile's window, segments it, pools, and writes the record."""

    scene: Scene
    stretch: Stretch
    spectra: Spectra
    segmenter: Segmenter
    encoder: Encoder | None
    max_area_fraction: float
    store: Store
    skip: bool
    """Whether pixels that cannot be read are taken for nodata."""

    def __post_init__(self) -> None:
        refuse_twice(self.segmenter, self.encoder)

    def __call__(self, tile: Tile) -> None:
        """Write one tile's record.

        Raises:
            SceneError: some of its pixels cannot be read; the text names the tile whose core they are in.
            PluginError: the segmenter or encoder breaks its protocol.
        """
        with naming_tile(self.scene, self.store.grid):
            record = self.record(tile)
        self.store.write(tile, record)

    def record(self, tile: Tile) -> TileRecord:
        """One encoder pass, the gate, empty masks dropped and counted, the rest pooled and described; a preview."""
        image, valid, *bands = see(self.segmenter, self.scene, self.stretch, self.spectra, tile.window)
        lost = sum(part.area for part in self.scene.unreadable(tile.window)) if self.skip else 0
        name = str(self.segmenter.identity.get("name", type(self.segmenter).__name__))
        segments, embedding = check_result(name, image, valid, self.segmenter.segment(image, valid, *bands))
        if self.encoder is not None:
            embedding = check_map(str(self.encoder.identity.get("name")), image, self.encoder.encode(image, valid))
        empty, gated = segments.areas == 0, self._gated(tile, segments)
        kept = ~(empty | gated)
        segments = segments.take(kept)
        values = embedding.values[kept] if isinstance(embedding, PooledEmbeddings) else pool(segments, embedding)
        if isinstance(self.segmenter, Describing):
            described = check_description(name, segments, self.segmenter.describe(image, valid, segments))
            values = np.concatenate([values, described], 1)
        if self.spectra.bands and len(segments):
            values = np.concatenate([values, self.spectra.means(segments, tile.window)], 1)
        if len(segments) and np.abs(values).max() > LARGEST:
            raise PluginError(
                f"the embeddings of {name!r} reach {np.abs(values).max():g}, and the store keeps them as float16, up "
                f"to {LARGEST:g}; scale them"
            )
        info = {"empty": int(empty.sum()), "gated": int(gated.sum()), "valid": int(valid.sum())}
        info = {**info, "unreadable": lost} if lost else info
        preview = shrunk(image, valid, tile, self.store.grid.shape)
        return TileRecord(segments, values, mean_colours(segments, image), valid, info, not lost, preview)

    def _gated(self, tile: Tile, segments: Segments) -> Any:
        """(n,) bool: masks over ``max_area_fraction`` of the window that the window does not cut."""
        if self.segmenter.partition:
            return np.zeros(len(segments), bool)
        cuts = Sight.of(tile, segments, self.store.grid.scene).cuts
        return (segments.areas > self.max_area_fraction * tile.window.area) & (cuts == 0)


@dataclass(eq=False)
class Failures:
    """Tiles that failed while the others went on."""

    store: Store
    skip: bool
    """Whether they get an empty record, so that the scene can be labelled without them."""
    tiles: dict[str, str] = field(default_factory=dict)
    """Name of a tile -> why."""

    def __call__(self, tile: Tile, error: Exception) -> None:
        """Note one."""
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, SceneError) and not text.startswith(tile.name):
            text = f"{tile.name}: {type(error).__name__}: {text}"
        self.tiles[tile.name] = text
        if self.skip:
            nothing = TileRecord(
                Segments.empty(), np.zeros((0, 0), np.float32), np.zeros((0, 3), np.uint8),
                np.zeros(tile.window.shape, bool), {"empty": 0, "gated": 0, "valid": 0, "failed": text},
                whole=False,
            )  # fmt: skip
            self.store.write(tile, nothing)

    def tell(self, total: int) -> None:
        """Raise what there is to be told.

        Raises:
            TileError: tiles failed and are not skipped.
        """
        if not self.tiles or self.skip:
            return
        # one damaged block fails every window that reaches over it, with the same words
        reasons = list(dict.fromkeys(self.tiles.values()))
        more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
        raise TileError(
            f"{len(self.tiles)} of {total} tiles failed: {'; '.join(reasons[:NAMED])}{more}; the others are kept: run "
            "the same command again to try only these, or with --on-error skip to leave what fails uncovered"
        )


def segment_tiles(function: TileSegmentation, tiles: list[Tile], workers: Workers, progress: Progress) -> None:
    """Do some tiles of a store.

    Raises:
        TileError: tiles failed; all others are done.
    """
    failures = Failures(function.store, function.skip)
    progress.start("segment", len(tiles))
    workers.run_stage(Stage("segment", function, failed=failures), tiles, progress)
    failures.tell(len(tiles))


@contextmanager
def naming_tile(scene: Scene, grid: TileGrid) -> Iterator[None]:
    """Whoever meets a block that cannot be read, the error names the tile whose core it lies in."""
    try:
        yield
    except SceneError as error:
        window = error.window
        if not isinstance(window, Window) or window.area > SEARCHED:
            raise
        for tile in grid.meeting(window):
            core = tile.core.clip(window)
            try:
                scene.read(core)
            except SceneError as found:
                raise SceneError(f"tile {tile.name}: {found}") from error
        raise


@contextmanager
def naming_tiles(scenes: Sequence[Scene], grids: Sequence[TileGrid]) -> Iterator[None]:
    """As :func:`naming_tile`, for work on several scenes."""
    with ExitStack() as stack:
        for scene, grid in zip(scenes, grids, strict=True):
            stack.enter_context(naming_tile(scene, grid))
        yield


def see(segmenter: Segmenter, scene: Scene, stretch: Stretch, spectra: Spectra, window: Window) -> tuple[Any, ...]:
    """What a segmenter gets of a window: image and validity, and where it wants them and there are any, the bands."""
    values, valid = scene.read(window)
    image = stretch(values, valid)
    if not (isinstance(segmenter, MultiBand) and segmenter.multiband):
        return image, valid
    # 8-bit values that nothing was computed from hold no more than the image
    if not spectra.bands and scene.dtype == "uint8" and not stretch.speckle:
        return image, valid
    return image, valid, Bands(stretch.exact(values, valid), spectra.read(window))


def adapt(segmenter: Segmenter, scene: Scene, stretch: Stretch, spectra: Spectra, store: Store) -> Segmenter:
    """The segmenter after it looked at the scene, when it is one that does; the same one after a restart."""
    if not isinstance(segmenter, Adaptive):
        return segmenter
    samples = (see(segmenter, scene, stretch, spectra, window) for window in sample_windows(scene.shape))
    adapted = segmenter.adapted(samples, ground_pixel(scene))
    store.keep_adapted(adapted.identity)
    return adapted


def ground_pixel(scene: Scene) -> float | None:
    """Side in metres of the pixel in the middle of a scene, as a square; None without a CRS, or off the ground."""
    row, col = (length // 2 for length in scene.shape)
    area = float(scene.cell_area(Window(row, col, row + 1, col + 1)).ravel()[0]) if scene.crs else math.nan
    return math.sqrt(area) if area > 0 else None


def sample_windows(shape: tuple[int, int]) -> list[Window]:
    """Windows spread evenly over a scene, a few hundred pixels each; the whole scene when it is small."""
    rows, cols = (_spans(length) for length in shape)
    return [Window(row0, col0, row1, col1) for row0, row1 in rows for col0, col1 in cols]


def _spans(length: int) -> list[tuple[int, int]]:
    count = min(SAMPLES, -(-length // SAMPLE_WINDOW))
    side = min(SAMPLE_WINDOW, -(-length // count))
    starts = [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
    return [(start, start + side) for start in starts]
