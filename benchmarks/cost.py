"""Seconds and memory of the main job by stage.

python benchmarks/cost.py SCENE [--tile-size 1024] [--margin 128]

Processor seconds, and the highest resident memory seen (sampled every 20 ms) while each stage ran, in one process with
one thread a core. Linux only.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from pathlib import Path

import geoalps as ga


class Meter:
    """A progress that notes time, processor time and memory at every stage."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {}
        self._now = ""
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self.start("start", 0)
        self._watcher.start()

    def start(self, stage: str, total: int) -> None:  # noqa: ARG002 - the protocol's signature
        """A stage begins, and the one before it ends."""
        self._end()
        self._now = stage
        self.stages.setdefault(stage, [0.0, 0.0, 0.0])
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def tell(self, text: str) -> None:
        """Nothing."""

    def advance(self, steps: int = 1) -> None:
        """Nothing."""

    def close(self) -> None:
        """The last stage ends."""
        self._end()
        self._stop.set()

    def _end(self) -> None:
        if self._now:
            spent = self.stages[self._now]
            spent[0] += time.perf_counter() - self._wall
            spent[1] += cpu_seconds() - self._cpu

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.02):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20
            self.stages[self._now][2] = max(self.stages[self._now][2], resident)


def cpu_seconds() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--margin", type=int, default=128)
    given = parser.parse_args()
    scene = ga.open_scene(given.scene)
    megapixels = scene.shape[0] * scene.shape[1] / 1e6
    meter = Meter()
    with tempfile.TemporaryDirectory() as out:
        ga.tile_label(scene, out, tile_size=given.tile_size, margin=given.margin, overwrite=True, progress=meter)
    meter.close()
    print("| stage | seconds | cpu s | cpu s/Mpx | peak MB |\n| --- | --- | --- | --- | --- |")
    for stage, (wall, cpu, peak) in meter.stages.items():
        print(f"| {stage} | {wall:.1f} | {cpu:.1f} | {cpu / megapixels:.2f} | {peak:.0f} |")
    walls, cpus, peaks = zip(*meter.stages.values(), strict=True)
    print(f"| all | {sum(walls):.1f} | {sum(cpus):.1f} | {sum(cpus) / megapixels:.2f} | {max(peaks):.0f} |")


if __name__ == "__main__":
    main()
