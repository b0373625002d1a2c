"""What stands in a made scene: surfaces, patches of ground, buildings, vehicles, ships and trees, as plain values.

Lengths are metres in the scene's own frame: x to the right, y down, (0, 0) the upper left corner of pixel (0, 0).
Angles are radians from x towards y. Colours are red, green, blue in 0..255 in full sun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLASSES: tuple[str, ...] = ("other", "building", "road", "field", "tree", "water", "vehicle", "ship")
"""Names of the truth's class ids 0..7."""

OTHER, BUILDING, ROAD, FIELD, TREE, WATER, VEHICLE, SHIP = range(len(CLASSES))

Colour = tuple[float, float, float]
Points = NDArray[np.float64]
"""(n, 2) float64: x, y in metres."""


class Surface(NamedTuple):
    """How a piece of ground looks."""

    colour: Colour
    """In full sun, 0..255."""
    grain: float = 0.05
    """Relative amplitude of the noise from pixel to pixel."""
    mottle: float = 0.05
    """Relative amplitude of patches of one to a few metres."""
    drift: float = 0.06
    """Relative amplitude of slow changes over tens of metres."""
    row_depth: float = 0.0
    """Relative amplitude of crop rows, mowing stripes or planks."""
    row_spacing: float = 1.0
    """Metres from row to row."""
    row_angle: float = 0.0
    """Direction across the rows."""
    tramline: float = 0.0
    """Metres between the tracks of machines; 0 for none."""


class Patch(NamedTuple):
    """A polygon of ground."""

    layer: int
    """Higher ones lie on lower ones; those below 10 get wobbly borders."""
    outline: Points
    """Its corners, either way round."""
    surface: Surface
    """Its looks."""
    kind: int = OTHER
    """Class id."""
    instance: int = 0
    """Instance id; 0 for none."""
    height: float = 0.0
    """Metres above ground, for the shadow (decks of bridges)."""
    paint: bool = False
    """Changes colour only, never the truth (lane marks)."""


class Detail(NamedTuple):
    """A box on a roof, deck or body, in the block's frame (along, across)."""

    along: float
    """Centre, metres from the block's centre."""
    across: float
    """Centre, metres from the block's centre."""
    length: float
    """Metres along."""
    width: float
    """Metres across."""
    rise: float
    """Metres above what it stands on."""
    colour: Colour
    """Of its top."""


class Block(NamedTuple):
    """A box with a roof; a building is one or several blocks with one instance id."""

    x: float
    """Centre."""
    y: float
    """Centre."""
    angle: float
    """Of its length."""
    length: float
    """Metres along the ridge."""
    width: float
    """Metres across the ridge."""
    eaves: float
    """Height of the walls in metres."""
    roof: str
    """``gable``, ``hip`` or ``flat``."""
    slope: float
    """Rise over run of the roof's planes."""
    colour: Colour
    """Of the roof."""
    ribs: float
    """Metres between ribs or courses of the roofing; 0 for none."""
    details: tuple[Detail, ...]
    """Chimneys, skylights, machines."""
    kind: int
    """Class id."""
    instance: int
    """Instance id."""


class Vehicle(NamedTuple):
    """A car, van, bus or lorry."""

    x: float
    """Centre."""
    y: float
    """Centre."""
    angle: float
    """Where it heads."""
    length: float
    """Metres."""
    width: float
    """Metres."""
    cab: float
    """Share of the length that is bonnet or cab; what is behind it is roof or load."""
    colour: Colour
    """Of the body."""
    load: Colour
    """Of the roof or load."""
    instance: int
    """Instance id."""


class Ship(NamedTuple):
    """A ship or boat."""

    x: float
    """Centre."""
    y: float
    """Centre."""
    angle: float
    """Where it heads."""
    length: float
    """Metres."""
    width: float
    """Metres."""
    colour: Colour
    """Of the deck."""
    wake: float
    """Metres of white water behind it; 0 when it is moored."""
    details: tuple[Detail, ...]
    """Bridge, hatches, containers."""
    instance: int
    """Instance id."""


@dataclass(frozen=True, eq=False)
class Content:
    """All that belongs to one cell of the plan."""

    patches: tuple[Patch, ...]
    """In painting order within a layer."""
    blocks: tuple[Block, ...]
    """Buildings, containers."""
    vehicles: tuple[Vehicle, ...]
    """Cars and lorries."""
    ships: tuple[Ship, ...]
    """Ships and boats."""
    trees: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 8)))
    """(n, 8) float64: x, y, crown radius, height in metres, red, green, blue, instance id."""
