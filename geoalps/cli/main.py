"""The ``geoalps`` command and what all its commands share: loading on demand, verbosity, errors in one line."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from geoalps import __version__
from geoalps.errors import GeoalpsError

COMMANDS = {
    "tile-label": "The main job: a scene to a finished product.",
    "segment": "First stage: a scene to a store of segments.",
    "fit": "Second stage: scenes or stores to a class model.",
    "label": "Third stage: a store and a class model to a product.",
    "suggest-classes": "How many classes there are.",
    "relabel": "Name, colour and merge the classes of a product.",
    "split": "Take one class of a product apart.",
    "name-from": "Name the classes of a product by a few labelled places.",
    "evaluate": "Hold a product against the truth.",
    "update": "A class model goes on learning from another scene.",
    "export": "A product as GeoParquet, COCO, chips or STAC item.",
    "legends": "Standard legends: names and colours of classes.",
    "info": "What a scene, a store or a product holds.",
    "report": "Make the report of a product anew.",
    "models": "Which models there are; fetch one.",
    "doctor": "Whether all that geoalps needs is here and works.",
    "completion": "What a shell needs to complete commands at TAB.",
    "sample": "Write a made aerial scene with its truth.",
    "sample-chips": "Write made chips with nested truth, for training and tests.",
}
"""Commands in the order of the flow, with the line that the list of commands shows."""


RESUMABLE = ("tile-label", "segment")
"""Commands that, given again, go on where they stopped."""
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""No space left, larger than files may be, quota used up."""


class Shell(click.Group):
    """Commands in the order of the flow, imported when they are called; errors on purpose in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the flow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            if meant := get_close_matches(name, COMMANDS, 1):
                ctx.fail(f"No such command {name!r}. Did you mean {meant[0]!r}?")
            return None
        command: click.Command = import_module(f"geoalps.cli.{name.replace('-', '_')}").command
        command.params += [option for option in BEHIND if option not in command.params]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what goes wrong on purpose is one line and exit code 1, with -v the traceback too."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in RESUMABLE:
                click.echo("stopped; the same command goes on where it stopped", err=True)
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is told in one line
            if (ctx.obj or {}).get("verbose"):
                traceback.print_exc()
            click.echo(f"Error: {_one_line(error)}", err=True)
            sys.exit(1)


def _one_line(error: BaseException) -> str:
    """What went wrong, in one line, with what to do about it where that is known."""
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller --tile-size or fewer --workers"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno in FULL:
        return f"the disk is full ({text}); free some space and run the same command again: it goes on where it stopped"
    if isinstance(error, PermissionError) and not isinstance(error, GeoalpsError):
        return f"{error.filename}: permission denied; make it writable, or write elsewhere"
    if isinstance(error, GeoalpsError | OSError):
        return text
    return f"this should not have happened: {type(error).__name__}: {text}; see where with geoalps -v, and report it"


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning in one line of stderr."""
    click.echo(f"Warning: {message}", err=True)


def _filter_warnings(verbose: int, quiet: bool) -> None:
    """Let through the warnings of geoalps alone, none with -q, and all that Python shows with -v."""
    from geoalps.errors import GeoalpsWarning

    if not verbose:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("ignore" if quiet else "always", module="geoalps")
        warnings.filterwarnings("ignore" if quiet else "always", category=GeoalpsWarning)
    warnings.showwarning = _show_warning


def _also_behind(ctx: click.Context, param: click.Parameter, value: int) -> None:
    """Add what was said behind the command to what was said before it; -q, read last, puts both to work."""
    if ctx.resilient_parsing or ctx.obj is None:  # a command by itself, without the group before it
        return
    ctx.obj[param.name] = ctx.obj[param.name] or value
    if param.name == "quiet":
        _filter_warnings(**ctx.obj)


def _verbosity(**settings: Any) -> list[click.Parameter]:
    """The options -v and -q; -v is eager, so that it is read first whatever the order on the line."""
    say_more = "Say more; show the traceback of an error."
    return [
        click.Option(["-v", "--verbose"], count=True, is_eager=True, help=say_more, **settings),
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors.", **settings),
    ]


BEHIND = _verbosity(expose_value=False, callback=_also_behind)
"""-v and -q once more, for every command: people write them behind it as often as before it."""


@click.group(
    "geoalps",  # rasterio lists its plug-ins by this name, not by the entry point's
    cls=Shell,
    params=_verbosity(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="geoalps")
@click.pass_context
def main(ctx: click.Context, verbose: int, quiet: bool) -> None:
    """Pseudo-labels for huge georeferenced scenes.

    Every object outlined once, every kind of object given one class: as a GeoPackage that opens coloured in QGIS and a
    label raster on the scene's own grid.

    \b
    Examples:
      geoalps sample made.tif --size 2048
      geoalps tile-label made.tif
      geoalps tile-label ortho.tif -o labels/ -k 12 --bands 4,3,2
      geoalps tile-label ortho.tif --segmenter sam --checkpoint sam_vit_b_01ec64.pth
    """  # noqa: D301 - click wants the backspace itself
    ctx.obj = {"verbose": verbose, "quiet": quiet}
