"""Does choosing objects cost classes? Land cover of chosen objects beside that of one plain Ward cut.

python benchmarks/landcover.py --data DATA --oracles ORACLES [-k 8 16]

Both are cut at the altitude of 300 regions a megapixel of one horizontal cut. A cell is mIoU: mean and deviation over
24 seeds of the clustering, then that of the seed of least loss, the one that k-means itself holds for the best.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import geoalps as ga
from geoalps.io.store import Store
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.fitting import opened

SCENES = {"mosaics/s2_aber": ["--ignore", "0"], "scenes/detectree_zurich": []}
"""With the truth's values that are no class."""
METHODS = {"chosen": {}, "one Ward cut": {"choice": "cut", "affinity": False}}
SEEDS = range(24)


def scores(product: Path, truth: Path, oracle: Path, ignored: list[str]) -> tuple[float, float]:
    """MIoU one-to-one and by majority."""
    command = [sys.executable, str(oracle), str(product / "labels.tif"), str(truth), "--json", *ignored]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found["hungarian"]["mIoU"], found["majority"]["mIoU"]


def loss(store: Store, model: ClassModel) -> float:
    """Sum of the squared distances of all objects to their centres."""
    found = (model.centres.locate(model.normalised(values)) for values in opened([store], None, None))
    return float(sum((located.distance.astype(float) ** 2).sum() for located in found))


def cells(store: Store, k: int, truth: Path, oracle: Path, ignored: list[str], work: Path) -> list[str]:
    """Of the table: both figures of one k."""
    found, losses = [], []
    for seed in SEEDS:
        model = ga.fit_classes(store, k, seed=seed)
        product = ga.label(store, model, work / "product", overwrite=True)
        found.append(scores(product.path, truth, oracle, ignored))
        losses.append(loss(store, model))
    best = found[int(np.argmin(losses))]
    told = zip(np.mean(found, 0), np.std(found, 0), best, strict=True)
    return [f"{mean:.3f}±{deviation:.3f}, {least:.3f}" for mean, deviation, least in told]


def rows(data: Path, oracle: Path, work: Path, ks: list[int]) -> list[str]:
    """Of the table: scene, k, and both figures of both methods."""
    made = []
    for name, ignored in SCENES.items():
        told: dict[int, list[str]] = {k: [] for k in ks}
        for method, options in METHODS.items():
            store = ga.segment(data / f"{name}.tif", path=work / f"{Path(name).name} {method}", **options)
            for k in told:
                told[k] += cells(store, k, data / f"{name}_class.tif", oracle, ignored, work)
        made += [f"| {Path(name).name} | {k} | {' | '.join(figures)} |" for k, figures in told.items()]
    return made


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--oracles", type=Path, required=True)
    parser.add_argument("-k", type=int, nargs="+", default=[8, 16], help="classes")
    given = parser.parse_args()
    titles = [f"{method}, {figure}" for method in METHODS for figure in ("one-to-one", "majority")]
    print(f"| scene | k | {' | '.join(titles)} |", "|" + " --- |" * 6, sep="\n")
    with tempfile.TemporaryDirectory() as work:
        print("\n".join(rows(given.data, given.oracles / "hungarian.py", Path(work), given.k)))


if __name__ == "__main__":
    main()
