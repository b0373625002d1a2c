"""Run-length encoding against COCO's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from geoalps.io.exports.rle import encode


@st.composite
def windows(draw):
    """(h, w) ids: noise of a few ids in cells of several pixels, so that runs are short and long."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = draw(st.integers(1, 9))
    values = rng.integers(0, draw(st.integers(2, 9)), shape) * draw(st.sampled_from([1, 70_000]))
    return np.kron(values, np.ones((cell, cell), np.int64))


@given(windows())
def test_masks_are_encoded_as_coco_does(ids):
    found = encode(ids)
    assert found.ids.tolist() == [i for i in np.unique(ids) if i]
    for i, counts, area, (row0, col0, row1, col1) in zip(
        found.ids, found.counts, found.areas, found.boxes.tolist(), strict=True
    ):
        theirs = coco.encode(np.asfortranarray((ids == i).astype(np.uint8)))
        assert counts == theirs["counts"].decode()
        assert area == coco.area(theirs)
        assert [col0, row0, col1 - col0, row1 - row0] == coco.toBbox(theirs).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int64"])
def test_any_integers_will_do(dtype):
    ids = np.array([[0, 3, 3], [1, 1, 3]], dtype)
    found = encode(ids)
    for i, counts in zip(found.ids, found.counts, strict=True):
        assert (coco.decode({"size": list(ids.shape), "counts": counts}) == (ids == i)).all()


def test_a_window_without_objects_has_no_masks():
    found = encode(np.zeros((4, 5), np.uint32))
    assert (len(found.ids), found.counts, found.areas.shape, found.boxes.shape) == (0, [], (0,), (0, 4))


def test_long_runs_take_several_characters():
    ids = np.zeros((3000, 2000), np.uint32)
    ids[17, 1] = ids[2999, 1999] = 5
    ids[:, 400:1800] = 9
    found = encode(ids)
    for i, counts in zip(found.ids, found.counts, strict=True):
        assert counts == coco.encode(np.asfortranarray((ids == i).astype(np.uint8)))["counts"].decode()
