"""Pictures of a product: the interactive map and the plot, against the rasters and pyproj."""

import json
import re
import sys

import matplotlib as mpl
import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib.colors import to_rgb
from pyproj import Transformer

from geoalps.errors import OptionError, PluginError, ProductError
from geoalps.io.interactive import _Sheet, explore
from geoalps.io.plotting import plot

mpl.use("agg")
HTTP = re.compile(r"""(?:src|href)=["'](https?://[^"']+)["']""")


def page_of(product, **options):
    return explore(product, **options).get_root().render()


def objects_in(page):
    """Properties of the objects that a page draws, in their order."""
    collections = re.findall(r'_add\((\{"features".*?\})\);\n', page)
    found = [json.loads(text)["features"] for text in collections]
    return [f["properties"] for features in found for f in features if "object_id" in f["properties"]]


def drawn(axes):
    """(height, width, 4) of what is drawn."""
    axes.figure.canvas.draw()
    return axes.images[0].get_array()


@pytest.fixture
def odd_names(finished, monkeypatch):
    """The product with class names that no page may take for its own."""
    classes = finished.product.classes()
    classes["class_name"] = ["<b>wood</b>", "{{ 7 * 7 }}", *classes.class_name[2:]]
    monkeypatch.setattr(type(finished.product), "classes", lambda _: classes)
    return finished.product


def test_the_legend_is_in_the_order_of_the_classes(finished):
    legend = page_of(finished.product).split('id="legend"')[1]
    places = [legend.index(f"background:{row.colour}") for row in finished.product.classes().itertuples()]
    assert len(places) == 5
    assert places == sorted(places)


def test_names_are_text_and_neither_html_nor_template(odd_names):
    legend = page_of(odd_names).split('id="legend"')[1].split("<small>")[0]
    assert "&lt;b&gt;wood" in legend
    assert "&#123;&#123; 7 * 7" in legend


def test_every_object_is_drawn_with_its_class(finished):
    found = {row["object_id"]: row["colour"] for row in objects_in(page_of(finished.product))}
    colours = finished.product.classes().set_index("class_id").colour
    objects = finished.product.objects()
    assert found == dict(zip(objects.object_id, objects.class_id.map(colours), strict=True))


def test_the_cap_takes_the_largest_and_the_page_says_so(finished):
    page, objects = page_of(finished.product, most=7), finished.product.objects()
    areas = objects.set_index("object_id").area_m2
    drawn_areas = sorted((areas[row["object_id"]] for row in objects_in(page)), reverse=True)
    assert drawn_areas == sorted(areas, reverse=True)[:7]
    assert f"the 7 largest of {len(objects)} objects" in page


def test_without_objects_there_is_a_map_still(empty, finished):
    assert objects_in(page_of(finished.product, most=0)) == []
    assert "0 objects" in page_of(empty.product)


def test_bounds_are_those_of_the_outline_by_pyproj(anywhere):
    with rasterio.open(anywhere.product.path / "labels.tif") as file:
        place, (height, width), crs = file.transform, file.shape, file.crs
    if crs is None:
        with pytest.raises(ProductError, match="has no CRS"):
            explore(anywhere.product)
        return
    edge = [(n / 50, side) for n in range(51) for side in (0, 1)]
    points = [place @ (width * a, height * b) for a, b in edge] + [place @ (width * b, height * a) for a, b in edge]
    to_degrees = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*np.array(points).T)
    assert np.allclose(explore(anywhere.product).get_bounds(), [[min(lat), min(lon)], [max(lat), max(lon)]], atol=2e-7)


UNSEEN = {
    "local": ('LOCAL_CS["site",UNIT["metre",1]]', Affine(1, 0, 0, 0, -1, 0)),
    "engineering": (
        'ENGCRS["a",EDATUM["x"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
        Affine(1, 0, 0, 0, -1, 0),
    ),
    "out of view": ("+proj=ortho +lat_0=45 +lon_0=10", Affine(50000, 0, -7.5e6, 0, -50000, 5e6)),
    "around the pole": ("EPSG:3031", Affine(40000, 0, -6e6, 0, -40000, 4e6)),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_no_web_map_shows_is_refused(tmp_path, name):
    crs, place = UNSEEN[name]
    profile = {"driver": "GTiff", "width": 300, "height": 200, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "labels.tif", "w", crs=crs, transform=place, **profile) as file:
        file.write(np.zeros((1, 200, 300), np.uint8))
    with pytest.raises(ProductError, match="where web maps do not reach"):
        _Sheet.of(tmp_path)


def test_the_overlay_shows_the_class_at_every_place(anywhere):
    with rasterio.open(anywhere.product.path / "labels.tif") as file:
        labels, place, crs = file.read(1), file.transform, file.crs
    if crs is None:
        pytest.skip("no CRS, so no interactive map")
    sheet, classes = _Sheet.of(anywhere.product.path), anywhere.product.classes()
    picture, colours = sheet.labels(classes), classes.set_index("class_id").colour
    (south, west), (north, east) = sheet.bounds
    rows, cols = np.mgrid[5 : labels.shape[0] - 5 : 7, 5 : labels.shape[1] - 5 : 7]
    inside = np.array(
        [len(np.unique(labels[r - 1 : r + 2, c - 1 : c + 2])) == 1 for r, c in zip(rows.flat, cols.flat, strict=True)]
    )
    x, y = place @ np.stack([cols.ravel() + 0.5, rows.ravel() + 0.5])
    lon, lat = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True).transform(x, y)
    # Leaflet stretches a picture evenly in Mercator
    mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    (left, right), (bottom, top) = mercator.transform([west, east], [south, north])
    u, v = mercator.transform(lon, lat)
    col = ((u - left) / (right - left) * picture.shape[1]).astype(int)
    row = ((top - v) / (top - bottom) * picture.shape[0]).astype(int)
    seen = picture[row, col][inside]
    wanted = labels[rows.ravel(), cols.ravel()][inside]
    assert inside.sum() > 20
    for value, pixel in zip(wanted, seen, strict=True):
        expected = (0, 0, 0, 0) if value == 255 else (*(round(255 * v) for v in to_rgb(colours[value])), 255)
        assert tuple(pixel) == expected


def test_only_leaflet_comes_from_the_network(finished):
    page = page_of(finished.product, scene=finished.scene)
    assert all(re.search(r"\.(js|css)$", url) for url in HTTP.findall(page))
    assert page.count("data:image/png;base64") == 2  # the scene and the label map
    assert "tileLayer" not in page
    assert "openstreetmap" in page_of(finished.product, tiles="OpenStreetMap").lower()


def test_without_folium_the_error_says_how_to_get_it(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "folium", None)
    with pytest.raises(PluginError, match=r'pip install "geoalps\[notebook\]"'):
        explore(finished.product)


@pytest.mark.parametrize("options", [{"opacity": -0.1}, {"opacity": 1.1}, {"most": -1}], ids=str)
def test_options_out_of_range_are_refused(finished, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        explore(finished.product, **options)


def test_plot_draws_each_pixel_in_its_classes_colour(anywhere):
    axes = plot(anywhere.product)
    classes, labels = anywhere.product.classes(), anywhere.read("labels.tif")
    picture = drawn(axes)
    for row in classes.itertuples():
        assert np.array_equal(
            (picture == [*(int(255 * v + 0.5) for v in to_rgb(row.colour)), 255]).all(-1), labels == row.class_id
        )
    assert not picture[labels == 255].any()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(classes.class_name)


def test_plot_reads_no_more_than_it_may(finished):
    picture = drawn(plot(finished.product, pixels=1000, legend=False))
    assert 500 < picture.shape[0] * picture.shape[1] <= 1100


def test_plot_shows_only_what_is_asked_for(finished):
    axes = plot(finished.product, only=[2])
    labels, picture = finished.read("labels.tif"), drawn(axes)
    others = (labels != 2) & (labels != 255)
    assert (picture[others] == [225, 225, 225, 255]).all()
    assert len(axes.get_legend().get_texts()) == 1
    with pytest.raises(OptionError, match="class 99 is not shown"):
        plot(finished.product, only=[99])
    with pytest.raises(OptionError, match="pixels is 0"):
        plot(finished.product, pixels=0)
