"""Ways to cut pictures into objects, for objects.py: geoalps, its parts and controls, and peers.

A method cuts a picture and says how well the best of its objects fits every true instance. What it found is kept in
WORK until its code, its weights or the picture change.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from object_pictures import Labels, Picture, numbered
from scipy import ndimage
from skimage import color, draw, segmentation

import geoalps
from geoalps.models.branches import Branches
from geoalps.models.regions import RegionSegmenter

CUTS = (100, 150, 200, 250, 340, 400, 600, 800)
"""Objects a megapixel of single cuts of the tree."""
BEFORE = (250, 340, 400)
"""The same of the tree without the network."""
SCALES = (100, 300, 500, 1000)
"""Of felzenszwalb."""
DENSITIES = (250, 500)
"""Objects a megapixel of Ward's tree."""
FELZENSZWALB = {"sigma": 0.8, "min_size": 50}
"""As peers.csv has it."""


@dataclass(frozen=True)
class Found:
    """What a method's objects are worth on one picture."""

    best: list[float]
    """Best IoU of every instance."""
    objects: int
    cpu: float = math.nan
    """Processor seconds."""
    peak: float = math.nan
    """Highest memory in MB of the process and what it started."""


@dataclass(frozen=True)
class Method:
    """A way to cut pictures into objects."""

    name: str
    group: str
    """Which methods it belongs to: objects.py knows what is compared to what."""
    run: Callable[[Picture], Found]
    stamp: str
    """Changes when anything that the result depends on does."""

    def found(self, picture: Picture, work: Path) -> Found:
        """What :attr:`run` gives, or gave with the same stamp."""
        kept = work / "found" / f"{self.name.replace('/', ' ')}" / f"{picture.name}.json"
        stamp = hashlib.sha256(self.stamp.encode() + picture.image.tobytes() + picture.truth.tobytes()).hexdigest()
        if kept.exists():
            content = json.loads(kept.read_text(encoding="utf-8"))
            if content.pop("stamp") == stamp:
                return Found(**content)
        print(f"{self.name}: {picture.name}", file=sys.stderr)
        found = self.run(picture)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"stamp": stamp, **asdict(found)}), encoding="utf-8")
        return found


def best_ious(labels: NDArray[Any], truth: Labels) -> list[float]:
    """Best IoU of every instance 1..n with the objects of a map, in which 0 is none."""
    objects, count = numbered(labels), int(truth.max()) + 1
    common = np.bincount(objects.ravel() * np.int64(count) + truth.ravel(), minlength=(objects.max() + 1) * count)
    return _best(common.reshape(-1, count)[1:], np.bincount(objects.ravel())[1:], np.bincount(truth.ravel())[1:])


def _best(common: NDArray[Any], objects: NDArray[Any], instances: NDArray[Any]) -> list[float]:
    """From (m, 1 + n) common pixels of objects with background and instances, and the sizes (m,) and (n,)."""
    if not len(common):
        return [0.0] * len(instances)
    inside = common[:, 1:]
    return [float(value) for value in (inside / (objects[:, None] + instances - inside)).max(0)]


def read_objects(path: Path) -> NDArray[np.int64]:
    """(h, w) object ids, 0 where there is none."""
    with rasterio.open(path) as file:
        ids, nodata = file.read(1).astype(np.int64), file.nodata
    return ids if nodata in {None, 0} else np.where(ids == int(nodata), 0, ids)


def labels_of(segmenter: RegionSegmenter, picture: Picture) -> Labels:
    """(h, w) objects of the whole picture cut at once in memory."""
    segments, _ = segmenter.segment(picture.image, picture.valid)
    index, pixels = segments.pixels(picture.truth.shape[1])
    labels = np.zeros(picture.truth.size, np.int32)
    labels[pixels] = index + 1
    return labels.reshape(picture.truth.shape)


def product(scene: Path, out: Path, oracles: Path) -> tuple[float, float]:
    """`geoalps tile-label` as a process: processor seconds and highest memory in MB."""
    if out.exists():  # else tiles of the run before are taken over, and their cost is not seen
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    record = out.parent / f"{out.name}.json"
    meter = [sys.executable, str(oracles / "peak_memory.py"), "--json", str(record), "--"]
    command = [sys.executable, "-m", "geoalps", "tile-label", str(scene), "-o", str(out)]
    ended = subprocess.run([*meter, *command], capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()}")
    measured = json.loads(record.read_text(encoding="utf-8"))
    return measured["cpu_s"], measured["peak_mb"]


def painted_map(work: Path, oracles: Path) -> Callable[[Picture], Found]:
    """The product's objects."""

    def run(picture: Picture) -> Found:
        out = work / "products" / picture.name
        cpu, peak = product(picture.scene, out, oracles)
        ids = read_objects(out / "objects.tif")
        return Found(best_ious(ids, picture.truth), len(np.unique(ids[ids > 0])), cpu, peak)

    return run


def partition(cut: Callable[[Picture], NDArray[Any]], warm: bool = False) -> Callable[[Picture], Found]:
    """A map of objects made in this process; warm: once models and libraries are loaded."""

    def run(picture: Picture) -> Found:
        if warm:
            cut(_corner(picture))
        before = time.process_time()
        labels = cut(picture)
        cpu = time.process_time() - before
        return Found(best_ious(labels, picture.truth), len(np.unique(labels[labels > 0])), cpu)

    return run


def _corner(picture: Picture) -> Picture:
    """So little of a picture that only the loading of models takes time."""
    valid = np.ones(picture.truth[:64, :64].shape, bool)
    return replace(picture, image=picture.image[:64, :64], valid=valid, truth=picture.truth[:64, :64])


def bound(picture: Picture) -> Found:
    """All nodes of the tree: what the best choice among them could reach."""
    before = time.process_time()
    grown = RegionSegmenter().tree_of(picture.image, picture.valid)
    cpu = time.process_time() - before
    branches, count = Branches.of(grown.tree.parents), int(picture.truth.max()) + 1
    common = np.bincount(
        grown.labels.ravel() * np.int64(count) + picture.truth.ravel(), minlength=(branches.leaves + 1) * count
    )
    common = branches.total(common.reshape(-1, count)[1:].astype(float))
    return Found(_best(common, common.sum(1), picture.sizes), len(common), cpu)


def felzenszwalb(scale: int) -> Callable[[Picture], NDArray[Any]]:
    """scikit-image's graph-based segmentation of the whole picture."""
    return lambda picture: segmentation.felzenszwalb(picture.image, scale=scale, **FELZENSZWALB) + 1


def ward(density: int) -> Callable[[Picture], NDArray[Any]]:
    """Gradient watershed, region graph and higra's tree by Ward's cost, cut at so many regions a megapixel."""
    import higra

    def cut(picture: Picture) -> NDArray[Any]:
        lab = color.rgb2lab(picture.image)
        smooth = ndimage.gaussian_filter(lab, (1, 1, 0))
        gradient = np.sqrt(sum(ndimage.sobel(smooth, axis) ** 2 for axis in (0, 1)).sum(-1))
        basins = segmentation.watershed(gradient) - 1
        count, flat = int(basins.max()) + 1, basins.ravel()
        sides = [np.stack([a.ravel(), b.ravel()], 1) for a, b in _neighbours(basins)]
        edges = np.unique(np.sort(np.concatenate(sides), 1), axis=0)
        edges = edges[edges[:, 0] != edges[:, 1]]
        sizes = np.bincount(flat, minlength=count).astype(float)
        means = np.stack([np.bincount(flat, lab[..., c].ravel(), count) / sizes for c in range(3)], 1)
        graph = higra.UndirectedGraph(count)
        graph.add_edges(edges[:, 0], edges[:, 1])
        tree, altitudes = higra.binary_partition_tree_ward_linkage(graph, means, sizes)
        regions = max(1, round(density * picture.megapixels))
        return higra.labelisation_horizontal_cut_from_num_regions(tree, altitudes, regions)[basins] + 1

    return cut


def _neighbours(labels: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Both hands of all upright and level pixel sides."""
    yield labels[:, :-1], labels[:, 1:]
    yield labels[:-1], labels[1:]


def discs(work: Path) -> Callable[[Picture], Found]:
    """The control: as many discs as the product has objects, of their areas, anywhere."""

    def run(picture: Picture) -> Found:
        ids = read_objects(work / "products" / picture.name / "objects.tif")
        areas = np.unique(ids[ids > 0], return_counts=True)[1]
        (height, width), count = ids.shape, int(picture.truth.max()) + 1
        rng = np.random.default_rng(zlib.crc32(picture.name.encode()))
        common = np.zeros((len(areas), count))
        for row, area in zip(common, areas, strict=True):
            centre = rng.uniform(0, height), rng.uniform(0, width)
            radius = math.sqrt(area / math.pi)
            row[:] = np.bincount(picture.truth[draw.disk(centre, radius, shape=ids.shape)], minlength=count)
        return Found(_best(common, common.sum(1), picture.sizes), len(areas))

    return run


def digest(*paths: Path) -> str:
    """Of the content of files, and of all files in directories."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(file.read_bytes())
    return total.hexdigest()


def methods(work: Path, oracles: Path, weights: list[Path]) -> tuple[list[Method], list[str]]:
    """All methods in the table's order, and why some are left out."""
    here = digest(Path(__file__))
    package = Path(geoalps.__file__).parent
    parts = sorted(path for path in package.iterdir() if path.name != "training")
    ours = here + digest(*parts)
    # what takes no part when a picture is cut in memory
    cutting = here + digest(*(path for path in parts if path.name not in {"cli", "io", "labeling"}))

    def regions(name: str, group: str, extra: str = "", **options: Any) -> Method:
        """A segmenter with these options over the whole picture."""
        segmenter = RegionSegmenter(**options)
        return Method(name, group, partition(lambda picture: labels_of(segmenter, picture), warm=True), cutting + extra)

    found = [
        Method("tile-label, painted map", "product", painted_map(work, oracles), ours),
        regions("in memory", "memory"),
        *(
            regions(f"weights {number}, {path.name}", "seed", digest(path), weights=str(path))
            for number, path in enumerate(weights, 1)
        ),
        *(regions(f"one cut, {d}/Mpx", "cut", choice="cut", regions_per_mpx=d) for d in CUTS),
        Method("all nodes (bound)", "bound", bound, cutting),
        regions("hand-made scores", "hand", choice="hand"),
        *(regions(f"before, {d}/Mpx", "before", choice="cut", affinity=False, regions_per_mpx=d) for d in BEFORE),
        *(Method(f"felz_{scale}", "felz", partition(felzenszwalb(scale)), here) for scale in SCALES),
    ]
    skipped = []
    try:
        found += [Method(f"ward_{density}", "ward", partition(ward(density)), here) for density in DENSITIES]
    except ImportError as error:
        skipped.append(f"ward: {error}; `pip install higra` brings it")
    return [*found, Method("blind discs", "discs", discs(work), ours)], skipped
