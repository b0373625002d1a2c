"""Buildings: houses, slabs, blocks around courtyards, halls; walls seen aslant."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import BUILDING
from geoalps.sample.chips.look import METAL, WALL, Look
from geoalps.sample.chips.roofs import furnish_flat, furnish_pitched, pitched, roof_look, surface_flat
from geoalps.sample.chips.shape import Frame, Points, disc
from geoalps.sample.chips.sheet import Sheet


def walls(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, whole: int, look: Look) -> None:
    """What the camera sees of the walls of a box when it looks aslant: one part."""
    walls_of(sheet, place.box(*size), height, whole, look)


def walls_of(sheet: Sheet, foot: Points, height: float, whole: int, look: Look) -> None:
    """As :func:`walls`, of an outline (n, 2) metres on the ground."""
    move = np.array(sheet.lean) * height
    if np.hypot(*move) < 0.4 * sheet.pixel:
        return
    region = sheet.add(look, whole, sheet.part(), 0.5 * height)
    for n in range(len(foot)):
        side = foot[[n, (n + 1) % len(foot)]]
        sheet.fill(region, np.concatenate([side, side[::-1] + move]))


def flat_block(
    sheet: Sheet, place: Frame, size: tuple[float, float], height: float, look: Look, whole: int, furnished: bool = True
) -> int:
    """A box with a flat roof of its own part; returns the roof's part."""
    rng = sheet.rng
    shade = rng.uniform(0.7, 1.2)
    walls(
        sheet,
        place,
        size,
        height,
        whole,
        WALL._replace(colour=(132 * shade, 126 * shade, 116 * shade), row_angle=place.angle),
    )
    top = Frame(place.x + sheet.lean[0] * height, place.y + sheet.lean[1] * height, place.angle)
    part = sheet.part()
    sheet.fill(sheet.add(look.turned(place.angle), whole, part, height), top.box(*size))
    if furnished:
        surface_flat(sheet, top, size, height, look)
        furnish_flat(sheet, top, size, height, look)
        if min(size) > 9 and rng.random() < 0.16:
            _storey(sheet, place, size, height, look, whole)
    return part


def _storey(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, look: Look, whole: int) -> None:
    """A set-back upper storey, whose shadow falls on the roof below: a part of its own."""
    rng = sheet.rng
    share = rng.uniform(0.3, 0.75, 2)
    a, b = rng.uniform(-0.45, 0.45, 2) * (1 - share) * size
    mine = look.varied(rng, 0.1) if rng.random() < 0.6 else roof_look(rng, "flat")
    top = height + rng.uniform(2.5, 4)
    flat_block(sheet, place.spot(a, b), (share[0] * size[0], share[1] * size[1]), top, mine, whole, False)


def pitched_block(
    sheet: Sheet,
    place: Frame,
    size: tuple[float, float],
    eaves: float,
    slope: float,
    look: Look,
    whole: int,
    hip: float,
) -> None:
    """A box with a gable or hip roof."""
    shade = sheet.rng.uniform(0.8, 1.5)
    walls(
        sheet,
        place,
        size,
        eaves,
        whole,
        WALL._replace(colour=(132 * shade, 126 * shade, 118 * shade), row_angle=place.angle),
    )
    top, ridge = pitched(sheet, place, size, eaves, slope, look, whole, hip)
    if sheet.pixel < 0.6:
        furnish_pitched(sheet, top, size, ridge, slope)


def house(sheet: Sheet, place: Frame, length: float, width: float, look: Look | None = None) -> int:
    """A detached or terraced house, sometimes with a wing or a porch; returns its whole."""
    rng = sheet.rng
    whole = sheet.whole(BUILDING)
    if not sheet.sees(place.x, place.y, length + width):
        return whole
    kind = rng.random()
    eaves = rng.uniform(2.8, 6.5)
    if kind < 0.12:
        flat_block(sheet, place, (length, width), eaves, look or roof_look(rng, "flat"), whole)
        return whole
    look = look or roof_look(rng, "tiles" if kind < 0.85 else "tin")
    slope, hip = rng.uniform(0.35, 0.95), 0.0 if rng.random() < 0.6 else rng.uniform(0.8, 1.1)
    if rng.random() < 0.35 and length > 9:
        wing = (width * rng.uniform(0.8, 1.3), width * rng.uniform(0.55, 0.8))
        b = rng.choice([-1, 1]) * (width / 2 + wing[0] / 2 - wing[1] * 0.45)
        spot = place.spot(rng.choice([-1, 1]) * (length / 2 - wing[1] / 2), b, math.pi / 2)
        pitched_block(sheet, spot, wing, eaves * 0.95, slope, look, whole, hip)
    pitched_block(sheet, place, (length, width), eaves, slope, look, whole, hip)
    return whole


def slab(sheet: Sheet, place: Frame, length: float, width: float, floors: int) -> int:
    """A block of flats: flat, or under one long roof."""
    rng = sheet.rng
    whole = sheet.whole(BUILDING)
    if not sheet.sees(place.x, place.y, length):
        return whole
    height = 3.0 * floors
    if rng.random() < 0.65:
        flat_block(sheet, place, (length, width), height, roof_look(rng, "flat"), whole)
    else:
        pitched_block(
            sheet, place, (length, width), height, rng.uniform(0.25, 0.6), roof_look(rng, "tiles"), whole, 1.0
        )
    return whole


def courtyard(sheet: Sheet, place: Frame, length: float, width: float, yard: Look, kind: int) -> None:
    """Wings around a yard; the yard is ground of its own."""
    rng = sheet.rng
    if not sheet.sees(place.x, place.y, length):
        return
    deep = min(rng.uniform(9, 14), 0.36 * min(length, width))
    look = roof_look(rng, "flat" if rng.random() < 0.45 else "tiles")
    height, slope = rng.uniform(9, 20), rng.uniform(0.3, 0.7)
    sheet.lay(place.box(length, width), yard, kind)
    whole = sheet.whole(BUILDING)
    flat = look.row_spacing > 0.6 or look.cross_depth == 0
    wings = [
        (0.0, -(width - deep) / 2, 0.0, length), (0.0, (width - deep) / 2, 0.0, length),
        (-(length - deep) / 2, 0.0, math.pi / 2, width), ((length - deep) / 2, 0.0, math.pi / 2, width),
    ]  # fmt: skip
    open_side = rng.random() < 0.25
    for a, b, turn, long in wings[: 3 if open_side else 4]:
        spot = place.spot(a, b, turn)
        if flat:
            size = (long, deep) if not turn else (long - 2 * deep, deep)
            flat_block(sheet, spot, size, height, look, whole)
        else:
            pitched_block(sheet, spot, (long, deep), height, slope, look, whole, 1.0)


def compound(sheet: Sheet, place: Frame, length: float, width: float) -> int:
    """Several wings and levels grown together, as schools, offices and hospitals are: levels are parts."""
    rng = sheet.rng
    whole = sheet.whole(BUILDING)
    if not sheet.sees(place.x, place.y, length + width):
        return whole
    look, height = roof_look(rng, "flat"), rng.uniform(5, 14)
    spine = rng.uniform(0.22, 0.4) * width
    wings = [(0.0, 0.0, length, spine, 0.0)]
    for a in np.linspace(-0.5, 0.5, int(rng.integers(2, 5))) * (length - spine):
        for side in (-1, 1):
            if rng.random() < 0.6:
                long = rng.uniform(0.5, 1.0) * (width - spine) / 2
                wings.append(
                    (
                        a + rng.normal(0, 1),
                        side * (spine / 2 + long / 2 - 0.5),
                        long + 1,
                        spine * rng.uniform(0.6, 1.3),
                        math.pi / 2,
                    )
                )
    one = rng.random() < 0.4
    tops = height * (np.ones(len(wings)) if one else rng.choice([0.5, 0.8, 1.0, 1.3], len(wings)))
    for n in np.argsort(tops, kind="stable").tolist():
        a, b, long, wide, turn = wings[n]
        mine = look if one or rng.random() < 0.6 else roof_look(rng, "flat")
        flat_block(sheet, place.spot(a, b, turn), (long, wide), float(tops[n]), mine, whole)
    if rng.random() < 0.3:
        spot = place.spot(rng.choice([-0.4, 0, 0.4]) * length, 0)
        rotunda(sheet, spot, rng.uniform(0.6, 1.1) * spine, height * 1.2, whole)
    return whole


def rotunda(sheet: Sheet, place: Frame, radius: float, height: float, whole: int) -> None:
    """A round or many-sided part of a building, its roof in wedges."""
    rng = sheet.rng
    x, y = place.x + sheet.lean[0] * height, place.y + sheet.lean[1] * height
    corners = disc(x, y, radius, int(rng.choice([6, 8, 12, 24])))
    look, slope, part = roof_look(rng, str(rng.choice(["metal", "tiles", "flat"]))), rng.uniform(0.0, 0.6), sheet.part()
    for n in range(len(corners)):
        wedge = np.stack([corners[n - 1], corners[n], (x, y)])
        away = wedge[:2].mean(0) - (x, y)
        fall = (-slope * away / max(1e-6, float(np.hypot(*away)))).tolist()
        face = look.turned(math.atan2(away[1], away[0]) + math.pi / 2)
        region = sheet.add(face, whole, part, height + slope * radius, (fall[0], fall[1]), (x, y))
        sheet.fill(region, wedge)


def hall(sheet: Sheet, place: Frame, length: float, width: float) -> int:
    """A shed, store or factory: low gable, flat, several bays, or saw teeth; each bay's face is a part."""
    rng = sheet.rng
    whole = sheet.whole(BUILDING)
    if not sheet.sees(place.x, place.y, max(length, width)):
        return whole
    height = rng.uniform(6, 13)
    look = roof_look(rng, str(rng.choice(["metal", "flat", "tin"], p=[0.6, 0.3, 0.1])))
    kind = rng.random()
    if kind < 0.35:
        flat_block(sheet, place, (length, width), height, look, whole)
    elif kind < 0.6:
        slope = rng.uniform(0.08, 0.25)
        pitched_block(sheet, place, (length, width), height, slope, look, whole, 0.0)
        _roof_lights(sheet, place, (length, width), height, slope)
    else:
        bays = max(2, round(width / rng.uniform(10, 22)))
        deep, slope, lights = width / bays, rng.uniform(0.1, 0.3), rng.random() < 0.5
        for n in range(bays):
            spot = place.spot(0, (n + 0.5) * deep - width / 2)
            if kind < 0.8:
                pitched_block(sheet, spot, (length, deep), height, slope, look, whole, 0.0)
                if lights:
                    _roof_lights(sheet, spot, (length, deep), height, slope)
            else:
                _saw_tooth(sheet, spot, (length, deep), height, look, whole)
    if rng.random() < 0.4:
        annex = place.spot(rng.uniform(-0.3, 0.3) * length, width / 2 + 3.5)
        flat_block(sheet, annex, (rng.uniform(10, 18), 7.5), height * 0.6, roof_look(rng, "flat"), whole)
    return whole


def _roof_lights(sheet: Sheet, place: Frame, size: tuple[float, float], eaves: float, slope: float) -> None:
    """Rows of translucent sheets in the two planes of a metal roof: paint."""
    rng, (length, width) = sheet.rng, size
    if rng.random() < 0.3:
        return
    tint = rng.uniform(0.62, 1.05)
    light = METAL._replace(colour=(206 * tint, 212 * tint, 212 * tint), mix=0.0, row_depth=0.0)
    ridge, wide = eaves + slope * width / 2, rng.uniform(0.8, 1.6)
    at = np.arange(-0.46 * length, 0.46 * length, max(rng.uniform(4, 12), 3 * sheet.pixel))
    spans = [((0.06, 0.42),), ((0.08, 0.2), (0.28, 0.42)), ((0.16, 0.34),)][int(rng.integers(3))]
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    for side in (-1, 1):
        up = (side * sin * slope, -side * cos * slope)
        top = Frame(place.x + sheet.lean[0] * ridge, place.y + sheet.lean[1] * ridge, place.angle)
        region = sheet.add(light, height=ridge + 0.05, slope=up, origin=(top.x, top.y))
        for b0, b1 in spans:
            for a in at.tolist():
                pane = np.array([(a, b0), (a + wide, b0), (a + wide, b1), (a, b1)]) * (1, side * width)
                sheet.fill(
                    region, place.at(pane) + np.outer(ridge - slope * np.abs(pane[:, 1]), sheet.lean), paint=True
                )


def _saw_tooth(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, look: Look, whole: int) -> None:
    """One tooth: a sloping face and a band of glass."""
    slope = 0.4
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    top = Frame(place.x + sheet.lean[0] * height, place.y + sheet.lean[1] * height, place.angle)
    l2, w2 = size[0] / 2, size[1] / 2
    walls(sheet, place, size, height, whole, WALL)
    glass = look._replace(colour=(86, 96, 104), row_depth=-0.1, row_spacing=2.0, row_angle=place.angle, mix=0.0)
    face = sheet.add(look.turned(place.angle), whole, sheet.part(), height, (-sin * slope, cos * slope), (top.x, top.y))
    sheet.fill(face, top.quad(-l2, -w2, l2, 0.72 * w2))
    sheet.fill(sheet.add(glass, whole, sheet.part(), height), top.quad(-l2, 0.72 * w2, l2, w2))
