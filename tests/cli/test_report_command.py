"""``geoalps report``."""

import numpy as np
import pytest
from click.testing import CliRunner
from scenes import colours, write

import geoalps as ga
from geoalps.cli.report import command
from geoalps.errors import ProductError, SceneError
from geoalps.io.report.page import read_payload


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    scene = write(folder / "town.tif", colours((90, 110)), photometric="rgb").path
    return scene, ga.tile_label(scene, folder / "out", 3, regions_per_mpx=2500)


def invoke(*args):
    return CliRunner().invoke(command, [str(arg) for arg in args], obj={"quiet": True})


def test_it_makes_the_page_again_and_prints_its_path(made):
    page = made[1].path / "report.html"
    before = read_payload(page)
    page.unlink()
    done = invoke(made[1].path)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{page}\n"
    after = read_payload(page)
    assert after.pop("run") == made[1].run()
    before.pop("run")
    assert after == before
    assert not list(made[1].path.rglob("*.part"))


def test_bad_input_is_said_in_one_line(made, tmp_path):
    done = invoke(tmp_path)
    assert isinstance(done.exception, ProductError)
    assert "is not a product" in str(done.exception)
    (made[1].path / "work" / "painted" / "chips.parquet").unlink()
    other = write(tmp_path / "other.tif", np.zeros((3, 5, 5), np.uint8)).path
    done = invoke(made[1].path, "--scene", other)
    assert isinstance(done.exception, SceneError)
    assert "not the scene" in str(done.exception)
    assert invoke(made[1].path, "--scene", made[0]).exit_code == 0
    assert read_payload(made[1].path / "report.html")["gallery"]["chips"]
