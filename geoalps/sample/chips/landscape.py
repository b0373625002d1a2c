"""Land from far above, at pixels of metres: fields, woods, lakes, towns as texture."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import BARE, BUILDING, FIELD, FOREST, GRASS, ORCHARD, ROAD, SETTLEMENT, SOLAR, WATER
from geoalps.sample.chips.layout import Box, inset, lengthwise, pick, seen, split
from geoalps.sample.chips.look import DIRT, FLAT_ROOF, FLOOR, GRAVEL, MEADOW, SAND, SCRUB, VERGE, Colour, Look
from geoalps.sample.chips.roofs import FLAT_COLOURS, TILE_COLOURS
from geoalps.sample.chips.rural import crop, waver
from geoalps.sample.chips.shape import Frame, Points, blob, moved, ribbon, winding
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.ships import ship
from geoalps.sample.chips.trees import LEAVES, NEEDLES
from geoalps.sample.chips.water import water_look
from geoalps.sample.chips.ways import asphalt, straight

USES: dict[str, dict[str, float]] = {
    "urban": {"town": 6, "works": 1, "field": 1, "wood": 0.6, "grass": 0.8},
    "rural": {"field": 8, "wood": 1, "town": 0.4, "grass": 1, "bare": 0.3},
    "port": {"works": 3, "town": 2, "grass": 0.6, "bare": 0.5},
    "industry": {"works": 5, "town": 2, "field": 1, "bare": 0.8, "grass": 1},
    "parking": {"works": 3, "town": 3, "grass": 1},
    "sport": {"grass": 3, "town": 3, "wood": 2},
    "airport": {"grass": 4, "works": 1, "field": 1, "town": 0.5},
    "forest": {"wood": 8, "grass": 1.2, "field": 0.7, "bare": 0.4},
    "orchard": {"grove": 6, "field": 3, "town": 0.3, "wood": 0.5},
    "water": {"field": 3, "wood": 2, "town": 1, "bare": 1, "grass": 1},
    "bare": {"bare": 7, "scrub": 3, "field": 0.8},
    "settlement": {"town": 8, "bare": 1.2, "grass": 0.4, "works": 0.4},
    "solar": {"solar": 3, "field": 5, "grass": 1, "wood": 0.6},
}
"""Weights of land uses by kind of chip."""
WATERY = {"water": 1.0, "port": 1.0, "rural": 0.25, "urban": 0.3, "forest": 0.25, "sport": 0.2}
"""Chance of a river, lake or sea."""


def draw_landscape(sheet: Sheet, kind: str) -> None:
    """Districts of land uses cut into parcels, water, roads, towns; for pixels of about 2.5 m and more."""
    rng = sheet.rng
    sheet.base((VERGE, MEADOW, SCRUB)[int(rng.integers(3))].varied(rng), GRASS)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    far = 1.3 * sheet.reach
    parcels: list[tuple[Frame, Box, str]] = []
    for district in split(rng, (-far, -far, far, far), (sheet.pixel * rng.uniform(60, 200)) ** 2, 30 * sheet.pixel):
        if seen(sheet, frame, district):
            parcels += _district(sheet, frame, district, kind)
    for _ in range(int(rng.integers(0, 5))):
        place = sheet.anywhere()
        outline = blob(rng, place.x, place.y, rng.uniform(0.05, 0.35) * sheet.reach, 0.6, rng.uniform(1, 2.5))
        sheet.lay(outline, _wood(sheet) if rng.random() < 0.7 else SCRUB.varied(rng, 0.1), FOREST)
    if rng.random() < 0.6:
        for turned, box, _ in parcels:
            if rng.random() < 0.25:
                sheet.line(DIRT.varied(rng), turned.at(np.array([(box[0], box[1]), (box[2], box[1])])), 5, VERGE)
    if rng.random() < WATERY.get(kind, 0.12):
        _water(sheet, frame)
    waver(sheet, rng.uniform(0.3, 1.6) * sheet.pixel)
    for turned, box, use in parcels:
        if use in ("town", "works"):
            _blocks(sheet, turned, box)
    _roads(sheet, frame)
    for _ in range(int(rng.integers(0, 6)) if kind in ("port", "water") else 0):
        spot = sheet.anywhere()
        if sheet.kind_at(spot.x, spot.y) == WATER:
            ship(sheet, spot, rng.uniform(40, 280), True)


def _district(sheet: Sheet, frame: Frame, district: Box, kind: str) -> list[tuple[Frame, Box, str]]:
    """One part of the land: a use that rules, a grain of parcels, a direction of its own."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, district)
    turned = spot.spot(0, 0, rng.normal(0, 0.12))
    ruling = pick(rng, **USES[kind])
    grain = (sheet.pixel * math.exp(rng.uniform(math.log(10), math.log(70)))) ** 2
    if ruling in ("wood", "bare", "scrub", "grass"):
        grain *= 6
    made = []
    for box in split(rng, (-0.53 * long, -0.53 * wide, 0.53 * long, 0.53 * wide), grain, 6 * sheet.pixel):
        if seen(sheet, turned, box):
            use = ruling if rng.random() < 0.8 else pick(rng, **USES[kind])
            outline = turned.quad(*inset(box, rng.uniform(0, 0.6) * sheet.pixel))
            _parcel(sheet, turned, outline + rng.normal(0, 0.8 * sheet.pixel, (4, 2)), use)
            made.append((turned, box, use))
    return made


def _wood(sheet: Sheet) -> Look:
    """A wood from above: crowns as grain."""
    rng = sheet.rng
    colours = LEAVES + NEEDLES
    colour = colours[int(rng.integers(len(colours)))]
    dark = (colour[0] * 0.7, colour[1] * 0.72, colour[2] * 0.75)
    return FLOOR._replace(
        colour=colour,
        nir=rng.uniform(120, 210),
        other=dark,
        mix=rng.uniform(0.3, 1),
        grain=rng.uniform(0.1, 0.22),
        mottle=0.1,
        sar=-6,
    ).varied(rng, 0.1)


def _parcel(sheet: Sheet, frame: Frame, outline: Points, use: str) -> None:
    """One parcel of ground; towns and works get their houses later."""
    rng = sheet.rng
    if use == "field":
        turn = frame.angle + (math.pi / 2 if rng.random() < 0.5 else 0) + rng.normal(0, 0.02)
        sheet.lay(
            outline,
            crop(sheet, turn)._replace(row_spacing=sheet.pixel * rng.uniform(2.5, 8), row_depth=rng.uniform(0, 0.07)),
            FIELD,
        )
    elif use == "wood":
        sheet.lay(outline, _wood(sheet), FOREST)
    elif use == "town":
        tint: Colour = (138 + rng.normal(0, 12), 128 + rng.normal(0, 10), 116 + rng.normal(0, 10))
        look = Look(tint, 150, (92, 100, 66), 0.9, rng.uniform(-0.8, 0.3), 2.5, True, 0.14, 0.1, 0.06, 0.06, sar=-3)
        sheet.lay(outline, look, SETTLEMENT)
    elif use == "works":
        sheet.lay(outline, GRAVEL.varied(rng)._replace(colour=(150, 146, 138), grain=0.12, mottle=0.12), SETTLEMENT)
    elif use == "grove":
        base = (MEADOW, DIRT)[int(rng.integers(2))].varied(rng)
        rows = base._replace(
            other=(76, 92, 52),
            row_depth=rng.uniform(0.1, 0.28),
            row_spacing=sheet.pixel * rng.uniform(2.4, 4),
            row_angle=frame.angle,
        )
        sheet.lay(outline, rows._replace(cross_depth=0.12, cross_spacing=rows.row_spacing), ORCHARD)
    elif use == "solar":
        row = sheet.pixel * rng.uniform(2.6, 4)
        sheet.lay(
            outline,
            Look(
                (72, 82, 100),
                90,
                grain=0.05,
                row_depth=0.3,
                row_spacing=row,
                row_angle=frame.angle,
                cross_depth=-0.1,
                cross_spacing=7 * row,
                row_hard=2,
                sar=-2,
            ),
            SOLAR,
        )
    else:
        look = {"grass": MEADOW, "bare": (DIRT, SAND)[int(rng.integers(2))], "scrub": SCRUB}[use].varied(rng, 0.14)
        sheet.lay(outline, look, BARE if use == "bare" else GRASS)


def _blocks(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Streets and roofs in a town or works: texture, of which only the large halls are things."""
    rng = sheet.rng
    middle = frame.spot((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    if sheet.kind_at(middle.x, middle.y) != SETTLEMENT:
        return
    street = asphalt(sheet)
    step = max(60.0, 9 * sheet.pixel) * rng.uniform(0.8, 1.5)
    lines = [np.array([(a, box[1]), (a, box[3])]) for a in np.arange(box[0] + step / 2, box[2], step)]
    lines += [np.array([(box[0], b), (box[2], b)]) for b in np.arange(box[1] + step / 2, box[3], step * 1.4)]
    for line in lines:
        sheet.line(street, frame.at(line), 8, GRAVEL)
    if rng.random() < 0.35:
        _halls(sheet, frame, box)
    else:
        _roofs(sheet, frame, box)


def _halls(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Large buildings, each a thing, side by side."""
    rng = sheet.rng
    for piece in split(rng, box, (max(70.0, 7 * sheet.pixel)) ** 2, 4 * sheet.pixel):
        spot, long, wide = lengthwise(frame, piece)
        if sheet.sees(spot.x, spot.y, long) and rng.random() < 0.8:
            roof = FLAT_ROOF.tinted(FLAT_COLOURS[int(rng.integers(len(FLAT_COLOURS)))])
            sheet.lay(
                spot.box(long * rng.uniform(0.5, 0.85), wide * rng.uniform(0.45, 0.8)), roof.varied(rng), BUILDING, 9.0
            )


def _roofs(sheet: Sheet, frame: Frame, box: Box) -> None:
    """Small houses too small to tell apart: paint of a few tones, in rows along the streets."""
    rng = sheet.rng
    size = max(11.0, 1.1 * sheet.pixel)
    a = np.arange(box[0] + size, box[2] - 0.5 * size, 1.5 * size)
    b = np.arange(box[1] + size, box[3] - 0.5 * size, 1.9 * size)
    middles = np.stack(np.meshgrid(a, b), -1).reshape(-1, 2)
    middles = middles[rng.random(len(middles)) < 0.8] + rng.normal(0, 0.2 * size, (1, 2))
    if not len(middles):
        return
    tints = [TILE_COLOURS[n] for n in rng.integers(len(TILE_COLOURS), size=2)] + [
        FLAT_COLOURS[int(rng.integers(len(FLAT_COLOURS)))]
    ]
    regions = [sheet.add(FLAT_ROOF.tinted(tint)._replace(drift=0.0), height=6.0) for tint in tints]
    half = 0.5 * size * rng.uniform(0.6, 1.25, (len(middles), 1, 2))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half + middles[:, None]
    chosen = rng.integers(len(regions), size=len(middles))
    for region, outline in zip(chosen.tolist(), frame.at(corners), strict=True):
        sheet.fill(regions[region], outline, paint=True)


def _water(sheet: Sheet, frame: Frame) -> None:
    """A river with its bends, lakes, or the sea to one side."""
    rng = sheet.rng
    look = water_look(sheet)._replace(row_depth=0.02, row_spacing=4 * sheet.pixel)
    kind = rng.random()
    reach = sheet.reach
    if kind < 0.45:
        ends = straight(sheet, frame.spot(0, rng.normal(0, 0.3) * reach, rng.normal(0, 0.5)))
        line = winding(rng, ends[0], ends[1], rng.uniform(0.1, 0.4) * reach, 90)
        width = sheet.pixel * math.exp(rng.uniform(math.log(3), math.log(50)))
        sheet.lay(
            ribbon(line, width * 1.2 + 2 * sheet.pixel), (VERGE, SAND, GRAVEL)[int(rng.integers(3))].varied(rng), BARE
        )
        sheet.lay(ribbon(line, width), look, WATER)
    elif kind < 0.75:
        for _ in range(int(rng.integers(1, 9))):
            place = sheet.anywhere()
            sheet.lay(
                blob(rng, place.x, place.y, rng.uniform(0.04, 0.4) * reach, 0.6, rng.uniform(1, 3)),
                look.varied(rng, 0.06),
                WATER,
            )
    else:
        spot = frame.spot(0, rng.uniform(-0.3, 0.3) * reach)
        shore = winding(rng, np.array([-1.6 * reach, 0.0]), np.array([1.6 * reach, 0.0]), 0.25 * reach, 90)
        corners = np.array([(1.6 * reach, -3 * reach), (-1.6 * reach, -3 * reach)])
        sheet.lay(spot.at(np.concatenate([moved(shore, 0, 1.5 * sheet.pixel), corners])), SAND.varied(rng), BARE)
        sheet.lay(spot.at(np.concatenate([shore, corners])), look, WATER)


def _roads(sheet: Sheet, frame: Frame) -> None:
    """A road or two across."""
    rng = sheet.rng
    look = asphalt(sheet)
    for _ in range(int(rng.integers(0, 3))):
        ends = straight(
            sheet, frame.spot(0, rng.normal(0, 0.5) * sheet.reach, rng.choice([0, math.pi / 2]) + rng.normal(0, 0.2))
        )
        line = winding(rng, ends[0], ends[1], rng.uniform(0, 0.12) * sheet.reach)
        width = max(rng.uniform(8, 28), 1.3 * sheet.pixel)
        sheet.lay(ribbon(line, width), look, ROAD)
