"""STAC items, read back by pystac; and footprints, against points that are known to lie in the raster."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.crs import CRS

from geoalps.errors import GeoalpsWarning, OptionError, ProductError
from geoalps.io.class_table import ClassEntry
from geoalps.io.exports import write_stac
from geoalps.io.exports.footprint import Footprint
from geoalps.io.product import Product
from geoalps.io.rasters import Georeference
from geoalps.labeling.relabelling import relabel


def written(product, path, **options):
    """The item, and what pystac makes of it; its fields keep STAC's own schema."""
    write_stac(product, path, **options)
    content = json.loads(path.read_text())
    # what pystac brings along needs no network; the schemas of extensions do
    JsonSchemaSTACValidator().validate_core(content, pystac.STACObjectType.ITEM, "1.1.0")
    return content, pystac.Item.from_file(str(path))


@pytest.fixture
def georeferenced(anywhere):
    """A product that lies somewhere on Earth."""
    if anywhere.product.run()["scene"]["crs"] is None:
        pytest.skip("lies nowhere: see the test of that")
    return anywhere


def test_the_item_lies_where_the_scene_does(georeferenced, tmp_path):
    _, item = written(georeferenced.product, tmp_path / "item.json")
    with rasterio.open(georeferenced.scene) as file:
        place, crs, shape = file.transform, file.crs, file.shape
    outline = shapely.from_geojson(json.dumps(item.geometry))
    assert outline.is_valid
    assert shapely.is_ccw(outline.exterior)
    assert item.bbox == pytest.approx(outline.bounds)
    to_earth = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner = shapely.Point(to_earth.transform(*(place @ (right * shape[1], down * shape[0]))))
        assert shapely.distance(corner, outline.exterior) < 1e-8


def test_the_projection_is_that_of_the_scene(georeferenced, tmp_path):
    _, item = written(georeferenced.product, tmp_path / "item.json")
    with rasterio.open(georeferenced.scene) as file:
        projection = ProjectionExtension.ext(item)
        assert projection.shape == list(file.shape)
        assert projection.transform == pytest.approx(list(file.transform)[:6])
        assert projection.epsg == file.crs.to_epsg()
        for crs in (projection.wkt2, projection.projjson):
            assert pyproj.CRS(crs).equals(pyproj.CRS(file.crs.to_wkt()), ignore_axis_order=True)


def test_without_a_reference_system_the_geometry_is_null(finished, tmp_path):
    product = Product(shutil.copytree(finished.product.path, tmp_path / "product"))
    content = json.loads((product.path / "run.json").read_text())
    mars = (
        'GEOGCRS["Mars",DATUM["D",ELLIPSOID["M",3396190,169.894]],CS[ellipsoidal,2],AXIS["lat",north],AXIS["lon",east],\
ANGLEUNIT["degree",0.0174532925199433]]'
    )
    for crs in (
        None,
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],UNIT["metre",1]]',
        mars,
    ):
        content["scene"]["crs"] = crs
        (product.path / "run.json").write_text(json.dumps(content))
        with pytest.warns(GeoalpsWarning, match="no CRS that is tied to the Earth: the item's geometry is null"):
            found, item = written(product, tmp_path / "item.json", overwrite=True)
        assert (found["geometry"], "bbox" in found) == (None, False)
        assert item.properties["proj:code"] is None
        assert item.properties["proj:shape"] == [200, 230]


def test_assets_are_the_files_of_the_product(finished, tmp_path):
    for path in (tmp_path / "deep" / "er" / "item.json", finished.product.path / "stac-item.json"):
        content, item = written(finished.product, path)
        path.unlink()
        files = {}
        for key, asset in item.assets.items():
            assert not content["assets"][key]["href"].startswith("/")
            file = Path(asset.get_absolute_href())
            files[file.name] = asset
            assert file.parent.samefile(finished.product.path)
            assert FileExtension.ext(asset).size == file.stat().st_size
            assert asset.roles
        assert {"labels.tif", "objects.tif", "labels.gpkg", "classes.json", "classes.npz", "run.json"} <= set(files)
        assert files["labels.tif"].media_type == pystac.MediaType.COG
        assert files["labels.gpkg"].media_type == pystac.MediaType.GEOPACKAGE
        for name in ("labels.tif", "objects.tif"):
            with rasterio.open(finished.product.path / name) as file:
                fields = files[name].extra_fields
                assert (fields["data_type"], fields["nodata"]) == (file.dtypes[0], file.nodata)
                assert fields["raster:spatial_resolution"] == pytest.approx(file.res[0])


def test_classes_have_values_names_and_colours(finished, tmp_path):
    product = Product(shutil.copytree(finished.product.path, tmp_path / "product"))
    names = ["Dächer, rot", "D-cher-rot", "roof", "???", "uncovered"]
    relabel(product, [ClassEntry(i, names[i], f"#a{i}ff00", 0 if i == 2 else None) for i in range(5)])
    _, item = written(product, tmp_path / "item.json")
    classes = ClassificationExtension.ext(item.assets["labels"]).classes
    assert [c.value for c in classes] == [0, 1, 3, 4, 255]
    assert [c.name for c in classes] == ["D-cher-rot", "D-cher-rot-1", "class-3", "uncovered-4", "uncovered"]
    assert [c.color_hint for c in classes[:-1]] == ["A0FF00", "A1FF00", "A3FF00", "A4FF00"]
    assert [c.to_dict().get("nodata") for c in classes] == [None] * 4 + [True]
    assert [c.to_dict()["title"] for c in classes[:-1]] == [names[i] for i in (0, 1, 3, 4)]


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ("2026-03-01T10:15:00Z", ("2026-03-01T10:15:00Z", None, None)),
        ("2026-03-01T10:15:00.25+02:00", ("2026-03-01T08:15:00Z", None, None)),
        ("2026-03-01", ("2026-03-01T00:00:00Z", None, None)),
        ("2026-03-01/2026-04-01T12:00:00Z", (None, "2026-03-01T00:00:00Z", "2026-04-01T12:00:00Z")),
    ],
)
def test_the_time_is_that_of_the_scene(finished, tmp_path, when, wanted):
    content, item = written(finished.product, tmp_path / "item.json", when=when, item_id="mine")
    fields = ("datetime", "start_datetime", "end_datetime")
    assert tuple(content["properties"].get(field) for field in fields) == wanted
    assert item.id == "mine"


def test_else_it_is_when_the_product_was_finished(finished, tmp_path):
    product = Product(shutil.copytree(finished.product.path, tmp_path / "product"))
    os.utime(product.path / "run.json", (1_700_000_000,) * 2)
    _, item = written(product, tmp_path / "item.json")
    assert item.datetime == item.common_metadata.created == datetime.fromtimestamp(1_700_000_000, UTC)
    assert item.id == "product"


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("yesterday", "'yesterday' is no time; write it like"),
        ("2026-02-30", "'2026-02-30' is no time"),
        ("2026-03-01/", "'' is no time"),
        ("2026-03-01/2026-02-01", "ends before it begins"),
        ("2026-03-01/2026-04-01/2026-05-01", "'2026-04-01/2026-05-01' is no time"),
    ],
)
def test_what_is_no_time_is_refused(finished, tmp_path, when, message):
    with pytest.raises(OptionError, match=message):
        write_stac(finished.product, tmp_path / "new" / "item.json", when=when)
    assert not (tmp_path / "new").exists()


def test_what_is_there_stays_unless_it_is_to_be_replaced(finished, tmp_path):
    write_stac(finished.product, tmp_path / "item.json", item_id="one")
    with pytest.raises(ProductError, match=r"item\.json exists; use --overwrite"):
        write_stac(finished.product, tmp_path / "item.json", item_id="two")
    with pytest.raises(ProductError, match="is part of the product"):
        write_stac(finished.product, finished.product.path / "run.json", overwrite=True)
    write_stac(finished.product, tmp_path / "item.json", item_id="two", overwrite=True)
    assert pystac.Item.from_file(str(tmp_path / "item.json")).id == "two"


ODD_PLACES = {
    "across the 180th meridian": (3832, Affine(1000, 0, 3_300_000, 0, -1000, 500_000), (400, 900)),
    "degrees beyond 180": (4326, Affine(0.1, 0, 170, 0, -0.1, 50), (100, 200)),
    "from 0 to 360 degrees": (4326, Affine(1, 0, 200, 0, -1, 50), (30, 90)),
    "the north pole": (3995, Affine(10_000, 0, -1e6, 0, -10_000, 1.5e6), (250, 260)),
    "the south pole": (3031, Affine(10_000, 0, -1e6, 0, -10_000, 1.5e6), (250, 260)),
    "the south pole, rotated": (3031, Affine.translation(1e5, -2e5) @ Affine.rotation(33) @ Affine.scale(9000) @
                                Affine.translation(-100, -100), (200, 200)),
    "beside the pole": (3995, Affine(1000, 0, 1e5, 0, -1000, -1e5), (150, 260)),
    "south up": (32719, Affine(10, 0, 500_000, 0, 10, 7_000_000), (300, 200)),
}  # fmt: skip


@pytest.mark.parametrize("where", ODD_PLACES)
def test_a_footprint_holds_the_raster_and_nothing_else(where):
    code, place, (height, width) = ODD_PLACES[where]
    crs = CRS.from_epsg(code)
    found = Footprint.of(Georeference((height, width), place, crs))
    outline = shapely.from_geojson(json.dumps(found.geometry))
    assert outline.is_valid
    bounds = outline.bounds
    assert -180 <= bounds[0] <= bounds[2] <= 180
    assert -90 <= bounds[1] <= bounds[3] <= 90
    rng = np.random.default_rng(0)
    rows, cols = rng.uniform(-height, 2 * height, 3000), rng.uniform(-width, 2 * width, 3000)
    x, y = (place.a * cols + place.b * rows + place.c, place.d * cols + place.e * rows + place.f)
    lon, lat = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    known = np.isfinite(lon) & np.isfinite(lat)
    if crs.is_geographic:
        known &= (abs(lon - place.c) < 360) & (abs(lat) <= 90)
    lon = (lon + 180) % 360 - 180
    inside = (rows > 0) & (rows < height) & (cols > 0) & (cols < width)
    # the outline is one of straight pieces: a point right beside it may lie on either side
    near = (abs(rows / height - 0.5) - 0.5).clip(-1) ** 2 < 1e-4
    near |= (abs(cols / width - 0.5) - 0.5).clip(-1) ** 2 < 1e-4
    sure = known & ~near
    holds = shapely.contains_xy(outline, lon, lat)
    assert sure.sum() > 500
    assert (holds[sure] == inside[sure]).all()
    west, south, east, north = found.bbox
    within = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    within &= (lat >= south) & (lat <= north)
    assert within[sure & inside].all()
    assert (west > east) == (where in ("across the 180th meridian", "degrees beyond 180"))
