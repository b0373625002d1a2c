"""Installed packages against the bounds that geoalps declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from geoalps.findings import Finding

EXTRAS = {
    "hub": "SAM 2, 2.1 and 3, DINOv2 and DINOv3",
    "notebook": "a kernel for Jupyter",
    "dashboard": "Dask's dashboard",
}
"""Extras for users, and what they bring."""


def packages() -> Iterator[Finding]:
    """All that geoalps needs: one line when all of it fits, and one for everything that does not."""
    needed = [need for need in _declared() if need.marker is None or need.marker.evaluate({"extra": ""})]
    wrong = [finding for need in needed if (finding := fit(need)) is not None]
    yield from wrong
    if not wrong:
        shown = ("torch", "torchvision", "numpy", "rasterio", "pyogrio", "geopandas", "shapely", "dask", "scikit-learn")
        told = ", ".join(f"{name} {version(name)}" for name in shown)
        yield Finding("packages", "ok", f"all {len(needed)} fit, among them {told}")


def extras() -> Iterator[Finding]:
    """Which extras are there; one that is missing in part is told, one that is missing altogether is a choice."""
    there, absent = [], []
    for name, brings in EXTRAS.items():
        needed = [need for need in _declared() if need.marker and need.marker.evaluate({"extra": name})]
        needed = [need for need in needed if need.marker and not need.marker.evaluate({"extra": ""})]
        found = [need for need in needed if _version(need.name) is not None]
        wrong = [finding for need in found if (finding := fit(need)) is not None]
        yield from wrong
        if needed and len(found) == len(needed) and not wrong:
            there.append(name)
        elif found and not wrong:
            lost = ", ".join(need.name for need in needed if need not in found)
            yield Finding(f"extra {name}", "note", f"{lost} missing", f"for {brings}: pip install {_quoted(needed)}")
        elif not found:
            absent.append(f"{name} ({brings})")
    missing = f"; not installed: {', '.join(absent)}" if absent else ""
    yield Finding("extras", "ok", f"installed: {', '.join(there) or 'none'}{missing}")


def fit(need: Requirement) -> Finding | None:
    """What is wrong with the installed version of a package; None when it fits."""
    found = _version(need.name)
    remedy = f"pip install {_quoted([need])}"
    if found is None:
        return Finding("packages", "wrong", f"{need.name} is missing", remedy)
    if not need.specifier.contains(found, prereleases=True):
        return Finding("packages", "wrong", f"{need.name} is {found}, needed is {need.specifier}", remedy)
    return None


def _declared() -> list[Requirement]:
    """What the metadata of geoalps asks for.

    Raises:
        PackageNotFoundError: geoalps is run without having been installed.
    """
    return [Requirement(line) for line in requires("geoalps") or []]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _quoted(needed: Iterable[Requirement]) -> str:
    """As a shell takes them: ``'numpy>=2.0'``."""
    return " ".join(f"'{need.name}{need.specifier}'" for need in needed)
