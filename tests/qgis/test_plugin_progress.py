"""What the plugin makes of the lines of geoalps."""

import io
import json
import os
import subprocess
import sys
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


STAGES = st.sampled_from([*WEIGHTS["tile-label"][0], "unheard-of"])


@given(st.lists(st.tuples(STAGES, st.integers(-1, 12), st.integers(0, 10))))
def test_the_figure_never_goes_back_nor_beyond_its_ends(events):
    overall = Overall("tile-label")
    figures = [overall.at(Steps(stage, done, total, None, "")) for stage, done, total in events]
    assert figures == sorted(figures)
    assert all(0 <= figure <= 100 for figure in figures)


def geoalps(*words, cwd=None):
    """The steps that a run tells as JSON lines."""
    environ = {**os.environ, "GEOALPS_PROGRESS": "json", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "geoalps", *map(str, words)]
    done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [event for event in map(parse, done.stderr.splitlines()) if isinstance(event, Steps)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of a made scene, its truth and a product of it, steps of the run that made it)."""
    folder = tmp_path_factory.mktemp("steps")
    geoalps("sample", folder / "town.tif", "--size", "512")
    return folder, geoalps("tile-label", folder / "town.tif", "-o", folder / "first", "-k", "3")


RUNS = {
    "of a class model": "tile-label town.tif -o second --class-model first",
    "adapted": "tile-label town.tif -o third --class-model first --adapt",
    "relabel": "relabel first --reset",
    "dissolve": "relabel first --reset --dissolve",
    "evaluate": "evaluate first town_class.tif",
    **{form: f"export first -f {form} -o {form}" for form in ("geoparquet", "coco", "mmseg", "sgo", "stac")},
}


@pytest.mark.parametrize("name", ["tile-label", *RUNS])
def test_a_real_run_ends_at_100_and_every_stage_of_it_is_known(made, name):
    folder, steps = made
    words = RUNS.get(name, name).split()
    if name in RUNS:
        steps = geoalps(*words, cwd=folder)
    known = {stage for way in WEIGHTS[words[0]] for stage in way}
    assert {step.stage for step in steps} <= known
    overall = Overall(words[0])
    figures = [overall.at(step) for step in steps]
    assert figures[0] < 100
    assert figures[-1] == pytest.approx(100)
    assert known <= set(WHAT)


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
