"""The sheet that one window is drawn on: colour, height, light and truth, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Window
from geoalps.sample.noise import Grid, value_noise
from geoalps.sample.things import OTHER, Colour, Patch, Points
from geoalps.segments import ranges

WOBBLE = 1.3
"""Metres by which the borders of natural ground waver."""
HARD = 10
"""Patches of this layer and above have the borders that they were given."""


@dataclass(eq=False)
class Canvas:
    """A window's pixels while they are drawn; arrays are (height, width) unless said otherwise."""

    window: Window
    """The pixels drawn, in the scene's frame; may reach out of the scene."""
    pixel: float
    """Metres of one pixel."""
    key: int
    """Of the noise."""

    def __post_init__(self) -> None:
        shape = self.window.shape
        self.colour: NDArray[np.float32] = np.zeros((*shape, 3), np.float32)
        """(height, width, 3) float32 in 0..255: as in full sun."""
        self.height: Grid = np.zeros(shape, np.float32)
        """float32 metres above ground."""
        self.shade: Grid = np.ones(shape, np.float32)
        """float32: how much sun a surface gets by its slope; 1 when flat."""
        self.classes: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.instances: NDArray[np.uint32] = np.zeros(shape, np.uint32)
        self.fine, self.mid, self.broad, self.veer, self.slow = (
            value_noise(self.window, metres / self.pixel, self.key + n)
            for n, metres in enumerate((max(0.45, 1.5 * self.pixel), 1.7, 6.5, 6.5, 38.0))
        )

    def fill(self, outline: Points) -> NDArray[np.int64]:
        """Flat indices of the pixels whose centres lie in a polygon (even-odd), row by row.

        Args:
            outline: (n, 2) float64 metres.
        """
        x, y = outline[:, 0] / self.pixel, outline[:, 1] / self.pixel
        window = self.window
        if x.max() < window.col0 or x.min() > window.col1 or y.max() < window.row0 or y.min() > window.row1:
            return np.zeros(0, np.int64)
        x1, y1 = np.append(x[1:], x[0]), np.append(y[1:], y[0])
        first = np.ceil(np.minimum(y, y1) - 0.5).astype(np.int64)
        stop = np.ceil(np.maximum(y, y1) - 0.5).astype(np.int64)
        first = np.maximum(first, window.row0)
        count = np.maximum(0, np.minimum(stop, window.row1) - first)
        edge, row = np.repeat(np.arange(len(x)), count), ranges(first, count)
        run = x1[edge] - x[edge]
        cross = x[edge] + run * ((row + 0.5 - y[edge]) / np.where(y1 == y, 1.0, y1 - y)[edge])
        order = np.lexsort((cross, row))
        row, cross = row[order], cross[order]
        ends = np.minimum(np.maximum(np.ceil(cross - 0.5).astype(np.int64), window.col0), window.col1)
        start = (row[::2] - window.row0) * window.width + ends[::2] - window.col0
        return ranges(start, ends[1::2] - ends[::2])

    def near(self, x: float, y: float, reach: float) -> Window:
        """The part of the window within ``reach`` metres of a place; perhaps empty."""
        row0, col0 = int((y - reach) / self.pixel) - 1, int((x - reach) / self.pixel) - 1
        size = int(2 * reach / self.pixel) + 4
        return Window(row0, col0, row0 + size, col0 + size).clip(self.window)

    def local(self, part: Window, pose: tuple[float, float, float]) -> tuple[Grid, Grid]:
        """Metres along and across a pose (x, y, angle) of every pixel centre of a part, float32."""
        dx = (np.arange(part.col0, part.col1) + 0.5) * self.pixel - pose[0]
        dy = (np.arange(part.row0, part.row1) + 0.5) * self.pixel - pose[1]
        cos, sin = float(np.cos(pose[2])), float(np.sin(pose[2]))
        along = (dx * cos)[None, :] + (dy * sin)[:, None]
        across = (dy * cos)[:, None] - (dx * sin)[None, :]
        return along.astype(np.float32), across.astype(np.float32)

    def put(
        self,
        part: Window,
        mask: NDArray[np.bool_],
        colour: Colour | NDArray[np.float32],
        height: float | Grid | None = None,
        shade: float | Grid | None = None,
        truth: tuple[int, int] | None = None,
    ) -> None:
        """Write one thing where ``mask`` is True.

        Args:
            part: where the mask lies.
            mask: bool of the part's shape.
            colour: one, or (height, width, 3) of the part.
            height: metres, one or of the part's shape; None keeps what is there.
            shade: as height.
            truth: class id and instance id; None keeps what is there.
        """
        view = part.slices(self.window)
        self.colour[view][mask] = colour[mask] if isinstance(colour, np.ndarray) else np.asarray(colour, np.float32)
        for target, value in ((self.height, height), (self.shade, shade)):
            if value is not None:
                target[view][mask] = value[mask] if isinstance(value, np.ndarray) else value
        if truth is not None:
            self.classes[view][mask], self.instances[view][mask] = truth

    def lay(self, patches: Sequence[Patch]) -> None:
        """Draw the ground: all patches of the window, in order; must come first."""
        table = _Table(patches)
        looks = np.zeros(self.window.shape, np.int32)
        truth = np.zeros(self.window.shape, np.int32)
        soft = [n for n, patch in enumerate(patches) if patch.layer < HARD]
        self._paint(soft, patches, looks, truth)
        rows, cols = self._waver()
        looks, truth = looks[rows, cols], truth[rows, cols]
        self._paint((n for n, patch in enumerate(patches) if patch.layer >= HARD), patches, looks, truth)
        self.classes[:], self.instances[:] = table.kind[truth], table.instance[truth]
        for patch in patches:
            if patch.height:
                self.height.ravel()[self.fill(patch.outline)] = patch.height
        self._dye(table, looks)

    def _paint(
        self, which: Iterable[int], patches: Sequence[Patch], looks: NDArray[np.int32], truth: NDArray[np.int32]
    ) -> None:
        """Draw patches by their index: 1 + it into the looks, and into the truth too unless the patch is paint only."""
        for n in which:
            inside = self.fill(patches[n].outline)
            looks.ravel()[inside] = n + 1
            if not patches[n].paint:
                truth.ravel()[inside] = n + 1

    def _waver(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column from which each pixel takes its natural ground."""
        reach = WOBBLE / self.pixel
        height, width = self.window.shape
        down = np.rint((self.broad + 0.4 * self.mid) * reach).astype(np.int64)
        aside = np.rint((self.veer + 0.4 * self.mid) * reach).astype(np.int64)
        rows = np.clip(np.arange(height)[:, None] + down, 0, height - 1)
        return rows, np.clip(np.arange(width)[None, :] + aside, 0, width - 1)

    def _dye(self, table: _Table, looks: NDArray[np.int32]) -> None:
        """Colour of every pixel's surface, with its noise and rows."""
        tone = 1 + table.grain[looks] * self.fine
        tone += table.mottle[looks] * (0.55 * self.mid + 0.6 * self.broad)
        tone += table.drift[looks] * self.slow
        striped = np.flatnonzero(table.depth[looks.ravel()])
        if len(striped):
            tone.ravel()[striped] += self._rows(table, looks.ravel()[striped], striped)
        for band in range(3):
            np.multiply(table.colour[looks, band], tone, out=self.colour[..., band])
        # Dry and lush: what grows turns yellower and greener over tens of metres.
        lush = table.drift[looks] * self.slow * 60
        self.colour[..., 0] -= lush
        self.colour[..., 2] -= 0.4 * lush

    def _rows(self, table: _Table, look: NDArray[np.int32], pixels: NDArray[np.int64]) -> Grid:
        """Relative brightness of crop rows and tramlines for some pixels, float32."""
        row, col = np.divmod(pixels, self.window.width)
        x = (col + (self.window.col0 + 0.5)) * self.pixel
        y = (row + (self.window.row0 + 0.5)) * self.pixel
        across = x * table.cos[look] + y * table.sin[look] + 0.9 * self.slow.ravel()[pixels]
        # Rows finer than two pixels would only beat against the pixel grid.
        spacing = np.maximum(table.spacing[look], 2.6 * self.pixel)
        phase = across / spacing
        wave = np.abs(2 * (phase - np.floor(phase)) - 1)
        tone = table.depth[look] * (wave * wave * (3 - 2 * wave) * 2 - 1) * (1 + 0.5 * self.broad.ravel()[pixels])
        every = table.tramline[look]
        far = np.abs((across / every - np.floor(across / every) - 0.5) * every)
        rows: Grid = (tone - 0.14 * (np.abs(far - 0.95) < 0.32)).astype(np.float32)
        return rows


class _Table:
    """Columns of all patches' surfaces and truth; row 0 is bare ground."""

    def __init__(self, patches: Sequence[Patch]) -> None:
        looks = [patch.surface for patch in patches]

        def column(first: float, values: list[Any], dtype: Any = np.float32) -> NDArray[Any]:
            """(1 + patches,) array: the value of bare ground, then one a patch."""
            return np.array([first, *values], dtype)

        self.colour = np.array([(120, 116, 90), *(look.colour for look in looks)], np.float32)
        self.grain = column(0.1, [look.grain for look in looks])
        self.mottle = column(0.1, [look.mottle for look in looks])
        self.drift = column(0.1, [look.drift for look in looks])
        self.depth = column(0, [look.row_depth for look in looks])
        self.spacing = column(1, [look.row_spacing for look in looks], np.float64)
        self.tramline = column(1e9, [look.tramline or 1e9 for look in looks], np.float64)
        self.cos = np.cos(column(0, [look.row_angle for look in looks], np.float64))
        self.sin = np.sin(column(0, [look.row_angle for look in looks], np.float64))
        self.kind = column(OTHER, [patch.kind for patch in patches], np.uint8)
        self.instance = column(0, [patch.instance for patch in patches], np.uint32)
