"""Segments against plain boolean masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoalps.grid import Window
from geoalps.segments import Segments, ranges

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
label_maps = shapes.flatmap(lambda shape: arrays(np.int32, shape, elements=st.integers(0, 4)))
mask_stacks = st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9)).flatmap(lambda s: arrays(bool, s))


def painted(segments, shape):
    """(n, h, w) bool, the slow way."""
    out = np.zeros((len(segments), *shape), bool)
    for i, (begin, end) in enumerate(zip(segments.offsets[:-1], segments.offsets[1:], strict=True)):
        for row, start, stop in segments.runs[begin:end]:
            out[i, row, start:stop] = True
    return out


@given(label_maps)
def test_a_partition_and_its_masks_give_the_same_segments(labels):
    segments = Segments.from_labels(labels, np.ones(4, np.float32))
    masks = np.stack([labels == i for i in range(1, 5)])
    assert (painted(segments, labels.shape) == masks).all()
    others = Segments.from_masks(masks)
    assert (segments.runs == others.runs).all()
    assert (segments.offsets == others.offsets).all()


@given(mask_stacks)
def test_measures_are_those_of_the_masks(masks):
    segments = Segments.from_masks(masks)
    assert segments.areas.tolist() == masks.sum((1, 2)).tolist()
    for i, mask in enumerate(masks):
        rows, cols = np.nonzero(mask)
        if len(rows):
            assert segments.boxes[i].tolist() == [rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]
            assert segments.centres[i] == pytest.approx([rows.mean() + 0.5, cols.mean() + 0.5])
            assert (segments.mask(i) == mask[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]).all()
        else:
            assert segments.boxes[i].tolist() == [0, 0, 0, 0]
            assert np.isnan(segments.centres[i]).all()


@given(mask_stacks, st.data())
def test_clipping_and_choosing(masks, data):
    segments = Segments.from_masks(masks)
    _, height, width = masks.shape
    row0, col0 = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    window = Window(row0, col0, data.draw(st.integers(row0, height)), data.draw(st.integers(col0, width)))
    inside = np.zeros_like(masks)
    inside[(slice(None), *window.slices())] = masks[(slice(None), *window.slices())]
    assert (painted(segments.clip(window), masks.shape[1:]) == inside).all()
    keep = data.draw(st.lists(st.integers(0, max(len(masks) - 1, 0)), max_size=5)) if len(masks) else []
    assert (painted(segments.take(np.array(keep, int)), masks.shape[1:]) == masks[keep]).all()


@given(mask_stacks)
def test_pixels_are_every_covered_pixel_once(masks):
    index, pixel = Segments.from_masks(masks).pixels(masks.shape[2])
    want = np.stack(np.nonzero(masks.reshape(len(masks), masks[0].size if len(masks) else 1)))
    assert (np.stack([index, pixel]) == want).all()


def test_cut_masks_lie_at_their_corners():
    segments = Segments.from_masks([np.ones((2, 3), bool)], corners=[(5, 7)], scores=[0.5])
    assert segments.boxes.tolist() == [[5, 7, 7, 10]]
    assert segments.shift(-5, -7).boxes.tolist() == [[0, 0, 2, 3]]
    assert segments.scores.tolist() == [0.5]


def test_none_at_all():
    assert len(Segments.empty()) == 0
    assert Segments.empty().boxes.shape == (0, 4)
    assert len(Segments.from_labels(np.zeros((4, 4), int))) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=8))
def test_ranges(pairs):
    starts, counts = np.array([p[0] for p in pairs], int), np.array([p[1] for p in pairs], int)
    want = np.concatenate([np.zeros(0, int), *(np.arange(s, s + c) for s, c in pairs)])
    assert ranges(starts, counts).tolist() == want.tolist()


def test_inconsistent_arrays_are_refused():
    with pytest.raises(ValueError, match="shape"):
        Segments(np.zeros((2, 2), np.int32), np.array([0, 2]), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="offsets"):
        Segments(np.zeros((2, 3), np.int32), np.array([0, 1]), np.ones(1, np.float32))
