"""Make the plugin's installable zip: ``python qgis/package.py`` writes dist/geoalps_processing-VERSION.zip.

The same sources give the same bytes: files in the order of their names, one date, one way of packing.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "geoalps_processing"
LICENCE = HERE.parent / "LICENSE"
PACKED = (".py", ".svg", ".txt")
"""Ends of the names of what belongs to the plugin."""
DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip: the first that the format knows."""


def version() -> str:
    """The version of geoalps, read without importing it."""
    text = (HERE.parent / "geoalps" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise SystemExit("geoalps/__init__.py has no __version__")
    return match.group(1)


def contents(number: str) -> dict[str, bytes]:
    """Name in the zip -> bytes, sorted by name; ``metadata.txt`` gets the version."""
    files = {path.name: path.read_bytes() for path in PLUGIN.iterdir() if path.suffix in PACKED}
    files["LICENSE"] = LICENCE.read_bytes()
    metadata, changes = re.subn(rb"(?m)^version=.*$", f"version={number}".encode(), files["metadata.txt"])
    if changes != 1:
        raise SystemExit("metadata.txt must have one line version=")
    files["metadata.txt"] = metadata
    # line ends as in the repository, whatever a checkout on Windows made of them
    return {f"{PLUGIN.name}/{name}": files[name].replace(b"\r\n", b"\n") for name in sorted(files)}


def write(folder: Path) -> Path:
    """Write the zip into a folder; the file."""
    number = version()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PLUGIN.name}-{number}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, data in contents(number).items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            packed.writestr(entry, data)
    return path


def main() -> None:
    """Of the command line."""
    parser = argparse.ArgumentParser(description="Make the installable zip of the QGIS plugin.")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "dist", help="folder [default: dist]")
    print(write(parser.parse_args().output))


if __name__ == "__main__":
    main()
