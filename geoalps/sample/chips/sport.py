"""Sports grounds and parks."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import compound, hall, house
from geoalps.sample.chips.kinds import GRASS, PAVEMENT, POOL, ROAD
from geoalps.sample.chips.layout import Box, cells, central, inset, lengthwise, pick
from geoalps.sample.chips.look import CONCRETE, GRAVEL, LAWN, MEADOW, PAVING
from geoalps.sample.chips.look import POOL as POOL_LOOK
from geoalps.sample.chips.parking import park
from geoalps.sample.chips.pitches import baseball, courts, football, stadium
from geoalps.sample.chips.shape import Frame, bent, blob, ribbon
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import crowns, flora, grove
from geoalps.sample.chips.ways import asphalt


def draw_sport(sheet: Sheet) -> None:
    """One large ground near the middle, others around it, with paths, trees and car parks."""
    rng = sheet.rng
    sheet.base((LAWN if rng.random() < 0.6 else MEADOW).varied(rng, 0.14)._replace(mix=rng.uniform(0.3, 1)), GRASS)
    small = max(sheet.span) < 110
    main = pick(rng, track=1.0 if not small else 0.4, ball=1.2, football=1, courts=1.6, pool=0.35)
    size = {"track": (190, 125), "ball": (110, 110), "football": (116, 80), "courts": (84, 60), "pool": (70, 50)}[main]
    frame, boxes, _, _ = cells(sheet, size[0], size[1], rng.uniform(6, 16))
    _paths(sheet, frame)
    for box in boxes:
        kind = (
            main
            if central(box) or rng.random() < 0.35
            else pick(rng, track=0.5, ball=1, football=1.5, courts=2, pool=0.4, wood=2.0, park=0.8, hall=0.6)
        )
        _ground(sheet, frame, inset(box, 1), kind)
    trees = flora(rng)
    for box in boxes:
        if rng.random() < 0.5:
            a = np.arange(box[0], box[2], rng.uniform(5, 11))
            places = frame.at(np.stack([a, np.full(len(a), box[1] - 2) + rng.normal(0, 0.8, len(a))], -1))
            crowns(sheet, places, rng.uniform(1.4, 4.5, len(a)), trees)


def _ground(sheet: Sheet, frame: Frame, box: Box, kind: str) -> None:
    """Fill a box with what fits into it."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    spot = spot.spot(0, 0, math.pi * rng.integers(2))
    if kind == "track" and long > 170 and wide > 100:
        stadium(sheet, spot, rng.random() < 0.6)
    elif kind == "ball" and wide > 55:
        baseball(sheet, spot.spot(-0.4 * wide, 0, 0), min(110.0, wide * rng.uniform(0.7, 0.95)))
    elif kind in ("football", "track") and wide > 45 and long > 70:
        football(sheet, spot, min(108.0, 0.93 * long), min(70.0, 0.9 * wide))
    elif kind == "pool" and wide > 30:
        _pools(sheet, spot)
    elif kind == "wood":
        _wood(sheet, spot, long, wide)
    elif kind == "park":
        park(sheet, spot, 0.9 * long, min(36.0, 0.8 * wide))
    elif kind == "hall" and wide > 25:
        (compound if rng.random() < 0.6 else hall)(sheet, spot, 0.7 * long, 0.6 * wide)
    else:
        game = "tennis" if rng.random() < 0.65 else "basketball"
        step = (38, 18) if game == "tennis" else (34, 20.5)
        columns, rows = int(long // step[0]), int(wide // step[1])
        if columns and rows:
            courts(sheet, spot, game, min(columns, int(rng.integers(1, 3))), min(rows, int(rng.integers(1, 5))))
    if rng.random() < 0.3:
        house(sheet, spot.spot(0.42 * long, 0.46 * wide), rng.uniform(6, 16), rng.uniform(5, 8))


def _pools(sheet: Sheet, spot: Frame) -> None:
    """Swimming pools in a paved ground."""
    rng = sheet.rng
    sheet.lay(spot.box(62, 34), PAVING.varied(rng)._replace(colour=(188, 180, 166)), PAVEMENT)
    lanes = POOL_LOOK._replace(
        row_depth=-0.1, row_spacing=2.5, row_hard=-5, row_angle=spot.angle + math.pi / 2, mix=0.3
    )
    sheet.lay(spot.spot(-8, -3).box(25, 12.5), lanes, POOL)
    x, y, _ = spot.spot(18, 4)
    sheet.lay(blob(rng, x, y, 6.5, 0.5), POOL_LOOK.varied(rng), POOL)


def _wood(sheet: Sheet, spot: Frame, long: float, wide: float) -> None:
    """A grove, or trees in loose groups."""
    rng = sheet.rng
    if rng.random() < 0.6:
        grove(sheet, blob(rng, spot.x, spot.y, 0.5 * wide, 0.35, long / wide))
    count = int(long * wide / rng.uniform(80, 300))
    places = spot.at(rng.uniform(-0.5, 0.5, (count, 2)) * (long, wide))
    crowns(sheet, places, rng.uniform(1.5, 5.5, count), flora(rng))


def _paths(sheet: Sheet, frame: Frame) -> None:
    """Bent paths that cross the chip between the grounds."""
    rng = sheet.rng
    look = (GRAVEL, CONCRETE, asphalt(sheet))[int(rng.integers(3))].varied(rng)
    for _ in range(int(rng.integers(1, 3))):
        b = rng.uniform(-0.8, 0.8) * sheet.reach
        line = bent(
            np.array([-1.3 * sheet.reach, b]),
            np.array([1.3 * sheet.reach, b + rng.normal(0, 20)]),
            rng.normal(0, 0.08),
            30,
        )
        sheet.lay(frame.at(ribbon(line, rng.uniform(2, 4))), look, ROAD)
