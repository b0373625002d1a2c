"""Classes of what a chip shows, and which of them are countable."""

from __future__ import annotations

from geoalps.sample.things import CLASSES

CHIP_CLASSES: tuple[str, ...] = (
    *CLASSES,
    "pavement",
    "grass",
    "bare",
    "forest",
    "orchard",
    "pitch",
    "tank",
    "aircraft",
    "container",
    "solar",
    "pool",
    "rail",
    "structure",
    "settlement",
    "rock",
)
"""Names of a chip's class ids; the first eight are those of a made scene."""

OTHER, BUILDING, ROAD, FIELD, TREE, WATER, VEHICLE, SHIP = range(len(CLASSES))
(
    PAVEMENT,
    GRASS,
    BARE,
    FOREST,
    ORCHARD,
    PITCH,
    TANK,
    AIRCRAFT,
    CONTAINER,
    SOLAR,
    POOL,
    RAIL,
    STRUCTURE,
    SETTLEMENT,
    ROCK,
) = range(len(CLASSES), len(CHIP_CLASSES))

COUNTABLE = frozenset((BUILDING, TREE, VEHICLE, SHIP, PITCH, TANK, AIRCRAFT, CONTAINER, SOLAR, POOL, STRUCTURE, ROCK))
"""Class ids of countable things; the others are ground."""
