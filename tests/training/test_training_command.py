"""``python -m geoalps.training``: a process that leaves two files that load, or nothing."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from geoalps.errors import OptionError, WorkerError
from geoalps.models.affinity_net import load_net
from geoalps.models.choice import Scorer
from geoalps.models.regions import RegionSegmenter
from geoalps.sample.chips import made_chip
from geoalps.training.__main__ import command
from geoalps.training.processes import in_order

TINY = ("--chips", "3", "--steps", "2", "--scenes", "2")
FILES = ["affinity_net.safetensors", "choice.json"]


def run(*arguments, cwd):
    """The command with one thread."""
    line = [sys.executable, "-m", "geoalps.training", *map(str, arguments), "--threads", "1"]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with the weights of a tiny run, and the run."""
    place = tmp_path_factory.mktemp("trained")
    return place / "weights", run("-o", place / "weights", *TINY, cwd=place)


def test_the_command_writes_files_that_load_and_segment(trained):
    output, done = trained
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert {path.stat().st_mode & 0o777 for path in output.iterdir()} == {0o644}
    assert "scorer: 6 of 6 passes" in done.stderr
    assert str(output) in done.stdout
    assert done.stdout.count("\n") == 1
    chip = made_chip(1, 128)
    segments, _ = RegionSegmenter(weights=str(output)).segment(chip.image, np.ones((128, 128), bool))
    assert segments.areas.sum() == 128 * 128


def test_the_files_say_how_they_were_made(trained):
    from safetensors import safe_open

    output, _ = trained
    with safe_open(output / FILES[0], "pt") as file:
        net = json.loads(file.metadata()["record"])
    scorer = json.loads((output / FILES[1]).read_text())["training"]
    assert net["seeds"] == [10_000_000, 10_000_003]
    assert scorer["seeds"] == [15_000_000, 15_000_002]
    assert net["steps"] == 2
    for record in (net, scorer):
        assert record["loss"] > 0
        assert record["seconds"] >= 0
        assert record["versions"]["torch"] == torch.__version__.split("+")[0]
        assert record["seed"] == 0


def test_the_same_command_gives_the_same_weights_in_a_directory_of_its_own(trained, tmp_path):
    output, _ = trained
    done = run(*TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["regions_weights"]
    one, two = (load_net(place / FILES[0]).state_dict() for place in (output, tmp_path / "regions_weights"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    first, second = (
        Scorer.from_json((place / FILES[1]).read_text()) for place in (output, tmp_path / "regions_weights")
    )
    for (weights, bias), (others, other) in zip(first.layers, second.layers, strict=True):
        np.testing.assert_array_equal(weights, others)
        np.testing.assert_array_equal(bias, other)


def test_files_that_are_there_are_kept(trained):
    output, _ = trained
    before = [(output / name).read_bytes() for name in FILES]
    done = run("-o", output, *TINY, cwd=output)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "--overwrite" in done.stderr
    assert done.stderr.count("\n") == 1
    assert before == [(output / name).read_bytes() for name in FILES]


def test_what_goes_wrong_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("-o", tmp_path / "file" / "weights", *TINY, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_too_many_chips_for_memory_are_told_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("geoalps.training.chips.draw_chips", full)
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "weights")])
    assert done.exit_code == 1
    assert "fewer --chips" in done.output
    assert not list((tmp_path / "weights").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="interrupts are sent to a group of processes")
def test_an_interrupt_ends_all_processes_without_a_trace(tmp_path):
    line = [sys.executable, "-m", "geoalps.training", "-o", str(tmp_path), "--chips", "2000", "--threads", "2"]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)
    told = process.stderr.readline()  # the first line comes after some seconds of drawing
    os.killpg(process.pid, signal.SIGINT)
    told += process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert told.startswith("chips: ")
    assert "Aborted!" in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_results_come_in_order_from_one_process_or_two():
    assert list(in_order(abs, range(-9, 0), 2)) == list(in_order(abs, range(-9, 0), 1)) == list(range(9, 0, -1))


def test_a_process_that_dies_is_told_in_one_line():
    with pytest.raises(WorkerError, match="fewer --threads"):
        list(in_order(os._exit, [1], 2))


def test_no_workers_are_refused():
    with pytest.raises(OptionError, match="at least 1"):
        list(in_order(abs, [1], 0))
