"""Finished products of made scenes, for the tests of what reads products."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import geoalps as ga
from geoalps.errors import GeoalpsWarning
from geoalps.io.product import Product
from geoalps.testing import PlainSegmenter

NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000)
ODD_CRS = (
    'PROJCRS["laea of ours",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,'
    '298.257223563]]],CONVERSION["laea",METHOD["Lambert Azimuthal Equal Area"],PARAMETER["Latitude of natural origin",'
    '46.95],PARAMETER["Longitude of natural origin",9.02],PARAMETER["False easting",500000],PARAMETER["False northing",'
    '5200000]],CS[Cartesian,2],AXIS["easting",east],AXIS["northing",north],LENGTHUNIT["metre",1]]'
)
PLACES = {
    "utm": {"crs": "EPSG:32632", "transform": NORTH_UP},
    "no code": {"crs": ODD_CRS, "transform": NORTH_UP},
    "no CRS": {"crs": None, "transform": Affine(2, 0, 0, 0, -2, 0)},
    "rotated": {"crs": "EPSG:32632", "transform": NORTH_UP @ Affine.rotation(30) @ Affine.shear(10)},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 9, 0, -1e-5, 47)},
}
"""Where the scene lies."""


@dataclass(frozen=True)
class Finished:
    """A product and what it was made of."""

    scene: Path
    product: Product
    image: np.ndarray
    """(height, width, 3) uint8; 0 is nodata."""

    def read(self, name):
        """(height, width) of one of the product's rasters."""
        with rasterio.open(self.product.path / name) as file:
            return file.read(1)

    @property
    def ids(self):
        """(height, width) object ids."""
        return self.read("objects.tif").astype(np.int64)


def patches(shape, count, colours, seed=0):
    """(height, width, 3) uint8: patches of so many colours, and a corner without data."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    seeds = rng.random((count, 2)) * shape
    cell = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    every = np.stack(np.unravel_index(rng.permutation(1000)[:colours], (10, 10, 10)), 1) * 25 + 20
    image = every[np.arange(count) % colours].astype(np.uint8)[cell]
    image[: shape[0] // 5, -shape[1] // 3 :] = 0
    return image


def make(folder, image, place, n_classes=4, **options):
    """A scene of an image, and its product."""
    folder.mkdir(parents=True)
    path = folder / "town.tif"
    size = {"height": image.shape[0], "width": image.shape[1], "count": 3, "dtype": "uint8"}
    place = {key: value for key, value in place.items() if value is not None}
    with rasterio.open(path, "w", driver="GTiff", nodata=0, photometric="rgb", **size, **place) as file:
        file.write(image.transpose(2, 0, 1))
    given = {"tile_size": 128, "margin": 32, "min_area": 0, "segmenter": PlainSegmenter(), **options}
    product = ga.tile_label(path, folder / "product", n_classes, **given)
    return Finished(path, product, image)


@pytest.fixture(scope="session", params=PLACES)
def anywhere(request, tmp_path_factory):
    """A product of a small scene, with every kind of georeference; to be read only."""
    folder = tmp_path_factory.mktemp("anywhere") / "made"
    image = patches((90, 110), 14, 4)
    if request.param != "no CRS":
        return make(folder, image, PLACES[request.param])
    with pytest.warns(GeoalpsWarning, match="no CRS"):
        return make(folder, image, PLACES[request.param])


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A product of about a hundred objects, 200 x 230 pixels, EPSG:32632; to be read only."""
    return make(tmp_path_factory.mktemp("finished") / "made", patches((200, 230), 120, 6), PLACES["utm"], 5)


@pytest.fixture(scope="session")
def colourful(tmp_path_factory):
    """A product with 300 classes; to be read only."""
    return make(tmp_path_factory.mktemp("colourful") / "made", patches((120, 120), 330, 330), PLACES["utm"], 300)


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A product of a scene without data; to be read only."""
    return make(tmp_path_factory.mktemp("empty") / "made", np.zeros((40, 50, 3), np.uint8), PLACES["utm"])
