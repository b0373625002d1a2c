"""Draw the pictures of docs/first-map.md from what its walk left behind.

python benchmarks/first_map.py --folder walk/ && python docs/images/walk.py walk/

Needs Chromium for the report, and QGIS for the maps: GEOALPS_QGIS_PYTHON names its Python (/usr/bin/python3).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.colors import to_rgb
from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

import geoalps as ga
from geoalps.sample import CLASSES

HERE = Path(__file__).parent
QGIS_PYTHON = os.environ.get("GEOALPS_QGIS_PYTHON", "/usr/bin/python3")
TRUTH_COLOURS = {"field": "#c9a66b"}
"""Of classes that the map does not have."""
WRONG, RIGHT, UNJUDGED = (0.80, 0.22, 0.16), (0.93, 0.93, 0.91), (0.75, 0.75, 0.75)


def save(image: Image.Image, name: str, width: int = 1200) -> None:
    """A JPEG of at most this width beside this script."""
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image.convert("RGB").save(HERE / name, quality=85, optimize=True, progressive=True)


def scene(path: Path) -> None:
    """The picture itself."""
    with rasterio.open(path) as file:
        save(Image.fromarray(file.read().transpose(1, 2, 0)), "walk_scene.jpg", 900)


def report(product: Path, name: str) -> None:
    """The top of the report as a browser shows it, once the map is drawn."""
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "window-size=1280,1600"):
        options.add_argument(f"--{argument}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options, service) as browser, tempfile.TemporaryDirectory() as scratch:
        browser.get((product / "report.html").resolve().as_uri())
        ready = "return document.body.dataset.ready === 'yes'"
        WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(ready))
        browser.save_screenshot(str(Path(scratch) / "shot.png"))
        save(Image.open(Path(scratch) / "shot.png"), name)


def qgis(product: Path, name: str) -> None:
    """The layer with its legend as QGIS draws it."""
    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "map.png"
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [QGIS_PYTHON, HERE / "qgis_map.py", product, shot]
        subprocess.run(command, check=True, env={**environment, "QT_QPA_PLATFORM": "offscreen"})
        save(Image.open(shot), name)


def evaluated(product: ga.Product, truth: Path) -> None:
    """Map, truth and where they differ, side by side."""
    classes = product.classes()
    names = dict(zip(classes.class_id, classes.class_name, strict=True))
    known = {name: to_rgb(colour) for name, colour in zip(classes.class_name, classes.colour, strict=True)}
    palette = {**{name: to_rgb(colour) for name, colour in TRUTH_COLOURS.items()}, **known}
    labels = product.labels().to_numpy()
    with rasterio.open(truth) as file:
        wanted = file.read(1)
    index = np.full(256, -1)
    for number, name in names.items():
        index[number] = CLASSES.index(name) if name in CLASSES else -1
    ours = index[labels]
    colours = np.array([palette.get(name, UNJUDGED) for name in CLASSES])
    differ = np.where((ours == wanted)[..., None], RIGHT, WRONG)
    differ[ours < 0] = UNJUDGED
    figure, axes = plt.subplots(1, 3, figsize=(15, 5.6), layout="constrained")
    shown = {"the map, by its names": colours[ours], "the truth": colours[wanted], "red: they differ": differ}
    for ax, (title, image) in zip(axes, shown.items(), strict=True):
        ax.imshow(image)
        ax.set_title(title)
        ax.set_axis_off()
    here = [name for number, name in enumerate(CLASSES) if (wanted == number).any()]
    patches = [plt.Rectangle((0, 0), 1, 1, color=palette.get(name, UNJUDGED), label=name) for name in here]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.canvas.draw()
    save(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]), "walk_evaluated.jpg", 1500)


def main() -> None:
    """All pictures of the page."""
    walk = Path(sys.argv[1])
    scene(walk / "harbour.tif")
    named = ga.Product.open(walk / "harbour_labels")
    evaluated(named, walk / "harbour_class.tif")
    qgis(named.path, "walk_qgis_named.jpg")
    # the fresh product is gone by now; its objects are not, so that this takes seconds
    fresh = ga.tile_label(walk / "harbour.tif", walk / "fresh_labels", n_classes=20, overwrite=True)
    report(fresh.path, "walk_report.jpg")
    qgis(fresh.path, "walk_qgis_fresh.jpg")


if __name__ == "__main__":
    main()
