"""Facts: the numbers at the head of the report, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoalps.io.report.content import ReportContent

SEAMS = 1.5
"""Seam index from which lines are seen in the map, and by how much it exceeds that of the best of a dozen sets of lines
that are no tile lines. A single tile line lies along a wall or a road often enough."""


def seams_show(found: Mapping[str, Any]) -> bool:
    """Whether borders of objects follow tile lines more than chance explains; ``found`` is as in ``run.json``."""
    index, chance = found.get("index"), found.get("by_chance") or 1.0
    return index is not None and found["lines"] >= 2 and index > SEAMS * max(chance, 1.0)


def facts(content: ReportContent) -> list[dict[str, str]]:
    """What the head of the page tells: ``label``, ``value`` and a ``note`` each."""
    run = content.run
    scene, counts = run["scene"], run["counts"]
    height, width = scene["shape"]
    told = [
        _fact("Size", f"{width:,} \u00d7 {height:,}", f"{width * height / 1e6:,.1f} megapixels"),
        _pixel(content.pixel),
        _crs(scene),
        _area(sum(row.area_m2 for row in content.classes), scene["crs"] is not None),
        _fact(
            "Objects", f"{counts['objects']:,}", f"in {counts['tiles']:,} {'tile' if counts['tiles'] == 1 else 'tiles'}"
        ),
        _classes(content),
        _seams(run.get("seam_index") or {}),
        _uncovered(
            counts,
            (height, width),
            0.0 if content.there is None else 1 - float(content.there.mean()),
            bool(run.get("damaged_tiles")),
        ),
    ]
    return [fact for fact in told if fact is not None]


def _fact(label: str, value: str, note: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _pixel(ground: float | None) -> dict[str, str]:
    """Size of a pixel on the ground, or on the map where there is no ground."""
    if ground is None:
        return _fact("Pixel size", "1 pixel", "without a CRS, areas are in pixels")
    return _fact("Pixel size", length(ground), "on the ground, at the middle")


def length(metres: float) -> str:
    """Metres with three digits, in the unit that suits."""
    if metres >= 1000:
        return f"{metres / 1000:.3g} km"
    return f"{metres * 100:.3g} cm" if metres < 1 else f"{metres:.3g} m"


def _crs(scene: Mapping[str, Any]) -> dict[str, str]:
    """The name of the CRS and, where it has one, its code."""
    if scene["crs"] is None:
        return _fact("CRS", "none", "the map does not know where this is")
    from rasterio.crs import CRS  # a word about a CRS needs no more than this

    crs = CRS.from_wkt(scene["crs"])
    code, name = crs.to_epsg(), scene["crs"].split('"')[1] if '"' in scene["crs"] else "CRS"
    return _fact("CRS", f"EPSG:{code}" if code else name, name if code else "")


def _area(area: float, georeferenced: bool) -> dict[str, str]:
    """The area that objects cover."""
    return _fact("Area", square(area) if georeferenced else f"{area:,.0f} px", "covered by objects")


def square(area: float) -> str:
    """Square metres with three digits, in cm², m², ha or km²."""
    if area >= 1e6:
        return f"{_digits(area / 1e6)} km²"
    if 0 < area < 0.1:
        return f"{_digits(area * 1e4)} cm²"
    return f"{_digits(area / 1e4)} ha" if area >= 1e4 else f"{_digits(area)} m²"


def _digits(value: float) -> str:
    """Three digits, more before the point."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def _classes(content: ReportContent) -> dict[str, str]:
    """How many classes stand, and how many were merged into them."""
    merged = len(content.merged) - len(content.classes)
    empty = sum(not row.object_count for row in content.classes)
    notes = [f"{merged} merged into others"] * bool(merged) + [f"{empty} without objects"] * bool(empty)
    return _fact("Classes", f"{len(content.classes):,}", ", ".join(notes))


def _seams(seams: Mapping[str, Any]) -> dict[str, str]:
    """The seam index and what it means."""
    if not seams.get("lines"):
        return _fact("Seam index", "none", "one tile has no seams")
    index = seams.get("index")
    if index is None:
        return _fact("Seam index", "none", "no borders to compare with")
    meaning = "tile lines show in the objects" if seams_show(seams) else "tile lines cannot be told from the rest"
    chance = "" if seams.get("by_chance") is None else f", {seams['by_chance']:.2f} is by chance"
    return _fact("Seam index", f"{index:.2f}", f"{meaning}; 1 is seamless{chance}")


def _uncovered(
    counts: Mapping[str, Any], shape: tuple[int, int], nodata: float, damaged: bool
) -> dict[str, str] | None:
    """The share of the scene without an object, and how much of that is nodata, or was not read."""
    if "covered_pixels" not in counts:
        return None
    share = 1 - counts["covered_pixels"] / (shape[0] * shape[1])
    without = percent(nodata).replace(" ", "\u00a0")
    why = "has no data, or is in tiles that failed" if damaged else "has no data"
    note = f"of the scene; {without} {why}" if nodata else "of the scene"
    return _fact("Uncovered", percent(share), note)


def percent(share: float) -> str:
    """A share in percent, with what digits it needs."""
    if share <= 0:
        return "0 %"
    return f"{100 * share:.1f} %" if share >= 0.001 else "under 0.1 %"
