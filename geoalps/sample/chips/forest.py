"""Woods and orchards: crowns as parts of the stand or plot they grow in."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import BARE, FOREST, GRASS, ORCHARD, WATER
from geoalps.sample.chips.layout import central, inset, lengthwise, seen, split
from geoalps.sample.chips.look import DIRT, FLOOR, GRAVEL, LAWN, MEADOW, POND, SCRUB, VERGE, Look
from geoalps.sample.chips.rural import crop, waver
from geoalps.sample.chips.shape import Frame, Points, blob, ribbon, winding
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import along, crowns, flora, inside, scatter
from geoalps.sample.chips.ways import straight, track


def draw_forest(sheet: Sheet) -> None:
    """Stands of different trees, clearings, a track or stream; at fine pixels every crown is a part."""
    rng = sheet.rng
    sheet.base(FLOOR.varied(rng, 0.15), FOREST)
    reach = sheet.reach
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    stands: list[tuple[Points, int]] = [(frame.box(3 * reach, 3 * reach), 0)]
    for _ in range(int(rng.integers(0 if sheet.pixel < 0.6 else 1, 4))):
        place = sheet.anywhere()
        outline = blob(rng, place.x, place.y, rng.uniform(0.3, 0.9) * reach, 0.4, rng.uniform(1, 2))
        if rng.random() < 0.5:
            a, b = frame.local(np.array([place.x, place.y])).tolist()
            outline = frame.quad(a - 0.8 * reach, b, reach, 2 * reach)
        stands.append((outline, sheet.lay(outline, FLOOR.varied(rng, 0.2), FOREST)))
    open_ground = [_glade(sheet) for _ in range(int(rng.integers(0, 3)))]
    waver(sheet, rng.uniform(0.5, 2))
    way = _way(sheet, frame)
    _plant(sheet, stands, open_ground, way)


def _glade(sheet: Sheet) -> Points:
    """A clearing: grass, scrub, felled ground or water."""
    rng = sheet.rng
    place = sheet.anywhere()
    outline = blob(rng, place.x, place.y, rng.uniform(0.12, 0.5) * sheet.reach, 0.4, rng.uniform(1, 2.5))
    kind = int(rng.choice(4, p=[0.45, 0.25, 0.2, 0.1]))
    sheet.lay(outline, (MEADOW, SCRUB, DIRT, POND)[kind].varied(rng, 0.12), (GRASS, GRASS, BARE, WATER)[kind])
    return outline


def _way(sheet: Sheet, frame: Frame) -> Points:
    """A track, a stream or nothing; returns the band to keep free, perhaps empty."""
    rng = sheet.rng
    kind = rng.random()
    if kind < 0.4:
        return np.zeros((0, 2))
    ends = straight(sheet, frame.spot(0, rng.normal(0, 0.4) * sheet.reach, rng.normal(0, 0.5)))
    line = winding(rng, ends[0], ends[1], rng.uniform(3, 0.15 * sheet.reach + 4))
    width = rng.uniform(2.5, 5)
    if kind < 0.85:
        track(sheet, line, width, GRAVEL if rng.random() < 0.5 else DIRT)
    else:
        sheet.lay(ribbon(line, width * 2.2), VERGE.varied(rng), GRASS)
        sheet.lay(ribbon(line, width), POND.varied(rng, 0.2), WATER)
    return ribbon(line, width + 1.5)


def _plant(sheet: Sheet, stands: list[tuple[Points, int]], free: list[Points], way: Points) -> None:
    """Crowns of every stand, each of its own kind and density."""
    rng = sheet.rng
    fine = sheet.pixel < 0.8
    size = max(rng.uniform(1.7, 4.2), 1.5 * sheet.pixel)
    places = scatter(rng, sheet.span, 1.55 * size)
    if len(places) > 1500:
        places = places[rng.choice(len(places), 1500, replace=False)]
    home = np.zeros(len(places), int)
    for n, (outline, _) in enumerate(stands[1:], 1):
        home[inside(outline, places)] = n
    keep = np.ones(len(places), bool)
    for outline in (*free, way):
        if len(outline):
            keep &= ~inside(outline, places) | (rng.random(len(places)) < 0.04)
    gaps = rng.choice([0.02, 0.15, 0.5], size=len(stands), p=[0.5, 0.3, 0.2])
    keep &= rng.random(len(places)) > gaps[home]
    for n, (_, whole) in enumerate(stands):
        chosen = places[keep & (home == n)]
        radius = size * rng.lognormal(0, 0.25, len(chosen))
        owner = None if fine and gaps[n] >= 0.3 else whole
        crowns(sheet, chosen, radius, flora(rng), owner, rng.uniform(1.6, 3.0))
    _dead_wood(sheet)


def _dead_wood(sheet: Sheet) -> None:
    """Fallen trunks, seen at fine pixels."""
    rng = sheet.rng
    if sheet.pixel > 0.25 or rng.random() < 0.6:
        return
    wood = Look((186, 178, 168), 170, grain=0.06)
    for _ in range(int(rng.integers(3, 20))):
        place = sheet.anywhere()
        length = rng.uniform(3, 12)
        sheet.line(wood, place.at(np.array([(0.0, 0.0), (length, 0.0)])), rng.uniform(0.15, 0.4), FLOOR, 0.5)


def draw_orchard(sheet: Sheet) -> None:
    """Plots of trees or vines in rows, with grass or earth between; crowns and rows are parts of the plot."""
    rng = sheet.rng
    sheet.base(VERGE.varied(rng), GRASS)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    far = 1.3 * sheet.reach
    area = max(math.exp(rng.uniform(math.log(1500), math.log(30000))), (40 * sheet.pixel) ** 2)
    boxes = [box for box in split(rng, (-far, -far, far, far), area, 15) if seen(sheet, frame, box)]
    gap = rng.uniform(1, 4)
    styles = [_style(sheet) for _ in range(2)]
    for box in boxes:
        if central(box) or rng.random() < 0.85:
            _plot(sheet, frame, inset(box, gap), styles[int(rng.integers(2))])
        else:
            spot, long, wide = lengthwise(frame, inset(box, gap))
            sheet.lay(spot.box(long, wide), crop(sheet, spot.angle), GRASS)
    if rng.random() < 0.5:
        track(
            sheet,
            straight(sheet, frame.spot(rng.normal(0, 0.3) * sheet.reach, boxes[len(boxes) // 2][1])),
            rng.uniform(2.5, 4),
        )


def _style(sheet: Sheet) -> tuple[float, float, float, bool]:
    """Metres between rows and between trees, crown radius, and whether it is vines."""
    rng = sheet.rng
    if rng.random() < 0.3:
        return rng.uniform(1.8, 3.2), 1.0, rng.uniform(0.35, 0.7), True
    radius = rng.uniform(0.9, 3.6)
    row = radius * rng.uniform(2.3, 3.6)
    return row, min(row, radius * rng.uniform(1.6, 3.0)), radius, False


def _plot(
    sheet: Sheet, frame: Frame, box: tuple[float, float, float, float], style: tuple[float, float, float, bool]
) -> None:
    """One plot."""
    rng = sheet.rng
    spot, long, wide = lengthwise(frame, box)
    row, space, radius, vines = style
    ground = (LAWN, DIRT, MEADOW)[int(rng.integers(3))].varied(rng, 0.12)
    ground = ground._replace(row_depth=rng.uniform(0, 0.12), row_spacing=row, row_angle=spot.angle + math.pi / 2)
    whole = sheet.lay(spot.box(long, wide), ground, ORCHARD)
    scale = max(1.0, 2.2 * sheet.pixel / row, math.sqrt(long * wide / (row * space) / 900))
    row, space, radius = row * scale, space * scale, radius * scale
    colours = flora(rng)
    lines = np.arange(-wide / 2 + row / 2, wide / 2, row)
    if vines:
        look = Look(
            colours[0],
            190,
            grain=0.12,
            mottle=0.16,
            patch=0.08,
            row_depth=0.08,
            row_spacing=1.2,
            row_angle=spot.angle,
            sar=-8,
        )
        for b in lines[:120]:
            a0, a1 = -long / 2 + rng.uniform(0.5, 2), long / 2 - rng.uniform(0.5, 2)
            sheet.fill(
                sheet.add(look.varied(rng, 0.05), whole, sheet.part(), 1.4), spot.quad(a0, b - radius, a1, b + radius)
            )
        return
    missing = rng.choice([0.02, 0.1, 0.25])
    rows = [
        along(spot.at(np.array([(-long / 2 + 1, b), (long / 2 - 1, b)])), space, rng, 0.04 * space, missing)
        for b in lines
    ]
    if rows:
        places = np.concatenate(rows)
        crowns(sheet, places, radius * rng.lognormal(0, 0.12, len(places)), colours, whole, 1.3)
