"""Hashed noise: numbers that depend on where a pixel lies and on the seed, and on nothing else.

Only sums, products and comparisons are used, element by element, so that a pixel gets the same bits whichever window
it is computed in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.grid import Window

Grid = NDArray[np.float32]
"""(height, width) float32."""


def hash32(rows: NDArray[Any], cols: NDArray[Any], key: int) -> NDArray[np.uint32]:
    """Well mixed uint32 for integer coordinates (any sign, broadcast against each other)."""
    mixed = rows.astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed = mixed + np.uint32((key * 0xC2B2AE3D + 0x27D4EB2F) & 0xFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x7FEB352D)
    mixed = mixed + cols.astype(np.uint32) * np.uint32(0x85EBCA77)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    mixed = (mixed ^ (mixed >> np.uint32(12))) * np.uint32(0x297A2D39)
    return mixed ^ (mixed >> np.uint32(15))


def chance(key: int, row: int, col: int = 0) -> float:
    """One number in [0, 1) for integer coordinates of any sign: :func:`hash32` for a single place."""
    full = 0xFFFFFFFF
    mixed = (row * 0x9E3779B1 + key * 0xC2B2AE3D + 0x27D4EB2F) & full
    mixed = ((mixed ^ (mixed >> 16)) * 0x7FEB352D) & full
    mixed = (mixed + col * 0x85EBCA77) & full
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & full
    mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & full
    return (mixed ^ (mixed >> 15)) / 2**32


def value_noise(window: Window, spacing: float, key: int) -> Grid:
    """Smooth noise: hashed values on a lattice of the scene, interpolated in between.

    Args:
        window: pixels of the scene; may reach out of it.
        spacing: of the lattice in pixels; what is smaller than about that size looks smooth.
        key: another key gives another noise.

    Returns:
        (height, width) float32 in -1..1, the same for a pixel whatever the window.
    """
    rows, row_weight = _lattice(window.row0, window.row1, spacing)
    cols, col_weight = _lattice(window.col0, window.col1, spacing)
    row_nodes, col_nodes = np.arange(rows[0], rows[-1] + 2), np.arange(cols[0], cols[-1] + 2)
    nodes = hash32(row_nodes[:, None], col_nodes[None, :], key).astype(np.float32) / np.float32(2**31) - np.float32(1)
    rows, cols = rows - rows[0], cols - cols[0]
    upper, lower = nodes[rows], nodes[rows + 1]
    lines = upper + (lower - upper) * row_weight[:, None]
    slope = lines[:, 1:] - lines[:, :-1]
    out: Grid = np.take(slope, cols, axis=1)
    out *= col_weight[None, :]
    out += np.take(lines, cols, axis=1)
    return out


def grain(window: Window, key: int) -> NDArray[np.uint32]:
    """(height, width) uint32: independent for every pixel; each byte is a uniform number of its own."""
    return hash32(np.arange(window.row0, window.row1)[:, None], np.arange(window.col0, window.col1)[None, :], key)


def _lattice(start: int, stop: int, spacing: float) -> tuple[NDArray[np.int64], Grid]:
    """Lattice cell and smooth weight (float32, 0..1) of every pixel centre of one axis."""
    place = (np.arange(start, stop) + 0.5) / spacing
    cell = np.floor(place)
    rest = place - cell
    return cell.astype(np.int64), (rest * rest * (3 - 2 * rest)).astype(np.float32)
