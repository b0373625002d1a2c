"""The sun: how much light a surface gets by its slope, and where shadows fall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from geoalps.sample.chips.noises import OCTAVES, Grid, noise
from geoalps.sample.chips.texture import Surfaces


@dataclass(frozen=True)
class Sun:
    """Where light comes from."""

    azimuth: float
    """Direction towards the sun, radians from x towards y."""
    run: float
    """Metres of shadow per metre of height."""
    sky: float
    """Share of the light that comes from the sky, 0..1; 0.9 under clouds."""
    blue: float
    """How blue the sky's light is, 0..1."""
    cloud: tuple[float, float] = (0.0, 0.0)
    """How much a cloud takes from the sun, 0..1, and how far it covers the place, about -1..1."""

    @classmethod
    def drawn(cls, rng: Generator) -> Sun:
        """A sun by chance: mostly clear days, of long and of short shadows, sometimes clouds."""
        cloudy = rng.random() < 0.15
        sky = rng.uniform(0.75, 0.95) if cloudy else rng.uniform(0.28, 0.58)
        cloud = (rng.uniform(0.4, 1.0), rng.uniform(-1.2, 0.8)) if rng.random() < 0.12 else (0.0, 0.0)
        azimuth, run = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(-1.0, 0.6))
        return cls(azimuth, run, sky, rng.uniform(0, 0.22), cloud)


def horizon(height: Grid, azimuth: float, drop: float) -> Grid:
    """Height of the ray that just clears all that stands towards a direction.

    Args:
        height: metres.
        azimuth: radians from x towards y.
        drop: metres that the ray falls per pixel.
    """
    top = height.copy()
    tallest = float(height.max())
    step = 1
    while step < max(height.shape) and step * drop < tallest + 1:
        rows, cols = round(step * math.sin(azimuth)), round(step * math.cos(azimuth))
        here, there = _overlap(height.shape, rows, cols)
        np.maximum(top[here], top[there].copy() - drop * step, out=top[here])
        step *= 2
    return top


def _overlap(shape: tuple[int, ...], rows: int, cols: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Views of the pixels that have a neighbour so many rows and columns away, and of those neighbours."""

    def pair(size: int, shift: int) -> tuple[slice, slice]:
        """The same along one side."""
        return slice(max(0, -shift), size - max(0, shift)), slice(max(0, shift), size - max(0, -shift))

    (r0, r1), (c0, c1) = pair(shape[0], rows), pair(shape[1], cols)
    return (r0, c0), (r1, c1)


def lit(sun: Sun, height: Grid, pixel: float) -> Grid:
    """0 in shadow to 1 in the sun; the border between is as soft as the sun is wide."""
    over = horizon(height, sun.azimuth, pixel / sun.run) - height
    hard = 1 - np.clip((over - 0.12) / (0.25 + 0.4 * pixel), 0, 1)
    soft: Grid = gaussian_filter(hard, 0.45)
    return soft


def shaded(sun: Sun, scene: Surfaces) -> Grid:
    """How much of the sun's light a slope gets; 1 where flat."""
    dx, dy = math.cos(sun.azimuth), math.sin(sun.azimuth)
    steep = min(1.3, max(0.55, sun.run))
    grid: Grid = np.clip(1 - steep * (scene.slope[0] * dx + scene.slope[1] * dy), 0.12, 1.75)
    return grid


def illuminate(sun: Sun, scene: Surfaces, pixel: float) -> NDArray[np.float32]:
    """(height, width, 4) float32: what the camera sees through clear air, about 0..255."""
    direct = lit(sun, scene.height, pixel) * shaded(sun, scene) * (1 - sun.sky)
    if sun.cloud[0]:
        start = int(sun.azimuth * 1e6)
        small = noise(Generator(PCG64([977, start])), (-(-direct.shape[0] // 3), -(-direct.shape[1] // 3)), OCTAVES - 1)
        over = zoom(small, 3, order=1)[: direct.shape[0], : direct.shape[1]] + sun.cloud[1]
        direct *= 1 - sun.cloud[0] * np.clip(0.5 + 2 * over, 0, 1)
    sky = sun.sky * np.array([1 - sun.blue, 1 - 0.3 * sun.blue, 1 + 0.5 * sun.blue, 1 - sun.blue], np.float32)
    light: NDArray[np.float32] = scene.albedo * (direct[..., None] + sky)
    return light
