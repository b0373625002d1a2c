"""Open country: fields, farms, lanes, hedges, ponds."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.buildings import hall, house
from geoalps.sample.chips.industry import greenhouses
from geoalps.sample.chips.kinds import BARE, FIELD, GRASS, WATER
from geoalps.sample.chips.layout import Box, inset, lengthwise, seen, split
from geoalps.sample.chips.look import DIRT, LAWN, MEADOW, POND, VERGE, Colour, Look
from geoalps.sample.chips.noises import noise, octave_of
from geoalps.sample.chips.shape import Frame, bent, blob, rough, winding
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.trees import along, crowns, flora, grove
from geoalps.sample.chips.vehicles import car, lorry, traffic
from geoalps.sample.chips.ways import asphalt, highway, road, straight, track

CROPS: tuple[tuple[Colour, float, Colour, float, float], ...] = (
    ((176, 158, 112), 170, (150, 140, 96), 0.07, 3.0), ((150, 146, 92), 175, (116, 128, 76), 0.08, 2.5),
    ((94, 110, 62), 195, (120, 104, 76), 0.16, 0.75), ((76, 98, 56), 215, (92, 108, 62), 0.10, 0.75),
    ((122, 100, 78), 120, (142, 118, 92), 0.13, 1.2), ((148, 126, 100), 145, (122, 104, 84), 0.09, 2.8),
    ((112, 126, 72), 205, (136, 134, 88), 0.06, 4.5), ((104, 116, 68), 200, (132, 126, 84), 0.0, 3.0),
    ((162, 152, 82), 190, (136, 138, 74), 0.05, 2.0), ((188, 172, 130), 175, (164, 146, 108), 0.11, 5.0),
    ((96, 84, 68), 100, (116, 100, 80), 0.10, 0.75), ((86, 122, 66), 225, (100, 128, 72), 0.05, 3.0),
)  # fmt: skip
"""Colour, near infrared, second colour, depth and spacing of rows."""


def crop(sheet: Sheet, angle: float) -> Look:
    """The surface of one field with rows across a direction."""
    rng = sheet.rng
    colour, nir, other, depth, space = CROPS[int(rng.integers(len(CROPS)))]
    spacing = space * rng.uniform(0.8, 1.4) * (1 if sheet.pixel < 0.6 else rng.choice([1, 4, 8]))
    return Look(
        colour,
        nir,
        other,
        mix=rng.uniform(0.2, 1.0),
        spread=rng.uniform(-1, 0.3),
        edge=rng.uniform(0.4, 1.6),
        small=rng.random() < 0.3,
        grain=rng.uniform(0.03, 0.09),
        mottle=rng.uniform(0.03, 0.08),
        patch=rng.uniform(0.03, 0.1),
        drift=rng.uniform(0.03, 0.12),
        row_depth=depth * rng.uniform(0.4, 1.5),
        row_spacing=spacing,
        row_angle=angle,
        row_hard=float(rng.choice([1, 2, -4])),
        wobble=rng.uniform(0, 0.12),
        cross_depth=-0.07 if rng.random() < 0.5 else 0.0,
        cross_spacing=rng.uniform(15, 30),
        streak=rng.uniform(0.0, 0.09),
        streak_width=rng.uniform(1, 4),
        streak_ratio=rng.uniform(0.3, 1.0),
        sar=rng.uniform(-14, -7),
    ).varied(rng, 0.1)


def waver(sheet: Sheet, metres: float) -> None:
    """Let the borders drawn so far waver by about some metres."""
    shape = (sheet.shape[0] + 16, sheet.shape[1] + 16)
    octave = octave_of(max(6 * metres, 5 * sheet.pixel), sheet.pixel)
    down, aside = (np.float32(metres / sheet.pixel) * noise(sheet.rng, shape, octave) for _ in range(2))
    sheet.settle((down, aside))


def draw_rural(sheet: Sheet) -> None:
    """Fields between strips of grass, a road or lane, perhaps a farm, a pond, hedges."""
    rng = sheet.rng
    sheet.base(VERGE.varied(rng, 0.1), GRASS)
    frame = Frame(*sheet.centre, rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.4:
        sheet.bend(rng.uniform(0.02, 0.1) * (length := rng.uniform(0.8, 2.5) * sheet.reach), length)
    far = 1.3 * sheet.reach
    gap = rng.uniform(0.2, 2.5)
    area = np.exp(rng.uniform(math.log(900), math.log(40000))) if sheet.pixel < 1 else rng.uniform(8000, 90000)
    boxes = [
        b for b in split(rng, (-far, -far, far, far), max(area, (20 * sheet.pixel) ** 2), 12) if seen(sheet, frame, b)
    ]
    skew = rng.normal(0, 0.03)
    for box in boxes:
        _field(sheet, frame, inset(box, gap), skew)
    waver(sheet, rng.uniform(0.2, 1.2))
    _details(sheet, frame, boxes)
    for box in boxes:
        if rng.random() < 0.1:
            spot, long, wide = lengthwise(frame, box)
            edge = (
                spot.box(long, wide) if rng.random() < 0.5 else blob(rng, spot.x, spot.y, 0.4 * wide, 0.3, long / wide)
            )
            grove(sheet, rough(rng, edge, 1.0, 8))
    trees = flora(rng)
    for box in boxes:
        if rng.random() < 0.3:
            hedge(sheet, frame, box, trees)
    if sheet.pixel > 0.25 and rng.random() < 0.15:
        ends = straight(sheet, frame.spot(0, rng.normal(0, 0.3) * sheet.reach, rng.normal(0, 0.5)))
        highway(sheet, bent(ends[0], ends[1], rng.normal(0, 0.06)))
    elif rng.random() < 0.75:
        _road(
            sheet,
            frame.spot(
                rng.normal(0, 0.4) * sheet.reach, rng.normal(0, 0.4) * sheet.reach, rng.choice([0, math.pi / 2, 0.4])
            ),
        )
    count = int(rng.integers(0, 14))
    crowns(sheet, rng.uniform(0, 1, (count, 2)) * sheet.span, rng.uniform(1.5, 5.5, count), trees)


def _field(sheet: Sheet, frame: Frame, box: Box, skew: float) -> None:
    """One field; some are meadows with trodden ground and animals."""
    rng = sheet.rng
    if min(box[2] - box[0], box[3] - box[1]) < 4:
        return
    spot, long, wide = lengthwise(frame, box)
    outline = rough(rng, frame.quad(*box) + rng.normal(0, 0.6, (4, 2)), 0.2, 12)
    look = crop(sheet, spot.angle + math.pi / 2 + skew) if rng.random() < 0.85 else MEADOW.varied(rng, 0.12)
    sheet.lay(outline, look, FIELD)
    if rng.random() < 0.3 and wide > 20:
        # A strip of another state of the same crop, low in contrast.
        share = rng.uniform(0.2, 0.8)
        sheet.lay(spot.quad(-long / 2, -wide / 2, long / 2, (share - 0.5) * wide), look.varied(rng, 0.07), FIELD)


def _details(sheet: Sheet, frame: Frame, boxes: list[Box]) -> None:
    """A farm, greenhouses, a pond, bales."""
    rng = sheet.rng
    if rng.random() < 0.55:
        box = boxes[int(rng.integers(len(boxes)))]
        spot, long, wide = lengthwise(frame, box)
        if rng.random() < 0.8:
            farm(sheet, spot)
        else:
            greenhouses(sheet, spot, min(long, 110.0), min(wide, 70.0))
    if rng.random() < 0.25:
        place = sheet.anywhere()
        radius = rng.uniform(4, 0.15 * sheet.reach + 5)
        bank = blob(rng, place.x, place.y, radius, 0.3, rng.uniform(1, 2))
        sheet.lay(bank, VERGE.varied(rng), GRASS)
        middle = np.array([place.x, place.y])
        sheet.lay(middle + (bank - middle) * (1 - 1.5 / radius), POND.varied(rng, 0.2), WATER)
    if rng.random() < 0.2 and sheet.pixel < 0.6:
        straw = Look((206, 188, 138), 190, grain=0.08, mottle=0.08)
        spots = rng.uniform(0, 1, (int(rng.integers(8, 40)), 2)) * sheet.span
        sheet.mark(straw, [Frame(x, y, rng.uniform(0, 3)).box(1.4, 1.2) for x, y in spots], 1.2)


def farm(sheet: Sheet, spot: Frame) -> None:
    """House, barns, yard, machines."""
    rng = sheet.rng
    sheet.lay(rough(rng, spot.box(74, 58), 1.0, 6), LAWN.varied(rng), GRASS)
    sheet.lay(rough(rng, spot.spot(4, 2).box(44, 34), 1.2, 5), DIRT.varied(rng), BARE)
    house(sheet, spot.spot(-24, -14, rng.choice([0, math.pi / 2])), rng.uniform(11, 17), rng.uniform(8, 11))
    for a, b, turn in ((20, 12, 0.0), (-8, 22, 0.0), (30, -12, math.pi / 2)):
        if rng.random() < 0.8:
            hall(sheet, spot.spot(a, b, turn + rng.normal(0, 0.03)), rng.uniform(16, 34), rng.uniform(9, 15))
    for _ in range(int(rng.integers(1, 5))):
        place = spot.spot(rng.uniform(-10, 18), rng.uniform(-10, 6), rng.uniform(0, 6.28))
        (car if rng.random() < 0.6 else lorry)(sheet, place)
    count = int(rng.integers(5, 18))
    ring = spot.at(np.stack([rng.choice([-1, 1], count) * rng.uniform(30, 40, count), rng.uniform(-30, 30, count)], -1))
    crowns(sheet, ring, rng.uniform(1.5, 4.5, count), flora(rng))


def hedge(sheet: Sheet, frame: Frame, box: Box, trees: tuple[Colour, ...]) -> None:
    """Bushes and trees along one side of a box."""
    rng = sheet.rng
    ends = ((box[0], box[1]), (box[2], box[1])) if rng.random() < 0.5 else ((box[0], box[1]), (box[0], box[3]))
    places = along(frame.at(np.array(ends)), rng.uniform(2.2, 5), rng, 0.5, rng.choice([0.05, 0.3, 0.7]))
    crowns(sheet, places, rng.uniform(1.0, 3.4, len(places)), trees)


def _road(sheet: Sheet, spot: Frame) -> None:
    """A road, a lane or a track, straight or bent."""
    rng = sheet.rng
    line = straight(sheet, spot)
    if rng.random() < 0.5:
        line = winding(rng, line[0], line[1], rng.uniform(2, 12))
    if rng.random() < 0.45:
        track(sheet, line, rng.uniform(2.4, 3.6))
        return
    look = asphalt(sheet)
    road(sheet, line, rng.uniform(4.5, 9), look, kerb=False)
    if sheet.pixel < 1.2 and len(line) == 2:
        traffic(sheet, spot, 2 * sheet.reach, (1.7, -1.7), 0.15)
