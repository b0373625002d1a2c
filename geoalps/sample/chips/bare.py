"""Bare ground: dry land with shrubs, quarries, building sites, dunes."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import flat_block
from geoalps.sample.chips.industry import goods
from geoalps.sample.chips.kinds import BARE, BUILDING, GRASS, ROCK, WATER
from geoalps.sample.chips.look import CLAY, CONCRETE, DIRT, GRAVEL, POND, SAND, SCRUB, VERGE, Look
from geoalps.sample.chips.look import ROCK as STONE
from geoalps.sample.chips.rural import waver
from geoalps.sample.chips.shape import Frame, blob, ribbon, winding
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import crowns
from geoalps.sample.chips.vehicles import lorry
from geoalps.sample.chips.ways import straight, track

SOILS = (DIRT, SAND, GRAVEL, CLAY._replace(colour=(172, 128, 96), other=(150, 112, 86)), STONE, SCRUB)


def draw_bare(sheet: Sheet) -> None:
    """Patches of soil of several kinds, then what makes it a steppe, a quarry, a site or dunes."""
    rng = sheet.rng
    main = SOILS[int(rng.integers(len(SOILS)))]
    sheet.base(main.varied(rng, 0.12), BARE)
    kind = ("steppe", "quarry", "site", "dunes")[int(rng.choice(4, p=[0.4, 0.25, 0.25, 0.1]))]
    for _ in range(int(rng.integers(2, 9))):
        place = sheet.anywhere()
        other = main if rng.random() < 0.5 else (*SOILS, VERGE)[int(rng.integers(len(SOILS) + 1))]
        outline = blob(rng, place.x, place.y, rng.uniform(0.08, 0.45) * sheet.reach, 0.45, rng.uniform(1, 3))
        sheet.lay(outline, other.varied(rng, 0.1), GRASS if other in (SCRUB, VERGE) else BARE)
    {"steppe": _steppe, "quarry": _quarry, "site": _site, "dunes": _dunes}[kind](sheet)


def _tracks(sheet: Sheet, most: int) -> None:
    """Tracks that wind and cross."""
    rng = sheet.rng
    for _ in range(int(rng.integers(0, most + 1))):
        ends = straight(sheet, sheet.anywhere())
        line = winding(rng, ends[0], ends[1], rng.uniform(2, 0.15 * sheet.reach + 3))
        soil = SOILS[int(rng.integers(3))].varied(rng, 0.12)
        track(sheet, line, rng.uniform(2.5, 7), soil)


def _steppe(sheet: Sheet) -> None:
    """Shrubs, rocks, a dry bed, tracks."""
    rng = sheet.rng
    if rng.random() < 0.4:
        ends = straight(sheet, sheet.anywhere())
        line = winding(rng, ends[0], ends[1], 0.2 * sheet.reach)
        sheet.lay(ribbon(line, rng.uniform(0.04, 0.2) * sheet.reach), SAND.varied(rng), BARE)
    waver(sheet, rng.uniform(0.5, 2.5))
    _tracks(sheet, 3)
    colours = ((84, 86, 56), (104, 98, 66), (66, 76, 46), (120, 110, 80))
    count = int(rng.choice([20, 120, 420]))
    places = rng.uniform(-0.05, 1.05, (count, 2)) * sheet.span
    crowns(sheet, places, rng.lognormal(-0.2, 0.5, count) * max(1.0, 1.4 * sheet.pixel), colours, None, 0.9)
    _rocks(sheet, int(rng.integers(0, 40)))


def _rocks(sheet: Sheet, count: int) -> None:
    """Boulders, each a thing."""
    rng = sheet.rng
    look = STONE.varied(rng, 0.12)
    for _ in range(count):
        spot = sheet.anywhere()
        radius = rng.lognormal(0.0, 0.6)
        if radius > 1.2 * sheet.pixel:
            region = sheet.add(
                look.varied(rng), sheet.whole(ROCK), origin=(spot.x, spot.y), dome=(radius, 0.7 * radius), lump=0.12
            )
            sheet.fill(region, blob(rng, spot.x, spot.y, radius, 0.3))


def _quarry(sheet: Sheet) -> None:
    """Benches around a pit, a pond in it, heaps, lorries."""
    rng = sheet.rng
    place = sheet.anywhere()
    stone = (STONE, SAND, GRAVEL)[int(rng.integers(3))].varied(rng, 0.12)
    outline = blob(rng, place.x, place.y, rng.uniform(0.5, 0.9) * sheet.reach, 0.3, 1.4)
    middle = np.array([place.x, place.y])
    steps = int(rng.integers(3, 7))
    sheet.mark(stone, [], 0.0)
    for n in range(steps):
        ring = middle + (outline - middle) * (1 - n / (steps + 1))
        tone = rng.uniform(0.8, 1.15)
        look = stone._replace(colour=(stone.colour[0] * tone, stone.colour[1] * tone, stone.colour[2] * tone))
        sheet.lay(ring, look, BARE, -4.0 * (n + 1))
    if rng.random() < 0.6:
        sheet.lay(
            middle + (outline - middle) * 0.16,
            POND._replace(colour=(72, 124, 116)).varied(rng),
            WATER,
            -4.0 * steps - 2,
        )
    waver(sheet, rng.uniform(0.3, 1.5))
    heaps(sheet, int(rng.integers(2, 10)))
    for _ in range(int(rng.integers(0, 5))):
        lorry(sheet, sheet.anywhere(), 8.5, (206, 160, 60))


def heaps(sheet: Sheet, count: int) -> None:
    """Heaps of sand and gravel: ground of their own."""
    rng = sheet.rng
    for _ in range(count):
        spot = sheet.anywhere()
        radius = rng.uniform(2, 10)
        look = (GRAVEL, SAND, DIRT)[int(rng.integers(3))].varied(rng, 0.15)
        region = sheet.add(
            look._replace(grain=0.06),
            sheet.whole(BARE),
            origin=(spot.x, spot.y),
            dome=(radius, 0.4 * radius),
            lump=0.03,
        )
        sheet.fill(region, blob(rng, spot.x, spot.y, radius, 0.2))


def _site(sheet: Sheet) -> None:
    """A building site: tracks, slabs of concrete, pits, heaps, materials, machines."""
    rng = sheet.rng
    waver(sheet, rng.uniform(0.3, 1.2))
    _tracks(sheet, 3)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    for _ in range(int(rng.integers(1, 5))):
        spot = frame.spot(*rng.uniform(-0.7, 0.7, 2) * sheet.reach)
        size = rng.uniform(8, 30), rng.uniform(6, 18)
        kind = rng.random()
        if kind < 0.4:
            slab = CONCRETE._replace(
                row_depth=-0.12, row_spacing=4.0, row_angle=spot.angle, cross_depth=-0.12, cross_spacing=5.0
            )
            sheet.lay(spot.box(*size), slab.varied(rng), BUILDING, 0.6)
        elif kind < 0.7:
            flat_block(sheet, spot, size, rng.uniform(3, 15), CONCRETE.varied(rng), sheet.whole(BUILDING))
        else:
            sheet.lay(spot.box(*size), DIRT._replace(colour=(112, 92, 70)).varied(rng), BARE, -3.0)
        goods(sheet, spot.spot(0, size[1]), size[0], size[1])
    heaps(sheet, int(rng.integers(1, 8)))
    crane = Look((206, 172, 60), 190)
    if rng.random() < 0.4:
        spot = sheet.anywhere(10)
        sheet.line(crane, spot.at(np.array([(-14.0, 0.0), (45.0, 0.0)])), 1.2, DIRT, 35.0)


def _dunes(sheet: Sheet) -> None:
    """Sand in waves."""
    rng = sheet.rng
    angle, spacing = rng.uniform(0, 3.14), max(rng.uniform(6, 30), 8 * sheet.pixel)
    for n, look in enumerate(sheet.looks):
        sheet.looks[n] = look._replace(
            colour=SAND.colour,
            nir=205,
            row_depth=rng.uniform(0.08, 0.16),
            row_spacing=spacing,
            row_angle=angle,
            wobble=0.3,
        )
    waver(sheet, 3.0)
    places = rng.uniform(0, 1, (int(rng.integers(5, 60)), 2)) * sheet.span
    crowns(
        sheet,
        places,
        rng.uniform(0.8, 2.2, len(places)) * max(1, sheet.pixel),
        ((96, 98, 64), (120, 112, 80)),
        None,
        0.8,
    )
    _tracks(sheet, 1)
