"""Which geoalps the plugin runs: what is found, in what surroundings, and what is said when there is none."""

import os
import sys
from pathlib import Path

import pytest
from geoalps_processing.environment import (
    OLDEST,
    SETTING,
    ProgramError,
    ask_version,
    clean_environment,
    find_command,
    program,
    version_numbers,
)
from hypothesis import given
from hypothesis import strategies as st

import geoalps

ANSWER = 'print("geoalps, version 9.8.7")'
NOWHERE = Path("/nowhere")


def executable(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["bin/geoalps", "geoalps", "Scripts/geoalps.exe"])
def test_a_folder_of_an_environment_with_the_program(tmp_path, name):
    there = executable(tmp_path / name)
    executable(tmp_path / "bin/python3")
    assert find_command(str(tmp_path), {}, NOWHERE) == (str(there),)


@pytest.mark.parametrize("name", ["bin/python", "bin/python3", "python.exe", "Scripts/python.exe"])
def test_a_folder_of_an_environment_with_a_python(tmp_path, name):
    there = executable(tmp_path / name)
    assert find_command(str(tmp_path), {}, NOWHERE) == (str(there), "-m", "geoalps")


@pytest.mark.parametrize("name", ["python", "python3", "python3.12", "Python.EXE", "pypy3"])
def test_a_python(tmp_path, name):
    there = executable(tmp_path / name)
    assert find_command(str(there), {}, NOWHERE) == (str(there), "-m", "geoalps")


def test_the_program_itself_also_in_quotes_and_under_any_name(tmp_path):
    there = executable(tmp_path / "run geoalps.sh")
    assert find_command(f' "{there}" ', {}, NOWHERE) == (str(there),)


def test_the_variable_is_stronger_than_the_setting(tmp_path):
    one, other = executable(tmp_path / "one"), executable(tmp_path / "other")
    assert find_command(str(one), {"GEOALPS_PROGRAM": str(other)}, NOWHERE) == (str(other),)
    assert find_command(str(one), {"GEOALPS_PROGRAM": " "}, NOWHERE) == (str(one),)


@pytest.mark.parametrize("place", [".local/bin/geoalps", ".local/share/uv/tools/geoalps/bin/geoalps",
                                   ".local/share/pipx/venvs/geoalps/bin/geoalps", "miniforge3/envs/geoalps/bin/geoalps",
                                   "geoalps/bin/geoalps"])  # fmt: skip
def test_usual_places_are_searched(tmp_path, place):
    executable(tmp_path / ".local/bin/python3")  # a Python alone says nothing
    there = executable(tmp_path / place)
    assert find_command("", {"PATH": ""}, tmp_path) == (str(there),)


def test_the_path_comes_before_usual_places(tmp_path):
    executable(tmp_path / ".local/bin/geoalps")
    there = executable(tmp_path / "first/geoalps")
    assert find_command("", {"PATH": str(tmp_path / "first")}, tmp_path) == (str(there),)


def test_what_is_wrong_is_said_in_one_line_with_the_way_out(tmp_path):
    (plain := tmp_path / "plain").write_text("x")
    (tmp_path / "empty").mkdir()
    cases = {
        "": "not set and was not found",
        str(tmp_path / "none"): "does not exist",
        str(tmp_path / "empty"): "holds neither geoalps nor a Python",
        str(plain): "cannot be executed",
    }
    for setting, expected in cases.items():
        with pytest.raises(ProgramError) as caught:
            find_command(setting, {"PATH": ""}, NOWHERE)
        said = str(caught.value)
        assert expected in said
        assert "\n" not in said
        assert "give" in said
    with pytest.raises(ProgramError, match=r"which GEOALPS_PROGRAM names for geoalps, does not exist"):
        find_command(str(plain), {"GEOALPS_PROGRAM": "/nowhere/geoalps"}, NOWHERE)


def test_the_version_of_the_real_one():
    found = program(sys.executable, {**os.environ, "GEOALPS_PROGRAM": ""})
    assert found.version == geoalps.__version__
    assert found.command == (sys.executable, "-m", "geoalps")
    assert version_numbers(found.version) >= OLDEST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('print("hello")', "is not a working geoalps: --version said: hello"),
        ("raise SystemExit(3)", "is not a working geoalps: --version said: nothing"),
        ('print("geoalps, version 9.9"); raise SystemExit(1)', "is not a working geoalps"),
        ("import no_such_module", "ModuleNotFoundError"),
        ('print("geoalps, version 0.0.9")', "is geoalps 0.0.9, and this plugin needs 0.1.0 or later; update it"),
    ],
)
def test_a_program_that_is_no_geoalps(program, text, said):
    with pytest.raises(ProgramError) as caught:
        ask_version((str(program(text)),), os.environ)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_python_without_geoalps(program):
    python = program("import sys; sys.exit(f'{sys.executable}: No module named geoalps')", "python3")
    with pytest.raises(ProgramError, match=r"geoalps is not installed in the environment of .*pip install geoalps"):
        ask_version((str(python), "-m", "geoalps"), os.environ)


def test_a_file_that_does_not_start(tmp_path):
    broken = executable(tmp_path / "geoalps")
    broken.write_text("#!/no/such/interpreter\n")
    with pytest.raises(ProgramError, match="cannot be started") as caught:
        ask_version((str(broken),), os.environ)
    assert SETTING in str(caught.value)


@pytest.mark.parametrize(("text", "numbers"), [("0.1.0", (0, 1, 0)), ("1.2rc1", (1, 2)), ("2.0.dev0+g1", (2, 0))])
def test_versions(text, numbers):
    assert version_numbers(text) == numbers


FOREIGN = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "PROJ_LIB", "PROJ_DATA", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
           "DYLD_INSERT_LIBRARIES", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM", "QGIS_PREFIX_PATH", "OSGEO4W_ROOT",
           "GDAL_DRIVER_PATH", "__PYVENV_LAUNCHER__", "FORCE_COLOR", "COLUMNS")  # fmt: skip
OWN = ("PATH", "HOME", "http_proxy", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
       "GDAL_HTTP_HEADERS", "GDAL_CACHEMAX", "SSL_CERT_FILE", "LANG", "TMPDIR", "HF_HOME", "SYSTEMROOT")  # fmt: skip


@given(foreign=st.sets(st.sampled_from(FOREIGN)), own=st.sets(st.sampled_from(OWN)))
def test_what_is_qgis_goes_and_what_is_the_users_stays(foreign, own):
    cleaned = clean_environment({name: name.lower() for name in foreign | own})
    assert not set(cleaned) & set(FOREIGN)
    assert {name: value for name, value in cleaned.items() if name in OWN} == {name: name.lower() for name in own}
    assert cleaned["GEOALPS_PROGRESS"] == "json"
