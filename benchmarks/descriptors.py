"""Do hand-made descriptors tell kinds of objects apart, alone and beside an encoder's embedding, on true masks?

python benchmarks/descriptors.py --data nwpu_vhr10 [--most 150]

The data is NWPU VHR-10 with polygons: instances_train.json in COCO's form and images/. Each instance's true mask is
described as ``--with-shape`` does it, k-means with ten clusters from five seeds sorts the instances, and the clusters
are held against the ten classes: normalised mutual information, and accuracy once each cluster is given one class so
that most instances are right (Hungarian). Both once over all instances and once over at most --most of a class. The
encoder is a convolutional network with random weights, the least that an encoder can be; torch computes on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from scipy.optimize import linear_sum_assignment  # noqa: E402
from skimage.feature import local_binary_pattern  # noqa: E402
from skimage.measure import regionprops  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.metrics import normalized_mutual_info_score  # noqa: E402
from torch import nn  # noqa: E402

from geoalps.labeling.normalisation import Normalisation  # noqa: E402
from geoalps.labeling.pool import pool  # noqa: E402
from geoalps.models.descriptors import NAMES, SHAPE_NAMES  # noqa: E402
from geoalps.models.regions import RegionSegmenter  # noqa: E402
from geoalps.models.with_shape import with_shape  # noqa: E402
from geoalps.protocols import EmbeddingMap  # noqa: E402
from geoalps.segments import Segments  # noqa: E402

Values = NDArray[np.float32]
K, SEEDS, STARTS = 10, 5, 4
SIDE = 16
"""Pixels of a cell of the random encoder's map."""
AXES = "log length, log width of the ellipse with the same moments"
OUTLINE = "solidity, compactness, log perimeter"
TEXT, RINGS = "L*a*b*, gradient, texture", tuple(name for name in NAMES if name.startswith("ring"))


def instances(data: Path) -> Iterator[tuple[NDArray[np.uint8], Segments, list[int]]]:
    """(image, true masks, their classes from 0) of every image that has some."""
    truth = json.loads((data / "instances_train.json").read_text(encoding="utf-8"))
    of_image: dict[int, list[Any]] = {}
    for instance in truth["annotations"]:
        of_image.setdefault(instance["image_id"], []).append(instance)
    for entry in truth["images"]:
        if entry["id"] in of_image:
            image = np.asarray(Image.open(data / "images" / entry["file_name"]).convert("RGB"))
            found = of_image[entry["id"]]
            masks = Segments.from_masks(filled(instance["segmentation"], image.shape[:2]) for instance in found)
            some = masks.areas > 0
            classes = [instance["category_id"] - 1 for instance, there in zip(found, some, strict=True) if there]
            yield image, masks.take(some), classes


def filled(polygons: list[list[float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(height, width) bool: where the polygons, x y x y ..., are."""
    picture = Image.new("1", shape[::-1])
    for polygon in polygons:
        ImageDraw.Draw(picture).polygon(polygon, 1, 1)
    return np.asarray(picture)


def random_encoder() -> Callable[[NDArray[np.uint8]], EmbeddingMap]:
    """A network that nothing was taught: 256 channels, each normalised over the image, a cell every 16 pixels."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    widths, layers = (48, 64, 128, 128, 192, 256), [nn.PixelUnshuffle(4)]
    for number, (one, other) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(one, other, 3, 1 + number % 2, 1), nn.BatchNorm2d(other), nn.GELU()]
    network = nn.Sequential(*layers[:-1]).train()

    @torch.no_grad()
    def encode(image: NDArray[np.uint8]) -> EmbeddingMap:
        """Its map of an image that is filled up to whole cells."""
        more = [(0, -side % SIDE) for side in image.shape[:2]]
        whole = np.pad(image, (*more, (0, 0)), mode="edge")
        batch = torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 127.5 - 1
        return EmbeddingMap(network(batch)[0].numpy(), whole.shape[:2])

    return encode


def colours(image: NDArray[np.uint8], masks: Segments) -> Values:
    """(n, 64) share of the pixels in each of 4 x 4 x 4 colours."""
    red, green, blue = np.moveaxis(image >> 6, 2, 0).astype(np.int64)
    index, pixel = masks.pixels(image.shape[1])
    colour = (red * 16 + green * 4 + blue).ravel()[pixel]
    counts = np.bincount(index * 64 + colour, minlength=64 * len(masks)).reshape(-1, 64)
    return (counts / masks.areas[:, None]).astype(np.float32)


def gathered(data: Path) -> tuple[tuple[Values, ...], NDArray[np.int64]]:
    """Descriptors, embeddings, histograms, further columns, each (n, columns); and (n,) classes of all instances."""
    encode, describer = random_encoder(), with_shape(RegionSegmenter())
    parts: list[tuple[Values, ...]] = []
    classes: list[int] = []
    for image, masks, found in instances(data):
        described = describer.describe(image, np.ones(image.shape[:2], bool), masks)
        parts.append((described, pool(masks, encode(image)), colours(image, masks), further(image, masks)))
        classes += found
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True)), np.array(classes)


def further(image: NDArray[np.uint8], masks: Segments) -> Values:
    """(n, 15) columns that might be descriptors and are none: two of AXES, three of OUTLINE, ten of local patterns."""
    pattern = local_binary_pattern(np.asarray(Image.fromarray(image).convert("L")), 8, 1, "uniform").astype(np.int64)
    index, pixel = masks.pixels(image.shape[1])
    patterns = np.bincount(index * 10 + pattern.ravel()[pixel], minlength=10 * len(masks)).reshape(-1, 10)
    shapes = []
    for i in range(len(masks)):
        seen = regionprops(np.pad(masks.mask(i), 1).astype(np.uint8))[0]
        length, width = (np.log2(max(axis, 1)) for axis in (seen.axis_major_length, seen.axis_minor_length))
        around = max(seen.perimeter_crofton, 1)
        solidity = 1.0 if min(seen.image.shape) == 1 else seen.solidity
        shapes.append([length, width, solidity, seen.area / around**2, np.log2(around)])
    return np.concatenate([shapes, patterns / masks.areas[:, None]], 1).astype(np.float32)


def normalised(kind: str, values: Values, appended: int = 0) -> Values:
    """(n, out) as a class model that is fitted on these values has them."""
    wide = values.astype(float)
    mean, covariance = wide.mean(0), np.cov(wide.T, bias=True)
    return Normalisation.fit(kind, mean, covariance, appended=appended)(values)


def features(described: Values, embedded: Values, histogram: Values, more: Values) -> Iterator[tuple[str, Values]]:
    """What is clustered, by name."""

    def columns(keep: Callable[[str], bool]) -> Values:
        """Some descriptors, z-scored."""
        return normalised("zscore", described[:, [keep(name) for name in NAMES]])

    yield "**descriptors**, z-scored", columns(lambda _: True)
    yield f"without size and shape ({TEXT}, ring)", columns(lambda name: name not in SHAPE_NAMES)
    yield f"size and shape only ({', '.join(SHAPE_NAMES)})", columns(lambda name: name in SHAPE_NAMES)
    yield "without the ring", columns(lambda name: name not in RINGS)
    for name, columns_ in ((AXES, range(2)), (f"{AXES}, {OUTLINE}", range(5)), ("local binary patterns", range(5, 15))):
        yield f"descriptors and {name}", normalised("zscore", np.concatenate([described, more[:, columns_]], 1))
    tripled = np.where(np.isin(NAMES, SHAPE_NAMES), np.sqrt(3), 1)
    yield "descriptors, size and shape with three times the variance", columns(lambda _: True) * tripled
    yield "64 colours, histogram", histogram
    joined = np.concatenate([embedded, described], 1)
    for kind in ("none", "l2", "zscore", "pca"):
        yield f"random encoder, {kind}", normalised(kind, embedded)
        yield f"random encoder, {kind}, `--with-shape`", normalised(kind, joined, appended=len(NAMES))
    yield "random encoder and descriptors, z-scored as if one", normalised("zscore", joined)


def judged(clusters: NDArray[np.int64], classes: NDArray[np.int64]) -> tuple[float, float]:
    """Normalised mutual information, accuracy."""
    table = np.zeros((K, K))
    np.add.at(table, (clusters, classes), 1)
    rows, cols = linear_sum_assignment(-table)
    return float(normalized_mutual_info_score(classes, clusters)), float(table[rows, cols].sum() / len(classes))


def cell(values: Values | None, classes: NDArray[np.int64]) -> str:
    """Mean over the seeds; None is labels by chance."""
    scores = []
    for seed in range(SEEDS):
        if values is None:
            clusters = np.random.default_rng(seed).integers(0, K, len(classes))
        else:
            clusters = KMeans(K, n_init=STARTS, random_state=seed).fit_predict(values)
        scores.append(judged(clusters, classes))
    information, accuracy = np.mean(scores, 0)
    return f"{information:.3f} / {accuracy:.3f}"


def main() -> None:
    """Parse, gather, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds instances_train.json and images/")
    parser.add_argument("--most", type=int, default=150, help="instances of a class in the second column")
    given = parser.parse_args()
    if not (given.data / "instances_train.json").exists():
        print(f"skipped: {given.data} holds no instances_train.json; give the directory of NWPU VHR-10 with --data")
        return
    whole, classes = gathered(given.data)
    shuffled = np.random.default_rng(0).permutation(len(classes))
    few = np.sort(np.concatenate([shuffled[classes[shuffled] == i][: given.most] for i in range(K)]))
    print(f"| NMI / accuracy | all {len(classes)} instances | at most {given.most} of a class, {len(few)} |")
    print("| --- | --- | --- |")
    part = [values[few] for values in whole]
    print(f"| labels by chance | {cell(None, classes)} | {cell(None, classes[few])} |")
    for (name, values), (_, fewer) in zip(features(*whole), features(*part), strict=True):
        print(f"| {name} | {cell(values, classes)} | {cell(fewer, classes[few])} |", flush=True)


if __name__ == "__main__":
    main()
