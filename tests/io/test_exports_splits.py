"""Blocked splits: their shares, and that what lies together stays together."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoalps.errors import GeoalpsWarning, OptionError, ProductError
from geoalps.grid import TileGrid
from geoalps.io.exports.chips import Cutting
from geoalps.io.exports.splits import NAMES, draw, split_chips

SHARES = st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0.2), (0.5, 0.5), (1, 0, 0), (70, 20, 10), (0.5, 0, 0.5)])


def deviation(split, sizes, shares):
    """Sum of the squares of what the splits have too much or too little."""
    wanted = np.array(shares) / sum(shares) * sum(sizes)
    return ((np.bincount(split, sizes, len(shares)) - wanted) ** 2).sum()


@given(st.integers(1, 7), SHARES, st.integers(0, 5))
def test_no_draw_of_equal_blocks_is_closer_to_the_shares(count, shares, seed):
    sizes = [4] * count
    asked = [i for i, share in enumerate(shares) if share]
    filled = min(count, len(asked))
    others = [
        deviation(np.array(split), sizes, shares) for split in product(asked, repeat=count) if len(set(split)) == filled
    ]
    assert deviation(draw(sizes, shares, seed), sizes, shares) == pytest.approx(min(others))


@given(st.lists(st.integers(1, 16), min_size=1, max_size=40), SHARES, st.integers(0, 5))
def test_every_split_gets_its_share_to_within_a_block(sizes, shares, seed):
    split = draw(sizes, shares, seed)
    asked = {i for i, share in enumerate(shares) if share}
    assert set(split) <= asked
    assert len(set(split)) == min(len(asked), len(sizes))
    wanted = np.array(shares) / sum(shares) * sum(sizes)
    too_much = np.bincount(split, sizes, len(shares)) - wanted
    assert too_much.max() <= max(sizes)
    assert (draw(sizes, shares, seed) == split).all()


def test_the_seed_decides_which_blocks():
    draws = {tuple(draw([4] * 12, (0.5, 0.5), seed)) for seed in range(8)}
    assert len(draws) > 4


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.floats(0.5, 1))
def test_a_block_is_of_one_split_and_a_gap_keeps_the_others_away(block, gap, seed, kept):
    grid = TileGrid((14 * 16, 11 * 16), 16, 0)
    rng = np.random.default_rng(seed)
    chips = [chip for chip in grid if rng.random() < kept]
    split_of = {chip: name for name, some in split_chips(chips, (0.6, 0.4), block, 0, seed).items() for chip in some}
    assert sorted(split_of) == sorted(chips)
    block_of = {chip: (chip.row // block, chip.col // block) for chip in chips}
    of_block = {block_of[chip]: name for chip, name in split_of.items()}
    assert all(of_block[block_of[chip]] == name for chip, name in split_of.items())
    # every cell of a block counts, also one whose chip was not kept
    cells = {(cell.row, cell.col): of_block.get((cell.row // block, cell.col // block)) for cell in grid}
    near = range(-gap, gap + 1)
    alone = [
        chip
        for chip in chips
        if all(cells.get((chip.row + r, chip.col + c)) in (None, split_of[chip]) for r in near for c in near)
    ]
    if len({split_of[chip] for chip in alone}) < 2:
        with pytest.raises(OptionError, match="leaves none for"):
            split_chips(chips, (0.6, 0.4), block, gap, seed)
    else:
        found = split_chips(chips, (0.6, 0.4), block, gap, seed)
        assert sorted(chip for some in found.values() for chip in some) == sorted(alone)
        assert all(split_of[chip] == name for name, some in found.items() for chip in some)


def test_too_few_blocks_are_told():
    chips = list(TileGrid((64, 64), 32, 0))
    with pytest.warns(GeoalpsWarning, match="1 blocks for 3 splits: val and test stay empty"):
        found = split_chips(chips, (0.7, 0.15, 0.15), 4, 0, 0)
    assert found == {"train": chips, "val": [], "test": []}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chip_size": 8}, "chip size is 8; allowed are 16 to 8192"),
        ({"chip_size": 10**6}, "chip size is 1000000"),
        ({"split": (1.0,)}, "the split is 1; give the shares"),
        ({"split": (0.0, 0.0)}, "the split is 0,0"),
        ({"split": (0.5, -0.1)}, "the split is 0.5,-0.1"),
        ({"split": (0.5, float("nan"))}, "the split is 0.5,nan"),
        ({"split": (0.4, 0.3, 0.2, 0.1)}, "such as 0.7,0.15,0.15"),
        ({"block_chips": 0}, "a block of 0 chips"),
        ({"gap": -1, "split": (0.5, 0.5)}, "the gap is -1"),
        ({"gap": 1}, "a gap lies between splits"),
        ({"min_cover": 1.5}, "the least cover is 1.5"),
        ({"min_cover": float("nan")}, "the least cover is nan"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong, message):
    with pytest.raises(OptionError, match=message):
        Cutting(**wrong)


@pytest.mark.parametrize("min_cover", [0, 0.1, 0.5, 1])
def test_chips_with_too_few_labels_are_left_out(finished, min_cover):
    cover = Counter()
    ids = finished.ids
    for row, col in np.argwhere(ids > 0):
        cover[row // 32, col // 32] += 1
    wanted = {cell for cell, pixels in cover.items() if pixels >= min_cover * 32**2}
    kept = Cutting(chip_size=32, min_cover=min_cover).cut(finished.product, Heard())["all"]
    assert {(chip.row, chip.col) for chip in kept} == wanted


def test_a_product_without_labels_has_no_chips(empty):
    with pytest.raises(ProductError, match="holds no objects"):
        Cutting(chip_size=32, min_cover=0).cut(empty.product, Heard())


class Heard:
    """Takes what is told of progress, and sees that it fits together."""

    def __init__(self):
        self.left = 0

    def start(self, stage, total):
        assert not self.left
        self.left = total

    def advance(self, steps=1):
        self.left -= steps
        assert self.left >= 0


def test_the_names_of_splits_are_those_of_everyone():
    assert NAMES == ("train", "val", "test")
