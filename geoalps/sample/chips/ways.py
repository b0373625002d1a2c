"""Roads, pavements, railways: wholes of ground with paint on them."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import GRASS, PAVEMENT, RAIL, ROAD
from geoalps.sample.chips.look import (
    ASPHALT,
    BALLAST,
    CONCRETE,
    DIRT,
    GRAVEL,
    LAWN,
    METAL,
    OLD_ASPHALT,
    PAINT,
    PAVING,
    VERGE,
    YELLOW,
    Colour,
    Look,
)
from geoalps.sample.chips.shape import Frame, Points, ribbon
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.vehicles import any_vehicle


def asphalt(sheet: Sheet) -> Look:
    """Fresh to old."""
    rng = sheet.rng
    look = ASPHALT if rng.random() < 0.5 else OLD_ASPHALT
    return look._replace(mix=rng.uniform(0.2, 0.9)).varied(rng, 0.12)


def road(
    sheet: Sheet,
    line: Points,
    width: float,
    look: Look,
    whole: int | None = None,
    kerb: bool = True,
    marks: bool = True,
) -> int:
    """A sealed road along a line, with its pavements, a kerb and lane marks; returns the road's whole."""
    rng = sheet.rng
    if kerb:
        sheet.lay(ribbon(line, width + 2 * rng.uniform(1.4, 3.0)), PAVING.varied(rng), PAVEMENT)
        sheet.mark(PAVING._replace(colour=(176, 173, 166)), [ribbon(line, width + 0.35)])
    whole = sheet.whole(ROAD) if whole is None else whole
    look = look.turned(heading(line) + math.pi / 2)
    sheet.fill(sheet.add(look, whole), ribbon(line, width))
    wear(sheet, line, width, look)
    if marks:
        lane_marks(sheet, line, width, look)
    return whole


def wear(sheet: Sheet, line: Points, width: float, look: Look) -> None:
    """The paths of wheels, repairs, cracks, manholes: paint."""
    rng = sheet.rng
    tone = rng.uniform(0.86, 1.1)
    path = look._replace(colour=_toned(look.colour, tone), mix=0.3 * look.mix)
    if rng.random() < 0.6 and sheet.pixel < 0.8:
        lanes = max(1, round(width / 3.4))
        for n in range(lanes):
            middle = (n + 0.5) * width / lanes - width / 2
            for side in (-0.8, 0.8):
                sheet.line(path, _beside(line, middle + side), 0.6, look)
    for _ in range(int(rng.integers(0, 4))):
        k = int(rng.integers(len(line) - 1))
        x, y = line[k] + rng.random() * (line[k + 1] - line[k])
        spot = Frame(float(x), float(y), heading(line)).spot(0, rng.uniform(-0.3, 0.3) * width)
        repair = look._replace(colour=_toned(look.colour, rng.uniform(0.72, 1.12)))
        if sheet.sees(spot.x, spot.y, 10):
            sheet.mark(repair, [spot.box(rng.uniform(1, 14), rng.uniform(0.8, 0.4 * width))])


def cracks(sheet: Sheet, place: Frame, length: float, width: float, under: Look) -> None:
    """Sealed cracks and joints that wander over old ground, where pixels are fine enough."""
    rng = sheet.rng
    if sheet.pixel > 0.35:
        return
    dark = under._replace(colour=_toned(under.colour, rng.uniform(0.6, 0.85)))
    for _ in range(int(rng.integers(0, 9))):
        start = rng.uniform(-0.5, 0.5, 2) * (length, width)
        steps = (
            rng.normal(0, 0.8, (14, 2)) + rng.choice([-1, 1]) * np.array([[1.5, 0.0], [0.0, 1.5]])[int(rng.integers(2))]
        )
        sheet.line(dark, place.at(start + np.cumsum(steps, 0)), rng.uniform(0.06, 0.2), under)


def _toned(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def lane_marks(sheet: Sheet, line: Points, width: float, under: Look) -> None:
    """Dashed or solid lines between lanes and at the borders."""
    rng = sheet.rng
    if sheet.pixel > 1.2:
        return
    paint = (PAINT if rng.random() < 0.8 else YELLOW).varied(rng, 0.1)
    lanes = max(2, round(width / 3.4))
    for n in range(1, lanes):
        offset = n * width / lanes - width / 2
        if 2 * n == lanes and rng.random() < 0.5:
            sheet.line(paint, _beside(line, offset), 0.18, under)
        else:
            for dash in _dashes(_beside(line, offset), 3.0, 6.0):
                if sheet.sees(float(dash[0, 0]), float(dash[0, 1]), 5):
                    sheet.line(paint, dash, 0.18, under)
    if width > 6.5 and rng.random() < 0.7:
        for side in (-1, 1):
            sheet.line(paint, _beside(line, side * (width / 2 - 0.35)), 0.16, under)


def drive(sheet: Sheet, line: Points, offset: float, density: float, back: bool) -> None:
    """Vehicles along a line, ``offset`` metres to its right."""
    rng = sheet.rng
    if sheet.pixel > 1.3:
        return
    for place in _posts(_beside(line, offset), rng.uniform(12, 26)):
        if rng.random() < density and sheet.sees(place.x, place.y, 20):
            any_vehicle(sheet, place.spot(rng.normal(0, 3), rng.normal(0, 0.2), math.pi if back else 0.0))


def highway(sheet: Sheet, line: Points) -> None:
    """Two carriageways with a median, shoulders and traffic; each carriageway is a whole."""
    rng = sheet.rng
    lanes, median = int(rng.integers(2, 5)), rng.uniform(1.2, 9)
    width = 3.6 * lanes + rng.uniform(2, 5)
    look = asphalt(sheet)
    sheet.lay(ribbon(line, 2 * width + median + rng.uniform(4, 16)), VERGE.varied(rng), GRASS)
    green = rng.random() < 0.6
    sheet.lay(ribbon(line, median + 2), (LAWN if green else CONCRETE).varied(rng), GRASS if green else PAVEMENT)
    density = rng.uniform(0.05, 0.5)
    for side in (-1, 1):
        middle = _beside(line, side * (width + median) / 2)
        road(sheet, middle, width, look, kerb=False)
        for lane in range(lanes):
            drive(sheet, middle, (lane + 0.5) * 3.6 - 1.8 * lanes, density, side < 0)


def crossing(sheet: Sheet, place: Frame, width: float) -> None:
    """Zebra stripes across a road of some width that runs along the frame."""
    stripes = [place.quad(-1.6, b, 1.6, b + 0.5) for b in np.arange(-width / 2 + 0.3, width / 2 - 0.5, 1.0)]
    if sheet.pixel < 0.7 and sheet.sees(place.x, place.y, width):
        sheet.mark(PAINT, stripes)


def track(sheet: Sheet, line: Points, width: float, look: Look | None = None) -> int:
    """A track of earth or gravel with two ruts and a strip of grass."""
    rng = sheet.rng
    look = (look or (DIRT if rng.random() < 0.5 else GRAVEL)).varied(rng)
    whole = sheet.lay(ribbon(line, width), look, ROAD)
    middle = Look((118, 116, 82), 150, grain=0.1, mottle=0.12)
    if rng.random() < 0.5:
        sheet.line(middle, line, 0.25 * width, look)
    return whole


def rails(sheet: Sheet, line: Points, tracks: int) -> None:
    """A railway of one or several tracks in ballast."""
    sheet.lay(ribbon(line, 3.6 + 4.4 * (tracks - 1)), BALLAST.varied(sheet.rng), RAIL)
    sleeper = Look((112, 104, 96), 108, grain=0.06)
    steel = METAL._replace(colour=(92, 84, 78))
    for n in range(tracks):
        middle = _beside(line, 4.4 * (n - (tracks - 1) / 2))
        if sheet.pixel < 0.35:
            for place in _posts(middle, 0.65):
                if sheet.sees(place.x, place.y, 2):
                    sheet.mark(sleeper, [place.box(0.25, 2.5)])
        else:
            sheet.line(sleeper, middle, 2.4, BALLAST)
        for side in (-0.75, 0.75):
            sheet.line(steel, _beside(middle, side), 0.14, BALLAST)


def _beside(line: Points, metres: float) -> Points:
    """A line moved to its right."""
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], -1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    moved: Points = line + normal * metres
    return moved


def _dashes(line: Points, long: float, gap: float) -> list[Points]:
    """Pieces of a line."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    starts = np.arange(0, way[-1] - long, long + gap)
    ends = [
        np.stack([np.interp(at, way, line[:, 0]), np.interp(at, way, line[:, 1])], -1) for at in (starts, starts + long)
    ]
    return list(np.stack(ends, 1))


def _posts(line: Points, space: float) -> list[Frame]:
    """Frames along a line."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.arange(0, way[-1], space)
    x, y = np.interp(at, way, line[:, 0]), np.interp(at, way, line[:, 1])
    angles = np.arctan2(np.gradient(y), np.gradient(x)) if len(at) > 1 else np.zeros(1)
    return [Frame(*values) for values in zip(x.tolist(), y.tolist(), angles.tolist(), strict=True)]


def straight(sheet: Sheet, place: Frame) -> Points:
    """(2, 2): the line through a place, longer than the chip."""
    far = 2.2 * sheet.reach
    return place.at(np.array([(-far, 0.0), (far, 0.0)]))


def arrow(place: Frame) -> Points:
    """An arrow painted on a lane, heading along the frame."""
    return place.at(np.array([(-2, -0.1), (0.6, -0.1), (0.6, -0.45), (2, 0), (0.6, 0.45), (0.6, 0.1), (-2, 0.1)]))


def heading(line: Points) -> float:
    """Direction of a line from its start to its end."""
    step = line[-1] - line[0]
    return math.atan2(float(step[1]), float(step[0]))
