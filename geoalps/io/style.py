"""The colours of classes, and the same colours as QGIS, OGC and GDAL write them.

>>> hex_colour(palette(2)[0])
'#185bd2'
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError

Colours = NDArray[np.uint8]
"""(k, 3) uint8 sRGB."""

MOST_CLASSES = 65535
"""Class ids 0..65534 fit uint16 beside its nodata value."""

# Picked by hand and then moved apart, in OKLab, as normal, deuteranope and protanope eyes see them; the first eight
# differ most.
# fmt: off
_FIRST = [
    "#185bd2", "#d08a18", "#158377", "#d92237", "#6eedfa", "#610f86", "#d9fa38", "#73280f", "#fa7fd4", "#1d4955",
    "#a3c95a", "#9d72b8", "#c5c1b1", "#33b3a4", "#933385", "#91adfa", "#696b0f", "#f37d7b", "#3815bf", "#dfeeb6",
]
# fmt: on
_SPREAD = 256
_CANDIDATES = 8192

_LMS_OF_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_OF_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


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


def palette(k: int) -> Colours:
    """Colours for k classes, each different; those of a smaller k come first.

    The first 20 are fixed, up to 256 each is the one furthest (in OKLab) from all before it, and the others fill the
    space evenly. None is close to black or white.

    Args:
        k: number of colours, at most 65535.

    Returns:
        (k, 3) uint8 sRGB.

    Raises:
        OptionError: k is negative or above 65535.
    """
    if not 0 <= k <= MOST_CLASSES:
        raise OptionError(f"{k} colours were asked for; allowed is 0 to {MOST_CLASSES}")
    colours = np.array([_rgb(colour) for colour in _FIRST], np.uint8)
    if k > len(colours):
        colours = _spread(colours, _sequence(_CANDIDATES))
    if k > _SPREAD:
        every = np.concatenate([colours, _sequence(3 * MOST_CLASSES)])
        _, first = np.unique(every, axis=0, return_index=True)
        colours = every[np.sort(first)]
    return colours[:k]


def hex_colour(colour: Sequence[int] | Colours) -> str:
    """``#rrggbb`` of three numbers 0..255."""
    red, green, blue = (int(v) for v in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


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


def _fill_symbol(name: str, colour: str) -> ET.Element:
    """QGIS's symbol of one class: filled with ``#rrggbb``, the outline darker."""
    options = {
        "color": _rgba(_rgb(colour)),
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


def _rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue 0..255 of ``#rrggbb``; an OptionError for anything else."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise OptionError(f"colour is {colour!r}; write it as #rrggbb")
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _rgba(colour: tuple[int, ...]) -> str:
    """The way QGIS writes a colour that covers fully: ``r,g,b,255``."""
    return ",".join(map(str, (*colour, 255)))


def _darker(colour: str) -> tuple[int, ...]:
    """Red, green, blue of ``#rrggbb`` at three fifths."""
    return tuple(v * 3 // 5 for v in _rgb(colour))


def _oklab(colours: Colours) -> NDArray[np.float64]:
    """(n, 3) lightness, green-red, blue-yellow: distances there are about as large as they look."""
    value = colours / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _LMS_OF_RGB.T) @ _LAB_OF_LMS.T
    return lab


def _sequence(n: int) -> Colours:
    """Evenly spread colours, those of a smaller n first: some of n points of an additive recurrence."""
    # Multiples of 2**32 / g, / g**2, / g**3 with g**4 = g + 1, in whole numbers: the same on every machine.
    steps = np.array([3518319155, 2882110345, 2360945575], np.uint64)
    colours = ((np.arange(1, n + 1, dtype=np.uint64)[:, None] * steps) >> np.uint64(24)).astype(np.uint8)
    lab = _oklab(colours)
    keep = (lab[:, 0] > 0.42) & (lab[:, 0] < 0.94) & (np.hypot(lab[:, 1], lab[:, 2]) > 0.03)
    return colours[keep]


def _spread(colours: Colours, candidates: Colours) -> Colours:
    """Colours and, one after the other, the candidates that lie furthest from all taken so far."""
    lab = _oklab(candidates)
    distance = np.full(len(lab), np.inf)
    out = list(colours)
    for taken in _oklab(colours):
        distance = np.minimum(distance, ((lab - taken) ** 2).sum(1))
    while len(out) < _SPREAD:
        best = int(distance.argmax())
        out.append(candidates[best])
        distance = np.minimum(distance, ((lab - lab[best]) ** 2).sum(1))
    return np.array(out, np.uint8)
