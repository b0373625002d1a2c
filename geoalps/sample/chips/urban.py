"""Towns: blocks of houses with gardens, courtyards, slabs, shops, between streets."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import compound, courtyard, hall, house, slab
from geoalps.sample.chips.kinds import BARE, GRASS, PAVEMENT, POOL, ROAD
from geoalps.sample.chips.layout import Box, cells, inset, lengthwise, middle, pick, split
from geoalps.sample.chips.look import CONCRETE, DIRT, GRAVEL, LAWN, PAVING, Look
from geoalps.sample.chips.look import POOL as POOL_LOOK
from geoalps.sample.chips.parking import park
from geoalps.sample.chips.roofs import roof_look
from geoalps.sample.chips.shape import Frame, bent, blob
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import crowns, flora, grove
from geoalps.sample.chips.vehicles import car, kerbside, traffic
from geoalps.sample.chips.ways import asphalt, crossing, highway, lane_marks, straight, wear


def draw_urban(sheet: Sheet) -> None:
    """Blocks of one or several ways of building."""
    rng = sheet.rng
    dense = rng.random() < 0.25
    if rng.random() < 0.45:
        sheet.bend(rng.uniform(0.02, 0.11) * (length := rng.uniform(90, 260)), length)
    gap = rng.uniform(9, 17)
    long, wide = (
        (rng.uniform(70, 130), rng.uniform(55, 85)) if not dense else (rng.uniform(45, 80), rng.uniform(30, 50))
    )
    frame, blocks, cuts_a, cuts_b = cells(sheet, long, wide, gap)
    look = asphalt(sheet)
    sheet.base(look, ROAD)
    trees = flora(rng)
    main = pick(rng, houses=4, yards=2, slabs=1.6, shops=1.2, shacks=0.8)
    for box in blocks:
        walk = rng.uniform(1.5, 3.2)
        pavement = PAVING.varied(rng)
        sheet.lay(frame.quad(*inset(box, -walk)), pavement, PAVEMENT)
        if min(box[2] - box[0], box[3] - box[1]) < 14:
            continue
        style = main if rng.random() < 0.75 else pick(rng, houses=3, yards=2, slabs=2, shops=2, green=2.5, shacks=0.3)
        BLOCKS[style](sheet, frame, inset(box, 0.5))
        _street_trees(sheet, frame, inset(box, -0.6 * walk), trees)
    _streets(sheet, frame, (cuts_a, cuts_b), gap, look)
    if sheet.pixel > 0.25 and rng.random() < 0.12:
        ends = straight(sheet, frame.spot(0, rng.normal(0, 0.3) * sheet.reach, rng.normal(0, 0.7)))
        highway(sheet, bent(ends[0], ends[1], rng.normal(0, 0.08)))


def _streets(sheet: Sheet, frame: Frame, cuts: tuple[list[float], list[float]], gap: float, look: Look) -> None:
    """Lane marks, crossings, cars."""
    rng = sheet.rng
    width = gap - 5
    marked, far = rng.random() < 0.5, 1.2 * sheet.reach
    parked, moving = rng.uniform(0, 0.8), rng.uniform(0.1, 0.4)
    for turn, middles, others in ((math.pi / 2, cuts[0], cuts[1]), (0.0, cuts[1], cuts[0])):
        for n in middles:
            line = frame.spot(n, 0, turn) if turn else frame.spot(0, n, 0)
            if abs(line.x - sheet.centre[0]) + abs(line.y - sheet.centre[1]) > 3 * sheet.reach:
                continue
            wear(sheet, line.at(np.array([(-far, 0.0), (0.0, 0.0), (far, 0.0)])), width, look)
            if marked:
                lane_marks(sheet, line.at(np.array([(-far, 0.0), (far, 0.0)])), width, look)
            for cross in others:
                if rng.random() < 0.4:
                    crossing(sheet, line.spot(cross + gap / 2 + 2, 0), width)
            if sheet.pixel < 1.3:
                traffic(sheet, line, 2 * far, (1.7, -1.7), moving)
                if width > 7.5:
                    for side in (-1, 1):
                        kerbside(sheet, line, 2 * far, side * (width / 2 - 0.6), parked)


def _street_trees(sheet: Sheet, frame: Frame, box: Box, trees: tuple[tuple[float, float, float], ...]) -> None:
    """Trees along a block's border, here and there."""
    rng = sheet.rng
    if rng.random() < 0.45:
        return
    space = rng.uniform(7, 14)
    sides = [
        np.stack([np.arange(box[0], box[2], space), np.full(len(np.arange(box[0], box[2], space)), b)], -1)
        for b in (box[1], box[3])
    ]
    places = frame.at(np.concatenate(sides))
    places = places[rng.random(len(places)) < 0.75]
    crowns(sheet, places, rng.uniform(1.4, 3.6, len(places)), trees)


def houses(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Plots with a house, a drive, a garden, perhaps a pool, a shed and trees."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    deep, width = wide / 2, rng.uniform(13, 26)
    count = max(1, round(long / width))
    width = long / count
    garden, trees = LAWN.varied(rng, 0.12), flora(rng)
    sheet.lay(spot.box(long, wide), garden.varied(rng), GRASS)
    style = roof_look(rng, "tiles") if rng.random() < 0.4 else None
    size = rng.uniform(9, 14), rng.uniform(7.5, 10.5)
    if wide < 30:
        deep = wide
    for row in (-1, 1) if wide >= 30 else (1,):
        for n in range(count):
            plot = spot.spot((n + 0.5) * width - long / 2, row * (wide - deep) / 2, 0 if row > 0 else math.pi)
            if sheet.sees(plot.x, plot.y, width + deep):
                _plot(sheet, plot, (width, deep), size, garden, style, trees)


def _plot(
    sheet: Sheet,
    plot: Frame,
    room: tuple[float, float],
    size: tuple[float, float],
    garden: Look,
    style: Look | None,
    trees: tuple[tuple[float, float, float], ...],
) -> None:
    """One plot; the street lies to its right (b > 0)."""
    rng = sheet.rng
    width, deep = room
    if rng.random() < 0.8:
        sheet.lay(plot.box(width - 0.3, deep - 0.3), garden.varied(rng, 0.14), GRASS)
    if rng.random() < 0.5:
        hedge = Look((62, 80, 44), 170, grain=0.14, mottle=0.15, sar=-7)
        sheet.line(
            hedge,
            plot.at(np.array([(-width / 2, -deep / 2), (width / 2, -deep / 2), (width / 2, deep / 2)])),
            0.9,
            garden,
            1.3,
        )
    front = rng.uniform(4, 8)
    b = deep / 2 - front - size[1] / 2
    length = min(size[0] * rng.uniform(0.85, 1.2), width - 3)
    if length < 5 or deep < 14:
        return
    drive = plot.spot(rng.choice([-1, 1]) * (width / 2 - 2.2), 0)
    sheet.lay(
        drive.quad(-1.6, b - 2, 1.6, deep / 2), (PAVING, CONCRETE, GRAVEL)[int(rng.integers(3))].varied(rng), PAVEMENT
    )
    if rng.random() < 0.5:
        terrace = plot.spot(rng.normal(0, 1), b - size[1] / 2 - 1.5)
        sheet.lay(terrace.box(rng.uniform(4, 8), 4.5), PAVING.varied(rng, 0.12), PAVEMENT)
    if rng.random() < 0.18 and deep > 24:
        pool = plot.spot(rng.uniform(-0.2, 0.2) * width, -deep / 2 + 7)
        sheet.lay(pool.box(11, 7), PAVING.varied(rng), PAVEMENT)
        sheet.lay(pool.box(8, 4), POOL_LOOK.varied(rng), POOL)
    house(
        sheet,
        plot.spot(rng.normal(0, 0.5), b, 0 if rng.random() < 0.75 else math.pi / 2),
        length,
        size[1],
        style and style.varied(rng, 0.05),
    )
    if rng.random() < 0.4:
        house(
            sheet, plot.spot(rng.uniform(-0.3, 0.3) * width, -deep / 2 + 3), rng.uniform(2.5, 5), rng.uniform(2.2, 3.5)
        )
    if rng.random() < 0.55:
        car(sheet, drive.spot(0, b + size[1] / 2 + rng.uniform(0, 3), math.pi / 2))
    count = int(rng.integers(0, 5))
    places = plot.at(
        np.stack(
            [rng.uniform(-width / 2, width / 2, count), rng.uniform(-deep / 2, max(b - size[1] / 2, 0.0), count)], -1
        )
    )
    crowns(sheet, places, rng.uniform(0.8, 3.8, count), trees)


def yards(sheet: Sheet, frame: Frame, box: Box) -> None:
    """A block around one or two courtyards."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    count = max(1, round(long / rng.uniform(40, 70)))
    for n in range(count):
        place = spot.spot((n + 0.5) * long / count - long / 2, 0)
        green = rng.random() < 0.5
        courtyard(
            sheet,
            place,
            long / count - 0.4,
            wide,
            (LAWN if green else CONCRETE).varied(rng, 0.12),
            GRASS if green else PAVEMENT,
        )
        places = place.at(rng.uniform(-0.2, 0.2, (int(rng.integers(0, 6)), 2)) * (long / count, wide))
        crowns(sheet, places, rng.uniform(1.5, 3.5, len(places)), flora(rng))


def slabs(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Rows of flats on lawn, with car parks and trees."""
    rng = sheet.rng
    spot, long, wide = middle(frame, box, rng.random() < 0.5)
    sheet.lay(spot.box(long, wide), LAWN.varied(rng, 0.12), GRASS)
    deep, floors = rng.uniform(10, 14), int(rng.integers(3, 9))
    space = deep + 3 * floors * rng.uniform(0.7, 1.1)
    trees = flora(rng)
    for a in np.arange(-long / 2 + space / 2, long / 2 - deep / 2, space):
        kind = rng.random()
        if kind < 0.12:
            compound(sheet, spot.spot(a, 0, math.pi / 2), wide * 0.9, min(space, 34.0))
        elif kind < 0.88:
            slab(sheet, spot.spot(a, rng.normal(0, 2), math.pi / 2), wide * rng.uniform(0.6, 0.92), deep, floors)
        kind = rng.random()
        if kind < 0.35:
            park(sheet, spot.spot(a + space / 2, 0, math.pi / 2), wide * 0.7, min(16.0, space - deep - 3))
        elif kind < 0.8:
            places = spot.at(np.stack([rng.normal(a + space / 2, 2.5, 9), rng.uniform(-wide / 2, wide / 2, 9)], -1))
            crowns(sheet, places, rng.uniform(1.5, 4.5, 9), trees)


def shops(sheet: Sheet, frame: Frame, box: Box) -> None:
    """A store with its car park, or several low boxes."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    sheet.lay(spot.box(long, wide), asphalt(sheet), PAVEMENT)
    share = rng.uniform(0.35, 0.65)
    (compound if rng.random() < 0.35 else hall)(
        sheet, spot.spot(0, -wide / 2 + share * wide / 2 + 1), long * rng.uniform(0.6, 0.95), share * wide - 2
    )
    park(sheet, spot.spot(0, share * wide / 2), long - 4, (1 - share) * wide - 5)


def shacks(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Dense small houses under tin, with lanes of earth between them."""
    rng = sheet.rng
    sheet.lay(frame.quad(*box), DIRT.varied(rng), BARE)
    for piece in split(rng, box, rng.uniform(45, 120), 4.0):
        spot, long, wide = lengthwise(frame, piece)
        if rng.random() < 0.85 and sheet.sees(spot.x, spot.y, long):
            turn = spot.spot(0, 0, rng.normal(0, 0.06))
            house(sheet, turn, long * rng.uniform(0.7, 0.97), wide * rng.uniform(0.7, 0.97), roof_look(rng, "tin"))
        elif rng.random() < 0.5:
            crowns(sheet, np.array([[spot.x, spot.y]]), rng.uniform(1.2, 3, 1), flora(rng))


def green(sheet: Sheet, frame: Frame, box: Box) -> None:
    """A small park with paths."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    sheet.lay(spot.box(long, wide), LAWN.varied(rng, 0.12)._replace(mix=0.9), GRASS)
    path = GRAVEL.varied(rng)
    for turn in (rng.uniform(0.2, 0.9), -rng.uniform(0.2, 0.9)):
        sheet.lay(Frame(spot.x, spot.y, spot.angle + turn).box(0.9 * long, 2.4), path, ROAD)
    if rng.random() < 0.6:
        place = spot.spot(rng.uniform(-0.3, 0.3) * long, rng.uniform(-0.2, 0.2) * wide)
        grove(sheet, blob(rng, place.x, place.y, rng.uniform(0.2, 0.42) * wide, 0.35, rng.uniform(1, 2)))
    count = int(long * wide / rng.uniform(60, 300))
    places = spot.at(rng.uniform(-0.5, 0.5, (count, 2)) * (long, wide))
    crowns(sheet, places, rng.uniform(1.2, 5, count), flora(rng))


BLOCKS = {"houses": houses, "yards": yards, "slabs": slabs, "shops": shops, "shacks": shacks, "green": green}
"""What fills a block."""
