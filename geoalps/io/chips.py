"""Made chips on disk: image, wholes, parts and classes as GeoTIFFs side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import from_origin

from geoalps.errors import ProductError
from geoalps.sample import CHIP_CLASSES, Chip

APART = 3000.0
"""Metres from chip to chip on the map, so that all can be opened together."""
WEST, NORTH = 500_000.0, 5_200_000.0
"""Map coordinates of the first chip's upper left corner."""


def write_chip(path: Path, chip: Chip, seed: int, place: int) -> None:
    """Image, wholes, parts and classes as four files, which get their names when all are complete.

    Args:
        path: of the image.
        chip: what to write.
        seed: told in the files' tags.
        place: number on the map.

    Raises:
        ProductError: a file cannot be written.
    """
    layers = {"": chip.image, "_whole": chip.wholes, "_part": chip.parts, "_class": chip.classes}
    drafts = {
        path.with_name(f".{path.stem}{end}.{os.getpid()}.part"): path.with_name(f"{path.stem}{end}.tif")
        for end in layers
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for (end, values), draft in zip(layers.items(), drafts, strict=True):
            _write_layer(draft, values, chip, {"SAMPLE_SEED": str(seed)}, end, place)
        for draft, final in drafts.items():
            draft.replace(final)
    except (RasterioError, OSError) as error:
        raise ProductError(f"{path} cannot be written: {error}; give a directory that has room") from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def _write_layer(path: Path, values: Any, chip: Chip, tags: dict[str, str], end: str, place: int) -> None:
    """One GeoTIFF of a (height, width) or (height, width, 3) array."""
    height, width = values.shape[:2]
    corner = WEST + APART * (place % 100), NORTH - APART * (place // 100)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1 if values.ndim == 2 else 3,
        dtype=values.dtype.name,
        crs="EPSG:32632",
        transform=from_origin(*corner, chip.pixel_size, chip.pixel_size),
        compress="deflate",
        **({} if values.ndim == 2 else {"photometric": "RGB"}),
    ) as file:
        file.update_tags(**tags, SAMPLE_KIND=chip.kind, SAMPLE_SENSOR=chip.sensor)
        file.write(values[None] if values.ndim == 2 else values.transpose(2, 0, 1))
        if end == "_class":
            file.update_tags(1, **{f"CLASS_{n}": name for n, name in enumerate(CHIP_CLASSES)})
