"""From region numbers to surfaces: colour, height, slope of every pixel, by the table of regions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.sample.chips.noises import SIDE, Grid, noise_bank, octave_of, streak_bank
from geoalps.sample.chips.sheet import MARGIN, Sheet

SIDE_BITS = SIDE.bit_length() - 1


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What light falls on; arrays are of the chip with its margin."""

    albedo: NDArray[np.float32]
    """(height, width, 4) float32: red, green, blue, near infrared in full sun, 0..255."""
    height: Grid
    """Metres above ground."""
    slope: tuple[Grid, Grid]
    """Metres a surface rises per metre in x and y."""
    echo: Grid
    """Radar backscatter, decibels."""


def surfaces(sheet: Sheet) -> Surfaces:
    """Colour, height, slope and echo of every pixel of what was drawn."""
    fine, _ = sheet.maps()
    look = np.ascontiguousarray(fine[1::2, 1::2])
    table, pixel = _Table(sheet), sheet.pixel
    albedo = _softened(table.colour, fine)
    rows, cols = np.ogrid[: look.shape[0], : look.shape[1]]
    shift = sheet.rng.integers(SIDE, size=(2, len(sheet.looks)), dtype=np.int32)
    place = (((rows + shift[0].take(look)) & (SIDE - 1)) << SIDE_BITS) + ((cols + shift[1].take(look)) & (SIDE - 1))
    # Skew: some surfaces have dark specks on bright ground, some bright ones on dark.
    skew = (((shift[0] & 63) - 32) * np.float32(0.011)).astype(np.float32).take(look)
    mottle, patch = (_cut(octave_of(m, pixel), place) for m in (1.6, 7.0))
    tone = _grain(sheet, table, look, place)
    tone += table.mottle.take(look) * (mottle + skew * (mottle * mottle - 1))
    tone += table.patch.take(look) * (patch + skew * (patch * patch - 1))
    tone += table.drift.take(look) * _cut(octave_of(32.0, pixel), place)
    tone += 1
    x = ((cols[0] - MARGIN + 0.5) * pixel).astype(np.float32)
    y = ((rows[:, 0] - MARGIN + 0.5) * pixel).astype(np.float32)
    _add_rows(tone, table, look, x, y, patch, pixel)
    lumps = 0.55 * mottle + 0.75 * _cut(octave_of(0.8, pixel), place)
    height, slope = _relief(table, look, (x, y), lumps, tone, pixel)
    amount = np.where(table.small.take(look), mottle, patch)
    amount += table.spread.take(look)
    amount *= 0.5 * table.edge.take(look)
    amount += 0.5
    np.clip(amount, 0, 1, out=amount)
    albedo += table.change.take(look, axis=0) * amount[..., None]
    albedo *= np.maximum(tone, 0.15)[..., None]
    return Surfaces(albedo, height, slope, table.sar.take(look))


class _Table:
    """The regions' looks and reliefs as columns, float32."""

    def __init__(self, sheet: Sheet) -> None:
        looks = sheet.looks
        rgb = np.array([k.colour for k in looks], np.float32)
        nir = np.array([k.nir for k in looks], np.float32)
        nir = np.where(nir < 0, 0.3 * rgb.mean(1) + 0.7 * rgb.max(1), nir)
        other = np.array([k.other or k.colour for k in looks], np.float32)
        grown = nir > 1.3 * rgb.max(1)
        rgb[grown], other[grown] = _seasoned(rgb[grown], sheet.dry), _seasoned(other[grown], sheet.dry)
        nir[grown] *= 1 - 0.3 * max(0.0, sheet.dry)
        self.colour = np.column_stack([rgb, nir])
        mix = np.array([k.mix for k in looks], np.float32)
        ratio = other.sum(1) / np.maximum(rgb.sum(1), 1)
        self.change = (np.column_stack([other, nir * np.clip(ratio, 0.6, 1.1)]) - self.colour) * mix[:, None]
        names = (
            "spread", "edge", "small", "grain", "mottle", "patch", "drift", "row_depth", "row_spacing", "row_angle",
            "row_hard", "wobble", "cross_depth", "cross_spacing", "streak", "streak_width", "streak_ratio", "sar",
        )  # fmt: skip
        values = np.array([attrgetter(*names)(k) for k in looks], np.float32)
        (
            self.spread, self.edge, self.small, self.grain, self.mottle, self.patch, self.drift, self.row_depth,
            self.row_spacing, self.row_angle, self.row_hard, self.wobble, self.cross_depth, self.cross_spacing,
            self.streak, self.streak_width, self.streak_ratio, self.sar,
        ) = np.ascontiguousarray(values.T)  # fmt: skip
        self.small = self.small.astype(bool)
        self.relief = np.array(sheet.relief, np.float32)


def _seasoned(rgb: NDArray[np.float32], dry: float) -> NDArray[np.float32]:
    """Colours (n, 3) of what grows, between 1 for parched and -1 for lush and dark."""
    if dry < 0:
        return rgb * np.array([1 + 0.28 * dry, 1 + 0.12 * dry, 1 + 0.2 * dry], np.float32)
    straw = rgb.mean(1, keepdims=True) * np.array([1.22, 1.06, 0.78], np.float32)
    parched: NDArray[np.float32] = rgb + np.float32(dry) * (straw - rgb)
    return parched


def _softened(colour: NDArray[np.float32], fine: NDArray[np.int32]) -> NDArray[np.float32]:
    """(height, width, 4) colours, each the tent-weighted mean of 3 x 3 of the fine grid."""
    values = colour.take(fine, axis=0)
    lines = values[0:-2:2] + 2 * values[1:-1:2] + values[2::2]
    out: NDArray[np.float32] = (lines[:, 0:-2:2] + 2 * lines[:, 1:-1:2] + lines[:, 2::2]) * np.float32(1 / 16)
    return out


def _cut(octave: int, place: NDArray[Any]) -> Grid:
    """Noise at flat places of the bank."""
    grid: Grid = noise_bank(octave).take(place)
    return grid


def _grain(sheet: Sheet, table: _Table, look: NDArray[np.int32], place: NDArray[Any]) -> Grid:
    """Noise from pixel to pixel, weaker where a pixel holds many grains."""
    size = octave_of(0.3, sheet.pixel)
    fine = _cut(0, place) if size == 0 else 0.75 * _cut(size, place) + 0.5 * _cut(0, place)
    weight = min(1.2, (0.35 / sheet.pixel) ** 0.4)
    grid: Grid = table.grain.take(look) * fine * np.float32(weight)
    return grid


def _add_rows(tone: Grid, table: _Table, look: NDArray[np.int32], x: Grid, y: Grid, waver: Grid, pixel: float) -> None:
    """Add rows, cross rows and streaks, where a region has them and they are wide enough to be seen."""
    seen = np.clip((table.row_spacing / pixel - 1.6) / 1.2, 0, 1) * table.row_depth
    crossed = np.clip((table.cross_spacing / pixel - 1.6) / 1.2, 0, 1) * table.cross_depth
    at = np.flatnonzero(((seen != 0) | (crossed != 0) | (table.streak != 0)).take(look))
    if not len(at):
        return
    region = look.ravel().take(at)
    rows, cols = np.divmod(at, look.shape[1])
    dx, dy = x.take(cols), y.take(rows)
    cos, sin = np.cos(table.row_angle).take(region), np.sin(table.row_angle).take(region)
    across, along = dx * cos + dy * sin, dy * cos - dx * sin
    more = np.zeros(len(at), np.float32)
    for depth, spacing, away in ((seen, table.row_spacing, across), (crossed, table.cross_spacing, along)):
        if not depth.any():
            continue
        phase = away / spacing.take(region)
        phase += table.wobble.take(region) * waver.ravel().take(at)
        more += depth.take(region) * _profile(phase, table.row_hard.take(region))
    scale = (8 / np.maximum(table.streak_width, 1.6 * pixel)).astype(np.float32)
    u = (across * scale.take(region)).astype(np.int32) + region * 37
    v = (along * (scale * table.streak_ratio).take(region)).astype(np.int32) + region * 101
    more += table.streak.take(region) * streak_bank().take(((u & (SIDE - 1)) << SIDE_BITS) + (v & (SIDE - 1)))
    tone.ravel()[at] += more


def _profile(phase: Grid, hard: Grid) -> Grid:
    """Waves in -1..1: of hardness above 1 with flat tops and bottoms, below 0 thin dark joints with wide tops."""
    wave = np.cos(2 * math.pi * phase)
    joint = np.minimum(1, -hard * (1 - wave) * 0.35) * 1.2 - 1
    grid: Grid = np.where(hard < 0, joint, np.clip(wave * np.abs(hard), -1, 1))
    return grid


def _relief(
    table: _Table, look: NDArray[np.int32], place: tuple[Grid, Grid], lumps: Grid, tone: Grid, pixel: float
) -> tuple[Grid, tuple[Grid, Grid]]:
    """Height and slopes; domes (crowns, rocks, heaps) are lumpy, darker at their rims, sloped as their height is."""
    relief, (x, y) = table.relief, place
    height = relief[:, 0].take(look)
    east, south = relief[:, 1].take(look), relief[:, 2].take(look)
    tilted = np.flatnonzero((east != 0) | (south != 0))
    rows, cols = np.divmod(tilted, look.shape[1])
    mine = relief.take(look.ravel().take(tilted), axis=0)
    height.ravel()[tilted] += (x.take(cols) - mine[:, 3]) * mine[:, 1] + (y.take(rows) - mine[:, 4]) * mine[:, 2]
    domed = np.flatnonzero((relief[:, 5] > 0).take(look))
    if not len(domed):
        return height, (east, south)
    rows, cols = np.divmod(domed, look.shape[1])
    mine = relief.take(look.ravel().take(domed), axis=0)
    away = np.hypot(x.take(cols) - mine[:, 3], y.take(rows) - mine[:, 4]) / mine[:, 5]
    round_, lump, cone = np.sqrt(np.maximum(0.02, 1.15 - away * away)), mine[:, 7], mine[:, 8]
    lift = round_ + cone * (np.maximum(0.05, 1.1 - away) - round_) + lump * lumps.ravel().take(domed)
    height.ravel()[domed] += mine[:, 6] * lift
    tone.ravel()[domed] *= 1 - 1.7 * lump * np.minimum(1, away * away)
    bump = np.zeros_like(height)
    bump.ravel()[domed] = mine[:, 6] * lift
    # Slopes over two pixels, tamed: leaves let light through.
    for target, axis in ((east, 1), (south, 0)):
        steep = np.gradient(bump, axis=axis).ravel().take(domed) * np.float32(0.45 / pixel)
        target.ravel()[domed] = np.clip(steep, -1.1, 1.1)
    return height, (east, south)
