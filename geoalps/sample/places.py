"""A few labelled places, as a person would click them: points well inside things of known class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CLEAR = 2.0
"""Pixels that a place keeps from the border of its thing at least: nobody clicks an edge on purpose."""


class Place(NamedTuple):
    """A pixel well inside a thing."""

    class_id: int
    """Index into ``CLASSES``."""
    row: int
    col: int
    depth: float
    """Pixels to the nearest pixel at a border."""


def places_in(classes: NDArray[np.uint8]) -> list[Place]:
    """The innermost pixel of every connected piece of a class that is deep enough to be clicked.

    Args:
        classes: (height, width) class ids; the window's border counts as a border.
    """
    same = np.ones(classes.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = classes[one] != classes[other]
        same[one] &= ~differ
        same[other] &= ~differ
    depth = ndimage.distance_transform_edt(np.pad(same, 1))[1:-1, 1:-1]
    found: list[Place] = []
    for number in np.unique(classes):
        pieces, count = ndimage.label((classes == number) & (depth >= CLEAR))
        spots = ndimage.maximum_position(depth, pieces, range(1, count + 1)) if count else []
        found += [Place(int(number), int(row), int(col), float(depth[row, col])) for row, col in spots]
    return found


def choose_places(found: Iterable[Place], each: int) -> list[Place]:
    """At most ``each`` places of a class, from the larger half of its pieces, large and middling ones alike."""
    ordered = sorted(found, key=lambda place: (place.class_id, -place.depth, place.row, place.col))
    chosen: list[Place] = []
    for number in sorted({place.class_id for place in ordered}):
        mine = [place for place in ordered if place.class_id == number]
        half = mine[: max(each, len(mine) // 2)]
        chosen += [half[k] for k in np.unique(np.linspace(0, len(half) - 1, min(each, len(half))).round().astype(int))]
    return chosen
