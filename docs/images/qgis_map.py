"""Draw docs/images/qgis_map.png: a product in QGIS, with its legend, without a screen.

/usr/bin/python3 docs/images/qgis_map.py PRODUCT TARGET.png

Needs a Python with PyQGIS (Debian: python3-qgis).
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendStyle,
    QgsPrintLayout,
    QgsProject,
    QgsTextFormat,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QFont

MILLIMETRES = QgsUnitTypes.LayoutMillimeters
PAGE = (156, 112)
MAP = (4, 4, 104, 104)
LEGEND = (110, 11)


def place(item, layout, x, y, width=0, height=0):
    """Put an item on the page, in millimetres."""
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y, MILLIMETRES))
    if width:
        item.attemptResize(QgsLayoutSize(width, height, MILLIMETRES))


def draw(product, target):
    """A page with the map in the colours of the file's own style, the legend and a scale."""
    project = QgsProject.instance()
    # nothing but what QGIS does when a user drops the file into it
    layer = QgsVectorLayer(f"{product / 'labels.gpkg'}|layername=objects", "classes", "ogr")
    if not layer.isValid():
        sys.exit(f"{product} has no labels.gpkg that opens")
    layer.loadDefaultStyle()
    project.addMapLayer(layer)
    project.setCrs(layer.crs())
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.pageCollection().page(0).setPageSize(QgsLayoutSize(*PAGE, MILLIMETRES))
    shown = QgsLayoutItemMap(layout)
    shown.setRect(0, 0, 1, 1)  # one without an area has no scale
    place(shown, layout, *MAP)
    shown.setLayers([layer])
    shown.zoomToExtent(layer.extent())
    shown.setFrameEnabled(True)
    title = QgsLayoutItemLabel(layout)
    run = json.loads((product / "run.json").read_text(encoding="utf-8"))
    title.setText(f"{run['counts']['objects']:,} objects in {len(layer.renderer().categories())} classes")
    title.setFont(QFont("sans", 9))
    place(title, layout, LEGEND[0] + 2, 5, 44, 8)
    legend = QgsLayoutItemLegend(layout)
    legend.setLinkedMap(shown)
    for style in (QgsLegendStyle.Title, QgsLegendStyle.Group, QgsLegendStyle.Subgroup, QgsLegendStyle.SymbolLabel):
        legend.setStyleFont(style, QFont("sans", 8))
    legend.setSymbolHeight(2.6)
    legend.rstyle(QgsLegendStyle.Symbol).setMargin(QgsLegendStyle.Top, 1.4)
    place(legend, layout, *LEGEND)
    scale = QgsLayoutItemScaleBar(layout)
    scale.setStyle("Single Box")
    scale.setLinkedMap(shown)
    scale.applyDefaultSize()
    text = QgsTextFormat()
    text.setSize(7)
    scale.setTextFormat(text)
    place(scale, layout, LEGEND[0], 97)
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = 160
    done = QgsLayoutExporter(layout).exportToImage(str(target), settings)
    if done != QgsLayoutExporter.Success:
        sys.exit(f"{target} could not be written")


if __name__ == "__main__":
    app = QgsApplication([], True)
    app.initQgis()
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # PyQGIS can crash in its own tear-down
