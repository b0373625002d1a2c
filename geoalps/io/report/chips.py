"""Chips of the report: small pictures of single objects in their surroundings, their outlines drawn in.

They are read from the scene in windows, from north to south, so that a striped file is gone through once. What is made
is kept beside what was painted, and made again only when that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from geoalps.grid import TileGrid, Window
from geoalps.io.rasters import RasterReader
from geoalps.io.report.preview import jpeg
from geoalps.io.scene import Scene
from geoalps.io.store import UNREADABLE, appearing
from geoalps.io.stretch import Stretch
from geoalps.protocols import Image

SIDE = 80
"""Pixels of a chip: a multiple of 16, so that chips side by side in one JPEG do not run into each other."""
CONTEXT, LEAST, LARGEST = 0.35, 40, 640
"""Share of its longer side that is shown on each side of an object; scene pixels of a chip's window, from, to."""
KEPT = "chips.parquet"
TOGETHER, READ_AT_ONCE = 6, 2_500_000
"""Chips of one tile from which their windows are read as one, and pixels that are read as one at most."""
QUALITY = 88
"""Of the JPEG of a chip that is kept."""


@dataclass(frozen=True)
class Chip:
    """One object's picture."""

    jpeg: bytes
    """Of SIDE x SIDE pixels."""
    box: tuple[int, int, int, int]
    """The object's box in the scene, (row0, col0, row1, col1) half-open."""


def around(box: NDArray[np.int64], shape: tuple[int, int]) -> Window:
    """The square window of a chip: an object's (4,) box and what surrounds it.

    Moved into the scene of this (height, width) at its edges; it reaches out where the scene is smaller than it.
    """
    row0, col0, row1, col1 = (int(edge) for edge in box)
    longer = max(row1 - row0, col1 - col0)
    side = min(max(round(longer * (1 + 2 * CONTEXT)), LEAST), LARGEST)
    row, col = _start(row0 + row1, side, shape[0]), _start(col0 + col1, side, shape[1])
    return Window(row, col, row + side, col + side)


def _start(twice_middle: int, side: int, length: int) -> int:
    """First pixel of a chip along one axis."""
    if side >= length:
        return (length - side) // 2
    return min(max((twice_middle - side) // 2, 0), length - side)


def cut_chips(scene: Scene, stretch: Stretch, raster: Path, boxes: Mapping[int, NDArray[np.int64]]) -> dict[int, Chip]:
    """Read chips from the scene.

    Args:
        scene: what the objects are of; blocks that cannot be read are black.
        stretch: as the segmenter saw the scene.
        raster: ``objects.tif``, for the outlines.
        boxes: object id -> (4,) box in the scene.

    Returns:
        Object id -> chip.

    Raises:
        SceneError: the scene's server does not answer.
    """
    scene, chips = scene.forgiving(), {}
    windows = {number: around(box, scene.shape) for number, box in boxes.items()}
    with RasterReader(raster) as objects:
        for area, numbers in _readings(windows, scene.shape):
            image, ids = scene.read_rgb(area, stretch)[0], objects.read(area)
            for number in numbers:
                picture = _picture(image, ids, area, windows[number], number)
                row0, col0, row1, col1 = (int(edge) for edge in boxes[number])
                chips[number] = Chip(jpeg(picture, QUALITY, sharp=True), (row0, col0, row1, col1))
    return chips


def _readings(windows: Mapping[int, Window], shape: tuple[int, int]) -> Iterator[tuple[Window, list[int]]]:
    """(window to be read, objects whose chips lie in it), from north to south."""
    grid, frame = TileGrid(shape), Window(0, 0, *shape)
    groups: dict[tuple[int, int], list[int]] = {}
    for number, window in windows.items():
        place = window.row0 + window.row1, window.col0 + window.col1
        groups.setdefault((place[0] // 2 // grid.size, place[1] // 2 // grid.size), []).append(number)
    for _, numbers in sorted(groups.items()):
        here = sorted(numbers, key=lambda number: (windows[number], number))
        edges = np.array([(w.row0, w.col0, w.row1, w.col1) for w in (windows[number] for number in here)])
        whole = Window(*(int(v) for v in (*edges[:, :2].min(0), *edges[:, 2:].max(0)))).clip(frame)
        if len(here) >= TOGETHER and whole.area <= READ_AT_ONCE:
            yield whole, here
        else:
            yield from ((windows[number].clip(frame), [number]) for number in here)


def _picture(image: Image, ids: NDArray[np.uint32], area: Window, window: Window, number: int) -> Image:
    """A chip's picture from what was read of ``area``; what reaches out of the scene is dark grey."""
    inside = window.clip(area)
    picture = np.full((*window.shape, 3), 40, np.uint8)
    mask = np.zeros(window.shape, np.uint8)
    picture[inside.slices(window)] = image[inside.slices(area)]
    mask[inside.slices(window)] = 255 * (ids[inside.slices(area)] == number)
    smaller = Pillow.Resampling.BOX if window.height > SIDE else Pillow.Resampling.BICUBIC
    small = np.asarray(Pillow.fromarray(picture).resize((SIDE, SIDE), smaller))
    share = np.asarray(Pillow.fromarray(mask).resize((SIDE, SIDE), Pillow.Resampling.BILINEAR))
    return _outlined(small, share > 127)


def _outlined(picture: Image, mask: NDArray[np.bool_]) -> Image:
    """A picture with a light line around a mask, and a dark one around that, seen on any ground."""
    near, far = ndimage.binary_dilation(mask), ndimage.binary_dilation(mask, iterations=2)
    out = picture.astype(np.float32)
    out[far & ~near] *= 0.45
    out[near & ~mask] = out[near & ~mask] * 0.1 + 255 * 0.9
    return np.rint(out).astype(np.uint8)


def read_kept(folder: Path) -> dict[int, Chip]:
    """Chips that were made before, by object id; none where there are none that can be read."""
    try:
        with pq.ParquetFile(folder / KEPT, page_checksum_verification=True) as file:
            rows = file.read(use_threads=False).to_pylist()
        return {row["object_id"]: Chip(row["jpeg"], tuple(row["box"])) for row in rows}
    except (*UNREADABLE, pa.ArrowException):
        return {}


def keep(folder: Path, chips: Mapping[int, Chip]) -> None:
    """Keep chips, by object id, for the next report of the same objects."""
    numbers = sorted(chips)
    columns = {
        "object_id": pa.array(numbers, pa.uint32()),
        "jpeg": pa.array([chips[number].jpeg for number in numbers], pa.binary()),
        "box": pa.array([chips[number].box for number in numbers], pa.list_(pa.int64(), 4)),
    }
    folder.mkdir(exist_ok=True)
    with appearing(folder / KEPT) as part:
        pq.write_table(pa.table(columns), part, write_page_checksum=True)
