"""Solar parks: tables of modules in rows, each table a thing with its modules as texture."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import BUILDING, GRASS, ROAD, SOLAR
from geoalps.sample.chips.layout import central, inset, lengthwise, seen, split
from geoalps.sample.chips.look import DIRT, GRAVEL, LAWN, MEADOW, METAL, PANEL, Look
from geoalps.sample.chips.rural import crop, waver
from geoalps.sample.chips.shape import Frame, rough
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import along, crowns, flora


def draw_solar(sheet: Sheet) -> None:
    """Blocks of tables on grass or earth, service tracks between them, a station, a fence, fields around."""
    rng = sheet.rng
    ground = (MEADOW, LAWN, DIRT, GRAVEL)[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))].varied(rng, 0.12)
    sheet.base(ground, GRASS)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    far = 1.3 * sheet.reach
    boxes = [
        b
        for b in split(rng, (-far, -far, far, far), max(rng.uniform(2500, 25000), (50 * sheet.pixel) ** 2), 25)
        if seen(sheet, frame, b)
    ]
    blocks = [central(box) or rng.random() < 0.8 for box in boxes]
    for box, solar in zip(boxes, blocks, strict=True):
        if not solar:
            spot, long, wide = lengthwise(frame, inset(box, 1))
            sheet.lay(rough(rng, spot.box(long, wide), 0.4, 10), crop(sheet, spot.angle), GRASS)
    waver(sheet, 0.5)
    design = _design(sheet)
    for box, solar in zip(boxes, blocks, strict=True):
        if solar:
            _block(sheet, frame, inset(box, rng.uniform(2, 5)), design)
        if rng.random() < 0.6:
            edge = frame.quad(box[0], box[1] - 1.6, box[2], box[1] + 1.6)
            sheet.lay(edge, (GRAVEL if rng.random() < 0.6 else DIRT).varied(rng), ROAD)
    if rng.random() < 0.5:
        station = frame.spot(boxes[0][2] - 3, boxes[0][3] - 1)
        sheet.lay(station.box(6, 3), METAL.varied(rng), BUILDING, 3.0)
    if rng.random() < 0.4:
        line = frame.at(np.array([(boxes[-1][0], boxes[-1][1]), (boxes[-1][0], boxes[-1][3])]))
        places = along(line, 3, rng, 0.8, 0.3)
        crowns(sheet, places, rng.uniform(1, 3, len(places)), flora(rng))


def _design(sheet: Sheet) -> tuple[Look, float, float, float]:
    """Surface of the modules, depth of a table, distance from row to row, length of a table (metres)."""
    rng = sheet.rng
    hue = ((40, 50, 78), (34, 38, 52), (54, 68, 104), (48, 52, 60))[int(rng.integers(4))]
    deep = float(rng.choice([2.2, 3.4, 4.4, 6.8]))
    look = PANEL._replace(colour=hue, row_spacing=1.05, cross_spacing=deep / round(deep / 1.15)).varied(rng, 0.1)
    return look, deep, deep * rng.uniform(1.35, 2.6), float(rng.choice([12, 22, 40, 90]))


def _block(
    sheet: Sheet, frame: Frame, box: tuple[float, float, float, float], design: tuple[Look, float, float, float]
) -> None:
    """Rows of tables in a box."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    look, deep, row, table = design
    if row < 2.5 * sheet.pixel:  # too fine to tell tables apart: a row of them becomes a band
        row, deep, table = 3.2 * sheet.pixel, 1.8 * sheet.pixel, long
    tilt = math.tan(math.radians(rng.uniform(10, 30)))
    slope = (math.sin(spot.angle) * tilt, -math.cos(spot.angle) * tilt)
    count = max(1, round(long / table))
    size = long / count
    rail = METAL._replace(colour=(176, 178, 180), row_depth=0.0)
    for b in np.arange(-wide / 2 + deep / 2, wide / 2 - deep / 2, row):
        for n in range(count):
            place = spot.spot((n + 0.5) * size - long / 2, b)
            if not sheet.sees(place.x, place.y, size) or rng.random() < 0.015:
                continue
            half = size / 2 - min(0.5, 0.02 * size)
            panel = look.varied(rng, 0.03).turned(spot.angle)
            region = sheet.add(panel, sheet.whole(SOLAR), 0, 1.8, slope, (place.x, place.y))
            sheet.fill(region, place.quad(-half, -deep / 2, half, deep / 2))
            if deep > 3 and sheet.pixel < 0.3:
                sheet.line(rail, place.at(np.array([(-half, 0.0), (half, 0.0)])), 0.12, look, 1.9)
