"""Chips: made training samples of fixed size, many kinds of places, many sensors, with nested truth.

    >>> chip = made_chip(seed=7)
    >>> chip.image.shape, chip.wholes.dtype, chip.parts.dtype
    ((256, 256, 3), dtype('uint16'), dtype('uint16'))

A place (:mod:`urban`, :mod:`port`, ...) draws nouns (:mod:`buildings`, :mod:`ships`, ...) as numbered regions on a
:mod:`sheet`; :mod:`texture` gives them surfaces, :mod:`sun` lights them, :mod:`sensors` take the picture, and
:mod:`truth` tells wholes and parts apart.
"""

from geoalps.sample.chips.chip import CAMERAS, KINDS, Chip, made_chip
from geoalps.sample.chips.kinds import CHIP_CLASSES
from geoalps.sample.chips.sensors import SENSORS

__all__ = ["CAMERAS", "CHIP_CLASSES", "KINDS", "SENSORS", "Chip", "made_chip"]
