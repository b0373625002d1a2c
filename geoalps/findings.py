"""Findings: what was looked at on a machine, how it is, and the way out where it is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Mark = Literal["ok", "note", "wrong"]
"""Well; works, but could be better or surprise; does not work."""


@dataclass(frozen=True)
class Finding:
    """One line of ``geoalps doctor``."""

    subject: str
    """What was looked at, in a word or two."""
    mark: Mark
    """How it is."""
    says: str
    """What was seen, in one line."""
    way_out: str = ""
    """What to do; empty where all is well."""

    def to_json(self) -> dict[str, str]:
        """All fields by name."""
        return asdict(self)


def look(subject: str, check: Callable[[], Iterable[Finding]], way_out: str = "") -> list[Finding]:
    """What a check finds; one that fails is a finding itself, so that the others are still made.

    Args:
        subject: of the finding when the check fails.
        check: gives findings.
        way_out: what helps when the check fails.
    """
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - a broken library raises whatever it likes
        return [Finding(subject, "wrong", one_line(error), way_out)]


def one_line(error: BaseException, longest: int = 160) -> str:
    """An error's kind and text in one line of at most ``longest`` characters."""
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return said if len(said) <= longest else said[: longest - 3] + "..."
