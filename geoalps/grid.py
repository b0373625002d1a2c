"""Whole pixels: windows of a scene and the grid of tiles that partitions it.

Standard library only. Pixels are (row, col), shapes (height, width), windows half-open. A tile *owns* its
``core`` and *reads* its ``window``, the core grown by ``margin`` and clipped to the scene; the cores partition
the scene, the windows overlap.

    >>> grid = TileGrid((700, 1000), size=512, margin=64)
    >>> len(grid), grid[0, 1].core, grid[0, 1].window.shape
    (4, Window(row0=0, col0=512, row1=512, col1=1000), (576, 552))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geoalps.errors import OptionError


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open rectangle of whole pixels; may be empty, never negative."""

    row0: int
    """First row."""
    col0: int
    """First column."""
    row1: int
    """One past the last row."""
    col1: int
    """One past the last column."""

    def __post_init__(self) -> None:
        if self.row1 < self.row0 or self.col1 < self.col0:
            raise ValueError(f"window ends before it begins: {self}")

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.row1 - self.row0

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.col1 - self.col0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def slices(self, origin: Window | None = None) -> tuple[slice, slice]:
        """(rows, cols) into an array of the scene, or of the window ``origin``."""
        row, col = (origin.row0, origin.col0) if origin else (0, 0)
        return slice(self.row0 - row, self.row1 - row), slice(self.col0 - col, self.col1 - col)

    def pad(self, pixels: int) -> Window:
        """Grown by ``pixels`` on each side; may reach out of the scene (see :meth:`clip`)."""
        return Window(self.row0 - pixels, self.col0 - pixels, self.row1 + pixels, self.col1 + pixels)

    def clip(self, other: Window) -> Window:
        """The part that lies in ``other``; an empty window where they do not meet."""
        row0, col0 = max(self.row0, other.row0), max(self.col0, other.col0)
        return Window(row0, col0, max(row0, min(self.row1, other.row1)), max(col0, min(self.col1, other.col1)))

    def shift(self, rows: int, cols: int) -> Window:
        """Moved by whole pixels."""
        return Window(self.row0 + rows, self.col0 + cols, self.row1 + rows, self.col1 + cols)

    def __contains__(self, other: Window) -> bool:
        return self.row0 <= other.row0 <= other.row1 <= self.row1 and self.col0 <= other.col0 <= other.col1 <= self.col1


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One cell of a tile grid."""

    row: int
    """Row in the grid, from 0."""
    col: int
    """Column in the grid, from 0."""
    core: Window
    """The pixels this tile owns and writes."""
    window: Window
    """The pixels this tile reads: core + margin, within the scene."""

    @property
    def name(self) -> str:
        """Stable name for files and messages: ``r00003c00012``."""
        return f"r{self.row:05d}c{self.col:05d}"


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of ``size`` x ``size`` cores over a scene; those of the last row and column are what is left.

    Raises:
        OptionError: size below 16, negative margin, or a margin over half the size (a tile would
            then reach beyond its neighbours' cores).
    """

    shape: tuple[int, int]
    """(height, width) of the scene in pixels."""
    size: int = 1024
    """Side of a core in pixels."""
    margin: int = 128
    """What a tile reads around its core, in pixels."""

    def __post_init__(self) -> None:
        if self.size < 16:
            raise OptionError(f"tile size is {self.size}; at least 16 pixels are needed")
        if not 0 <= self.margin <= self.size // 2:
            raise OptionError(f"margin is {self.margin}; allowed is 0 to half the tile size ({self.size // 2})")
        if min(self.shape) < 1:
            raise OptionError(f"the scene has no pixels: {self.shape[0]} x {self.shape[1]}")

    @property
    def scene(self) -> Window:
        """The whole scene as a window."""
        return Window(0, 0, *self.shape)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.shape[0] // self.size)

    @property
    def cols(self) -> int:
        """Columns of tiles."""
        return -(-self.shape[1] // self.size)

    def __len__(self) -> int:
        return self.rows * self.cols

    def __getitem__(self, index: tuple[int, int]) -> Tile:
        row, col = index
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise IndexError(f"tile {index} of a grid of {self.rows} x {self.cols}")
        corner = Window(row * self.size, col * self.size, (row + 1) * self.size, (col + 1) * self.size)
        core = corner.clip(self.scene)
        return Tile(row, col, core, core.pad(self.margin).clip(self.scene))

    def __iter__(self) -> Iterator[Tile]:
        return (self[row, col] for row in range(self.rows) for col in range(self.cols))

    def number(self, tile: Tile) -> int:
        """A tile's place in row-major order, from 0."""
        return tile.row * self.cols + tile.col

    def neighbours(self, tile: Tile) -> list[Tile]:
        """The up to eight tiles around one, in row-major order."""
        return [
            self[row, col]
            for row in range(max(0, tile.row - 1), min(self.rows, tile.row + 2))
            for col in range(max(0, tile.col - 1), min(self.cols, tile.col + 2))
            if (row, col) != (tile.row, tile.col)
        ]

    def meeting(self, window: Window) -> Iterator[Tile]:
        """The tiles whose cores have pixels in a window, in row-major order."""
        inside = window.clip(self.scene)
        if not inside.area:
            return iter(())
        rows = range(inside.row0 // self.size, -(-inside.row1 // self.size))
        cols = range(inside.col0 // self.size, -(-inside.col1 // self.size))
        return (self[row, col] for row in rows for col in cols)

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The cores as Dask chunks: heights of the rows, widths of the columns."""
        heights = tuple(self[row, 0].core.height for row in range(self.rows))
        return heights, tuple(self[0, col].core.width for col in range(self.cols))
