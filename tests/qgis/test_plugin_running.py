"""geoalps as a process of the plugin: its lines, its end, and its end before its time."""

import os
import sys
import time
from pathlib import Path

import pytest
from geoalps_processing import running
from geoalps_processing.running import Finished, failure, run


def never():
    return False


def python(text):
    return [sys.executable, "-c", text]


def test_lines_come_in_order_and_both_streams_whole():
    text = "import sys\nfor n in range(20000): print('out', n); print('err', n, file=sys.stderr)\nsys.exit(7)"
    heard = []
    done = run(python(text), os.environ, heard.append, never)
    assert done == Finished(7, "".join(f"out {n}\n" for n in range(20000)), tuple(heard), False)
    assert heard == [f"err {n}" for n in range(20000)]


def test_bytes_that_are_no_text_and_arguments_that_a_shell_would_change():
    text = r"import sys; sys.stderr.buffer.write(b'\xff\xfe\n'); print(sys.argv[1:])"
    words = ["$HOME", "a b", "*", "'", '"', "; exit 3", "ü"]
    heard = []
    done = run([*python(text), *words], {**os.environ, "PYTHONUTF8": "1"}, heard.append, never)
    assert done.out == f"{words}\n"
    assert heard == ["\ufffd\ufffd"]


def test_only_the_variables_that_are_given():
    done = run(python("import os; print(os.environ.get('HIDDEN'), os.environ['SHOWN'])"), {"SHOWN": "1"}, print, never)
    assert done.out == "None 1\n"


def test_a_program_that_does_not_start_raises():
    with pytest.raises(OSError, match="No such file"):
        run(["/nowhere/geoalps"], {}, print, never)


FAMILY = """
import os, signal, subprocess, sys, time
if {deaf}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print("pids", os.getpid(), child.pid, file=sys.stderr, flush=True)
time.sleep(60)
"""
CHILD = "import signal, time; {deaf} and signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("deaf", [False, True])
def test_cancelling_ends_the_process_and_those_that_it_started(deaf, monkeypatch):
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    text, heard = FAMILY.format(deaf=deaf, child=CHILD.format(deaf=deaf)), []
    started = time.monotonic()

    def ready():  # one that is to be deaf needs a moment to become it
        return bool(heard) and (not deaf or time.monotonic() - started > 1)

    done = run(python(text), os.environ, heard.append, ready)
    assert done.cancelled
    assert done.code < 0
    pids = [int(word) for word in heard[0].split()[1:]]
    assert len(pids) == 2
    until = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_a_listener_that_fails_leaves_no_process():
    heard = []

    def fail(line):
        heard.append(line)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        run(python(FAMILY.format(deaf=False, child=CHILD.format(deaf=False))), os.environ, fail, never)
    pids = [int(word) for word in heard[0].split()[1:]]
    until = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("code", "err", "said"),
    [
        (1, ("segmenter: regions", "Error: no such file; give another"), "no such file; give another"),
        (2, ("Usage: geoalps", "", "Error: Invalid value"), "Invalid value"),
        (1, ("Error: use --overwrite",), "use --overwrite (here --overwrite is called Replace what is there)"),
        (1, ("Traceback", "ValueError: odd"), "geoalps ended with exit code 1: ValueError: odd"),
        (3, (), "geoalps ended with exit code 3"),
    ],
)
def test_what_went_wrong_is_one_line(code, err, said):
    assert failure(Finished(code, "", err, False)) == said


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("code", [-9, 137])
def test_a_process_that_was_killed_may_have_used_up_the_memory(code):
    said = failure(Finished(code, "", ("segment: 1 of 9",), False))
    assert "ended by signal 9" in said
    assert "smaller tile size" in said
    assert "goes on where it stopped" in said
