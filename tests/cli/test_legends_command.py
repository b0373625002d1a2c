"""``geoalps legends``, as a process and on a made terminal."""

import csv
import re

import pytest
import rich.console
from click.testing import CliRunner

from geoalps.cli import main
from geoalps.io.legends import LEGENDS, legend
from geoalps.io.palettes import hex_colour


def test_the_list_has_every_legend(geoalps):
    done = geoalps("legends")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.out.splitlines()
    assert head.split() == ["NAME", "CLASSES", "TITLE"]
    assert [line.split()[0] for line in lines] == list(LEGENDS)
    assert [int(line.split()[1]) for line in lines] == [len(legend(name).entries) for name in LEGENDS]


@pytest.mark.parametrize("name", LEGENDS)
def test_csv_reads_back_the_same(geoalps, name):
    done = geoalps("legends", name, "--csv")
    assert (done.code, done.err) == (0, "")
    head, *rows = csv.reader(done.out.splitlines())
    assert head == ["code", "name", "colour"]
    assert [tuple(row) for row in rows] == [(e.code, e.class_name, e.colour) for e in legend(name).entries]


def test_the_list_as_csv(geoalps):
    rows = list(csv.DictReader(geoalps("legends", "--csv").out.splitlines()))
    assert [(row["name"], row["title"]) for row in rows] == [(name, legend(name).title) for name in LEGENDS]


def test_a_table_has_one_line_a_class_and_no_escapes_in_a_pipe(geoalps):
    done = geoalps("legends", "corine")
    one = legend("corine")
    title, source, empty, head, *lines = done.out.splitlines()
    assert (title, source, empty) == (one.title, f"Source: {one.source}", "")
    assert head.split() == ["CODE", "NAME", "COLOUR"]
    found = [re.fullmatch(r"(\S+) +(\S.*\S) +(#\w{6})", line).groups() for line in lines]
    assert found == [(e.code, e.class_name, e.colour) for e in one.entries]
    assert "\x1b" not in done.out


def test_swatches_where_the_terminal_has_colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    out = CliRunner().invoke(main, ["legends", "worldcover"]).output
    swatches = re.findall(r"\x1b\[48;2;(\d+);(\d+);(\d+)m    \x1b\[0m", out)
    assert [hex_colour(found) for found in swatches] == [entry.colour for entry in legend("worldcover").entries]


def test_the_wish_for_no_colours_is_heeded(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert rich.console.Console().no_color
    out = CliRunner().invoke(main, ["legends", "worldcover"]).output
    assert "\x1b[48" not in out


def test_an_unknown_legend_is_one_line(geoalps):
    done = geoalps("legends", "worldcove")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: there is no legend 'worldcove'; did you mean worldcover?")
    assert done.err.count("\n") == 1


def test_help_has_examples(geoalps):
    done = geoalps("legends", "--help")
    assert done.code == 0
    assert "geoalps legends corine --csv > corine.csv" in done.out
