"""Where goods are made and moved: industry and harbours."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample import palette
from geoalps.sample.roads import BASIN, GROUND, LOT, MARK, QUAY, lay_road, river_number
from geoalps.sample.site import Site, ribbon
from geoalps.sample.things import OTHER, WATER, Colour, Detail
from geoalps.sample.town import lay_parking
from geoalps.sample.vessels import boat


def fill_industry(site: Site) -> None:
    """Large halls on sealed ground, with yards, lorries and car parks."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.VERGE)
    s0, t0, s1, t1 = site.inset(5.0)
    cut = rng.uniform(0.42, 0.58)
    lay_road(site, site.line(s0, cut, s1, cut), "lane", urban=True)
    gap = 6.0 / site.depth
    for low, high in ((t0, cut - gap), (cut + gap, t1)):
        s = s0
        while s1 - s > 36 / site.breadth:
            width = min(rng.uniform(48, 110) / site.breadth, s1 - s)
            width = s1 - s if s1 - s - width < 36 / site.breadth else width
            lay_works(site, (s, low, s + width - 3 / site.breadth, high))
            s += width
    for s in np.arange(s0, s1, 9 / site.breadth):
        if rng.random() < 0.5:
            x, y, _ = site.pose(s, t0 - 2 / site.depth if rng.random() < 0.5 else t1 + 2 / site.depth)
            site.tree(x, y, rng.uniform(1.8, 3.4))


def lay_works(site: Site, box: tuple[float, float, float, float]) -> None:
    """One lot, s0, t0, s1, t1: a hall and its yard."""
    rng = site.rng
    ground = (palette.OLD_ASPHALT, palette.CONCRETE, palette.ASPHALT, palette.GRAVEL)[
        int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))
    ]
    site.ground(LOT, site.quad(*box), ground)
    share = rng.uniform(0.45, 0.75)
    first = rng.random() < 0.5
    split = box[1] + (box[3] - box[1]) * (share if first else 1 - share)
    hall_box = (box[0], box[1], box[2], split) if first else (box[0], split, box[2], box[3])
    yard = (box[0], split, box[2], box[3]) if first else (box[0], box[1], box[2], split)
    pose, length, width = site.room(hall_box)
    if min(length, width) > 16:
        hall(site, pose, length * rng.uniform(0.78, 0.96), width - rng.uniform(4, 7))
    use = rng.random()
    inner = (yard[0] + 3 / site.breadth, yard[1] + 3 / site.depth, yard[2] - 3 / site.breadth, yard[3] - 3 / site.depth)
    if (inner[3] - inner[1]) * site.depth < 12:
        return
    if use < 0.5:
        lay_parking(site, inner)
    elif use < 0.72 and (inner[3] - inner[1]) * site.depth > 20:
        lay_parking(site, inner, lorries=True)
    else:
        lay_goods(site, inner, rng.uniform(0.15, 0.4))


def hall(site: Site, pose: tuple[float, float, float], length: float, width: float) -> None:
    """A hall with a ribbed roof, skylights and machines on it, perhaps with an office wing."""
    rng, colour = site.rng, site.pick(palette.HALL_ROOFS)
    details: list[Detail] = []
    count = int(rng.integers(0, 2)) * int(length // 9)
    light: Colour = (196, 204, 208) if sum(colour) < 520 else (140, 150, 158)
    details += [Detail((n - (count - 1) / 2) * 8.0, 0, 1.6, 0.7 * width, 0.3, light) for n in range(count)]
    for _ in range(int(length * width / 260)):
        size, shade = rng.uniform(1.2, 3.2), rng.uniform(110, 200)
        place = rng.uniform(-0.44, 0.44) * length, rng.uniform(-0.42, 0.42) * width
        details.append(Detail(*place, size, size * 0.7, rng.uniform(0.7, 1.6), (shade, shade, shade)))
    eaves = rng.uniform(6, 11)
    low = rng.random() < 0.45
    roof, slope = ("gable", 0.12) if low else ("flat", 0.0)
    number = site.block(pose, length, width, eaves, roof, colour, slope, rng.uniform(1.5, 3.0), tuple(details))
    if rng.random() < 0.5:
        x, y, angle = pose
        side = length / 2 - rng.uniform(6, 10)
        out = width / 2 - 2.5
        place = x + side * math.cos(angle) - out * math.sin(angle), y + side * math.sin(angle) + out * math.cos(angle)
        site.block((*place, angle), 14, 9, rng.uniform(6, 12), "flat", site.pick(palette.FLAT_ROOFS), instance=number)


def lay_goods(site: Site, box: tuple[float, float, float, float], share: float) -> None:
    """Stacks of containers in rows, lorries between them."""
    rng = site.rng
    (x, y, angle), length, width = site.room(box)
    cos, sin = math.cos(angle), math.sin(angle)
    for n, across in enumerate(np.arange(-width / 2 + 3, width / 2 - 2, 2.7)):
        if n % 5 == 4:
            continue
        for along in np.arange(-length / 2 + 8, length / 2 - 8, 13.0):
            place = x + along * cos - across * sin, y + along * sin + across * cos
            if rng.random() < share:
                size = (12.2, 2.5) if rng.random() < 0.7 else (6.1, 2.5)
                tall = 2.6 * int(rng.integers(1, 4))
                colour = site.pick(palette.CONTAINERS)
                site.block((*place, angle), *size, tall, "flat", colour, 0.0, 1.1, (), OTHER, 0)
            elif rng.random() < 0.04:
                site.lorry(*place, angle + math.pi * rng.integers(2))


def fill_harbour(site: Site) -> None:
    """A basin that opens to the river on the left (s = 0), quays with ships, sheds and stacks."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.VERGE)
    _, t0, s1, t1 = site.inset(4.0)
    deep, low, high = rng.uniform(0.5, 0.62), rng.uniform(0.30, 0.36), rng.uniform(0.68, 0.76)
    bank = 20.0 / site.breadth
    site.ground(QUAY, site.quad(bank, t0, s1, t1), palette.QUAY)
    number = river_number(site, site.i)
    site.ground(BASIN, site.quad(0.0, low, deep, high), palette.RIVER, WATER, number)
    edge = 1.2 / site.depth
    for t in (low - edge / 2, high + edge / 2):
        site.ground(
            MARK,
            ribbon(site.line(bank, t, deep, t), 1.4),
            palette.PAVEMENT._replace(colour=(178, 174, 166)),
            paint=True,
        )
    for t, side in ((low, 1), (high, -1)):
        moor(site, t, side, (bank + 0.04, deep - 0.03))
    marina(site, deep, low, high)
    for _ in range(int(rng.integers(1, 3))):
        x, y, angle = site.pose(rng.uniform(0.12, deep - 0.24), (low + high) / 2 + rng.uniform(-0.05, 0.05))
        site.ships.append(boat(site, (x, y), angle + math.pi * rng.integers(2), rng.uniform(9, 26), moving=True))
    gap = 14.0 / site.depth
    for box in ((bank + 0.02, t0 + 0.005, deep, low - gap), (bank + 0.02, high + gap, deep, t1 - 0.005)):
        shed = box[0] + (box[2] - box[0]) * rng.uniform(0.35, 0.5)
        lay_goods(site, (shed, box[1], box[2], box[3]), rng.uniform(0.35, 0.65))
        pose, length, width = site.room((box[0], box[1], shed, box[3]))
        if min(length, width) > 16:
            hall(site, pose, length - 4, width - 4)
    middle = (deep + s1) / 2 + 0.03
    lay_road(site, site.line(middle, 0.02, middle, 0.98), "lane", urban=True)
    apron = (deep + 0.03, low, middle - 0.035, high)
    if rng.random() < 0.5:
        lay_goods(site, apron, rng.uniform(0.3, 0.6))
    else:
        lay_parking(site, apron)
    for t in (t0, (t0 + t1) / 2):
        lay_works(site, (middle + 6 / site.breadth, t + 0.01, s1, t + (t1 - t0) / 2 - 0.02))


def moor(site: Site, t: float, side: int, along: tuple[float, float]) -> None:
    """Ships along a quay at parameter t; the water lies towards side (+1: growing t)."""
    rng, s = site.rng, along[0]
    while s < along[1]:
        length = rng.uniform(18, 75)
        if s + length / site.breadth > along[1]:
            break
        middle = s + length / 2 / site.breadth
        x, y, angle = site.pose(middle, t + side * (length * 0.1 + 1.2) / site.depth)
        if rng.random() < 0.85:
            site.ships.append(boat(site, (x, y), angle + math.pi * rng.integers(2), length))
        s += (length + rng.uniform(6, 16)) / site.breadth


def marina(site: Site, deep: float, low: float, high: float) -> None:
    """A pier with small boats at the basin's closed end."""
    rng = site.rng
    middle = (low + high) / 2
    reach = 34.0 / site.breadth
    x0 = deep - reach
    pier = site.line(x0, middle, deep, middle)
    site.ground(BASIN + 1, ribbon(pier, 2.2), palette.PAVEMENT._replace(colour=(158, 148, 132)), OTHER, 0, height=0.8)
    for s in np.arange(x0 + 2.5 / site.breadth, deep - 5 / site.breadth, 3.6 / site.breadth):
        for side in (-1, 1):
            if rng.random() < 0.75:
                length = rng.uniform(5.5, 8.5)
                x, y, angle = site.pose(s, middle + side * (length / 2 + 1.6) / site.depth, 1)
                site.ships.append(boat(site, (x, y), angle + math.pi * rng.integers(2), length))
