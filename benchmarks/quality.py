"""Objects, seams and classes on scenes with truth, one setting for all, beside the figures of peers.

python benchmarks/quality.py --data DATA --oracles ORACLES [--made SCENE] [--out docs/quality.md]

Runs `geoalps` at several tile sizes and judges each product by scripts that import nothing of geoalps. Peers' figures
(peers.csv) were made with the same scripts on the same scenes; the peers ran untiled where they cannot stitch.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import geoalps as ga

TILINGS = ((256, 64), (512, 96), (1024, 128))
OBJECT_SCENES = (
    "mosaics/fair_kampala_dev",
    "scenes/isaid_P0005",
    "mosaics/nwpu_mosaic_dev",
    "scenes/spacenet_atlanta_pan",
)
SEAM_SCENES = ("mosaics/fair_kampala_dev", "scenes/isaid_P0005", "mosaics/s2_aber", "mosaics/nwpu_mosaic_dev")
CLASS_SCENES = ("mosaics/fair_kampala_dev", "scenes/isaid_P0005", "scenes/detectree_zurich", "mosaics/s2_aber")
IGNORED = {"mosaics/s2_aber": ["0"]}  # there 0 means "not looked at"; elsewhere it is the class "other"
SEEDS = range(5)
LIMIT = 1.25


def judge(oracles: Path, script: str, *arguments: object) -> dict:
    """The JSON line of one judging script."""
    command = [sys.executable, str(oracles / script), *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def label(scene: Path, out: Path, tiling: tuple[int, int]) -> ga.Product:
    """The main job with default options."""
    print(f"{scene.name} {tiling[0]}/{tiling[1]}", file=sys.stderr)
    return ga.tile_label(scene, out, tile_size=tiling[0], margin=tiling[1], overwrite=True)


def peers() -> dict[tuple[str, str], dict[str, str]]:
    """(scene, figure) -> peer -> value."""
    with (Path(__file__).parent / "peers.csv").open() as file:
        return {(row.pop("scene"), row.pop("figure")): row for row in csv.DictReader(file)}


def object_rows(data: Path, oracles: Path, work: Path) -> list[str]:
    """Recall at IoU .5 / .75 and mean best IoU at every tiling."""
    rows, known = [], peers()
    for name in OBJECT_SCENES:
        stem = Path(name).name
        cells = []
        for tiling in TILINGS:
            out = work / f"{stem}-{tiling[0]}"
            found = judge(oracles, "object_recall.py", out / "objects.tif", data / f"{name}_inst.tif")
            cells.append(f"{found['recall50']:.3f}/{found['recall75']:.3f} {found['mean_best_iou']:.2f}")
        others = [
            f"{known[stem, 'recall50'][peer]}/{known[stem, 'recall75'][peer]}" if known[stem, "recall50"][peer] else "-"
            for peer in ("felz_300", "felz_500", "otb_5_30_200", "ward_500", "ward_250")
        ]
        rows.append(f"| {stem} | {' | '.join(cells)} | {' | '.join(others)} |")
    return rows


@dataclass(frozen=True)
class Lines:
    """What seam_index.py says of borders on lines."""

    text: str
    """Index, interval, chance."""
    cut: str
    """Cut objects, and as many as are expected."""
    seam: bool
    """Whether there are more borders or cut objects than by chance."""

    @classmethod
    def judged(cls, oracles: Path, raster: Path, size: int, origin: int, scene: Path) -> Lines:
        """Lines every ``size`` pixels from ``origin`` on, along both axes."""
        # a mosaic has borders of its own, on lines of 512
        extra = ["--scene", scene] if "mosaic" in scene.stem else []
        where = ["--tile", size, "--origin", f"{origin},{origin}", "--no-detect"]
        found = judge(oracles, "seam_index.py", raster, *where, *extra)
        cut, expected, chance = found["cut_objects"], found["cut_expected"], found["by_chance"] or 0
        seam = found["low"] > LIMIT and found["index"] > chance
        text = f"{found['index']:.2f} [{found['low']:.2f}, {found['high']:.2f}], chance {chance:.2f}"
        return cls(text, f"{cut} ({expected:g})", seam or cut > expected + 3 * expected**0.5 + 3)


def seam_rows(data: Path, oracles: Path, work: Path, made: Path | None) -> tuple[list[str], list[str]]:
    """Borders on tile lines, of the objects and classes of both small tilings; and borders where windows end.

    Beside the tiled objects are those of the same scene in one tile, on the same lines; beside their classes the same
    classes of the untiled objects.
    """
    on, ends = [], []
    scenes = [(Path(name).name, data / f"{name}.tif") for name in SEAM_SCENES] + ([(made.stem, made)] if made else [])
    for stem, scene in scenes:
        whole = work / f"{stem}-whole"
        ga.tile_label(scene, whole, tile_size=max(ga.open_scene(scene).shape), margin=0, overwrite=True)
        for size, margin in TILINGS[:2]:
            tiled, alike = work / f"{stem}-{size}", work / f"{stem}-{size}-whole"
            ga.label(ga.Store.open(whole / "work"), ga.ClassModel.load(tiled), alike)
            cells = []
            for name in ("objects.tif", "labels.tif"):
                found, untiled = (Lines.judged(oracles, product / name, size, 0, scene) for product in (tiled, alike))
                passed = "yes" if not found.seam else "as untiled" if untiled.seam else "**no**"
                cells += [found.text, found.cut, passed, untiled.text, untiled.cut]
            on.append(f"| {stem} | {size}/{margin} | {' | '.join(cells)} |")
            cells = []
            for origin in (margin, size - margin):
                for raster in (tiled / "objects.tif", whole / "objects.tif"):
                    found = Lines.judged(oracles, raster, size, origin, scene)
                    cells += [found.text, found.cut]
            ends.append(f"| {stem} | {size}/{margin} | {' | '.join(cells)} |")
    return on, ends


def class_rows(data: Path, oracles: Path, work: Path) -> list[str]:
    """One-to-one and majority mIoU at k = 8 and 16, mean and deviation over the seeds."""
    rows, known = [], peers()
    for name in CLASS_SCENES:
        stem = Path(name).name
        store = ga.Store.open(work / f"{stem}-512" / "work")
        for k in (8, 16):
            one, many = [], []
            for seed in SEEDS:
                print(f"{stem} k={k} seed={seed}", file=sys.stderr)
                model = ga.fit_classes(store, k, seed=seed)
                product = ga.label(store, model, work / "classes" / stem, overwrite=True)
                ignore = ["--ignore", *IGNORED[name]] if name in IGNORED else []
                found = judge(oracles, "hungarian.py", product.path / "labels.tif", data / f"{name}_class.tif", *ignore)
                one.append(found["hungarian"]["mIoU"])
                many.append(found["majority"]["mIoU"])
            for figure, values in (("miou", one), ("majority", many)):
                row = known[stem, f"{figure}{k}"]
                others = [row[peer] for peer in ("felz_300", "otb_5_30_200", "ward_500", "ward_250")]
                cells = " | ".join([f"{np.mean(values):.3f}±{np.std(values):.3f}", *others])
                title = "one-to-one" if figure == "miou" else "majority"
                rows.append(f"| {stem} | {k} | {title} | {cells} |")
    return rows


def report(data: Path, oracles: Path, work: Path, made: Path | None) -> str:
    """The tables as Markdown."""
    for name in sorted({*OBJECT_SCENES, *SEAM_SCENES, *CLASS_SCENES}):
        for tiling in TILINGS:
            label(data / f"{name}.tif", work / f"{Path(name).name}-{tiling[0]}", tiling)
    if made:
        for tiling in TILINGS[:2]:
            label(made, work / f"{made.stem}-{tiling[0]}", tiling)
    text = (Path(__file__).parent / "quality.in.md").read_text()
    on, ends = seam_rows(data, oracles, work, made)
    return (
        text.replace("@OBJECTS@", "\n".join(object_rows(data, oracles, work)))
        .replace("@SEAMS@", "\n".join(on))
        .replace("@ENDS@", "\n".join(ends))
        .replace("@CLASSES@", "\n".join(class_rows(data, oracles, work)))
    )


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--oracles", type=Path, required=True)
    parser.add_argument("--made", type=Path, help="a scene of `geoalps sample`, for the seams")
    parser.add_argument("--out", type=Path, default=Path("docs/quality.md"))
    given = parser.parse_args()
    if not (given.data / "scenes").exists():
        sys.exit(f"skipped: no scenes in {given.data}")
    with tempfile.TemporaryDirectory() as work:
        given.out.write_text(report(given.data, given.oracles, Path(work), given.made))
    print(given.out)


if __name__ == "__main__":
    main()
