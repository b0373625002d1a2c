"""A product as an interactive map, for notebooks (folium).

It does not grow with the scene: the raster is read through its overviews, and of the polygons only the largest are
drawn. All is drawn in Mercator about the product's own meridian, so that images fit Leaflet's map to the pixel, and a
product across the 180th meridian stays in one piece.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform

from geoalps.errors import OptionError, PluginError, ProductError
from geoalps.io.plotting import coloured
from geoalps.io.rasters import quiet
from geoalps.io.scene import Scene, open_scene
from geoalps.io.stretch import fit_stretch

if TYPE_CHECKING:
    import geopandas

    from geoalps.io.product import Product

SPHERE = 6_378_137.0
"""Radius in metres of the sphere that web maps project."""
SIDE = 1200
"""Pixels of the longer side of the pictures on the interactive map."""


def explore(
    product: Product,
    *,
    scene: Scene | str | Path | None = None,
    most: int = 2000,
    opacity: float = 0.55,
    tiles: str | None = None,
    attribution: str | None = None,
) -> Any:
    """An interactive map of a product, to be looked at in a notebook or saved with ``.save("map.html")``.

    Layers are the scene if it is given, the label map, the objects with a tooltip each, and the borders of classes.
    Outlines are simplified by about a pixel, without gaps. The data are in the page; Leaflet itself comes from the
    network, as in every map of folium's.

    Args:
        product: with a CRS.
        scene: path or scene, for the background.
        most: objects that are drawn, the largest first; the map says how many were left out.
        opacity: of the label map and the objects' filling, 0..1.
        tiles: name or URL of a background map as folium takes it, such as ``OpenStreetMap``; None needs no network.
        attribution: of those tiles, where they are given by a URL.

    Returns:
        A ``folium.Map``.

    Raises:
        PluginError: folium is not installed.
        ProductError: the product has no CRS, or lies where web maps do not reach.
        OptionError: an option is out of its range, or the scene has no CRS.
    """
    folium = _folium()
    if not 0 <= opacity <= 1:
        raise OptionError(f"opacity is {opacity:g}; allowed is 0 to 1")
    if most < 0:
        raise OptionError(f"most is {most}; allowed is 0 and more")
    sheet = _Sheet.of(product.path)
    classes = product.classes()
    page = folium.Map(tiles=None, prefer_canvas=True, zoom_snap=0.25)
    if tiles is not None:
        folium.TileLayer(tiles, attr=attribution, name="background map").add_to(page)
    if scene is not None:
        _picture(folium, sheet.scene(scene), sheet, "scene", 1.0).add_to(page)
    _picture(folium, sheet.labels(classes), sheet, "label map", opacity).add_to(page)
    objects, every = _largest(product, most), int(classes.object_count.sum())
    if len(objects):
        objects.geometry = _simpler(objects.geometry, sheet.pixel)
        _borders(folium, objects, sheet).add_to(page)
        _polygons(folium, objects, classes, sheet, opacity).add_to(page)
    said = f"drawn: the {len(objects):,} largest of {every:,} objects" if len(objects) < every else f"{every:,} objects"
    root = page.get_root()
    root.html.add_child(folium.Element(_legend(product.path.name, classes, said)))
    folium.LayerControl(collapsed=False).add_to(page)
    page.fit_bounds(sheet.bounds)
    return page


def _folium() -> Any:
    """The module folium, which comes with an extra."""
    try:
        return import_module("folium")
    except ImportError as error:
        raise PluginError(f'an interactive map needs folium ({error}); pip install "geoalps[notebook]"') from error


@dataclass(frozen=True)
class _Sheet:
    """The rectangle of the web map on which a product is drawn."""

    raster: Path
    """``labels.tif``."""
    mercator: Any
    """rasterio CRS: the web maps' projection about the product's own meridian."""
    meridian: float
    """Its longitude in degrees."""
    place: Affine
    """Picture (col, row) to Mercator (x, y)."""
    shape: tuple[int, int]
    """(height, width) of pictures."""
    pixel: float
    """Side of the product's pixels in its own units."""

    @classmethod
    def of(cls, folder: Path) -> _Sheet:
        """That of a product.

        Raises:
            ProductError: it has no CRS, or cannot be projected.
        """
        raster = folder / "labels.tif"
        with quiet(), rasterio.open(raster) as file:
            if file.crs is None:
                raise ProductError(
                    f"{folder} has no CRS, so no map knows where it is; draw it with plot(), or give the scene one "
                    "(gdal_edit.py -a_srs EPSG:CODE) and label it again"
                )
            try:
                meridian = _meridian(file)
                mercator = rasterio.crs.CRS.from_proj4(
                    f"+proj=merc +a={SPHERE} +b={SPHERE} +lat_ts=0 +lon_0={meridian!r} +k=1 +units=m +nadgrids=@null "
                    "+wktext +no_defs"
                )
                place, shape = _grid(file, mercator)
            except (RasterioError, CPLE_BaseError, ValueError) as error:  # GDAL's own are no RasterioError
                raise ProductError(
                    f"{folder} lies where web maps do not reach ({error}); draw it with plot()"
                ) from error
            return cls(raster, mercator, meridian, place, shape, math.sqrt(abs(file.transform.determinant)))

    @cached_property
    def bounds(self) -> list[list[float]]:
        """[[south, west], [north, east]] in degrees; east may exceed 180."""
        west, south, east, north = array_bounds(*self.shape, self.place)
        return [[_latitude(south), self._longitude(west)], [_latitude(north), self._longitude(east)]]

    def _longitude(self, x: float) -> float:
        return self.meridian + math.degrees(x / SPHERE)

    def labels(self, classes: Any) -> NDArray[np.uint8]:
        """(height, width, 4) uint8 of the label map."""
        with quiet(), rasterio.open(self.raster) as file:
            empty = int(np.iinfo(file.dtypes[0]).max)
            view: dict[str, Any] = {"crs": self.mercator, "transform": self.place, "nodata": empty}
            view |= {"height": self.shape[0], "width": self.shape[1], "resampling": Resampling.nearest}
            with WarpedVRT(file, **view) as seen:
                return coloured(seen.read(1), classes)

    def scene(self, scene: Scene | str | Path) -> NDArray[np.uint8]:
        """(height, width, 4) uint8 of the scene as segmenters see it."""
        opened = scene if isinstance(scene, Scene) else open_scene(scene)
        if opened.crs is None:
            raise OptionError(f"{opened.name} has no CRS, so it cannot lie under the map; leave scene out")
        values, valid = opened.sample()
        image = np.concatenate([fit_stretch(opened)(values, valid).transpose(2, 0, 1), 255 * valid[None].astype("u1")])
        reduced = Affine.scale(opened.shape[1] / valid.shape[1], opened.shape[0] / valid.shape[0])
        picture = np.zeros((4, *self.shape), np.uint8)
        reproject(
            image,
            picture,
            src_transform=opened.transform * reduced,
            src_crs=opened.crs,
            dst_transform=self.place,
            dst_crs=self.mercator,
            resampling=Resampling.nearest,
        )
        return picture.transpose(1, 2, 0)

    def degrees(self, objects: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
        """Geometries in longitude and latitude, in one piece about the product's meridian."""
        import shapely

        def turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
            """(n, 2) with longitudes within 180 degrees of the meridian."""
            east = (points[:, 0] - self.meridian + 180) % 360 - 180 + self.meridian
            together: NDArray[np.float64] = np.stack([east, points[:, 1]], 1)
            return together.round(7)

        # folium takes the coordinates as they are, as of EPSG:4326
        found = objects.to_crs("EPSG:4326")
        return found.set_geometry(shapely.transform(found.geometry.values, turned), crs="EPSG:4326")


def _latitude(y: float) -> float:
    """Degrees of a Mercator y in metres."""
    return math.degrees(2 * math.atan(math.exp(y / SPHERE)) - math.pi / 2)


def _meridian(file: Any) -> float:
    """Longitude of the raster's middle, in degrees."""
    middle = file.transform * (file.width / 2, file.height / 2)
    east = transform(file.crs, "EPSG:4326", [middle[0]], [middle[1]])[0][0]
    if not math.isfinite(east):
        raise ValueError("its middle has no longitude")
    return round(float(east), 6)


def _grid(file: Any, mercator: Any) -> tuple[Affine, tuple[int, int]]:
    """Transform and (height, width) of a picture of the raster in Mercator."""
    # the outline's bounds: GDAL gives those of a rotated grid's bounding box else; a pole may lie far inside of it
    places = [file.transform * place for place in _lattice(file.width, file.height)]
    xs, ys = transform(file.crs, mercator, [x for x, _ in places], [y for _, y in places])
    west, east, south, north = min(xs), max(xs), min(ys), max(ys)
    if not np.isfinite([west, east, south, north]).all() or max(abs(south), abs(north)) > math.pi * SPHERE:
        raise ValueError("it reaches beyond 85 degrees of latitude")
    step = max(east - west, north - south) / min(SIDE, max(file.shape) * 2)
    shape = max(1, math.ceil((north - south) / step)), max(1, math.ceil((east - west) / step))
    return Affine((east - west) / shape[1], 0, west, 0, -(north - south) / shape[0], north), shape


def _lattice(width: int, height: int, parts: int = 16) -> list[tuple[float, float]]:
    """Points (col, row) spread evenly over a raster, its edges and corners among them."""
    along = [n / parts for n in range(parts + 1)]
    return [(width * across, height * down) for down in along for across in along]


def _largest(product: Product, most: int) -> geopandas.GeoDataFrame:
    """The largest objects, largest first; of equals the first by id."""
    import geopandas

    columns = "geom, object_id, class_id, class_name, confidence, area_m2"
    chosen = f"SELECT object_id FROM objects ORDER BY area_m2 DESC, object_id LIMIT {int(most)}"  # noqa: S608 - a number
    query = f"SELECT {columns} FROM objects WHERE object_id IN ({chosen})"  # noqa: S608 - our own words
    found = geopandas.read_file(product.path / "labels.gpkg", sql=query)
    return found.sort_values(["area_m2", "object_id"], ascending=[False, True], ignore_index=True)


def _simpler(shapes: Any, pixel: float) -> Any:
    """Outlines without the steps of pixels; neighbours keep their common border."""
    import shapely

    return shapely.coverage_simplify(shapes.values, 1.5 * pixel)


def _polygons(folium: Any, objects: Any, classes: Any, sheet: _Sheet, opacity: float) -> Any:
    """The layer of objects, each with its tooltip."""
    colours = classes.set_index("class_id").colour
    shown = sheet.degrees(objects)
    shown["colour"] = shown.class_id.map(colours)
    shown["class_name"] = [html.escape(name) for name in shown.class_name]
    shown["confidence"] = shown.confidence.round(3)
    shown["area"] = [f"{area:,.1f}" for area in shown.area_m2]
    fields = ["class_name", "object_id", "confidence", "area"]

    def style(feature: Any) -> dict[str, Any]:
        """Its class's colour; the outline tells objects of one class apart."""
        colour = feature["properties"]["colour"]
        return {"fillColor": colour, "color": "#222222", "weight": 0.4, "fillOpacity": 0.5 * opacity}

    return folium.GeoJson(
        shown[[*fields, "colour", "geometry"]].to_json(),
        name="objects",
        style_function=style,
        highlight_function=lambda _: {"weight": 2.5, "color": "#ffff00"},
        tooltip=folium.GeoJsonTooltip(fields, ["class", "object", "confidence", "area in m²"]),
    )


def _borders(folium: Any, objects: Any, sheet: _Sheet) -> Any:
    """The layer of borders between classes: objects of one class dissolved."""
    import shapely

    areas = objects[["class_id", objects.geometry.name]].dissolve("class_id")
    lines = sheet.degrees(areas.set_geometry(shapely.boundary(areas.geometry.values), crs=objects.crs))
    return folium.GeoJson(
        lines.geometry.to_json(),
        name="borders of classes",
        style_function=lambda _: {"color": "#222222", "weight": 1.2, "fillOpacity": 0},
    )


def _picture(folium: Any, picture: NDArray[np.uint8], sheet: _Sheet, name: str, opacity: float) -> Any:
    """A layer that is an image."""
    # the page stays sharp where pixels are large: they are pixels
    return folium.raster_layers.ImageOverlay(picture, sheet.bounds, opacity=opacity, pixelated=True, name=name)


def _legend(title: str, classes: Any, said: str) -> str:
    """HTML of the legend; folium takes it for a template, so braces are written as numbers."""
    rows = "".join(
        f'<div><span style="background:{row.colour};display:inline-block;width:1em;height:1em;margin-right:.5em;'
        f'vertical-align:-2px"></span>{html.escape(row.class_name)}</div>'
        for row in classes.itertuples()
    )
    box = (
        "position:fixed;bottom:12px;left:12px;z-index:1000;background:#fffffff0;padding:8px 12px;border-radius:4px;"
        "font:12px/1.5 sans-serif;max-height:70%;overflow:auto"
    )
    text = f'<div id="legend" style="{box}"><b>{html.escape(title)}</b>{rows}<small>{said}</small></div>'
    return text.replace("{", "&#123;").replace("}", "&#125;").replace("\\", "&#92;")
