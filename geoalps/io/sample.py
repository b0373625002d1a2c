"""Writes made scenes: image and truth as GeoTIFFs, window by window."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_origin, xy
from rasterio.windows import Window as RasterWindow

from geoalps.errors import OptionError, ProductError
from geoalps.grid import TileGrid, Window
from geoalps.io.style import ClassRow, category_names_pam
from geoalps.sample import CLASSES, SampleScene, SampleWindow
from geoalps.sample.places import Place, choose_places, places_in

WEST, NORTH = 500_000.0, 5_200_000.0
"""Map coordinates of the upper left corner: on the central meridian of a UTM zone, at the latitude of the Alps."""
BLOCK = 256
"""Side of the files' blocks in pixels."""
PLACES, LOOKED_AT = 12, 16
"""Labelled places a class, found in at most so many of the windows."""


def write_sample(
    path: str | os.PathLike[str],
    scene: SampleScene,
    truth: bool = True,
    crs: str = "EPSG:32632",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write a made scene, and beside it its truth.

    Memory does not grow with the scene. Every file is written under a temporary name; when all are complete they get
    their final names, an older file of that name is replaced.

    Args:
        path: of the image, ``NAME.tif``; the truth becomes ``NAME_class.tif``, ``NAME_inst.tif`` and
            ``NAME_places.gpkg``.
        scene: what to draw.
        truth: also write the class raster (uint8, 0 other, with GDAL's category names beside it), the instance raster
            (uint32, 0 none), and labelled places: a few points of every class (field ``class``), as a person would
            click them.
        crs: a projected CRS in metres, as rasterio understands it.
        progress: called with (windows done, windows in all) after each window.

    Returns:
        ``image`` and, with truth, ``classes``, ``class_names``, ``instances`` and ``places``: the paths written.

    Raises:
        OptionError: the CRS is unknown.
        ProductError: a file cannot be written.
    """
    final = Path(path)
    paths = {"image": final}
    if truth:
        paths["classes"] = final.with_name(f"{final.stem}_class.tif")
        paths["class_names"] = final.with_name(f"{final.stem}_class.tif.aux.xml")
        paths["instances"] = final.with_name(f"{final.stem}_inst.tif")
        paths["places"] = final.with_name(f"{final.stem}_places.gpkg")
    drafts = {name: place.with_name(f".{os.getpid()}.part.{place.name}") for name, place in paths.items()}
    try:
        _write(drafts, scene, crs, progress)
        for name, draft in drafts.items():
            draft.replace(paths[name])
    except CRSError as error:
        raise OptionError(f"CRS {crs!r} is unknown; give an EPSG code such as EPSG:32632, or WKT") from error
    except (RasterioError, OSError) as error:
        raise ProductError(f"{final} cannot be written: {error}; give a folder that exists and has room") from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return paths


def _write(drafts: dict[str, Path], scene: SampleScene, crs: str, progress: Callable[[int, int], None] | None) -> None:
    grid = TileGrid(scene.shape, size=1024, margin=0)
    looked_at = {len(grid) * n // LOOKED_AT for n in range(LOOKED_AT)} if "places" in drafts else set()
    found: list[Place] = []
    rasters = {name: draft for name, draft in drafts.items() if draft.suffix == ".tif"}
    with ExitStack() as stack:
        files = {name: stack.enter_context(_create(draft, name, scene, crs)) for name, draft in rasters.items()}
        for number, tile in enumerate(grid):
            made, (row0, col0) = scene.read(tile.core), (tile.core.row0, tile.core.col0)
            for name, file in files.items():
                file.write(_bands(made, name), window=_raster_window(tile.core))
            if number in looked_at:
                found += [p._replace(row=p.row + row0, col=p.col + col0) for p in places_in(made.classes)]
            if progress:
                progress(number + 1, len(grid))
    if "places" in drafts:
        _write_places(drafts["places"], choose_places(found, PLACES), scene, crs)
        drafts["class_names"].write_text(_category_names(), encoding="utf-8")


def _write_places(path: Path, places: list[Place], scene: SampleScene, crs: str) -> None:
    """Points in the middle of their pixels, with the name of what is there in the field ``class``."""
    import geopandas

    x, y = xy(_transform(scene), [place.row for place in places], [place.col for place in places])
    names = [CLASSES[place.class_id] for place in places]
    points = geopandas.points_from_xy(x, y)
    geopandas.GeoDataFrame({"class": names}, geometry=points, crs=crs).to_file(path, layer="places", driver="GPKG")


def _category_names() -> str:
    """The side file from which GDAL, and so QGIS and ``geoalps evaluate``, knows what the numbers mean."""
    return category_names_pam(ClassRow(number, word, "#000000", 0, 0.0) for number, word in enumerate(CLASSES))


def _transform(scene: SampleScene) -> Any:
    """Pixel (col, row) to map (x, y) of a made scene."""
    return from_origin(WEST, NORTH, scene.pixel_size, scene.pixel_size)


def _create(path: Path, name: str, scene: SampleScene, crs: str) -> Any:
    """An empty tiled GeoTIFF of the kind that ``name`` tells."""
    count, dtype = {"image": (3, "uint8"), "classes": (1, "uint8"), "instances": (1, "uint32")}[name]
    layout: dict[str, Any] = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    if count == 3:
        layout |= {"photometric": "RGB", "interleave": "pixel"}
    file = rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=scene.shape[0],
        width=scene.shape[1],
        count=count,
        dtype=dtype,
        crs=rasterio.crs.CRS.from_user_input(crs),
        transform=_transform(scene),
        compress="deflate",
        predictor=2,
        zlevel=6,
        bigtiff="IF_SAFER",
        **layout,
    )
    file.update_tags(SAMPLE_SEED=scene.seed)
    if count == 3:
        file.colorinterp = ColorInterp.red, ColorInterp.green, ColorInterp.blue
    return file


def _bands(made: SampleWindow, name: str) -> NDArray[Any]:
    """(bands, height, width) of one file."""
    if name == "image":
        return np.moveaxis(made.rgb, -1, 0)
    return (made.classes if name == "classes" else made.instances)[None]


def _raster_window(window: Window) -> RasterWindow:
    return RasterWindow(window.col0, window.row0, window.width, window.height)
