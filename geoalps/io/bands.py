"""Which three bands of a scene segmenters see, and which of their pixels hold data: arrays in, arrays out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from geoalps.errors import OptionError
from geoalps.protocols import Mask

RADARS = ("SAFE", "RS2", "RCM", "SAR_CEOS", "COSAR", "TSX", "AirSAR")
"""GDAL's formats that hold radar scenes and nothing else."""
Values = NDArray[Any]
"""(bands, height, width) in the scene's own dtype."""


def choose_bands(wanted: Sequence[int] | None, colours: Sequence[ColorInterp], name: str) -> tuple[int, ...]:
    """The three 1-based bands to read.

    Args:
        wanted: one or three 1-based bands; None takes red, green and blue wherever they are, else the first three
            that are not alpha, else the first one alone.
        colours: the interpretation of every band there is.
        name: of the scene, for messages.

    Returns:
        Three bands; one that stands alone is repeated.

    Raises:
        OptionError: neither one nor three bands, or no such band.
    """
    if wanted is None:
        rgb = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        if all(colour in colours for colour in rgb):
            return tuple(colours.index(colour) + 1 for colour in rgb)
        plain = [i + 1 for i, colour in enumerate(colours) if colour != ColorInterp.alpha] or [1]
        wanted = plain[:3] if len(plain) >= 3 else plain[:1]
    bands = tuple(int(band) for band in wanted)
    if len(bands) not in (1, 3):
        raise OptionError(f"{len(bands)} bands are given ({', '.join(map(str, bands))}); give one, or three as R,G,B")
    for band in bands:
        if not 1 <= band <= len(colours):
            allowed = "1 is the only one" if len(colours) == 1 else f"1 to {len(colours)} are allowed"
            raise OptionError(f"{name} has no band {band}: it has {len(colours)}, {allowed}")
    return bands * 3 if len(bands) == 1 else bands


def further_bands(chosen: tuple[int, ...], colours: Sequence[ColorInterp]) -> tuple[int, ...]:
    """1-based bands that hold data and are not among the chosen ones."""
    return tuple(i for i, colour in enumerate(colours, 1) if colour != ColorInterp.alpha and i not in chosen)


def red_nir(colours: Sequence[ColorInterp], descriptions: Sequence[str | None]) -> tuple[int, int] | None:
    """1-based bands of red and near infrared; None where it is not certain which they are.

    Args:
        colours: the interpretation of every band there is.
        descriptions: what every band is called, as ``red``, ``NIR``, or ``B04`` and ``B08`` of Sentinel-2.
    """
    words = [set(re.findall(r"[a-z0-9]+", (text or "").lower())) for text in descriptions]

    def place(colour: ColorInterp, *names: set[str]) -> int | None:
        """The first band of a colour, else with all words of a name, 1-based."""
        if colour in colours:
            return list(colours).index(colour) + 1
        return next(
            (i for name in names for i, said in enumerate(words, 1) if name <= said and "edge" not in said), None
        )

    # B8 alone is another band of Landsat; two digits are Sentinel-2's own way, and so is B8A
    sentinel = any(said & {"b08", "b8a"} for said in words)
    red = place(ColorInterp.red, {"red"}, *([{"b04"}, {"b4"}] if sentinel else []))
    near = place(ColorInterp.nir, {"nir"}, {"near", "infrared"}, *([{"b08"}, {"b8"}] if sentinel else []))
    return (red, near) if red and near else None


def radar(driver: str, colours: Sequence[ColorInterp], descriptions: Sequence[str | None]) -> bool:
    """Whether a raster says that a radar made it: its format, its bands' interpretation, or polarisations as names."""
    named = [re.search(r"(^|[^a-z])(vv|vh|hv|hh)([^a-z]|$)", (text or "").lower()) for text in descriptions]
    waves = [colour for colour in colours if colour.name.startswith("sar_")]
    return driver in RADARS or bool(waves) or (bool(named) and all(named))


def colour_table(entries: Mapping[int, tuple[int, int, int, int]], dtype: str) -> NDArray[np.uint8]:
    """(4, 256 or 65536) uint8 RGBA of every value of a palette band; values without an entry are transparent."""
    table = np.zeros((4, 256 if dtype == "uint8" else 65536), np.uint8)
    for value, rgba in entries.items():
        table[:, value] = rgba
    return table


def as_three(raw: Values, bands: tuple[int, ...]) -> Values:
    """(3, h, w) from the distinct bands that were read; a single one is repeated without a copy."""
    if len(raw) == 3:
        return raw
    if len(raw) == 1:
        return np.broadcast_to(raw, (3, *raw.shape[1:]))
    unique = list(dict.fromkeys(bands))
    return raw[[unique.index(band) for band in bands]]


def finite(raw: Values) -> Mask:
    """(h, w): every band that is read is a number."""
    if raw.dtype.kind != "f":
        return np.ones(raw.shape[1:], bool)
    return np.asarray(np.isfinite(raw).all(0))


def differs(raw: Values, nodata: float) -> Mask:
    """(h, w): some band is not nodata.

    As with GDAL, floats need not match to the last digit, and a nodata value that the dtype cannot hold never occurs.
    """
    if raw.dtype.kind == "f":
        largest = float(np.finfo(raw.dtype).max)
        if not abs(nodata) <= largest * (1 + 1e-6):
            return np.ones(raw.shape[1:], bool)
        value = max(-largest, min(largest, nodata))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(~(np.abs(raw - value) <= abs(value) * 5e-7).all(0))
    info = np.iinfo(raw.dtype)
    if not info.min <= nodata <= info.max:
        return np.ones(raw.shape[1:], bool)
    data = raw[0] != int(nodata)
    for band in raw[1:]:
        data |= band != int(nodata)
    return np.asarray(data)
