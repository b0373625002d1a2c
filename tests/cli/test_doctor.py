"""The doctor on machines that are well and on machines that are not, each made ill in one way."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from geoalps.cli.doctor import command
from geoalps.io import health, installed, machine
from geoalps.models import health as models_health

CODE = "from geoalps.cli.doctor import command; command()"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "cache"))


def doctor(*arguments, quiet=False):
    """Its findings by subject, as JSON, and the exit code."""
    done = CliRunner().invoke(command, ["--json", *arguments], obj={"quiet": quiet, "verbose": 0})
    assert done.exit_code in (0, 1), done.output
    found = json.loads(done.stdout)
    assert all("\n" not in value for finding in found for value in finding.values())
    assert all(finding["way_out"] for finding in found if finding["mark"] != "ok"), found
    return {finding["subject"]: finding for finding in found}, done.exit_code


def ill(code=1, mark="wrong", **settings):
    """The one subject that is not ok, and what is said of it."""
    found, exit_code = doctor("--no-run", **settings)
    assert exit_code == code
    subjects = [subject for subject, finding in found.items() if finding["mark"] == mark]
    assert len(subjects) == 1, found
    return subjects[0], found[subjects[0]]


def process(*arguments, **environment):
    """The doctor in a process of its own."""
    started = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(started, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_whole_machine_is_well_and_labels_a_scene():
    found, code = doctor()
    assert code == 0, found
    assert [finding for finding in found.values() if finding["mark"] == "wrong"] == []
    for subject in (
        "geoalps",
        "packages",
        "torch",
        "GPU",
        "GDAL",
        "PROJ",
        "cores",
        "memory",
        "models",
        "SQLite",
        "run",
    ):
        assert subject in found
    assert " objects in 4 classes, whole, in " in found["run"]["says"]


def test_quiet_leaves_out_what_is_ok():
    found, _ = doctor("--no-run", quiet=True)
    assert all(finding["mark"] != "ok" for finding in found.values())


def test_a_line_for_every_finding_with_the_mark_first():
    done = CliRunner().invoke(command, ["--no-run"])
    *lines, last = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "note", "wrong"}
    assert len(lines) >= 14
    assert last == "all is well" or last.endswith("to note")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom geoalps.cli.doctor import command\n"
        "try:\n    command(['--help'])\nexcept SystemExit: pass\n"
        "print([n for n in ('torch', 'rasterio', 'numpy', 'packaging') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("error", ["OSError('libcudart.so.13: no such file')"])
def test_a_torch_that_cannot_be_imported_is_one_line(tmp_path, error):
    (tmp_path / "torch.py").write_text(f"raise {error}")
    done = process(PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong")]
    assert [line.split()[1] for line in wrong] == ["torch", "run"]
    assert "cannot be imported" in wrong[0]
    assert "pip install --force-reinstall torch torchvision" in wrong[0]


def test_a_torch_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert ill()[0] == "torch"


def test_a_torchvision_of_another_torch(monkeypatch):
    import torchvision

    def nms(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    subject, finding = ill()
    assert subject == "torch"
    assert "torchvision does not go with torch" in finding["says"]


@pytest.mark.parametrize("variable", ["PROJ_DATA", "PROJ_LIB"])
def test_proj_data_of_another_installation_is_named(tmp_path, variable):
    code = (
        "from geoalps.io.health import proj\nfor found in proj(): print(found.mark, found.says, found.way_out, sep='|')"
    )
    started = [sys.executable, "-c", code]
    environment = {**os.environ, variable: str(tmp_path)}
    done = subprocess.run(started, env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    mark, says, way_out = line.split("|")
    assert mark == "wrong"
    assert "finds no proj.db" in says
    assert f"{variable}={tmp_path}" in way_out
    assert way_out.endswith(f"unset {variable}")


def test_a_variable_that_does_no_harm_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_DATA", str(tmp_path))
    found, code = doctor("--no-run")
    assert code == 0
    assert found["PROJ"]["mark"] == "note"
    assert "GDAL_DATA" in found["PROJ"]["way_out"]


def test_gdal_of_two_major_versions(monkeypatch):
    import pyogrio

    monkeypatch.setattr(pyogrio, "__gdal_version__", (9, 0, 0))
    assert ill()[0] == "GDAL"


def test_a_driver_that_is_missing(monkeypatch):
    import pyogrio

    monkeypatch.setattr(pyogrio, "list_drivers", lambda: {"GPKG": "r"})
    subject, finding = ill()
    assert (subject, finding["says"]) == ("drivers", "no GPKG")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path / "file" / "below"))
    subject, finding = ill()
    assert subject == "models"
    assert "GEOALPS_CACHE" in finding["way_out"]


def test_what_the_cache_holds(tmp_path, monkeypatch):
    place = tmp_path / "cache" / "hub" / "sam2.1-tiny"
    place.mkdir(parents=True)
    (place / "sha256.json").write_bytes(b" " * 3_000_000)
    found, _ = doctor("--no-run")
    assert found["models"]["says"] == f"{tmp_path / 'cache'}, 3 MB: sam2.1-tiny"
    (tmp_path / "cache" / "sam_vit_b_01ec64.pth.part").write_text("x")
    assert "broken off" in next(models_health.cache()).says


@pytest.mark.parametrize(("free", "mark"), [(1e7, "wrong"), (1e9, "note"), (1e10, "ok")])
def test_a_small_disk(monkeypatch, free, mark):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2e10, 0, int(free)))
    assert {finding.mark for finding in health.disk()} == {mark}


def test_little_memory_and_few_cores(monkeypatch):
    small = machine.Machine(cores=8, usable_cores=1.5, memory=16 << 30, memory_limit=1 << 30, free_memory=1 << 29)
    monkeypatch.setattr(health.Machine, "look", lambda: small)
    cores, memory = health.machine()
    assert (cores.mark, memory.mark) == ("note", "wrong")
    assert cores.says.startswith("1.5 of 8")
    assert "--threads 1" in cores.way_out
    assert "this container may use 1.1 GB" in memory.says


def test_packages_that_do_not_fit(monkeypatch):
    lines = ["numpy>=99.0", "no-such-package>=1.0", "rich>=1.0; extra == 'hub'", "click>=1"]
    monkeypatch.setattr(installed, "requires", lambda _: lines)
    found = list(installed.packages())
    assert [(finding.mark, finding.way_out) for finding in found] == [
        ("wrong", "pip install 'numpy>=99.0'"),
        ("wrong", "pip install 'no-such-package>=1.0'"),
    ]
    assert f"numpy is {metadata.version('numpy')}, needed is >=99.0" in found[0].says


def test_extras_whole_in_part_and_absent(monkeypatch):
    lines = ["click>=1; extra == 'hub'", "nowhere; extra == 'notebook'", "rich; extra == 'notebook'"]
    monkeypatch.setattr(installed, "requires", lambda _: [*lines, "nowhere; extra == 'dashboard'"])
    part, told = installed.extras()
    assert (part.mark, part.subject, part.says) == ("note", "extra notebook", "nowhere missing")
    assert told.says == "installed: hub; not installed: dashboard (Dask's dashboard)"


def fake_torch(why, cuda="13.0", available=False):
    def init():
        raise RuntimeError(why)

    there = SimpleNamespace(is_available=lambda: available, init=init)
    mps = SimpleNamespace(is_available=lambda: False)
    return SimpleNamespace(cuda=there, version=SimpleNamespace(cuda=cuda), backends=SimpleNamespace(mps=mps))


@pytest.mark.parametrize(
    ("torch", "driver", "mark", "says"),
    [
        (fake_torch("The NVIDIA driver on your system is too old (found version 11040)"), True, "note", "too old"),
        (fake_torch("Found no NVIDIA driver on your system"), False, "ok", "none; all runs on the processor"),
        (fake_torch("CUDA error 999"), True, "note", "torch finds none, though there is a driver (RuntimeError: CUDA"),
        (fake_torch("", cuda=None), True, "note", "a build without CUDA"),
        (fake_torch("", cuda=None), False, "ok", "none; all runs on the processor"),
    ],
)
def test_why_there_is_no_gpu(monkeypatch, torch, driver, mark, says):
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    monkeypatch.setattr(models_health.Path, "exists", lambda _: driver)
    (found,) = models_health.accelerators()
    assert found.mark == mark
    assert says in found.says


def kernel(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_limits_of_a_container_of_version_2(tmp_path):
    group = "sys/fs/cgroup/docker/abc"
    files = {
        "proc/self/cgroup": "0::/docker/abc\n",
        f"{group}/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/docker/cpu.max": "400000 100000\n",
        f"{group}/memory.max": "1073741824\n",
        f"{group}/memory.current": "73741824\n",
        "sys/fs/cgroup/docker/memory.max": "max\n",
    }
    root = kernel(tmp_path, files)
    assert machine.cpu_quota(root) == 1.5
    assert machine.memory_limit(root) == (1073741824, 73741824)
    found = machine.Machine.look(root)
    assert found.usable_cores == min(1.5, len(os.sched_getaffinity(0)))
    assert found.free_memory == 1_000_000_000


@pytest.mark.parametrize(
    ("limit", "used", "stat"),
    [
        ("memory.max", "memory.current", "anon 500\nfile 7300\ninactive_file 600000000\nactive_file 9\n"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "inactive_file 7\ntotal_inactive_file 600000000\n",
        ),
    ],
)
def test_cached_files_of_a_container_are_free_memory(tmp_path, limit, used, stat):
    top = "sys/fs/cgroup"
    files = {f"{top}/{limit}": "1073741824\n", f"{top}/{used}": "1000000000\n"}
    root = kernel(tmp_path, {**files, f"{top}/{limit.rpartition('memory.')[0]}memory.stat": stat})
    assert machine.memory_limit(root) == (1073741824, 400_000_000)
    assert machine.Machine.look(root).free_memory == 673_741_824


def test_limits_of_a_container_of_version_1(tmp_path):
    files = {
        "proc/self/cgroup": "4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712",
    }
    root = kernel(tmp_path, files)
    assert machine.cpu_quota(root) == 2
    assert machine.memory_limit(root) == (None, 0)


def test_no_container(tmp_path):
    assert machine.cpu_quota(tmp_path) is None
    assert machine.memory_limit(tmp_path) == (None, 0)
    assert machine.Machine.look(tmp_path).memory_limit is None
