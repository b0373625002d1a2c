"""Small houses of dense quarters: crooked outlines under sheets or tiles, one whole each, roof planes its parts."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import flat_block, walls_of
from geoalps.sample.chips.kinds import BUILDING
from geoalps.sample.chips.look import BODY, WALL, Colour, Look
from geoalps.sample.chips.patchwork import Cloth, Cloths, Plane, cover
from geoalps.sample.chips.roofs import roof_look
from geoalps.sample.chips.shape import Frame, Points, disc
from geoalps.sample.chips.sheet import Sheet

PLASTIC: tuple[Colour, ...] = (
    (44, 44, 48), (52, 92, 148), (226, 226, 222), (60, 118, 86), (176, 62, 50), (206, 170, 70), (120, 120, 122),
)  # fmt: skip


def shanty(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, style: str, cloths: Cloths) -> None:
    """One house, perhaps with a wing or a lean-to under other sheets.

    Args:
        sheet: to draw on.
        place: its middle; the ridge lies along the longer side.
        size: metres along and across the frame.
        height: of the eaves.
        style: ``tin``, ``tiles`` or ``flat``.
        cloths: that roofs are made of here.
    """
    rng = sheet.rng
    if size[1] > size[0]:
        place, size = place.spot(0, 0, math.pi / 2), (size[1], size[0])
    if not sheet.sees(place.x, place.y, size[0]):
        return
    whole = sheet.whole(BUILDING)
    if style == "flat":
        _flat(sheet, place, size, height, whole)
        return
    cloth = cloths.pick(rng, style == "tiles")
    long, wide = size
    kind = rng.random()
    if kind < 0.17 and min(size) > 4.5:
        # Two wings around a corner; the frame's middle is that of the box around both.
        side, end, deep = rng.choice([-1, 1]), rng.choice([-1, 1]), rng.uniform(0.42, 0.6)
        arm = rng.uniform(0.3, 0.45) * long
        wing = place.spot(end * (long - arm) / 2, 0.0, math.pi / 2)
        _covered(sheet, wing, (wide, arm), 0.97 * height, cloth if rng.random() < 0.6 else cloths.pick(rng), whole, 0.0)
        _covered(sheet, place.spot(0, side * (1 - deep) * wide / 2), (long, deep * wide), height, cloth, whole, 0.0)
        return
    if kind < 0.36:
        deep = rng.uniform(0.22, 0.4) * wide
        side = rng.choice([-1, 1])
        spot = place.spot(rng.uniform(-0.2, 0.2) * long, side * (wide - deep) / 2, 0.0 if side > 0 else math.pi)
        annex = spot.box(long * rng.uniform(0.4, 1.0), deep)
        _mono(sheet, annex, spot.angle, 0.72 * height, 0.08, cloths.pick(rng), whole)
        place, wide = place.spot(0, -side * deep / 2), wide - deep + 0.2
    _covered(sheet, place, (long, wide), height, cloth, whole, rng.uniform(0, 0.06))


def _covered(
    sheet: Sheet, place: Frame, size: tuple[float, float], height: float, cloth: Cloth, whole: int, crooked: float
) -> None:
    """A house's body under a mono-pitch, gable or hip roof; ``crooked`` moves corners by a share of the width."""
    rng = sheet.rng
    foot = place.box(*size) + np.clip(rng.standard_normal((4, 2)), -2, 2) * (crooked * size[1])
    kind, tiled = rng.random(), cloth.looks[0].cross_depth > 0
    slope = rng.uniform(0.3, 0.65) if tiled else rng.uniform(0.1, 0.42)
    if kind < (0.12 if tiled else 0.46):
        if rng.random() < 0.5:
            place, foot = place.spot(0, 0, math.pi), np.roll(foot, 2, 0)
        _mono(sheet, foot, place.angle, height, slope * 0.4, cloth, whole)
    else:
        hip = 0.0 if kind < 0.85 else rng.uniform(0.6, 1.0)
        _gable(sheet, foot, place.angle, (height, slope, hip), cloth, whole)


def _mono(sheet: Sheet, foot: Points, angle: float, height: float, slope: float, cloth: Cloth, whole: int) -> None:
    """One plane that falls to the right of the direction ``angle``: its first two corners are the high ones."""
    _walls(sheet, foot, height, whole)
    top = foot + np.array(sheet.lean) * height
    up = (math.sin(angle) * slope, -math.cos(angle) * slope)
    middle = top.mean(0)
    plane = Plane(height, up, (float(middle[0]), float(middle[1])))
    _face(sheet, top, plane, angle, cloth, whole)
    _loose(sheet, top, plane)


def _gable(
    sheet: Sheet, foot: Points, angle: float, rise: tuple[float, float, float], cloth: Cloth, whole: int
) -> None:
    """Two planes and a ridge between them, with hips two more; ``rise`` is eaves, slope, hip."""
    rng, (eaves, slope, hip) = sheet.rng, rise
    _walls(sheet, foot, eaves, whole)
    share = rng.uniform(0.42, 0.58) if rng.random() < 0.5 else 0.5
    ends = foot[[0, 1]] * (1 - share) + foot[[3, 2]] * share
    width = float(np.hypot(*(foot[3] - foot[0])))
    inset = min(0.45, 0.5 * hip * width / max(float(np.hypot(*(ends[1] - ends[0]))), 0.1))
    inwards = (ends[1] - ends[0]) * inset
    ridge = eaves + slope * width / 2
    ends = ends + np.array([inwards, -inwards]) + np.array(sheet.lean) * ridge
    base = foot + np.array(sheet.lean) * eaves
    cos, sin = math.cos(angle), math.sin(angle)
    origin = (float(ends[0, 0]), float(ends[0, 1]))
    tone = float(np.exp(rng.normal(0, 0.13)))
    for side, lower in ((1, base[[2, 3]]), (-1, base[[0, 1]])):
        upper = ends if side < 0 else ends[::-1]
        plane = Plane(ridge, (side * sin * slope, -side * cos * slope), origin)
        face = np.concatenate([upper, lower[::-1]])
        mine = cloth._replace(looks=tuple(_lit(k, tone if side > 0 else 1 / tone) for k in cloth.looks))
        _face(sheet, face, plane, angle, mine, whole, inset)
        _loose(sheet, face, plane)
    if hip:
        steep = slope / max(hip, 0.3)
        for n, (a, b), sign in ((0, (3, 0), 1), (1, (1, 2), -1)):
            plane = Plane(ridge, (sign * cos * steep, sign * sin * steep), (float(ends[n, 0]), float(ends[n, 1])))
            look = _lit(cloth.looks[0], 1.0).turned(angle + math.pi / 2)
            sheet.fill(plane.add(sheet, look, whole, sheet.part()), np.stack([ends[n], base[a], base[b]]))
    if sheet.pixel < 0.4:
        cap = _lit(cloth.looks[0], rng.choice([0.7, 1.18]))._replace(row_depth=0.0)
        sheet.line(cap, ends, rng.uniform(0.15, 0.35), cloth.looks[0], ridge + 0.1)


def _face(
    sheet: Sheet, corners: Points, plane: Plane, angle: float, cloth: Cloth, whole: int, inset: float = 0.0
) -> None:
    """One plane as a part, with its sheets, but for a share ``inset`` of the eaves at either end, below a hip."""
    sheet.fill(plane.add(sheet, cloth.looks[0].turned(angle), whole, sheet.part()), corners)
    below = (corners[2] - corners[3]) * inset
    cover(sheet, cloth, corners - np.array(((0, 0), (0, 0), below, -below)), plane, angle)


def _walls(sheet: Sheet, foot: Points, height: float, whole: int) -> None:
    """What is seen of the walls: boards, blocks, plaster."""
    shade = sheet.rng.uniform(0.5, 1.3)
    look = WALL._replace(colour=(136 * shade, 124 * shade, 108 * shade), row_depth=0.05)
    walls_of(sheet, foot, height, whole, look)


def _loose(sheet: Sheet, corners: Points, plane: Plane) -> None:
    """What lies on a roof: tyres, stones, planks, a tank, panes of light: paint."""
    rng, pixel = sheet.rng, sheet.pixel
    if pixel > 0.25 or rng.random() < 0.4:
        return
    for _ in range(int(rng.integers(0, 6))):
        u, v = rng.uniform(0.12, 0.88, 2)
        spot = (1 - v) * ((1 - u) * corners[0] + u * corners[1]) + v * ((1 - u) * corners[3] + u * corners[2])
        x, y = spot.tolist()
        kind, top = rng.random(), plane.at(spot)
        if kind < 0.25:
            tyre(sheet, x, y, top)
        elif kind < 0.65:
            shade = rng.uniform(60, 190)
            stone = BODY._replace(colour=(shade, 0.97 * shade, 0.92 * shade), grain=0.1)
            sheet.mark(stone, [disc(x, y, rng.uniform(0.08, 0.25), 6)], top + 0.2)
        elif kind < 0.8:
            plank = BODY._replace(colour=(124, 98, 72), grain=0.1)
            sheet.mark(plank, [Frame(x, y, rng.uniform(0, 6.3)).box(rng.uniform(0.6, 2.2), 0.12)], top + 0.1)
        elif kind < 0.9:
            barrel(sheet, x, y, top)
        else:
            pane = BODY._replace(colour=(188, 200, 206) if rng.random() < 0.6 else (70, 78, 84))
            along = corners[1] - corners[0]
            turn = Frame(x, y, math.atan2(along[1], along[0]))
            sheet.fill(plane.add(sheet, pane), turn.box(rng.uniform(0.4, 0.9), rng.uniform(0.5, 1.1)), paint=True)


def tyre(sheet: Sheet, x: float, y: float, height: float = 0.0) -> None:
    """An old tyre: a dark ring."""
    radius = sheet.rng.uniform(0.26, 0.4)
    rubber = BODY._replace(colour=(44, 43, 42))
    sheet.mark(rubber, [disc(x, y, radius, 12)], height + 0.2)
    if radius > 3 * sheet.pixel:
        sheet.mark(rubber._replace(colour=(104, 96, 86)), [disc(x, y, 0.45 * radius, 8)], height + 0.05)


def barrel(sheet: Sheet, x: float, y: float, height: float = 0.0) -> None:
    """A water tank or drum, seen from above: paint."""
    rng = sheet.rng
    radius = rng.uniform(0.3, 0.7)
    shell = BODY._replace(colour=PLASTIC[int(rng.integers(len(PLASTIC)))]).varied(rng, 0.1)
    sheet.mark(shell, [disc(x, y, radius, 14)], height + rng.uniform(0.7, 1.4))
    if radius > 3 * sheet.pixel:
        sheet.mark(_lit(shell, 0.72), [disc(x, y, 0.35 * radius, 9)], height + 1.45)


def _flat(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, whole: int) -> None:
    """A slab of concrete, sometimes half built up by another storey."""
    rng = sheet.rng
    look = roof_look(rng, "flat")
    flat_block(sheet, place, size, height, look, whole)
    if rng.random() < 0.35:
        share, end = rng.uniform(0.35, 0.6), rng.choice([-1, 1])
        spot = place.spot(end * (1 - share) * size[0] / 2, 0)
        mine = look if rng.random() < 0.5 else roof_look(rng, "flat")
        flat_block(sheet, spot, (share * size[0], size[1]), height + 2.8, mine, whole)


def _lit(look: Look, factor: float) -> Look:
    """The same surface, brighter or darker."""
    red, green, blue = (min(245.0, c * factor) for c in look.colour)
    return look._replace(colour=(red, green, blue))
