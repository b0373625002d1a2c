"""``geoalps completion``: what a shell needs to complete commands, options and choices at TAB."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "geoalps"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print the script by which bash, zsh or fish completes commands, options and choices at TAB.

    SHELL is by default the one that SHELL in the environment names.

    \b
    Examples:
      eval "$(geoalps completion bash)"                                       # in ~/.bashrc
      eval "$(geoalps completion zsh)"                                        # in ~/.zshrc, after compinit
      geoalps completion fish > ~/.config/fish/completions/geoalps.fish
    """  # noqa: D301 - click wants the backspace itself
    click.echo(script(ctx.find_root().command, shell or _own_shell()))


def script(root: click.Command, shell: str) -> str:
    """Click's own script for a shell; it asks the program itself at every TAB.

    It is not click's ``source``, which starts bash to look at its version and warns into what ``eval`` reads.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the shells are those that click knows
    made = kind(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    return (made.source_template % made.source_vars()).strip()


def _own_shell() -> str:
    """The user's shell.

    Raises:
        UsageError: it is none of those that are known.
    """
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"the shell is {name or 'not known'}; give one of {', '.join(SHELLS)}")
    return name
