"""Chips of a scene with the objects in them, as COCO's ``annotations.json`` with run-length encoded masks.

::

    FOLDER/images/NAME.png              chips
    FOLDER/annotations.json             or annotations_train.json, _val.json and _test.json
    FOLDER/export.json                  how it was made

Category ids are class ids + 1, because COCO's begin at 1. The annotations of one chip are in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.grid import Tile
from geoalps.io.exports.chips import ALL, Cutting, StandingClasses, chip_name, padded
from geoalps.io.exports.footprint import on_map
from geoalps.io.exports.images import ChipImages, SceneGiven
from geoalps.io.exports.rle import encode
from geoalps.io.exports.sizes import count_pixels
from geoalps.io.exports.target import mark, new_folder
from geoalps.io.product import Product
from geoalps.io.rasters import RasterReader
from geoalps.progress import Progress, Silence


def write_coco(
    product: Product,
    folder: str | Path,
    scene: SceneGiven = None,
    *,
    min_visible: float = 0.2,
    overwrite: bool = False,
    progress: Progress | None = None,
    **cutting: Any,
) -> Path:
    """Write chips and their annotations.

    Every annotation has, besides what COCO asks for, ``class_id``, ``object_id`` and ``truncated``: whether the chip's
    border cuts the object.

    Args:
        product: whose objects.
        folder: the directory to make.
        scene: that of the product, or where it is now; None looks where it was.
        min_visible: an object of whose pixels no more than this share is in a chip has no annotation there.
        overwrite: replace an export that is there.
        progress: hears of the chips.
        **cutting: the fields of :class:`.chips.Cutting`: chip_size, split, block_chips, gap, min_cover, seed.

    Returns:
        The directory.

    Raises:
        OptionError: a value is out of its range, or leaves no chip.
        ProductError: the directory is taken or cannot be written.
        SceneError: the scene is not there, or another.
    """
    if not 0 <= min_visible < 1:
        raise OptionError(f"the least visible share is {min_visible}; allowed is 0 to below 1")
    folder, progress, cut = Path(folder), progress or Silence(), Cutting(**cutting)
    images = ChipImages.of(product, scene)
    with new_folder(folder, product, overwrite) as part:
        splits = cut.cut(product, progress)
        (part / "images").mkdir()
        counts: dict[str, Any] = {}
        with _Chips.open(product, images, cut.chip_size, min_visible) as chips:
            progress.start("chips", sum(map(len, splits.values())))
            for name, tiles in splits.items():
                counts[name] = {"images": len(tiles), "annotations": chips.write(part, name, tiles, progress)}
        mark(part, product, "coco", {**asdict(cut), "min_visible": min_visible}, counts)
    return folder


@dataclass(eq=False)
class _Chips:
    """Writes the chips of one split after the other; images and annotations are numbered on from split to split."""

    images: ChipImages
    objects: RasterReader
    labels: RasterReader
    classes: StandingClasses
    size: int
    min_visible: float
    pixels: NDArray[np.int64]
    """(objects + 1,) pixels of every object in the scene."""
    written: int = 0
    """Images so far."""
    annotations: int = 0
    """Annotations so far."""

    @classmethod
    def open(cls, product: Product, images: ChipImages, size: int, min_visible: float) -> _Chips:
        """Open the product's rasters, and count the pixels of its objects."""
        objects, labels = (RasterReader(product.path / name) for name in ("objects.tif", "labels.tif"))
        pixels = count_pixels(objects)
        return cls(images, objects, labels, StandingClasses.of(product), size, min_visible, pixels)

    def write(self, folder: Path, split: str, chips: list[Tile], progress: Progress) -> int:
        """Images and annotations of one split; the number of its annotations."""
        before, first = self.annotations, self.written + 1
        name = "annotations" if split == ALL else f"annotations_{split}"
        with (folder / f"{name}.json").open("w", encoding="utf-8") as file:
            file.write('{"info": ' + json.dumps(self._info(split)) + ',\n"licenses": [],\n"categories": ')
            file.write(json.dumps(self._categories()) + ',\n"images": [')
            _write_list(file, (self._image(number, chip) for number, chip in enumerate(chips, first)))
            file.write('],\n"annotations": [')
            _write_list(file, self._annotated(folder, chips, first, progress))
            file.write("]}\n")
        return self.annotations - before

    def _info(self, split: str) -> dict[str, Any]:
        """What the export is."""
        crs = self.images.scene.crs
        about = f"Pseudo-labels of {self.images.name}" + ("" if split == ALL else f", {split}")
        return {"description": about, "contributor": "geoalps", "crs": crs.to_wkt() if crs is not None else None}

    def _categories(self) -> list[dict[str, Any]]:
        """One a class."""
        rows = zip(self.classes.ids, self.classes.names, self.classes.palette, strict=True)
        return [
            {"id": class_id + 1, "name": name, "supercategory": "", "class_id": class_id, "color": colour}
            for class_id, name, colour in rows
        ]

    def _image(self, number: int, chip: Tile) -> dict[str, Any]:
        """One image; ``window`` is what of the scene it shows, ``transform`` leads from its pixels to the map."""
        core = chip.core
        place = self.images.scene.transform
        x, y = on_map(place, core.col0, core.row0)
        return {
            "id": number,
            "file_name": f"{chip_name(self.images.name, chip)}.png",
            "width": self.size,
            "height": self.size,
            "window": [core.row0, core.col0, core.row1, core.col1],
            "transform": [place.a, place.b, x, place.d, place.e, y],
        }

    def _annotated(self, folder: Path, chips: list[Tile], first: int, progress: Progress) -> Iterator[dict[str, Any]]:
        """Write the image of each chip; the annotations of one after the other."""
        for number, chip in enumerate(chips, first):
            path = folder / "images" / f"{chip_name(self.images.name, chip)}.png"
            self.images.write(path, chip, self.size)
            yield from self._annotations(number, chip)
            self.written += 1
            progress.advance()

    def _annotations(self, image: int, chip: Tile) -> Iterator[dict[str, Any]]:
        """One a visible object of a chip, in ascending order of object ids."""
        ids = padded(self.objects.read(chip.core), self.size, 0)
        found = encode(ids)
        class_of = _class_of(ids, padded(self.labels.read(chip.core), self.size, 0), found.ids)
        whole = self.pixels[found.ids]
        for i in np.flatnonzero((found.areas == whole) | (found.areas > self.min_visible * whole)).tolist():
            row0, col0, row1, col1 = found.boxes[i].tolist()
            self.annotations += 1
            yield {
                "id": self.annotations,
                "image_id": image,
                "category_id": int(class_of[i]) + 1,
                "class_id": int(class_of[i]),
                "object_id": int(found.ids[i]),
                "segmentation": {"size": [self.size, self.size], "counts": found.counts[i]},
                "area": int(found.areas[i]),
                "bbox": [col0, row0, col1 - col0, row1 - row0],
                "iscrowd": 0,
                "truncated": bool(found.areas[i] < whole[i]),
            }

    def __enter__(self) -> _Chips:
        return self

    def __exit__(self, *error: object) -> None:
        self.objects.__exit__(None, None, None)
        self.labels.__exit__(None, None, None)


def _class_of(ids: NDArray[Any], classes: NDArray[Any], wanted: NDArray[np.int64]) -> NDArray[Any]:
    """(n,) class of every wanted object: the label at its first pixel."""
    found, first = np.unique(ids, return_index=True)
    at: NDArray[Any] = classes.ravel()[first[np.searchsorted(found, wanted)]]
    return at


def _write_list(file: TextIO, items: Iterable[Any]) -> None:
    """Write JSON values, one a line, with commas between them."""
    for number, item in enumerate(items):
        file.write((",\n" if number else "\n") + json.dumps(item))
    file.write("\n")
