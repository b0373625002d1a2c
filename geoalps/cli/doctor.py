"""``geoalps doctor``: whether all that geoalps needs is here and works."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

if TYPE_CHECKING:
    from geoalps.findings import Finding

COLOURS = {"ok": "green", "note": "yellow", "wrong": "bold red"}
REINSTALL = "pip install --force-reinstall"


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a report of an error.")
@click.option("--no-run", is_flag=True, help="Leave out the tiny run at the end.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, no_run: bool) -> None:
    """Look at this installation and this machine, and say what is not well and the way out.

    A line for every matter, marked ok, note (works, but may surprise) or wrong; with -q only those that are not ok. At
    the end a made scene of 256 pixels is labelled and checked. Nothing is fetched from a network. The exit code is 1
    when something is wrong.

    \b
    Examples:
      geoalps doctor
      geoalps doctor --json > doctor.json
    """  # noqa: D301 - click wants the backspace itself
    quiet = bool(ctx.obj and ctx.obj["quiet"])
    found = []
    talk = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for finding in findings(run=not no_run):
        found.append(finding)
        if not as_json and not (quiet and finding.mark == "ok"):
            _print(talk, finding)
    if as_json:
        shown = [finding for finding in found if not (quiet and finding.mark == "ok")]
        click.echo(json.dumps([finding.to_json() for finding in shown], indent=2))
    wrong = sum(finding.mark == "wrong" for finding in found)
    if not as_json and not quiet:
        notes = sum(finding.mark == "note" for finding in found)
        talk.print(f"{wrong} wrong, {notes} to note" if wrong or notes else "all is well")
    sys.exit(1 if wrong else 0)


def _print(talk: Console, finding: Finding) -> None:
    """One line: the mark, the subject, what was seen, and the way out."""
    from rich.text import Text

    line = Text(f"{finding.mark:<6}", style=COLOURS[finding.mark])
    line.append(f"{finding.subject:<10} ", style="bold")
    line.append(finding.says, style="default")
    if finding.way_out:
        line.append(f"; {finding.way_out}", style="default")
    talk.print(line)


def findings(run: bool = True) -> Iterator[Finding]:
    """All findings in their order, each as it is made.

    Args:
        run: also label a tiny scene.
    """
    from geoalps.findings import look

    for subject, check, way_out in (*_checks(), *([("run", _run, "see what is wrong above")] if run else [])):
        yield from look(subject, check, way_out)


def _checks() -> Iterator[tuple[str, Callable[[], Iterable[Finding]], str]]:
    """(subject, check, way out when the check itself fails); each imports what it looks at when it is called."""
    yield "geoalps", _itself, ""
    yield "packages", lambda: _of("io.installed").packages(), f"{REINSTALL} geoalps, from its checkout or wheel"
    yield "torch", lambda: _of("models.health").torch_pair(), f"{REINSTALL} torch torchvision"
    yield "GPU", lambda: _of("models.health").accelerators(), "--device cpu"
    yield "GDAL", lambda: _of("io.health").gdal(), f"{REINSTALL} rasterio pyogrio"
    yield "PROJ", lambda: _of("io.health").proj(), f"{REINSTALL} rasterio pyproj"
    yield "memory", lambda: _of("io.health").machine(), f"{REINSTALL} psutil"
    yield "disk", lambda: _of("io.health").disk(), "change to a directory that is there"
    yield "models", lambda: _of("models.health").cache(), "set GEOALPS_CACHE to a directory that can be read"
    yield "extras", lambda: _of("io.installed").extras(), f"{REINSTALL} geoalps, from its checkout or wheel"
    yield "SQLite", lambda: _of("io.health").sqlite(), "use a Python with a working sqlite3"
    yield "encoding", lambda: _of("io.health").encoding(), "set PYTHONUTF8=1"


def _of(module: str) -> types.ModuleType:
    """A module of ours, imported now: what it needs may be missing."""
    return import_module(f"geoalps.{module}")


def _itself() -> Iterator[Finding]:
    """Versions of geoalps and Python, and the platform."""
    from geoalps import __version__
    from geoalps.findings import Finding

    place = Path(__file__).parents[1]
    says = f"{__version__} on Python {platform.python_version()}, {platform.platform()}, in {place}"
    old = sys.version_info < (3, 11)
    yield Finding("geoalps", "wrong" if old else "ok", says, "use Python 3.11 or later" if old else "")


def _run() -> Iterator[Finding]:
    """A tiny scene through the main job, all of it checked."""
    import warnings

    from geoalps.findings import Finding
    from geoalps.labeling.trial import trial

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = trial(Path(folder))
    yield Finding("run", "ok", f"{done.objects} objects in {done.classes} classes, whole, in {done.seconds:.1f} s")
