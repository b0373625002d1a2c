"""Ports: basins and quays with ships, stacks, cranes, sheds; marinas."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.industry import lay_lot
from geoalps.sample.chips.kinds import PAVEMENT, STRUCTURE, WATER
from geoalps.sample.chips.layout import pick, split
from geoalps.sample.chips.look import CONCRETE, METAL, PAVING, STEEL, YELLOW
from geoalps.sample.chips.look import WATER as WATER_LOOK
from geoalps.sample.chips.shape import Frame
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.ships import ship
from geoalps.sample.chips.ways import rails


def draw_port(sheet: Sheet) -> None:
    """A quay across the chip, with a commercial harbour or a marina before it."""
    rng = sheet.rng
    tone = rng.uniform(0.55, 1.3)
    look = WATER_LOOK.varied(rng, 0.2)
    look = look._replace(
        colour=(look.colour[0] * tone, look.colour[1] * tone, look.colour[2] * tone),
        row_angle=rng.uniform(0, 3.14),
        other=None,
        streak=rng.uniform(0.01, 0.06),
    )
    sheet.base(look, WATER)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi)).spot(0, rng.uniform(-0.35, 0.35) * sheet.reach)
    small = rng.random() < (0.65 if sheet.pixel < 0.5 else 0.3)
    quay(sheet, frame)
    (marina if small else berths)(sheet, frame)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            place = frame.spot(rng.uniform(-0.8, 0.8) * sheet.reach, -rng.uniform(0.4, 1) * sheet.reach)
            ship(
                sheet, place.spot(0, 0, rng.normal(0, 0.4)), rng.uniform(8, 16) if small else rng.uniform(10, 60), True
            )


def quay(sheet: Sheet, frame: Frame) -> None:
    """Land at b > 0: an edge, a lane, lots."""
    rng = sheet.rng
    far = 1.4 * sheet.reach
    ground = CONCRETE.varied(rng, 0.12)
    sheet.lay(frame.quad(-far, 0, far, 2 * far), ground, PAVEMENT, 2.5)
    sheet.mark(PAVING._replace(colour=(186, 182, 172)), [frame.quad(-far, 0, far, 0.9)], 2.7)
    if rng.random() < 0.4:
        sheet.line(YELLOW, frame.at(np.array([(-far, 2.2), (far, 2.2)])), 0.25, ground)
    main = pick(rng, yard=1.5, hall=1.5, tanks=0.8)
    deep = rng.uniform(10, 30)
    for box in split(rng, (-far, deep, far, far), rng.uniform(3000, 9000), 30):
        kind = main if rng.random() < 0.5 else pick(rng, hall=2, yard=2, park=1, tanks=0.5, works=0.5, waste=0.5)
        lay_lot(sheet, frame, (box[0] + 3, box[1] + 3, box[2] - 3, box[3] - 3), kind)
    if rng.random() < 0.4:
        rails(sheet, frame.at(np.array([(-far, deep - 4), (far, deep - 4)])), int(rng.integers(1, 3)))


def berths(sheet: Sheet, frame: Frame) -> None:
    """Ships along the quay, some two deep, and cranes over them; perhaps a pier with more."""
    rng = sheet.rng
    longest = min(220.0, 1.6 * sheet.reach)
    a = -1.3 * sheet.reach
    while a < 1.3 * sheet.reach:
        length = max(14.0, rng.uniform(0.3, 1.0) * longest)
        for row in range(1 if rng.random() < 0.75 else 3):
            beam = length * 0.17
            if rng.random() < 0.8:
                ship(
                    sheet,
                    frame.spot(a + length / 2, -beam * (0.62 + 1.1 * row), math.pi * rng.integers(2)),
                    length * rng.uniform(0.85, 1),
                )
        if length > 60:
            for _ in range(int(rng.integers(0, 4))):
                _crane(sheet, frame.spot(a + rng.uniform(0.1, 0.9) * length, 4), 0.17 * length)
        a += length + rng.uniform(3, 25)
    if rng.random() < 0.5:
        spot = frame.spot(rng.uniform(-0.5, 0.5) * sheet.reach, 0, -math.pi / 2)
        width, long = rng.uniform(8, 30), 0.9 * sheet.reach
        sheet.lay(spot.quad(0, -width / 2, long, width / 2), CONCRETE.varied(rng), PAVEMENT, 2.5)
        for side in (-1, 1):
            length = rng.uniform(0.4, 0.8) * min(long, 150.0)
            ship(
                sheet,
                spot.spot(
                    0.15 * long + length / 2 + 0.2 * longest,
                    side * (width / 2 + 0.1 * length),
                    math.pi * rng.integers(2),
                ),
                length,
            )


def _crane(sheet: Sheet, place: Frame, beam: float) -> None:
    """A gantry crane: legs on the quay, a boom over the water; a structure of thin girders."""
    rng = sheet.rng
    look = STEEL._replace(
        colour=((58, 92, 150), (190, 70, 50), (206, 170, 70), (150, 156, 160))[int(rng.integers(4))], nir=-1.0
    ).varied(rng)
    region = sheet.add(look, sheet.whole(STRUCTURE), height=28.0)
    sheet.fill(region, place.quad(-1.6, -beam - 6, 1.6, 16))
    for a in (-6.0, 6.0):
        sheet.fill(region, place.quad(a - 0.8, 0, a + 0.8, 13))
    for b in (0.0, 12.0):
        sheet.fill(region, place.quad(-6.8, b, 6.8, b + 1.3))
    sheet.mark(METAL, [place.quad(-2.6, 7, 2.6, 11)], 30.0)


def marina(sheet: Sheet, frame: Frame) -> None:
    """Piers with boats side by side."""
    rng = sheet.rng
    boat = rng.uniform(6, 13)
    space = 2 * boat + rng.uniform(8, 14) + 2
    wood = PAVING._replace(colour=(162, 146, 122), nir=-1.0, row_spacing=0.6).varied(rng, 0.12)
    long, fill = rng.uniform(40, 110), rng.uniform(0.45, 0.95)
    for a in np.arange(-1.3 * sheet.reach, 1.3 * sheet.reach, space):
        spot = frame.spot(a, 0, -math.pi / 2)
        region = sheet.add(wood.turned(spot.angle), sheet.whole(STRUCTURE), height=0.8)
        sheet.fill(region, spot.quad(-1, -1.1, long, 1.1))
        if rng.random() < 0.5:
            sheet.fill(region, spot.quad(long - 2, -boat * 0.8, long, boat * 0.8))
        for along in np.arange(4, long - 2, boat * 0.36 + 0.7):
            for side in (-1, 1):
                if rng.random() < fill:
                    length = boat * rng.uniform(0.7, 1.12)
                    place = spot.spot(along, side * (1.5 + length / 2), side * math.pi / 2)
                    ship(sheet, place.spot(0, 0, rng.normal(0, 0.03) + (math.pi if rng.random() < 0.4 else 0)), length)
                if sheet.pixel < 0.4 and rng.random() < 0.3:
                    sheet.fill(
                        region,
                        spot.quad(
                            along + 0.18 * boat, side * 1.1, along + 0.18 * boat + 0.5, side * (1.1 + 0.5 * boat)
                        ),
                    )
