"""The page: a template, a style, a script and the content as JSON, put together into one file of a bounded size."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from geoalps.errors import ProductError
from geoalps.io.report.chips import SIDE
from geoalps.io.report.content import COLUMNS, Gallery, Picture, ReportContent, packed
from geoalps.io.report.facts import facts
from geoalps.io.store import appearing
from geoalps.io.style import ClassRow

FORMAT = 1
"""Raised when the content comes to mean something else."""
BUDGET = 5_000_000
"""Bytes of a page, at most."""
MOST_CARDS, MOST_DAMAGED, LONGEST_NAME = 2000, 500, 200
"""Classes with a card, the largest of them; damaged tiles that are listed; letters of a name."""
_BEGIN, _END = '<script type="application/json" id="content">', "</script>"


@dataclass(frozen=True)
class Fidelity:
    """How true the pictures are to what they show."""

    preview: int = 82
    """Quality of the preview's JPEG."""
    chips: int = 82
    """Quality of the sheet's JPEG."""
    shrink: int = 1
    """How many pixels of preview and labels, along each side, become one."""
    again: bool = False
    """Encode again what another page showed."""
    pictured: float = 1.0
    """Share of the chips that are shown."""


LADDER = (
    Fidelity(),
    Fidelity(75, 75, 1, True),
    Fidelity(65, 68, 1, True),
    Fidelity(75, 68, 2, True),
    Fidelity(60, 55, 2, True),
    Fidelity(60, 50, 4, True, 0.5),
    Fidelity(50, 40, 8, True, 0.2),
    Fidelity(40, 40, 8, True, 0.0),
)
"""From the best down; the first that fits is taken."""


def write_report(path: Path, content: ReportContent, budget: int = BUDGET) -> None:
    """Write the page; it appears under its name when it is whole.

    Args:
        path: of the page.
        content: what it tells.
        budget: bytes, at most; pictures are made worse until it fits.

    Raises:
        ProductError: it cannot be written, or does not fit, whatever the pictures.
    """
    for fidelity in LADDER:
        page = render(content, fidelity).encode()
        if len(page) <= budget:
            break
    else:
        raise ProductError(f"{path.name} would have {len(page)} bytes, over {budget}; give the classes shorter names")
    try:
        with appearing(path) as part:
            part.write_bytes(page)
    except OSError as error:
        raise ProductError(
            f"{path} cannot be written ({error.strerror or error}); free the disk and run again"
        ) from error


def render(content: ReportContent, fidelity: Fidelity) -> str:
    """The page's text."""
    folder = files("geoalps.io.report")
    parts = {
        "title": escape(f"{content.run['scene']['name']} · geoalps"),
        "style": (folder / "report.css").read_text(encoding="utf-8"),
        "script": (folder / "report.js").read_text(encoding="utf-8"),
        "content": harmless(payload(content, fidelity)),
    }
    return "".join(_filled((folder / "report.html").read_text(encoding="utf-8"), parts))


def _filled(template: str, parts: Mapping[str, str]) -> Iterator[str]:
    """The template's pieces, each ``{{name}}`` replaced; what is put in is not looked at again."""
    for number, piece in enumerate(template.replace("}}", "{{").split("{{")):
        yield parts[piece] if number % 2 else piece


def harmless(value: Any) -> str:
    """JSON that can stand in an HTML script element, whatever the texts in it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def payload(content: ReportContent, fidelity: Fidelity) -> dict[str, Any]:
    """The content as JSON values."""
    run, labels, reduced = content.run, content.labels, max(1, fidelity.shrink // content.shrunk)
    rows, notes = _cards(content)
    if labels is not None and len(rows) < len(content.classes):
        labels = np.where(np.isin(labels, [row.class_id for row in rows]), labels, np.iinfo(labels.dtype).max)
    of_class: dict[int, list[int]] = {}
    for number, into in enumerate(content.merged):
        of_class.setdefault(int(into), []).append(number)
    shrunk = None if labels is None else np.ascontiguousarray(labels[:: fidelity.shrink, :: fidelity.shrink])
    return {
        "format": FORMAT,
        "name": run["scene"]["name"],
        "facts": facts(content),
        "shape": list(run["scene"]["shape"]),
        "transform": list(run["scene"]["transform"])[:6],
        "georeferenced": run["scene"]["crs"] is not None,
        "pixel": content.pixel,
        "classes": [_card(content, row.class_id, of_class.get(row.class_id, [])) | _shown(row) for row in rows],
        "merged": [int(number) for number in content.merged],
        "sizeEdges": list(content.size_edges),
        "gallery": _gallery(content.gallery, fidelity) | {"points": _points(content, {row.class_id for row in rows})},
        "shrink": max(fidelity.shrink, content.shrunk),
        "preview": _encoded(content.preview, fidelity.preview, fidelity, shrink=reduced),
        "labels": None if shrunk is None else _packed(shrunk),
        "there": None if content.there is None or content.there.all() else packed(content.there[::reduced, ::reduced]),
        "advice": list(content.advice),
        "notes": [*content.notes, *notes],
        "run": dict(run) | {"damaged_tiles": dict(list(run.get("damaged_tiles", {}).items())[:MOST_DAMAGED])},
    }


def _cards(content: ReportContent) -> tuple[list[ClassRow], list[str]]:
    """The classes that have a card, in their order, and a word on the others."""
    if len(content.classes) <= MOST_CARDS:
        return list(content.classes), []
    largest = sorted(content.classes, key=lambda row: (-row.area_m2, row.class_id))[:MOST_CARDS]
    told = f"The {MOST_CARDS:,} largest of {len(content.classes):,} classes are shown; classes.csv has all."
    return sorted(largest, key=lambda row: row.class_id), [told]


def _points(content: ReportContent, shown: set[int]) -> list[list[float]]:
    """The map of the embeddings: points of classes that have a card."""
    kept = (p for p in content.gallery.points if int(content.merged[p[1]]) in shown)
    return [[p[0], p[1], round(p[2], 3), round(p[3], 4), round(p[4], 4)] for p in kept]


def _shown(row: ClassRow) -> dict[str, Any]:
    """A class's row of the table."""
    return {
        "id": row.class_id, "name": row.class_name[:LONGEST_NAME], "colour": row.colour, "count": row.object_count,
        "area": row.area_m2,
    }  # fmt: skip


def _card(content: ReportContent, class_id: int, parts: list[int]) -> dict[str, Any]:
    """What a standing class shows beside its row: sizes, and the examples of all classes that it stands for."""
    gallery = content.gallery
    return {
        "parts": parts,
        "sizes": [int(count) for count in content.sizes.get(class_id, ())],
        "typical": _in_turn(gallery.typical, parts),
        "borderline": _in_turn(gallery.borderline, parts),
    }


def _in_turn(examples: Mapping[int, tuple[int, ...]], parts: list[int]) -> list[int]:
    """The examples of some classes: the first of each, then the second of each, and so on."""
    rows = [examples.get(number, ()) for number in parts]
    longest = max(map(len, rows), default=0)
    return [row[place] for place in range(longest) for row in rows if place < len(row)]


def _gallery(gallery: Gallery, fidelity: Fidelity) -> dict[str, Any]:
    """The gallery, by classes before merging: the page of the same objects with other classes takes it over."""
    shown, sheet = gallery.chips, gallery.sheet
    if fidelity.pictured < 1 and sheet is not None:
        rows = int(fidelity.pictured * len(shown)) // COLUMNS
        shown, sheet = shown[: rows * COLUMNS], Picture(sheet.image[: rows * SIDE]) if rows else None
    dropped = len(gallery.chips) - len(shown)
    return {
        "typical": {str(number): list(ids) for number, ids in gallery.typical.items()},
        "borderline": {str(number): list(ids) for number, ids in gallery.borderline.items()},
        "projection": gallery.projection,
        "chips": list(shown),
        "boxes": [list(box) for box in gallery.boxes[: len(shown)]],
        "side": SIDE,
        "columns": COLUMNS,
        "sheet": _encoded(sheet, fidelity.chips, fidelity, shrink=1),
        "missing": gallery.missing or (f"{dropped} pictures would make this page too large." if dropped else ""),
    }


def _encoded(picture: Picture | None, quality: int, fidelity: Fidelity, shrink: int | None = None) -> str | None:
    """A picture's JPEG as base64."""
    if picture is None:
        return None
    by = fidelity.shrink if shrink is None else shrink
    return base64.b64encode(picture.jpeg(quality, by, fidelity.again)).decode()


def _packed(labels: Any) -> dict[str, Any]:
    """Labels as deflated little-endian numbers in base64: a canvas may give back other colours than it was given."""
    values = labels.astype(labels.dtype.newbyteorder("<"))
    return {
        "shape": list(labels.shape),
        "bytes": labels.dtype.itemsize,
        "none": int(np.iinfo(labels.dtype).max),
        "data": base64.b64encode(zlib.compress(values.tobytes(), 6)).decode(),
    }


def read_payload(path: Path) -> dict[str, Any] | None:
    """The content of a page that was written before; None where there is none, or none of this format.

    The page may come from anybody: what is too large, or holds what JSON does not, is none of ours.
    """
    try:
        if path.stat().st_size > 2 * BUDGET:
            return None
        text = path.read_text(encoding="utf-8")
        begin = text.index(_BEGIN) + len(_BEGIN)
        found = json.loads(text[begin : text.index(_END, begin)], parse_constant=_no_number)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _no_number(word: str) -> None:
    """Refuse NaN and Infinity, which Python's JSON has and the page must not."""
    raise ValueError(f"{word} is no JSON")
