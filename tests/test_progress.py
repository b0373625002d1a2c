"""Progress for a program: one JSON object a line, whatever else is on the stream."""

import io
import json
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from geoalps import progress as module
from geoalps.errors import OptionError
from geoalps.progress import WHAT, Bars, JsonLines, Lines, progress_for


def console(width=40, **settings):
    return Console(file=io.StringIO(), width=width, **settings)


def lines(talk):
    return [json.loads(line) for line in talk.file.getvalue().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_stage_is_told_from_its_start_to_its_last_step(clock):
    talk = console()
    with JsonLines(talk) as told:
        told.start("segment", 4)
        for _ in range(4):
            clock[0] += 2
            told.advance(note="well")
    assert lines(talk) == [
        {"stage": "segment", "done": 0, "total": 4, "seconds_left": None, "note": ""},
        {"stage": "segment", "done": 1, "total": 4, "seconds_left": 6.0, "note": "well"},
        {"stage": "segment", "done": 2, "total": 4, "seconds_left": 4.0, "note": "well"},
        {"stage": "segment", "done": 3, "total": 4, "seconds_left": 2.0, "note": "well"},
        {"stage": "segment", "done": 4, "total": 4, "seconds_left": 0.0, "note": "well"},
    ]


@given(steps=st.lists(st.tuples(st.integers(1, 3), st.floats(0, 0.2)), min_size=1, max_size=50))
def test_lines_are_rare_and_the_last_step_is_told(steps):
    now, talk = [0.0], console()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "monotonic", lambda: now[0])
        told = JsonLines(talk)
        told.start("paint", sum(count for count, _ in steps))
        for count, seconds in steps:
            now[0] += seconds
            told.advance(count)
    found = lines(talk)
    assert found[-1]["done"] == found[-1]["total"] == sum(count for count, _ in steps)
    assert [line["done"] for line in found] == sorted({line["done"] for line in found})
    assert len(found) <= 2 + now[0] / module.JSON_EVERY


@given(text=st.text())
def test_any_text_is_one_line_of_ascii(text):
    talk = console(width=10, markup=True, emoji=True)
    JsonLines(talk).tell(text)
    assert talk.file.getvalue().isascii()
    assert talk.file.getvalue().count("\n") == 1
    assert lines(talk) == [{"tell": text}]


def test_a_stage_without_steps_or_with_more_than_it_said_divides_by_nothing():
    talk = console()
    told = JsonLines(talk)
    told.start("fit", 0)
    told.advance(0)
    told.advance(2)
    assert [line["seconds_left"] for line in lines(talk)] == [None, 0, 0]


def test_threads_do_not_mix_their_lines(monkeypatch):
    monkeypatch.setattr(module, "JSON_EVERY", 0)
    talk = console()
    told = JsonLines(talk)
    told.start("segment", 400)
    threads = [threading.Thread(target=lambda: [told.advance() for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line["done"] for line in lines(talk)] == list(range(401))


def test_quiet_is_quiet():
    talk = console(quiet=True)
    told = JsonLines(talk)
    told.start("segment", 1)
    told.advance()
    told.tell("something")
    assert talk.file.getvalue() == ""


def test_the_environment_chooses(monkeypatch):
    monkeypatch.delenv("GEOALPS_PROGRESS", raising=False)
    assert isinstance(progress_for(console()), Lines)
    assert isinstance(progress_for(console(force_terminal=True)), Bars)
    monkeypatch.setenv("GEOALPS_PROGRESS", "json")
    assert isinstance(progress_for(console()), JsonLines)
    assert isinstance(progress_for(console(force_terminal=True)), JsonLines)
    monkeypatch.setenv("GEOALPS_PROGRESS", "xml")
    with pytest.raises(OptionError, match="GEOALPS_PROGRESS=xml is not known; set it to json, or unset it"):
        progress_for(console())


def test_a_command_tells_its_progress_as_json(tmp_path):
    command = [sys.executable, "-m", "geoalps", "sample", str(tmp_path / "made.tif"), "--size", "512", "--no-truth"]
    environment = {**os.environ, "GEOALPS_PROGRESS": "json"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[0]["done"] == 0
    assert events[-1]["stage"] == "sample"
    assert events[-1]["done"] == events[-1]["total"] > 0
    assert {event["stage"] for event in events} <= set(WHAT)
