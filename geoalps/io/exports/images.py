"""The images of chips: the scene that a product was made of, found again, seen through the class model's stretch."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from rasterio.crs import CRS

from geoalps.errors import GeoalpsWarning, SceneError
from geoalps.grid import Tile, Window
from geoalps.io.exports.chips import padded, write_png
from geoalps.io.exports.footprint import on_map
from geoalps.io.product import Product
from geoalps.io.rasters import Georeference
from geoalps.io.remote import is_remote
from geoalps.io.scene import Scene, open_scene
from geoalps.io.stretch import Stretch
from geoalps.protocols import Image

if TYPE_CHECKING:
    import xarray

SceneGiven: TypeAlias = Union[Scene, str, Path, "xarray.DataArray", None]
"""A scene, where it is, or None: where ``run.json`` says, or else beside the product."""
_HEADER = ("shape", "dtype", "crs", "transform", "bands", "nodata")
"""What a scene's fingerprint says of its header."""
_STATE = ("size", "mtime_ns", "etag", "digest")
"""What it says of the files."""
_SURE = ("size", "etag", "digest")
"""What a copy has in common with the original."""


@dataclass(frozen=True, eq=False)
class ChipImages:
    """Reads and writes the images of chips."""

    scene: Scene
    """What is read."""
    stretch: Stretch
    """As in the class model."""
    name: str
    """Of the scene when the product was made: the beginning of the chips' names."""

    @classmethod
    def of(cls, product: Product, given: SceneGiven) -> ChipImages:
        """The images of a product's chips.

        Args:
            product: whose scene is wanted.
            given: the scene, or where it is now; None looks where ``run.json`` says, and beside the product.

        Raises:
            SceneError: it is not there, or is not the scene that the product was made of.
        """
        run = product.run()
        scene = _found(product, run["scene"], given)
        if run["damaged_tiles"]:
            scene = scene.forgiving()  # as the run did
        return cls(scene, Stretch.from_json(run["stretch"]), run["scene"]["name"])

    def read(self, window: Window, size: int) -> Image:
        """(size, size, 3) uint8 of a window, 0 where the scene has no data and outside."""
        image, _ = self.scene.read_rgb(window, self.stretch)
        return padded(image, size, 0)

    def write(self, path: Path, chip: Tile, size: int) -> None:
        """Write a chip's image as ``path`` (.png), and beside it where it lies on the map."""
        write_png(path, self.read(chip.core, size))
        place = Georeference((size, size), self.scene.transform, self.scene.crs)
        write_place(path, chip.core, place)


def write_place(path: Path, window: Window, place: Georeference) -> None:
    """Write where a picture lies on the map: a world file ``.pgw``, and the CRS as GDAL keeps it, ``.png.aux.xml``.

    Args:
        path: of the picture; nothing of it is read.
        window: of the raster that it shows.
        place: of that raster.
    """
    at = place.transform
    # the steps to the next column and the next row, and where the middle of the first pixel lies
    lines = (at.a, at.d, at.b, at.e, *on_map(at, window.col0 + 0.5, window.row0 + 0.5))
    path.with_suffix(".pgw").write_text("".join(f"{value!r}\n" for value in map(float, lines)), encoding="ascii")
    if place.crs is not None:
        root, wkt = ET.Element("PAMDataset"), place.crs.to_wkt()
        ET.SubElement(root, "SRS", {"dataAxisToSRSAxisMapping": _axes(wkt)}).text = wkt
        path.with_name(f"{path.name}.aux.xml").write_text(ET.tostring(root, "unicode"), encoding="utf-8")


@cache
def _axes(wkt: str) -> str:
    """GDAL's word for coordinates that come as x, y, whatever order the reference system has them in."""
    import pyproj

    first = pyproj.CRS(wkt).axis_info[:1]
    return "2,1" if first and first[0].direction in ("north", "south") else "1,2"


def _found(product: Product, wanted: Mapping[str, Any], given: SceneGiven) -> Scene:
    """The scene of a product, checked; see :meth:`ChipImages.of`."""
    source = given if given is not None else _path(product, wanted)
    scene = source if isinstance(source, Scene) else _opened(source, wanted)
    bands = tuple(wanted["bands"])
    if scene.bands != bands:
        scene = scene.with_bands(bands)
    _check(scene, wanted, moved=given is not None)
    return scene


def _path(product: Product, wanted: Mapping[str, Any]) -> str:
    """Where the scene is as ``run.json`` says, or else beside the product; a SceneError when it is in neither place."""
    told = wanted.get("path")
    if told is not None and (is_remote(told) or ':"' in told or Path(told).exists()):
        return str(told)
    beside = [path for path in product.path.resolve().parent.glob(f"{wanted['name']}.*") if _readable(path)]
    if len(beside) != 1:
        raise SceneError(
            f"the scene {wanted['name']} of {product.path} is not where it was; say where it is with --scene"
        )
    return str(beside[0])


def _readable(path: Path) -> bool:
    """Whether a file is a raster by its name."""
    return path.suffix.lower() in {".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg"}


def _opened(source: str | Path | xarray.DataArray, wanted: Mapping[str, Any]) -> Scene:
    """The scene with the bands and, if it has another itself, the nodata value of the run."""
    scene = open_scene(source, wanted["bands"])
    nodata = wanted["nodata"]
    if nodata is None or scene.fingerprint["nodata"] == nodata:
        return scene
    return open_scene(source, wanted["bands"], float(nodata))


def _check(scene: Scene, wanted: Mapping[str, Any], moved: bool) -> None:
    """Raise a SceneError unless a scene is the one that a product was made of.

    A copy may have another time: that of one which the caller pointed at is only warned about.
    """
    found = scene.fingerprint
    differs = [name for name in _HEADER if not _same(name, found.get(name), wanted.get(name))]
    # of a file that is compared with an array, or with itself on a server, not everything is known
    known = [name for name in _STATE if None not in (found.get(name), wanted.get(name))]
    differs += [name for name in known if (name in _SURE or not moved) and found[name] != wanted[name]]
    where = scene.path or scene.name
    if differs:
        shown = "; ".join(f"{name}: {_short(wanted.get(name))}, now {_short(found.get(name))}" for name in differs)
        raise SceneError(
            f"{where} is not the scene that the product was made of ({shown}); give that one with --scene, or label "
            "this one"
        )
    if not any(name in known for name in ("etag", "digest")) and found.get("mtime_ns") != wanted.get("mtime_ns"):
        warnings.warn(
            f"{where} was written at another time than the scene of the product; it is taken for a copy, because all "
            "else is the same. If it was changed since, the images do not fit the labels",
            GeoalpsWarning,
            stacklevel=6,
        )


def _same(name: str, found: Any, wanted: Any) -> bool:
    """Whether two values of a fingerprint mean the same; a CRS may be written in two ways."""
    if name == "crs" and None not in (found, wanted):
        return found == wanted or bool(CRS.from_wkt(found) == CRS.from_wkt(wanted))
    return bool(found == wanted)


def _short(value: Any) -> str:
    """A value of a fingerprint, not longer than fits a message."""
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
