"""Chips of a product: which windows become training samples, and of which split.

A chip is a tile of a grid without margin. Those of the last row and column reach out of the scene: there they are
filled up, images with 0 and labels with 255, so that all have one size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError, ProductError
from geoalps.grid import Tile, TileGrid
from geoalps.io.exports.splits import check_shares, split_chips
from geoalps.io.product import Product
from geoalps.io.rasters import RasterReader
from geoalps.progress import Progress

ALL = "all"
"""Name of the only split where nothing is split."""
SMALLEST, LARGEST = 16, 8192
"""Sides of a chip in pixels."""


@dataclass(frozen=True)
class Cutting:
    """How a scene is cut into chips."""

    chip_size: int = 512
    """Side in pixels."""
    split: tuple[float, ...] | None = None
    """Shares of train, val and perhaps test; None splits nothing."""
    block_chips: int = 4
    """Chips on a side of the blocks that go to one split as a whole."""
    gap: int = 0
    """Chips with fewer than so many chips between them and a block of another split are left out."""
    min_cover: float = 0.1
    """Chips of which a smaller share is labelled are left out; those without any label always are."""
    seed: int = 0
    """Of the draw of blocks."""

    def __post_init__(self) -> None:
        """Raise an OptionError for a value out of its range."""
        if not SMALLEST <= self.chip_size <= LARGEST:
            raise OptionError(f"chip size is {self.chip_size}; allowed are {SMALLEST} to {LARGEST} pixels")
        if self.split is not None:
            check_shares(self.split)
        if self.block_chips < 1:
            raise OptionError(f"a block of {self.block_chips} chips is none; give 1 or more")
        if self.gap < 0:
            raise OptionError(f"the gap is {self.gap} chips; give 0 or more")
        if self.gap and self.split is None:
            raise OptionError("a gap lies between splits; give their shares, such as 0.7,0.15,0.15")
        if not 0 <= self.min_cover <= 1:
            raise OptionError(f"the least cover is {self.min_cover}; allowed are shares from 0 to 1")

    def cut(self, product: Product, progress: Progress) -> Mapping[str, list[Tile]]:
        """The chips of every split, in row-major order; ``all`` is the only split where nothing is split.

        Reads ``objects.tif`` once, a chip at a time.

        Raises:
            ProductError: there are no objects.
            OptionError: no chip is labelled enough, or the gap leaves a split without chips.
        """
        kept = self._covered(product.need_objects(), progress)
        if not kept:
            raise OptionError(
                f"no chip of {self.chip_size} pixels is labelled to {self.min_cover:g} of its area; make the chips or "
                "the least cover (--min-cover) smaller"
            )
        if self.split is None:
            return {ALL: kept}
        return split_chips(kept, self.split, self.block_chips, self.gap, self.seed)

    def _covered(self, product: Product, progress: Progress) -> list[Tile]:
        """Chips that are labelled enough, in row-major order."""
        with RasterReader(product.path / "objects.tif") as objects:
            grid = TileGrid(objects.shape, self.chip_size, 0)
            progress.start("cover", len(grid))
            kept = []
            for chip in grid:
                cover = np.count_nonzero(objects.read(chip.core)) / self.chip_size**2
                if cover > 0 and cover >= self.min_cover:
                    kept.append(chip)
                progress.advance()
        return kept


@dataclass(frozen=True)
class StandingClasses:
    """The classes that a product's objects can have, and their consecutive numbers in an export."""

    ids: tuple[int, ...]
    """Class ids, ascending; after merging not necessarily consecutive."""
    names: tuple[str, ...]
    """One a class."""
    colours: tuple[str, ...]
    """``#rrggbb``, one a class."""

    @classmethod
    def of(cls, product: Product) -> StandingClasses:
        """Those classes of a product that were not merged into others.

        As ``classes.json`` tells: tables that a person may have edited since say what is to be, not what is.

        Raises:
            ProductError: ``classes.json`` is damaged.
        """
        path = product.path / "classes.json"
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["classes"]
            kept = [entry for entry in entries if entry.get("merge_into") is None]
            names, colours = (tuple(str(entry[key]) for entry in kept) for key in ("class_name", "colour"))
            return cls(tuple(int(entry["class_id"]) for entry in kept), names, colours)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProductError(f"{path} is damaged ({error}); make the product again") from error

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def palette(self) -> list[list[int]]:
        """Red, green and blue 0..255 of every class."""
        return [list(bytes.fromhex(colour.lstrip("#"))) for colour in self.colours]


def padded(values: NDArray[Any], size: int, fill: int) -> NDArray[Any]:
    """(h, w, ...) filled up at the bottom and the right to (size, size, ...)."""
    height, width = values.shape[:2]
    if (height, width) == (size, size):
        return values
    out = np.full((size, size, *values.shape[2:]), fill, values.dtype)
    out[:height, :width] = values
    return out


def chip_name(scene: str, chip: Tile) -> str:
    """Stem of a chip's files, unique among the chips of several scenes: ``harbour_r00003c00012``."""
    return f"{scene}_{chip.name}"


def write_png(path: Path, values: NDArray[Any]) -> None:
    """Write (h, w) uint8 or uint16, or (h, w, 3) uint8, as a PNG without loss."""
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(values)).save(path, "PNG")
