"""Which geoalps runs, and in which surroundings: the user's environment, not QGIS's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "GEOALPS_PROGRAM"
"""Environment variable that says where geoalps is; stronger than the setting."""
SETTING = "Settings > Options > Processing > Providers > geoalps"
"""Where a user sets it."""
OLDEST = (0, 1, 0)
"""The first version that has all options which the algorithms give."""
START_SECONDS = 120
"""How long ``geoalps --version`` may take; the first start on a slow disk takes its time."""
WINDOWS = os.name == "nt"
NO_WINDOW = 0x08000000 if WINDOWS else 0
"""Windows' CREATE_NO_WINDOW: no console comes up."""

_FOREIGN = re.compile(
    r"PYTHON(?!WARNINGS)\w*|__PYVENV_LAUNCHER__|GDAL_DATA|GDAL_DRIVER_PATH|GDAL_PYTHON_DRIVER_PATH|OGR_DRIVER_PATH"
    r"|PROJ_LIB|PROJ_DATA|GEOTIFF_CSV|LD_LIBRARY_PATH|LD_PRELOAD|DYLD_\w+|QT_\w+|QML\w*_IMPORT_PATH|QGIS\w*|OSGEO4W\w*"
    r"|O4W_\w+|GISBASE|GRASS_\w+|FORCE_COLOR|TTY_\w+|COLUMNS|LINES"
)
"""Variables that QGIS sets for itself and that lead another environment's wheels astray, and those of terminals."""


class ProgramError(Exception):
    """geoalps cannot be started; the text is one line with the way out."""


@dataclass(frozen=True)
class Program:
    """A geoalps that answered."""

    command: tuple[str, ...]
    """What a command line begins with."""
    version: str
    """As it says itself."""


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for geoalps: without what QGIS sets for itself, with what makes its output readable for us.

    Proxies, ``AWS_*``, ``CUDA_*``, GDAL's options and all else that is the user's stays.
    """
    kept = {name: value for name, value in environ.items() if not _FOREIGN.fullmatch(name.upper())}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "GEOALPS_PROGRESS": "json"}


def find_command(setting: str, environ: Mapping[str, str], home: Path) -> tuple[str, ...]:
    """What a command line of geoalps begins with.

    Args:
        setting: path of the program, of a Python or of an environment's folder; empty searches.
        environ: variables of this process.
        home: the user's directory.

    Raises:
        ProgramError: it is not set and not found, not there, or cannot be executed.
    """
    named = environ.get(VARIABLE, "").strip() or (setting or "").strip()
    if named:
        return _command_at(named, VARIABLE if environ.get(VARIABLE, "").strip() else "the setting")
    found = shutil.which("geoalps", path=environ.get("PATH", ""))
    if found:
        return (found,)
    for folder in usual_places(environ, home):
        command = _in_folder(folder)
        if command and command[-1] != "geoalps":  # a Python there need not have geoalps
            return command
    raise ProgramError(
        f"geoalps is not set and was not found; give the folder of the environment it is installed in ({SETTING}, or "
        f"the variable {VARIABLE}); if there is none: python -m venv ENV, then ENV's pip install geoalps"
    )


def usual_places(environ: Mapping[str, str], home: Path) -> Iterable[Path]:
    """Folders of environments where people have geoalps, likelier ones first."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PIPX_HOME"):
        if environ.get(name):
            yield Path(environ[name], *(("venvs", "geoalps") if name == "PIPX_HOME" else ()))
    yield home / ".local"
    for tools in (".local/share/pipx/venvs", ".local/pipx/venvs", "pipx/venvs", ".local/share/uv/tools"):
        yield home / tools / "geoalps"
    if environ.get("APPDATA"):
        yield Path(environ["APPDATA"], "uv", "tools", "geoalps")
    for name in ("geoalps", ".venvs/geoalps", ".virtualenvs/geoalps", ".venv", "venv"):
        yield home / name
    for conda in ("miniforge3", "mambaforge", "miniconda3", "anaconda3", ".conda", "micromamba"):
        yield home / conda / "envs" / "geoalps"
        yield home / conda


def _command_at(named: str, by: str) -> tuple[str, ...]:
    """The command for a path that the user gave."""
    path = Path(named.strip("\"'")).expanduser()
    if not path.exists():
        raise ProgramError(
            f"{path}, which {by} names for geoalps, does not exist; give the geoalps program, a Python, or the folder "
            f"of an environment ({SETTING})"
        )
    if path.is_dir():
        command = _in_folder(path)
        if command is None:
            raise ProgramError(
                f"{path}, which {by} names, holds neither geoalps nor a Python ({_expected()}); give the folder of "
                "the environment that geoalps is installed in"
            )
        return command
    if not os.access(path, os.X_OK):
        raise ProgramError(f"{path}, which {by} names for geoalps, cannot be executed; give the program itself")
    return (str(path), "-m", "geoalps") if _is_python(path) else (str(path),)


def _in_folder(folder: Path) -> tuple[str, ...] | None:
    """The command in an environment's folder: geoalps itself, or else its Python."""
    ends = ("Scripts", "bin", ".") if WINDOWS else ("bin", ".", "Scripts")
    for name in ("geoalps.exe", "geoalps"):
        for end in ends:
            if _runs(folder / end / name):
                return (str(folder / end / name),)
    for name in ("python.exe", "python3", "python"):
        for end in ends:
            if _runs(folder / end / name):
                return (str(folder / end / name), "-m", "geoalps")
    return None


def _expected() -> str:
    return "Scripts\\geoalps.exe" if WINDOWS else "bin/geoalps"


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_python(path: Path) -> bool:
    return re.fullmatch(r"(python|pypy)[\d.]*(\.exe)?", path.name.lower()) is not None


def ask_version(command: tuple[str, ...], environ: Mapping[str, str]) -> Program:
    """Start ``geoalps --version``.

    Raises:
        ProgramError: it does not start, is not geoalps, or is too old.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 - what the user named, without a shell
            [*command, "--version"], env=clean_environment(environ), stdin=subprocess.DEVNULL, capture_output=True,
            encoding="utf-8", errors="replace", timeout=START_SECONDS, check=False, creationflags=NO_WINDOW,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ProgramError(
            f"{shown} --version did not answer within {START_SECONDS} s; try it in a terminal, and set another "
            f"environment ({SETTING})"
        ) from error
    except OSError as error:
        raise ProgramError(
            f"{shown} cannot be started ({error.strerror or error}); set another environment ({SETTING})"
        ) from error
    said = _last_line(done.stdout) or _last_line(done.stderr) or "nothing"
    match = re.search(r"\bgeoalps, version (\S+)", done.stdout)
    if done.returncode or not match:
        raise ProgramError(_not_geoalps(command, said))
    version = match.group(1)
    if version_numbers(version) < OLDEST:
        raise ProgramError(
            f"{shown} is geoalps {version}, and this plugin needs {'.'.join(map(str, OLDEST))} or later; update it: "
            "pip install --upgrade geoalps"
        )
    return Program(command, version)


def _not_geoalps(command: tuple[str, ...], said: str) -> str:
    """One line for a program that did not answer as geoalps does."""
    shown = " ".join(command)
    if "No module named" in said and "geoalps" in said:
        return f"geoalps is not installed in the environment of {command[0]}; there: python -m pip install geoalps"
    return f"{shown} is not a working geoalps: --version said: {said[:300]}; set another environment ({SETTING})"


def version_numbers(version: str) -> tuple[int, ...]:
    """``0.1.0`` as numbers; a suffix such as ``rc1`` or ``.dev0`` does not count."""
    return tuple(int(part) for part in re.match(r"[\d.]*", version).group().strip(".").split(".") if part)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def program(setting: str, environ: Mapping[str, str] | None = None, home: Path | None = None) -> Program:
    """The geoalps to run, found and asked for its version.

    Raises:
        ProgramError: see :func:`find_command` and :func:`ask_version`.
    """
    environ = os.environ if environ is None else environ
    return ask_version(find_command(setting, environ, home or Path.home()), environ)


def describe() -> str:
    """This process, for reports of faults: its system and Python."""
    return f"{sys.platform}, QGIS's Python {sys.version.split()[0]}"
