"""The installable zip, and what its modules import."""

import ast
import configparser
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from geoalps_processing.product import (
    default_output,
    default_style,
    inside,
    problem,
    write_class_table,
)
from geoalps_processing.scores import figures, page

import geoalps
from geoalps.io.class_table import read_class_table

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "qgis" / "geoalps_processing"
PLAIN = ("environment", "command_line", "running", "progress", "product", "scores")
"""Modules that run in any Python."""


def test_one_top_folder_and_nothing_that_does_not_belong(packed):
    assert packed.name == f"geoalps_processing-{geoalps.__version__}.zip"
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {name.split("/")[0] for name in names} == {"geoalps_processing"}
    modules = {path.name for path in PLUGIN.glob("*.py")}
    assert {name.split("/")[1] for name in names} == modules | {"metadata.txt", "icon.svg", "LICENSE"}


def test_the_metadata_is_what_qgis_asks_for(packed):
    with zipfile.ZipFile(packed) as archive:
        text = archive.read("geoalps_processing/metadata.txt").decode()
        ET.fromstring(archive.read("geoalps_processing/icon.svg"))  # noqa: S314 - our own
    parser = configparser.ConfigParser()
    parser.read_string(text)
    general = parser["general"]
    assert general["version"] == geoalps.__version__
    assert general["hasProcessingProvider"] == "yes"
    assert general["qgisMinimumVersion"] == "3.22"
    assert general["icon"] == "icon.svg"
    assert all(general[name] for name in ("name", "description", "about", "author", "license"))


def test_the_same_sources_give_the_same_bytes(packed, tmp_path):
    command = [sys.executable, str(ROOT / "qgis" / "package.py"), "-o", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    assert (tmp_path / packed.name).read_bytes() == packed.read_bytes()


def imported(path):
    """Top names of the modules that a file imports; those of the plugin with a dot."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." + (node.module or "") if node.level else node.module.split(".")[0]


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("*.py")), ids=lambda path: path.stem)
def test_only_pyqgis_and_the_standard_library_are_imported(path):
    allowed = set(sys.stdlib_module_names)
    if path.stem not in PLAIN:
        allowed |= {"qgis", "processing"}
    foreign = {name for name in imported(path) if name not in allowed and not name.startswith(".")}
    assert not foreign
    if path.stem in PLAIN:
        assert {name for name in imported(path) if name.startswith(".")} <= {f".{name}" for name in PLAIN}


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("*.py")), ids=lambda path: path.stem)
def test_the_python_of_the_oldest_qgis_reads_it(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_a_table_that_qgis_gives_is_one_that_geoalps_reads(tmp_path):
    rows = [
        {"class_id": 1.0, "class_name": "roof, red", "colour": "#ff0000", "merge_into": None},
        {"class_id": 2, "class_name": 'a "b"', "colour": None, "merge_into": 1.0},
    ]
    write_class_table(tmp_path / "t.csv", rows)
    found = read_class_table(tmp_path / "t.csv")
    assert [(entry.class_id, entry.class_name, entry.merge_into) for entry in found] == [(1, "roof, red", None),
                                                                                       (2, 'a "b"', 1)]  # fmt: skip
    with pytest.raises(ValueError, match="has no column class_id"):
        write_class_table(tmp_path / "t.csv", [{"name": "x"}])


def test_which_layers_are_of_a_product(tmp_path):
    (folder := tmp_path / "a").mkdir()
    assert inside(f"{folder}/labels.gpkg|layername=objects", folder)
    assert inside(f"{tmp_path}/a/../a/labels.tif", folder)
    assert not inside(f"{folder}/work/labels.tif", folder)
    assert not inside("labels.gpkg", folder)
    assert not inside("Polygon?crs=EPSG:4326", folder)


def test_what_is_no_product_is_said(tmp_path):
    assert "does not exist" in problem(tmp_path / "none")
    assert "is no product" in problem(tmp_path)
    (tmp_path / "run.json").touch()
    assert problem(tmp_path) is None
    assert default_style(tmp_path / "run.json", "objects") is None
    assert default_output("/data/ortho.tif") == Path("/data/ortho_labels")


FOUND = {
    "product": "<p>", "truth": "t", "pixels": 3, "uncovered": 0.0,
    "classes": [{"value": 1, "name": "a<b", "pixels": 3}], "clusters": [{"class_id": 0, "name": "x", "pixels": 3}],
    "table": [[3]], "purity": 1.0, "NMI": None, "ARI": 1.0, "objects": None,
    "one_to_one": {"OA": 1.0, "mIoU": 0.5, "mAcc": 1.0,
                   "per_class": [{"name": "a<b", "IoU": None, "precision": 1.0, "recall": 1.0}]},
}  # fmt: skip


def test_the_page_escapes_names_and_shows_what_is_not_defined():
    made = page(FOUND)
    assert "&lt;p&gt;" in made
    assert "a&lt;b" in made
    assert "<p> against" not in made
    assert "<td>-</td>" in made
    assert figures(FOUND) == {"OVERALL_ACCURACY": 1, "MEAN_IOU": 0.5, "NMI": None, "ARI": 1, "PURITY": 1}
