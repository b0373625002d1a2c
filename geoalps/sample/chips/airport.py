"""Airports: aprons with aircraft, taxiways, runways, terminals."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.aircraft import aircraft
from geoalps.sample.chips.buildings import hall
from geoalps.sample.chips.kinds import GRASS, PAVEMENT, ROAD, STRUCTURE
from geoalps.sample.chips.look import CONCRETE, MEADOW, METAL, PAINT, VERGE, YELLOW, Look
from geoalps.sample.chips.shape import Frame, bent, blob, ribbon
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import grove
from geoalps.sample.chips.vehicles import bus, car, lorry
from geoalps.sample.chips.ways import asphalt, cracks


def draw_airport(sheet: Sheet) -> None:
    """Either an apron before a terminal or hangars, or a runway with its taxiways."""
    rng = sheet.rng
    sheet.base((MEADOW if rng.random() < 0.6 else VERGE).varied(rng, 0.16), GRASS)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.3:
        place = sheet.anywhere()
        grove(sheet, blob(rng, place.x, place.y, rng.uniform(0.15, 0.4) * sheet.reach, 0.4, 2.0))
    if rng.random() < 0.62:
        apron(sheet, frame)
    else:
        runway(sheet, frame)


def apron(sheet: Sheet, frame: Frame) -> None:
    """Aircraft nose-in along a terminal, or in rows on a field of concrete."""
    rng = sheet.rng
    far = 1.4 * sheet.reach
    light = rng.random() < (0.7 if sheet.span[0] < 90 else 0.25)
    length = rng.uniform(7.5, 12) if light else rng.uniform(28, 62)
    ground = (CONCRETE if rng.random() < 0.75 else asphalt(sheet)).varied(rng, 0.12)
    edge = rng.uniform(0.1, 0.5) * sheet.reach
    sheet.lay(frame.quad(-far, -far * rng.uniform(0.5, 1), far, edge + 40), ground, PAVEMENT)
    cracks(sheet, frame.spot(0, edge - sheet.reach), 2 * far, 2 * sheet.reach, ground)
    _tyres(sheet, frame, far, edge - 2.1 * length, ground)
    lane = asphalt(sheet)
    sheet.lay(frame.quad(-far, edge, far, edge + 9), lane, ROAD)
    if rng.random() < 0.8:
        hall(sheet, frame.spot(rng.normal(0, 20), edge + 12 + 18), 1.5 * far, 34)
    space = length * rng.uniform(1.12, 1.5)
    share = rng.uniform(0.45, 0.9)
    for a in np.arange(-far, far, space):
        stand = frame.spot(a, edge - 0.62 * length, math.pi / 2)
        sheet.line(YELLOW, stand.at(np.array([(-1.6 * length, 0.0), (0.3 * length, 0.0)])), 0.25, ground)
        if rng.random() < share:
            aircraft(sheet, stand, length * rng.uniform(0.75, 1.05))
        if not light and rng.random() < 0.6:
            _bridge(sheet, frame.spot(a + 0.2 * space, edge - 2), length)
        _service(sheet, stand, length)
    if light:
        for a in np.arange(-far, far, space):
            if rng.random() < share:
                aircraft(
                    sheet,
                    frame.spot(a, edge - 3.2 * length, rng.choice([-1, 1]) * math.pi / 2 + rng.normal(0, 0.1)),
                    length,
                )
    elif rng.random() < 0.5:
        aircraft(
            sheet,
            frame.spot(rng.uniform(-0.5, 0.5) * sheet.reach, edge - 2.1 * length, math.pi * rng.integers(2)),
            length,
        )


def _bridge(sheet: Sheet, place: Frame, length: float) -> None:
    """A jet bridge from the terminal to a door."""
    region = sheet.add(METAL.varied(sheet.rng), sheet.whole(STRUCTURE), height=5.0)
    turn = place.spot(0, 0, -math.pi / 2 + sheet.rng.normal(0.35, 0.1))
    sheet.fill(region, turn.quad(-14, -1.6, 0.42 * length, 1.6))
    sheet.fill(region, turn.spot(0.42 * length, 0).box(4.2, 4.2))


def _service(sheet: Sheet, stand: Frame, length: float) -> None:
    """Vehicles around an aircraft."""
    rng = sheet.rng
    for _ in range(int(rng.integers(0, 5))):
        place = stand.spot(
            rng.uniform(-0.5, 0.7) * length, rng.choice([-1, 1]) * rng.uniform(0.4, 0.6) * length, rng.uniform(0, 6.28)
        )
        if rng.random() < 0.6:
            car(sheet, place)
        elif rng.random() < 0.8:
            lorry(sheet, place, 8.5)
        else:
            bus(sheet, place)


def _tyres(sheet: Sheet, frame: Frame, far: float, b: float, under: Look) -> None:
    """A taxi line with the dark band that wheels leave beside it."""
    rng = sheet.rng
    dark = under._replace(colour=(under.colour[0] * 0.85, under.colour[1] * 0.85, under.colour[2] * 0.86))
    sheet.mark(dark, [frame.quad(-far, b - 4, far, b + 4)])
    sheet.line(YELLOW, frame.at(np.array([(-far, b), (far, b)])), 0.3, dark)
    if rng.random() < 0.5:
        line = frame.at(bent(np.array([-0.5 * far, b]), np.array([0.1 * far, b + 40]), 0.15))
        sheet.line(YELLOW, line, 0.3, under)


def runway(sheet: Sheet, frame: Frame) -> None:
    """A runway with its threshold, a parallel taxiway and a link between them."""
    rng = sheet.rng
    far = 1.5 * sheet.reach
    width = rng.uniform(28, 46)
    look = asphalt(sheet)
    base = frame.spot(0, rng.uniform(-0.4, 0.2) * sheet.reach)
    taxi = base.spot(0, width / 2 + rng.uniform(60, 120))
    sheet.lay(taxi.quad(-far, -11, far, 11), asphalt(sheet), ROAD)
    sheet.line(YELLOW, taxi.at(np.array([(-far, 0.0), (far, 0.0)])), 0.4, look)
    link = ribbon(bent(np.array([-40.0, 0.0]), np.array([60.0, 100.0]), rng.normal(0, 0.2)), 20)
    sheet.lay(base.at(link), asphalt(sheet), ROAD)
    shoulder = look._replace(colour=(look.colour[0] * 1.12, look.colour[1] * 1.1, look.colour[2] * 1.08))
    sheet.lay(base.quad(-far, -width / 2 - 7, far, width / 2 + 7), shoulder, PAVEMENT)
    look = look.turned(frame.angle + math.pi / 2)
    sheet.lay(base.quad(-far, -width / 2, far, width / 2), look, ROAD)
    rubber = look._replace(
        colour=(look.colour[0] * 0.72, look.colour[1] * 0.72, look.colour[2] * 0.73), patch=0.1, mottle=0.08
    )
    sheet.mark(rubber, [base.quad(-0.8 * far, s * 5 - 2.5, 0.9 * far, s * 5 + 2.5) for s in (-1, 1)])
    start = rng.uniform(-0.6, 0.3) * sheet.reach
    bars = [
        base.quad(start, b, start + 30, b + 1.8)
        for b in np.arange(-width / 2 + 3, width / 2 - 3, 3.6)
        if abs(b + 0.9) > 2
    ]
    bars += [
        base.quad(start + 300 * s, side * 9 - 3, start + 300 * s + 45, side * 9 + 3) for s in (0.4,) for side in (-1, 1)
    ]
    bars += [base.quad(a, -0.45, a + 30, 0.45) for a in np.arange(start + 60, far, 50)]
    bars += [base.quad(-far, s * (width / 2 - 1), far, s * (width / 2 - 1) + 0.9) for s in (-1, 1)]
    sheet.mark(PAINT, bars)
    if rng.random() < 0.8:
        spot = (base if rng.random() < 0.4 else taxi).spot(
            rng.uniform(-0.4, 0.4) * sheet.reach, 0, math.pi * rng.integers(2)
        )
        aircraft(sheet, spot, rng.uniform(24, 60))
