"""Ships and boats with decks, holds, bridges, containers; wakes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from geoalps.sample.chips.kinds import SHIP, WATER
from geoalps.sample.chips.look import BODY, GLASS, STEEL, Colour, Look
from geoalps.sample.chips.shape import Frame, Points
from geoalps.sample.chips.sheet import Sheet

DECKS: tuple[Colour, ...] = (
    (176, 174, 166),
    (148, 86, 70),
    (120, 126, 124),
    (206, 204, 198),
    (96, 112, 122),
    (112, 72, 62),
    (86, 108, 92),
)
BOXES: tuple[Colour, ...] = (
    (150, 76, 56), (70, 98, 138), (92, 118, 88), (182, 144, 74), (192, 190, 184), (112, 60, 54), (84, 90, 98),
    (60, 120, 124),
)  # fmt: skip
FOAM = Look((204, 212, 212), 190, grain=0.08, mottle=0.1, patch=0.1, streak=0.06, sar=-16)


def hull(length: float, width: float, stern: float = 0.82) -> Points:
    """(n, 2) local outline with its bow at the positive end."""
    bow = np.linspace(0, 1, 7)
    a = length * (0.22 + 0.28 * bow)
    b = width / 2 * np.sqrt(np.maximum(0.0, 1 - bow**1.8))
    right = np.concatenate([[(-length / 2, width / 2 * stern), (-0.4 * length, width / 2)], np.stack([a, b], -1)])
    outline: Points = np.concatenate([right, right[::-1] * (1, -1)])
    return outline


def wake(sheet: Sheet, place: Frame, length: float) -> None:
    """White water behind a moving ship; none of it is a thing."""
    long = length * sheet.rng.uniform(0.8, 1.8)
    under = sheet.looks[0]
    k = np.linspace(0, 1, 12)
    for spread, start, share in ((0.17, 0.42, 0.15), (0.09, 0.40, 0.45)):
        wide = spread * length * (0.5 + 1.1 * k - 0.9 * k**3)
        near = np.stack([-length * start - k * long * (1 if share < 0.3 else 0.6), wide], -1)
        red, green, blue = (u + share * (214 - u) for u in under.colour)
        foam = FOAM._replace(
            colour=(red, green, blue), row_angle=place.angle + math.pi / 2, mottle=0.25 * share, grain=0.2 * share
        )
        sheet.mark(foam, [place.at(np.concatenate([near, (near * (1, -1))[::-1]]))])
    for side in (-1, 1):
        wave = np.stack([0.45 * length - 1.6 * length * k, side * length * (0.08 + 0.5 * k)], -1)
        sheet.line(FOAM, place.at(wave), 0.025 * length, under)


def ship(sheet: Sheet, place: Frame, length: float, moving: bool = False) -> None:
    """A ship that heads along its frame: boat below 18 m, else with a deck, holds or boxes and a bridge as parts."""
    if not sheet.sees(place.x, place.y, length * (3 if moving else 1)) or length < 3 * sheet.pixel:
        return
    if moving:
        way = place.box(length * 1.15, 0.3 * length)
        if not sheet.clear(way, WATER):
            return
        if sheet.clear(place.quad(-2.2 * length, -0.3 * length, -0.5 * length, 0.3 * length), WATER):
            wake(sheet, place, length)
    if length < 18:
        _boat(sheet, place, length)
    else:
        _freighter(sheet, place, length)


def _boat(sheet: Sheet, place: Frame, length: float) -> None:
    """A yacht, motor boat or barge."""
    rng = sheet.rng
    width = length * rng.uniform(0.27, 0.36)
    whole = sheet.whole(SHIP)
    deck = BODY._replace(
        colour=(228.0, 228.0, 224.0) if rng.random() < 0.65 else DECKS[int(rng.integers(len(DECKS)))]
    ).varied(rng)
    sheet.fill(sheet.add(deck, whole, height=1.2), place.at(hull(length, width)))
    part = sheet.part() if width > 8 * sheet.pixel else 0
    cabin: Colour = (238, 238, 234) if rng.random() < 0.6 else (96, 104, 112)
    if rng.random() < 0.35:
        seam = deck._replace(colour=(deck.colour[0] * 0.7, deck.colour[1] * 0.68, deck.colour[2] * 0.62))
        sheet.mark(seam, [place.quad(-0.42 * length, -0.32 * width, -0.15 * length, 0.32 * width)], 0.9)
    sheet.fill(
        sheet.add(BODY._replace(colour=cabin), whole, part, 2.2),
        place.quad(-0.18 * length, -0.3 * width, 0.16 * length, 0.3 * width),
        not part,
    )
    sheet.mark(GLASS, [place.quad(0.12 * length, -0.27 * width, 0.2 * length, 0.27 * width)], 1.8)
    if rng.random() < 0.3:
        awning = BODY._replace(colour=(DECKS + BOXES)[int(rng.integers(len(DECKS) + len(BOXES)))]).varied(rng, 0.15)
        sheet.mark(awning, [place.quad(-0.46 * length, -0.36 * width, -0.16 * length, 0.36 * width)], 2.4)


def _freighter(sheet: Sheet, place: Frame, length: float) -> None:
    """A cargo ship, tanker, container ship or ferry."""
    rng = sheet.rng
    width = length * rng.uniform(0.13, 0.2)
    whole = sheet.whole(SHIP)
    deck = STEEL._replace(
        colour=DECKS[int(rng.integers(len(DECKS)))], nir=-1.0, other=(120.0, 82.0, 64.0), mix=0.35
    ).varied(rng)
    rim = deck._replace(colour=(deck.colour[0] * 0.6, deck.colour[1] * 0.6, deck.colour[2] * 0.62))
    sheet.fill(sheet.add(rim, whole, height=5.0), place.at(hull(length, width)))
    sheet.fill(sheet.add(deck, whole, height=4.6), place.at(hull(length * 0.975, width * 0.9)))
    kind = rng.random()
    front, back = 0.34 * length, -0.30 * length
    if kind < 0.35:
        stacked(sheet, place, (back, front), width * 0.9, whole, rng.uniform(0.6, 1.0), 5.0)
    elif kind < 0.7:
        count, spread = int(rng.integers(2, 7)), float(rng.choice([0.03, 0.25]))
        hatch = DECKS[int(rng.integers(len(DECKS)))]
        look = STEEL._replace(colour=hatch, nir=-1.0, row_depth=0.06, row_spacing=2.0, row_angle=place.angle).varied(
            rng
        )
        edges = np.linspace(back, front, count + 1)
        for a0, a1 in pairwise(edges):
            gap = 0.12 * (a1 - a0)
            tone = math.exp(rng.normal(0, spread))
            mine = look._replace(colour=(look.colour[0] * tone, look.colour[1] * tone, look.colour[2] * tone))
            sheet.fill(
                sheet.add(mine, whole, sheet.part(), 6.2), place.quad(a0 + gap, -0.33 * width, a1 - gap, 0.33 * width)
            )
        crane = STEEL._replace(colour=(204, 190, 120))
        sheet.mark(crane, [place.spot(a, 0).box(1.6, 0.5 * width) for a in edges[1:-1]], 12.0)
    else:
        pipe = deck._replace(colour=(deck.colour[0] * 1.3, deck.colour[1] * 1.3, deck.colour[2] * 1.3))
        lines = [place.quad(back, b, front, b + 0.5) for b in (-0.06 * width, 0.0, 0.06 * width)]
        lines += [place.quad(a, -0.38 * width, a + 0.7, 0.38 * width) for a in np.linspace(back, front, 6)[1:-1]]
        sheet.mark(pipe, lines, 5.8)
    white = BODY._replace(colour=(226.0, 226.0, 220.0))
    bridge = sheet.add(white, whole, sheet.part(), 16.0)
    sheet.fill(bridge, place.quad(-0.44 * length, -0.44 * width, -0.33 * length, 0.44 * width))
    sheet.mark(GLASS, [place.quad(-0.335 * length, -0.42 * width, -0.32 * length, 0.42 * width)], 15.0)
    sheet.mark(
        STEEL._replace(colour=(110, 84, 70)), [place.spot(-0.41 * length, 0).box(0.04 * length, 0.2 * width)], 19.0
    )


def stacked(
    sheet: Sheet, place: Frame, span: tuple[float, float], width: float, whole: int, share: float, base: float
) -> None:
    """Containers in bays across a frame, from span[0] to span[1] metres along: all one part of the whole."""
    rng = sheet.rng
    part = sheet.part()
    tiers = rng.integers(1, 5, size=len(BOXES))
    regions = [
        sheet.add(
            STEEL._replace(colour=c, nir=-1.0, row_depth=0.05, row_spacing=0.6, row_angle=place.angle).varied(rng),
            whole,
            part,
            base + 2.6 * t,
        )
        for c, t in zip(BOXES, tiers.tolist(), strict=True)
    ]
    across = max(1, int(width / 2.5))
    long = 12.2 if rng.random() < 0.7 else 6.1
    for a in np.arange(span[0], span[1] - long, long + 0.9):
        for n in range(across):
            if rng.random() < share:
                b = (n - (across - 1) / 2) * 2.5
                sheet.fill(regions[int(rng.integers(len(regions)))], place.quad(a, b - 1.2, a + long, b + 1.2))


def fleet_on(sheet: Sheet, count: int, longest: float) -> None:
    """Ships anywhere on open water, in several directions, some moving."""
    rng = sheet.rng
    heading = rng.uniform(0, 2 * math.pi)
    for _ in range(count):
        place = sheet.anywhere(0.05 * min(sheet.span))
        length = min(longest, math.exp(rng.uniform(math.log(6), math.log(max(8.0, longest)))))
        spot = Frame(place.x, place.y, heading + rng.normal(0, 0.5))
        if sheet.clear(spot.box(1.2 * length, 0.3 * length), WATER):
            ship(sheet, spot, length, rng.random() < 0.5)
