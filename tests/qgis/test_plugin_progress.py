"""What the plugin makes of the lines of geoalps."""

import io
import json
from pathlib import Path

import pytest
from geoalps_processing.progress import WEIGHTS, Listener, Overall, Steps, Told, duration, parse, stage_line
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from geoalps.progress import WHAT, JsonLines

ROOT = Path(__file__).resolve().parents[2]


def test_geoalps_writes_what_the_plugin_reads():
    talk = Console(file=io.StringIO())
    told = JsonLines(talk)
    told.start("segment", 2)
    told.advance(2, note="well")
    told.tell("there already")
    lines = talk.file.getvalue().splitlines()
    assert [parse(line) for line in lines] == [
        Steps("segment", 0, 2, None, ""),
        Steps("segment", 2, 2, 0.0, "well"),
        Told("info", "there already"),
    ]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("", None),
        ("  ", None),
        ("segmenter: regions", Told("info", "segmenter: regions")),
        ("Warning: odd", Told("warning", "odd")),
        ("Error: no", Told("error", "no")),
        ("{not json", Told("info", "{not json")),
        ('{"other": 1}', Told("info", '{"other": 1}')),
        ('{"stage": "fit", "done": "x", "total": 2}', Told("info", '{"stage": "fit", "done": "x", "total": 2}')),
        ('{"stage": "fit", "done": null, "total": 2}', Told("info", '{"stage": "fit", "done": null, "total": 2}')),
        ('{"stage": "fit", "done": 1, "total": 2}', Steps("fit", 1, 2, None, "")),
    ],
)
def test_lines(line, event):
    assert parse(line) == event


@given(st.text())
def test_no_line_breaks_it(text):
    heard = []
    Listener("tile-label", heard.append, lambda *said: heard.append(said))(text)
    assert len(heard) <= 2


STAGES = st.sampled_from([*WEIGHTS["tile-label"], "unheard-of"])


@given(st.lists(st.tuples(STAGES, st.integers(-1, 12), st.integers(0, 10))))
def test_the_figure_never_goes_back_nor_beyond_its_ends(events):
    overall = Overall("tile-label")
    figures = [overall.at(Steps(stage, done, total, None, "")) for stage, done, total in events]
    assert figures == sorted(figures)
    assert all(0 <= figure <= 100 for figure in figures)


@pytest.mark.parametrize("command", WEIGHTS)
def test_all_stages_to_their_ends_are_all_of_it(command):
    overall = Overall(command)
    for stage in WEIGHTS[command]:
        overall.at(Steps(stage, 3, 3, 0, ""))
    assert overall.percent == pytest.approx(100)
    assert set(WEIGHTS[command]) <= set(WHAT)


def test_a_stage_is_told_at_its_ends_and_now_and_then():
    now, said = [0.0], []
    listener = Listener("tile-label", lambda _: None, lambda kind, text: said.append((kind, text)), lambda: now[0])
    for done in range(101):
        now[0] += 0.5
        listener(json.dumps({"stage": "segment", "done": done, "total": 100, "seconds_left": 50 - done / 2}))
    assert len(said) == 2 + 4
    assert said[0] == ("stage", "segment: 0 of 100 tiles, 50 s left")
    assert said[-1] == ("stage", "segment: 100 of 100 tiles")


def test_the_error_is_kept_for_the_end():
    said = []
    Listener("relabel", lambda _: None, lambda *told: said.append(told))("Error: no")
    assert said == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5000, "83 min"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_line_of_a_stage_without_a_unit():
    assert stage_line(Steps("fit", 1, 7, 3.2, "moved 1%")) == "fit: 1 of 7, 3 s left, moved 1%"
