"""Tanks, silos, stacks of containers, pipes."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample.chips.kinds import CONTAINER, STRUCTURE, TANK
from geoalps.sample.chips.look import METAL, STEEL, Colour, Look
from geoalps.sample.chips.shape import Frame, disc
from geoalps.sample.chips.sheet import Sheet
from geoalps.sample.chips.ships import BOXES

SHELLS: tuple[Colour, ...] = (
    (224, 224, 220),
    (206, 206, 200),
    (186, 182, 172),
    (168, 150, 130),
    (198, 202, 206),
    (150, 132, 112),
)


def tank(sheet: Sheet, x: float, y: float, radius: float, height: float = 0.0) -> None:
    """An oil tank: roof and rim are parts; a floating roof lies in its own wall's shadow."""
    rng, pixel = sheet.rng, sheet.pixel
    if not sheet.sees(x, y, radius + 20) or radius < 1.3 * pixel:
        return
    whole = sheet.whole(TANK)
    height = height or radius * rng.uniform(0.4, 1.1)
    shell = STEEL._replace(colour=SHELLS[int(rng.integers(len(SHELLS)))], nir=-1.0).varied(rng)
    corners = 14 if radius < 5 * pixel else 36
    foot = disc(x, y, radius, corners)
    move = np.array(sheet.lean) * height
    side = shell._replace(colour=(shell.colour[0] * 0.8, shell.colour[1] * 0.8, shell.colour[2] * 0.8))
    wall = sheet.add(side, whole, sheet.part(), height)
    for t in np.linspace(0, 1, 1 + int(np.hypot(*move) / pixel)):
        sheet.fill(wall, foot + t * move)
    x, y = x + float(move[0]), y + float(move[1])
    kind = rng.random()
    if kind < 0.45:
        deck = shell._replace(
            colour=(shell.colour[0] * 0.9, shell.colour[1] * 0.88, shell.colour[2] * 0.84), mix=0.6, spread=0.0
        )
        low = height * rng.uniform(0.1, 0.9)
        sheet.fill(sheet.add(deck, whole, sheet.part(), low), disc(x, y, radius * 0.94, corners))
    else:
        rise = 0.12 * radius if kind < 0.85 else 0.5 * radius
        roof = sheet.add(
            shell._replace(grain=0.02), whole, sheet.part(), height, origin=(x, y), dome=(radius * 1.06, rise)
        )
        sheet.fill(roof, disc(x, y, radius * 0.96, corners))
    if radius > 7 * pixel:
        spoke = shell._replace(colour=(shell.colour[0] * 0.75, shell.colour[1] * 0.75, shell.colour[2] * 0.75))
        turn = rng.uniform(0, 6.28)
        sheet.line(spoke, Frame(x, y, turn).at(np.array([(0.0, 0.0), (radius * 0.93, 0.0)])), 0.7, shell, height + 0.4)
        sheet.mark(spoke, [disc(x, y, 0.09 * radius, 10)], height + 0.5)


def tank_farm(sheet: Sheet, place: Frame, length: float, width: float, radius: float) -> None:
    """Tanks in a grid, some missing, with a wall of earth or concrete around."""
    rng = sheet.rng
    space = radius * rng.uniform(2.35, 3.2)
    bund = Look((150, 142, 128), 145, grain=0.05)
    for a in np.arange(-length / 2 + space / 2, length / 2 - space / 2 + 0.1, space):
        for b in np.arange(-width / 2 + space / 2, width / 2 - space / 2 + 0.1, space):
            if rng.random() < 0.88:
                spot = place.spot(a, b)
                tank(sheet, spot.x, spot.y, radius * (1.0 if rng.random() < 0.7 else rng.uniform(0.5, 0.95)))
            if rng.random() < 0.5:
                edge = place.spot(a, b).box(space * 0.97, space * 0.97)
                sheet.line(bund, np.concatenate([edge, edge[:1]]), 0.8, bund, 1.2)


def container(sheet: Sheet, place: Frame, tiers: int, long: float = 12.2, wide: float = 2.44) -> None:
    """One stack of containers, each stack a whole."""
    rng = sheet.rng
    if not sheet.sees(place.x, place.y, long):
        return
    tint = BOXES[int(rng.integers(len(BOXES)))]
    look = STEEL._replace(
        colour=tint, nir=-1.0, row_depth=0.06, row_spacing=0.6, row_angle=place.angle, other=(130.0, 84.0, 60.0)
    ).varied(rng)
    sheet.lay(place.box(long, wide), look, CONTAINER, 2.6 * tiers)


def container_yard(sheet: Sheet, place: Frame, length: float, width: float, share: float) -> None:
    """Blocks of containers with lanes between them; neighbours stand close."""
    rng = sheet.rng
    group, scale = int(rng.integers(2, 7)), max(1.0, sheet.pixel / 0.9)  # several in one where pixels are coarse
    for n, b in enumerate(np.arange(-width / 2 + 1.5 * scale, width / 2 - 1.4 * scale, 2.75 * scale)):
        if n % (group + 1) == group:
            continue
        a = -length / 2
        while a < length / 2 - 12.4:
            long = (12.2 if rng.random() < 0.75 else 6.1) * scale
            if rng.random() < share:
                container(
                    sheet,
                    place.spot(a + long / 2, b + rng.normal(0, 0.06)),
                    int(rng.integers(1, 5)),
                    long,
                    2.44 * scale,
                )
            a += long + (0.5 if rng.random() < 0.85 else 6.0)


def silos(sheet: Sheet, place: Frame, count: int, radius: float) -> None:
    """Silos in a row or two."""
    for n in range(count):
        spot = place.spot((n // 2) * radius * 2.15, (n % 2) * radius * 2.15)
        tank(sheet, spot.x, spot.y, radius, radius * sheet.rng.uniform(2, 4))


def pipes(sheet: Sheet, place: Frame, length: float, count: int) -> None:
    """A bridge of pipes with its supports."""
    if not sheet.sees(place.x, place.y, length):
        return
    width = 0.9 * count
    whole = sheet.whole(STRUCTURE)
    look = METAL._replace(colour=(150, 146, 138), row_depth=0.22, row_spacing=0.9, row_angle=place.angle + math.pi / 2)
    sheet.fill(sheet.add(look, whole, height=5.0), place.box(length, width))
    posts = [place.spot(a, 0).box(0.6, width + 1.2) for a in np.arange(-length / 2, length / 2, 8.0)]
    sheet.mark(METAL._replace(colour=(120, 116, 110)), posts, 4.0)
