"""What the dials do: tile size and margin, granularity, k, smallest area and simplification, on scenes with truth.

python benchmarks/choosing.py --oracles ORACLES [--data DATA] [--rounds 2] [--out benchmarks/results/DATE-choosing.md]

A made scene of 2048 x 2048 pixels, and with --data two real ones. Products are judged by scripts that import nothing
of geoalps; seconds and memory are those of whole processes with two threads, the tilings by turns in every round, the
median of the rounds. Tables are printed as Markdown as soon as they are there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

import numpy as np
import rasterio
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from rasterio.features import rasterize

import geoalps as ga
from geoalps.io.sample import write_sample
from geoalps.sample import SampleScene

SIDE = 2048
REAL = ("mosaics/fair_kampala_dev", "scenes/isaid_P0005")
TILINGS = ((256, 64), (512, 64), (512, 128), (1024, 32), (1024, 128), (1024, 256), (2048, 128))
"""Tile size and margin in pixels."""
GRANULARITIES = (0.3, 0.5, 1.0, 2.0, 3.0)
CLASSES = (4, 8, 16, 32, 64)
SEEDS = range(3)
AREAS = (0, 24, 100, 400)
"""Smallest area of a piece in pixels."""
TOLERANCES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Of simplification, in pixels."""
SAID = (
    "A made scene of 2048 x 2048 pixels (`geoalps sample --size 2048 --seed 3`), a drone scene (fair_kampala_dev) and",
    "an aerial one (isaid_P0005) of a megapixel each. All else as by default: tiles of 1024 with a margin of 128,",
    "granularity 1, 16 classes. Seconds and memory are of the made scene: whole processes with their start, two",
    "threads, the median of the rounds, in which the tilings take turns. What two figures of a scene are: recall at",
    "IoU .5 / mean best IoU of the true instances; of the made scene's 1793 instances 1670 are below 32 x 32 pixels.",
)


@dataclass(frozen=True)
class Place:
    """A scene with its truth: true classes, and single things."""

    scene: Path
    classes: Path
    things: Path

    @property
    def name(self) -> str:
        """Name of the scene's file."""
        return self.scene.stem

    @property
    def pixel(self) -> float:
        """Side of a pixel in map units."""
        with rasterio.open(self.scene) as file:
            return float(file.res[0])

    @property
    def megapixels(self) -> float:
        """Size of the scene."""
        with rasterio.open(self.scene) as file:
            return float(file.width * file.height / 1e6)


@dataclass(frozen=True)
class Judges:
    """The scripts that judge a product from outside."""

    folder: Path

    def judge(self, script: str, *arguments: object) -> dict[str, Any]:
        """The JSON line of one script; some end with 1 when a figure is bad, which is no failure here."""
        command = [sys.executable, str(self.folder / script), *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout.startswith("{"):
            sys.exit(f"{script} failed: {done.stdout}{done.stderr}")
        return dict(json.loads(done.stdout))

    def objects(self, product: Path, place: Place) -> dict[str, Any]:
        """How well objects fit the true things."""
        return self.judge("object_recall.py", product / "objects.tif", place.things)

    def classes(self, product: Path, place: Place) -> dict[str, Any]:
        """How well classes fit the true ones."""
        return self.judge("hungarian.py", product / "labels.tif", place.classes)

    def seams(self, product: Path, tile: int) -> tuple[str, str]:
        """Borders on tile lines: the index with its interval, and objects cut, with those expected by chance."""
        found = self.judge("seam_index.py", product / "objects.tif", "--tile", tile, "--no-detect")
        index = f"{found['index']:.2f} [{found['low']:.2f}, {found['high']:.2f}], chance {found['by_chance'] or 0:.2f}"
        return index, f"{found['cut_objects']} ({found['cut_expected']:g})"

    def run(self, place: Place, out: Path, *options: object) -> dict[str, Any]:
        """One ``geoalps tile-label`` as a process: seconds and memory."""
        command = ["-m", "geoalps", "-q", "tile-label", place.scene, "-o", out, "--threads", 2, *options]
        script = [sys.executable, self.folder / "peak_memory.py", "--", sys.executable, *command]
        done = subprocess.run([str(word) for word in script], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"tile-label of {place.name} failed: {done.stderr}")
        return dict(json.loads(done.stdout.splitlines()[-1]))


def places(work: Path, data: Path | None) -> list[Place]:
    """The made scene, and those of the data set that are there."""
    made = work / f"made_{SIDE}.tif"
    if not made.exists():
        write_sample(made, SampleScene((SIDE, SIDE), seed=3))
    scenes = [made, *(data / f"{name}.tif" for name in REAL if data)]
    with_truth = [
        Place(one, *(one.with_name(f"{one.stem}_{kind}.tif") for kind in ("class", "inst"))) for one in scenes
    ]
    for place in with_truth:
        if not all(path.exists() for path in (place.scene, place.classes, place.things)):
            sys.exit(f"{place.scene} is not there with its _class.tif and _inst.tif; leave out --data, or give another")
    return with_truth


def table(titles: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def best(found: dict[str, Any]) -> str:
    """Recall at .5 and mean best IoU."""
    return f"{found['recall50']:.3f} / {found['mean_best_iou']:.3f}"


def tilings(judges: Judges, every: list[Place], work: Path, rounds: int) -> Iterator[str]:
    """Tile size and margin: seconds and memory of the made scene, its seams, objects of all scenes."""
    made = every[0]
    costs: dict[tuple[int, int], list[dict[str, Any]]] = {tiling: [] for tiling in TILINGS}
    for number in range(rounds):
        for size, margin in TILINGS:
            out = work / f"tiling-{size}-{margin}" / made.name
            spent = judges.run(made, out, "--tile-size", size, "--margin", margin, *(["--overwrite"] * bool(number)))
            costs[size, margin].append(spent)
            if number + 1 < rounds:
                forget(out)
    rows = []
    for size, margin in TILINGS:
        out = work / f"tiling-{size}-{margin}"
        for place in every[1:]:
            judges.run(place, out / place.name, "--tile-size", size, "--margin", margin)
        spent, area = costs[size, margin], made.megapixels
        index, cut = judges.seams(out / made.name, size) if size < SIDE else ("-", "-")
        cost = [f"{median(one[key] for one in spent) / area:.2f}" for key in ("wall_s", "cpu_s")]
        peak = f"{median(one['peak_mb'] for one in spent):.0f}"
        twice = f"{(1 + 2 * margin / size) ** 2:.2f}"
        found = [best(judges.objects(out / place.name, place)) for place in every]
        rows.append([f"{size} / {margin}", twice, *cost, peak, index, cut, *found])
    head = ["tile / margin", "read", "s/Mpx", "cpu s/Mpx", "peak MB", "seam index [95 %]", "cut (by chance)"]
    yield from table([*head, *(place.name for place in every)], rows)


def forget(out: Path) -> None:
    """Delete the tiles of a store, so that the next run does them again."""
    for tile in (out / "work" / "tiles").rglob("*.parquet"):
        tile.unlink()


def granularities(judges: Judges, every: list[Place], work: Path) -> Iterator[str]:
    """Objects a megapixel and how well they fit."""
    rows = []
    for granularity in GRANULARITIES:
        cells = []
        for place in every:
            out = work / f"granularity-{granularity:g}" / place.name
            ga.tile_label(place.scene, out, threads=2, granularity=granularity, overwrite=True)
            found = judges.objects(out, place)
            cells += [f"{found['objects_per_mpx']:.0f}", f"{found['recall50']:.3f}", f"{found['mean_best_iou']:.3f}"]
        rows.append([f"{granularity:g}", *cells])
    titles = (f"{place.name}: {what}" for place in every for what in ("objects/Mpx", "recall .5", "mean best IoU"))
    yield from table(["granularity", *titles], rows)


def class_counts(judges: Judges, every: list[Place], work: Path) -> Iterator[str]:
    """What k does to the agreement with the true classes."""
    rows = []
    for k in CLASSES:
        cells = []
        for place in every:
            store = ga.Store.open(work / "granularity-1" / place.name / "work")
            found = []
            for seed in SEEDS:
                model = ga.fit_classes(store, k, seed=seed)
                product = ga.label(store, model, work / "classes" / place.name, overwrite=True)
                said = judges.classes(product.path, place)
                found.append((said["hungarian"]["mIoU"], said["majority"]["mIoU"], said["NMI"]))
            cells += [f"{mean(column):.3f}±{pstdev(column):.3f}" for column in zip(*found, strict=True)]
        rows.append([str(k), *cells])
    titles = (f"{place.name}: {what}" for place in every for what in ("one-to-one", "majority", "NMI"))
    yield from table(["k", *titles], rows)


def smallest(judges: Judges, every: list[Place], work: Path) -> Iterator[str]:
    """What the smallest area does: objects, vertices, size of the file, how well objects fit."""
    rows = []
    for area in AREAS:
        cells = []
        for place in every:
            product = relabelled(place, work, min_area=area * ground(place, work))
            found = judges.objects(product.path, place)
            cells += [f"{found['objects']}", *size_of(product), best(found)]
        rows.append([str(area), *cells])
    what = ("objects", "vertices", "MB", "recall .5 / IoU")
    yield from table(["pixels", *(f"{place.name}: {one}" for place in every for one in what)], rows)


def simplified(every: list[Place], work: Path) -> Iterator[str]:
    """What simplification does: vertices, size of the file, how far outlines moved, pixels that change class."""
    rows = []
    for tolerance in TOLERANCES:
        cells = []
        for place in every:
            exact = relabelled(place, work).objects()
            product = relabelled(place, work, simplify=tolerance * ground(place, work) ** 0.5)
            moved = distances(exact, product.objects(), place.pixel)
            far = f"{moved.mean():.2f} / {np.percentile(moved, 99):.2f}"
            cells += [*size_of(product), far, f"{100 * differ(product):.2f} %"]
        rows.append([f"{tolerance:g}", *cells])
    what = ("vertices", "MB", "moved: mean / 99 % below", "class changed")
    yield from table(["pixels", *(f"{place.name}: {one}" for place in every for one in what)], rows)


def relabelled(place: Place, work: Path, **options: float) -> ga.Product:
    """The product of the default granularity, painted or outlined in another way."""
    kept = work / "granularity-1" / place.name
    store, model = ga.Store.open(kept / "work"), ga.ClassModel.load(kept)
    return ga.label(store, model, work / "outlines" / place.name, overwrite=True, threads=2, **options)


def ground(place: Place, work: Path) -> float:
    """Square metres of a pixel, as geoalps counts them: on the ground, whatever the map projection stretches."""
    objects = ga.Product.open(work / "granularity-1" / place.name).objects()
    return float(objects.area_m2.sum() / objects.geometry.area.sum()) * place.pixel**2


def size_of(product: ga.Product) -> list[str]:
    """Vertices in thousands and megabytes of the GeoPackage."""
    vertices = shapely.get_num_coordinates(product.objects().geometry).sum()
    return [f"{vertices / 1000:.0f} k", f"{(product.path / 'labels.gpkg').stat().st_size / 1e6:.1f}"]


def distances(exact: GeoDataFrame, drawn: GeoDataFrame, pixel: float) -> NDArray[np.float64]:
    """How far every vertex of the exact outlines is from the drawn outline of the same object, in pixels."""
    lines = drawn.set_index("object_id").geometry.boundary
    outlines = exact.set_index("object_id").geometry
    outlines = outlines[outlines.index.isin(lines.index)]
    points, of = shapely.get_coordinates(shapely.segmentize(outlines, pixel), return_index=True)
    return shapely.distance(shapely.points(points), lines.loc[outlines.index].to_numpy()[of]) / pixel


def differ(product: ga.Product) -> float:
    """Share of the covered pixels that the polygons, drawn again, give another class than labels.tif does."""
    objects = product.objects()
    with rasterio.open(product.path / "labels.tif") as file:
        labels, transform, nodata = file.read(1), file.transform, file.nodata
    shapes = zip(objects.geometry, objects.class_id, strict=True)
    drawn = rasterize(shapes, labels.shape, fill=nodata, transform=transform, dtype=labels.dtype)
    return float(np.mean((drawn != labels)[labels != nodata]))


def sections(judges: Judges, every: list[Place], work: Path, rounds: int) -> Iterator[str]:
    """All tables, each under its title and with the seconds it took."""
    tables = {
        "Granularity": granularities(judges, every, work),
        "Number of classes": class_counts(judges, every, work),
        "Smallest area": smallest(judges, every, work),
        "Simplification": simplified(every, work),
        "Tile size and margin": tilings(judges, every, work, rounds),
    }
    for title, lines in tables.items():
        start = time.perf_counter()
        yield from (f"## {title}", "", *lines, "")
        print(f"{title}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracles", type=Path, required=True, help="object_recall.py, hungarian.py and the others")
    parser.add_argument("--data", type=Path, help="a folder with scenes/ and mosaics/; without it the made scene alone")
    parser.add_argument("--rounds", type=int, default=2, help="of the tilings, whose time is measured")
    parser.add_argument("--out", type=Path, help="the record; benchmarks/results/DATE-choosing.md by default")
    parser.add_argument("--remark", default="", help="a sentence for the record, such as which machine it was")
    given = parser.parse_args()
    today = datetime.datetime.now(tz=datetime.UTC).date()
    out = given.out or Path(__file__).parent / "results" / f"{today}-choosing.md"
    head = [
        "# What the dials do",
        "",
        f"`python benchmarks/choosing.py`, {today}. {given.remark}".strip(),
        "",
        *SAID,
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        lines = [*head]
        for line in sections(Judges(given.oracles), places(Path(folder), given.data), Path(folder), given.rounds):
            print(line, flush=True)
            lines.append(line)
    out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
