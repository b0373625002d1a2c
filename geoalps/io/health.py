"""Whether this machine can read and write what geoalps does: GDAL, PROJ, disk, memory, SQLite, encoding."""

from __future__ import annotations

import locale
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoalps.findings import Finding, one_line
from geoalps.io.machine import Machine, free_disk

DRIVERS = {"GTiff": "wrong", "COG": "wrong", "VRT": "wrong", "JP2OpenJPEG": "note", "PNG": "note", "JPEG": "note"}
"""Drivers of rasterio's GDAL: those without which nothing is read or written, and those of some scenes."""
FOREIGN = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH")
"""Variables by which one installation of GDAL or PROJ leads another one astray."""
TIGHT_MEMORY, LITTLE_MEMORY = 2e9, 4e9
"""Free bytes: one tile of 1024 pixels takes some 1.4 GB with the libraries, two threads a little more."""
TIGHT_DISK, LITTLE_DISK = 1e8, 2e9
"""Free bytes: a product takes 1 to 3 bytes a pixel, and four more while it is painted."""
OLD_SQLITE = (3, 24, 0)
"""The first release with UPSERT, by which tables of a GeoPackage are kept up to date."""


def gdal() -> Iterator[Finding]:
    """GDAL of rasterio and of pyogrio: versions and drivers."""
    import pyogrio
    import rasterio

    ours, theirs = rasterio.__gdal_version__, ".".join(map(str, pyogrio.__gdal_version__))
    says = f"{ours} in rasterio {rasterio.__version__}, {theirs} in pyogrio {pyogrio.__version__}"
    if ours.split(".")[0] == theirs.split(".")[0]:
        yield Finding("GDAL", "ok", says)
    else:
        yield Finding("GDAL", "wrong", f"{says}: of two major versions", "pip install --upgrade rasterio pyogrio")
    with rasterio.Env() as env:
        there = env.drivers()
    lacking = [name for name in DRIVERS if name not in there]
    if "w" not in str(pyogrio.list_drivers().get("GPKG")):
        lacking.append("GPKG")
    for name in lacking:
        way_out = "pip install --force-reinstall rasterio pyogrio (their wheels have it), or conda-forge's packages"
        yield Finding("drivers", "note" if DRIVERS.get(name) == "note" else "wrong", f"no {name}", way_out)
    if not lacking:
        yield Finding("drivers", "ok", ", ".join([*DRIVERS, "GPKG"]))


def proj() -> Iterator[Finding]:
    """Whether coordinate systems are found: ``proj.db`` of rasterio and of pyproj, and who leads astray."""
    import pyproj
    import rasterio
    from rasterio.crs import CRS

    strays = [f"{name}={os.environ[name]}" for name in FOREIGN if _foreign(os.environ.get(name))]
    told = " ".join(strays)
    unset = f"another installation's {told}: unset {' '.join(stray.split('=')[0] for stray in strays)}"
    reinstall = "pip install --force-reinstall rasterio pyproj"
    failed = False
    for library, look_up in (("rasterio", CRS.from_epsg), ("pyproj", pyproj.CRS.from_epsg)):
        try:
            with _no_log(), rasterio.Env():
                look_up(32632).to_wkt()
        except Exception as error:  # noqa: BLE001 - each has its own error
            failed = True
            yield Finding(
                "PROJ", "wrong", f"{library} finds no proj.db: {one_line(error)}", unset if strays else reinstall
            )
    if failed:
        return
    if strays:
        yield Finding("PROJ", "note", f"works, but {told} is set from outside of this environment", unset)
    else:
        yield Finding("PROJ", "ok", f"proj.db found, pyproj {pyproj.__version__}, PROJ {pyproj.proj_version_str}")


def _foreign(value: str | None) -> bool:
    """Whether a variable's path lies outside of this environment; conda's own activation sets paths inside it."""
    return bool(value) and Path(sys.prefix).resolve() not in Path(str(value)).resolve().parents


@contextmanager
def _no_log() -> Iterator[None]:
    """What GDAL logs of an error that is told anyway is not shown."""
    logger = logging.getLogger("rasterio")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def machine() -> Iterator[Finding]:
    """Cores and memory that this process may use."""
    found = Machine.look()
    says = f"{found.usable_cores:g} of {found.cores}"
    if found.usable_cores < found.cores:
        threads = max(int(found.usable_cores), 1)
        way_out = f"--threads {threads}, or more of them for the container (docker --cpus)"
        yield Finding("cores", "note", f"{says} may be used: threads are one a core, and would wait", way_out)
    else:
        yield Finding("cores", "ok", says)
    free, limit = found.free_memory, found.memory_limit
    within = f", of which this container may use {size(limit)}" if limit is not None else ""
    says = f"{size(free)} free of {size(found.memory)}{within}"
    if free >= LITTLE_MEMORY:
        yield Finding("memory", "ok", says)
    else:
        way_out = "close other programs, or use --threads 1 --tile-size 512; geoalps tile-label --dry-run says how much"
        yield Finding("memory", "wrong" if free < TIGHT_MEMORY else "note", says, way_out)


def disk() -> Iterator[Finding]:
    """Free disk in the working directory and where temporary files go."""
    for subject, place, way_out in (
        ("disk", Path.cwd(), "free some, or write elsewhere with -o"),
        ("temp disk", Path(tempfile.gettempdir()), "free some, or set TMPDIR to a larger disk"),
    ):
        free = free_disk(place)
        says = f"{size(free)} free in {place}"
        if not os.access(place, os.W_OK):
            yield Finding(subject, "note", f"{place} cannot be written", way_out)
        elif free < LITTLE_DISK:
            yield Finding(subject, "wrong" if free < TIGHT_DISK else "note", says, way_out)
        else:
            yield Finding(subject, "ok", says)


def sqlite() -> Iterator[Finding]:
    """The library that GeoPackages are written and read with."""
    way_out = "use a newer Python: SQLite comes with it"
    if sqlite3.sqlite_version_info < OLD_SQLITE:
        wanted = ".".join(map(str, OLD_SQLITE))
        yield Finding("SQLite", "wrong", f"{sqlite3.sqlite_version}, needed is {wanted}", way_out)
        return
    with sqlite3.connect(":memory:") as database:
        has_rtree = database.execute("SELECT sqlite_compileoption_used('ENABLE_RTREE')").fetchone()[0]
    if not has_rtree:
        yield Finding("SQLite", "note", f"{sqlite3.sqlite_version} without R-trees", way_out)
    else:
        yield Finding("SQLite", "ok", sqlite3.sqlite_version)


def encoding() -> Iterator[Finding]:
    """Whether names with accents are read and printed as they are."""
    names = {"files": sys.getfilesystemencoding(), "text": locale.getpreferredencoding(False)}
    says = ", ".join(f"{what} {name.lower()}" for what, name in names.items())
    plain = all(name.lower().replace("-", "") == "utf8" for name in names.values())
    if plain:
        yield Finding("encoding", "ok", says)
    else:
        yield Finding("encoding", "note", says, "set PYTHONUTF8=1, or a UTF-8 locale such as LANG=C.UTF-8")


def size(count: float) -> str:
    """Bytes for people: ``12 MB``, ``3.4 GB``."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e11 else f"{count / 1e9:.0f} GB"
