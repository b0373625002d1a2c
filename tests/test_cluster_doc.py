"""docs/cluster.md: its commands and scripts run, and give the product that one thread gives."""

import contextlib
import re
import shlex
import socket
import subprocess
import sys
import types
from pathlib import Path

import click
import distributed.cli.dask_scheduler
import distributed.cli.dask_worker
import numpy as np
import pytest
import rasterio
import yaml
from click.testing import CliRunner
from distributed import LocalCluster
from rasterio.transform import from_origin

import geoalps as ga
from geoalps.cli import main

PATH = Path(__file__).parents[1] / "docs" / "cluster.md"
PAGE = PATH.read_text(encoding="utf-8")
TILES = {"tile_size": 192, "margin": 48}
"""The page's own scenes are huge; the one made here is of six such tiles."""


def block(mark: str) -> str:
    """What stands in the fence below a comment."""
    (text,) = re.findall(rf"^<!-- {mark} -->\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return text


def commands(text: str) -> list[list[str]]:
    """Every line as words; settings of the environment before a command left out."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [[word for i, word in enumerate(line) if i or not re.match(r"[A-Z_]+=", word)] for line in lines if line]


def geoalps(arguments: list[str]) -> None:
    """Run a ``geoalps`` command of the page, on small tiles."""
    assert arguments[0] == "geoalps"
    small = [f"--{name.replace('_', '-')}={value}" for name, value in TILES.items()]
    result = CliRunner().invoke(main, [*arguments[1:], *small], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def run_script(text: str) -> dict:
    """Run a script of the page, on small tiles; its names."""
    small = "".join(f", {name}={value}" for name, value in TILES.items())
    names: dict = {"__name__": "__main__"}
    exec(text.replace("workers=client", f"workers=client{small}"), names)  # noqa: S102 - the page's own text
    return names


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The shared directory, with a scene of coloured patches."""
    folder = tmp_path_factory.mktemp("shared")
    rng = np.random.default_rng(3)
    image = rng.integers(30, 226, (3, 20, 15)).repeat(20, 1).repeat(20, 2) + rng.integers(-4, 5, (3, 400, 300))
    profile = {"driver": "GTiff", "height": 400, "width": 300, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_200_000, 0.5, 0.5)}
    with rasterio.open(folder / "ortho.tif", "w", **profile, **place) as file:
        file.write(image.astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def expected(shared):
    return ga.tile_label(shared / "ortho.tif", shared / "expected", threads=1, **TILES)


def assert_same(folder: Path, expected: ga.Product) -> None:
    """Rasters equal byte by byte, polygons and their columns row by row."""
    product = ga.Product.open(folder)
    assert product.run()["counts"] == expected.run()["counts"]
    assert expected.run()["counts"]["tiles"] == 6
    for name in ("labels.tif", "objects.tif"):
        assert (product.path / name).read_bytes() == (expected.path / name).read_bytes()
    assert product.objects().equals(expected.objects())


@pytest.fixture(scope="module")
def here(shared, tmp_path_factory):
    """The page's text for this machine, once its scheduler and workers run, in a directory of their own."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def localised(text: str) -> str:
        return text.replace("10.0.0.5", "127.0.0.1").replace("8786", port).replace("/shared", str(shared))

    with contextlib.ExitStack() as running:
        for mark in ("run: scheduler", "run: workers"):
            ((dask, *arguments),) = commands(localised(block(mark)))
            assert dask == "dask"
            arguments = [str(elsewhere) if word == "/tmp" else word for word in arguments]  # noqa: S108
            log = running.enter_context((elsewhere / f"{arguments[0]}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments], cwd=elsewhere, stdout=log, stderr=subprocess.STDOUT
            )
            running.callback(process.wait, 20)
            running.callback(process.terminate)
        yield localised


def test_threads_and_processes(shared, expected, monkeypatch):
    monkeypatch.chdir(shared)
    for command in commands(block("run: one machine")):
        geoalps(command)
    assert_same(shared / "by_threads", expected)
    assert_same(shared / "by_processes", expected)


def test_a_scheduler_and_workers_that_run_elsewhere(here, shared, expected):
    (command,) = commands(here(block("run: client")))
    geoalps(command)
    assert_same(shared / "by_cluster", expected)
    assert run_script(here(block("run: python")))["product"].path == shared / "by_client"
    assert_same(shared / "by_client", expected)


@pytest.fixture
def slurm(monkeypatch):
    """A ``dask_jobqueue`` whose jobs are this process; a dict of what it was asked for."""
    asked: dict = {}

    class Cluster(LocalCluster):
        def __init__(self, **options):
            asked.update(options)
            super().__init__(1, threads_per_worker=2, processes=False, dashboard_address=None, silence_logs=50)

        def scale(self, n=0, jobs=None):
            if jobs is None:
                super().scale(n)
            else:
                asked["jobs"] = jobs

    module = types.ModuleType("dask_jobqueue")
    module.SLURMCluster = Cluster
    monkeypatch.setitem(sys.modules, "dask_jobqueue", module)
    return asked


def test_the_slurm_script(slurm, shared, expected):
    run_script(block("run: slurm").replace("/shared", str(shared)))
    assert slurm["jobs"] > 1
    assert_same(shared / "by_slurm", expected)


def test_the_slurm_scripts_jobs(shared):
    jobqueue = pytest.importorskip("dask_jobqueue", reason="dask-jobqueue, which submits to SLURM, is not installed")
    script = block("run: slurm").replace("/shared", str(shared))
    (options,) = re.findall(r"SLURMCluster(\(.*?\n    \))\n", script, re.DOTALL)
    with eval(f"make{options}", {"make": jobqueue.SLURMCluster}) as cluster:  # noqa: S307 - the page's own text
        job = cluster.job_script()
    assert {"#SBATCH -p standard", "#SBATCH -A ACCOUNT", "#SBATCH --cpus-per-task=16", "#SBATCH -t 04:00:00"} <= {
        line.strip() for line in job.splitlines()
    }
    python, *arguments = shlex.split(job.splitlines()[-1])
    assert python == sys.executable
    assert arguments[:2] == ["-m", "distributed.cli.dask_worker"]
    asked = parse(distributed.cli.dask_worker.main, arguments[2:])
    assert (asked["n_workers"], asked["nthreads"], asked["lifetime"]) == ("8", 2, "230m")


def parse(command: click.Command, arguments: list[str]) -> dict:
    """What a command was asked for; an option that it does not have is an error."""
    above = click.Context(main, obj={"verbose": 0, "quiet": False})
    return command.make_context(str(command.name), list(arguments), parent=above).params


def parse_words(words: list[str]) -> dict:
    """As :func:`parse`, of a whole command line."""
    program, name, *arguments = words
    known = {"scheduler": distributed.cli.dask_scheduler.main, "worker": distributed.cli.dask_worker.main}
    command = main.get_command(click.Context(main), name) if program == "geoalps" else known[name]
    assert command is not None, words
    return parse(command, arguments)


def test_every_command_has_the_options_that_it_is_given():
    shells = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    found = [words for text in shells for words in commands(text) if words[0] in ("geoalps", "dask")]
    found = [words for words in found if words[1] != "cuda"]  # dask-cuda's, which is not installed here
    assert len(found) >= 7
    for words in found:
        parse_words(words)


def test_the_kubernetes_manifests_agree_with_one_another():
    cluster, job = yaml.safe_load_all(block("check: kubernetes"))
    parts = {name: cluster["spec"][name]["spec"] for name in ("scheduler", "worker")}
    parts["job"] = job["spec"]["template"]["spec"]
    ran = {name: part["containers"][0] for name, part in parts.items()}
    asked = {name: parse_words(container["args"]) for name, container in ran.items()}
    assert len({container["image"] for container in ran.values()}) == 1, "one environment"
    assert ran["worker"]["volumeMounts"] == ran["job"]["volumeMounts"], "one path"
    assert parts["worker"]["volumes"] == parts["job"]["volumes"]
    (mount,) = ran["job"]["volumeMounts"]
    files = [*asked["job"]["scenes"], str(asked["job"]["output"])]
    assert all(file.startswith(mount["mountPath"] + "/") for file in files)
    service = cluster["spec"]["scheduler"]["service"]
    (port,) = [port["port"] for port in service["ports"] if port["name"] == "tcp-comm"]
    name = cluster["metadata"]["name"]
    assert asked["job"]["scheduler"] == f"tcp://{name}-scheduler:{port}"  # the operator names the service so
    assert service["selector"] == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    ports = {port["name"] for port in ran["scheduler"]["ports"]}
    assert ports == {port["targetPort"] for port in service["ports"]}
    assert ran["scheduler"]["readinessProbe"]["httpGet"]["port"] in ports


def test_links_lead_somewhere_and_lines_are_short():
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = target.partition("#")
        assert file.startswith("https://") or (PATH.parent / file).exists(), target
        assert not anchor or anchor in anchors, target
    assert max(map(len, PAGE.splitlines())) <= 120
