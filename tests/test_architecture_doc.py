"""docs/architecture.md: its example runs, and what it says of files and imports is so."""

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.transform import from_origin
from scipy import ndimage

import geoalps
from geoalps import plugins, protocols
from geoalps.cli import main
from geoalps.io.product import FILES
from geoalps.protocols import Segmenter

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example as a module on the path, registered as the page says, with a scene to try it on."""
    (tmp_path / "bright.py").write_text(blocks("How to add a segmenter", "python")[0], encoding="utf-8")
    points = tomllib.loads(blocks("How to add a segmenter", "toml")[0])["project"]["entry-points"]
    metadata = tmp_path / "bright-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bright\nVersion: 1.0\n", encoding="utf-8")
    groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in made.items()) for group, made in points.items())
    (metadata / "entry_points.txt").write_text("".join(groups), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "ortho.tif")
    yield tmp_path
    sys.modules.pop("bright", None)


def write_scene(path: Path) -> None:
    """Bright rectangles of three kinds on dark, noisy ground; those in the nodata strip must not be found."""
    rng = np.random.default_rng(7)
    image = rng.integers(40, 80, (300, 260, 3), dtype=np.uint8)
    for number, (row, col) in enumerate(np.ndindex(7, 6)):
        height, width = rng.integers(8, 25, 2)
        colour = [(250, 180, 170), (170, 250, 180), (180, 170, 250)][number % 3]
        image[8 + 40 * row : 8 + 40 * row + height, 8 + 40 * col : 8 + 40 * col + width] = colour
    image[:, 200:215] = 0
    profile = {"driver": "GTiff", "height": 300, "width": 260, "count": 3, "dtype": "uint8", "nodata": 0}
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_200_000, 0.5, 0.5)}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(np.moveaxis(image, -1, 0))


def bright_pixels(path: Path, threshold: float) -> np.ndarray:
    with rasterio.open(path) as file:
        return (file.read().mean(0) > threshold) & file.dataset_mask().astype(bool)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_the_example_is_a_segmenter_by_name(plugin):
    assert "bright" in plugins.names()
    made = plugins.load_segmenter("bright", {"threshold": 150})
    assert isinstance(made, Segmenter)
    assert json.loads(json.dumps(made.identity))["options"] == {"threshold": 150}


def test_the_example_keeps_its_bargain_where_nothing_is_bright(plugin):
    image, valid = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50), bool)
    made = plugins.load_segmenter("bright")
    segments, embeddings = plugins.check_result("bright", image, valid, made.segment(image, valid))
    assert len(segments) == 0
    assert embeddings.values.shape == (0, 3)


def test_the_example_as_an_object_finds_what_is_bright(plugin):
    names: dict = {}
    exec(blocks("How to add a segmenter", "python")[1], names)  # noqa: S102 - the page's own text
    product = names["product"]
    pieces, count = ndimage.label(bright_pixels(plugin / "ortho.tif", 150))
    large = np.bincount(pieces.ravel())[1:] >= 24
    assert 0 < large.sum() == product.run()["counts"]["objects"] <= count
    found = read(plugin / "bright_labels" / "objects.tif")
    assert np.array_equal(found > 0, np.isin(pieces, 1 + np.flatnonzero(large)))


def test_the_example_by_name_gives_the_same_from_the_command_line(plugin):
    whole = geoalps.tile_label(
        "ortho.tif", "whole", n_classes=3, segmenter=plugins.load_segmenter("bright", {"threshold": 150.0})
    )
    (line,) = blocks("How to add a segmenter", "sh")
    command, *arguments = shlex.split(line)
    assert command == "geoalps"
    tiled = [*arguments, "--tile-size", "96", "--margin", "40"]
    result = CliRunner().invoke(main, tiled, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for name in ("objects.tif", "labels.tif"):
        one, two = read(whole.path / name), read(plugin / "bright_labels" / name)
        pairs = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(one)) == len(np.unique(two)), "the same areas, whatever their numbers"


def test_a_class_model_makes_the_example_again_with_its_options(plugin):
    first = geoalps.tile_label("ortho.tif", "first", 3, segmenter="bright", threshold=190.0)
    again = geoalps.tile_label("ortho.tif", "again", class_model=first.path, segmenter="bright")
    assert again.run()["segmenter"]["options"] == {"threshold": 190.0}
    assert np.array_equal(read(first.path / "labels.tif"), read(again.path / "labels.tif"))


def test_the_import_law_is_the_linters():
    (drawn,) = blocks("The import law", "")
    told = [re.findall(r"geoalps\.\w+", line) for line in drawn.splitlines()]
    (contract,) = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    assert told == [layer.split(" | ") for layer in contract["layers"]]


def test_the_tables_name_every_file_and_column(plugin):
    product = geoalps.tile_label("ortho.tif", "out", 3, segmenter="bright", tile_size=128, margin=32)
    table = section("What a product holds")
    told = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(.*?)`", row)}
    assert told == set(FILES)
    columns = set(re.search(r"layer `objects` \(`(.*?)`\)", table)[1].split())
    assert columns == set(geopandas.read_file(product.path / "labels.gpkg", layer="objects").columns) - {"geometry"}
    store = section("What a store holds")
    there = {file.name for file in (product.path / "work").iterdir() if file.is_file()}
    assert there
    assert all(f"`{name}`" in store for name in there)
    first = re.search(r"`(tiles/.*?)`", store)[1]
    assert (product.path / "work" / first).exists()


def test_every_protocol_is_named_with_its_members():
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section("The protocols"), re.MULTILINE))
    found = {
        name: {member for member in vars(kind) if not member.startswith("_")}
        for name, kind in vars(protocols).items()
        if getattr(kind, "_is_protocol", False) and kind.__module__ == protocols.__name__
    }
    assert {name: set(re.findall(r"`(\w+)", members)) for name, members in table.items()} == found


PAGES = [ROOT / "docs" / "architecture.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_lines_are_short(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    assert max(map(len, text.splitlines())) <= 120
