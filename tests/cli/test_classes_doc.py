"""The page on classes: its commands and its Python run as they stand, in its order."""

import re
import shlex
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from scipy import ndimage

import geoalps as ga
from geoalps.sample import CLASSES

PAGE = (Path(__file__).parents[2] / "docs" / "classes.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def places(truth, target):
    """A point in the middle of some things of every class."""
    with rasterio.open(truth) as file:
        classes, transform, crs = file.read(1), file.transform, file.crs
    rows = []
    for number in np.unique(classes):
        pieces, count = ndimage.label(classes == number)
        largest = np.argsort(-np.bincount(pieces.ravel())[1:])[:5] + 1
        for piece in largest[:count]:
            inside = ndimage.distance_transform_edt(pieces == piece)
            rows.append((CLASSES[number], *np.unravel_index(inside.argmax(), inside.shape)))
    names, row, col = zip(*rows, strict=True)
    x, y = rasterio.transform.xy(transform, row, col)
    geopandas.GeoDataFrame({"class": names}, geometry=geopandas.points_from_xy(x, y), crs=crs).to_file(target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classes")


def test_the_commands_run_in_their_order(geoalps, folder):
    (table,) = blocks("csv")
    (folder / "names.csv").write_text(table, encoding="utf-8")
    lines = [line for block in blocks("bash") for line in block.strip().splitlines()]
    assert len(lines) > 15
    for line in lines:
        program, *args = shlex.split(line)
        assert program == "geoalps"
        if args[0] == "name-from" and not (folder / "places.gpkg").exists():
            places(folder / "town_class.tif", folder / "places.gpkg")
        done = geoalps("-q", *args, cwd=folder)
        assert done.code == 0, f"{line}: {done.err}"
    assert (folder / "classes.png").stat().st_size > 10_000
    assert (folder / "scores.json").exists()
    names = pyogrio.read_dataframe(folder / "town_labels" / "labels.gpkg", layer="classes").class_name
    assert {"building", "tree"} & set(names)


def test_the_python_runs_too(geoalps, folder, monkeypatch):
    if not (folder / "places.gpkg").exists():
        test_the_commands_run_in_their_order(geoalps, folder)
    monkeypatch.chdir(folder)
    (code,) = blocks("python")
    found = {}
    exec(code, found)  # noqa: S102 - the page's own
    assert found["scores"]["one_to_one"]
    ga.relabel(found["product"], found["named"].entries)
    assert len(found["model"]) == 6


def test_the_links_of_the_page_lead_somewhere():
    for name, anchor in re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", PAGE):
        page = Path(__file__).parents[2] / "docs" / name
        assert page.exists()
        heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
