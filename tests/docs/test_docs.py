"""The site builds and is whole; commands and options on all pages exist; commands of pages run."""

import html
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec

import click
import pytest
import yaml
from pages import DOCS, ROOT, geoalps_in, pages

import geoalps as ga
from geoalps.cli import main

PAGES = pages()
BY_NAME = {page.name: page for page in PAGES}
RUN_ELSEWHERE = {
    "docs/classes.md": "tests/cli/test_classes_doc.py",
    "docs/cluster.md": "tests/test_cluster_doc.py",
    "docs/architecture.md": "tests/test_architecture_doc.py",
}
NOT_RUN = {
    "README.md": "the reader's own scenes; classes.md and first-map.md run the like",
    "docs/models.md": "downloads of weights, and another machine",
    "docs/model-card-regions.md": "a training of twenty minutes",
    "benchmarks/README.md": "benchmarks",
    "data/README.md": "data that are not shipped",
}
FOREIGN = {"--host", "--lifetime", "--nworkers", "--nthreads", "--strict", "--check", "--write", "--equality", "--seed"}
FOREIGN |= {"--data", "--oracles", "--origin", "--help", "--gpus", "--cpus", "--memory", "--no-deps", "--index-url"}
"""Options of other programs, of benchmarks and of scripts that the prose names."""
LIGHT = ("--option", "affinity=false", "--option", "choice=cut")
"""Added to ``tile-label``: no network is loaded, which is most of the time on small scenes."""
WHOLE = "docs/first-map.md"
"""The page that is run as it stands: it names classes by their numbers in its own scene."""
LARGEST = 768
"""Pixels of a side that ``sample`` makes here, whatever the page says."""
RUN = [page.name for page in PAGES if any(block.is_run for block in page.blocks)]
RUN = [name for name in RUN if name not in RUN_ELSEWHERE | NOT_RUN]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site."""
    missing = [name for name in ("mkdocs", "material", "mkdocstrings") if find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: pip install 'geoalps[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def config():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def leaves(nav):
    """The pages of a navigation, in its order."""
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from leaves(value) if isinstance(value, list) else [value]


def readable(text):
    """What HTML says."""
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def commands(group=main, path=()):
    """(words, command) of every public command, groups among them."""
    context = click.Context(group, info_name="geoalps")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if not command.hidden:
            yield (*path, name), command
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))


def options(command):
    """Long options of a command."""
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts) if name.startswith("--")}


def test_the_site_builds_and_asks_no_other_host_for_anything(site):
    built = list(site.rglob("*.html"))
    assert len(built) > 25
    tag = re.compile(r"<(?:script|img|iframe|link|source)\b[^>]*?(?:src|href)=[\"']?(https?:)?//[^>]*>")
    for page in built:
        assert not tag.search(page.read_text(encoding="utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    assert (site / "search" / "search_index.js").exists()


def test_every_page_is_in_the_navigation_once():
    shown = list(leaves(config()["nav"]))
    assert len(shown) == len(set(shown))
    assert set(shown) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_files_outside_of_docs_come_along(site):
    assert (site / "repository" / "benchmarks" / "results" / "2026-11-22-objects.html").exists()
    quality = (site / "quality.html").read_text(encoding="utf-8")
    assert 'href="repository/benchmarks/results/2026-11-22-objects.html"' in quality
    assert 'href="decisions/index.html"' in (site / "architecture.html").read_text(encoding="utf-8")


def test_the_reference_of_commands_has_every_command_and_option(site):
    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for path, command in commands():
        assert f'id="{"-".join(path)}"' in page, path
        _, _, rest = page.partition(f'id="{"-".join(path)}"')
        own = readable(re.split(r"<h[23] id=", rest)[0])
        for name in options(command):
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", own), f"{name} of {' '.join(path)}"


def test_the_reference_of_python_has_every_public_name(site):
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    names = re.findall(r'<h[234] id="([\w.]+)"', page)
    shown = {name.rpartition(".")[2] for name in names}
    assert set(ga.__all__) <= shown
    for module in ("errors", "protocols", "testing"):
        source = (ROOT / "geoalps" / f"{module}.py").read_text(encoding="utf-8")
        public = set(re.findall(r"^(?:class|def) ([A-Za-z]\w*)", source, re.MULTILINE))
        assert public <= shown, module
    assert not re.search(r":(func|class|mod|meth):", readable(page))


@pytest.mark.parametrize("name", BY_NAME)
def test_commands_on_the_page_are_of_this_program(name):
    for words in BY_NAME[name].commands:
        if not words or words[0] == "COMMAND":
            continue
        command, rest = main, list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            part = command.get_command(click.Context(command), rest[0])
            assert part is not None, f"geoalps {' '.join(words)}"
            command, rest = part, rest[1:]
        understood(command, rest)


def understood(command, words):
    """Parse without running: options are known and have values; numbers and choices are allowed ones."""
    context = click.Context(command)
    values, _, _ = command.make_parser(context).parse_args(list(words))
    for param in command.params:
        value = values.get(param.name)
        number = isinstance(param.type, click.Choice | click.IntRange | click.FloatRange)
        if number and isinstance(value, str) and not value.isupper():
            param.type_cast_value(context, value)


def test_the_parser_of_pages_notices_what_is_wrong():
    assert geoalps_in("A=1 geoalps info x/ && geoalps fit 'a b' -k 3  # said") == [
        ["info", "x/"],
        ["fit", "a b", "-k", "3"],
    ]
    tile_label = main.get_command(click.Context(main), "tile-label")
    for wrong in (["x.tif", "--tilesize", "5"], ["x.tif", "-k"], ["x.tif", "-k", "0"], ["x.tif", "--stretch", "much"]):
        with pytest.raises(click.UsageError):
            understood(tile_label, wrong)


@pytest.mark.parametrize("name", BY_NAME)
def test_options_named_on_the_page_exist(name):
    known = set().union(*(options(command) for _, command in commands())) | options(main) | FOREIGN
    assert BY_NAME[name].options <= known


def test_what_is_not_run_is_still_there():
    assert {*RUN_ELSEWHERE, *NOT_RUN} <= set(BY_NAME)
    assert all((ROOT / path).exists() for path in RUN_ELSEWHERE.values())


@pytest.mark.parametrize("name", RUN)
def test_commands_of_the_page_run_in_their_order(name, geoalps, tmp_path):
    page, change = BY_NAME[name], list if name == WHOLE else lightly
    for line in page.before:
        run(geoalps, line, tmp_path, change)
    for block in page.blocks:
        if block.kind == "csv":
            (tmp_path / "names.csv").write_text(block.text, encoding="utf-8")
        for line in block.lines if block.is_run else ():
            run(geoalps, line, tmp_path, change)


def run(geoalps, line, folder, change):
    """Run a line of a page, which must be a command of geoalps; ``change`` makes its words those that are run."""
    found = geoalps_in(line)
    assert found, f"{line}: mark its block with <!-- not run: reason -->"
    for words in found:
        done = geoalps("-q", *change(words), cwd=folder)
        assert done.code == 0, f"{line}: {done.err}"


def lightly(words):
    """A command with small scenes and without the network."""
    if words[0] == "sample" and "--size" in words:
        size = words.index("--size") + 1
        return [*words[:size], min(int(words[size]), LARGEST), *words[size + 1 :]]
    return [*words, *LIGHT] if words[0] == "tile-label" and "--segmenter" not in words else words


def table(title):
    """First column, in backquotes, of the table below a mark on the page about the product."""
    text = BY_NAME["docs/reference/product.md"].text.split(f"<!-- {title} -->\n")[1].strip()
    return re.findall(r"^\| `([^`]+)`", text.split("\n\n")[0], re.MULTILINE)


def test_the_page_about_the_product_is_that_of_a_product(geoalps, tmp_path):
    assert geoalps("-q", "sample", "made.tif", "--size", 512, cwd=tmp_path).code == 0
    assert geoalps("-q", "tile-label", "made.tif", "-k", 4, *LIGHT, cwd=tmp_path).code == 0
    assert geoalps("-q", "relabel", "made_labels", "--dissolve", cwd=tmp_path).code == 0
    product = tmp_path / "made_labels"
    files = re.findall(
        r"^\| `([^`]+)`", BY_NAME["docs/reference/product.md"].text.split("## labels.gpkg")[0], re.MULTILINE
    )
    assert {name.rstrip("/") for name in files} == {path.name for path in product.iterdir()}
    with closing(sqlite3.connect(product / "labels.gpkg")) as database:
        for layer in ("objects", "classes"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({layer})")]
            assert table(f"columns of {layer}") == [name for name in columns if name not in ("fid", "geom")]
    header = (product / "classes.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert table("columns of classes.csv") == header.split(",")
    assert sorted(table("keys of run.json")) == sorted(json.loads((product / "run.json").read_text(encoding="utf-8")))
