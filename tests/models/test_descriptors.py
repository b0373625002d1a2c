"""Descriptors of regions: numpy, scikit-image and a walk over the pixels as the oracles."""

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops

from geoalps.models.descriptors import NAMES, describe
from geoalps.models.hierarchy import RegionGraph
from geoalps.segments import Segments


@pytest.fixture
def picture():
    """Labels of 4 regions (one of them in two parts) with a nodata corner, a colour image and its slopes."""
    rng = np.random.default_rng(0)
    labels = np.ones((60, 80), np.int32)
    labels[:, 50:] = 2
    labels[5:15, 5:45] = 3
    labels[40:44, 60:64] = 3
    labels[ellipse(35, 25, 9, 18)] = 4
    labels[50:, 70:] = 0
    colour = rng.normal(50, 10, (3, 60, 80)) + np.array([0, 3, 9, 20])[labels % 4]
    return labels, colour, rng.normal(size=(2, 60, 80))


def columns(labels, colour, slopes):
    graph = RegionGraph.from_labels(labels, int(labels.max()), colour, np.zeros(labels.shape))
    values = describe(labels, Segments.from_labels(labels), graph, colour, slopes)
    assert values.shape == (labels.max(), len(NAMES))
    assert values.dtype == np.float32
    return dict(zip(NAMES, values.T, strict=True))


def test_colours_are_those_of_the_pixels(picture):
    labels, colour, _ = picture
    found = columns(*picture)
    for channel, name in zip(colour, "Lab", strict=True):
        inside = [channel[labels == i] for i in (1, 2, 3, 4)]
        assert found[f"mean_{name}"] == pytest.approx([pixels.mean() for pixels in inside], rel=1e-5)
        assert found[f"deviation_{name}"] == pytest.approx([pixels.std() for pixels in inside], rel=1e-4)


def test_the_ring_is_the_neighbours_by_the_border_in_common(picture):
    labels, colour, _ = picture
    mean = [colour[0][labels == i].mean() for i in (1, 2, 3, 4)]
    around = {i: [] for i in (1, 2, 3, 4)}
    for one, two in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        for i, j in zip(one.ravel().tolist(), two.ravel().tolist(), strict=True):
            if i != j and i and j:
                around[i].append(mean[j - 1])
                around[j].append(mean[i - 1])
    want = [mean[i - 1] - np.mean(around[i]) for i in (1, 2, 3, 4)]
    assert columns(*picture)["ring_L"] == pytest.approx(want, rel=1e-4)


def test_sizes_and_shapes_are_those_of_scikit_image(picture):
    found = columns(*picture)
    regions = regionprops(picture[0])
    assert found["log_area"] == pytest.approx(np.log2([region.area for region in regions]))
    assert found["fill"] == pytest.approx([region.extent for region in regions])
    # there a pixel is a point, here a square, which has a moment of its own
    moments = np.array([region.inertia_tensor_eigvals for region in regions]) + 1 / 12
    assert found["elongation"] == pytest.approx(np.log(moments[:, 0] / moments[:, 1]) / 2, rel=1e-5)


def test_gradients_of_one_direction_are_coherent():
    labels = np.ones((30, 40), np.int32)
    labels[:, 20:] = 2
    slopes = np.zeros((2, 30, 40))
    slopes[0, :, :20] = 3  # all down
    slopes[:, :, 20:] = np.where(np.indices((30, 20)).sum(0) % 2, [[[2]], [[0]]], [[[0]], [[2]]])  # half and half
    found = columns(labels, np.zeros((3, 30, 40)), slopes)
    assert found["coherence"] == pytest.approx([1, 0], abs=1e-6)
    assert found["gradient"] == pytest.approx([3, 2])


def test_plain_ground_without_a_neighbour():
    found = columns(np.ones((7, 9), np.int32), np.full((3, 7, 9), 42.0), np.zeros((2, 7, 9)))
    assert [found[name][0] for name in ("mean_L", "deviation_L", "ring_L", "fill")] == [42, 0, 0, 1]
    assert all(np.isfinite(column).all() for column in found.values())
