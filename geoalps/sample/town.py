"""Where people live: suburbs of single houses, and centres of large buildings."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample import palette
from geoalps.sample.plan import ROAD_WIDTH, V
from geoalps.sample.roads import GROUND, LOT, MARK, PLOT, lay_road
from geoalps.sample.site import Site, ribbon
from geoalps.sample.things import WATER, Colour, Detail, Surface


def fill_suburb(site: Site) -> None:
    """Streets through the cell, and between them rows of houses in gardens."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.LAWN)
    s0, t0, s1, t1 = site.inset()
    streets = int(rng.integers(1, 3))
    middles = np.sort((np.arange(streets) + 1) / (streets + 1) + rng.uniform(-0.05, 0.05, streets))
    open_left = site.plan.rank(site.i, site.j, V) not in ("river", "none")
    open_right = site.plan.rank(site.i + 1, site.j, V) not in ("river", "none")
    half = (ROAD_WIDTH["street"] / 2 + 3.0) / site.depth
    for t in middles:
        line = site.line(0.0 if open_left else s0 + 0.03, t, 1.0 if open_right else s1 - 0.03, t)
        lay_road(site, line, "street", urban=True)
    borders = [t0, *(t + side * half for t in middles for side in (-1, 1)), t1]
    for low, high in zip(borders[::2], borders[1::2], strict=True):
        if (high - low) * site.depth > 50:
            middle = (low + high) / 2
            lay_row(site, (s0, s1), low, middle)
            lay_row(site, (s0, s1), high, middle)
        else:
            street = low if rng.random() < 0.5 else high
            lay_row(site, (s0, s1), street, low + high - street)


def lay_row(site: Site, along: tuple[float, float], street: float, back: float) -> None:
    """Plots side by side, from the parameter t of their street to that of their back."""
    if abs(back - street) * site.depth < 14:
        return
    rng, s = site.rng, along[0]
    style = int(rng.integers(len(palette.TILES)))
    gap = rng.uniform(17, 24)
    while s < along[1] - 12 / site.breadth:
        width = min(gap * rng.uniform(0.85, 1.25) / site.breadth, along[1] - s)
        if width * site.breadth > 11:
            lay_plot(site, (s, s + width), street, back, style)
        s += width


def lay_plot(site: Site, along: tuple[float, float], street: float, back: float, style: int) -> None:
    """One garden with its house, drive, car, hedge, trees, perhaps a shed and a pool."""
    rng = site.rng
    depth, width = abs(back - street) * site.depth, (along[1] - along[0]) * site.breadth
    to_t = (back - street) / depth
    site.ground(PLOT, site.quad(along[0], street, along[1], back), _garden(site))
    if rng.random() < 0.05:
        return
    middle = (along[0] + along[1]) / 2 + rng.uniform(-0.06, 0.06) * (along[1] - along[0])
    length, breadth = min(rng.uniform(10, 15), width - 4), min(rng.uniform(8, 10.5), depth * 0.5)
    setback = min(rng.uniform(4.5, 9), depth - breadth - 2) + breadth / 2
    x, y, angle = site.pose(middle, street + setback * to_t)
    number = house(site, (x, y, angle + rng.normal(0, 0.03)), length, breadth, style)
    drive = along[0] + 2.2 / site.breadth if rng.random() < 0.5 else along[1] - 2.2 / site.breadth
    paving = (palette.PAVEMENT, palette.GRAVEL, palette.OLD_ASPHALT)[int(rng.integers(3))]
    reach = (setback + rng.uniform(0, 4)) * to_t
    site.ground(LOT, ribbon(site.line(drive, street, drive, street + reach, 4), 3.1), paving)
    site.ground(LOT, ribbon(site.line(drive, street + reach, middle, street + reach, 4), 1.5), paving)
    if rng.random() < 0.55:
        cx, cy, heading = site.pose(drive, street + 4.5 * to_t, V)
        site.car(cx, cy, heading + rng.normal(0, 0.03) + math.pi * rng.integers(2))
    behind = setback + breadth / 2 + 1.5
    if rng.random() < 0.75 and depth - behind > 1.5:
        terrace = site.quad(
            middle - 3.4 / site.breadth,
            street + (behind - 1.5) * to_t,
            middle + 3 / site.breadth,
            street + (behind + 2) * to_t,
        )
        site.ground(LOT, terrace, palette.PAVEMENT if rng.random() < 0.7 else palette.GRAVEL)
    if depth - behind > 9 and rng.random() < 0.14:
        px, py, _ = site.pose(middle + rng.uniform(-3, 3) / site.breadth, street + (behind + 5.5) * to_t)
        _pool(site, px, py, angle)
    elif depth - behind > 6 and rng.random() < 0.4:
        px, py, _ = site.pose(along[1] - 3 / site.breadth, back - 2.8 * to_t)
        colour = site.pick(palette.TILES)
        site.block((px, py, angle), rng.uniform(3, 4.5), rng.uniform(2.4, 3.2), 2.2, "gable", colour, 0.3)
    _plant(site, along, street, back, behind, number)


def house(site: Site, pose: tuple[float, float, float], length: float, width: float, style: int) -> int:
    """A house with a pitched roof, perhaps with a wing; returns its instance id."""
    rng = site.rng
    roof = ("gable", "gable", "hip", "flat")[int(rng.choice(4, p=[0.4, 0.2, 0.28, 0.12]))]
    colour = site.pick(
        (palette.TILES[style], palette.TILES[style], palette.TILES[int(rng.integers(len(palette.TILES)))])
    )
    if roof == "flat":
        colour = site.pick(palette.FLAT_ROOFS)
    eaves, slope = rng.uniform(3.2, 6.0), 0.0 if roof == "flat" else rng.uniform(0.45, 0.9)
    details = _flat_details(site, length, width) if roof == "flat" else _roof_details(site, length, width, slope)
    ribs = 0.0 if roof == "flat" else 0.9
    number = site.block(pose, length, width, eaves, roof, colour, slope, ribs, details)
    if rng.random() < 0.45:
        x, y, angle = pose
        along, side = rng.uniform(-0.25, 0.25) * length, 1 if rng.random() < 0.5 else -1
        reach, across = rng.uniform(0.45, 0.8) * width, min(rng.uniform(4.5, 6.5), width * 0.8)
        out = side * (width / 2 + reach / 2 - across * 0.5 * (roof != "flat"))
        reach += across * (roof != "flat")
        place = x + along * math.cos(angle) - out * math.sin(angle), y + along * math.sin(angle) + out * math.cos(angle)
        lower = eaves * rng.uniform(0.75, 1.0)
        site.block((*place, angle + math.pi / 2), reach, across, lower, roof, colour, slope, ribs, (), instance=number)
    return number


def fill_centre(site: Site) -> None:
    """Blocks of flats, offices and car parks around courts and lawns."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.LAWN._replace(colour=site.pick(palette.GARDENS)))
    s0, t0, s1, t1 = site.inset(4.0)
    nu, nv = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    cut = 0.5 if nu < 3 else float(rng.choice([1 / 3, 2 / 3]))
    inner = s0 + (s1 - s0) * cut
    lay_road(site, site.line(inner, 0, inner, 1), "street", urban=True)
    for a in range(nu):
        for b in range(nv):
            low = s0 + (s1 - s0) * a / nu, t0 + (t1 - t0) * b / nv
            high = s0 + (s1 - s0) * (a + 1) / nu, t0 + (t1 - t0) * (b + 1) / nv
            gap_s, gap_t = 8.5 / site.breadth, 4.0 / site.depth
            lay_block(site, (low[0] + gap_s, low[1] + gap_t, high[0] - gap_s, high[1] - gap_t))


def lay_block(site: Site, box: tuple[float, float, float, float]) -> None:
    """One lot of the centre, s0, t0, s1, t1: a slab, an L, a court, a tower or a car park."""
    rng = site.rng
    (x, y, angle), length, width = site.room(box)
    if min(length, width) < 22:
        return
    kind = rng.random()
    if kind < 0.17:
        lay_parking(site, box)
        return
    if rng.random() < 0.55:
        site.ground(
            LOT, site.quad(*box), (palette.PAVEMENT, palette.CONCRETE, palette.OLD_ASPHALT)[int(rng.integers(3))]
        )
    deep, number = rng.uniform(11, 14.5), None
    height, flat = rng.uniform(9, 17), rng.random() < 0.6
    roof, slope = ("flat", 0.0) if flat else ("hip" if rng.random() < 0.5 else "gable", 0.5)
    colour = site.pick(palette.FLAT_ROOFS if flat else palette.TILES)
    if kind < 0.30:
        side = min(rng.uniform(18, 26), length - 4, width - 4)
        parts = [(0.0, 0.0, side, side * rng.uniform(0.75, 1.0), 0.0)]
        height = rng.uniform(13, 20)
    else:
        shape = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))[int(rng.choice(4, p=[0.3, 0.3, 0.2, 0.2]))]
        parts = _wings(length - 3, width - 3, deep, shape)
    for dx, dy, a, b, turn in parts:
        place = x + dx * math.cos(angle) - dy * math.sin(angle), y + dx * math.sin(angle) + dy * math.cos(angle)
        details = _flat_details(site, a, b) if flat else _roof_details(site, a, b, slope)
        number = site.block(
            (*place, angle + turn), a, b, height, roof, colour, slope, 0.0 if flat else 0.9, details, instance=number
        )
    for _ in range(int(rng.integers(3, 10))):
        tx, ty, _ = site.pose(rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]))
        site.tree(tx, ty, rng.uniform(2, 4.2))


def lay_parking(site: Site, box: tuple[float, float, float, float], lorries: bool = False) -> None:
    """A car park: rows of bays with lines, most of them taken."""
    rng = site.rng
    site.ground(LOT, site.quad(*box), palette.ASPHALT if rng.random() < 0.5 else palette.OLD_ASPHALT)
    bay, deep, full = (3.6, 15.0, 0.5) if lorries else (2.6, 5.2, rng.uniform(0.4, 0.85))
    (x, y, angle), length, width = site.room(box)
    length, width = length - 3, width - 3
    cos, sin = math.cos(angle), math.sin(angle)

    def place(along: float, across: float) -> tuple[float, float]:
        """Map coordinates of a point given in metres along and across the rows of bays, from their middle."""
        return x + along * cos - across * sin, y + along * sin + across * cos

    lanes = int((width + 6) // (2 * deep + 6))
    rows = [(n - (lanes - 1) / 2) * (2 * deep + 6) + side * deep / 2 for n in range(lanes) for side in (-1, 1)]
    for row in rows or [0.0]:
        for along in np.arange(-length / 2 + bay, length / 2 - bay, bay):
            line = np.array([place(along - bay / 2, row - deep / 2), place(along - bay / 2, row + deep / 2)])
            site.ground(MARK, ribbon(line, 0.3), palette.FADED, paint=True)
            if rng.random() < full:
                heading = angle + math.pi * (rng.integers(2) + 0.5) + rng.normal(0, 0.02)
                (site.lorry if lorries else site.car)(*place(along, row + rng.normal(0, 0.2)), heading)
            elif not lorries and rng.random() < 0.03:
                site.tree(*place(along, row), rng.uniform(1.8, 2.8))


def _wings(
    length: float, width: float, deep: float, shape: tuple[int, int, int]
) -> list[tuple[float, float, float, float, float]]:
    """Front, left and right wing of a building that fills length x width: dx, dy, length, width, turn each."""
    deep = min(deep, length / 2.6, width / 1.4)
    parts = [(0.0, -width / 2 + deep / 2, length, deep, 0.0)]
    for wanted, side in zip(shape[1:], (-1, 1), strict=True):
        if wanted:
            parts.append((side * (length - deep) / 2, 0.0, width, deep, math.pi / 2))
    return parts


def _garden(site: Site) -> Surface:
    """A lawn in one of the gardens' colours."""
    rng = site.rng
    return palette.LAWN._replace(
        colour=site.pick(palette.GARDENS), mottle=rng.uniform(0.05, 0.16), grain=rng.uniform(0.07, 0.12)
    )


def _pool(site: Site, x: float, y: float, angle: float) -> None:
    """A swimming pool with its paved edge, long in the direction of ``angle``; an instance of water."""
    half = np.array([np.cos([angle]), np.sin([angle])]).T * site.rng.uniform(3, 4.5)
    line = np.concatenate([np.array([[x, y]]) - half, np.array([[x, y]]) + half])
    longer = np.concatenate([line[:1] - half * 0.35, line[1:] + half * 0.35])
    site.ground(LOT, ribbon(longer, 7.0), palette.PAVEMENT)
    site.ground(LOT + 1, ribbon(line, 4.2), palette.POOL, WATER, site.number())


def _plant(site: Site, along: tuple[float, float], street: float, back: float, behind: float, number: int) -> None:
    """Hedges along the plot's borders and trees behind the house."""
    rng = site.rng
    depth = abs(back - street) * site.depth
    if rng.random() < 0.55:
        line = (
            site.line(along[0], back, along[1], back, 1.5)
            if rng.random() < 0.5
            else site.line(along[0], street, along[0], back, 1.5)
        )
        site.wood(line + rng.normal(0, 0.2, line.shape), rng.uniform(0.8, 1.3, len(line)), np.zeros(len(line), bool))
    for _ in range(int(rng.integers(1, 5)) + (number % 3 == 0)):
        t = (
            street + (back - street) * rng.uniform(behind / depth, 1.0)
            if rng.random() < 0.8
            else street + 0.12 * (back - street)
        )
        x, y, _ = site.pose(rng.uniform(*along), t)
        site.tree(x, y, rng.uniform(1.3, 4.0) if rng.random() < 0.8 else rng.uniform(3.5, 5.0), rng.random() < 0.15)


def _roof_details(site: Site, length: float, width: float, slope: float) -> tuple[Detail, ...]:
    """Chimneys, roof windows, solar panels."""
    rng = site.rng
    out = [
        Detail(rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.2, 0.2) * width, 0.8, 0.7, 1.1, (128, 112, 102))
        for _ in range(int(rng.integers(0, 3)) + int(length > 25) * 2)
    ]
    side = 1 if rng.random() < 0.5 else -1
    if rng.random() < 0.22:
        out.append(
            Detail(
                rng.uniform(-0.15, 0.15) * length, side * 0.26 * width, 0.5 * length, 0.28 * width, 0.08, (52, 58, 76)
            )
        )
    elif slope and rng.random() < 0.5:
        windows = range(int(rng.integers(1, 4)))
        out += [Detail((n - 1) * 0.24 * length, side * 0.26 * width, 0.8, 1.1, 0.05, (84, 96, 110)) for n in windows]
    return tuple(out)


def _flat_details(site: Site, length: float, width: float) -> tuple[Detail, ...]:
    """Stairheads, air conditioners, a darker or greener field in the roof."""
    rng = site.rng
    field: Colour = site.pick(palette.FLAT_ROOFS)
    out = [Detail(0, 0, length - 2.4, width - 2.4, -0.3, field)] if rng.random() < 0.6 else []
    if length > 9:
        out.append(
            Detail(rng.uniform(-0.3, 0.3) * length, rng.uniform(-0.15, 0.15) * width, 4.2, 3.2, 2.3, (150, 148, 144))
        )
    for _ in range(int(length * width / 70)):
        size = rng.uniform(0.8, 2.0)
        shade = rng.uniform(120, 205)
        place = rng.uniform(-0.42, 0.42) * length, rng.uniform(-0.38, 0.38) * width
        out.append(Detail(*place, size, size * rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.1), (shade, shade, shade)))
    return tuple(out)
