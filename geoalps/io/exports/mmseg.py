"""Chips of a scene with their classes in the layout of mmsegmentation, split by geographic blocks.

::

    FOLDER/img_dir/train/NAME.png       chips; val and test beside train
    FOLDER/ann_dir/train/NAME.png       their classes 0..n-1, 255 = uncovered
    FOLDER/dataset.json                 classes, colours, chips and where they lie
    FOLDER/geoalps_dataset.py           the data set's class for mmsegmentation
    FOLDER/README.txt                   how to use it
    FOLDER/export.json                  how it was made
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.grid import Tile
from geoalps.io.exports.chips import Cutting, StandingClasses, chip_name, padded, write_png
from geoalps.io.exports.images import ChipImages, SceneGiven
from geoalps.io.exports.target import mark, new_folder
from geoalps.io.product import Product
from geoalps.io.rasters import RasterReader
from geoalps.io.store import write_json
from geoalps.progress import Progress, Silence

UNCOVERED = 255
"""What mmsegmentation leaves out of losses and metrics."""
SPLIT = (0.7, 0.15, 0.15)
"""Shares of train, val and test unless others are asked for."""

_DATASET = '''"""The classes of this data set, for mmsegmentation 1.x; see README.txt."""

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class GeoalpsDataset(BaseSegDataset):
    METAINFO = dict(
        classes=%(classes)r,
        palette=%(palette)r,
    )

    def __init__(self, img_suffix=".png", seg_map_suffix=".png", reduce_zero_label=False, **kwargs):
        super().__init__(
            img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label, **kwargs
        )
'''
_README = """Pseudo-labels of the scene %(scene)s, made by geoalps, in the layout of mmsegmentation.

img_dir/SPLIT/NAME.png   chips of %(size)d x %(size)d pixels, 8 bit RGB; .pgw and .png.aux.xml place them on the map
ann_dir/SPLIT/NAME.png   their classes: 0 to %(last)d, 255 = uncovered (ignored in losses and metrics)
dataset.json             names, colours and class ids of the classes, and the window of each chip in the scene
geoalps_dataset.py       GeoalpsDataset with names and colours

Splits: %(splits)s. Blocks of %(block)d x %(block)d chips belong to one split as a whole.

In a config of mmsegmentation 1.x, with this directory on PYTHONPATH:

default_scope = "mmseg"
custom_imports = dict(imports=["geoalps_dataset"])
train_dataloader = dict(
    dataset=dict(
        type="GeoalpsDataset",
        data_root="PATH/OF/THIS/DIRECTORY",
        data_prefix=dict(img_path="img_dir/train", seg_map_path="ann_dir/train"),
        pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")],
    )
)
model = dict(decode_head=dict(num_classes=%(n)d))
"""


def write_mmseg(
    product: Product,
    folder: str | Path,
    scene: SceneGiven = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **cutting: Any,
) -> Path:
    """Write chips and label maps.

    Args:
        product: whose classes.
        folder: the directory to make.
        scene: that of the product, or where it is now; None looks where it was.
        overwrite: replace an export that is there.
        progress: hears of the chips.
        **cutting: the fields of :class:`.chips.Cutting`: chip_size, split, block_chips, gap, min_cover, seed. The
            split is 0.7, 0.15, 0.15 by default.

    Returns:
        The directory.

    Raises:
        OptionError: there are more than 255 classes, or a value is out of its range, or leaves no chip.
        ProductError: the directory is taken or cannot be written.
        SceneError: the scene is not there, or another.
    """
    folder, progress = Path(folder), progress or Silence()
    cut = Cutting(**{"split": SPLIT, **{name: value for name, value in cutting.items() if value is not None}})
    classes = StandingClasses.of(product)
    if len(classes) > UNCOVERED:
        raise OptionError(
            f"{product.path} has {len(classes)} classes; label maps of 8 bit hold 255: merge some with geoalps relabel"
        )
    images = ChipImages.of(product, scene)
    with new_folder(folder, product, overwrite) as part:
        splits = cut.cut(product, progress)
        progress.start("chips", sum(map(len, splits.values())))
        with RasterReader(product.path / "labels.tif") as labels:
            chips = _Chips(images, labels, _numbers(classes), cut.chip_size)
            for split, tiles in splits.items():
                chips.write(part, split, tiles, progress)
        _write_texts(part, images, classes, cut, splits)
        mark(part, product, "mmseg", asdict(cut), {split: len(tiles) for split, tiles in splits.items()})
    return folder


@dataclass(frozen=True, eq=False)
class _Chips:
    """Writes images and label maps."""

    images: ChipImages
    labels: RasterReader
    numbers: NDArray[np.uint8]
    """(65536,) the number of every value of ``labels.tif``."""
    size: int

    def write(self, folder: Path, split: str, chips: list[Tile], progress: Progress) -> None:
        """Images and label maps of one split."""
        image_dir, label_dir = (folder / name / split for name in ("img_dir", "ann_dir"))
        for made in (image_dir, label_dir):
            made.mkdir(parents=True)
        for chip in chips:
            name = f"{chip_name(self.images.name, chip)}.png"
            self.images.write(image_dir / name, chip, self.size)
            classes = self.numbers[self.labels.read(chip.core)]
            write_png(label_dir / name, padded(classes, self.size, UNCOVERED))
            progress.advance()


def _numbers(classes: StandingClasses) -> NDArray[np.uint8]:
    """(65536,) uint8: consecutive number of every class id; 255 for all that is no class."""
    numbers = np.full(65536, UNCOVERED, np.uint8)
    numbers[list(classes.ids)] = np.arange(len(classes))
    return numbers


def _write_texts(
    folder: Path, images: ChipImages, classes: StandingClasses, cut: Cutting, splits: Mapping[str, list[Tile]]
) -> None:
    """``dataset.json``, ``geoalps_dataset.py`` and ``README.txt``."""
    write_json(folder / "dataset.json", _dataset(images, classes, cut, splits))
    told = ", ".join(f"{split} {len(tiles)} chips" for split, tiles in splits.items())
    names = {"scene": images.name, "size": cut.chip_size, "last": len(classes) - 1, "n": len(classes)}
    text = _README % {**names, "splits": told, "block": cut.block_chips}
    (folder / "README.txt").write_text(text, encoding="utf-8")
    module = _DATASET % {"classes": classes.names, "palette": classes.palette}
    (folder / "geoalps_dataset.py").write_text(module, encoding="utf-8")


def _dataset(
    images: ChipImages, classes: StandingClasses, cut: Cutting, splits: Mapping[str, list[Tile]]
) -> dict[str, Any]:
    """What ``dataset.json`` holds: classes with their numbers in the label maps, chips with their windows."""
    scene = images.scene
    rows = zip(classes.ids, classes.names, classes.palette, strict=True)
    return {
        "classes": [
            {"value": number, "class_id": class_id, "name": name, "colour": colour}
            for number, (class_id, name, colour) in enumerate(rows)
        ],
        "uncovered": UNCOVERED,
        "chip_size": cut.chip_size,
        "scene": images.name,
        "crs": scene.crs.to_wkt() if scene.crs is not None else None,
        "transform": list(scene.transform)[:6],
        "windows": ["row0", "col0", "row1", "col1"],
        "splits": {
            split: {chip_name(images.name, c): [c.core.row0, c.core.col0, c.core.row1, c.core.col1] for c in tiles}
            for split, tiles in splits.items()
        },
    }
