"""The page on QGIS: its commands for qgis_process run as they stand, in their order; its links lead somewhere."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "qgis.md").read_text(encoding="utf-8")


def commands():
    """The lines of the blocks of commands."""
    for block in re.findall(r"^ *```bash\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.strip().splitlines())


def test_the_commands_run_in_their_order(qgis, town, tmp_path):
    for name in ("town.tif", "town_class.tif"):  # of the page's geoalps sample; its other commands are others' to test
        (tmp_path / name).symlink_to(town.with_name(name))
    ran = 0
    for program, *args in commands():
        if program == "qgis_process" and args != ["plugins", "enable", "geoalps_processing"]:  # as the fixture does
            qgis.process(*args, cwd=tmp_path)
            ran += 1
        assert program in ("qgis_process", "geoalps") or [program, *args] == ["python", "qgis/package.py"]
    assert ran == 5
    assert (tmp_path / "town_coco").is_dir()


def test_the_links_lead_somewhere():
    for name in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", PAGE):
        assert (DOCS / name).exists(), name


def test_parameters_of_the_page_are_those_of_the_algorithms(qgis):
    found = qgis.inside("parameters")
    lines = [line for line in commands() if line[:2] == ["qgis_process", "run"]]
    assert len(lines) == 5
    for line in lines:
        assert {word[2:].split("=")[0] for word in line[3:]} <= set(found[line[2]])
    assert all(text for helps in found.values() for text in helps.values())  # every one has a help text
