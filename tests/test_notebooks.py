"""Every notebook runs from top to bottom, in an empty directory, draws a picture, and is committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SECONDS = 120
"""For each cell."""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert [path.name[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    for cell in read(path).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for part in text.split("](")[1:]:
        target = part.split(")")[0].split("#")[0]
        assert target.startswith("http") or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    resources = {"metadata": {"path": tmp_path}}
    client = NotebookClient(read(path), timeout=SECONDS, kernel_name="python3", resources=resources)
    done = client.execute()
    said = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in said), "no picture was drawn"
    assert not [output.text for output in said if output.get("name") == "stderr"], "something was warned of"
    pages = [output.data["text/html"] for output in said if "text/html" in output.get("data", {})]
    maps = [page for page in pages if "leaflet" in page and "folium-map" in page]
    assert len(maps) == sum(".explore(" in source for source in code(done))
