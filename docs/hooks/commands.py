"""Writes the reference of the commands from the commands themselves, and tidies that of Python."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from html import escape
from typing import Any

import click

from geoalps.cli import main

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the mark replaced."""
    return markdown.replace(MARK, "\n".join(_group(main, "geoalps", 2))) if MARK in markdown else markdown


def on_page_content(html: str, **_: Any) -> str:
    """The page without the roles of reStructuredText, which docstrings have for other readers."""
    return re.sub(r":(?:func|class|mod|meth|attr|data):(<code>|<a )", r"\1", html)


def _group(group: click.Group, name: str, level: int) -> Iterator[str]:
    """All commands of a group, in its order."""
    context = click.Context(group, info_name=name)
    for part in group.list_commands(context):
        command = group.get_command(context, part)
        if command is not None and not command.hidden:
            yield from _command(command, f"{name} {part}", level)


def _command(command: click.Command, name: str, level: int) -> Iterator[str]:
    """One command: title, usage, what it does, examples, options; then those below it."""
    context = click.Context(command, info_name=name)
    anchor = name.removeprefix("geoalps ").replace(" ", "-")
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (f"{'#' * level} {name.removeprefix('geoalps ')} {{ #{anchor} }}", "", "```text", f"{name} {pieces}")
    yield from ("```", "", *_help(command.help or ""), "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record:
            yield from (f"<code>{escape(record[0])}</code>", f":   {_prose(record[1])}", "")
    if isinstance(command, click.Group):
        yield from _group(command, name, level + 1)


def _help(text: str) -> Iterator[str]:
    """A docstring as Markdown: paragraphs as they are, what click is told not to wrap as a block of commands."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.removeprefix("\b\n").splitlines()
            block = inspect.cleandoc("\n".join(lines))
            language = "bash" if "geoalps" in block else "text"
            yield from (_prose(title), "", f"```{language}", block, "```", "")
        else:
            yield from (_prose(" ".join(paragraph.split())), "")


def _prose(text: str) -> str:
    """Text in which Markdown sees no mark-up; what stands in backquotes stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if index % 2 else re.sub(r"[*_<>\[\]\\&]", _entity, part) for index, part in enumerate(parts))


def _entity(match: re.Match[str]) -> str:
    """A character as HTML writes it when it must not mean anything."""
    return f"&#{ord(match[0])};"
