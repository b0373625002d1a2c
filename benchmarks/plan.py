"""Plans against what happened: time, memory and disk expected by ``--dry-run``, over what a real run takes.

python benchmarks/plan.py [--sizes 1024 3000] [--threads 2] [SCENE ...]

Made scenes of three 8-bit bands at each size, one of four 16-bit bands at the last, or the scenes given. Every run is
a process of its own; memory is the largest sum over its process tree, disk the largest size of the product's directory.
Ratios are expected / actual: above 1 the plan was too cautious. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import rasterio

PLAN = (
    "import json, sys; from geoalps.labeling.planning import plan;"
    "p = plan([sys.argv[1]], [sys.argv[2]], threads=int(sys.argv[3])); (s,) = p.scenes;"
    "print(json.dumps([p.seconds, p.memory_bytes, s.store_bytes, s.product_bytes, s.objects, p.spread]))"
)


@dataclass(frozen=True)
class Taken:
    """What a real run took."""

    seconds: float
    memory: int
    """Bytes at the peak, all processes."""
    store: int
    product: int
    """Bytes at the end."""
    objects: int


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 3000])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    print("| scene | time | memory | store | product | objects | planning, s | real, s | real, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for scene in given.scenes or made(Path(folder), given.sizes):
            print(row(scene, Path(folder) / f"{scene.stem}_out", given.threads), flush=True)


def made(folder: Path, sizes: list[int]) -> list[Path]:
    """Made scenes: 8 bit at every size, and one of 16 bit with near infrared."""
    found = []
    for side in sizes:
        found.append(folder / f"made{side}.tif")
        sample = [sys.executable, "-m", "geoalps", "-q", "sample", str(found[-1]), "--size", str(side), "--no-truth"]
        subprocess.run(sample, check=True, stdout=subprocess.DEVNULL)
    with rasterio.open(found[-1]) as file:
        values, profile = file.read().astype(np.uint16) * 40, file.profile
    near = (values[1:2] * 3 + values[0:1]) // 4
    profile.update(count=4, dtype="uint16", photometric="minisblack")
    found.append(folder / f"made{sizes[-1]}_16bit.tif")
    with rasterio.open(found[-1], "w", **profile) as file:
        file.write(np.concatenate([values, near]))
    return found


def row(scene: Path, out: Path, threads: int) -> str:
    """One line of the table."""
    began = time.perf_counter()
    arguments = [str(scene), str(out), str(threads)]
    told = subprocess.run([sys.executable, "-c", PLAN, *arguments], check=True, capture_output=True, text=True)
    planning = time.perf_counter() - began
    seconds, memory, store, product, objects, spread = json.loads(told.stdout)
    real = run(scene, out, threads)
    ratios = (
        f"{seconds / real.seconds:.2f} (spread {spread:.2f})",
        *(f"{a / b:.2f}" for a, b in ((memory, real.memory), (store, real.store), (product, real.product))),
        f"{objects / max(real.objects, 1):.2f}",
    )
    return f"| {scene.stem} | {' | '.join(ratios)} | {planning:.1f} | {real.seconds:.1f} | {real.memory / 1e6:.0f} |"


def run(scene: Path, out: Path, threads: int) -> Taken:
    """A real run, watched."""
    job = [sys.executable, "-m", "geoalps", "-q", "tile-label", str(scene), "-o", str(out), "--threads", str(threads)]
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(job, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, resident(watched))
            time.sleep(0.02)
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(job)} ended with {process.returncode}")
    store = size_of(out / "work")
    objects = json.loads((out / "run.json").read_text())["counts"]["objects"]
    return Taken(seconds, peak, store, size_of(out) - store, objects)


def size_of(path: Path) -> int:
    """Bytes of all files below a directory; 0 where there is none."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def resident(process: psutil.Process) -> int:
    """Bytes of memory of a process and all below it."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass  # it ended while it was looked at
    return total


if __name__ == "__main__":
    main()
