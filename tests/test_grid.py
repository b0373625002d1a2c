"""Laws of windows and tile grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoalps.errors import OptionError
from geoalps.grid import TileGrid, Window

sides = st.integers(1, 300)


@st.composite
def grids(draw):
    size = draw(st.integers(16, 128))
    return TileGrid((draw(sides), draw(sides)), size, draw(st.integers(0, size // 2)))


@given(grids())
def test_cores_partition_the_scene(grid):
    owners = np.zeros(grid.shape, int)
    for tile in grid:
        owners[tile.core.slices()] += 1
    assert (owners == 1).all()
    assert len(list(grid)) == len(grid)


@given(grids())
def test_a_window_is_its_core_grown_and_clipped(grid):
    for tile in grid:
        assert tile.core in tile.window
        assert tile.window in grid.scene
        assert tile.window == tile.core.pad(grid.margin).clip(grid.scene)


@given(grids())
def test_windows_meet_only_those_of_neighbours(grid):
    for tile in grid:
        near = {tile, *grid.neighbours(tile)}
        meeting = {other for other in grid if tile.window.clip(other.window).area}
        # a last row or column thinner than the margin lets windows reach across it
        thin = min(grid[-1 + grid.rows, 0].core.height, grid[0, -1 + grid.cols].core.width) < grid.margin
        assert meeting <= near or thin


@given(grids())
def test_neighbours_are_mutual(grid):
    for tile in grid:
        assert all(tile in grid.neighbours(other) for other in grid.neighbours(tile))


@given(grids())
def test_chunks_add_up_to_the_scene(grid):
    heights, widths = grid.chunks
    assert (sum(heights), sum(widths)) == grid.shape
    assert (len(heights), len(widths)) == (grid.rows, grid.cols)


@given(st.tuples(sides, sides), st.integers(-50, 50), st.integers(-50, 50))
def test_slices_in_the_frame_of_another_window(shape, rows, cols):
    scene = np.arange(350 * 350).reshape(350, 350)
    outer = Window(0, 0, *shape)
    inner = outer.shift(max(rows, 0), max(cols, 0)).clip(outer)
    assert (scene[outer.slices()][inner.slices(outer)] == scene[inner.slices()]).all()


@pytest.mark.parametrize(
    ("shape", "size", "margin", "named"),
    [((9, 9), 15, 0, "15"), ((9, 9), 64, 33, "33"), ((9, 9), 64, -1, "-1"), ((0, 9), 64, 8, "0 x 9")],
)
def test_bad_grids_are_refused_with_the_value(shape, size, margin, named):
    with pytest.raises(OptionError, match=named):
        TileGrid(shape, size, margin)


def test_no_tile_outside_of_the_grid():
    with pytest.raises(IndexError):
        TileGrid((64, 64), 32, 8)[2, 0]
    with pytest.raises(ValueError, match="before it begins"):
        Window(5, 0, 4, 1)
