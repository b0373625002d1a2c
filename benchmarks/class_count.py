"""How many classes: does the recommendation come near the true number on made scenes?

python benchmarks/class_count.py [--development] [--all-objects] [--work DIR] [--without-network]

A made scene is a mosaic of patches, 2048 pixels a side, of kinds that a person could count: a third of them share
their colour with another kind and differ by texture. Kinds vary from patch to patch, cover shares of the scene that
differ, and lie under uneven light and noise. Each scene goes through `geoalps.segment` with regions and tiles of 512
pixels, and every method gets the same z-scored embeddings of its objects, small ones left out by their areas as
`suggest` does it, or with `--all-objects` of all. `--development` takes the settings and seeds
on which the mixture's treatment was chosen. With --work what was segmented is kept, and used again. One thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads
import rasterio  # noqa: E402
from affine import Affine  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import ndimage  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402
from skimage.color import lab2rgb, rgb2lab  # noqa: E402

import geoalps as ga  # noqa: E402
from geoalps.io.store import Store  # noqa: E402
from geoalps.labeling.class_count import suggest, telling  # noqa: E402
from geoalps.labeling.fitting import sampled  # noqa: E402
from geoalps.labeling.mixture import count_components  # noqa: E402

Values = NDArray[np.float32]
Map = NDArray[np.float64]
SIDE = 2048
TEXTURES = ("plain", "grain", "blotches", "rows", "dots")
LARGEST = 40
"""Number of classes that may be found, by every method."""
EPOCHS = 250
"""Of the network form, half of what it takes by default: ten turns of splits."""
SMALL = 0.01
"""A component of scikit-learn's mixture counts when its weight is larger."""


@dataclass(frozen=True)
class Setting:
    """What the scenes of one row are like."""

    classes: int
    """True number of kinds."""
    patch: int
    """Pixels a side of a usual patch."""
    noise: float
    """Standard deviation of the sensor's, in grey levels."""
    imbalance: float
    """How often the commonest kind is there for once the rarest."""
    light: float = 0.05
    """Standard deviation of the light over the scene."""


FINAL = (
    (Setting(4, 88, 3, 2), Setting(7, 56, 6, 6), Setting(10, 72, 3, 8), Setting(14, 56, 5, 4), Setting(20, 64, 2, 3)),
    (11, 12, 13),
)
DEVELOPMENT = (
    (Setting(5, 72, 3, 2), Setting(8, 56, 6, 6), Setting(12, 64, 3, 8), Setting(16, 56, 5, 4), Setting(22, 64, 2, 3)),
    (101, 102, 103),
)


def kinds(count: int, rng: np.random.Generator) -> tuple[Map, NDArray[np.int64], Map]:
    """(count, 3) L*a*b* colours, (count,) textures, (count,) their contrast in L*; no two have both in common."""
    candidates = rng.uniform([25, -45, -45], [85, 45, 50], (4000, 3))
    candidates = candidates[np.abs(rgb2lab(lab2rgb(candidates)) - candidates).max(1) < 1]
    own = count - count // 3
    chosen, apart = candidates[:1], 60.0
    while len(chosen) < own:
        far = candidates[cKDTree(chosen).query(candidates)[0] > apart]
        chosen, apart = (np.concatenate([chosen, far[:1]]), apart) if len(far) else (chosen, apart * 0.9)
    texture = rng.integers(len(TEXTURES), size=own)
    twins = rng.permutation(own)[: count - own]
    other = (texture[twins] + rng.integers(1, len(TEXTURES), size=len(twins))) % len(TEXTURES)
    return np.concatenate([chosen, chosen[twins]]), np.concatenate([texture, other]), rng.uniform(9, 13, count)


def texture_map(name: str, rng: np.random.Generator) -> Map:
    """(SIDE, SIDE) of mean 0 and deviation 1, or 0 all over."""
    row, col = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    if name == "plain":
        return np.zeros((SIDE, SIDE))
    if name in ("grain", "blotches"):
        value = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 0.7 if name == "grain" else 2.5)
    elif name == "rows":
        value = np.sin(2 * np.pi * (row * np.cos(0.52) + col * np.sin(0.52)) / 6)
    else:
        value = (np.sin(2 * np.pi * row / 9) * np.sin(2 * np.pi * col / 9) > 0.45).astype(np.float64)
    return np.asarray((value - value.mean()) / value.std())


def patches(setting: Setting, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """(SIDE, SIDE) numbers of patches with crooked borders, and how many there are."""
    cells = SIDE // setting.patch + 2
    grid = np.stack(np.mgrid[:cells, :cells], -1).reshape(-1, 2) - 0.5
    seeds = (grid + rng.uniform(-0.38, 0.38, grid.shape)) * setting.patch
    place = np.stack(np.mgrid[:SIDE, :SIDE], -1).astype(np.float64)
    crooked = np.stack([ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 8) for _ in range(2)], -1)
    place += 2 * crooked / crooked.std()
    return cKDTree(seeds).query(place.reshape(-1, 2))[1].reshape(SIDE, SIDE), len(seeds)


def made_scene(setting: Setting, seed: int) -> NDArray[np.uint8]:
    """(3, SIDE, SIDE) uint8."""
    rng = np.random.default_rng([setting.classes, seed])
    colour, texture, contrast = kinds(setting.classes, rng)
    patch, count = patches(setting, rng)
    share = setting.imbalance ** -np.linspace(0, 1, setting.classes)
    kind = np.repeat(np.arange(setting.classes), np.ceil(rng.permutation(share / share.sum()) * count).astype(int))
    kind = rng.permutation(kind)[:count]
    # no two patches of a kind are quite alike
    lab = (colour[kind] + rng.normal(size=(count, 3)) * (1.5, 1, 1))[patch]
    strength = contrast[kind] * rng.uniform(0.85, 1.15, count)
    for number, texture_name in enumerate(TEXTURES):
        lab[..., 0] += texture_map(texture_name, rng) * np.where(texture[kind] == number, strength, 0)[patch]
    light = ndimage.zoom(ndimage.gaussian_filter(rng.normal(size=(SIDE // 16,) * 2), 12, mode="wrap"), 16, order=1)
    rgb = lab2rgb(np.clip(lab, (0, -128, -128), (100, 128, 128))) * 255
    rgb *= (1 + setting.light * np.clip(light / light.std(), -2, 2))[..., None]
    rgb = ndimage.gaussian_filter(rgb, (0.6, 0.6, 0)) + rng.normal(size=rgb.shape) * setting.noise
    return np.ascontiguousarray(np.clip(rgb, 0, 255).astype(np.uint8).transpose(2, 0, 1))


def sample(setting: Setting, seed: int, work: Path, every: bool) -> Values:
    """(n, channels) z-scored embeddings of the objects of a made scene."""
    folder = work / f"{setting.classes}_{seed}"
    kept = folder / "store" / "manifest.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
        size = {"count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8", "photometric": "RGB"}
        with rasterio.open(folder / "scene.tif", "w", driver="GTiff", **size, **place) as file:
            file.write(made_scene(setting, seed))
        scene = ga.open_scene(str(folder / "scene.tif"))
        grid = ga.TileGrid(scene.shape, size=512, margin=96)
        ga.segment(scene, grid, segmenter="regions", path=folder / "store", threads=1)
    values, areas = sampled([Store.open(folder / "store")], "zscore")
    return values if every else values[telling(areas)]


def sklearn_components(values: Values, seed: int) -> int:
    """Components of scikit-learn's mixture with a Dirichlet process prior, on the principal axes ours keeps."""
    from sklearn.mixture import BayesianGaussianMixture

    from geoalps.labeling.mixture import principal

    model = BayesianGaussianMixture(
        n_components=LARGEST, weight_concentration_prior_type="dirichlet_process", random_state=seed, max_iter=300
    )
    return int((model.fit(principal(values)).weights_ > SMALL).sum())


def methods(network: bool) -> dict[str, Callable[[Values, int], Sequence[int]]]:
    """Every method by its name: embeddings and a seed to one number of classes or several."""
    found: dict[str, Callable[[Values, int], Sequence[int]]] = {"**DP mixture**": count_components}
    if network:
        from geoalps.training.deep_mixture import Settings, fit

        quick = partial(fit, settings=Settings(epochs=EPOCHS))
        found["network form"] = partial(count_components, fit=quick, runs=1)
    return found


def of_scene(setting: Setting, seed: int, work: Path, network: bool, every: bool) -> dict[str, tuple[int, float]]:
    """What every method finds on one scene, and the seconds that it took."""
    values, found = sample(setting, seed, work, every), {}
    for method, count in methods(network).items():
        start = time.perf_counter()
        counts = sorted(count(values, 0))
        found[method] = counts[len(counts) // 2], time.perf_counter() - start
    start = time.perf_counter()
    rows = suggest(values, largest=LARGEST, mixture=lambda *_: (2,)).rows
    curves = time.perf_counter() - start
    for curve in ("silhouette", "stability"):
        found[f"highest {curve}"] = max(rows, key=lambda row: getattr(row, curve)).k, curves
    start = time.perf_counter()
    found["BayesianGaussianMixture"] = sklearn_components(values, 0), time.perf_counter() - start
    print(f"<!-- {setting}, seed {seed}: {len(values)} objects, {found} -->", flush=True)
    return found


def report(settings: Sequence[Setting], seeds: Sequence[int], work: Path, network: bool, every: bool) -> None:
    """The table."""
    found = {setting: [of_scene(setting, seed, work, network, every) for seed in seeds] for setting in settings}
    names = list(found[settings[0]][0])
    print(f"\n| true k | patch, noise, imbalance | {' | '.join(names)} |\n|{' --- |' * (len(names) + 2)}")
    for setting, scenes in found.items():
        cells = []
        for method in names:
            counts = [scene[method][0] for scene in scenes]
            error = np.mean([count / setting.classes - 1 for count in counts])
            cells.append(f"{', '.join(map(str, counts))} ({error:+.0%})")
        kind = f"{setting.patch} px, {setting.noise:g}, {setting.imbalance:g}"
        print(f"| {setting.classes} | {kind} | {' | '.join(cells)} |")
    errors = {
        method: np.array([scene[method][0] / setting.classes - 1 for setting in settings for scene in found[setting]])
        for method in names
    }
    within = [f"{(np.abs(error) <= 0.25).sum()} of {len(error)}" for error in errors.values()]
    seconds = [np.median([scene[method][1] for scenes in found.values() for scene in scenes]) for method in names]
    print(f"| within 25 % | | {' | '.join(within)} |")
    print(f"| mean relative error, absolute | | {' | '.join(f'{np.abs(e).mean():.0%}' for e in errors.values())} |")
    print(f"| seconds a scene, median | | {' | '.join(f'{value:.1f}' for value in seconds)} |")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--development", action="store_true", help="other numbers of classes, other seeds")
    parser.add_argument("--all-objects", action="store_true", help="small ones, too")
    parser.add_argument("--work", type=Path, help="keep what was segmented here, and use it again")
    parser.add_argument("--without-network", action="store_true")
    given = parser.parse_args()
    settings, seeds = DEVELOPMENT if given.development else FINAL
    with tempfile.TemporaryDirectory() as folder:
        report(settings, seeds, given.work or Path(folder), not given.without_network, given.all_objects)


if __name__ == "__main__":
    main()
