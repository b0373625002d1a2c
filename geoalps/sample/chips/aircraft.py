"""Aeroplanes: fuselage, wings, tail and engines as one thing, wings and fuselage as its parts."""

from __future__ import annotations

import numpy as np

from geoalps.sample.chips.kinds import AIRCRAFT
from geoalps.sample.chips.look import BODY, GLASS, Colour, Look
from geoalps.sample.chips.shape import Frame
from geoalps.sample.chips.sheet import Sheet

LIVERIES: tuple[Colour, ...] = ((232, 233, 234), (226, 228, 230), (206, 208, 212), (238, 238, 236), (150, 158, 164))
ACCENTS: tuple[Colour, ...] = (
    (170, 48, 44),
    (48, 70, 130),
    (222, 160, 44),
    (52, 110, 84),
    (90, 92, 98),
    (228, 228, 228),
)


def aircraft(sheet: Sheet, place: Frame, length: float) -> None:
    """An aeroplane that heads along its frame; below 14 m a light one with straight wings."""
    if not sheet.sees(place.x, place.y, length) or length < 4 * sheet.pixel:
        return
    rng = sheet.rng
    light = length < 14
    span = length * (rng.uniform(1.15, 1.4) if light else rng.uniform(0.88, 1.05))
    sweep = 0.0 if light else rng.uniform(0.16, 0.24) * length
    wide = length * (0.11 if light else 0.105)
    whole = sheet.whole(AIRCRAFT)
    paint = BODY._replace(colour=LIVERIES[int(rng.integers(len(LIVERIES)))]).varied(rng, 0.04)
    tone = rng.uniform(0.6, 1.02)
    grey = paint._replace(colour=(paint.colour[0] * tone, paint.colour[1] * tone, paint.colour[2] * tone))
    high = 0.08 * length
    # Wings are bent upwards, so that one gets more light than the other.
    part, lift = sheet.part(), rng.uniform(0.0, 0.16)
    up = (-np.sin(place.angle) * lift, np.cos(place.angle) * lift)
    middle = (place.x, place.y)
    wings = {n: sheet.add(grey, whole, part, high, (n * up[0], n * up[1]), middle) for n in (-1, 1)}
    root, tip = (0.14 if light else 0.19) * length, (0.11 if light else 0.05) * length
    front = (0.16 if light else 0.12) * length
    s2 = span / 2
    for side in (-1, 1):
        sheet.fill(
            wings[side],
            place.at(
                np.array([(front, 0), (front - sweep, side * s2), (front - sweep - tip, side * s2), (front - root, 0)])
            ),
        )
    tail = sheet.add(grey, whole, sheet.part(), high * 1.5)
    t2, back = 0.36 * s2, -0.42 * length
    for side in (-1, 1):
        outline = [
            (back + 0.06 * length, 0),
            (back - 0.25 * sweep, side * t2),
            (back - 0.25 * sweep - 0.05 * length, side * t2),
            (back - 0.07 * length, 0),
        ]
        sheet.fill(tail, place.at(np.array(outline)))
    if not light:
        engine = BODY._replace(colour=(120.0, 124.0, 130.0) if rng.random() < 0.5 else (214.0, 214.0, 214.0))
        pods = [
            place.spot(front - sweep * k + 0.03 * length, side * s2 * k).box(0.085 * length, 0.042 * length)
            for k in ((0.36,) if length < 50 else (0.33, 0.6))
            for side in (-1, 1)
        ]
        sheet.fill(region := sheet.add(engine, whole, height=high), pods[0])
        for pod in pods[1:]:
            sheet.fill(region, pod)
        for side in (-1, 1):
            sheet.fill(
                wings[side],
                place.at(
                    np.array(
                        [
                            (front - 0.02 * length, 0),
                            (front - sweep - 0.01 * length, side * s2),
                            (front - sweep - tip, side * s2),
                            (front - root, 0),
                        ]
                    )
                ),
            )
    if s2 > 12 * sheet.pixel:
        _flaps(sheet, place, grey, s2, (front, sweep, root, tip), high)
    k = np.linspace(0, 1, 6)
    nose = np.stack([0.40 * length + 0.10 * length * k, wide / 2 * np.sqrt(1 - k**2 * 0.98)], -1)
    right = np.concatenate([[(-length / 2, 0.12 * wide), (-0.28 * length, wide / 2)], nose])
    body = sheet.add(paint, whole, sheet.part(), high + 0.6 * wide, origin=(place.x, place.y))
    sheet.fill(body, place.at(np.concatenate([right, (right * (1, -1))[::-1]])))
    shine = paint._replace(
        colour=(min(250.0, paint.colour[0] * 1.1), min(250.0, paint.colour[1] * 1.1), min(250.0, paint.colour[2] * 1.1))
    )
    sheet.mark(shine, [place.quad(-0.3 * length, -0.18 * wide, 0.42 * length, 0.12 * wide)], high + wide)
    if rng.random() < 0.35:
        band = paint._replace(colour=ACCENTS[int(rng.integers(len(ACCENTS)))])
        a = rng.uniform(-0.34, 0.2) * length
        sheet.mark(band, [place.quad(a, -0.49 * wide, a + rng.uniform(0.05, 0.16) * length, 0.49 * wide)], high + wide)
    fin = BODY._replace(colour=ACCENTS[int(rng.integers(len(ACCENTS)))])
    sheet.mark(fin, [place.quad(-0.5 * length, -0.09 * wide, -0.36 * length, 0.09 * wide)], high + 0.14 * length)
    if wide > 4 * sheet.pixel:
        sheet.mark(GLASS, [place.quad(0.455 * length, -0.22 * wide, 0.475 * length, 0.22 * wide)], high + wide)


def _flaps(
    sheet: Sheet, place: Frame, wing: Look, s2: float, form: tuple[float, float, float, float], high: float
) -> None:
    """Flaps and ailerons along the rear edges of both wings, darker than they are: paint.

    Args:
        sheet: to draw on.
        place: of the aeroplane.
        wing: its look.
        s2: half the span, metres.
        form: metres from the middle to the front edge at the root, swept back at the tip, and depths of root and tip.
        high: metres of the wings above ground.
    """
    front, sweep, root, tip = form
    look = wing._replace(colour=_toned(wing.colour, sheet.rng.uniform(0.45, 0.85)))
    share = np.array([0.12, 0.6])
    edge = front - sweep * share - root + (root - tip) * share
    a = np.concatenate([edge, edge[::-1] + 0.22 * root])
    b = np.concatenate([share, share[::-1]]) * s2
    sheet.mark(look, [place.at(np.stack([a, side * b], -1)) for side in (-1, 1)], high + 0.05)


def _toned(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
