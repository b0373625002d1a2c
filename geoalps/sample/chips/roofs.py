"""Roofs: faces as parts, furniture as clutter."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from geoalps.sample.chips.look import FLAT_ROOF, GLASS, METAL, PANEL, TILES, TIN, Colour, Look
from geoalps.sample.chips.patchwork import Cloth, Plane, cover, like
from geoalps.sample.chips.shape import Frame, Points
from geoalps.sample.chips.sheet import Sheet

TILE_COLOURS: tuple[Colour, ...] = (
    (156, 92, 68), (140, 82, 64), (168, 106, 80), (118, 86, 72), (108, 90, 80), (92, 86, 84), (78, 78, 84),
    (128, 74, 60), (124, 116, 108), (150, 140, 126), (96, 70, 58),
)  # fmt: skip
FLAT_COLOURS: tuple[Colour, ...] = (
    (162, 158, 150), (138, 136, 132), (186, 183, 176), (118, 114, 110), (120, 122, 94), (150, 138, 120), (90, 88, 88),
    (208, 206, 202), (146, 118, 100),
)  # fmt: skip
METAL_COLOURS: tuple[Colour, ...] = (
    (202, 202, 200), (172, 176, 178), (146, 152, 156), (118, 136, 150), (158, 150, 138), (140, 98, 84), (222, 221, 218),
    (98, 122, 104), (84, 96, 122), (176, 92, 74),
)  # fmt: skip


def roof_look(rng: Generator, kind: str) -> Look:
    """One of the surfaces that a ``tiles``, ``flat``, ``metal`` or ``tin`` roof can have."""
    base, colours = {
        "tiles": (TILES, TILE_COLOURS),
        "flat": (FLAT_ROOF, FLAT_COLOURS),
        "metal": (METAL, METAL_COLOURS),
        "tin": (TIN, METAL_COLOURS),
    }[kind]
    tint = colours[int(rng.integers(len(colours)))]
    if kind == "flat":
        dark: Colour = (tint[0] * 0.78, tint[1] * 0.77, tint[2] * 0.75)
        look = base._replace(colour=tint, nir=-1.0, other=dark, mix=rng.uniform(0.1, 0.9), spread=rng.uniform(-1, 0.3))
        if rng.random() < 0.4:
            look = look._replace(row_depth=-0.05, row_spacing=rng.uniform(1.0, 3.0), row_hard=-5)
    else:
        other: Colour = base.other if kind == "tin" and base.other else (tint[0] * 0.8, tint[1] * 0.82, tint[2] * 0.82)
        look = base._replace(colour=tint, nir=-1.0, other=other, row_depth=base.row_depth * rng.uniform(0.4, 1.3))
        if kind == "metal":
            look = look._replace(
                row_spacing=float(rng.choice([0.6, 0.9, 1.5, 3.0])), row_hard=float(rng.choice([1, 3, -5]))
            )
    return look.varied(rng, 0.06)


def pitched(
    sheet: Sheet,
    place: Frame,
    size: tuple[float, float],
    eaves: float,
    slope: float,
    look: Look,
    whole: int,
    hip: float,
) -> tuple[Frame, float]:
    """A gable (``hip`` 0) or hip roof over length x width, its ridge along the frame.

    Returns:
        The frame of the ridge's middle as seen, and the ridge's height.
    """
    l2, w2 = size[0] / 2, size[1] / 2
    rise = slope * w2
    end = min(hip * w2, 0.98 * l2)
    ridge = eaves + rise
    base = place.at(np.array([(-l2, -w2), (l2, -w2), (l2, w2), (-l2, w2)]))
    top = place.at(np.array([(-l2 + end, 0.0), (l2 - end, 0.0)]))
    base += np.array(sheet.lean) * eaves
    top += np.array(sheet.lean) * ridge
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    # Faces to the right (b > 0), the left, and the ends; each falls away from the ridge.
    faces = [
        (np.stack([top[0], top[1], base[2], base[3]]), (sin, -cos), top[0]),
        (np.stack([top[1], top[0], base[0], base[1]]), (-sin, cos), top[0]),
    ]
    if end > 0:
        k = w2 / end
        faces += [
            (np.stack([top[1], base[1], base[2]]), (-cos * k, -sin * k), top[1]),
            (np.stack([top[0], base[3], base[0]]), (cos * k, sin * k), top[0]),
        ]
    rng = sheet.rng
    cloth = like(rng, look) if rng.random() < 0.3 else None
    # Age, moss and gloss make two faces differ more than the sun alone does.
    apart = math.exp(rng.normal(0, 0.16)) if rng.random() < 0.5 else 1.0
    for n, (outline, fall, origin) in enumerate(faces):
        # Ribs run down the slope; of tiles, whose rows are rows of columns, the courses are the cross rows.
        across = place.angle + (0.0 if n < 2 else math.pi / 2)
        tone = (1 + 0.02 * rng.standard_normal()) * (apart, 1 / apart, 1.0, 1.0)[n]
        face = look._replace(row_angle=across, colour=_toned(look.colour, tone))
        plane = Plane(ridge, (fall[0] * slope, fall[1] * slope), (float(origin[0]), float(origin[1])))
        sheet.fill(plane.add(sheet, face, whole, sheet.part()), outline)
        if cloth and n < 2 and l2 - end > 1:
            _mended(sheet, cloth, tone, outline, plane, (across, 0.5 * end / l2))
    moved = Frame(place.x + sheet.lean[0] * ridge, place.y + sheet.lean[1] * ridge, place.angle)
    if sheet.pixel < 0.45:
        cap = look._replace(colour=(look.colour[0] * 1.12, look.colour[1] * 1.1, look.colour[2] * 1.08), row_depth=0.0)
        sheet.line(cap, top, 0.28, look, ridge + 0.1)
    return moved, ridge


def _mended(sheet: Sheet, cloth: Cloth, tone: float, face: Points, plane: Plane, lie: tuple[float, float]) -> None:
    """Cover a face with sheets of several ages.

    Args:
        sheet: to draw on.
        cloth: what lies there.
        tone: of the face.
        face: (4, 2) metres, the ridge first.
        plane: that it lies in.
        lie: direction of the eaves, and the share of them below either hip, which is left as it is.
    """
    angle, hip = lie
    below = (face[2] - face[3]) * hip
    looks = tuple(k._replace(colour=_toned(k.colour, tone)) for k in cloth.looks)
    cover(sheet, cloth._replace(looks=looks), face - np.array(((0, 0), (0, 0), below, -below)), plane, angle)


def surface_flat(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, look: Look) -> None:
    """What a flat roof is made of: a field of other gravel within a border, pieces that were sealed anew: paint."""
    rng = sheet.rng
    if min(size) < 4 * sheet.pixel or rng.random() < 0.5:
        return
    plane = Plane(height, (0.0, 0.0), (place.x, place.y))
    if rng.random() < 0.5:
        edge = 2 * rng.uniform(0.25, 1.0) * min(2.0, 0.25 * min(size))
        tone = float(rng.choice([rng.uniform(0.65, 0.9), rng.uniform(1.1, 1.3)]))
        field = look._replace(colour=_toned(look.colour, tone), other=look.other and _toned(look.other, tone))
        sheet.fill(plane.add(sheet, field), place.box(size[0] - edge, size[1] - edge), paint=True)
    else:
        cover(sheet, like(rng, look)._replace(rust=0.0), place.box(*size), plane, place.angle)


def furnish_pitched(sheet: Sheet, place: Frame, size: tuple[float, float], ridge: float, slope: float) -> None:
    """Chimneys, roof windows, panels on the faces of a pitched roof; ``place`` is its ridge's middle."""
    rng = sheet.rng
    length, width = size
    brick = FLAT_ROOF._replace(colour=(126, 100, 88))
    for _ in range(int(rng.integers(0, 3))):
        a, b = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.12, 0.12) * width
        sheet.mark(brick, [place.spot(a, b).box(0.9, 0.7)], ridge + 0.7)
    side = 1 if rng.random() < 0.5 else -1
    height = ridge - slope * 0.25 * width
    if rng.random() < 0.2:
        b0, b1 = sorted((side * 0.07 * width, side * 0.42 * width))
        sheet.mark(
            PANEL.turned(place.angle), [place.quad(-0.3 * length, b0, rng.uniform(0, 0.35) * length, b1)], height
        )
    elif rng.random() < 0.5:
        spots = rng.uniform(-0.4, 0.4, int(rng.integers(1, 4))) * length
        sheet.mark(GLASS, [place.spot(a, side * 0.25 * width).box(0.9, 1.2) for a in spots], height)


def furnish_flat(sheet: Sheet, place: Frame, size: tuple[float, float], height: float, look: Look) -> None:
    """Parapet, stairhead, machines, skylights, ducts on a flat roof; ``place`` is its middle, as seen."""
    rng = sheet.rng
    length, width = size
    if sheet.pixel < 0.8 and min(size) > 5 and rng.random() < 0.7:
        edge = look._replace(colour=_toned(look.colour, rng.choice([0.72, 1.2])), row_depth=0.0)
        rim = place.box(length - 0.4, width - 0.4)
        sheet.line(edge, np.concatenate([rim, rim[:1]]), rng.uniform(0.25, 0.5), look, height + rng.uniform(0.3, 1.1))
    if min(size) > 8 and rng.random() < 0.6:
        a, b = rng.uniform(-0.3, 0.3) * length, rng.uniform(-0.25, 0.25) * width
        sheet.mark(
            look._replace(colour=_toned(look.colour, rng.uniform(0.8, 1.25))),
            [place.spot(a, b).box(4.5, 3.2)],
            height + 2.5,
        )
    _machines(sheet, place, size, height)
    kind = rng.random()
    if kind < 0.25 and min(size) > 9:
        _skylights(sheet, place, size, height)
    elif kind < 0.42 and min(size) > 7:
        start, end = rng.uniform(-0.42, -0.1), rng.uniform(0.1, 0.42)
        rows = np.arange(-0.38 * width, rng.uniform(0, 0.38) * width, rng.uniform(1.5, 2.6))
        panels = [place.quad(start * length, b, end * length, b + 1.1) for b in rows]
        sheet.mark(PANEL.turned(place.angle), panels, height + 0.3)
    elif kind < 0.52 and min(size) > 12:
        pipe = METAL._replace(row_depth=0.0)
        line = place.at(
            np.array([(-0.4 * length, 0.1 * width), (0.1 * length, 0.1 * width), (0.1 * length, -0.35 * width)])
        )
        sheet.line(pipe, line, 0.9, look, height + 1.0)


def _machines(sheet: Sheet, place: Frame, size: tuple[float, float], height: float) -> None:
    """Boxes and fans of air conditioning."""
    rng = sheet.rng
    count = min(24, int(rng.poisson(size[0] * size[1] / rng.choice([60, 140, 400]))))
    for _ in range(count):
        side, shade = rng.uniform(0.9, 2.8), rng.uniform(105, 220)
        if side < 0.8 * sheet.pixel:
            continue
        look = METAL._replace(colour=(shade, shade, shade * 0.98), row_depth=0.08, row_spacing=0.5)
        spot = place.spot(rng.uniform(-0.43, 0.43) * size[0], rng.uniform(-0.41, 0.41) * size[1])
        sheet.mark(look, [spot.box(side, side * rng.uniform(0.6, 1.0))], height + rng.uniform(0.5, 1.6))


def _skylights(sheet: Sheet, place: Frame, size: tuple[float, float], height: float) -> None:
    """Domes of light in a grid, or bands."""
    rng = sheet.rng
    glass = GLASS._replace(colour=(196, 204, 208) if rng.random() < 0.5 else (128, 140, 150), nir=150.0)
    space = rng.uniform(5, 9)
    lengths = np.arange(-0.42 * size[0], 0.42 * size[0], space)
    if rng.random() < 0.5:
        bands: list[Points] = [place.quad(a, -0.38 * size[1], a + 1.5, 0.38 * size[1]) for a in lengths]
    else:
        widths = np.arange(-0.4 * size[1], 0.4 * size[1], space)
        bands = [place.quad(a, b, a + 1.6, b + 1.6) for a in lengths for b in widths][:60]
    sheet.mark(glass, bands, height + 0.4)


def _toned(colour: Colour, factor: float) -> Colour:
    return min(245.0, colour[0] * factor), min(245.0, colour[1] * factor), min(245.0, colour[2] * factor)
