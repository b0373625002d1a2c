"""Do classes carry over to the next scene? Scene B labelled with A's class model, beside B fitted on itself.

python benchmarks/carry_over.py [--data DATA]

On made pairs B is the same place in another light, in autumn, or both; or another place in another light. Of real
scenes A is one half and B the other. Given is the mIoU against the truth of B, classes matched one to one and by
majority, mean over three seeds of the clustering, for B's own fit, for A's class model as it is, and for that model
adapted to B (--adapt), with the share of B's own fit that is kept. Last, what a user gets who named A's classes by A's
truth: the mIoU under those names, as a share of naming B's own classes by B's truth.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

import geoalps as ga
from geoalps.io.sample import write_sample
from geoalps.labeling.scores import majority, matching, one_to_one
from geoalps.sample import CLASSES, SampleScene

SEEDS = range(3)
SIDE = 1280
Image = NDArray[np.float32]
REAL = {"fair_kampala_dev": None, "s2_aber": 0, "nwpu_mosaic_dev": None}
"""With the value of the truth that is no class."""


def darker(image: Image, _: NDArray[np.uint8]) -> Image:
    """Late light: two thirds as bright, warmer, flatter shadows."""
    return 255 * (image / 255 * np.array([0.74, 0.66, 0.58], np.float32)) ** 0.9


def hazy(image: Image, _: NDArray[np.uint8]) -> Image:
    """Bright air between: less contrast, bluish."""
    return image * 0.7 + np.array([48, 54, 62], np.float32)


def autumn(image: Image, classes: NDArray[np.uint8]) -> Image:
    """Trees turn, fields are brown."""
    out = image.copy()
    for name, tint in (("tree", (1.45, 0.95, 0.7)), ("field", (1.2, 0.98, 0.85))):
        there = classes == CLASSES.index(name)
        out[there] = out[there] * np.array(tint, np.float32)
    return out


def both(image: Image, classes: NDArray[np.uint8]) -> Image:
    """Autumn in late light."""
    return darker(autumn(image, classes), classes)


CHANGES: dict[str, Callable[[Image, NDArray[np.uint8]], Image]] = {
    "darker, warmer": darker,
    "haze": hazy,
    "autumn": autumn,
    "autumn, darker, warmer": both,
}


@dataclass(frozen=True)
class Pair:
    """Two scenes with truth."""

    group: str
    title: str
    first: Path
    second: Path
    first_truth: Path
    second_truth: Path
    ignored: int | None = None
    """Value of the truth that is no class."""


def made_pairs(work: Path) -> Iterator[Pair]:
    """Places in another light and season; and other places."""
    for place in (1, 2, 3):
        one, truth = made(work / f"a{place}.tif", 30 + place)
        with rasterio.open(one) as file, rasterio.open(truth) as labels:
            image, classes, profile = file.read(), labels.read(1), file.profile
        for number, (name, change) in enumerate(CHANGES.items()):
            other = work / f"a{place}_{number}.tif"
            seen = change(image.transpose(1, 2, 0).astype(np.float32), classes)
            with rasterio.open(other, "w", **profile) as file:
                file.write(np.clip(seen, 0, 255).astype(np.uint8).transpose(2, 0, 1))
            yield Pair("the same place", f"place {place}: {name}", one, other, truth, truth)
        other, other_truth = made(work / f"b{place}.tif", 130 + place)
        yield Pair("another place", f"place {place}: another", one, other, truth, other_truth)


def made(path: Path, seed: int) -> tuple[Path, Path]:
    """A made scene and its truth."""
    write_sample(path, SampleScene((SIDE, SIDE), seed=seed), truth=True)
    return path, path.with_name(f"{path.stem}_class.tif")


def real_pairs(data: Path, work: Path) -> Iterator[Pair]:
    """Real scenes cut in two, either half first."""
    for name, ignored in REAL.items():
        source = data / "mosaics" / f"{name}.tif"
        truth = source.with_name(f"{name}_class.tif")
        halves = [cut(source, work / f"{name}_{side}.tif", side) for side in (0, 1)]
        truths = [cut(truth, work / f"{name}_truth_{side}.tif", side) for side in (0, 1)]
        for one, other in ((0, 1), (1, 0)):
            title = f"{name}, {('left', 'right')[one]} to {('left', 'right')[other]}"
            yield Pair("real halves", title, halves[one], halves[other], truths[one], truths[other], ignored)


def cut(source: Path, target: Path, side: int) -> Path:
    """The left (0) or right (1) half of a raster."""
    with rasterio.open(source) as file:
        width = file.width // 2
        window = Window(side * width, 0, width, file.height)
        place = {"width": width, "transform": file.window_transform(window)}
        profile = {**file.profile, **place, "driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256}
        profile.pop("photometric", None)
        values, mask = file.read(window=window), file.dataset_mask(window=window)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(target, "w", **profile) as out:
            out.write(values)
            if file.nodata is None and not mask.all():
                out.write_mask(mask)
    return target


def table(product: ga.Product, truth: Path, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k + 1, kinds) pixels by class, the last row uncovered, and true class."""
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1).astype(np.int64)
    with rasterio.open(truth) as file:
        classes = file.read(1)
    known, k = np.isin(classes, kinds), product.run()["n_classes"]
    rows = np.minimum(labels[known], k) * len(kinds) + np.searchsorted(kinds, classes[known])
    return np.bincount(rows, minlength=(k + 1) * len(kinds)).reshape(k + 1, len(kinds))


def kinds_of(pair: Pair) -> NDArray[np.int64]:
    """True classes of either scene."""
    found = []
    for truth in (pair.first_truth, pair.second_truth):
        with rasterio.open(truth) as file:
            found.append(
                np.setdiff1d(np.unique(file.read(1)), [v for v in (pair.ignored, file.nodata) if v is not None])
            )
    return np.union1d(*found).astype(np.int64)


def figures(counts: NDArray[np.int64], names: NDArray[np.int64]) -> tuple[float, float, float]:
    """MIoU one to one, by majority, and under given names; of the kinds that B has."""
    there = counts.sum(0) > 0
    void = np.arange(len(counts)) == len(counts) - 1
    mine = counts[:, there]
    column = np.full(len(there) + 1, -1)
    column[:-1][there] = np.arange(there.sum())
    named = matching(mine, column[names])
    return one_to_one(mine, void).mean_iou, majority(mine, void).mean_iou, named.mean_iou


def carried(pair: Pair, k: int, work: Path) -> NDArray[np.float64]:
    """(seeds, 3, 3) of B's own fit, A's model, A's model adapted: one to one, majority, by A's names."""
    first = ga.segment(pair.first, path=work / "first", overwrite=True)
    second = ga.segment(pair.second, path=work / "second", overwrite=True)
    found, kinds = [], kinds_of(pair)

    def counted(store: ga.Store, model: ga.ClassModel, truth: Path) -> NDArray[np.int64]:
        """Pixels by class and truth of a product."""
        return table(ga.label(store, model, work / "product", overwrite=True), truth, kinds)

    for seed in SEEDS:
        model = ga.fit_classes(first, k, seed=seed)
        (alike,) = ga.segment_scenes([pair.second], [work / "alike"], class_model=model, overwrite=True)
        names = counted(first, model, pair.first_truth)
        own = counted(second, ga.fit_classes(second, k, seed=seed), pair.second_truth)
        as_it_is = counted(alike, model, pair.second_truth)
        adapted = counted(alike, ga.adapt_classes(model, alike), pair.second_truth)
        found.append([figures(own, called(own)), figures(as_it_is, called(names)), figures(adapted, called(names))])
    return np.array(found)


def called(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k + 1,) the commonest kind of every class; -1 for what is uncovered and for classes without a pixel."""
    names = np.where(counts.sum(1) > 0, counts.argmax(1), -1)
    names[-1] = -1
    return names


def row(title: str, k: int, mean: NDArray[np.float64], kept: NDArray[np.float64]) -> str:
    """Of the table."""
    cells = [" / ".join(f"{value:.3f}" for value in part[:2]) for part in mean]
    shares = [" / ".join(f"{value:.2f}" for value in part[:2]) for part in kept]
    names = " / ".join(f"{part[2]:.2f}" for part in kept)
    return f"| {title} | {k} | {cells[0]} | {cells[1]} | {shares[0]} | {cells[2]} | {shares[1]} | {names} |"


def main() -> None:
    """Parse, run, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="holds mosaics/; without it, the made pairs alone")
    parser.add_argument("-k", type=int, nargs="*", default=[8, 16])
    given = parser.parse_args()
    print(
        "| A to B | k | B's own fit | A's model | kept | A's model, adapted | kept | names kept: as it is / adapted |"
    )
    print("|" + " --- |" * 8)
    groups: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for pair in [*made_pairs(work), *(real_pairs(given.data, work) if given.data else [])]:
            for k in given.k:
                mean = carried(pair, k, work).mean(0)
                groups.setdefault((pair.group, k), []).append(mean)
                print(row(pair.title, k, mean, mean[1:] / mean[0]), flush=True)
    for (group, k), found in groups.items():
        kept = np.array([mean[1:] / mean[0] for mean in found])
        print(row(f"**{group}, mean of {len(found)}**", k, np.mean(found, 0), kept.mean(0)))


if __name__ == "__main__":
    main()
