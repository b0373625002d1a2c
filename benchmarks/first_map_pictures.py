"""The pictures of docs/first-map.md, from what the walk made.

python benchmarks/first_map.py --folder WALK
python benchmarks/first_map_pictures.py WALK --out docs/images

Needs Chromium with its driver, and a system Python that can import QGIS (``--qgis-python``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from matplotlib import pyplot
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from PIL import Image
from selenium import webdriver

from geoalps.io.class_table import read_class_table

NAMES = ("other", "building", "road", "field", "tree", "water", "vehicle", "ship")
"""Values of the truth that ``geoalps sample`` writes."""
FIELD = "#c8a064"
"""Colour of what the map has no class for."""
LAYOUT = """
import sys
from qgis.core import (QgsApplication, QgsLayout, QgsLayoutExporter, QgsLayoutItemLabel, QgsLayoutItemLegend,
    QgsLayoutItemMap, QgsLayoutItemScaleBar, QgsLayoutPoint, QgsLayoutSize, QgsProject, QgsUnitTypes, QgsVectorLayer)
app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
layer = QgsVectorLayer(sys.argv[1] + "|layername=objects", "classes", "ogr")
assert layer.isValid()
project.setCrs(layer.crs())
project.addMapLayer(layer)
layout = QgsLayout(project)
layout.initializeDefaults()
mm = QgsUnitTypes.LayoutMillimeters
page = layout.pageCollection().page(0)
page.setPageSize(QgsLayoutSize(250, 180, mm))
def place(item, x, y, width, height):
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y, mm))
    item.attemptResize(QgsLayoutSize(width, height, mm))
    return item
sheet = place(QgsLayoutItemMap(layout), 3, 3, 174, 174)
sheet.setFrameEnabled(True)
sheet.setCrs(layer.crs())
sheet.setLayers([layer])
sheet.setExtent(layer.extent())
title = place(QgsLayoutItemLabel(layout), 182, 3, 66, 10)
title.setText(f"{layer.featureCount():,} objects in {sys.argv[3]} classes")
legend = place(QgsLayoutItemLegend(layout), 180, 16, 60, 130)
legend.setLinkedMap(sheet)
bar = QgsLayoutItemScaleBar(layout)
bar.setLinkedMap(sheet)
bar.applyDefaultSize()
place(bar, 180, 162, 50, 12)
settings = QgsLayoutExporter.ImageExportSettings()
settings.dpi = 100
assert QgsLayoutExporter(layout).exportToImage(sys.argv[2], settings) == QgsLayoutExporter.Success
"""


def in_qgis(product: Path, out: Path, python: str) -> None:
    """The product as QGIS shows it, with its legend."""
    table = read_class_table(product / "classes.csv")
    kept = {entry.merge_into if entry.merge_into is not None else entry.class_id for entry in table}
    png = out.with_suffix(".png").absolute()
    command = [python, "-c", LAYOUT, str((product / "labels.gpkg").absolute()), str(png), str(len(kept))]
    subprocess.run(command, check=True, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"})
    Image.open(png).convert("RGB").save(out, quality=88)
    png.unlink()


def report(product: Path, out: Path) -> None:
    """The top of the report, with the slider in the middle."""
    options = webdriver.ChromeOptions()
    for option in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "window-size=1200,1366"):
        options.add_argument(f"--{option}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))  # selenium would look for one on the internet
    browser = webdriver.Chrome(options, service)
    try:
        browser.get((product / "report.html").absolute().as_uri())
        time.sleep(2)
        browser.save_screenshot(str(out.with_suffix(".png")))
    finally:
        browser.quit()
    Image.open(out.with_suffix(".png")).convert("RGB").save(out, quality=88)
    out.with_suffix(".png").unlink()


def evaluated(product: Path, truth: Path, out: Path) -> None:
    """The map by its names, the truth, and where they differ."""
    table = {entry.class_id: entry for entry in read_class_table(product / "classes.csv")}
    colours = {entry.class_name: entry.colour for entry in table.values() if entry.merge_into is None}
    with rasterio.open(product / "labels.tif") as labels, rasterio.open(truth) as true:
        found, real = labels.read(1), true.read(1)
    named = np.full(256, len(NAMES), np.uint8)
    for number, entry in table.items():
        named[number] = NAMES.index(entry.class_name) if entry.class_name in NAMES else len(NAMES)
    mapped = named[found]
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 5.6))
    shades = ListedColormap([colours.get(name, FIELD) for name in NAMES] + ["#ffffff"])
    for axis, picture, title in zip(axes, (mapped, real), ("the map, by its names", "the truth"), strict=False):
        axis.imshow(picture, cmap=shades, vmin=-0.5, vmax=len(NAMES) + 0.5, interpolation="nearest")
        axis.set_title(title)
    axes[2].imshow(mapped != real, cmap=ListedColormap(["#ecebe4", "#d03a2b"]), interpolation="nearest")
    axes[2].set_title("red: they differ")
    for axis in axes:
        axis.set_axis_off()
    patches = [Patch(color=colours.get(name, FIELD), label=name) for name in NAMES]
    figure.legend(handles=patches, loc="lower center", ncol=len(NAMES), frameon=False)
    figure.subplots_adjust(0.005, 0.07, 0.995, 0.95, 0.02)
    figure.savefig(out, dpi=100, pil_kwargs={"quality": 88})


def main() -> None:
    """Parse, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("walk", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--qgis-python", default="/usr/bin/python3")
    given = parser.parse_args()
    scene, named, fresh = given.walk / "harbour.tif", given.walk / "harbour_labels", given.walk / "fresh_labels"
    command = [sys.executable, "-m", "geoalps", "-q", "tile-label", str(scene), "-k", "20", "-o", str(fresh)]
    if not fresh.exists():
        subprocess.run(command, check=True)
    report(fresh, given.out / "walk_report.jpg")
    in_qgis(fresh, given.out / "walk_qgis_fresh.jpg", given.qgis_python)
    in_qgis(named, given.out / "walk_qgis_named.jpg", given.qgis_python)
    evaluated(named, given.walk / "harbour_class.tif", given.out / "walk_evaluated.jpg")


if __name__ == "__main__":
    main()
