"""A made scene: any window of it, with its truth, in memory that depends on the window alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.grid import Window
from geoalps.sample.canvas import WOBBLE, Canvas
from geoalps.sample.districts import bounds, content
from geoalps.sample.draw import draw_block, draw_ship, draw_trees, draw_vehicle, draw_wake
from geoalps.sample.light import Light
from geoalps.sample.plan import CELL, Plan
from geoalps.sample.site import SPAN
from geoalps.sample.things import Content

PIECE = 1024
"""Larger windows are drawn in pieces of this many pixels a side."""


@dataclass(frozen=True, eq=False)
class SampleWindow:
    """One window of a made scene."""

    rgb: NDArray[np.uint8]
    """(height, width, 3) uint8."""
    classes: NDArray[np.uint8]
    """(height, width) uint8: index into ``CLASSES``; 0 is other ground."""
    instances: NDArray[np.uint32]
    """(height, width) uint32: one id per thing in the whole scene; 0 is none."""


@dataclass(frozen=True)
class SampleScene:
    """An aerial RGB scene that is computed, not stored: same seed, same pixels, whatever the windows.

    A scene is the upper left part of every larger scene of the same seed and pixel size.

    Raises:
        OptionError: a side without pixels, a pixel size outside 0.1..2 m, a scene over 80 km.
    """

    shape: tuple[int, int]
    """(height, width) in pixels."""
    seed: int = 0
    """Another seed is another place in another light."""
    pixel_size: float = 0.3
    """Metres."""

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise OptionError(f"the scene would be {self.shape[0]} x {self.shape[1]}; each side needs at least 1 pixel")
        if not 0.1 <= self.pixel_size <= 2:
            raise OptionError(f"pixel size is {self.pixel_size} m; allowed is 0.1 to 2")
        longest = CELL * (SPAN // 2 - 8)
        if math.hypot(*self.shape) * self.pixel_size > longest:
            raise OptionError(f"the scene would be over {longest / 1000:.0f} km across; make fewer or smaller pixels")

    @property
    def window(self) -> Window:
        """The whole scene."""
        return Window(0, 0, *self.shape)

    def read(self, window: Window) -> SampleWindow:
        """Image and truth of a window.

        Args:
            window: within the scene.

        Raises:
            OptionError: it reaches out of the scene.
        """
        if window not in self.window:
            raise OptionError(f"{window} reaches out of the scene of {self.shape[0]} x {self.shape[1]} pixels")
        out = SampleWindow(
            np.empty((*window.shape, 3), np.uint8), np.empty(window.shape, np.uint8), np.empty(window.shape, np.uint32)
        )
        for row in range(window.row0 // PIECE * PIECE, window.row1, PIECE):
            for col in range(window.col0 // PIECE * PIECE, window.col1, PIECE):
                piece = Window(row, col, row + PIECE, col + PIECE).clip(window)
                made = self._draw(piece)
                view = piece.slices(window)
                out.rgb[view], out.classes[view], out.instances[view] = made.rgb, made.classes, made.instances
        return out

    def _draw(self, piece: Window) -> SampleWindow:
        """One piece, drawn with as much around it as can reach into it."""
        light = Light(self.seed, self.pixel_size)
        margin = math.ceil(1.5 * WOBBLE / self.pixel_size) + light.blur_reach + 1
        rows, cols = light.reach
        window = Window(
            piece.row0 - margin + min(0, rows),
            piece.col0 - margin + min(0, cols),
            piece.row1 + margin + max(0, rows),
            piece.col1 + margin + max(0, cols),
        )
        plan = Plan(self.seed)
        canvas = Canvas(window, self.pixel_size, plan.key(31))
        box = tuple(v * self.pixel_size for v in (window.col0, window.row0, window.col1, window.row1))
        _fill(canvas, _contents(plan, (box[0], box[1], box[2], box[3])), light)
        view, near = piece.slices(window), piece.pad(light.blur_reach)
        wide = near.slices(window)
        lit = light.lit(canvas.height)[wide]
        rgb = light.expose(near, canvas.colour[wide], canvas.shade[wide], lit, plan.key(32))
        inner = piece.slices(near)
        return SampleWindow(rgb[inner], canvas.classes[view], canvas.instances[view])


def _contents(plan: Plan, box: tuple[float, float, float, float]) -> list[Content]:
    """Contents of all cells that reach into x0, y0, x1, y1 (metres), in a fixed order."""
    return [content(plan, i, j) for i, j in plan.cells(box) if _meet(bounds(plan, i, j), box)]


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Whether two boxes x0, y0, x1, y1 overlap."""
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]


def _fill(canvas: Canvas, contents: list[Content], light: Light) -> None:
    """Draw everything, from the ground up."""
    patches = [patch for c in contents for patch in c.patches]
    canvas.lay(sorted(patches, key=lambda patch: patch.layer))
    ships = [ship for c in contents for ship in c.ships]
    for ship in ships:
        draw_wake(canvas, ship)
    for ship in ships:
        draw_ship(canvas, ship)
    for vehicle in (v for c in contents for v in c.vehicles):
        draw_vehicle(canvas, vehicle)
    for block in (b for c in contents for b in c.blocks):
        draw_block(canvas, block, light.towards)
    draw_trees(canvas, np.concatenate([np.zeros((0, 8)), *(c.trees for c in contents)]), light.towards)
