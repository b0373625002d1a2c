"""Noises that all chips cut theirs from: made once, periodic, the same in every process."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from scipy import fft

Grid = NDArray[np.float32]
"""(height, width) float32."""
SIDE = 512
"""Of the banks; they go on periodically."""
OCTAVES = 8


@lru_cache(maxsize=OCTAVES)
def noise_bank(octave: int) -> Grid:
    """(SIDE, SIDE) float32 of mean 0 and deviation 1: 0 is white, each further octave twice as broad.

    Broad octaves hold some of the next finer ones, so that nothing looks like a row of clouds.
    """
    grid = _smooth(octave, *2 * [_sigma(octave)])
    for n, share in ((1, 0.6), (2, 0.35)):
        if octave - n > 0:
            grid = grid + np.float32(share) * _smooth(10 * octave + n, *2 * [_sigma(octave - n)])
    return _standard(grid)


@lru_cache(maxsize=1)
def streak_bank() -> Grid:
    """(SIDE, SIDE) float32 of mean 0 and deviation 1: streaks along the columns' axis, about 8 pixels wide."""
    return _standard(_smooth(97, 3.0, 36.0) + np.float32(0.5) * _smooth(98, 1.5, 18.0))


def octave_of(metres: float, pixel: float) -> int:
    """The octave whose lumps are about this large."""
    sigma = metres / pixel / 2.5
    return int(np.clip(round(math.log2(max(sigma, 0.3) / 0.6) + 1), 0, OCTAVES - 1))


def noise(rng: Generator, shape: tuple[int, int], octave: int) -> Grid:
    """A piece of a noise, from a place drawn by chance; periodic beyond SIDE."""
    row, col = rng.integers(SIDE, size=2)
    bank = noise_bank(octave)
    if row + shape[0] <= SIDE and col + shape[1] <= SIDE:
        return bank[row : row + shape[0], col : col + shape[1]]
    rows, cols = (np.arange(shape[0]) + row) % SIDE, (np.arange(shape[1]) + col) % SIDE
    grid: Grid = bank[rows[:, None], cols]
    return grid


def _sigma(octave: int) -> float:
    """Pixels."""
    return 0.6 * 2.0 ** (octave - 1) if octave else 0.0


def _smooth(key: int, rows: float, cols: float) -> Grid:
    """White noise of a key, blurred by so many rows and columns."""
    white = Generator(PCG64([977, key])).standard_normal((SIDE, SIDE), dtype=np.float32)
    row, col = fft.fftfreq(SIDE)[:, None], fft.rfftfreq(SIDE)[None, :]
    damp = np.exp(-2 * math.pi**2 * ((rows * row) ** 2 + (cols * col) ** 2))
    return _standard(fft.irfft2(fft.rfft2(white) * damp.astype(np.float32), s=white.shape))


def _standard(grid: Grid) -> Grid:
    """Mean 0, deviation 1, no outliers."""
    grid = (grid - grid.mean()) / grid.std()
    standard: Grid = np.clip(grid, -2.8, 2.8).astype(np.float32)
    standard.setflags(write=False)
    return standard
