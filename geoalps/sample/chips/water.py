"""Water: rivers, lakes, the sea, with shores, islands, bridges, ships, foam."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import BARE, GRASS, PAVEMENT, ROAD, ROCK, STRUCTURE, WATER
from geoalps.sample.chips.look import CONCRETE, GRAVEL, LAWN, MEADOW, POND, SAND, SCRUB, VERGE, Look
from geoalps.sample.chips.look import ROCK as STONE
from geoalps.sample.chips.look import WATER as WATER_LOOK
from geoalps.sample.chips.rural import waver
from geoalps.sample.chips.shape import Frame, Points, blob, moved, ribbon, rough, winding
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.ships import FOAM, fleet_on, ship
from geoalps.sample.chips.trees import crowns, flora, grove, inside
from geoalps.sample.chips.vehicles import traffic
from geoalps.sample.chips.ways import asphalt, lane_marks, straight


def water_look(sheet: Sheet) -> Look:
    """Clear to muddy, dark to bright, calm to choppy."""
    rng = sheet.rng
    hues = ((44, 66, 74), (58, 82, 78), (92, 96, 76), (34, 48, 50), (70, 108, 112), (116, 108, 84), (30, 56, 82))
    base = (WATER_LOOK if rng.random() < 0.75 else POND)._replace(colour=hues[int(rng.integers(len(hues)))])
    other = (base.colour[0] * 1.25, base.colour[1] * 1.2, base.colour[2] * 1.1)
    return base._replace(
        other=other,
        mix=rng.uniform(0.1, 0.9),
        streak=rng.uniform(0.005, 0.09),
        streak_width=rng.uniform(0.6, 5),
        streak_ratio=rng.uniform(1.5, 5),
        row_angle=rng.uniform(0, 3.14),
        drift=rng.uniform(0.02, 0.15),
        mottle=rng.uniform(0.0, 0.03),
        patch=rng.uniform(0, 0.04),
        grain=rng.uniform(0.005, 0.04),
    ).varied(rng, 0.15)


def draw_water(sheet: Sheet) -> None:
    """A shore, a river, a lake, or open water."""
    rng = sheet.rng
    kind = rng.choice(4, p=[0.3, 0.3, 0.22, 0.18])
    (_coast, _river, _lake, _open)[kind](sheet)


def _land(sheet: Sheet) -> tuple[Look, int]:
    """What lies behind a shore."""
    rng = sheet.rng
    looks = ((LAWN, GRASS), (MEADOW, GRASS), (SCRUB, GRASS), (SAND, BARE), (VERGE, GRASS))
    look, kind = looks[int(rng.integers(len(looks)))]
    return look.varied(rng, 0.15), kind


def _coast(sheet: Sheet) -> None:
    """Sea, shallows, beach with foam, land with trees, perhaps a road and rocks."""
    rng = sheet.rng
    sheet.base(water_look(sheet), WATER)
    reach = sheet.reach
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi)).spot(0, rng.uniform(-0.4, 0.4) * reach)
    ends = np.array([(-1.5 * reach, 0.0), (1.5 * reach, 0.0)])
    shore = winding(rng, ends[0], ends[1], rng.uniform(0.03, 0.25) * reach, 70)
    corners = np.array([(1.5 * reach, 3 * reach), (-1.5 * reach, 3 * reach)])
    base = sheet.looks[0]
    shallow = base._replace(colour=(base.colour[0] * 1.25, base.colour[1] * 1.25, base.colour[2] * 1.15))
    deep = rng.uniform(0.05, 0.2) * reach
    sheet.mark(shallow, [frame.at(np.concatenate([moved(shore, 0, -deep), corners]))])
    beach = (SAND, GRAVEL, STONE)[int(rng.choice(3, p=[0.6, 0.25, 0.15]))].varied(rng, 0.12)
    sheet.lay(frame.at(np.concatenate([shore, corners])), beach, BARE)
    wet = beach._replace(colour=(beach.colour[0] * 0.78, beach.colour[1] * 0.76, beach.colour[2] * 0.74))
    sheet.mark(wet, [frame.at(np.concatenate([shore, moved(shore[::-1], 0, 0.02 * reach)]))])
    look, kind = _land(sheet)
    inland = moved(shore, 0, rng.uniform(0.03, 0.3) * reach)
    sheet.lay(frame.at(np.concatenate([inland, corners])), look, kind)
    waver(sheet, rng.uniform(0.5, 2.5))
    for n in range(int(rng.integers(0, 4))):
        line = shore[:, :] + np.stack(
            [np.zeros(70), -(0.01 + 0.03 * n) * reach + 0.01 * reach * rng.standard_normal(70)], -1
        )
        for start in range(0, 66, 6):
            if rng.random() < 0.65:
                sheet.line(FOAM, frame.at(line[start : start + int(rng.integers(3, 8))]), rng.uniform(0.4, 2.0), base)
    _grow(sheet, frame.at(np.concatenate([moved(inland, 0, 3), corners])))
    if rng.random() < 0.4:
        _road(sheet, frame.at(moved(inland, 0, rng.uniform(6, 12))))
    _rocks(sheet, frame, shore)
    fleet_on(sheet, int(rng.integers(0, 3)), 30.0)


def _grow(sheet: Sheet, outline: Points) -> None:
    """Trees in loose groups within an outline."""
    rng = sheet.rng
    for _ in range(int(rng.integers(0, 3))):
        place = sheet.anywhere()
        if inside(outline, np.array([[place.x, place.y]]))[0] and sheet.kind_at(place.x, place.y) == GRASS:
            grove(sheet, blob(rng, place.x, place.y, rng.uniform(0.08, 0.25) * sheet.reach, 0.4, 1.6))
    count = int(rng.integers(0, 160))
    middles = rng.uniform(0, 1, (max(1, count // 8), 2)) * sheet.span
    places = middles[rng.integers(len(middles), size=count)] + rng.normal(0, 7 + 4 * sheet.pixel, (count, 2))
    places = places[inside(outline, places)]
    crowns(sheet, places, rng.uniform(1.2, 5, len(places)), flora(rng))


def _road(sheet: Sheet, line: Points) -> None:
    """A road along a shore."""
    look = asphalt(sheet)
    sheet.lay(ribbon(line, 9), VERGE.varied(sheet.rng), GRASS)
    sheet.lay(ribbon(line, 6.5), look, ROAD)
    lane_marks(sheet, line, 6.5, look)


def _rocks(sheet: Sheet, frame: Frame, shore: Points) -> None:
    """Rocks at the water's edge, each a thing."""
    rng = sheet.rng
    if rng.random() < 0.55:
        return
    look = STONE.varied(rng, 0.12)
    for x, y in shore[rng.integers(len(shore), size=int(rng.integers(5, 50)))] + rng.normal(0, 3, 2):
        spot = frame.spot(float(x), float(y) + rng.normal(0, 3))
        radius = rng.lognormal(0.2, 0.5)
        if radius > sheet.pixel and sheet.sees(spot.x, spot.y, radius):
            region = sheet.add(
                look.varied(rng), sheet.whole(ROCK), origin=(spot.x, spot.y), dome=(radius, 0.7 * radius), lump=0.12
            )
            sheet.fill(region, blob(rng, spot.x, spot.y, radius, 0.35))


def _river(sheet: Sheet) -> None:
    """A river between banks, perhaps with islands, a bridge, a weir or barges."""
    rng = sheet.rng
    look, kind = _land(sheet)
    sheet.base(look, kind)
    reach = sheet.reach
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi)).spot(0, rng.normal(0, 0.2) * reach)
    ends = straight(sheet, frame)
    line = winding(rng, ends[0], ends[1], rng.uniform(0.02, 0.25) * reach, 70)
    width = rng.uniform(0.15, 0.8) * reach
    bank = (GRAVEL, VERGE, SAND, STONE)[int(rng.integers(4))].varied(rng, 0.1)
    sheet.lay(ribbon(line, width * rng.uniform(1.06, 1.3)), bank, BARE if bank.nir < 0 or bank.nir > 160 else GRASS)
    sheet.lay(ribbon(line, width), water_look(sheet), WATER)
    for _ in range(int(rng.integers(0, 3))):
        x, y = line[int(rng.integers(20, 50))] + rng.normal(0, 0.15 * width, 2)
        island = blob(rng, x, y, rng.uniform(0.06, 0.2) * width, 0.3, 2.5)
        sheet.lay(island, (SAND, GRAVEL, SCRUB)[int(rng.integers(3))].varied(rng, 0.1), BARE)
    waver(sheet, rng.uniform(0.3, 2.0))
    for side in (-1, 1):
        edge = frame.quad(-2 * reach, side * 0.56 * width, 2 * reach, side * 3 * reach)
        _grow(sheet, edge)
    if rng.random() < 0.5:
        x, y = (line[35] + rng.normal(0, 0.3 * reach, 2)).tolist()
        _bridge(sheet, Frame(x, y, frame.angle + math.pi / 2 + rng.normal(0, 0.3)), width)
    if width > 30 and rng.random() < 0.5:
        x, y = line[int(rng.integers(25, 45))].tolist()
        spot = Frame(x, y, frame.angle)
        ship(
            sheet,
            spot.spot(0, rng.normal(0, 0.15) * width, math.pi * rng.integers(2)),
            min(110.0, width * rng.uniform(0.4, 1.0)),
            rng.random() < 0.6,
        )


def _bridge(sheet: Sheet, place: Frame, width: float) -> None:
    """A road over the water; its deck throws a shadow."""
    rng = sheet.rng
    wide, far = rng.uniform(8, 24), 2 * sheet.reach
    look = asphalt(sheet)
    sheet.lay(place.quad(-far, -wide / 2 + 1, far, wide / 2 - 1), look, ROAD)
    deck = sheet.whole(ROAD)
    high = rng.uniform(4, 10)
    half = 0.62 * width
    sheet.fill(
        sheet.add(CONCRETE.varied(rng), deck, sheet.part(), high + 1), place.quad(-half, -wide / 2, half, wide / 2)
    )
    sheet.fill(sheet.add(look, deck, sheet.part(), high), place.quad(-half, -wide / 2 + 1, half, wide / 2 - 1))
    lane_marks(sheet, straight(sheet, place), wide - 2, look)
    traffic(sheet, place, 2 * sheet.reach, tuple(s * (wide / 4) for s in (-1, 1)), 0.3)


def _lake(sheet: Sheet) -> None:
    """A lake or ponds in open land, with reeds and paths."""
    rng = sheet.rng
    look, kind = _land(sheet)
    sheet.base(look, kind)
    for _ in range(1 if rng.random() < 0.6 else 4):
        place = sheet.anywhere()
        radius = rng.uniform(0.15, 0.7) * sheet.reach
        shore = blob(rng, place.x, place.y, radius, rng.uniform(0.1, 0.5), rng.uniform(1, 2))
        if rng.random() < 0.3:
            shore = rough(rng, place.box(1.6 * radius, radius), 0.3, 10)
        middle = np.array([place.x, place.y])
        sheet.lay(
            middle + (shore - middle) * rng.uniform(1.03, 1.2),
            (VERGE, SAND, DRY)[int(rng.integers(3))].varied(rng),
            GRASS,
        )
        sheet.lay(shore, water_look(sheet), WATER)
    waver(sheet, rng.uniform(0.4, 2))
    middles = rng.uniform(0, 1, (int(rng.integers(0, 90)), 2)) * sheet.span
    crowns(sheet, middles, rng.uniform(1.2, 5, len(middles)), flora(rng))
    if rng.random() < 0.5:
        spot = sheet.anywhere()
        sheet.lay(spot.box(rng.uniform(10, 30), 2.2), CONCRETE._replace(colour=(150, 136, 116)), STRUCTURE, 1.0)


DRY = Look((132, 122, 88), 150, (156, 142, 108), 0.8, 0.0, 1.2, True, grain=0.1, mottle=0.12, patch=0.1, sar=-9)


def _open(sheet: Sheet) -> None:
    """Open water with ships or boats, perhaps fish cages, a breakwater, glint."""
    rng = sheet.rng
    look = water_look(sheet)
    sheet.base(look._replace(streak=max(look.streak, 0.03)), WATER)
    if rng.random() < 0.3:
        frame = sheet.anywhere()
        for n in range(int(rng.integers(3, 14))):
            x, y, _ = frame.spot((n // 2) * 26, (n % 2) * 26)
            ring = blob(rng, x, y, 10, 0.02)
            whole = sheet.whole(STRUCTURE)
            sheet.fill(sheet.add(Look((50, 54, 54), 50, grain=0.06, row_depth=0.1, row_spacing=1.0), whole), ring)
            sheet.line(Look((196, 196, 192)), np.concatenate([ring, ring[:1]]), 0.8, sheet.looks[0], 1.0)
    if rng.random() < 0.3:
        ends = straight(sheet, sheet.anywhere())
        line = winding(rng, ends[0], ends[1], 12, 60)
        sheet.lay(rough(rng, ribbon(line, rng.uniform(6, 14)), 0.8, 3), STONE.varied(rng), PAVEMENT, 2.0)
    fleet_on(sheet, int(rng.integers(1, 9)), min(250.0, 0.8 * sheet.reach))
    glint = FOAM._replace(colour=(150, 160, 162))
    for x, y in rng.uniform(0, 1, (int(rng.integers(5, 60)), 2)) * sheet.span:
        sheet.line(
            glint,
            Frame(x, y, rng.normal(0, 0.3)).at(np.array([(0.0, 0.0), (4 + 2 * sheet.pixel, 0.3)])),
            rng.uniform(0.2, 1),
            sheet.looks[0],
        )
