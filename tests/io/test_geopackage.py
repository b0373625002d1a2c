import sqlite3
import warnings
import xml.etree.ElementTree as ET
from datetime import datetime

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import shapely
from rasterio.crs import CRS

from geoalps.errors import OptionError, ProductError
from geoalps.io.geopackage import ClassRow, write_geopackage
from geoalps.io.palettes import hex_colour, palette
from geoalps.io.style import category_names_pam, qml, raster_qml, sld

UTM = CRS.from_epsg(32631)
NAMES = ["water", 'roof <"red"> & grey', "Bäume"]
COLOURS = [hex_colour(colour) for colour in palette(3)]


def make_objects(n=30):
    """Ids 1..n, squares of which every third has two parts, their attributes and classes."""
    geometries = np.array([shapely.box(10.0 * i, 5, 10 * i + 4, 9) for i in range(n)], object)
    for i in range(0, n, 3):
        geometries[i] = shapely.MultiPolygon([geometries[i], shapely.box(10 * i, 20, 10 * i + 1, 21)])
    ids = np.arange(n + 1)
    class_id = (ids % 3).astype(np.uint8)
    area = np.r_[0, shapely.area(geometries)]
    attributes = {"class_id": class_id, "score": ids / (n + 1), "confidence": 1 - ids / (n + 1), "area_m2": area}
    classes = [
        ClassRow(i, NAMES[i], COLOURS[i], int((class_id[1:] == i).sum()), float(area[class_id == i].sum()))
        for i in range(3)
    ]
    return ids[1:].astype(np.uint32), geometries, attributes, classes


def cut(ids, geometries, size):
    return ((ids[i : i + size], geometries[i : i + size]) for i in range(0, len(ids), size))


def query(path, sql):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return database.execute(sql).fetchall()


def read(path, layer="objects"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return geopandas.read_file(path, layer=layer)


@pytest.fixture
def product(tmp_path):
    ids, geometries, attributes, classes = make_objects()
    path = tmp_path / "labels.gpkg"
    assert write_geopackage(path, cut(ids, geometries, 7), attributes, classes, UTM, total=len(ids)) == len(ids)
    return path


def test_what_was_written_is_read_back(product):
    ids, geometries, attributes, _ = make_objects()
    frame = read(product)
    assert list(frame.columns) == ["object_id", "class_id", "class_name", "score", "confidence", "area_m2", "geometry"]
    assert frame.crs.to_epsg() == 32631
    assert frame.object_id.tolist() == ids.tolist()
    assert (frame.geom_type == "MultiPolygon").all()
    assert shapely.equals(frame.geometry.to_numpy(), geometries).all()
    for name, column in attributes.items():
        assert (frame[name] == column[1:]).all()
    assert frame.class_name.tolist() == [NAMES[i] for i in frame.class_id]


def test_batches_leave_no_trace(tmp_path, product):
    ids, geometries, attributes, classes = make_objects()
    write_geopackage(tmp_path / "one.gpkg", [(ids, geometries)], attributes, classes, UTM)
    sql = "SELECT * FROM objects"
    assert query(product, sql) == query(tmp_path / "one.gpkg", sql)


def test_contents_extent_count_and_index_are_those_of_the_objects(product):
    ids, geometries, _, _ = make_objects()
    rows = query(product, "SELECT data_type, min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name='objects'")
    assert rows == [("features", *shapely.total_bounds(geometries))]
    assert query(product, "SELECT geometry_type_name FROM gpkg_geometry_columns") == [("MULTIPOLYGON",)]
    assert query(product, "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name='objects'") == [(len(ids),)]
    boxes = query(product, "SELECT minx, miny, maxx, maxy FROM rtree_objects_geom ORDER BY id")
    assert np.allclose(boxes, shapely.bounds(geometries))
    found = pyogrio.read_dataframe(product, layer="objects", bbox=(11, 6, 12, 7))
    assert found.object_id.tolist() == [2]


def test_tables_are_registered_with_a_time_that_gdal_accepts(product):
    rows = dict(query(product, "SELECT table_name, data_type FROM gpkg_contents"))
    assert rows == {"objects": "features", "classes": "attributes", "layer_styles": "attributes"}
    times = query(product, "SELECT last_change FROM gpkg_contents UNION ALL SELECT update_time FROM layer_styles")
    for (text,) in times:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    assert sorted(name for name, _ in pyogrio.list_layers(product)) == ["classes", "layer_styles", "objects"]
    assert read(product, "layer_styles").f_table_name.tolist() == ["objects"]


def test_sqlite_finds_no_fault_and_nothing_is_left_beside_the_file(product):
    assert query(product, "PRAGMA integrity_check") == [("ok",)]
    assert query(product, "PRAGMA foreign_key_check") == []
    assert query(product, "PRAGMA journal_mode") == [("delete",)]
    assert [path.name for path in product.parent.iterdir()] == ["labels.gpkg"]


def test_classes_and_default_style_share_names_and_colours(product):
    table = read(product, "classes")
    assert table.class_id.tolist() == [0, 1, 2]
    assert table.object_count.sum() == 30
    ((style, default, column),) = query(product, "SELECT styleQML, useAsDefault, f_geometry_column FROM layer_styles")
    assert (default, column) == (1, "geom")
    assert legend(style) == {row.class_id: (row.class_name, row.colour) for row in table.itertuples()}


def parse(text):
    return ET.fromstring(text.encode())  # noqa: S314 - our own


def legend(text):
    renderer = parse(text).find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class_id")
    fills = {}
    for symbol in renderer.iterfind("symbols/symbol"):
        numbers = symbol.find(".//Option[@name='color']").get("value").split(",")
        fills[symbol.get("name")] = hex_colour([int(v) for v in numbers[:3]])
    found = renderer.findall("categories/category")
    return {int(c.get("value")): (c.get("label"), fills[c.get("symbol")]) for c in found}


@pytest.mark.parametrize(
    "crs",
    [
        CRS.from_epsg(4326),
        CRS.from_epsg(2263),
        CRS.from_user_input("ESRI:54009"),
        CRS.from_proj4("+proj=laea +lat_0=51.3 +lon_0=7.7 +x_0=1000 +datum=WGS84 +units=m"),
    ],
    ids=["degrees", "feet", "esri", "no code"],
)
def test_reference_systems_survive(tmp_path, crs):
    ids, geometries, attributes, classes = make_objects(3)
    write_geopackage(tmp_path / "labels.gpkg", [(ids, geometries)], attributes, classes, crs)
    got = CRS.from_wkt(read(tmp_path / "labels.gpkg").crs.to_wkt())
    assert got.to_dict() == crs.to_dict() != {}


def test_no_reference_system_stays_none_without_a_warning(tmp_path):
    ids, geometries, attributes, classes = make_objects(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_geopackage(tmp_path / "labels.gpkg", [(ids, geometries)], attributes, classes, None)
    (name,) = query(
        tmp_path / "labels.gpkg",
        "SELECT srs_name FROM gpkg_contents JOIN gpkg_spatial_ref_sys USING (srs_id) WHERE table_name='objects'",
    )
    assert "undefined" in name[0].lower()


@pytest.mark.parametrize("batches", [[], [(np.zeros(0, np.uint32), np.zeros(0, object))]], ids=["none", "empty"])
def test_no_objects_make_a_file_like_any_other(tmp_path, product, batches):
    _, _, attributes, classes = make_objects()
    path = tmp_path / "empty.gpkg"
    assert write_geopackage(path, batches, attributes, classes, UTM, total=0) == 0
    for table in ("objects", "classes", "layer_styles"):
        sql = f"SELECT name, type FROM pragma_table_info('{table}')"  # noqa: S608
        assert query(path, sql) == query(product, sql)
    sql = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY name"
    assert query(path, sql) == query(product, sql)
    assert len(read(path)) == 0


def test_no_classes_and_unknown_numbers(tmp_path):
    path = tmp_path / "labels.gpkg"
    write_geopackage(path, [], {}, [], None)
    ((style,),) = query(path, "SELECT styleQML FROM layer_styles")
    assert legend(style) == {}
    ids, geometries, attributes, classes = make_objects(3)
    attributes["confidence"][2] = np.nan
    write_geopackage(path, [(ids, geometries)], attributes, classes, None)
    assert [v is None for (v,) in query(path, "SELECT confidence FROM objects")] == [False, True, False]


@pytest.mark.parametrize("error", [ValueError("damaged"), OSError("unreadable"), KeyboardInterrupt()])
def test_an_error_on_the_way_is_the_callers_and_leaves_the_old_file(product, error):
    ids, geometries, attributes, classes = make_objects()
    before = product.read_bytes()

    def batches():
        yield ids, geometries
        raise error

    with pytest.raises(type(error)) as caught:
        write_geopackage(product, batches(), attributes, classes, UTM)
    assert caught.value is error
    assert [path.name for path in product.parent.iterdir()] == ["labels.gpkg"]
    assert product.read_bytes() == before


def test_objects_that_do_not_arrive_are_missed(tmp_path):
    ids, geometries, attributes, classes = make_objects()
    with pytest.raises(ProductError, match="30 of 31 objects"):
        write_geopackage(tmp_path / "labels.gpkg", [(ids, geometries)], attributes, classes, UTM, total=31)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_gdal_drops_silently_are_missed(tmp_path, monkeypatch):
    ids, geometries, attributes, classes = make_objects()
    honest = pyogrio.write_arrow

    def drop(reader, *args, **kwargs):
        honest(reader.read_all().slice(1), *args, **kwargs)

    monkeypatch.setattr(pyogrio, "write_arrow", drop)
    with pytest.raises(ProductError, match="29 of 30"):
        write_geopackage(tmp_path / "labels.gpkg", [(ids, geometries)], attributes, classes, UTM)
    assert list(tmp_path.iterdir()) == []


def test_classes_must_be_known_and_differ(tmp_path):
    ids, geometries, attributes, classes = make_objects()
    with pytest.raises(OptionError, match="class 2"):
        write_geopackage(tmp_path / "a.gpkg", [(ids, geometries)], attributes, classes[:2], UTM)
    for twin in (ClassRow(2, NAMES[0], "#000000", 0, 0.0), ClassRow(0, "other", "#000000", 0, 0.0)):
        with pytest.raises(OptionError, match="each needs its own"):
            write_geopackage(tmp_path / "a.gpkg", [], attributes, [*classes[:2], twin], UTM)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ProductError, match=r"cannot write .*missing"):
        write_geopackage(tmp_path / "missing" / "labels.gpkg", [], {}, [], None)


@pytest.fixture
def room():
    """Limits how large a file may grow, as a full disk does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [20_000, 150_000, 400_000])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, room, size):
    ids, geometries, attributes, classes = make_objects(3000)
    room(size)
    with pytest.raises(ProductError, match="cannot write"):
        write_geopackage(tmp_path / "labels.gpkg", cut(ids, geometries, 1000), attributes, classes, UTM)
    assert list(tmp_path.iterdir()) == []


def test_palette_is_stable_distinct_and_says_what_it_allows():
    every = palette(65535)
    assert len(np.unique(every, axis=0)) == 65535
    for k in (0, 1, 7, 20, 21, 256, 257):
        assert (palette(k) == every[:k]).all()
    with pytest.raises(OptionError, match="65536"):
        palette(65536)


XYZ_OF_RGB = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
LMS_OF_XYZ = [
    [0.8189330101, 0.3618667424, -0.1288597137],
    [0.0329845436, 0.9293118715, 0.0361456387],
    [0.0482003018, 0.2643662691, 0.6338517070],
]
LAB_OF_LMS = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def oklab_by_definition(colours):
    """OKLab through XYZ, as its author defines it."""
    value = colours / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lms = linear @ np.transpose(XYZ_OF_RGB) @ np.transpose(LMS_OF_XYZ)
    return np.cbrt(lms) @ np.transpose(LAB_OF_LMS)


@pytest.mark.parametrize(("k", "least"), [(8, 0.18), (20, 0.12), (64, 0.08), (256, 0.045)])
def test_palette_colours_can_be_told_apart(k, least):
    lab = oklab_by_definition(palette(k))
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1)[~np.eye(k, dtype=bool)]
    assert apart.min() > least
    assert lab[:, 0].min() > 0.35
    assert lab[:, 0].max() < 0.97


def test_first_colours_can_be_told_apart_without_red_or_green_cones():
    linear = ((palette(8) / 255 + 0.055) / 1.055) ** 2.4
    for cones in ([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
                  [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]):  # fmt: skip
        seen = np.clip(linear @ np.transpose(cones), 0, 1) ** (1 / 2.4) * 1.055 - 0.055
        lab = oklab_by_definition(np.clip(seen, 0, 1) * 255)
        assert np.linalg.norm(lab[:, None] - lab, axis=-1)[~np.eye(8, dtype=bool)].min() > 0.1


@pytest.mark.parametrize("text", ["red", "#12345", "#1234567", "#12345g"])
def test_colours_that_are_none_are_refused(text):
    with pytest.raises(OptionError, match="#rrggbb"):
        qml([ClassRow(0, "a", text, 0, 0.0)])


def test_names_reach_every_style_whole():
    rows = [ClassRow(0, NAMES[1], "#102030", 1, 1.0), ClassRow(3, "bell\x07", "#a0b0c0", 1, 1.0)]
    assert legend(qml(rows)) == {0: (NAMES[1], "#102030"), 3: ("bell\ufffd", "#a0b0c0")}
    spaces = {"se": "http://www.opengis.net/se", "ogc": "http://www.opengis.net/ogc"}
    rules = parse(sld(rows)).findall(".//se:Rule", spaces)
    assert [rule.find("se:Name", spaces).text for rule in rules] == [NAMES[1], "bell\ufffd"]
    assert [rule.find(".//ogc:Literal", spaces).text for rule in rules] == ["0", "3"]
    assert [rule.find("se:PolygonSymbolizer/se:Fill/se:SvgParameter", spaces).text for rule in rules] == [
        "#102030",
        "#a0b0c0",
    ]
    entries = parse(raster_qml(rows)).findall("pipe/rasterrenderer[@type='paletted']/colorPalette/paletteEntry")
    assert [(entry.get("value"), entry.get("label"), entry.get("color")) for entry in entries] == [
        ("0", NAMES[1], "#102030"),
        ("3", "bell\ufffd", "#a0b0c0"),
    ]
    listed = parse(category_names_pam(rows)).findall("PAMRasterBand[@band='1']/CategoryNames/Category")
    assert [category.text or "" for category in listed] == [NAMES[1], "", "", "bell\ufffd"]


def test_gdal_takes_the_side_file_for_the_raster(tmp_path):
    path = tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 2, "height": 2}
    with rasterio.open(path, "w", **profile, crs=UTM, transform=rasterio.Affine(2, 0, 0, 0, -2, 0)):
        pass
    side = tmp_path / "labels.tif.aux.xml"
    side.write_text(category_names_pam([ClassRow(0, NAMES[1], "#000000", 0, 0.0)]), encoding="utf-8")
    with rasterio.open(path) as source:
        assert str(side) in source.files
    rasterio.shutil.copy(path, tmp_path / "copy.tif", driver="GTiff")
    names = parse((tmp_path / "copy.tif.aux.xml").read_text(encoding="utf-8")).findall(".//Category")
    assert [name.text for name in names] == [NAMES[1]]
