"""Do classes carry over to the next scene? Scene B labelled with A's class model, beside B fitted on itself.

python benchmarks/carry_over.py [--data DATA]

On made pairs, B is another place in another light, in autumn, or both; of real scenes A is the left half, B the right
one. Given is the mIoU against the truth of B (classes matched one to one, and by majority), mean over three seeds of
the clustering, and what share of B's own fit the carried classes keep.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

import geoalps as ga
from geoalps.io.sample import write_sample
from geoalps.labeling.scenes import segment_scenes
from geoalps.labeling.scores import dense, majority, one_to_one
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


CHANGES: dict[str, Callable[[Image, NDArray[np.uint8]], Image] | None] = {
    "another place": None,
    "darker, warmer": darker,
    "haze": hazy,
    "autumn": autumn,
    "autumn, darker, warmer": both,
}


def made_pairs(work: Path) -> Iterator[tuple[str, Path, Path, Path, int | None]]:
    """(name, A, B, truth of B, value of it that is no class)."""
    for place in (1, 2):
        first, second = work / f"a{place}.tif", work / f"b{place}.tif"
        write_sample(first, SampleScene((SIDE, SIDE), seed=place), truth=False)
        write_sample(second, SampleScene((SIDE, SIDE), seed=100 + place), truth=True)
        truth = second.with_name(f"b{place}_class.tif")
        with rasterio.open(second) as file, rasterio.open(truth) as labels:
            image, classes, profile = file.read(), labels.read(1), file.profile
        for name, change in CHANGES.items():
            target = work / f"b{place}_{name.replace(', ', '_').replace(' ', '_')}.tif"
            seen = image if change is None else change(image.transpose(1, 2, 0).astype(np.float32), classes)
            with rasterio.open(target, "w", **profile) as file:
                file.write(image if change is None else np.clip(seen, 0, 255).astype(np.uint8).transpose(2, 0, 1))
            yield f"made {place}: {name}", first, target, truth, None


def real_pairs(data: Path, work: Path) -> Iterator[tuple[str, Path, Path, Path, int | None]]:
    """The same of real scenes, cut in two."""
    for name, ignored in REAL.items():
        source = data / "mosaics" / f"{name}.tif"
        halves = [cut(source, work / f"{name}_{side}.tif", side) for side in (0, 1)]
        truth = cut(source.with_name(f"{name}_class.tif"), work / f"{name}_truth.tif", 1)
        yield f"{name}, halves", halves[0], halves[1], truth, ignored


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


def score(product: ga.Product, truth: Path, ignored: int | None) -> tuple[float, float]:
    """MIoU one to one and by majority."""
    with rasterio.open(product.path / "labels.tif") as file:
        labels = file.read(1)
    with rasterio.open(truth) as file:
        classes, nodata = file.read(1), file.nodata
    known = ~np.isin(classes, [value for value in (ignored, nodata) if value is not None])
    pairs, counts = np.unique(np.stack([labels[known], classes[known]]), axis=1, return_counts=True)
    clusters, _, table = dense(*pairs.astype(np.int64), counts)
    void = clusters == 255
    return one_to_one(table, void).mean_iou, majority(table, void).mean_iou


def carried(first: Path, second: Path, truth: Path, ignored: int | None, k: int, work: Path) -> NDArray[np.float64]:
    """(seeds, 2, 2) of B's own fit and of A's model: one to one, majority; and the mean drift of the latter."""
    own = ga.segment(first, path=work / "first", overwrite=True)
    alone = ga.segment(second, path=work / "second", overwrite=True)
    found = []
    for seed in SEEDS:
        model = ga.fit_classes(own, k, seed=seed)
        (as_first,) = segment_scenes([second], [work / "as first"], class_model=model, overwrite=True)
        pairs = ((alone, ga.fit_classes(alone, k, seed=seed)), (as_first, model))
        found.append(
            [score(ga.label(store, by, work / "product", overwrite=True), truth, ignored) for store, by in pairs]
        )
    return np.array(found)


def main() -> None:
    """Parse, run, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="holds mosaics/; without it, the made pairs alone")
    parser.add_argument("-k", type=int, nargs="*", default=[8, 16])
    given = parser.parse_args()
    print("| A to B | k | B's own fit, one-to-one / majority | A's model | kept |", "|" + " --- |" * 5, sep="\n")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        pairs = [*made_pairs(work), *(real_pairs(given.data, work) if given.data else [])]
        for title, first, second, truth, ignored in pairs:
            for k in given.k:
                mean = carried(first, second, truth, ignored, k, work).mean(0)
                kept = mean[1] / mean[0]
                cells = [f"{one:.3f} / {many:.3f}" for one, many in mean]
                print(f"| {title} | {k} | {cells[0]} | {cells[1]} | {kept[0]:.2f} / {kept[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
