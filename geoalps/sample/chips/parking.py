"""Car parks: stalls in rows with cars, islands with trees."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import hall
from geoalps.sample.chips.kinds import GRASS, PAVEMENT, STRUCTURE
from geoalps.sample.chips.look import CONCRETE, LAWN, METAL, PAINT, Colour, Look
from geoalps.sample.chips.shape import Frame, blob, moved
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import crowns, flora, grove
from geoalps.sample.chips.vehicles import any_vehicle, bus, car, fleet, lorry
from geoalps.sample.chips.ways import arrow, asphalt, cracks, road, straight


def stalls(
    sheet: Sheet,
    line: Frame,
    length: float,
    side: int,
    share: float,
    under: Look,
    big: str = "",
    colour: Colour | None = None,
) -> None:
    """One row of stalls to a side of a line, with marks and cars; ``big`` is ``lorry`` or ``bus`` for long ones."""
    rng = sheet.rng
    wide, deep = (3.6, 14.0) if big else (2.5, 5.0)
    count = int(length / wide)
    start = -count * wide / 2
    ends = np.array([(0.0, 0.0), (0.0, side * deep)])
    for n in range(count + 1):
        a = start + n * wide
        spot = line.spot(a, side * deep / 2)
        if sheet.sees(spot.x, spot.y, deep):
            if sheet.pixel < 0.7:
                sheet.line(PAINT, line.at(moved(ends, a, 0.0)), 0.12, under)
            if n < count and rng.random() < share:
                turn = math.pi / 2 * (1 if rng.random() < 0.6 else -1) + rng.normal(0, 0.025)
                stall = line.spot(a + wide / 2, side * deep * 0.52 + rng.normal(0, 0.2), turn)
                if big:
                    (bus if big == "bus" else lorry)(sheet, stall, colour=colour)
                else:
                    car(sheet, stall)


def park(
    sheet: Sheet,
    place: Frame,
    length: float,
    width: float,
    big: str = "",
    islands: bool | None = None,
    colour: Colour | None = None,
) -> None:
    """A car park of length x width metres; its rows run along the frame."""
    rng = sheet.rng
    if length < 8 or width < 5 or not sheet.sees(place.x, place.y, length + width):
        return
    look = asphalt(sheet) if rng.random() < 0.8 else CONCRETE.varied(rng)
    look = look.turned(place.angle + math.pi / 2)
    sheet.lay(place.box(length, width), look, PAVEMENT)
    cracks(sheet, place, length, width, look)
    share = rng.choice([0.12, 0.4, 0.7, 0.93])
    deep, aisle = (14.0, 12.0) if big else (5.0, 6.2)
    trees, planted = flora(rng), rng.random() < 0.45 if islands is None else islands
    b = -width / 2
    while b + deep <= width / 2 + 0.1:
        line = place.spot(0, b)
        stalls(sheet, line, length - 2, 1, share, look, big, colour)
        b += deep
        if b + deep + aisle <= width / 2 + 0.1:
            b += aisle
            if rng.random() < 0.5 and sheet.pixel < 0.5:
                sheet.mark(
                    PAINT, [arrow(place.spot(a, b - aisle / 2)) for a in np.arange(-length / 2 + 8, length / 2, 25)]
                )
            stalls(sheet, place.spot(0, b + deep), length - 2, -1, share, look, big, colour)
            b += deep
        if planted and not big and b < width / 2 - deep:
            _island(sheet, place.spot(0, b + 0.9), length - 3, trees)
            b += 1.8


def _island(sheet: Sheet, line: Frame, length: float, trees: tuple[tuple[float, float, float], ...]) -> None:
    """A strip of grass with trees between two rows."""
    rng = sheet.rng
    sheet.lay(line.box(length, 1.8), LAWN.varied(rng), GRASS)
    a = np.arange(-length / 2 + 3, length / 2 - 2, rng.uniform(6, 14))
    a = a[rng.random(len(a)) < 0.85]
    crowns(sheet, line.at(np.stack([a, np.zeros(len(a))], -1)), rng.uniform(1.2, 2.8, len(a)), trees)


def draw_parking(sheet: Sheet) -> None:
    """A large car park, of cars, lorries or buses, with a road and perhaps a store beside it."""
    rng = sheet.rng
    sheet.base(LAWN.varied(rng, 0.12), GRASS)
    centre = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    big = ("lorry", "bus")[int(rng.integers(2))] if rng.random() < 0.18 else ""
    reach = sheet.reach
    edge = rng.uniform(-0.3, 0.9) * reach
    length = 2.4 * reach
    look = asphalt(sheet)
    road(sheet, straight(sheet, centre.spot(0, edge + 6)), rng.uniform(6.5, 11), look)
    lane = centre.spot(rng.uniform(-0.5, 0.5) * reach, edge + 6)
    any_vehicle(sheet, lane.spot(0, 1.7))
    any_vehicle(sheet, lane.spot(20, -1.7, math.pi))
    deep = edge + 1.2 * reach - 3
    if deep > 10:
        park(sheet, centre.spot(0, edge - deep / 2 - 3), length, deep, big, colour=fleet(rng) if big else None)
    far = 1.2 * reach - edge - 12
    if far > 14:
        hall(sheet, centre.spot(rng.normal(0, 0.4) * reach, edge + 14 + far / 2), rng.uniform(0.8, 1.6) * reach, far)
    _lamps(sheet, centre, reach, edge)
    _verge_trees(sheet, centre, reach, edge)


def _lamps(sheet: Sheet, centre: Frame, reach: float, edge: float) -> None:
    """Lamp posts, seen by their heads and shadows."""
    rng = sheet.rng
    if sheet.pixel > 0.4:
        return
    space = rng.uniform(22, 34)
    for a in np.arange(-reach, reach, space):
        for b in np.arange(-reach, edge - 6, space):
            spot = centre.spot(a, b)
            sheet.mark(METAL._replace(colour=(188, 188, 184)), [spot.box(1.8, 0.35)], 8.0)


def _verge_trees(sheet: Sheet, centre: Frame, reach: float, edge: float) -> None:
    """Trees beside the road."""
    rng = sheet.rng
    if rng.random() < 0.35:
        place = centre.spot(rng.uniform(-0.8, 0.8) * reach, edge + rng.uniform(14, 30))
        grove(sheet, blob(rng, place.x, place.y, rng.uniform(5, 14), 0.4, 2.0))
    count = int(rng.integers(0, 24))
    places = centre.at(
        np.stack([rng.uniform(-reach, reach, count), edge + rng.choice([-1.2, 13.0]) + rng.normal(0, 1, count)], -1)
    )
    crowns(sheet, places, rng.uniform(1.0, 3.6, count), flora(rng))


def canopy(sheet: Sheet, place: Frame, length: float, width: float) -> None:
    """A roof on posts, as over fuel pumps."""
    look = METAL._replace(colour=(216, 216, 212))
    sheet.lay(place.box(length, width), look.varied(sheet.rng).turned(place.angle), STRUCTURE, 5.0)
