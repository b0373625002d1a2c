"""The colours of classes: near what the scene shows, and apart from one another to every eye.

:func:`class_colours` starts from the mean colour of each class in the scene as the user sees it, and works in OKLab.

1. **Aims.** The means are stretched together: lightness until it fills the range that shows on a white page, chroma
   until the median class is as colourful as MEDIAN_CHROMA, never beyond CALM. An aim keeps its mean's hue. How far a
   colour may turn from that hue is a hard limit: HUE_REACH, and more the greyer the mean, because the hue of a grey is
   chance. So water is never orange, and a grey stays muted.
2. **Places.** Each class gets one of some thousand colours of a lattice. What is minimised is

       sum_i p_i * follow(x_i) + sum_{i<j} p_i * p_j * (APART / d(x_i, x_j))**6

   where ``follow`` is the squared distance from the aim in units of how much lightness, chroma and hue may slip, ``p``
   the priority of a class by its share, and ``d`` the smallest of the distances that normal, deuteranope, protanope and
   tritanope eyes see, each divided by what is asked of it. The sixth power leaves little but the closest pairs.
   Classes are placed commonest first, then each moves to its best place again until none does.

Above CAREFUL classes no eye can keep them apart, and each takes its aim with a small step of its own, so that no two
are equal. Without a scene there is :func:`palette`.

>>> hex_colour(palette(2)[0])
'#185bd2'
>>> water, wood, roof = class_colours(np.array([[52, 70, 84], [60, 80, 50], [170, 120, 100]], np.uint8), np.ones(3))
>>> bool(water[2] > water[0]), bool(wood[1] > wood[0]), bool(roof[0] > roof[2])
(True, True, True)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.io.oklab import VISIONS, Colours, Lab, oklab, seen, srgb

MOST_CLASSES = 65535
"""Class ids 0..65534 fit uint16 beside its nodata value."""
CAREFUL = 64
"""Classes up to which each is placed with regard to all others."""

DARKEST, PALEST = 0.34, 0.88
"""Lightness: below, colours look black; above, they are lost on a white page."""
MOST_STRETCH = 3.0
"""Of lightness and chroma: beyond, noise would be shown as colour."""
MEDIAN_CHROMA = 0.08
"""Chroma that the median class is stretched to: an aerial photograph has .02 to .05, a printed map about this."""
CALM = 0.13
"""Chroma that no aim passes; pure sRGB red has .26, and a map of such colours is loud."""
GREY = 0.012
"""Chroma below which a mean has no hue of its own: a step or two of its 8 bits."""
HUE_REACH = np.radians(22)
"""How far a colour may turn from a sure hue: green stays short of yellow and of cyan."""
MUTED, LEFT = 0.04, 0.5
"""Chroma that may be added to an aim's, and the share of it that must be left."""
SLIP = (0.16, 0.05, 0.025)
"""What costs as much as a pair at the distance APART: so much lightness, chroma, or distance along the hue circle."""
APART = 0.09
"""Distance at which two colours are told apart in a legend without a second look."""
ASKED = dict(zip(VISIONS, (1.0, 0.7, 0.7, 0.5), strict=True))
"""Share of that distance which eyes are to see: less without a kind of cone, least where it is rare (tritanopes)."""
RAREST = 0.4
"""Priority of a class without objects; that of the commonest is 1."""
SWEEPS = 12
"""Times that every class may move; two or three do."""
STEP = 0.022
"""Of the lattice: about the least difference that is seen across a map."""
FURTHEST = 0.12
"""Step from the aims that leaves room for MOST_CLASSES colours around one of them."""

# Picked by hand and then moved apart, in OKLab, as normal, deuteranope and protanope eyes see them; the first eight
# differ most.
# fmt: off
_FIRST = [
    "#185bd2", "#d08a18", "#158377", "#d92237", "#6eedfa", "#610f86", "#d9fa38", "#73280f", "#fa7fd4", "#1d4955",
    "#a3c95a", "#9d72b8", "#c5c1b1", "#33b3a4", "#933385", "#91adfa", "#696b0f", "#f37d7b", "#3815bf", "#dfeeb6",
]
# fmt: on
_SPREAD = 256
_CANDIDATES = 8192


def class_colours(means: Colours, weights: NDArray[Any], taken: Colours | None = None) -> Colours:
    """Colours for a class map that follow what the scene shows and can be told apart.

    The order of the classes does not matter: each takes its colour with it.

    Args:
        means: (k, 3) uint8 sRGB, mean colour of each class's objects in the stretched scene; k is at most 65535.
        weights: (k,) area or number of objects of each class, in any unit; 0 for a class without.
        taken: (n, 3) uint8 colours of other classes of the map, to stay apart from.

    Returns:
        (k, 3) uint8 sRGB, all different and none of them taken.

    Raises:
        OptionError: the shapes or dtypes are others, or a weight is negative or not finite.
    """
    taken = np.zeros((0, 3), np.uint8) if taken is None else taken
    _check(means, MOST_CLASSES, "means")
    _check(taken, MOST_CLASSES - len(means), "colours taken")
    share = _shares(weights, len(means))
    order = np.lexsort((-np.asarray(weights, float), *means.T[::-1], -share))
    means, share = means[order], share[order]
    mean = oklab(means)
    there = share > 0 if share.any() else np.ones(len(share), bool)
    colours = np.empty_like(means)
    if len(means):
        aims = _aims(mean, there)
        few = len(means) + len(taken) <= CAREFUL
        colours[order] = _placed(mean, aims, share, taken) if few else _many(aims, taken)
    return colours


def palette(k: int) -> Colours:
    """Colours for k classes of which nothing is known, each different; those of a smaller k come first.

    The first 20 are fixed, up to 256 each is the one furthest (in OKLab) from all before it, and the others fill the
    space evenly. None is close to black or white.

    Args:
        k: number of colours, at most 65535.

    Returns:
        (k, 3) uint8 sRGB.

    Raises:
        OptionError: k is negative or above 65535.
    """
    if not 0 <= k <= MOST_CLASSES:
        raise OptionError(f"{k} colours were asked for; allowed is 0 to {MOST_CLASSES}")
    colours = np.array([rgb(colour) for colour in _FIRST], np.uint8)
    if k > len(colours):
        colours = _spread(colours, _sequence(_CANDIDATES))
    if k > _SPREAD:
        every = np.concatenate([colours, _sequence(3 * MOST_CLASSES)])
        _, first = np.unique(every, axis=0, return_index=True)
        colours = every[np.sort(first)]
    return colours[:k]


def hex_colour(colour: Sequence[int] | Colours) -> str:
    """``#rrggbb`` of three numbers 0..255."""
    red, green, blue = (int(v) for v in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue 0..255 of ``#rrggbb``; an OptionError for anything else."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise OptionError(f"colour is {colour!r}; write it as #rrggbb")
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _check(colours: Colours, most: int, what: str) -> None:
    """Refuse colours of another shape or dtype, and more than ``most``, with an OptionError."""
    if colours.dtype != np.uint8 or colours.ndim != 2 or colours.shape[1] != 3 or len(colours) > most:
        raise OptionError(f"{what} are {colours.dtype} {colours.shape}; want uint8 (k, 3), k at most {most}")


def _shares(weights: NDArray[Any], k: int) -> NDArray[np.float64]:
    """(k,) weights over the largest, rounded; an OptionError where they are not k, finite and none negative."""
    weights = np.asarray(weights, float)
    if weights.shape != (k,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise OptionError(f"weights are {weights.shape}; want ({k},), finite and none negative")
    return (weights / (weights.max(initial=0) or 1)).round(9)


def _aims(mean: Lab, there: NDArray[np.bool_]) -> Lab:
    """(k, 3) OKLab that the colours should have: the means, stretched by what ``there`` are of them."""
    low, high = mean[there, 0].min(), mean[there, 0].max()
    gain = min(MOST_STRETCH, (PALEST - DARKEST) / max(high - low, 1e-9))
    lightness = (DARKEST + PALEST) / 2 + gain * (mean[:, 0] - (low + high) / 2)
    chroma = _chroma(mean)
    gain = np.clip(MEDIAN_CHROMA / max(np.median(chroma[there]), 1e-9), 1, MOST_STRETCH)
    # tends to CALM, and by square roots alone, which every machine rounds alike
    gain = gain / np.sqrt(1 + (gain * chroma / CALM) ** 2)
    return np.column_stack([lightness.clip(DARKEST, PALEST), mean[:, 1:] * gain[:, None]])


def _placed(mean: Lab, aims: Lab, share: NDArray[np.float64], others: Colours) -> Colours:
    """(k, 3) colours of the lattice, by the descent that the module's docstring describes; rows by priority."""
    lattice, looks = _lattice()
    costs = _follow(lattice, mean, aims)
    for look in seen(others):
        costs += _crowding(looks, look)[:, None]
    priority = RAREST + (1 - RAREST) * np.sqrt(share)
    crowd = np.zeros_like(costs)
    taken = np.full(len(aims), -1)
    for _ in range(SWEEPS):
        before = taken.copy()
        for i in range(len(aims)):
            crowd[:, i] = 0
            # rounded, or the last bit of a cube root would choose between equals
            taken[i] = (costs[:, i] + crowd.sum(1)).round(5).argmin()
            crowd[:, i] = priority[i] * _crowding(looks, looks[taken[i]])
        if (taken == before).all():
            break
    colours: Colours = lattice[taken]
    return colours


def _follow(lattice: Colours, mean: Lab, aims: Lab) -> NDArray[np.float64]:
    """(n, k) how far each of n colours is from each aim, squared, in units of SLIP; inf beyond a hard limit."""
    lab = oklab(lattice)[:, None]
    chroma, aimed = _chroma(lab), _chroma(aims)
    across = ((lab[..., 1:] - aims[:, 1:]) ** 2).sum(-1)
    along = np.maximum(across - (chroma - aimed) ** 2, 0)
    cost = ((lab[..., 0] - aims[:, 0]) / SLIP[0]) ** 2 + ((chroma - aimed) / SLIP[1]) ** 2 + along / SLIP[2] ** 2
    reach = HUE_REACH + np.arcsin(np.minimum(1, GREY / np.maximum(_chroma(mean), 1e-9)))
    hue = lab[..., 1] * aims[:, 1] + lab[..., 2] * aims[:, 2] >= np.cos(reach) * chroma * aimed
    hue |= _chroma(mean) <= GREY
    allowed = hue & (chroma <= aimed + MUTED) & (chroma >= aimed * LEFT)
    return np.where(allowed, cost, np.inf)


def _crowding(looks: Lab, one: Lab) -> NDArray[np.float64]:
    """(n,) how much n colours are in the way of ``one``, all as each of VISIONS sees them."""
    distance = ((looks - one) ** 2).sum(-1) / (APART * np.array(list(ASKED.values()))) ** 2
    crowding: NDArray[np.float64] = 1 / np.maximum(distance.min(1), 1e-3) ** 3
    return crowding


@cache
def _lattice() -> tuple[Colours, Lab]:
    """Colours STEP apart in OKLab that are neither too dark, too pale nor too loud, and how VISIONS see them."""
    side = np.arange(-10, 11) * STEP
    lightness = np.linspace(DARKEST, PALEST, round((PALEST - DARKEST) / STEP) + 1)
    grid = np.stack(np.meshgrid(lightness, side, side, indexing="ij"), -1).reshape(-1, 3)
    colours, inside = srgb(grid[_chroma(grid) <= CALM + MUTED])
    colours = colours[inside]
    return colours, seen(colours)


def _many(aims: Lab, others: Colours) -> Colours:
    """(k, 3) the aims, each a small step of its own away, and again until no two are equal and none is another's."""
    colours = np.concatenate([others, np.empty((len(aims), 3), np.uint8)])
    left, term, reach = np.arange(len(aims)), 1, STEP
    while len(left):
        lab = aims[left] + (_recurrence(left + term) - 0.5) * (2 * reach)
        colours[len(others) + left] = srgb(np.column_stack([lab[:, 0].clip(DARKEST, PALEST), lab[:, 1:]]))[0]
        _, first = np.unique(colours, axis=0, return_index=True)
        left = np.setdiff1d(np.arange(len(aims)), first - len(others))
        term, reach = term + len(aims), min(reach * 1.5, FURTHEST)
    return colours[len(others) :]


def _chroma(lab: Lab) -> NDArray[np.float64]:
    """(...,) distance from grey."""
    chroma: NDArray[np.float64] = np.sqrt(lab[..., 1] ** 2 + lab[..., 2] ** 2)
    return chroma


def _recurrence(n: NDArray[np.integer]) -> NDArray[np.float64]:
    """(len(n), 3) terms of an additive recurrence, 0..1: those of a run of n are spread evenly."""
    # Multiples of 2**32 / g, / g**2, / g**3 with g**4 = g + 1, in whole numbers: the same on every machine.
    steps = np.array([3518319155, 2882110345, 2360945575], np.uint64)
    return (n.astype(np.uint64)[:, None] * steps & np.uint64(2**32 - 1)).astype(float) / 2**32


def _sequence(n: int) -> Colours:
    """Evenly spread colours, those of a smaller n first: some of n points of an additive recurrence."""
    colours = (_recurrence(np.arange(1, n + 1)) * 256).astype(np.uint8)
    lab = oklab(colours)
    return colours[(lab[:, 0] > 0.42) & (lab[:, 0] < 0.94) & (_chroma(lab) > 0.03)]


def _spread(colours: Colours, candidates: Colours) -> Colours:
    """Colours and, one after the other, the candidates that lie furthest from all taken so far."""
    lab = oklab(candidates)
    distance = np.full(len(lab), np.inf)
    out = list(colours)
    for taken in oklab(colours):
        distance = np.minimum(distance, ((lab - taken) ** 2).sum(1))
    while len(out) < _SPREAD:
        best = int(distance.argmax())
        out.append(candidates[best])
        distance = np.minimum(distance, ((lab - lab[best]) ** 2).sum(1))
    return np.array(out, np.uint8)
