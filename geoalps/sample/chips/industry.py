"""Industry: halls, yards, tank farms, silos, rails."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import compound, flat_block, hall
from geoalps.sample.chips.kinds import BARE, BUILDING, FIELD, GRASS, PAVEMENT, ROAD, VEHICLE
from geoalps.sample.chips.layout import Box, cells, central, inset, lengthwise, pick, split
from geoalps.sample.chips.look import CONCRETE, DIRT, GRAVEL, STEEL, VERGE, Look
from geoalps.sample.chips.parking import park
from geoalps.sample.chips.roofs import roof_look
from geoalps.sample.chips.shape import Frame, blob
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.ships import BOXES
from geoalps.sample.chips.tanks import container_yard, pipes, silos, tank_farm
from geoalps.sample.chips.trees import crowns, flora
from geoalps.sample.chips.vehicles import any_vehicle, lorry
from geoalps.sample.chips.ways import asphalt, lane_marks, rails, straight


def draw_industry(sheet: Sheet) -> None:
    """Lots along roads: some of halls, some of tanks, some of yards, some waste."""
    rng = sheet.rng
    frame, boxes, cuts, _ = cells(sheet, rng.uniform(80, 160), rng.uniform(60, 110), rng.uniform(8, 14))
    look = asphalt(sheet)
    sheet.base(look, ROAD)
    main = pick(rng, hall=2, tanks=1.3, yard=1, plant=0.8)
    for box in boxes:
        kind = (
            main
            if central(box) or rng.random() < 0.55
            else pick(rng, hall=3, tanks=1, yard=1.5, park=1, waste=1, works=1, plant=1)
        )
        lay_lot(sheet, frame, inset(box, rng.uniform(0.5, 2)), kind)
    for a in cuts:
        line = frame.spot(a, 0, math.pi / 2)
        if rng.random() < 0.5:
            lane_marks(sheet, straight(sheet, line), 7.5, look)
        for _ in range(3):
            any_vehicle(sheet, line.spot(rng.uniform(-1, 1) * sheet.reach, rng.choice([-1.8, 1.8])))
    if rng.random() < 0.3:
        line = frame.spot(rng.uniform(-0.4, 0.4) * sheet.reach, 0, math.pi / 2)
        rails(sheet, straight(sheet, line), int(rng.integers(1, 4)))
        wagons(sheet, line, 1.2 * sheet.reach)


def lay_lot(sheet: Sheet, frame: Frame, box: Box, kind: str) -> None:
    """One lot."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    if min(long, wide) < 12:
        return
    ground = (CONCRETE, GRAVEL, DIRT, asphalt(sheet))[int(rng.choice(4, p=[0.35, 0.15, 0.1, 0.4]))].varied(rng, 0.12)
    sheet.lay(spot.box(long, wide), ground, BARE if ground.mix > 0.75 else PAVEMENT)
    _stains(sheet, spot, long, wide, ground)
    if kind == "hall":
        share = rng.uniform(0.45, 0.9)
        place = spot.spot(0, (share - 1) * wide / 2 + 1)
        (compound if rng.random() < 0.2 else hall)(sheet, place, long * rng.uniform(0.7, 0.95), wide * share - 3)
        rest = (1 - share) * wide
        if rest > 14:
            yard = spot.spot(0, wide / 2 - rest / 2)
            {"park": park, "goods": goods}[pick(rng, park=1, goods=1)](sheet, yard, long - 6, rest - 5)
    elif kind == "tanks":
        radius = min(rng.uniform(4, 20), wide / 3)
        tank_farm(sheet, spot, long, wide, radius)
        pipes(sheet, spot.spot(0, wide / 2 - 2), long, int(rng.integers(2, 5)))
    elif kind == "yard":
        container_yard(sheet, spot, long - 8, wide - 6, rng.uniform(0.3, 0.9))
    elif kind == "park":
        park(sheet, spot, long - 4, wide - 4, "lorry" if rng.random() < 0.4 else "")
    elif kind == "works":
        _works(sheet, spot, long, wide)
    elif kind == "plant":
        _plant(sheet, spot, long, wide)
    else:
        _waste(sheet, spot, long, wide)
    if rng.random() < 0.4:
        a = np.arange(-long / 2, long / 2, rng.uniform(5, 10))
        crowns(sheet, spot.at(np.stack([a, np.full(len(a), wide / 2)], -1)), rng.uniform(1, 3, len(a)), flora(rng))


def goods(sheet: Sheet, place: Frame, length: float, width: float) -> None:
    """Pallets, piles and lorries in a yard: clutter, only the lorries are things."""
    rng = sheet.rng
    for _ in range(0 if sheet.pixel > 1.2 else min(60, int(length * width / 60))):
        tint = BOXES[int(rng.integers(len(BOXES)))]
        spot = place.spot(rng.uniform(-0.48, 0.48) * length, rng.uniform(-0.45, 0.45) * width)
        sheet.mark(
            STEEL._replace(colour=tint, nir=-1.0),
            [spot.box(rng.uniform(1, 4), rng.uniform(0.8, 2))],
            rng.uniform(0.6, 2),
        )
    for _ in range(int(rng.integers(0, 5))):
        lorry(
            sheet,
            place.spot(rng.uniform(-0.45, 0.45) * length, rng.uniform(-0.3, 0.3) * width, rng.choice([0, math.pi / 2])),
        )


def wagons(sheet: Sheet, line: Frame, reach: float) -> None:
    """A train on the middle track."""
    rng = sheet.rng
    tint = BOXES[int(rng.integers(len(BOXES)))]
    for a in np.arange(rng.uniform(-1, 0) * reach, rng.uniform(0, 1) * reach, 15.5):
        if sheet.sees(*line.spot(a, 0)[:2], 15):
            colour = tint if rng.random() < 0.7 else BOXES[int(rng.integers(len(BOXES)))]
            look = STEEL._replace(colour=colour, nir=-1.0, row_depth=0.06, row_spacing=1.5, row_angle=line.angle)
            sheet.lay(line.spot(a, 0).box(14.5, 2.8), look.varied(rng), VEHICLE, 3.5)


def _stains(sheet: Sheet, spot: Frame, long: float, wide: float, ground: Look) -> None:
    """Oil, repairs, tyre tracks: paint."""
    rng = sheet.rng
    for _ in range(int(rng.integers(1, 7))):
        tone = rng.uniform(0.72, 1.15)
        colour = (ground.colour[0] * tone, ground.colour[1] * tone, ground.colour[2] * tone)
        place = spot.spot(rng.uniform(-0.45, 0.45) * long, rng.uniform(-0.45, 0.45) * wide)
        if rng.random() < 0.5:
            sheet.mark(ground._replace(colour=colour), [blob(rng, place.x, place.y, rng.uniform(1, 6), 0.5)])
        else:
            sheet.mark(ground._replace(colour=colour), [place.box(rng.uniform(2, 16), rng.uniform(2, 6))])


def _works(sheet: Sheet, spot: Frame, long: float, wide: float) -> None:
    """A plant: blocks of several heights, silos, pipes."""
    rng = sheet.rng
    whole = sheet.whole(BUILDING)
    for _ in range(int(rng.integers(3, 8))):
        place = spot.spot(rng.uniform(-0.35, 0.35) * long, rng.uniform(-0.3, 0.3) * wide)
        flat_block(
            sheet,
            place,
            (rng.uniform(8, 0.4 * long + 9), rng.uniform(6, 0.35 * wide + 7)),
            rng.uniform(5, 22),
            roof_look(rng, "flat"),
            whole,
        )
        whole = sheet.whole(BUILDING) if rng.random() < 0.6 else whole
    silos(sheet, spot.spot(rng.uniform(-0.4, 0.2) * long, 0.3 * wide), int(rng.integers(2, 9)), rng.uniform(2, 5))
    pipes(sheet, spot.spot(0, rng.uniform(-0.3, 0.3) * wide), 0.7 * long, 3)


def _plant(sheet: Sheet, spot: Frame, long: float, wide: float) -> None:
    """A refinery: bridges of pipes in a grid, vessels, columns and small houses between them."""
    rng = sheet.rng
    for box in split(
        rng, (-long / 2, -wide / 2, long / 2, wide / 2), max(rng.uniform(150, 700), (22 * sheet.pixel) ** 2), 8
    ):
        place, a, b = lengthwise(spot, inset(box, 1.5))
        if not sheet.sees(place.x, place.y, a):
            continue
        kind = pick(rng, pipes=3, tanks=1.5, house=1.2, clutter=2, lawn=0.8)
        if kind == "pipes":
            pipes(sheet, place.spot(0, -b / 2 + 1.5), a, int(rng.integers(2, 6)))
            goods(sheet, place.spot(0, 1), a, b - 3)
        elif kind == "tanks":
            radius = min(rng.uniform(1.2, 5), b / 2.2)
            silos(sheet, place.spot(-a / 2 + radius, -b / 2 + radius), min(30, int(a / radius)), radius)
        elif kind == "house":
            flat_block(
                sheet, place, (0.8 * a, 0.7 * b), rng.uniform(3, 9), roof_look(rng, "flat"), sheet.whole(BUILDING)
            )
        elif kind == "lawn":
            sheet.lay(place.box(a, b), VERGE.varied(rng), GRASS)
        else:
            goods(sheet, place, a, b)


def _waste(sheet: Sheet, spot: Frame, long: float, wide: float) -> None:
    """Ground that nobody uses: grass, puddles, heaps, shrubs."""
    rng = sheet.rng
    x, y, _ = spot
    sheet.lay(blob(rng, x, y, 0.45 * wide, 0.5, long / wide), VERGE.varied(rng), GRASS)
    for _ in range(int(rng.integers(1, 5))):
        heap = spot.spot(rng.uniform(-0.4, 0.4) * long, rng.uniform(-0.4, 0.4) * wide)
        radius = rng.uniform(2, 7)
        tone = rng.uniform(0.6, 1.2)
        look = GRAVEL._replace(colour=(150 * tone, 138 * tone, 120 * tone))
        region = sheet.add(look, sheet.whole(BARE), origin=(heap.x, heap.y), dome=(radius, 0.45 * radius), lump=0.03)
        sheet.fill(region, blob(rng, heap.x, heap.y, radius, 0.2))
    count = int(rng.integers(3, 20))
    crowns(
        sheet, spot.at(rng.uniform(-0.48, 0.48, (count, 2)) * (long, wide)), rng.uniform(0.6, 2.5, count), flora(rng)
    )


def greenhouses(sheet: Sheet, spot: Frame, long: float, wide: float) -> None:
    """Long spans of glass or foil, side by side; each span is a whole."""
    rng = sheet.rng
    deep = rng.uniform(5, 9)
    tone = rng.uniform(0.8, 1.15)
    look = Look(
        (196 * tone, 202 * tone, 200 * tone),
        180,
        (150, 164, 150),
        0.6,
        grain=0.03,
        row_depth=0.07,
        row_spacing=2.5,
        row_angle=spot.angle,
    )
    gap = 0.0 if rng.random() < 0.5 else 1.2
    sheet.lay(spot.box(long, wide), DIRT.varied(rng), FIELD)
    for b in np.arange(-wide / 2 + deep / 2, wide / 2 - deep / 2, deep + gap):
        place = spot.spot(0, b)
        sheet.lay(place.box(long - 3, deep - 0.4), look.varied(rng, 0.04), BUILDING, 4.0)
