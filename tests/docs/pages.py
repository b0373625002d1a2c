"""What is in the pages: blocks of commands, comments that say how they are run, and the command lines themselves.

A block of ``bash`` with commands of geoalps is run by a test, line by line, unless a comment right above says why not::

    <!-- not run: reason -->

Before the first block of a page its hidden lines are run, which make what the page takes for granted::

    <!-- before: geoalps sample ortho.tif --size 512 -->

A block of ``csv`` is what the reader writes to ``names.csv``.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^>]+) -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
BEFORE = re.compile(r"^<!-- before: (.*) -->$", re.MULTILINE)
MESSAGE = re.compile(r"geoalps(?: [a-z]+){4,}(?: \.\.\.)?")
"""What the program says, not what is said to it: plain words without any option or file."""
OUTSIDE = ("README.md", "benchmarks/README.md", "data/README.md")
"""Pages that lie elsewhere."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str
    reason: str | None
    """Why it is not run."""

    @property
    def lines(self):
        """Its lines, comments and empty ones left out, those that go on in the next joined."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    @property
    def is_run(self):
        """Whether it is of commands of geoalps that are not left to the reader."""
        return self.kind == "bash" and self.reason is None and any(geoalps_in(line) for line in self.lines)


@dataclass(frozen=True)
class Page:
    """A page of the site, or a README."""

    path: Path

    @property
    def name(self):
        """Path in the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self):
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def before(self):
        """Hidden command lines that are run first."""
        return BEFORE.findall(self.text)

    @property
    def blocks(self):
        """Its fenced blocks."""
        return [Block(one["kind"], dedent(one["text"]), one["reason"]) for one in FENCE.finditer(self.text)]

    @property
    def prose(self):
        """What is not in a fence."""
        return FENCE.sub("", self.text)

    @property
    def commands(self):
        """Every ``geoalps`` command line on the page, in fences, in hidden lines and in backquotes, as words."""
        lines = [line for block in self.blocks if block.kind in ("bash", "sh") for line in block.lines]
        lines += [
            line for block in self.blocks if not block.kind for line in block.lines if line.startswith("geoalps ")
        ]
        lines += self.before + [" ".join(code.split()) for code in re.findall(r"`(geoalps [^`]+)`", self.prose)]
        lines = [line for line in lines if not MESSAGE.fullmatch(line)]
        return [words for line in lines for words in geoalps_in(line)]

    @property
    def options(self):
        """Every long option that the prose names by itself."""
        return set(re.findall(r"`(--[a-z][a-z-]*)", self.prose))


def geoalps_in(line):
    """The ``geoalps`` commands of a line of a shell, as words without the program's name."""
    words, found = shlex.split(line, comments=True), []
    parts = " ".join(shlex.quote(word) if word not in ("&&", ";", "|") else "\0" for word in words).split("\0")
    for part in parts:
        these = shlex.split(part)
        while these and re.match(r"[A-Z_]+=", these[0]):
            these.pop(0)
        if these and these[0] == "geoalps":
            found.append(these[1:])
    return found


def pages():
    """Every page of docs/ and those that lie elsewhere."""
    return [Page(path) for path in (*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in OUTSIDE))]
