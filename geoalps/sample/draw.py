"""Draws what stands on the ground: roofs, vehicles, ships, crowns of trees."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Window
from geoalps.sample.canvas import Canvas
from geoalps.sample.noise import Grid
from geoalps.sample.things import SHIP, TREE, VEHICLE, WATER, Block, Detail, Ship, Vehicle
from geoalps.segments import ranges

Slope = tuple[float, float]
"""Of the sun's ray in x and y, per metre of height."""


def draw_block(canvas: Canvas, block: Block, sun: Slope) -> None:
    """A block's roof where it is the highest; its planes are lighter or darker by how they face the sun."""
    pose = block.x, block.y, block.angle
    part = canvas.near(block.x, block.y, math.hypot(block.length, block.width) / 2)
    if not part.area:
        return
    along, across = canvas.local(part, pose)
    end: Grid = np.float32(block.length / 2) - np.abs(along)
    side: Grid = np.float32(block.width / 2) - np.abs(across)
    inside = (end > 0) & (side > 0)
    rise = side if block.roof == "gable" else np.minimum(end, side)
    height: Grid = np.float32(block.eaves) + np.float32(block.slope) * rise
    inside &= height >= canvas.height[part.slices(canvas.window)]
    shade = _shade(block, along, across, end < side, sun)
    colour = _roofing(canvas, block, part, along, across, side)
    canvas.put(part, inside, colour, height, shade, (block.kind, block.instance))
    if block.roof == "flat" and block.width > 6:
        rim = inside & (np.minimum(end, side) < max(0.45, canvas.pixel))
        canvas.put(part, rim, _lighter(block.colour, 1.16), height + np.float32(0.5))
    for detail in block.details:
        _draw_detail(canvas, pose, detail, block.eaves, block.instance)


def _shade(block: Block, along: Grid, across: Grid, ends: NDArray[np.bool_], sun: Slope) -> Grid:
    """Sun on each plane of the roof, 1 when flat."""
    if block.slope == 0:
        return np.ones_like(along)
    cos, sin = math.cos(block.angle), math.sin(block.angle)
    fall_side = block.slope * (sun[1] * cos - sun[0] * sin)
    fall_end = block.slope * (sun[0] * cos + sun[1] * sin)
    shade = np.where(across > 0, 1 + fall_side, 1 - fall_side)
    if block.roof == "hip":
        shade = np.where(ends, np.where(along > 0, 1 + fall_end, 1 - fall_end), shade)
    out: Grid = np.clip(shade / math.sqrt(1 + block.slope**2), 0.25, 1.45).astype(np.float32)
    return out


def _roofing(canvas: Canvas, block: Block, part: Window, along: Grid, across: Grid, side: Grid) -> NDArray[np.float32]:
    """(h, w, 3) float32 colour of a roof without its shade: weather, ribs or tiles, a bright ridge."""
    view = part.slices(canvas.window)
    tone = 1 + 0.04 * canvas.fine[view] + 0.045 * canvas.mid[view] + 0.03 * canvas.broad[view]
    if block.ribs > 2.2 * canvas.pixel:
        phase = (along if block.roof == "flat" or block.slope < 0.2 else side) / np.float32(block.ribs)
        tone = tone * (1 + 0.07 * (np.abs(2 * (phase - np.floor(phase)) - 1) - np.float32(0.5)))
    if block.slope > 0.2:
        tone = tone * np.where(np.abs(across) < 0.22, 1.12, 1.0)
    colour: NDArray[np.float32] = (tone[..., None] * np.asarray(block.colour)).astype(np.float32)
    return colour


def _lighter(colour: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    """A colour times a factor."""
    return colour[0] * by, colour[1] * by, colour[2] * by


def _draw_detail(canvas: Canvas, pose: tuple[float, float, float], detail: Detail, floor: float, owner: int) -> None:
    """A box that stands on something of the same instance; flat ones keep the shade of what they lie on."""
    x, y, angle = pose
    x += detail.along * math.cos(angle) - detail.across * math.sin(angle)
    y += detail.along * math.sin(angle) + detail.across * math.cos(angle)
    part = canvas.near(x, y, math.hypot(detail.length, detail.width) / 2)
    if not part.area:
        return
    along, across = canvas.local(part, (x, y, angle))
    view = part.slices(canvas.window)
    mask = (np.abs(along) < detail.length / 2) & (np.abs(across) < detail.width / 2)
    mask &= (canvas.instances[view] == owner) & (canvas.height[view] < floor + 7)
    height = canvas.height[view] + np.float32(max(detail.rise, 0.0))
    canvas.put(part, mask, detail.colour, height, 1.0 if detail.rise > 0.3 else None)


def draw_vehicle(canvas: Canvas, vehicle: Vehicle) -> None:
    """A body with rounded corners, dark windows across it, a lighter roof or a load."""
    length, width = vehicle.length, vehicle.width
    part = canvas.near(vehicle.x, vehicle.y, length * 0.55)
    if not part.area:
        return
    along, across = canvas.local(part, (vehicle.x, vehicle.y, vehicle.angle))
    far, wide = np.abs(along) / np.float32(length / 2), np.abs(across) / np.float32(width / 2)
    mask = (far < 1) & (wide < 1) & (far + 0.45 * wide < 1.36)
    canvas.put(part, mask, vehicle.colour, 1.1 if length < 7 else 2.8, 1.0, (VEHICLE, vehicle.instance))
    place = along / np.float32(length)
    if length < 7:
        glass = mask & (wide < 0.82)
        windscreen = (place > 0.10) & (place < 0.22)
        rear = (place < -0.30) & (place > -0.38)
        canvas.put(part, glass & (windscreen | rear), (46, 52, 58))
        canvas.put(part, mask & (place > -0.30) & (place < 0.10) & (wide < 0.78), _lighter(vehicle.load, 1.07), 1.5)
    else:
        front = 0.5 - vehicle.cab
        canvas.put(part, mask & (place < front - 0.02), vehicle.load, 3.4)
        canvas.put(part, mask & (place > 0.45) & (place < 0.48), (48, 54, 60))
        canvas.put(part, mask & (np.abs(place - front + 0.01) < 0.014), (58, 58, 58), 1.0)


def draw_wake(canvas: Canvas, ship: Ship) -> None:
    """White water behind a ship under way, on water only; comes before the ships."""
    part = canvas.near(ship.x, ship.y, ship.length / 2 + ship.wake)
    if not ship.wake or not part.area:
        return
    along, across = canvas.local(part, (ship.x, ship.y, ship.angle))
    view = part.slices(canvas.window)
    behind = (-along - np.float32(ship.length * 0.40)) / np.float32(ship.wake)
    spread = np.float32(ship.width * 0.42) + behind * np.float32(ship.wake * 0.06)
    core = np.clip(1 - np.abs(across) / np.maximum(spread, 0.1), 0, 1) * np.clip(1 - behind, 0, 1) ** 2
    bow = (np.float32(ship.length * 0.5) - along) / np.float32(ship.wake)
    arm = np.float32(ship.width * 0.3) + bow * np.float32(ship.wake * 0.26)
    arms = np.clip(1 - np.abs(np.abs(across) - arm) / np.float32(0.5 + 0.03 * ship.length), 0, 1)
    arms = arms * np.clip(1 - 1.5 * bow, 0, 1) * (bow > 0)
    foam = np.clip(core * (behind > 0) * 0.8 + 0.45 * arms, 0, 1)
    foam = np.clip(foam * (1 + 0.7 * canvas.fine[view] + 0.4 * canvas.mid[view]), 0, 0.85)
    foam = foam * (canvas.classes[view] == WATER)
    canvas.colour[view] += foam[..., None] * (np.array([205, 212, 210], np.float32) - canvas.colour[view])


def draw_ship(canvas: Canvas, ship: Ship) -> None:
    """A hull with a pointed bow and a rounded stern, a light rail, and what stands on deck."""
    pose = ship.x, ship.y, ship.angle
    part = canvas.near(ship.x, ship.y, ship.length * 0.55)
    if not part.area:
        return
    along, across = canvas.local(part, pose)
    place = along / np.float32(ship.length)
    bow = np.clip((place - 0.16) / 0.34, 0, 1)
    stern = np.clip((-0.40 - place) / 0.10, 0, 1)
    half = np.float32(ship.width / 2) * (1 - bow * bow) * (1 - 0.25 * stern)
    # Only on water, so that bridges stay above it.
    afloat = np.isin(canvas.classes[part.slices(canvas.window)], (WATER, SHIP))
    mask = (np.abs(place) < 0.5) & (np.abs(across) < half) & afloat
    board = 0.8 if ship.length < 16 else 2.5
    canvas.put(part, mask, _lighter(ship.colour, 0.72), board, 1.0, (SHIP, ship.instance))
    view = part.slices(canvas.window)
    rail = max(0.3, 0.06 * ship.width)
    tone = 1 + 0.05 * canvas.fine[view] + 0.05 * canvas.mid[view]
    deck: NDArray[np.float32] = (tone[..., None] * np.asarray(ship.colour)).astype(np.float32)
    canvas.put(part, mask & (np.abs(across) < half - rail), deck)
    for detail in ship.details:
        _draw_detail(canvas, pose, detail, board, ship.instance)


def draw_trees(canvas: Canvas, trees: NDArray[np.float64], sun: Slope) -> None:
    """Crowns as lumpy domes, higher ones over lower ones, lit on the side that faces the sun.

    Args:
        canvas: with everything else drawn.
        trees: (n, 8) float64 as in ``Content.trees``.
        sun: slope of its ray.
    """
    trees = trees[np.lexsort((trees[:, 7], trees[:, 3]))]
    stands = canvas.height.copy()
    # A thousand at a time bounds the memory; which thousand must not show, so all are held against the same heights.
    for start in range(0, len(trees), 1024):
        _draw_crowns(canvas, stands, trees[start : start + 1024], sun)


def _draw_crowns(canvas: Canvas, stands: Grid, trees: NDArray[np.float64], sun: Slope) -> None:
    """Some crowns at once, where they rise over what ``stands``; of two that cover a pixel, the later one is seen."""
    window, pixel = canvas.window, canvas.pixel
    radius = trees[:, 2] / pixel
    x, y = trees[:, 0] / pixel - window.col0, trees[:, 1] / pixel - window.row0
    top = np.clip(np.floor(y - 1.2 * radius), 0, window.height).astype(np.int64)
    left = np.clip(np.floor(x - 1.2 * radius), 0, window.width).astype(np.int64)
    tall = np.clip(np.ceil(y + 1.2 * radius), 0, window.height).astype(np.int64) - top
    wide = np.clip(np.ceil(x + 1.2 * radius), 0, window.width).astype(np.int64) - left
    count = np.maximum(tall, 0) * np.maximum(wide, 0)
    tree = np.repeat(np.arange(len(trees)), count)
    row, col = np.divmod(ranges(np.zeros(len(trees), np.int64), count), wide[tree])
    row, col = row + top[tree], col + left[tree]
    # Pixel centres in the scene's own frame, so that no window rounds them differently.
    dx = ((col + window.col0 + 0.5) * pixel - trees[tree, 0]) / trees[tree, 2]
    dy = ((row + window.row0 + 0.5) * pixel - trees[tree, 1]) / trees[tree, 2]
    flat = row * window.width + col
    away = dx * dx + dy * dy
    lumps = canvas.mid.ravel()[flat]
    keep = away < 0.86 + 0.34 * lumps
    tree, flat, dx, dy, away, lumps = (values[keep] for values in (tree, flat, dx, dy, away, lumps))
    height = trees[tree, 3] * (1 - 0.42 * np.minimum(away, 1.2) + 0.10 * lumps)
    over = height > stands.ravel()[flat] - 1.5
    tree, flat, dx, dy, away, lumps, height = (v[over] for v in (tree, flat, dx, dy, away, lumps, height))
    fine = canvas.fine.ravel()[flat]
    facing = (dx * sun[0] + dy * sun[1]) / math.hypot(*sun)
    shade = 0.86 + 0.42 * facing - 0.16 * away + 0.20 * lumps + 0.16 * fine
    canvas.colour.reshape(-1, 3)[flat] = trees[tree, 4:7] * (1 + 0.06 * fine)[:, None]
    canvas.shade.ravel()[flat] = np.clip(shade, 0.1, 1.5)
    canvas.height.ravel()[flat] = height
    canvas.classes.ravel()[flat] = TREE
    canvas.instances.ravel()[flat] = trees[tree, 7].astype(np.uint32)
