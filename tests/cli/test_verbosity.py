"""-v and -q: before the command or behind it, the same."""

import warnings

import pytest
from click.testing import CliRunner
from scenes import plain

import geoalps.cli.info
from geoalps.cli import main
from geoalps.cli.main import COMMANDS
from geoalps.errors import GeoalpsWarning


@pytest.fixture
def warned(monkeypatch):
    """What ``geoalps ARGS`` writes to stderr, ``info`` being a command that warns, and so is a library it uses."""

    def describe(path):
        warnings.warn("of a library", UserWarning, stacklevel=1)
        warnings.warn("of geoalps", GeoalpsWarning, stacklevel=1)
        raise ValueError(path)

    def run(*args):
        with warnings.catch_warnings():
            warnings.resetwarnings()
            done = CliRunner().invoke(main, args)
        assert (done.exit_code, done.stdout) == (1, "")
        return done.stderr.splitlines()

    monkeypatch.setattr(geoalps.cli.info, "_describe", describe)
    return run


OURS, THEIRS = "Warning: of geoalps", "Warning: of a library"
BOTH_WAYS = ["{} info x", "info {} x", "info x {}", "{} info x {}"]


def lines(way, options):
    return way.replace("{}", options).split()


def test_without_either_only_our_warnings_show(warned):
    assert warned("info", "x")[:-1] == [OURS]


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_quiet(warned, way):
    said = warned(*lines(way, "-q"))
    assert len(said) == 1
    assert said[0].startswith("Error: ")


@pytest.mark.parametrize("options", ["-v", "--verbose", "-v -v", "-q -v", "-v -q", "-qv"])
@pytest.mark.parametrize("way", BOTH_WAYS)
def test_verbose(warned, way, options):
    said = warned(*lines(way, options))
    assert said[:3] == [THEIRS, OURS, "Traceback (most recent call last):"]
    assert said[-2:-1] == ["ValueError: x"]
    assert said[-1].startswith("Error: ")


def test_one_place_each(warned):
    assert warned("-q", "info", "x", "-v") == warned("-v", "info", "x", "-q") == warned("-v", "info", "x")


def test_one_call_does_not_change_the_next(warned):
    before = warned("info", "x")
    assert len(warned("info", "x", "-q")) < len(before) < len(warned("info", "x", "-v"))
    assert warned("info", "x") == before


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_both_once(command):
    for _ in range(2):
        shown = CliRunner().invoke(main, [command, "--help"]).stdout
        assert shown.count("-v, --verbose") == shown.count("-q, --quiet") == 1


def test_wrong_usage_stays_wrong_usage():
    done = CliRunner().invoke(main, ["info", "-q", "x", "--nonsense"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("Error: No such option")


def test_as_a_process(geoalps, tmp_path):
    scene = plain(tmp_path / "scene.tif", (60, 60), crs=None)
    run = ("segment", scene.path, "-o", tmp_path / "store", "--overwrite")
    quiet, talking = geoalps(*run, "-q"), geoalps(*run)
    assert (quiet.code, quiet.err) == (0, "")
    assert "Warning: " in talking.err
    assert quiet.out == talking.out == f"{tmp_path / 'store'}\n"


def test_rasterio_knows_the_command_by_its_name():
    from rasterio.rio.main import main_group

    done = CliRunner().invoke(main_group, ["geoalps", "sample", "--help"])
    assert done.exit_code == 0
    assert "geoalps sample made.tif" in done.stdout
