"""Which embeddings cluster by kind? True masks pooled, normalised, clustered, and held against what they are.

python benchmarks/clustering.py --data DATA [--curve regret.png]

True masks of NWPU VHR-10 (ten classes; nwpu_vhr10/instances_train.json and images/) and of scenes of four sensors
(buildings, trees, large and small vehicles; scenes/ and mosaics/) are pooled: hand-made descriptors as ``regions`` and
``--with-shape`` have them, with columns left out and added; a network with random weights, the least that an encoder
can be; colour histograms; numbers by chance. K-means, with as many clusters as classes and five seeds, sorts them;
given are the normalised mutual information, the adjusted Rand index, and the accuracy once each cluster is given one
class so that most instances are right (Hungarian).

What tells things apart may tell grounds apart worse: the second table is of the default segmenter's regions on scenes
with land cover, mean IoU of the classes one to one and by majority, mean over scenes and seeds.

The third table is of how it is clustered: OnlineKMeans beside k-means of all instances at once and scikit-learn's
MiniBatchKMeans.partial_fit fed image after image. --curve draws their regret: what the losses at the time add up to,
less the loss of the best centres in hindsight.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads
import rasterio  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from scipy.optimize import linear_sum_assignment  # noqa: E402
from skimage.feature import local_binary_pattern  # noqa: E402
from skimage.measure import regionprops  # noqa: E402
from sklearn.cluster import KMeans, MiniBatchKMeans  # noqa: E402
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score  # noqa: E402
from torch import nn  # noqa: E402

import geoalps as ga  # noqa: E402
from geoalps.grid import Window  # noqa: E402
from geoalps.labeling.kmeans import OnlineKMeans, assign  # noqa: E402
from geoalps.labeling.normalisation import Normalisation  # noqa: E402
from geoalps.labeling.pool import pool  # noqa: E402
from geoalps.labeling.scores import majority, one_to_one  # noqa: E402
from geoalps.models.descriptors import NAMES, SHAPE_NAMES  # noqa: E402
from geoalps.models.regions import RegionSegmenter  # noqa: E402
from geoalps.models.with_shape import with_shape  # noqa: E402
from geoalps.protocols import EmbeddingMap  # noqa: E402
from geoalps.segments import Segments  # noqa: E402

Values = NDArray[np.float32]
Ids = NDArray[np.int64]
SEEDS, STARTS = 5, 4
SIDE = 16
"""Pixels of a cell of the random encoder's map."""
SCENES = {
    "mosaics/fair_kampala_dev": {1: "building"},
    "scenes/spacenet_atlanta_pan": {1: "building"},
    "scenes/whu_1": {1: "building"},
    "scenes/deepforest_OSBS_029": {1: "tree"},
    "scenes/deepforest_SOAP_061": {1: "tree"},
    "scenes/isaid_P0005": {8: "large vehicle", 9: "small vehicle"},
    "scenes/dota_P1888": {1: "small vehicle", 2: "large vehicle"},
}
"""Scenes with instances, and what their classes are."""
LAND = {
    "mosaics/s2_aber": 0,
    "scenes/detectree_zurich": 255,
    "scenes/detectree_zurich_strip": 255,
    "mosaics/fair_kampala_dev": None,
    "scenes/isaid_P0005": None,
}
"""Scenes for the second table, and the value of the truth that is no class."""
OUTLINE = "solidity, compactness, log perimeter"
RINGS = tuple(name for name in NAMES if name.startswith("ring"))
AXES = "log length, log width of the ellipse with the same moments"


@dataclass(frozen=True, eq=False)
class Instances:
    """True masks of one data set."""

    described: Values
    """(n, len(NAMES)) hand-made descriptors."""
    embedded: Values
    """(n, 256) of the random encoder, pooled."""
    histogram: Values
    """(n, 64) colours."""
    further: Values
    """(n, 15) columns that might be descriptors and are none: two of AXES, three of OUTLINE, ten of local patterns."""
    classes: Ids
    """(n,) 0..k-1."""
    images: Ids
    """(n,) number of the image."""


def of_scenes(data: Path) -> Iterator[tuple[NDArray[np.uint8], Segments, list[int]]]:
    """(image, true masks, their classes from 0) of the scenes that there are."""
    kinds = sorted({name for names in SCENES.values() for name in names.values()})
    for name, names in SCENES.items():
        scene = ga.open_scene(data / f"{name}.tif")
        image, _ = scene.read_rgb(Window(0, 0, *scene.shape), ga.fit_stretch(scene))
        with rasterio.open(data / f"{name}_inst.tif") as inst, rasterio.open(data / f"{name}_class.tif") as classes:
            numbers, pixels = inst.read(1), classes.read(1)
        ids, labels = np.unique(numbers, return_inverse=True)
        commonest = [np.bincount(pixels[numbers == number]).argmax() for number in ids[1:]]
        masks = Segments.from_labels(labels.reshape(numbers.shape).astype(np.int32))
        kept = np.array([value in names for value in commonest])
        yield image, masks.take(kept), [kinds.index(names[value]) for value in commonest if value in names]


def of_nwpu(data: Path) -> Iterator[tuple[NDArray[np.uint8], Segments, list[int]]]:
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


def gathered(source: Iterator[tuple[NDArray[np.uint8], Segments, list[int]]]) -> Instances:
    """Descriptors, embeddings, histograms and further columns of all instances of a data set."""
    encode, describer = random_encoder(), with_shape(RegionSegmenter())
    parts: list[tuple[Values, ...]] = []
    classes: list[int] = []
    counts: list[int] = []
    for image, masks, found in source:
        described = describer.describe(image, np.ones(image.shape[:2], bool), masks)
        parts.append((described, pool(masks, encode(image)), colours(image, masks), further(image, masks)))
        classes += found
        counts.append(len(found))
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Instances(*columns, np.array(classes), np.repeat(np.arange(len(counts)), counts))


def further(image: NDArray[np.uint8], masks: Segments) -> Values:
    """(n, 15) columns that might be descriptors and are none: two of AXES, three of OUTLINE, ten of local patterns."""
    pattern = local_binary_pattern(np.asarray(Image.fromarray(image).convert("L")), 8, 1, "uniform").astype(np.int64)
    index, pixel = masks.pixels(image.shape[1])
    patterns = np.bincount(index * 10 + pattern.ravel()[pixel], minlength=10 * len(masks)).reshape(-1, 10)
    shapes = []
    for i in range(len(masks)):
        seen = regionprops(np.pad(masks.mask(i), 1).astype(np.uint8))[0]
        around = max(seen.perimeter_crofton, 1)
        solidity = 1.0 if min(seen.image.shape) == 1 else seen.solidity
        length, width = (np.log2(max(axis, 1)) for axis in (seen.axis_major_length, seen.axis_minor_length))
        shapes.append([length, width, solidity, seen.area / around**2, np.log2(around)])
    return np.concatenate([shapes, patterns / masks.areas[:, None]], 1).astype(np.float32)


def normalised(kind: str, values: Values, appended: int = 0) -> Values:
    """(n, out) as a class model that is fitted on these values has them."""
    wide = values.astype(float)
    mean, covariance = wide.mean(0), np.cov(wide.T, bias=True)
    return Normalisation.fit(kind, mean, covariance, appended=appended)(values)


def features(all_: Instances) -> Iterator[tuple[str, Values | None]]:
    """What is clustered, by name; None is numbers by chance."""
    described, embedded, more = all_.described, all_.embedded, all_.further

    def columns(keep: Callable[[str], bool], kind: str = "zscore") -> Values:
        """Some descriptors, normalised."""
        return normalised(kind, described[:, [keep(name) for name in NAMES]])

    yield "labels by chance", None
    yield "64 colours, histogram", all_.histogram
    for kind in ("zscore", "pca", "l2", "none"):
        yield f"descriptors, {kind}", columns(lambda _: True, kind)
    yield "without size and shape", columns(lambda name: name not in SHAPE_NAMES)
    yield "size and shape only", columns(lambda name: name in SHAPE_NAMES)
    yield "without the ring", columns(lambda name: name not in RINGS)
    extra = ((AXES, range(2)), (f"{AXES}, {OUTLINE}", range(5)), ("local binary patterns", range(5, 15)))
    for name, places in extra:
        yield f"descriptors and {name}", normalised("zscore", np.concatenate([described, more[:, places]], 1))
    for times in (2, 3):
        heavier = np.where(np.isin(NAMES, SHAPE_NAMES), np.sqrt(times), 1)
        yield f"descriptors, size and shape with {times} times the variance", columns(lambda _: True) * heavier
    joined = np.concatenate([embedded, described], 1)
    for kind in ("none", "l2", "zscore", "pca"):
        yield f"random encoder, {kind}", normalised(kind, embedded)
        yield f"random encoder, {kind}, `--with-shape`", normalised(kind, joined, appended=len(NAMES))
    yield "random encoder and descriptors, z-scored as if one", normalised("zscore", joined)


def land_features(described: Values, spectra: Values, more: Values) -> Iterator[tuple[str, Values]]:
    """What of regions is clustered, by name; the means of further bands belong to all of it."""

    def z(*parts: Values) -> Values:
        """Columns side by side, z-scored."""
        return normalised("zscore", np.concatenate([*parts, spectra], 1))

    yield "descriptors, zscore", z(described)
    yield "descriptors, pca", normalised("pca", np.concatenate([described, spectra], 1))
    yield "without size and shape", z(described[:, [name not in SHAPE_NAMES for name in NAMES]])
    yield "without the ring", z(described[:, [name not in RINGS for name in NAMES]])
    yield f"descriptors and {AXES}", z(described, more[:, :2])
    shape = np.concatenate([np.isin(NAMES, SHAPE_NAMES), np.zeros(spectra.shape[1], bool)])
    for times in (2, 3):
        yield (
            f"descriptors, size and shape with {times} times the variance",
            z(described) * np.where(shape, times**0.5, 1),
        )


def land_table(data: Path) -> Iterator[str]:
    """Rows of the second table."""
    cells: dict[str, list[NDArray[np.float64]]] = {}
    for name, ignored in LAND.items():
        scene = ga.open_scene(data / f"{name}.tif")
        stretch = ga.fit_stretch(scene)
        with tempfile.TemporaryDirectory() as work:
            store = ga.segment(scene, ga.TileGrid(scene.shape, 2048, 0), path=work, stretch=stretch)
            record = store.read(store.grid[0, 0])
        image, _ = scene.read_rgb(Window(0, 0, *scene.shape), stretch)
        with rasterio.open(data / f"{name}_class.tif") as file:
            truth = file.read(1).ravel()
        kinds = np.unique(truth[truth != ignored])
        index, pixel = record.segments.pixels(scene.shape[1])
        known = np.isin(truth[pixel], kinds)
        table = np.zeros((len(record.segments), len(kinds)), np.int64)
        np.add.at(table, (index[known], np.searchsorted(kinds, truth[pixel][known])), 1)
        described, spectra = np.split(record.embeddings, [len(NAMES)], 1)
        for title, values in land_features(described, spectra, further(image, record.segments)):
            figures = [land_figures(values, table, k) for k in (8, 16)]
            cells.setdefault(title, []).append(np.concatenate(figures))
    for title, found in cells.items():
        k8_one, k8_many, k16_one, k16_many = np.mean(found, 0)
        yield f"| {title} | {k8_one:.3f} / {k8_many:.3f} | {k16_one:.3f} / {k16_many:.3f} |"


def land_figures(values: Values, table: Ids, k: int) -> NDArray[np.float64]:
    """Mean IoU one to one and by majority, mean over the seeds, of regions with (n, classes) true pixels."""
    found = []
    for seed in range(SEEDS):
        clusters = KMeans(k, n_init=STARTS, random_state=seed).fit_predict(values)
        sums = np.zeros((k, table.shape[1]), np.int64)
        np.add.at(sums, clusters, table)
        void = np.zeros(k, bool)
        found.append((one_to_one(sums, void).mean_iou, majority(sums, void).mean_iou))
    return np.mean(found, 0)


def judged(clusters: Ids, classes: Ids) -> tuple[float, float, float]:
    """Normalised mutual information, adjusted Rand index, accuracy."""
    k = int(max(clusters.max(), classes.max())) + 1
    table = np.zeros((k, k))
    np.add.at(table, (clusters, classes), 1)
    rows, cols = linear_sum_assignment(-table)
    accuracy = float(table[rows, cols].sum() / len(classes))
    return (
        float(normalized_mutual_info_score(classes, clusters)),
        float(adjusted_rand_score(classes, clusters)),
        accuracy,
    )


def cell(values: Values | None, classes: Ids) -> str:
    """Mean over the seeds, and the deviation of the accuracy; None is labels by chance."""
    scores, k = [], int(classes.max()) + 1
    for seed in range(SEEDS):
        if values is None:
            clusters = np.random.default_rng(seed).integers(0, k, len(classes))
        else:
            clusters = KMeans(k, n_init=STARTS, random_state=seed).fit_predict(values)
        scores.append(judged(clusters, classes))
    information, rand, accuracy = np.mean(scores, 0)
    return f"{information:.3f} / {rand:.3f} / {accuracy:.3f}±{np.std(scores, 0)[2]:.3f}"


@dataclass(frozen=True, eq=False)
class Run:
    """One way of clustering, done."""

    clusters: Ids
    """(n,) in the end."""
    loss: float
    """Mean squared distance to the nearest centre in the end."""
    online: NDArray[np.float64]
    """(steps, 2) instances seen, and the sum of their losses at the time; none for what sees all at once."""


def at_once(values: Values, k: int, seed: int) -> Run:
    """K-means of all instances."""
    model = KMeans(k, n_init=STARTS, random_state=seed).fit(values)
    return Run(model.labels_, model.inertia_ / len(values), np.zeros((0, 2)))


def online(values: Values, batches: list[Ids], k: int, seed: int) -> Run:
    """OnlineKMeans as the program runs it: seeds from a sample, five passes; the regret is of the first one."""
    learner = OnlineKMeans.seeded(values, k, seed)
    trace = []
    learner.partial_fit(values[batches[0]])
    for place, batch in enumerate(batches):
        if place:
            learner.partial_fit(values[batch])
        trace.append((sum(map(len, batches[: place + 1])), learner.loss))
    order = np.random.default_rng(seed)
    learner.fit(lambda _: (values[batches[i]] for i in order.permutation(len(batches))), passes=4)
    return _ended(values, learner.centres, trace)


def mini_batch(values: Values, batches: list[Ids], k: int, seed: int) -> Run:
    """scikit-learn's partial_fit, one pass; a batch too small to begin with waits for the next."""
    model, trace, seen, loss = MiniBatchKMeans(k, random_state=seed, n_init="auto"), [], 0, 0.0
    waiting: list[Ids] = []
    for batch in batches:
        waiting.append(batch)
        part = values[np.concatenate(waiting)]
        if seen == 0 and len(part) < k:
            continue
        if seen == 0:
            model.partial_fit(part)
        loss += float((model.transform(part).min(1) ** 2).sum())
        if seen:
            model.partial_fit(part)
        seen, waiting = seen + len(part), []
        trace.append((seen, loss))
    return _ended(values, model.cluster_centers_.astype(np.float64), trace)


def _ended(values: Values, centres: NDArray[np.float64], trace: list[tuple[int, float]]) -> Run:
    clusters, _ = assign(values, centres)
    loss = ((values - centres[clusters]) ** 2).sum(1).mean()
    return Run(clusters, float(loss), np.array(trace, np.float64))


def ways(values: Values, images: Ids, k: int, seed: int) -> dict[str, Run]:
    """All ways of clustering, by name."""
    by_image = [np.flatnonzero(images == number) for number in range(int(images.max()) + 1)]
    rows = np.random.default_rng(seed).permutation(len(values))
    edges = np.cumsum([len(batch) for batch in by_image])[:-1]
    shuffled = [part for part in np.split(rows, edges) if len(part)]
    ordered = [part for part in by_image if len(part)]
    return {
        "k-means, all at once": at_once(values, k, seed),
        "OnlineKMeans, shuffled (the program's)": online(values, shuffled, k, seed),
        "OnlineKMeans, image after image": online(values, ordered, k, seed),
        "MiniBatchKMeans.partial_fit, shuffled": mini_batch(values, shuffled, k, seed),
        "MiniBatchKMeans.partial_fit, image after image": mini_batch(values, ordered, k, seed),
    }


def ways_table(data: dict[str, Instances], curve: Path | None) -> Iterator[str]:
    """Rows of the third table; draws the curves of the first data set."""
    cells: dict[str, list[str]] = {}
    for place, instances in enumerate(data.values()):
        values = normalised("zscore", instances.described)
        runs = [ways(values, instances.images, int(instances.classes.max()) + 1, seed) for seed in range(SEEDS)]
        best = min(run.loss for found in runs for run in found.values())
        for name in runs[0]:
            mine = [found[name] for found in runs]
            scores = np.mean([judged(run.clusters, instances.classes) for run in mine], 0)
            regret = [(run.online[-1, 1] / len(values) - best) / best for run in mine if len(run.online)]
            told = f"{np.mean(regret):+.2f}" if regret else "-"
            loss = np.mean([run.loss for run in mine]) / best
            cells.setdefault(name, []).append(" / ".join(f"{s:.3f}" for s in scores) + f" | {loss:.3f} | {told}")
        if curve and not place:
            draw(runs, values, best, curve)
    yield from (f"| {name} | {' | '.join(parts)} |" for name, parts in cells.items())


def draw(runs: list[dict[str, Run]], values: Values, best: float, path: Path) -> None:
    """The regret an instance, over the instances seen, mean of the seeds."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = np.linspace(50, len(values), 80)
    for name in runs[0]:
        lines = [found[name].online for found in runs if len(found[name].online)]
        if lines:
            mean = np.mean([np.interp(steps, line[:, 0], line[:, 1]) for line in lines], 0)
            axes.plot(steps, mean / steps - best, label=name)
    axes.set(xlabel="instances seen", ylabel="regret an instance (squared distance)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, gather, print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds nwpu_vhr10/, scenes/ and mosaics/")
    parser.add_argument("--curve", type=Path, help="draw the regret into this file")
    given = parser.parse_args()
    if not (given.data / "nwpu_vhr10" / "instances_train.json").exists():
        print(f"skipped: {given.data} holds no nwpu_vhr10/instances_train.json; give the data's directory with --data")
        return
    data = {"NWPU": gathered(of_nwpu(given.data / "nwpu_vhr10")), "scenes": gathered(of_scenes(given.data))}
    heads = [f"{name}: {len(one.classes)} of {one.classes.max() + 1} classes" for name, one in data.items()]
    print(f"| NMI / ARI / accuracy | {' | '.join(heads)} |\n| --- | --- | --- |")
    for rows in zip(*(features(one) for one in data.values()), strict=True):
        cells = [cell(values, one.classes) for (_, values), one in zip(rows, data.values(), strict=True)]
        print(f"| {rows[0][0]} | {' | '.join(cells)} |", flush=True)
    print("\n| mIoU one-to-one / majority | k = 8 | k = 16 |\n| --- | --- | --- |")
    for row in land_table(given.data):
        print(row, flush=True)
    heads = [f"{name}: NMI / ARI / accuracy | loss | regret" for name in data]
    print(f"\n| descriptors, zscore | {' | '.join(heads)} |\n| --- |{' --- |' * 3 * len(data)}")
    for row in ways_table(data, given.curve):
        print(row, flush=True)


if __name__ == "__main__":
    main()
