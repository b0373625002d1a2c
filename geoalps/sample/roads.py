"""Roads, bridges and rivers: what lies along the lines of the plan."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample import palette
from geoalps.sample.plan import ROAD_WIDTH, U, V
from geoalps.sample.site import LOCAL, Site, first_number, resample, ribbon
from geoalps.sample.things import OTHER, ROAD, WATER, Points
from geoalps.sample.vessels import boat

GROUND, PLOT, BANK, WATERSIDE = 0, 2, 4, 6
LOT, QUAY, BASIN, DECK, WALK, ASPHALT, MARK = 10, 11, 12, 13, 14, 16, 18
"""Layers of patches; those below 10 get wobbly borders."""


def lay_sides(site: Site) -> None:
    """The two sides that a cell owns: those that start at its corner (i, j)."""
    plan, i, j = site.plan, site.i, site.j
    at = np.linspace(0, 1, 31)
    for axis in (U, V):
        rank, line = plan.rank(i, j, axis), plan.side(i, j, axis, at)
        if rank == "river":
            lay_river(site, line)
        elif rank != "none":
            urban = any(plan.district(*cell) not in ("fields", "forest") for cell in plan.beside(i, j, axis))
            bridge = axis == U and (plan.is_river(i) or plan.is_river(i + 1))
            number = lay_road(site, line, rank, urban, crossings=urban and not bridge)
            if axis == U:
                lay_bridges(site, line, ROAD_WIDTH[rank], number)


def lay_river(site: Site, line: Points) -> None:
    """Banks and water along a lattice line; all of one river is one instance."""
    number = river_number(site, site.i)
    wide = ROAD_WIDTH["river"]
    k = np.arange(len(line)) / (len(line) - 1)
    # The width must agree where two sides meet, so it swells only in between.
    swell = 1 + site.rng.uniform(-0.12, 0.25) * 16 * (k * (1 - k)) ** 2
    for layer, width, surface, kind, instance in (
        (BANK, wide + 9, palette.BANK, OTHER, 0),
        (WATERSIDE, wide, palette.RIVER, WATER, number),
    ):
        band = ribbon(line, width)
        half = (band - np.concatenate([line, line[::-1]])) * np.concatenate([swell, swell[::-1]])[:, None]
        site.ground(layer, half + np.concatenate([line, line[::-1]]), surface, kind, instance)
    places, angles = resample(line[3:-3], 24.0)
    for (x, y), angle in zip(places, angles, strict=True):
        for side in (-1, 1):
            if site.rng.random() < 0.55 and not (side < 0 and site.plan.district(site.i, site.j) == "harbour"):
                away = side * (wide / 2 * 1.05 + site.rng.uniform(5, 9))
                site.tree(x - away * math.sin(angle), y + away * math.cos(angle), site.rng.uniform(2.2, 4.6))
        if site.rng.random() < 0.16:
            shift = site.rng.uniform(-11, 11)
            heading = angle + (math.pi if shift < 0 else 0.0)
            place = float(x - shift * math.sin(angle)), float(y + shift * math.cos(angle))
            site.ships.append(boat(site, place, heading, site.rng.uniform(7, 34), moving=True))


def river_number(site: Site, i: int) -> int:
    """Instance id of the river along lattice line i, the same from every cell."""
    return first_number(site.plan, i, site.plan.home[1]) + LOCAL - 1


def lay_bridges(site: Site, line: Points, width: float, number: int) -> None:
    """The deck over each end of a side where a river runs; it throws a shadow."""
    for end, river in ((line, site.i), (line[::-1], site.i + 1)):
        if site.plan.is_river(river):
            length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(end, axis=0).T))])
            # It rises in steps too low to throw shadows along the road.
            for step in range(9):
                places = np.linspace(0, ROAD_WIDTH["river"] * 0.62 - 2.0 * step, 12)
                near = np.column_stack([np.interp(places, length, end[:, k]) for k in (0, 1)])
                # The decks of both sides overlap where they meet, or the gap would show as a shadow.
                near[0] -= (near[1] - near[0]) / np.hypot(*(near[1] - near[0]))
                site.ground(DECK, ribbon(near, width + 4.4), palette.CONCRETE, ROAD, number, height=0.35 * (step + 1))


def lay_road(site: Site, line: Points, rank: str, urban: bool, crossings: bool = True) -> int:
    """A road with what belongs to its rank: pavement, lane marks, trees, vehicles; returns its instance id."""
    width, number = ROAD_WIDTH[rank], site.number()
    if rank == "track":
        site.ground(ASPHALT - 1, ribbon(line, width), palette.DIRT, ROAD, number)
        site.ground(MARK, ribbon(line, 0.7), palette.VERGE, paint=True)
        return number
    if urban and rank != "lane":
        site.ground(WALK, ribbon(line, width + 4.0), palette.PAVEMENT)
    elif rank != "lane":
        site.ground(PLOT, ribbon(line, width + 6.0), palette.VERGE)
    surface = palette.ASPHALT if rank == "arterial" or site.rng.random() < 0.4 else palette.OLD_ASPHALT
    site.ground(ASPHALT, ribbon(line, width), surface, ROAD, number)
    if rank != "lane":
        lay_marks(site, line, width, rank, crossings)
    lay_traffic(site, line, width, rank)
    if urban and site.rng.random() < 0.65:
        lay_avenue(site, line, width)
    return number


def lay_marks(site: Site, line: Points, width: float, rank: str, crossings: bool) -> None:
    """Broken centre line, solid borders on arterials, worn patches; nothing on the junctions at both ends."""
    start, stop = (14.0, 14.0) if rank == "arterial" else (9.0, 9.0)
    total = float(np.hypot(*np.diff(line, axis=0).T).sum())
    points, angles = resample(line, 9.0)
    shifts = (-width / 4, 0.0, width / 4) if rank == "arterial" else (0.0,)
    for n, ((x, y), angle) in enumerate(zip(points, angles, strict=True)):
        if not start < 9.0 * n + 4.5 < total - stop:
            continue
        dx, dy = math.cos(angle), math.sin(angle)
        for shift in shifts:
            half = 4.5 if rank == "arterial" and shift == 0 else 1.6
            centre = np.array([x - shift * dy, y + shift * dx])
            ends = np.array([centre - np.array([dx, dy]) * half, centre + np.array([dx, dy]) * half])
            site.ground(MARK, ribbon(ends, 0.34), palette.PAINT if rank == "arterial" else palette.FADED, paint=True)
        if site.rng.random() < 0.06:
            length, across = site.rng.uniform(3, 14), site.rng.uniform(-0.3, 0.3) * width
            centre = np.array([x - across * dy, y + across * dx])
            ends = np.array([centre, centre + np.array([dx, dy]) * length])
            tar = palette.ASPHALT._replace(colour=(96, 96, 97) if site.rng.random() < 0.6 else (126, 125, 122))
            site.ground(MARK - 1, ribbon(ends, site.rng.uniform(1.2, 2.8)), tar, paint=True)
    for near in (points, points[::-1]):
        if crossings and len(near) > 4 and site.rng.random() < 0.4:
            lay_crossing(site, near[1], near[2], width)


def lay_crossing(site: Site, here: Points, there: Points, width: float) -> None:
    """A zebra crossing before a junction."""
    ahead = (there - here) / np.hypot(*(there - here))
    right = np.array([-ahead[1], ahead[0]])
    for shift in np.arange(-width / 2 + 0.8, width / 2 - 0.4, 1.1):
        centre = here + right * shift
        ends = np.array([centre - ahead * 1.5, centre + ahead * 1.5])
        site.ground(MARK, ribbon(ends, 0.55), palette.PAINT, paint=True)


def lay_traffic(site: Site, line: Points, width: float, rank: str) -> None:
    """Vehicles that drive on the right, in every lane."""
    lanes = (0.12, 0.37) if rank == "arterial" else (0.25,)
    share = {"arterial": 0.20, "street": 0.11, "lane": 0.05}[rank]
    for lane in lanes:
        for side in (-1, 1):
            points, angles = resample(line[1:-1], 16.0)
            for (x, y), angle in zip(points, angles, strict=True):
                if site.rng.random() > share:
                    continue
                away, slip = side * lane * width, site.rng.uniform(-3, 3)
                place = (
                    x - away * math.sin(angle) + slip * math.cos(angle),
                    y + away * math.cos(angle) + slip * math.sin(angle),
                )
                heading = angle + (0.0 if side > 0 else math.pi)
                (site.lorry if rank == "arterial" and site.rng.random() < 0.18 else site.car)(*place, heading)


def lay_avenue(site: Site, line: Points, width: float) -> None:
    """Trees along both sides."""
    step, size = site.rng.uniform(9, 15), site.rng.uniform(2.2, 3.6)
    points, angles = resample(line[2:-2], step)
    for (x, y), angle in zip(points, angles, strict=True):
        for side in (-1, 1):
            if site.rng.random() < 0.6:
                away = side * (width / 2 + 3.2)
                site.tree(x - away * math.sin(angle), y + away * math.cos(angle), size * site.rng.uniform(0.75, 1.2))
