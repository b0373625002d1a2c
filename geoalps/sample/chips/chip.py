"""Chips: drawn fast, of one kind of place, by one sensor, with nested truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.sample.chips.airport import draw_airport
from geoalps.sample.chips.bare import draw_bare
from geoalps.sample.chips.forest import draw_forest, draw_orchard
from geoalps.sample.chips.industry import draw_industry
from geoalps.sample.chips.landscape import draw_landscape
from geoalps.sample.chips.parking import draw_parking
from geoalps.sample.chips.port import draw_port
from geoalps.sample.chips.rural import draw_rural
from geoalps.sample.chips.sensors import SENSORS, Setting, picture
from geoalps.sample.chips.settlement import draw_settlement
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.solar import draw_solar
from geoalps.sample.chips.sport import draw_sport
from geoalps.sample.chips.sun import Sun
from geoalps.sample.chips.texture import surfaces
from geoalps.sample.chips.truth import Truth, truth_of
from geoalps.sample.chips.urban import draw_urban
from geoalps.sample.chips.water import draw_water

ATTEMPTS = 4
"""A place that turns out dull is drawn anew so often."""
FAR = 2.5
"""Metres: larger pixels show land, not things."""

KINDS: dict[str, tuple[Callable[[Sheet], None], float, float, float]] = {
    "urban": (draw_urban, 3.0, 0.1, 0.9),
    "settlement": (draw_settlement, 2.0, 0.06, 0.5),
    "rural": (draw_rural, 2.0, 0.12, 2.4),
    "port": (draw_port, 1.2, 0.15, 2.0),
    "industry": (draw_industry, 1.5, 0.12, 1.5),
    "parking": (draw_parking, 1.2, 0.1, 0.6),
    "sport": (draw_sport, 1.3, 0.15, 1.2),
    "airport": (draw_airport, 1.2, 0.15, 1.6),
    "forest": (draw_forest, 1.2, 0.1, 1.5),
    "orchard": (draw_orchard, 0.8, 0.1, 1.2),
    "water": (draw_water, 1.2, 0.2, 2.4),
    "bare": (draw_bare, 1.0, 0.1, 2.0),
    "solar": (draw_solar, 0.5, 0.1, 1.5),
}
"""By name: what draws it, how often it is drawn, and the usual pixel sizes in metres, from and to."""

CAMERAS = {
    "aerial": 3.0, "drone": 1.2, "satellite": 2.4, "web": 2.6, "grey": 1.0, "panchromatic": 1.0, "infrared": 0.9,
    "sar": 0.5,
}  # fmt: skip
"""How often each sensor is drawn; ``clean`` only when asked for."""


@dataclass(frozen=True, eq=False)
class Chip:
    """A made picture of fixed size with nested truth."""

    image: NDArray[np.uint8]
    """(height, width, 3) uint8."""
    wholes: NDArray[np.uint16]
    """(height, width) uint16: ids 1, 2, ... of whole things and pieces of ground; no pixel has none."""
    parts: NDArray[np.uint16]
    """(height, width) uint16: ids 1, 2, ... of parts; each lies in one whole; a whole without parts is its own."""
    classes: NDArray[np.uint8]
    """(height, width) uint8: index into ``CHIP_CLASSES``, the same over a whole."""
    things: NDArray[np.bool_]
    """(wholes + 1,) bool: whether a whole is a countable thing; False for ground and for id 0, which no pixel has."""
    kind: str
    """Of the place: one of ``KINDS``."""
    sensor: str
    """One of ``SENSORS``."""
    pixel_size: float
    """Metres."""


def made_chip(
    seed: int,
    size: int | tuple[int, int] = 256,
    kind: str | None = None,
    sensor: str | None = None,
    pixel_size: float | None = None,
) -> Chip:
    """Draw a chip: the same seed and arguments give the same bytes, whatever was drawn before.

    Args:
        seed: any whole number.
        size: pixels of a side, or (height, width); 32 to 1024 each.
        kind: one of ``KINDS``; None draws it from the seed.
        sensor: one of ``SENSORS``; None draws it from the seed.
        pixel_size: metres, 0.05 to 10; None draws what suits the kind.

    Raises:
        OptionError: a size, kind, sensor or pixel size outside of what is allowed.
    """
    shape = (size, size) if isinstance(size, int) else size
    _check(shape, kind, sensor, pixel_size)
    sign, size_of = int(seed < 0), abs(int(seed))
    rng = Generator(PCG64([20077, sign, size_of]))
    drawn_kind, drawn_sensor = _drawn(rng, {k: v[1] for k, v in KINDS.items()}), _drawn(rng, CAMERAS)
    kind, sensor = kind or drawn_kind, sensor or drawn_sensor
    pixel = _pixel(rng, kind) if pixel_size is None else pixel_size
    light, camera = (Generator(PCG64([20078, sign, size_of, n])) for n in range(2))
    sun, lean, dry = Sun.drawn(light), _lean(light), light.uniform(-1, 0.75) if light.random() < 0.7 else 0.0
    for attempt in range(ATTEMPTS):
        sheet = Sheet(shape, pixel, Generator(PCG64([20079, sign, size_of, attempt])), lean)
        sheet.dry = dry
        if pixel > FAR:
            draw_landscape(sheet, kind)
        else:
            KINDS[kind][0](sheet)
        truth = truth_of(sheet)
        if not _dull(truth, kind):
            break
    image = picture(Setting(sensor, pixel, sun), surfaces(sheet), camera)
    return Chip(image, truth.wholes, truth.parts, truth.classes, truth.things, kind, sensor, pixel)


def _lean(rng: Generator) -> tuple[float, float]:
    """How far tops lean for each metre of height: most cameras look straight down."""
    if rng.random() < 0.65:
        return 0.0, 0.0
    turn, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.35)
    return tilt * math.cos(turn), tilt * math.sin(turn)


def _dull(truth: Truth, kind: str) -> bool:
    """Whether there is too little to see: a lawn and nothing else."""
    largest = int(np.bincount(truth.wholes.ravel()).max()) / truth.wholes.size
    open_land = kind in ("water", "forest", "orchard", "bare")
    few = 2 if open_land or kind == "settlement" else 4
    wholes, parts = int(truth.wholes.max()), int(truth.parts.max())
    return largest > (0.97 if open_land and parts < 2 * wholes + 10 else 0.86) or wholes < few


def _drawn(rng: Generator, weights: dict[str, float]) -> str:
    """A name by its weight."""
    share = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(share), p=share / share.sum()))]


def _pixel(rng: Generator, kind: str) -> float:
    """A pixel size that suits a kind; now and then a coarse one."""
    if rng.random() < 0.12:
        return float(math.exp(rng.uniform(math.log(FAR), math.log(10))))
    low, high = KINDS[kind][2:]
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _check(shape: tuple[int, int], kind: str | None, sensor: str | None, pixel: float | None) -> None:
    """Refuse what cannot be drawn."""
    if len(shape) != 2 or not all(32 <= side <= 1024 for side in shape):
        raise OptionError(f"size is {shape}; give one number of pixels, or (height, width), of 32 to 1024 each")
    for name, given, known in (("kind", kind, KINDS), ("sensor", sensor, SENSORS)):
        if given is not None and given not in known:
            raise OptionError(f"{name} {given!r} is unknown; choose one of {', '.join(known)}")
    if pixel is not None and not 0.05 <= pixel <= 10:
        raise OptionError(f"pixel size is {pixel} m; allowed is 0.05 to 10")
