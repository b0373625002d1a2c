"""A trial: a tiny scene made, labelled and looked at, to see whether an installation works from end to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoalps.errors import ProductError
from geoalps.io.product import Product
from geoalps.sample import SampleScene

SIDE = 256
"""Pixels of the scene's side: four tiles, so that objects are joined across their lines."""


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    objects: int
    """How many were found."""
    classes: int
    """How many there are."""
    seconds: float
    """From the scene to the finished product, and its check."""


def trial(folder: Path) -> Trial:
    """Make a scene, label it with ``regions``, and check the product.

    Args:
        folder: an empty directory, in which all is written.

    Raises:
        ProductError: the product is not coherent; the text says in what.
        GeoalpsError: whatever else goes wrong.
    """
    from geoalps.io.sample import write_sample
    from geoalps.labeling.scenes import tile_label

    began = time.perf_counter()
    scene = write_sample(folder / "trial.tif", SampleScene((SIDE, SIDE)), truth=False)["image"]
    product = tile_label(scene, folder / "product", 4, tile_size=128, margin=32)
    objects = check(Product.open(product.path))
    return Trial(objects, product.run()["n_classes"], time.perf_counter() - began)


def check(product: Product) -> int:
    """How many objects a product holds, the same in all its files.

    Raises:
        ProductError: there are none, or two files disagree.
    """
    import pyogrio
    import rasterio

    with rasterio.open(product.path / "objects.tif") as file:
        painted = np.unique(file.read(1))
    with rasterio.open(product.path / "labels.tif") as file:
        labels, uncovered = file.read(1), file.nodata
    painted = painted[painted > 0]
    polygons = int(pyogrio.read_info(product.path / "labels.gpkg", layer="objects")["features"])
    counted = int(product.classes()["object_count"].sum())
    if not len(painted) == polygons == counted:
        raise ProductError(f"{len(painted)} objects are painted, {polygons} are polygons, {counted} are in classes")
    if not polygons or (labels == uncovered).any():
        raise ProductError(f"{polygons} objects leave {(labels == uncovered).mean():.0%} of the scene uncovered")
    return polygons
