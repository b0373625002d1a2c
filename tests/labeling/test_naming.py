"""Names of classes from labelled places."""

import json

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin

from geoalps.errors import OptionError, SceneError
from geoalps.io.class_table import ClassEntry, check_entries
from geoalps.io.product import FILES
from geoalps.labeling import naming
from geoalps.labeling.naming import Evidence, name_from

PLACE = {"crs": CRS.from_epsg(32633), "transform": from_origin(500_000, 5_000_400, 2, 2)}
STRIPE = 20
"""Columns of each class."""


class Model:
    """A class model of which only the classes matter."""

    def __init__(self, entries):
        self.classes = entries

    def load(self, _folder):
        return self


def product_of(folder, monkeypatch, names, merged=None, **place):
    """Stripes of classes, the last ten rows without a label; merged ones are shown as what took them."""
    into = [(merged or {}).get(number) for number in range(len(names))]
    entries = [ClassEntry(i, name, f"#{i:06x}", into[i]) for i, name in enumerate(names)]
    monkeypatch.setattr(naming, "ClassModel", Model(tuple(entries)))
    shown = np.array([i if target is None else target for i, target in enumerate(into)], np.uint8)
    labels = np.repeat(shown, STRIPE)[None].repeat(40, 0)
    labels[30:] = 255
    folder.mkdir()
    profile = {"driver": "GTiff", "height": 40, "width": labels.shape[1], "count": 1, "nodata": 255, **PLACE, **place}
    with rasterio.open(folder / "labels.tif", "w", dtype="uint8", **profile) as file:
        file.write(labels, 1)
    for name in FILES:
        (folder / name).touch()
    (folder / "run.json").write_text(json.dumps({"counts": {"objects": len(names)}}))
    return folder


def box(col0, cols, row0=2, rows=10):
    """A box of pixels in map coordinates."""
    left, top = PLACE["transform"] @ (col0, row0)
    return shapely.box(left, top - 2 * rows, left + 2 * cols, top)


def point(col, row=20):
    return shapely.Point(PLACE["transform"] @ (col + 0.5, row + 0.5))


def places(path, *labelled, crs=PLACE["crs"]):
    """(label, geometry) pairs as a file."""
    labels, shapes = zip(*labelled, strict=True)
    geopandas.GeoDataFrame({"what": labels}, geometry=list(shapes), crs=PLACE["crs"]).to_crs(crs).to_file(path)
    return path


def nearly(share):
    """On the map's own ground a pixel is as large as the next one, but for the ellipsoid."""
    return pytest.approx(share, rel=1e-4)


def metres(pixels):
    """Square metres of pixels: on the central meridian a map of this kind is too small by .9996 on each side."""
    return pytest.approx(pixels * 4 / 0.9996**2, rel=1e-5)


@pytest.mark.parametrize("crs", [32633, 4326])
def test_a_class_is_named_after_most_of_its_labelled_area(tmp_path, monkeypatch, crs):
    out = product_of(tmp_path / "out", monkeypatch, ["class 0", "class 1", "old", "class 3"])
    labels = places(
        tmp_path / "t.gpkg",
        ("water", box(2, 10)), ("water", box(15, 5 + 8)), ("grass", box(28, 12)),
        ("tree", point(21)), ("tree", point(65)), ("tree", point(66)), ("road", point(70)),
        ("road", box(42, 5, row0=32, rows=5)),
        crs=crs,
    )  # fmt: skip
    found = name_from(out, labels, "what")
    assert found.evidence == (
        Evidence(0, "class 0", "water", 1.0, metres(150), 2, None, 0.0),
        Evidence(1, "class 1", "grass", nearly(120 / 201), metres(201), 3, "water", nearly(80 / 201)),
        Evidence(2, "old", None, pytest.approx(float("nan"), nan_ok=True), 0, 0, None, 0.0),
        Evidence(3, "class 3", "tree", nearly(2 / 3), metres(3), 3, "road", nearly(1 / 3)),
    )
    assert [(entry.class_id, entry.class_name, entry.colour, entry.merge_into) for entry in found.entries] == [
        (0, "water", "#000000", None), (1, "grass", "#000001", None), (2, "old", "#000002", None),
        (3, "tree", "#000003", None),
    ]  # fmt: skip
    assert (found.unused, found.unit) == ({"road": metres(1)}, "m2")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["evidence"][2]["share"] is None


def test_on_a_grid_of_degrees_a_pixel_weighs_its_area(tmp_path, monkeypatch):
    monkeypatch.setattr(naming, "WINDOW", 16)
    degrees = {"crs": CRS.from_epsg(4326), "transform": from_origin(10, 80, 2, 2)}
    out = product_of(tmp_path / "out", monkeypatch, ["class 0", "class 1"], **degrees)
    # 84 pixels far north, and 60 that are larger
    boxes = {"north": (14, 66, 38, 80), "south": (14, 22, 38, 32)}
    shapes = [shapely.box(*bounds) for bounds in boxes.values()]
    geopandas.GeoDataFrame({"what": list(boxes)}, geometry=shapes, crs=4326).to_file(tmp_path / "t.gpkg")
    # a map that keeps areas, on which parallels and meridians are straight
    equal = pyproj.Transformer.from_crs(4326, "+proj=cea +ellps=WGS84", always_xy=True)
    corners = [equal.transform(west, south) + equal.transform(east, north) for west, south, east, north in
               boxes.values()]  # fmt: skip
    north, south = (shapely.box(*bounds).area for bounds in corners)
    row = name_from(out, tmp_path / "t.gpkg", "what").evidence[0]
    assert (row.proposed, row.runner_up, row.places) == ("south", "north", 2)
    assert row.area_m2 == pytest.approx(north + south, rel=1e-3)
    assert row.share == pytest.approx(south / (north + south), rel=1e-3)


def test_without_a_reference_system_areas_are_pixels(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["class 0", "class 1"], crs=None)
    table = geopandas.GeoDataFrame({"what": ["b", "a", "c"]}, geometry=[box(2, 3), box(8, 3), box(18, 1)], crs=None)
    table.to_file(tmp_path / "t.gpkg")
    found = name_from(out, tmp_path / "t.gpkg", "what")
    assert found.evidence[0] == Evidence(0, "class 0", "a", 30 / 70, 70, 3, "b", 30 / 70)
    assert (found.unused, found.unit) == ({"b": 30, "c": 10}, "pixels")


def test_points_of_one_map_count_alike(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["a", "b"])
    for which, name in enumerate(("west.gpkg", "east.gpkg")):  # whichever of the pixels are a little smaller
        labels = ["water", "water", "water", "grass", "grass"][:: 1 - 2 * which]
        path = places(tmp_path / name, *((label, point(col)) for col, label in enumerate(labels, 3)))
        assert name_from(out, path, "what", min_share=0.6).entries[0].class_name == "water"
        assert name_from(out, path, "what", min_share=0.61).entries[0].class_name == "a"


def test_classes_of_one_name_are_merged_into_the_one_with_most_evidence(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["a", "b", "c", "water 2"])
    labels = places(tmp_path / "t.gpkg", ("water", point(3)), ("water", box(22, 9)), ("water", box(42, 5)))
    merged = name_from(out, labels, "what").entries
    assert [(entry.class_name, entry.merge_into) for entry in merged] == [
        ("a", 1), ("water", None), ("c", 1), ("water 2", None),
    ]  # fmt: skip
    apart = name_from(out, labels, "what", keep_apart=True).entries
    assert [entry.class_name for entry in apart] == ["water 4", "water", "water 3", "water 2"]
    assert not any(entry.merge_into for entry in apart)


def test_a_class_that_has_the_name_already_is_merged_too(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["water", "class 1"])
    found = name_from(out, places(tmp_path / "t.gpkg", ("water", box(22, 9))), "what").entries
    assert [(entry.class_name, entry.merge_into) for entry in found] == [("water", 1), ("water", None)]


def test_names_can_be_swapped(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["water", "grass"])
    labels = places(tmp_path / "t.gpkg", ("grass", box(2, 9)), ("water", box(22, 9)))
    found = name_from(out, labels, "what").entries
    assert [(entry.class_name, entry.merge_into) for entry in found] == [("grass", None), ("water", None)]


def test_what_was_merged_goes_on_with_what_took_it(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["a", "b", "c"], {0: 1})
    labels = places(tmp_path / "t.gpkg", ("water", box(2, 9)), ("water", box(42, 15)))
    found = name_from(out, labels, "what")
    assert [row.class_id for row in found.evidence] == [1, 2]
    assert [(entry.class_name, entry.merge_into) for entry in found.entries] == [("a", 2), ("b", 2), ("water", None)]


def test_too_little_evidence_names_nothing(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["a", "b"])
    labels = places(tmp_path / "t.gpkg", ("water", point(3)), ("water", point(4)), ("grass", point(5)))
    found = name_from(out, labels, "what", min_share=0.7)
    assert [entry.class_name for entry in found.entries] == ["a", "b"]
    assert (found.evidence[0].proposed, found.evidence[0].share) == (None, nearly(2 / 3))
    assert found.unused == {"water": metres(2), "grass": metres(1)}
    with pytest.raises(OptionError, match="min_share is 7; allowed is 0 to 1"):
        name_from(out, labels, "what", min_share=7)


def test_labels_that_name_nothing_are_refused(tmp_path, monkeypatch):
    out = product_of(tmp_path / "out", monkeypatch, ["a", "b"])
    with pytest.raises(OptionError, match=r"no label of .* lies on a class"):
        name_from(out, places(tmp_path / "t.gpkg", ("water", point(3, 35))), "what")
    with pytest.raises(OptionError, match="no field 'kind'; its fields are what"):
        name_from(out, tmp_path / "t.gpkg", "kind")
    with pytest.raises(SceneError, match="does not overlap"):
        name_from(out, places(tmp_path / "u.gpkg", ("water", point(9000))), "what")


NAMES = ["a", "b", "a 2", "class 1"]


@given(st.data())
def test_the_classes_proposed_always_make_a_table(data):
    count = data.draw(st.integers(1, 7))
    standing = [data.draw(st.booleans()) or number == 0 for number in range(count)]
    into = [None if stands else 0 for stands in standing]
    before = [ClassEntry(i, f"class {i}" if data.draw(st.booleans()) else f"{i}", "#000000", into[i])
              for i in range(count)]  # fmt: skip
    rows = []
    for entry in before:
        proposed = data.draw(st.sampled_from([None, *NAMES]))
        area = data.draw(st.integers(1, 3)) if proposed else 0
        if entry.merge_into is None:
            rows.append(Evidence(entry.class_id, entry.class_name, proposed, 1.0, area, 1, None, 0.0))
    wanted = {row.class_id: row.proposed or row.before for row in rows}
    for keep_apart in (False, True):
        after = naming._entries(before, rows, keep_apart)
        check_entries(after, count)
        for entry in after:
            if entry.class_id not in wanted:
                assert entry.merge_into is not None
            elif keep_apart:
                assert entry.merge_into is None
                assert entry.class_name.startswith(wanted[entry.class_id])
            else:
                shown = after[entry.class_id if entry.merge_into is None else entry.merge_into]
                assert shown.class_name == wanted[entry.class_id]
