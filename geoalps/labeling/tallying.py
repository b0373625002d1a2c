"""Counting a product and its truth, window by window: pixels of classes, of objects, and along borders.

And which of the classes that were counted are scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.errors import OptionError
from geoalps.grid import TileGrid, Window
from geoalps.io.truth import UNKNOWN, Truth
from geoalps.labeling.scores import PairCounts
from geoalps.progress import Progress, Silence

RADIUS = 2
"""Pixels by which a border may be off."""
Read = Callable[[Window], NDArray[Any]]


@dataclass(eq=False)
class Tally:
    """What is counted window by window."""

    classes: PairCounts = field(default_factory=PairCounts)
    """Pixels by label (-1 for none) and class value, where the class is known."""
    objects: PairCounts = field(default_factory=PairCounts)
    """Pixels by object and instance, where the truth reaches."""
    border: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, np.int64))
    """Pixels: of instances' borders near an object's, of instances' borders, of objects near a border, of objects."""


def tally(labels: Read, objects: Read, truth: Truth, grid: TileGrid, progress: Progress | None = None) -> Tally:
    """Count a product and its truth.

    Args:
        labels: class ids (h, w) of a window, the largest number of their dtype for none.
        objects: object ids (h, w), 0 for none; not read for a truth without outlines.
        truth: on the same grid.
        grid: whose cores are counted one at a time, with RADIUS + 1 pixels around them for the borders.
        progress: hears of every core.
    """
    counts, progress = Tally(), progress or Silence()
    tiles = list(grid.meeting(truth.reach))
    progress.start("evaluate", len(tiles))
    for tile in tiles:
        around = tile.core.pad(RADIUS + 1).clip(grid.scene) if truth.has_instances else tile.core
        known = truth.read(around)
        core = tile.core.slices(around)
        values, ids = known.classes[core], labels(tile.core)
        scored = values != UNKNOWN
        uncovered = np.iinfo(ids.dtype).max
        counts.classes.add(np.where(ids == uncovered, -1, ids.astype(np.int64))[scored], values[scored])
        if truth.has_instances:
            outlined, inside = np.maximum(known.instances, 0), known.inside
            found = objects(around).astype(np.int64)
            counts.objects.add(found[core][inside[core]], outlined[core][inside[core]])
            counts.border += _borders(found, outlined, inside, core)
        progress.advance()
    return counts


def _borders(
    objects: NDArray[np.int64], instances: NDArray[np.int64], inside: NDArray[np.bool_], core: tuple[slice, slice]
) -> NDArray[np.int64]:
    """(4,) pixels of a window's core, as :attr:`Tally.border` has them."""
    rows, cols = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    disc = rows**2 + cols**2 <= RADIUS**2 + 0.5
    near = ndimage.binary_dilation(borders(objects, inside), disc)[core]
    border = (borders(instances, inside) & (instances > 0))[core]
    covered = ((objects > 0) & inside)[core]
    return np.array([np.count_nonzero(part) for part in (near & border, border, near & covered, covered)])


def borders(ids: NDArray[np.int64], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w) bool: pixels of (h, w) ids beside a pixel of another id, both inside."""
    found = np.zeros(ids.shape, bool)
    for one, two in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = (ids[one] != ids[two]) & inside[one] & inside[two]
        found[one] |= differ
        found[two] |= differ
    return found


def kept(values: NDArray[np.int64], truth: Truth, ignore: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) bool: class values that are scored. A number that does not occur is no mistake, a name is."""
    names = {int(value): truth.class_name(int(value)) for value in np.unique(values)}
    known = {*names.values(), *truth.names}
    refuse_unknown(ignore, truth, known)
    # a class is known by its name; the values are our own where features are burnt, and no word of the user's
    words = {word if word in known else str(int(float(word))) for word in ignore}
    dropped = [value for value, name in names.items() if name in words or (not truth.names and str(value) in words)]
    return ~np.isin(values, dropped)


def refuse_unknown(ignore: Sequence[str], truth: Truth, known: Collection[str]) -> None:
    """Raise an OptionError for a class to ignore that is no number and none of those that are known."""
    wrong = [word for word in ignore if not re.fullmatch(r"[+-]?\d+(\.0*)?", word) and word not in known]
    if wrong:
        raise OptionError(f"{truth.name} has no class {wrong[0]!r} to ignore; it has {listed(known)}")


def listed(names: Collection[str]) -> str:
    """Some names, the first 20 of them."""
    return ", ".join(sorted(names)[:20]) + (", ..." if len(names) > 20 else "") if names else "none"
