"""The colours and names of classes as QGIS, OGC and GDAL write them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geoalps.io.palettes import hex_colour, rgb


@dataclass(frozen=True)
class ClassRow:
    """One class as the legend and the table ``classes`` show it."""

    class_id: int
    """0..k-1."""
    class_name: str
    """What the user calls it; unique, not empty."""
    colour: str
    """``#rrggbb``."""
    object_count: int
    """Objects of this class."""
    area_m2: float
    """Their area in square metres (pixels without a CRS)."""


def qml(classes: Iterable[ClassRow]) -> str:
    """QGIS style of the polygon layer: one category for each class, on ``class_id``.

    Args:
        classes: rows of the legend, in its order.
    """
    root = ET.Element("qgis", {"version": "3.22.0", "styleCategories": "Symbology"})
    options = {"type": "categorizedSymbol", "attr": "class_id", "enableorderby": "0", "forceraster": "0"}
    renderer = ET.SubElement(root, "renderer-v2", options | {"symbollevels": "0"})
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for index, row in enumerate(classes):
        symbol = {"symbol": str(index), "render": "true"}
        label = {"value": str(row.class_id), "type": "long", "label": _text(row.class_name)}
        ET.SubElement(categories, "category", label | symbol)
        symbols.append(_fill_symbol(str(index), row.colour))
    ET.SubElement(root, "layerGeometryType").text = "2"
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, "unicode")


def sld(classes: Iterable[ClassRow], layer: str = "objects") -> str:
    """OGC Styled Layer Descriptor 1.1 with the same fills and outlines as :func:`qml`.

    Args:
        classes: rows of the legend, in its order.
        layer: name of the layer that it is for.
    """
    spaces = {"xmlns": "sld", "xmlns:se": "se", "xmlns:ogc": "ogc"}
    spaces = {prefix: f"http://www.opengis.net/{name}" for prefix, name in spaces.items()}
    root = ET.Element("StyledLayerDescriptor", {"version": "1.1.0"} | spaces)
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "se:Name").text = _text(layer)
    user = ET.SubElement(named, "UserStyle")
    ET.SubElement(user, "se:Name").text = _text(layer)
    rules = ET.SubElement(user, "se:FeatureTypeStyle")
    for row in classes:
        rules.append(_rule(row))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode")


def category_names_pam(classes: Iterable[ClassRow]) -> str:
    """GDAL's side file (``labels.tif.aux.xml``) that gives the values of band 1 the names of the classes.

    Args:
        classes: rows in any order; values without a class get an empty name.
    """
    names = {row.class_id: row.class_name for row in classes}
    root = ET.Element("PAMDataset")
    listed = ET.SubElement(ET.SubElement(root, "PAMRasterBand", {"band": "1"}), "CategoryNames")
    for value in range(max(names, default=-1) + 1):
        ET.SubElement(listed, "Category").text = _text(names.get(value, ""))
    ET.indent(root)
    return ET.tostring(root, "unicode") + "\n"


def raster_qml(classes: Iterable[ClassRow]) -> str:
    """QGIS style of ``labels.tif``: the classes there are, in their order.

    By the file's colour table alone, QGIS's legend has an entry for each of its 256 or 65536 values.

    Args:
        classes: rows of the legend, in its order.
    """
    root = ET.Element("qgis", {"version": "3.22.0", "styleCategories": "Symbology"})
    options = {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    renderer = ET.SubElement(ET.SubElement(root, "pipe"), "rasterrenderer", options)
    palette = ET.SubElement(renderer, "colorPalette")
    for row in classes:
        entry = {"value": str(row.class_id), "label": _text(row.class_name), "color": row.colour, "alpha": "255"}
        ET.SubElement(palette, "paletteEntry", entry)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, "unicode")


def label_sides(classes: Sequence[ClassRow]) -> dict[str, str]:
    """The small files beside ``labels.tif`` that say what its numbers mean: name -> content."""
    return {"labels.tif.aux.xml": category_names_pam(classes), "labels.qml": raster_qml(classes)}


def _fill_symbol(name: str, colour: str) -> ET.Element:
    """QGIS's symbol of one class: filled with ``#rrggbb``, the outline darker."""
    options = {
        "color": _rgba(rgb(colour)),
        "style": "solid",
        "outline_color": _rgba(_darker(colour)),
        "outline_style": "solid",
        "outline_width": "0.1",
        "outline_width_unit": "MM",
        "joinstyle": "bevel",
    }
    shared = {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1", "force_rhr": "0"}
    symbol = ET.Element("symbol", shared)
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"})
    table = ET.SubElement(layer, "Option", {"type": "Map"})
    for key, value in options.items():
        ET.SubElement(table, "Option", {"type": "QString", "name": key, "value": value})
    return symbol


def _rule(row: ClassRow) -> ET.Element:
    """SLD's rule of one class, chosen by ``class_id``."""
    rule = ET.Element("se:Rule")
    ET.SubElement(rule, "se:Name").text = _text(row.class_name)
    equal = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
    ET.SubElement(equal, "ogc:PropertyName").text = "class_id"
    ET.SubElement(equal, "ogc:Literal").text = str(row.class_id)
    symbol = ET.SubElement(rule, "se:PolygonSymbolizer")
    fill, stroke = ET.SubElement(symbol, "se:Fill"), ET.SubElement(symbol, "se:Stroke")
    ET.SubElement(fill, "se:SvgParameter", {"name": "fill"}).text = row.colour
    ET.SubElement(stroke, "se:SvgParameter", {"name": "stroke"}).text = hex_colour(_darker(row.colour))
    ET.SubElement(stroke, "se:SvgParameter", {"name": "stroke-width"}).text = "0.4"
    return rule


def _text(name: str) -> str:
    """A name without the control characters that XML has no way to write."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", name)


def _rgba(colour: tuple[int, ...]) -> str:
    """The way QGIS writes a colour that covers fully: ``r,g,b,255``."""
    return ",".join(map(str, (*colour, 255)))


def _darker(colour: str) -> tuple[int, ...]:
    """Red, green, blue of ``#rrggbb`` at three fifths."""
    return tuple(v * 3 // 5 for v in rgb(colour))
