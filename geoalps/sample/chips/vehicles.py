"""Cars, vans, lorries, buses; and rows of them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from geoalps.sample.chips.kinds import VEHICLE
from geoalps.sample.chips.look import BODY, GLASS, Colour
from geoalps.sample.chips.shape import Frame
from geoalps.sample.chips.sheet import Sheet

PAINTS: tuple[Colour, ...] = (
    (226, 226, 224), (206, 208, 210), (62, 64, 68), (44, 44, 48), (158, 162, 166), (122, 126, 130), (70, 84, 116),
    (146, 48, 42), (92, 96, 102), (236, 236, 232), (58, 72, 62), (156, 138, 108), (186, 152, 52), (52, 92, 142),
)  # fmt: skip
SHARES = np.array([18, 12, 12, 12, 12, 9, 5, 4, 6, 10, 2, 3, 1, 4], float)
"""How often each paint is seen: mostly white, grey, black."""
LOADS: tuple[Colour, ...] = (
    (214, 212, 206), (196, 198, 200), (92, 112, 146), (152, 82, 62), (120, 132, 118), (190, 160, 92), (232, 232, 230),
)  # fmt: skip
WINDOW = GLASS._replace(colour=(46, 54, 62))


def car(sheet: Sheet, place: Frame, colour: Colour | None = None) -> None:
    """A car, sometimes a van, that heads along its frame."""
    rng, pixel = sheet.rng, sheet.pixel
    van = rng.random() < 0.14
    length, width = (rng.uniform(4.9, 6.2), 2.0) if van else (rng.uniform(3.8, 4.9), rng.uniform(1.68, 1.9))
    if not sheet.sees(place.x, place.y, length):
        return
    tint = colour or PAINTS[int(np.searchsorted(SHARES.cumsum(), rng.uniform(0, SHARES.sum())))]
    look = BODY._replace(colour=tint).varied(rng, 0.06)
    whole = sheet.whole(VEHICLE)
    l2, w2 = length / 2, width / 2
    cut = 0.16 * width
    body = sheet.add(look, whole, height=1.0)
    outline = np.array([(-l2, -w2 + cut), (-l2 + cut, -w2), (l2 - 2 * cut, -w2), (l2, -w2 + 2 * cut)])
    sheet.fill(body, place.at(np.concatenate([outline, outline[::-1] * (1, -1)])))
    if width < 3 * pixel:
        return
    glass = sheet.part() if pixel < 0.16 else 0
    paint = not glass
    front, back, inner = (0.30 if van else 0.16) * length, -0.30 * length, 0.80 * w2
    window = sheet.add(WINDOW, whole, glass, height=1.2)
    sheet.fill(window, place.quad(back, -inner, front, inner), paint)
    top: Colour = _lighter(tint, 1.07)
    other = rng.random()
    if other < 0.2:
        # Roofs of another colour: white against heat, black for looks or of glass.
        top = (232, 232, 228) if other < 0.1 else (40, 42, 46)
    roof = sheet.add(look._replace(colour=top), whole, height=1.5)
    a0 = back + (0.02 if van else 0.10) * length
    sheet.fill(roof, place.quad(a0, -0.9 * inner, front - 0.13 * length, 0.9 * inner), paint)
    if width > 6 * pixel:
        lights = BODY._replace(colour=_lighter(tint, 0.7), grain=0.05)
        bars = [
            place.quad(l2 - 0.02 * length, -w2 * 0.8, l2, w2 * 0.8),
            place.quad(-l2, -w2 * 0.8, -l2 + 0.12, w2 * 0.8),
        ]
        sheet.mark(lights, bars, 0.8)
        _flank(sheet, place, (length, width), tint)


def _flank(sheet: Sheet, place: Frame, size: tuple[float, float], tint: Colour) -> None:
    """One side of the body and the bonnet's seam lie in shade: paint."""
    rng, (l2, w2) = sheet.rng, (size[0] / 2, size[1] / 2)
    if rng.random() < 0.5:
        return
    side, tone = (1 if rng.random() < 0.5 else -1), rng.uniform(0.4, 0.8)
    b0, b1 = sorted((side * w2 * 0.98, side * w2 * rng.uniform(0.82, 0.92)))
    shade = BODY._replace(colour=_lighter(tint, tone))
    sheet.mark(
        shade, [place.quad(-0.9 * l2, b0, 0.8 * l2, b1), place.quad(0.5 * l2, -0.7 * w2, 0.53 * l2, 0.7 * w2)], 0.9
    )


def lorry(sheet: Sheet, place: Frame, length: float = 0.0, colour: Colour | None = None) -> None:
    """A lorry with cab and load, or with ``length`` over 13 a semi-trailer; cab and load are parts."""
    rng = sheet.rng
    length = length or float(rng.choice([8.5, 12.0, 16.5]))
    if not sheet.sees(place.x, place.y, length):
        return
    whole, l2, w2 = sheet.whole(VEHICLE), length / 2, 1.27
    look = BODY._replace(colour=colour or LOADS[int(rng.integers(len(LOADS)))]).varied(rng, 0.06)
    ribbed = look._replace(row_depth=0.05, row_spacing=1.2, row_angle=place.angle, mottle=0.04)
    load = sheet.add(ribbed, whole, sheet.part(), height=3.4)
    cab = sheet.add(BODY._replace(colour=PAINTS[int(rng.integers(len(PAINTS)))]), whole, sheet.part(), height=2.8)
    sheet.fill(cab, place.quad(l2 - 2.4, -w2 * 0.95, l2, w2 * 0.95))
    sheet.fill(load, place.quad(-l2, -w2, l2 - 2.7, w2))
    if sheet.pixel < 0.6 and rng.random() < 0.4:
        _load(sheet, place, (-l2, l2 - 2.7, w2), look.colour)
    gap = sheet.add(WINDOW, whole, height=1.2)
    sheet.fill(gap, place.quad(l2 - 2.75, -w2 * 0.8, l2 - 2.35, w2 * 0.8))
    if sheet.pixel < 0.5:
        sheet.mark(WINDOW, [place.quad(l2 - 0.55, -w2 * 0.8, l2 - 0.15, w2 * 0.8)], 2.3)


def _load(sheet: Sheet, place: Frame, span: tuple[float, float, float], tint: Colour) -> None:
    """An open lorry's freight, or a tarpaulin's bands: paint; ``span`` is from, to and half the width, in metres."""
    rng, (a0, a1, w2) = sheet.rng, span
    if rng.random() < 0.5:
        tone = rng.uniform(0.35, 0.75)
        inside = BODY._replace(colour=_lighter(tint, tone), grain=0.1, mottle=0.12)
        sheet.mark(inside, [place.quad(a0 + 0.2, -0.85 * w2, a1 - 0.2, 0.85 * w2)], 2.9)
    bands = np.arange(a0 + 0.6, a1 - 1.2, rng.uniform(1.5, 3.5))
    band = BODY._replace(colour=LOADS[int(rng.integers(len(LOADS)))]).varied(rng, 0.1)
    wide = rng.uniform(0.3, 1.1)
    sheet.mark(band, [place.quad(a, -0.8 * w2, a + wide, 0.8 * w2) for a in bands.tolist()], 3.4)


def bus(sheet: Sheet, place: Frame, colour: Colour | None = None) -> None:
    """A bus or coach with hatches in its roof."""
    rng = sheet.rng
    length = rng.uniform(10.5, 12.5)
    if not sheet.sees(place.x, place.y, length):
        return
    whole, l2, w2 = sheet.whole(VEHICLE), length / 2, 1.27
    tint = colour or PAINTS[int(rng.integers(len(PAINTS)))]
    look = BODY._replace(colour=tint).varied(rng, 0.04)
    sheet.fill(sheet.add(look, whole, height=3.1), place.quad(-l2, -w2, l2, w2))
    light = look._replace(colour=_lighter(tint, 1.16) if rng.random() < 0.6 else (228, 229, 226))
    sheet.mark(light, [place.quad(-l2 + 0.5, -w2 * 0.62, l2 - 0.8, w2 * 0.62)], 3.2)
    hatch = look._replace(colour=_lighter(light.colour, rng.uniform(0.4, 0.8)))
    sheet.mark(hatch, [place.quad(a, -0.4, a + 0.8, 0.4) for a in (-0.3 * length, 0.0, 0.28 * length)], 3.3)
    if rng.random() < 0.5:
        a = rng.choice([-0.42, -0.1, 0.1]) * length
        sheet.mark(BODY._replace(colour=(196, 198, 198)), [place.quad(a, -0.7, a + rng.uniform(1.4, 2.6), 0.7)], 3.5)
    if sheet.pixel < 0.5:
        sheet.mark(WINDOW, [place.quad(l2 - 0.4, -w2 * 0.9, l2, w2 * 0.9)], 2.6)


def any_vehicle(sheet: Sheet, place: Frame) -> None:
    """What drives on a road."""
    kind = sheet.rng.random()
    if kind < 0.84:
        car(sheet, place)
    elif kind < 0.95:
        lorry(sheet, place)
    else:
        bus(sheet, place)


def traffic(sheet: Sheet, line: Frame, length: float, lanes: tuple[float, ...], density: float) -> None:
    """Vehicles on a straight road: lanes are metres to the right of its middle; those on the left drive back."""
    rng = sheet.rng
    for b in lanes:
        a = -length / 2 + rng.uniform(0, 30)
        while a < length / 2:
            if rng.random() < density:
                any_vehicle(
                    sheet, line.spot(a, b + rng.normal(0, 0.2), (0.0 if b > 0 else np.pi) + rng.normal(0, 0.02))
                )
            a += rng.uniform(8, 26)


def kerbside(sheet: Sheet, line: Frame, length: float, b: float, share: float) -> None:
    """Cars parked along a line."""
    rng = sheet.rng
    for a in np.arange(-length / 2, length / 2, 5.8):
        if rng.random() < share:
            turn = rng.normal(0, 0.03) + (np.pi if rng.random() < 0.3 else 0)
            car(sheet, line.spot(a + rng.normal(0, 0.3), b, turn))


def _lighter(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(250.0, c * factor) for c in colour)
    return red, green, blue


def fleet(rng: Generator) -> Colour | None:
    """Now and then all vehicles of a place have one colour."""
    choices: tuple[Colour, ...] = ((232, 184, 60), (236, 236, 232), (70, 96, 142), (158, 62, 50))
    return choices[int(rng.integers(len(choices)))] if rng.random() < 0.25 else None
