"""Walk docs/first-map.md: run its commands in their order in an empty directory, and write into it how long each took.

python benchmarks/first_map.py                     # a table on the terminal
python benchmarks/first_map.py --write             # also the page's own lines ("Took ... s on ...")
python benchmarks/first_map.py --folder walk/      # keep what the walk makes, for the pictures of the page

Blocks after a line ``<!-- not run: reason -->`` are left to the reader. A command that fails ends the walk.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "first-map.md"
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]*-->\n)?^```(?P<kind>bash|csv)\n(?P<text>.*?)^```\n(?P<took>\n\*Took [^\n]*\*\n)?",
    re.MULTILINE | re.DOTALL,
)
SHOWN = 60
"""Characters of a command in the table."""


def steps(page: str) -> Iterator[re.Match[str]]:
    """The blocks that are run, or written to ``names.csv``."""
    return (block for block in BLOCK.finditer(page) if not block["skip"])


def run(commands: str, folder: Path) -> list[tuple[str, float]]:
    """Run a block line by line: (command, seconds) of each."""
    told = []
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands.strip().splitlines():
        start = time.perf_counter()
        subprocess.run(command, shell=True, cwd=folder, check=True, env=environment)  # noqa: S602 - the page's own
        told.append((command, time.perf_counter() - start))
    return told


def words(seconds: float) -> str:
    """Seconds as a reader wants them: ``3 s``, ``1 min 20 s``."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def walk(page: str, folder: Path) -> tuple[str, list[tuple[str, float]]]:
    """The page with new times, and all commands with their seconds."""
    told: list[tuple[str, float]] = []
    pieces, last = [], 0
    for block in steps(page):
        pieces.append(page[last : block.start()])
        text = block.group(0)
        if block["kind"] == "csv":
            (folder / "names.csv").write_text(block["text"], encoding="utf-8")
        else:
            took = run(block["text"], folder)
            told += took
            body = text[: -len(block["took"])] if block["took"] else text
            text = f"{body}\n*Took {words(sum(seconds for _, seconds in took))}.*\n"
        pieces.append(text)
        last = block.end()
    return "".join([*pieces, page[last:]]), told


def main() -> None:
    """Walk, and say how long it took."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--folder", type=Path, help="where to walk; a temporary directory by default")
    options.add_argument("--write", action="store_true", help="put the times into the page")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        page, told = walk(PAGE.read_text(encoding="utf-8"), folder)
    if given.write:
        PAGE.write_text(page, encoding="utf-8")
    print(f"{os.cpu_count()} cores\n\n| command | seconds |\n| --- | ---: |")
    for command, seconds in [*told, ("together", sum(seconds for _, seconds in told))]:
        print(f"| `{command[:SHOWN]}` | {seconds:.1f} |")


if __name__ == "__main__":
    main()
