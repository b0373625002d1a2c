"""What a report tells, whoever gathered it."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from geoalps.io.report.chips import SIDE, Chip
from geoalps.io.report.preview import decoded, jpeg
from geoalps.io.style import ClassRow
from geoalps.protocols import Image, Mask

COLUMNS = 20
"""Chips side by side in a sheet."""
MOST_PIXELS = 16_000_000
"""Of a picture of ours: preview and sheet have a quarter and half of it."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that the page shows: its pixels, or the JPEG that another page showed, which is passed on as it is."""

    pixels: Image | None = None
    """(h, w, 3) uint8."""
    encoded: bytes | None = None
    """A JPEG of them."""

    def jpeg(self, quality: int, shrink: int = 1, again: bool = False) -> bytes:
        """The JPEG to be shown.

        Args:
            quality: of one that is to be made.
            shrink: how many pixels, along each side, become one.
            again: make it in spite of one that is there.
        """
        if self.encoded is not None and not again:
            return self.encoded
        pixels = self.image
        if shrink > 1:
            pixels = np.asarray(Pillow.fromarray(pixels).reduce(shrink))
        return jpeg(pixels, quality)

    @cached_property
    def image(self) -> Image:
        """(h, w, 3) uint8."""
        if self.pixels is not None:
            return self.pixels
        return decoded(self.encoded or b"")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Single objects that stand for the classes, and their pictures; by the classes before merging."""

    typical: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Class -> ids of the objects nearest to its centre, the nearest first."""
    borderline: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Class -> ids of the objects with the least confidence, the least first."""
    points: tuple[tuple[int, int, float, float, float], ...] = ()
    """Of the map of the embeddings: object id, class, confidence, x and y in 0..1."""
    projection: str = ""
    """How the points got their places: ``t-SNE`` or ``PCA``."""
    chips: tuple[int, ...] = ()
    """Ids of the objects that have a picture, in the order of the sheet."""
    boxes: tuple[tuple[int, ...], ...] = ()
    """Their boxes in the scene, (row0, col0, row1, col1) half-open."""
    sheet: Picture | None = None
    """Their pictures, COLUMNS side by side."""
    missing: str = ""
    """Why pictures are missing, and what to do; empty where none is."""


@dataclass(frozen=True, eq=False)
class ReportContent:
    """All that the page needs."""

    run: Mapping[str, Any]
    """As in ``run.json``."""
    classes: Sequence[ClassRow]
    """The classes that stand, in their order."""
    merged: Sequence[int]
    """(k,) the class that stands for every class."""
    sizes: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Class id -> (bins,) objects by size, on a logarithmic scale, the same for all classes."""
    size_edges: Sequence[float] = ()
    """(bins + 1,) square metres (pixels without a CRS) between the bins."""
    gallery: Gallery = field(default_factory=Gallery)
    """Examples, points and chips."""
    preview: Picture | None = None
    """The scene, reduced."""
    there: Mask | None = None
    """(h, w) bool on the preview's grid: where the scene holds data; None where that is not known."""
    labels: NDArray[Any] | None = None
    """(h, w) uint8 or uint16 classes on the preview's grid, the dtype's largest number for none."""
    pixel: float | None = None
    """Metres along the side of a scene pixel on the ground; None without a CRS."""
    advice: Sequence[str] = ()
    """What could be done next, a line each."""
    notes: Sequence[str] = ()
    """What is missing from the page, and why."""
    shrunk: int = 1
    """How many pixels of ``preview`` and ``there``, along each side, have become one already, on the page before."""


def sheet_of(chips: Mapping[int, Chip]) -> tuple[tuple[int, ...], Picture | None]:
    """Ids, ascending, and their pictures in one."""
    numbers = tuple(sorted(chips))
    if not numbers:
        return (), None
    rows = -(-len(numbers) // COLUMNS)
    sheet = np.full((rows * SIDE, COLUMNS * SIDE, 3), 128, np.uint8)
    for place, number in enumerate(numbers):
        row, col = divmod(place, COLUMNS)
        sheet[row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE] = decoded(chips[number].jpeg)
    return numbers, Picture(sheet)


def carried(payload: Mapping[str, Any], k: int) -> tuple[Gallery, Picture | None, Mask | None]:
    """Examples with their pictures, preview, and where it has data, from what a page of ours holds.

    Args:
        payload: the page's content, which may come from anybody.
        k: classes before merging.

    Raises:
        ValueError: it is no page of ours, or damaged.
    """
    try:
        gallery, kept = payload["gallery"], payload["preview"]
        sheet = _picture(gallery["sheet"])
        there = Gallery(
            {int(key): tuple(map(int, ids)) for key, ids in gallery["typical"].items()},
            {int(key): tuple(map(int, ids)) for key, ids in gallery["borderline"].items()},
            tuple((int(p[0]), int(p[1]), float(p[2]), float(p[3]), float(p[4])) for p in gallery["points"]),
            str(gallery["projection"]),
            tuple(map(int, gallery["chips"])),
            tuple(tuple(map(int, box)) for box in gallery["boxes"]),
            sheet,
            str(gallery["missing"]),
        )
        numbers = {*there.typical, *there.borderline, *(point[1] for point in there.points)}
        if not numbers <= set(range(k)) or len(there.boxes) != len(there.chips) or {*map(len, there.boxes)} - {4}:
            raise ValueError("classes or pictures that there are not")
        return there, _picture(kept), _unpacked(payload["there"])
    except (LookupError, TypeError, AttributeError, OverflowError, OSError, binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error


def _picture(text: str | None) -> Picture | None:
    """A picture from its base64; None stays None."""
    if text is None:
        return None
    encoded = base64.b64decode(text, validate=True)
    # nothing but JPEG: of other formats some start programs, and a header may tell any size
    with Pillow.open(io.BytesIO(encoded), formats=("JPEG",)) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError(f"a picture of {opened.width} x {opened.height} pixels")
        opened.verify()
    return Picture(encoded=encoded)


def packed(there: Mask) -> dict[str, Any]:
    """An (h, w) bool mask as deflated bits in base64, the first pixel in the highest bit."""
    bits = zlib.compress(np.packbits(there).tobytes(), 9)
    return {"shape": list(there.shape), "data": base64.b64encode(bits).decode()}


def _unpacked(mask: Mapping[str, Any] | None) -> Mask | None:
    """The inverse of :func:`packed`; None stays None."""
    if mask is None:
        return None
    height, width = (int(length) for length in mask["shape"])
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels")
    packed_bits = base64.b64decode(mask["data"], validate=True)
    bits = np.frombuffer(zlib.decompressobj().decompress(packed_bits, -(-height * width // 8)), np.uint8)
    return np.unpackbits(bits, count=height * width).astype(bool).reshape(height, width)
