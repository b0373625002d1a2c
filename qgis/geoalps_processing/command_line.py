"""What the user asked for as a command line of geoalps: a list of arguments, never a text for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class OptionsError(ValueError):
    """Further options that cannot be taken; the text is one line."""


@dataclass(frozen=True)
class Option:
    """One option of a command, as a parameter of an algorithm."""

    name: str
    """Of the parameter: ``TILE_SIZE``."""
    flag: str
    """Of the command: ``--tile-size``."""
    default: object = None
    """The command's own; a value equal to it is left out. False is that of a flag without a value."""


TILE_LABEL = (
    Option("CLASSES", "--classes", 16),
    Option("CLASS_MODEL", "--class-model"),
    Option("ADAPT", "--adapt", False),
    Option("SEGMENTER", "--segmenter", "regions"),
    Option("GRANULARITY", "--granularity", 1.0),
    Option("MODEL", "--model"),
    Option("CHECKPOINT", "--checkpoint"),
    Option("DEVICE", "--device", "auto"),
    Option("TILE_SIZE", "--tile-size", 1024),
    Option("MARGIN", "--margin", 128),
    Option("BANDS", "--bands"),
    Option("NODATA", "--nodata"),
    Option("MIN_AREA", "--min-area"),
    Option("SIMPLIFY", "--simplify", 0.0),
    Option("NORMALISATION", "--normalisation", "zscore"),
    Option("SEED", "--seed", 0),
    Option("WORKERS", "--workers"),
    Option("ON_ERROR", "--on-error", "fail"),
    Option("OVERWRITE", "--overwrite", False),
    Option("CLEAN", "--clean", False),
)
RELABEL = (
    Option("DISSOLVE", "--dissolve", False),
    Option("LEGEND", "--legend"),
    Option("RESET", "--reset", False),
)
EVALUATE = (
    Option("FIELD", "--field"),
    Option("IGNORE", "--ignore"),
    Option("BACKGROUND", "--background"),
    Option("INSTANCES", "--instances"),
)
EXPORT = (
    Option("FORMAT", "--format"),
    Option("CHIP_SIZE", "--chip-size"),
    Option("SPLIT", "--split"),
    Option("SCENE", "--scene"),
    Option("WHEN", "--when"),
    Option("OVERWRITE", "--overwrite", False),
)
SETTLED = ("--", "-o", "--output", "-q", "--quiet", "-h", "--help", "--json")
"""What further options may not say: where the result is, and how geoalps talks, is the plugin's to know."""


def arguments(options: Sequence[Option], values: Mapping[str, object]) -> list[str]:
    """Options and values as arguments; what is empty or the command's own default is left out.

    Args:
        options: of the command.
        values: parameter -> value; a tuple gives the option once for each.
    """
    made: list[str] = []
    for option in options:
        value = values.get(option.name)
        if value is None or value == "" or same(value, option.default):
            continue
        if isinstance(option.default, bool):
            made.append(option.flag)
            continue
        # joined, so that a value with a minus in front is no option
        made += [f"{option.flag}={written(one)}" for one in (value if isinstance(value, tuple) else (value,))]
    return made


def same(value: object, default: object) -> bool:
    """Whether a value is the default, as a number or as its text."""
    return default is not None and (value == default or str(value).strip() == str(default))


def written(value: object) -> str:
    """A value as an argument: whole numbers without a point, text without spaces around."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def further(text: str) -> list[str]:
    """Further options, as on a command line: split at spaces, quotes keep together; a backslash is a backslash.

    Raises:
        OptionsError: a quote is open, it does not begin with an option, or it says what the parameters say.
    """
    lexer = shlex.shlex(text or "", posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        found = list(lexer)
    except ValueError as error:
        raise OptionsError(f"further options {text!r}: {str(error).lower()}; close the quote") from error
    if found and not found[0].startswith("-"):
        raise OptionsError(
            f"further options begin with {found[0]!r}; give them as on a command line: --percentiles 1 99"
        )
    for word in found:
        name = word.split("=")[0]
        if name in SETTLED or (word.startswith("-o") and not word.startswith("--")):
            raise OptionsError(f"further options hold {name}, which the plugin gives itself; leave it out")
        if name == "--dry-run":
            raise OptionsError("further options hold --dry-run, which makes nothing to load; use it in a terminal")
    return found


def tile_label(scene: str, output: str, values: Mapping[str, object], more: str = "") -> list[str]:
    """``geoalps tile-label``: the arguments for a scene and its product."""
    asked = dict(values)
    if asked.get("CLASS_MODEL"):
        asked["CLASSES"] = None  # the class model has its own
    return ["tile-label", f"--output={output}", *arguments(TILE_LABEL, asked), *further(more), "--", scene]


def relabel(product: str, table: str | None, values: Mapping[str, object]) -> list[str]:
    """``geoalps relabel``: the arguments for a product and, if any, a class table."""
    return ["relabel", *arguments(RELABEL, values), "--", product, *([table] if table else [])]


def evaluate(
    product: str, truth: str, layer: str | None, output: str, values: Mapping[str, object], more: str = ""
) -> list[str]:
    """``geoalps evaluate``: the arguments for a product, a truth and the JSON file to write."""
    of_layer = [f"--layer={layer}"] if layer else []
    made = [f"--output={output}", *of_layer, *arguments(EVALUATE, values), *further(more)]
    return ["evaluate", *made, "--", product, truth]


def export(product: str, output: str, values: Mapping[str, object], more: str = "") -> list[str]:
    """``geoalps export``: the arguments for a product and what to write."""
    return ["export", f"--output={output}", *arguments(EXPORT, values), *further(more), "--", product]


def shown(command: Sequence[str]) -> str:
    """A command line as people would type it, for the log."""
    return " ".join(shlex.quote(word) for word in command)
