"""Standard legends of land cover: the codes, names and colours that others use.

The lists lie in ``legend_lists/``, one CSV file each. They hold facts alone; the products that go by them have licences
of their own.

>>> legend("worldcover").entry(80).class_name
'Permanent water bodies'
>>> legend("corine").entry("sea and ocean").code
'523'
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources

from geoalps.errors import OptionError

_CLC = "European Environment Agency, CORINE Land Cover nomenclature and legend"
_ABOUT = {
    "worldcover": (
        "ESA WorldCover, 11 classes",
        "Zanaga et al. 2022, ESA WorldCover 10 m 2021 v200, Product User Manual",
    ),
    "corine": ("CORINE Land Cover, level 3, 44 classes", _CLC),
    "corine-2": (
        "CORINE Land Cover, level 2, 15 classes",
        f"{_CLC}; the level has no colours of its own, each class has that of its first on level 3",
    ),
    "corine-1": (
        "CORINE Land Cover, level 1, 5 classes",
        f"{_CLC}; the level has no colours of its own, each class has that of its first on level 3",
    ),
    "lccs": (
        "FAO Land Cover Classification System, the 8 major types of its dichotomous phase",
        "Di Gregorio 2005, Land Cover Classification System 2, FAO; it has no colours, these are geoalps's own",
    ),
    "cci": (
        "ESA CCI / C3S Land Cover, the 22 classes of level 1 (by LCCS)",
        "ESA Climate Change Initiative, Land Cover CCI Product User Guide version 2",
    ),
}
LEGENDS = tuple(_ABOUT)
"""Names that :func:`legend` knows."""


@dataclass(frozen=True)
class LegendEntry:
    """One class of a legend."""

    code: str
    """As the legend writes it: ``10``, ``111``, ``A11``; unique."""
    class_name: str
    """Unique."""
    colour: str
    """``#rrggbb``."""


@dataclass(frozen=True)
class Legend:
    """A list of classes that others use too."""

    name: str
    """How it is asked for."""
    title: str
    """What it is, and how many classes."""
    source: str
    """Where codes, names and colours are from."""
    entries: tuple[LegendEntry, ...]
    """In the legend's own order."""

    def entry(self, said: int | str) -> LegendEntry:
        """One class, by what a person calls it.

        Args:
            said: code or name, a code first; case, spaces around it and dots in a code (``1.1.1``) do not matter.

        Raises:
            OptionError: there is no such class; the error names those most like it.
        """
        text = _plain(str(said))
        known = {_plain(one.class_name): one for one in self.entries} | {_plain(one.code): one for one in self.entries}
        found = known.get(text) or known.get(text.replace(".", ""))
        if found is not None:
            return found
        near = [f"{known[word].code} {known[word].class_name}" for word in get_close_matches(text, known, cutoff=0.5)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"see them with: geoalps legends {self.name}"
        raise OptionError(f"legend {self.name} has no class {said!r}; {hint}")


@cache
def legend(name: str) -> Legend:
    """A legend by its name, whatever the case.

    Raises:
        OptionError: there is none; the error names those that there are.
    """
    plain = _plain(name)
    if plain not in _ABOUT:
        near = get_close_matches(plain, LEGENDS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OptionError(f"there is no legend {name!r}; {hint}there are {', '.join(LEGENDS)}")
    title, source = _ABOUT[plain]
    text = (resources.files("geoalps.io") / "legend_lists" / f"{plain}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return Legend(plain, title, source, tuple(LegendEntry(row["code"], row["name"], row["colour"]) for row in rows))


def _plain(text: str) -> str:
    """A name without what people write in different ways: case and spaces."""
    return " ".join(text.casefold().split())
