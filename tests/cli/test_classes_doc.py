"""The page on classes: its commands and its Python run as they stand, in its order."""

import re
import shlex
from pathlib import Path

import pyogrio
import pytest

import geoalps as ga

PAGE = (Path(__file__).parents[2] / "docs" / "classes.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


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
        done = geoalps("-q", *args, cwd=folder)
        assert done.code == 0, f"{line}: {done.err}"
    assert (folder / "classes.png").stat().st_size > 10_000
    assert (folder / "scores.json").exists()
    names = pyogrio.read_dataframe(folder / "town_labels" / "labels.gpkg", layer="classes").class_name
    assert {"building", "tree"} & set(names)


def test_the_python_runs_too(geoalps, folder, monkeypatch):
    if not (folder / "town_places.gpkg").exists():
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
