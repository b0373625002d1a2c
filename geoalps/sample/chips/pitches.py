"""Sports grounds: football, tennis, basketball, baseball, running tracks; markings are parts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from geoalps.sample.chips.kinds import BARE, GRASS, PAVEMENT, PITCH, STRUCTURE
from geoalps.sample.chips.look import CLAY, CONCRETE, PAINT, SAND, TURF, Colour, Look
from geoalps.sample.chips.shape import Frame, Points, moved
from geoalps.sample.chips.sheet import Sheet

COURTS: tuple[Colour, ...] = (
    (58, 96, 142),
    (72, 122, 82),
    (164, 84, 62),
    (94, 74, 122),
    (46, 78, 120),
    (120, 132, 128),
    (150, 92, 76),
)
TARTAN: tuple[Colour, ...] = ((172, 84, 62), (158, 90, 74), (66, 92, 140), (112, 112, 112), (190, 104, 72))


def _lines(
    sheet: Sheet, place: Frame, strokes: list[Points], width: float, under: Look, whole: int, colour: Look = PAINT
) -> None:
    """Markings: paint, and where wide enough to be seen as such, one part of the pitch each connected piece."""
    if width < 0.12 * sheet.pixel:
        return
    wide = width > 0.9 * sheet.pixel
    region = sheet.add(colour, whole, sheet.part()) if wide else -1
    for stroke in strokes:
        points = place.at(stroke)
        if not wide:
            sheet.line(colour, points, width, under)
            continue
        for a, b in pairwise(points):
            step = (b - a) / max(1e-6, float(np.hypot(*(b - a)))) * width / 2
            side = np.array([-step[1], step[0]])
            sheet.fill(region, np.stack([a - step + side, b + step + side, b + step - side, a - step - side]))


def _rect(a0: float, b0: float, a1: float, b1: float) -> Points:
    """(5, 2) closed."""
    return np.array([(a0, b0), (a1, b0), (a1, b1), (a0, b1), (a0, b0)], np.float64)


def _arc(a: float, b: float, radius: float, start: float, stop: float) -> Points:
    turn = np.linspace(start, stop, max(6, int(abs(stop - start) * 6)))
    return np.stack([a + radius * np.cos(turn), b + radius * np.sin(turn)], -1)


def football(sheet: Sheet, place: Frame, length: float, width: float) -> None:
    """A football pitch with mowing stripes and markings; half of them American, with lines across."""
    rng = sheet.rng
    turf = TURF.varied(rng, 0.12)._replace(
        row_depth=rng.uniform(0.0, 0.13),
        row_spacing=rng.uniform(8, 14),
        row_angle=place.angle,
        mix=rng.uniform(0.2, 0.9),
    )
    if rng.random() < 0.2:
        turf = turf._replace(colour=(62, 104, 72), nir=70.0, mix=0.1, mottle=0.02)
    whole = sheet.whole(PITCH)
    sheet.fill(sheet.add(turf, whole), place.box(length, width))
    if rng.random() < 0.4:
        worn = Look((142, 126, 92), 140, grain=0.08, mottle=0.1)
        sheet.mark(worn, [place.spot(side * 0.44 * length, 0).box(0.05 * length, 0.12 * width) for side in (-1, 1)])
    l2, w2 = length / 2 - 2, width / 2 - 2
    strokes = [_rect(-l2, -w2, l2, w2), np.array([(0.0, -w2), (0.0, w2)])]
    if rng.random() < 0.6:
        strokes.append(_arc(0, 0, 0.13 * width + 0.5, 0, 2 * math.pi))
        for side in (-1, 1):
            strokes += [
                _rect(side * l2, -0.3 * width, side * (l2 - 16.5), 0.3 * width),
                _rect(side * l2, -0.135 * width, side * (l2 - 5.5), 0.135 * width),
            ]
    else:
        strokes += [np.array([(a, -w2), (a, w2)]) for a in np.linspace(-l2, l2, 21)]
        ends = sheet.add(
            turf._replace(colour=COURTS[int(rng.integers(len(COURTS)))], row_depth=0.0), whole, sheet.part()
        )
        sheet.fill(ends, place.quad(-l2, -w2, -0.91 * l2, w2))
        sheet.fill(sheet.add(sheet.looks[ends], whole, sheet.part()), place.quad(0.91 * l2, -w2, l2, w2))
    _lines(sheet, place, strokes, 0.15 if sheet.pixel < 0.4 else 0.3, turf, whole)


def court(sheet: Sheet, place: Frame, game: str, colours: tuple[Colour, Colour]) -> None:
    """A ``tennis`` or ``basketball`` court: a field, which is the thing, as data sets outline it, and its apron."""
    length, width, out, side = (23.8, 11.0, 5.5, 3.2) if game == "tennis" else (28.0, 15.0, 2.0, 2.0)
    if not sheet.sees(place.x, place.y, length):
        return
    base = Look(colours[0], -1.0, None, grain=0.025, mottle=0.03, patch=0.05, drift=0.04, sar=-14)
    sheet.lay(place.box(length + 2 * out, width + 2 * side), base, PAVEMENT)
    whole, inner = sheet.whole(PITCH), base.tinted(colours[1])
    sheet.fill(sheet.add(inner, whole), place.box(length, width))
    l2, w2 = length / 2, width / 2
    strokes = [_rect(-l2, -w2, l2, w2)]
    if game == "tennis":
        strokes += [np.array([(-l2, s * 4.1), (l2, s * 4.1)]) for s in (-1, 1)]
        strokes += [np.array([(s * 6.4, -4.1), (s * 6.4, 4.1)]) for s in (-1, 1)] + [
            np.array([(-6.4, 0.0), (6.4, 0.0)])
        ]
    else:
        strokes += [np.array([(0.0, -w2), (0.0, w2)]), _arc(0, 0, 1.8, 0, 2 * math.pi)]
        for s in (-1, 1):
            strokes += [
                _rect(s * l2, -2.4, s * (l2 - 5.8), 2.4),
                _arc(s * (l2 - 1.6), 0, 6.7, s * math.pi / 2, s * math.pi / 2 + math.pi),
            ]
    _lines(sheet, place, strokes, 0.09, inner, whole)
    if game == "tennis":
        sheet.line(Look((60, 62, 60)), place.at(np.array([(0.0, -6.0), (0.0, 6.0)])), 0.15, inner, 1.0)


def courts(sheet: Sheet, place: Frame, game: str, columns: int, rows: int) -> None:
    """A block of courts on one sealed ground."""
    rng = sheet.rng
    step = (37.0, 17.6) if game == "tennis" else (33.0, 20.0)
    pick = rng.integers(len(COURTS), size=2)
    colours = COURTS[pick[0]], COURTS[pick[1]]
    apron = Look(colours[0], -1.0, grain=0.03, mottle=0.03, patch=0.06, drift=0.05, sar=-14)
    sheet.lay(place.box(columns * step[0] + 3, rows * step[1] + 3), apron.varied(rng, 0.05), PAVEMENT)
    for n in range(columns):
        for m in range(rows):
            court(sheet, place.spot((n - (columns - 1) / 2) * step[0], (m - (rows - 1) / 2) * step[1]), game, colours)
    fence = Look((96, 98, 96))
    edge = place.box(columns * step[0] + 3, rows * step[1] + 3)
    sheet.line(fence, np.concatenate([edge, edge[:1]]), 0.2, apron, 0.4)


def stadium(sheet: Sheet, place: Frame, stands: bool) -> None:
    """A running track with lanes around a football pitch; perhaps with stands."""
    rng = sheet.rng
    radius, straight, lanes = rng.uniform(33, 39), rng.uniform(78, 96), int(rng.integers(5, 9))
    outer = radius + 1.22 * lanes

    def oval(reach: float) -> Points:
        """(n, 2) closed curve around both halves."""
        right = _arc(straight / 2, 0, reach, -math.pi / 2, math.pi / 2)
        return np.concatenate([right, -right])

    if stands:
        for side, share in ((1, 0.95), (-1, 0.7)):
            if rng.random() < 0.7:
                _stand(sheet, place.spot(0, side * (outer + 10)), straight * share, 12.0, side)
    rubber = Look(
        TARTAN[int(rng.integers(len(TARTAN)))], -1.0, grain=0.03, mottle=0.03, patch=0.04, drift=0.05, sar=-14
    ).varied(rng)
    whole = sheet.whole(PITCH)
    sheet.fill(sheet.add(rubber, whole), place.at(oval(outer)))
    loops = [oval(radius + 1.22 * n) for n in range(lanes + 1)]
    _lines(sheet, place, [np.concatenate([loop, loop[:1]]) for loop in loops], 0.07, rubber, whole)
    infield = (TURF if rng.random() < 0.7 else Look((62, 104, 72), 80)).varied(rng)
    sheet.lay(place.at(oval(radius - 0.3)), infield._replace(row_depth=0.0), GRASS)
    if rng.random() < 0.6:
        for side in (-1, 1):
            half = np.concatenate([_arc(straight / 2 + 6, 0, radius * 0.84, -1.1, 1.1)]) * (side, 1)
            sheet.lay(place.at(half), rubber.varied(rng, 0.03), PITCH)
    football(sheet, place, straight + 14, 2 * radius * 0.86)


def _stand(sheet: Sheet, place: Frame, length: float, width: float, side: int) -> None:
    """A stand of benches that rises away from the pitch, perhaps under a roof."""
    look = CONCRETE._replace(
        row_depth=0.18, row_spacing=0.9, row_angle=place.angle + math.pi / 2, cross_depth=0.05, cross_spacing=5.0
    )
    rise = 0.5 * side
    slope = (-math.sin(place.angle) * rise, math.cos(place.angle) * rise)
    whole = sheet.whole(STRUCTURE)
    sheet.fill(sheet.add(look.varied(sheet.rng), whole, 0, 3.0, slope, (place.x, place.y)), place.box(length, width))


def baseball(sheet: Sheet, place: Frame, size: float) -> None:
    """A diamond: grass fan, sandy infield with a lawn in it, base paths and mound."""
    rng = sheet.rng
    fan = _arc(0, 0, size, -math.pi / 4, math.pi / 4)
    turf = TURF.varied(rng, 0.12)._replace(
        row_angle=place.angle + math.pi / 4, row_spacing=6.0, row_depth=rng.uniform(0, 0.1)
    )
    sheet.lay(place.at(np.concatenate([[(0.0, 0.0)], fan])), turf, GRASS)
    dirt = (SAND if rng.random() < 0.6 else CLAY).varied(rng)
    reach = min(29.0, 0.45 * size)
    pit = sheet.whole(PITCH)
    home = _arc(0, 0, 4.0, 0.8 * math.pi, 1.2 * math.pi)
    region = sheet.add(dirt, pit)
    sheet.fill(region, place.at(np.concatenate([[(0.0, 0.0)], _arc(0.66 * reach, 0, reach * 0.98, -1.15, 1.15)])))
    sheet.fill(region, place.at(np.concatenate([home, _arc(0, 0, 4.0, -0.9, 0.9)])))
    inner = np.array([(2.6, 0.0), (0.7 * reach, -0.66 * reach), (1.38 * reach, 0.0), (0.7 * reach, 0.66 * reach)])
    inner = moved(inner * 0.86, 1.2, 0.0)
    if rng.random() < 0.7:
        sheet.fill(sheet.add(turf.varied(rng, 0.04), pit, sheet.part()), place.at(inner))
        sheet.fill(sheet.add(dirt, pit, sheet.part(), height=0.2), place.at(_arc(0.68 * reach, 0, 2.7, 0, 6.28)))
    far = size * 0.7
    sheet.line(PAINT, place.at(np.array([(far, -far), (0.0, 0.0), (far, far)])), 0.12, dirt)
    if rng.random() < 0.5:
        sheet.lay(place.at(_arc(0, 0, 7.0, 0.7 * math.pi, 1.3 * math.pi)), dirt.varied(rng, 0.05), BARE)
