"""A STAC 1.1 item of a product: where it lies, since when, and what its files are, for catalogues.

Extensions: projection 2.0, classification 2.0, file 2.1, raster 2.0. Paths of files are relative to the item.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rasterio

from geoalps.errors import GeoalpsWarning, OptionError, ProductError
from geoalps.io.exports.chips import StandingClasses
from geoalps.io.exports.footprint import Footprint
from geoalps.io.exports.target import new_file
from geoalps.io.product import Product
from geoalps.io.rasters import Georeference, quiet
from geoalps.io.store import write_json
from geoalps.progress import Progress, Silence

EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("projection/v2.0.0", "classification/v2.0.0", "file/v2.1.0", "raster/v2.0.0")
)
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_FILES: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "labels": ("labels.tif", "Classes, a raster", _COG, ("data", "labels", "labels-raster")),
    "objects": ("objects.tif", "Objects, a raster of ids", _COG, ("data", "labels", "labels-raster")),
    "polygons": (
        "labels.gpkg",
        "Objects and classes, outlined",
        "application/geopackage+sqlite3",
        ("data", "labels", "labels-vector"),
    ),
    "class-model": ("classes.json", "Class model", "application/json", ("metadata",)),
    "class-model-arrays": ("classes.npz", "Arrays of the class model", "application/octet-stream", ("metadata",)),
    "class-table": ("classes.csv", "Names, colours and merges of the classes", "text/csv", ("metadata",)),
    "run": ("run.json", "How the product was made", "application/json", ("metadata",)),
}
"""Asset -> file, title, media type, roles; those that a product does not have are left out."""


def write_stac(
    product: Product,
    path: str | Path,
    *,
    item_id: str | None = None,
    when: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the STAC item of a product.

    Without a CRS that is tied to the Earth the geometry is null, as STAC allows, and a warning says so.

    Args:
        product: what the item is of.
        path: the JSON file to make; in the product's directory, or anywhere.
        item_id: the item's id; the name of the product's directory by default.
        when: when the scene was taken, as in RFC 3339 (``2026-03-01T10:15:00Z``, or a date), or begin and end with a
            slash between them. By default it is when the product was finished.
        overwrite: replace what is there.
        progress: hears of the one step.

    Returns:
        The path.

    Raises:
        OptionError: ``when`` is no time, or ends before it begins.
        ProductError: the file exists or cannot be written, or a file of the product cannot be read.
    """
    path, progress = Path(path), progress or Silence()
    progress.start("stac", 1)
    content = stac_item(product, path, item_id, when)
    with new_file(path, product, overwrite) as part:
        write_json(part, content)
    progress.advance()
    return path


def stac_item(product: Product, path: Path, item_id: str | None = None, when: str | None = None) -> dict[str, Any]:
    """The STAC item of a product as JSON values, for a file at ``path``; see :func:`write_stac`."""
    run = product.run()
    place = Georeference.from_json(run["scene"])
    footprint = Footprint.of(place)
    if footprint is None:
        warnings.warn(
            f"{product.path} has no CRS that is tied to the Earth: the item's geometry is null, and no catalogue finds "
            "it by place",
            GeoalpsWarning,
            stacklevel=3,
        )
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS),
        "id": item_id or product.path.resolve().name,
        "geometry": footprint.geometry if footprint else None,
    }
    if footprint:
        item["bbox"] = footprint.bbox
    properties = {**_times(product, when), **_about(product, run), **_projection(place)}
    return {**item, "properties": properties, "links": [], "assets": _assets(product, path)}


def _about(product: Product, run: Mapping[str, Any]) -> dict[str, Any]:
    """Title, description and origin."""
    counts = f"{run['counts']['objects']} objects in {len(StandingClasses.of(product))} classes"
    return {
        "title": f"Pseudo-labels of {run['scene']['name']}",
        "description": f"{counts}, made without labels by geoalps {run['geoalps']}",
    }


def _times(product: Product, when: str | None) -> dict[str, Any]:
    """When the scene was taken, and when the product was made; a stretch of time has no one ``datetime``."""
    made = _finished(product)
    begin, slash, end = (when or made).partition("/")
    if not slash:
        return {"datetime": _time(begin), "created": made}
    times = _time(begin), _time(end)
    if times[1] < times[0]:
        raise OptionError(f"{when} ends before it begins; give BEGIN/END")
    return {"datetime": None, "start_datetime": times[0], "end_datetime": times[1], "created": made}


def _finished(product: Product) -> str:
    """When ``run.json``, a product's last file, was written."""
    return _rfc3339(datetime.fromtimestamp((product.path / "run.json").stat().st_mtime, UTC))


def _time(text: str) -> str:
    """A time in UTC as RFC 3339 writes it; one without a zone is taken for UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise OptionError(
            f"{text!r} is no time; write it like 2026-03-01T10:15:00Z or 2026-03-01, and a stretch as BEGIN/END"
        ) from None
    return _rfc3339(time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))


def _rfc3339(time: datetime) -> str:
    """A time in UTC, to the second."""
    return time.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _projection(place: Georeference) -> dict[str, Any]:
    """The fields of the projection extension."""
    import pyproj

    fields: dict[str, Any] = {"proj:code": None}
    if place.crs is not None:
        crs = pyproj.CRS(place.crs.to_wkt())
        authority = crs.to_authority(min_confidence=100)
        fields = {
            "proj:code": ":".join(authority) if authority else None,
            "proj:wkt2": crs.to_wkt(),
            "proj:projjson": crs.to_json_dict(),
        }
    transform = [float(value) for value in tuple(place.transform)[:6]]
    return {**fields, "proj:shape": list(place.shape), "proj:transform": transform}


def _assets(product: Product, path: Path) -> dict[str, Any]:
    """What is in the product, file by file."""
    assets = {}
    for key, (name, title, media_type, roles) in _FILES.items():
        file = product.path / name
        if file.exists():
            href = Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix()
            # a path that begins with a name and a colon would be read as a URL
            href = href if href.startswith("../") else f"./{href}"
            about = {"title": title, "type": media_type, "roles": list(roles), "file:size": file.stat().st_size}
            assets[key] = {"href": href, **about, **(_raster(file) if media_type == _COG else {})}
    assets["labels"]["classification:classes"] = _classes(StandingClasses.of(product), assets["labels"]["nodata"])
    return assets


def _raster(file: Path) -> dict[str, Any]:
    """Data type, nodata value and resolution of a raster's one band."""
    try:
        with quiet(), rasterio.open(file) as raster:
            place = Georeference(raster.shape, raster.transform, raster.crs)
            known = {"data_type": raster.dtypes[0], "nodata": int(raster.nodata)}
    except rasterio.errors.RasterioError as error:
        raise ProductError(f"{file} cannot be read ({error}); make the product again") from error
    projected = place.crs is not None and place.crs.is_projected
    unit = place.crs.linear_units_factor[1] if projected else None
    along = (place.transform.a, place.transform.d)
    metres = {"raster:spatial_resolution": unit * (along[0] ** 2 + along[1] ** 2) ** 0.5} if unit else {}
    return {**known, "raster:sampling": "area", **metres}


def _classes(classes: StandingClasses, uncovered: int) -> list[dict[str, Any]]:
    """The fields of the classification extension; names are cut down to letters, digits, - and _ as it wants."""
    fields, taken = [], {"uncovered"}
    for class_id, title, colour in zip(classes.ids, classes.names, classes.colours, strict=True):
        name = re.sub("[^0-9A-Za-z_-]+", "-", title).strip("-") or f"class-{class_id}"
        while name in taken:
            name = f"{name}-{class_id}"
        taken.add(name)
        hint = colour.lstrip("#").upper()
        fields.append({"value": class_id, "name": name, "title": title, "description": title, "color_hint": hint})
    nobody = {"value": uncovered, "name": "uncovered", "title": "uncovered", "description": "No object", "nodata": True}
    return [*fields, nobody]
