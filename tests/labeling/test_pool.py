"""Pooling against up-sampling with torch and averaging pixel by pixel."""

import numpy as np
import pytest
import torch

from geoalps.labeling import pool as pooling
from geoalps.labeling.pool import pool, upsampling
from geoalps.protocols import EmbeddingMap
from geoalps.segments import Segments


def reference(masks, values, shape):
    """The mean over each mask of torch's bilinear up-sampling, in float64."""
    up = torch.nn.functional.interpolate(
        torch.tensor(values[None], dtype=torch.float64), size=shape, mode="bilinear", align_corners=False
    )
    full = up[0].numpy()[:, : masks.shape[1], : masks.shape[2]]
    return np.stack([full[:, mask].mean(1) for mask in masks])


@pytest.mark.parametrize(
    ("cells", "window"),
    [((16, 16), (64, 64)), ((7, 5), (61, 33)), ((1, 1), (9, 9)), ((4, 8), (3, 5)), ((64, 64), (256, 256))],
)
def test_equal_to_upsampling_and_averaging(cells, window):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, *cells)).astype(np.float32)
    masks = rng.random((5, *window)) < np.array([0.01, 0.1, 0.5, 0.9, 1])[:, None, None]
    masks[:, 0, 0] = True
    found = pool(Segments.from_masks(masks), EmbeddingMap(values, window))
    assert found == pytest.approx(reference(masks, values, window), abs=1e-6)


def test_a_map_that_covers_more_than_the_window():
    rng = np.random.default_rng(1)
    values, masks = rng.normal(size=(3, 5, 6)).astype(np.float32), rng.random((4, 50, 60)) < 0.3
    found = pool(Segments.from_masks(masks), EmbeddingMap(values, (55, 64)))
    assert found == pytest.approx(reference(masks, values, (55, 64)), abs=1e-6)


def test_a_constant_map_gives_the_constant():
    masks = np.zeros((3, 40, 40), bool)
    masks[0, 3, :], masks[1, :, 7], masks[2, 39, 39] = True, True, True  # thin masks shrink when they are down-sampled
    values = np.full((4, 10, 10), 8, np.float32)
    assert pool(Segments.from_masks(masks), EmbeddingMap(values, (40, 40))) == pytest.approx(8)


def test_rows_of_the_upsampling_sum_to_one():
    for cells, pixels in [(64, 256), (3, 100), (10, 7), (1, 5)]:
        table = upsampling(cells, pixels)
        assert table.sum(1) == pytest.approx(1)
        # so that the transposed map spreads |m| over the cells without losing any
        assert table.sum() == pytest.approx(pixels)


def test_pooling_in_pieces_changes_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    segments, map_ = (
        Segments.from_masks(rng.random((9, 30, 30)) < 0.4),
        EmbeddingMap(rng.normal(size=(3, 8, 8)).astype(np.float32), (30, 30)),
    )
    whole = pool(segments, map_)
    monkeypatch.setattr(pooling, "CHUNK", 70)
    assert (pool(segments, map_) == whole).all()


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        pool(Segments.from_masks(np.zeros((1, 4, 4), bool)), EmbeddingMap(np.ones((1, 2, 2), np.float32), (4, 4)))
