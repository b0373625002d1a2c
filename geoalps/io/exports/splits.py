"""Geographically blocked splits: neighbouring chips look alike, so whole blocks of them go to one split.

>>> draw([16, 16, 16, 16], (0.5, 0.25, 0.25), seed=0).tolist()
[0, 1, 0, 2]
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import GeoalpsWarning, OptionError
from geoalps.grid import Tile

NAMES = ("train", "val", "test")
"""Of the splits, in the order of their shares."""


def check_shares(shares: Sequence[float]) -> None:
    """Raise an OptionError unless these are two or three shares that make sense."""
    usable = all(np.isfinite(share) and share >= 0 for share in shares) and sum(shares) > 0
    if not usable or not 1 < len(shares) <= len(NAMES):
        given = ",".join(f"{share:g}" for share in shares)
        raise OptionError(f"the split is {given}; give the shares of train, val and test, such as 0.7,0.15,0.15")


def draw(sizes: Sequence[int], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Which split every block goes to.

    Largest blocks first, in random order where equal, each to the split that lacks most; the last ones go to splits
    that have none yet. For blocks of one size, no other draw that leaves as few splits empty has a smaller sum of
    squared deviations from the shares.

    Args:
        sizes: chips of every block.
        shares: of the splits, in any unit; a split with share 0 gets nothing.
        seed: of the random order.

    Returns:
        (blocks,) index of the split.
    """
    wanted = np.array(shares, float) / sum(shares) * sum(sizes)
    asked = np.flatnonzero(wanted > 0)
    lacking, blocks = wanted.copy(), np.zeros(len(wanted), np.int64)
    split = np.zeros(len(sizes), np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = shuffled[np.argsort(-np.array(sizes)[shuffled], kind="stable")]
    for done, block in enumerate(order):
        empty = asked[blocks[asked] == 0]
        allowed = empty if len(order) - done <= len(empty) else asked
        best = allowed[np.argmax(lacking[allowed])]
        split[block], blocks[best] = best, blocks[best] + 1
        lacking[best] -= sizes[block]
    return split


def split_chips(
    chips: Sequence[Tile], shares: Sequence[float], block: int, gap: int, seed: int
) -> Mapping[str, list[Tile]]:
    """Chips of every split that has a share, in the order in which they came.

    Args:
        chips: those that are kept.
        shares: of train, val and perhaps test.
        block: chips on a side of a block.
        gap: chips closer than so many chips to a block of another split are left out.
        seed: of the draw.

    Raises:
        OptionError: the gap leaves a split without chips.
    """
    sizes = Counter(_block(chip, block) for chip in chips)
    blocks = sorted(sizes)
    names = [NAMES[i] for i in draw([sizes[key] for key in blocks], shares, seed)]
    of_block = dict(zip(blocks, names, strict=True))
    out: dict[str, list[Tile]] = {name: [] for name, share in zip(NAMES, shares, strict=False) if share > 0}
    empty = [name for name in out if name not in names]
    if empty:
        warnings.warn(
            f"{len(blocks)} blocks for {len(out)} splits: {' and '.join(empty)} stay empty; make the blocks or the "
            "chips smaller",
            GeoalpsWarning,
            stacklevel=4,
        )
    for chip in chips:
        own = of_block[_block(chip, block)]
        if not gap or _alone(chip, own, of_block, block, gap):
            out[own].append(chip)
    lost = [name for name in out if not out[name] and name not in empty]
    if lost:
        raise OptionError(
            f"a gap of {gap} chips leaves none for {' and '.join(lost)}; make the blocks larger (--block-chips), the "
            "chips smaller, or the gap smaller"
        )
    return out


def _block(chip: Tile, block: int) -> tuple[int, int]:
    """Row and column of a chip's block."""
    return chip.row // block, chip.col // block


def _alone(chip: Tile, own: str, of_block: Mapping[tuple[int, int], str], block: int, gap: int) -> bool:
    """Whether no block of another split lies within ``gap`` chips."""
    rows = range(max(0, chip.row - gap) // block, (chip.row + gap) // block + 1)
    cols = range(max(0, chip.col - gap) // block, (chip.col + gap) // block + 1)
    return all(of_block.get((row, col), own) == own for row in rows for col in cols)
