"""The sun and the camera: slopes, cast shadows, haze, blur, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.grid import Window
from geoalps.sample.noise import Grid, chance, grain, value_noise

TALLEST = 30.0
"""Metres that nothing stands higher than: bounds how far a shadow falls."""
SHADOW = np.array([0.36, 0.40, 0.47], np.float32)
"""Share of the full light that the sky gives where the sun does not reach."""

MUTED = 0.16
"""How far the air between camera and ground takes colours towards grey."""


@dataclass(frozen=True)
class Light:
    """Sun, haze and camera of one scene."""

    seed: int
    """Of the scene."""
    pixel: float
    """Metres of one pixel."""

    def _draw(self, purpose: int, low: float, high: float) -> float:
        """A number in low..high that the seed decides, another for every purpose."""
        return low + (high - low) * chance(self.seed & 0xFFFFFFFF, purpose, 977)

    @property
    def azimuth(self) -> float:
        """Direction towards the sun, radians from x towards y (y points south): from south-east to south-west."""
        return self._draw(1, 0.15 * math.pi, 0.85 * math.pi)

    @property
    def run(self) -> float:
        """Metres of shadow per metre of height."""
        return self._draw(2, 0.55, 0.95)

    @property
    def towards(self) -> tuple[float, float]:
        """Slope of the sun's ray in x and y, per metre of height: a plane's shade is 1 - its gradient times this."""
        return math.cos(self.azimuth) * self.run, math.sin(self.azimuth) * self.run

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns (signed, towards the sun) from where a shadow can fall."""
        dx, dy = self.towards
        return int(dy * TALLEST / self.pixel), int(dx * TALLEST / self.pixel)

    def lit(self, height: Grid) -> Grid:
        """1 where the sun reaches, 0 in the shadow of what stands towards it.

        The horizon is found by doubling: after step k every pixel knows the highest of 2**k places towards the sun.
        """
        dx, dy = self.towards
        horizon = np.full_like(height, -np.inf)
        step = self.pixel / math.hypot(dx, dy)
        steps = max(1, math.ceil(math.hypot(*self.reach)))
        horizon = _towards(height, *self._shift(1)) - np.float32(step)
        near = 1
        while near < steps:
            further = _towards(horizon, *self._shift(near)) - np.float32(step * near)
            horizon = np.maximum(horizon, further)
            near *= 2
        lit: Grid = np.clip((height - horizon) / np.float32(0.35 * max(1.0, self.pixel / 0.3)) + 1, 0, 1)
        return lit

    def _shift(self, steps: int) -> tuple[int, int]:
        """(rows, columns) of so many pixels towards the sun."""
        return round(math.sin(self.azimuth) * steps), round(math.cos(self.azimuth) * steps)

    def expose(
        self, window: Window, colour: NDArray[np.float32], shade: Grid, lit: Grid, key: int
    ) -> NDArray[np.uint8]:
        """What the camera sees.

        Args:
            window: where the arrays lie; needs :attr:`blur_reach` pixels more than what is kept.
            colour: (height, width, 3) float32 in full sun; is overwritten.
            shade: (height, width) float32 slope factor.
            lit: (height, width) float32 share of the sun.
            key: of the noise.

        Returns:
            (height, width, 3) uint8.
        """
        haze, warm = self._draw(3, 0.05, 0.14), self._draw(4, -0.03, 0.04)
        cloud = (
            1 + 0.07 * value_noise(window, 190 / self.pixel, key) + 0.03 * value_noise(window, 70 / self.pixel, key + 1)
        )
        sun = lit * shade
        grey = colour.mean(2) * np.float32(MUTED)
        bits = grain(window, key + 2)
        out = np.empty(colour.shape, np.uint8)
        gain = self._draw(5, 0.95, 1.08)
        for band in range(3):
            light = SHADOW[band] + (1 - SHADOW[band]) * sun
            tint = gain * (1 + warm * (1 - band))
            seen = (colour[..., band] * np.float32(1 - MUTED) + grey) * light * cloud
            seen = seen * np.float32(tint * (1 - haze)) + np.float32(haze * (168, 176, 184)[band])
            seen = ndimage.gaussian_filter(seen, self.blur, truncate=self.blur_reach / self.blur)
            noise = ((bits >> np.uint32(8 * band)) & np.uint32(255)).astype(np.float32)
            noise += ((bits >> np.uint32(8 * band + 5)) & np.uint32(255)).astype(np.float32)
            seen += (noise - 255) * np.float32(0.025)
            out[..., band] = np.clip(seen, 0, 255)
        return out

    @property
    def blur(self) -> float:
        """Standard deviation of the sensor's blur, pixels."""
        return self._draw(6, 0.55, 0.75)

    @property
    def blur_reach(self) -> int:
        """Pixels around a pixel that the blur mixes in."""
        return 2


def _towards(values: Grid, rows: int, cols: int) -> Grid:
    """Every pixel gets the value (rows, cols) away from it; nothing stands outside."""
    out = np.full_like(values, -np.inf)
    height, width = values.shape
    if abs(rows) < height and abs(cols) < width:
        target = slice(max(0, -rows), height - max(0, rows)), slice(max(0, -cols), width - max(0, cols))
        source = slice(max(0, rows), height - max(0, -rows)), slice(max(0, cols), width - max(0, -cols))
        out[target] = values[source]
    return out
