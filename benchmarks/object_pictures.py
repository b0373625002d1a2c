"""Pictures with true instances, for objects.py: scenes of DATA, and images of NWPU VHR-10 written as scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import Affine
from scipy import ndimage
from skimage import draw

Labels = NDArray[np.int32]
SCENES = {
    "mosaics/fair_kampala_dev": "kampala",
    "scenes/isaid_P0005": "isaid",
    "scenes/whu_0": "whu",
    "scenes/whu_1": "whu",
    "scenes/spacenet_atlanta_pan": "spacenet",
    "scenes/detectree_zurich": "detectree",
}
TEST, HOLD_OUT = slice(0, 14), slice(74, 114)
"""Of the shuffled images of NWPU VHR-10; those between were looked at while choosing."""
SPORTS = {"baseball_diamond", "tennis_court", "basketball_court", "ground_track_field"}
SMALLEST_CROWN = 35
"""Pixels of a group of crowns, below which it is not taken for an instance."""
SIDE, GAP, OUTLINE = 640, 8, (255, 0, 170)
"""Of drawn pictures: pixels of one at most, pixels between two, colour of objects' outlines."""
LARGEST_FILE = 400_000
"""Bytes of a drawn picture."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A scene with true instances."""

    name: str
    family: str
    held_out: bool
    """Never used for choosing anything."""
    scene: Path
    """What `geoalps` reads."""
    image: NDArray[np.uint8]
    """(h, w, 3) as 8 bit, stretched between the 2nd and 98th percentile where the scene has more."""
    valid: NDArray[np.bool_]
    """(h, w)."""
    truth: Labels
    """(h, w) int32, instances 1..n, 0 elsewhere."""
    grounds: int = 0
    """Number of instances that are sport grounds."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.truth.size / 1e6

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) pixels of every instance."""
        return np.bincount(self.truth.ravel())[1:]


def pictures(data: Path, work: Path) -> tuple[list[Picture], list[str]]:
    """All pictures, the scenes first, and why others are left out."""
    found, skipped = [], []
    for name, family in SCENES.items():
        truth = data / (f"{name}_class.tif" if family == "detectree" else f"{name}_inst.tif")
        missing = [str(path) for path in (data / f"{name}.tif", truth) if not path.exists()]
        if missing:
            skipped.append(f"{name}: there is no {' and no '.join(missing)}")
        else:
            found.append(from_data(data / f"{name}.tif", family, truth))
    listing = data / "nwpu_vhr10" / "instances_train.json"
    if not listing.exists():
        skipped.append(f"54 images of NWPU VHR-10: there is no {listing}")
        return found, skipped
    return [*found, *_nwpu(listing, {path.stem for path in (data / "scenes").glob("nwpu_???.tif")}, work)], skipped


def numbered(labels: NDArray[Any]) -> Labels:
    """The same instances as 1..n, 0 staying 0."""
    values, where = np.unique(labels, return_inverse=True)
    return (where.reshape(labels.shape) + (1 if values[0] > 0 else 0)).astype(np.int32)


def from_data(path: Path, family: str, truth: Path) -> Picture:
    """A scene of DATA; of crowns, known as a class only, whatever hangs together is an instance."""
    image, valid = _read(path)
    with rasterio.open(truth) as file:
        instances = file.read(1)
    if family == "detectree":
        groups, _ = ndimage.label(instances == 1, np.ones((3, 3)))
        instances = np.where(np.bincount(groups.ravel())[groups] >= SMALLEST_CROWN, groups, 0)
    return Picture(path.stem, family, False, path, image, valid, numbered(instances))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(h, w, 3) 8 bit and (h, w) where there is data."""
    with rasterio.open(path) as file:
        bands, valid = file.read()[:3], file.dataset_mask() > 0
    if bands.dtype != np.uint8:
        low, high = np.percentile(bands[bands > 0], [2, 98])
        bands = np.clip((bands.astype(float) - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(np.broadcast_to(bands, (3, *valid.shape)), 0, -1)), valid


def _nwpu(listing: Path, scenes: set[str], work: Path) -> Iterator[Picture]:
    """The images of both sets, chosen by lot among those that are not scenes of DATA too."""
    content = json.loads(listing.read_text(encoding="utf-8"))
    sports = {kind["id"] for kind in content["categories"] if kind["name"].replace(" ", "_") in SPORTS}
    entries = {entry["id"]: entry for entry in content["images"]}
    outlines: dict[int, list[Any]] = {}
    for instance in content["annotations"]:
        outlines.setdefault(instance["image_id"], []).append(instance)
    free = sorted(i for i, entry in entries.items() if f"nwpu_{Path(entry['file_name']).stem}" not in scenes)
    order = np.random.default_rng(0).permutation(np.array(free)).tolist()
    for chosen, held_out in ((order[TEST], False), (order[HOLD_OUT], True)):
        for index in chosen:
            source = listing.parent / "images" / entries[index]["file_name"]
            image = np.asarray(Image.open(source).convert("RGB"))
            truth = painted([instance["segmentation"] for instance in outlines[index]], image.shape[:2])
            scene = _as_scene(image, work / "images" / f"nwpu_{source.stem}.tif")
            grounds = sum(instance["category_id"] in sports for instance in outlines[index])
            valid = np.ones(truth.shape, bool)
            yield Picture(scene.stem, "nwpu", held_out, scene, image, valid, truth, grounds)


def painted(outlines: list[list[list[float]]], shape: tuple[int, ...]) -> Labels:
    """(h, w) instances of COCO's polygons, the smaller painted over the larger; those quite hidden are left out."""
    masks = []
    for rings in outlines:
        mask = np.zeros(shape, bool)
        for ring in rings:
            corners = np.array(ring, float).reshape(-1, 2)
            mask[draw.polygon(corners[:, 1], corners[:, 0], shape)] = True
        masks.append(mask)
    labels = np.zeros(shape, np.int32)
    for number, mask in enumerate(sorted(masks, key=lambda mask: -mask.sum()), 1):
        labels[mask] = number
    return numbered(labels)


def _as_scene(image: NDArray[np.uint8], path: Path) -> Path:
    """The image as a GeoTIFF with a made-up place, as DATA's scenes have it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = image.shape[:2]
        place = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, 461000, 0, -0.5, 4412000)}
        grid = {"driver": "GTiff", "count": 3, "height": height, "width": width, "dtype": "uint8", **place}
        with rasterio.open(path, "w", **grid, tiled=True, blockxsize=256, blockysize=256, compress="deflate") as file:
            file.write(np.moveaxis(image, -1, 0))
    return path


def overlay(picture: Picture, left: NDArray[Any], right: NDArray[Any], path: Path) -> Path:
    """Draw two maps of objects side by side over the part of a picture with most truth: truth white, outlines pink.

    Returns:
        The file: ``path``, or the same as .jpg where that would be too large for a document.
    """
    window = _richest(picture.truth > 0)
    truth = _outlines(picture.truth[window], thick=True)
    halves = []
    for labels in (left, right):
        half = picture.image[window].copy()
        half[truth] = 255
        half[_outlines(labels[window], thick=False)] = OUTLINE
        halves.append(half)
    gap = np.full((len(truth), GAP, 3), 255, np.uint8)
    drawn = Image.fromarray(np.concatenate([halves[0], gap, halves[1]], 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, optimize=True)
    quality = 85
    while path.stat().st_size > LARGEST_FILE:
        path.unlink()
        path = path.with_suffix(".jpg")
        drawn.save(path, quality=quality, optimize=True)
        quality -= 5
    return path


def _richest(wanted: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The window of at most SIDE x SIDE pixels with most pixels wanted, the upper left one of several."""
    height, width = wanted.shape
    sums = np.pad(wanted.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tall, wide = min(height, SIDE), min(width, SIDE)
    held = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    row, col = (int(value) for value in np.unravel_index(held.argmax(), held.shape))
    return slice(row, row + tall), slice(col, col + wide)


def _outlines(labels: NDArray[Any], thick: bool) -> NDArray[np.bool_]:
    """(h, w) pixels whose label differs from that above or to the left.

    Thick: those other pixels too. Else only where two objects meet, as specks without data would hide the rest.
    """
    edge = np.zeros(labels.shape, bool)
    first, last, all_ = slice(None, -1), slice(1, None), slice(None)
    for here, there in (((first, all_), (last, all_)), ((all_, first), (all_, last))):
        one, two = labels[here], labels[there]
        edge[there] |= (one != two) & (thick | ((one > 0) & (two > 0)))
        if thick:
            edge[here] |= one != two
    return edge
