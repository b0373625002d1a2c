"""Draw docs/images/notebook_01.jpg to 05.jpg: run the notebooks, and photograph a part of each with Chromium.

python docs/images/notebooks.py [LEAFLET]

LEAFLET is the folder dist of the npm package leaflet, for the interactive maps where there is no network. Needs
nbconvert, and Chromium as ``chromium``.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

HERE = Path(__file__).parent
SHOWN = {
    "01": "product.explore(",
    "02": "examples(product",
    "03": "def show_errors",
    "04": "class Roughness",
    "05": "stream.data",
}
"""What the code of the shown cell holds."""
CDN = "https://cdn.jsdelivr.net/npm/leaflet@1.9.3/dist/"
WIDTH, HEIGHT, LARGEST = 1000, 1500, 250_000
"""Pixels of the window, and bytes of a picture."""
QUIET = ["--disable-gpu", "--no-sandbox", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


def shown(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook, run, and of its cells the one to be shown with the text before it."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    cells = notebook.cells
    number = next(n for n, cell in enumerate(cells) if SHOWN[path.name[:2]] in cell.source and cell.get("outputs"))
    notebook.cells = cells[number - 1 : number + 1] if cells[number - 1].cell_type == "markdown" else [cells[number]]
    return notebook


def photograph(notebook: nbformat.NotebookNode, folder: Path, leaflet: Path | None) -> Image.Image:
    """A notebook as Chromium draws it, without the empty rest of the page."""
    # long code would leave no room for what it draws
    long = len(notebook.cells[-1].source) > 500
    text = HTMLExporter(template_name="lab", exclude_input=long).from_notebook_node(notebook)[0]
    page, picture = folder / "page.html", folder / "page.png"
    page.write_text(text if leaflet is None else text.replace(CDN, f"{leaflet.resolve().as_uri()}/"))
    where = [f"--user-data-dir={folder / 'chromium'}", f"--screenshot={picture}", f"--window-size={WIDTH},{HEIGHT}"]
    wait = ["--virtual-time-budget=15000", "--hide-scrollbars", "--allow-file-access-from-files"]
    command = ["chromium", "--headless=new", *QUIET, *where, *wait, page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    drawn = Image.open(picture).convert("RGB")
    rows = np.flatnonzero((np.asarray(drawn) < 250).any((1, 2)))
    return drawn.crop((0, 0, WIDTH, min(HEIGHT, int(rows[-1]) + 20)))


def save(picture: Image.Image, target: Path) -> None:
    """As a JPEG, as good as its size allows."""
    for quality in range(90, 30, -5):
        picture.save(target, quality=quality, optimize=True)
        if target.stat().st_size < LARGEST:
            return


def main(leaflet: Path | None) -> None:
    """All notebooks."""
    for path in sorted((HERE.parents[1] / "notebooks").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            save(photograph(shown(path, Path(folder)), Path(folder), leaflet), HERE / f"notebook_{path.name[:2]}.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
