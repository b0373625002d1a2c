"""Does choosing objects cost classes? Land cover of chosen objects beside that of one plain Ward cut.

python benchmarks/landcover.py --data DATA --oracles ORACLES

Both are cut by the same number of regions a megapixel; mean and deviation of mIoU over six seeds of the clustering.
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

SCENES = {"mosaics/s2_aber": ["--ignore", "0"], "scenes/detectree_zurich": []}
"""With the truth's values that are no class."""
METHODS = {"chosen": {}, "one Ward cut": {"choice": "cut", "affinity": False}}
SEEDS = range(6)


def scores(product: Path, truth: Path, oracle: Path, ignored: list[str]) -> tuple[float, float]:
    """MIoU one-to-one and by majority."""
    command = [sys.executable, str(oracle), str(product / "labels.tif"), str(truth), "--json", *ignored]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found["hungarian"]["mIoU"], found["majority"]["mIoU"]


def rows(data: Path, oracle: Path, work: Path) -> list[str]:
    """Of the table: scene, k, and both figures of both methods."""
    made = []
    for name, ignored in SCENES.items():
        cells: dict[int, list[str]] = {8: [], 16: []}
        for method, options in METHODS.items():
            store = ga.segment(data / f"{name}.tif", path=work / f"{Path(name).name} {method}", **options)
            for k, told in cells.items():
                found = []
                for seed in SEEDS:
                    product = ga.label(store, ga.fit_classes(store, k, seed=seed), work / "product", overwrite=True)
                    found.append(scores(product.path, data / f"{name}_class.tif", oracle, ignored))
                told += [f"{m:.3f}±{d:.3f}" for m, d in zip(np.mean(found, 0), np.std(found, 0), strict=True)]
        made += [f"| {Path(name).name} | {k} | {' | '.join(told)} |" for k, told in cells.items()]
    return made


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--oracles", type=Path, required=True)
    given = parser.parse_args()
    titles = [f"{method}, {figure}" for method in METHODS for figure in ("one-to-one", "majority")]
    print(f"| scene | k | {' | '.join(titles)} |", "|" + " --- |" * 6, sep="\n")
    with tempfile.TemporaryDirectory() as work:
        print("\n".join(rows(given.data, given.oracles / "hungarian.py", Path(work))))


if __name__ == "__main__":
    main()
