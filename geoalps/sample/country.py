"""Where things grow: fields and farms, forests, parks."""

from __future__ import annotations

import math

import numpy as np

from geoalps.sample import palette
from geoalps.sample.roads import ASPHALT, GROUND, LOT, MARK, PLOT, WATERSIDE
from geoalps.sample.site import Site, ribbon
from geoalps.sample.things import FIELD, OTHER, ROAD, WATER, Points
from geoalps.sample.town import house

Box = tuple[float, float, float, float]
"""s0, t0, s1, t1: a rectangle of a cell's parameters."""


def fill_fields(site: Site) -> None:
    """Fields of different crops, with strips of grass, hedges and single trees between them; perhaps a farm."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.VERGE)
    box = site.inset(1.5)
    farm: Box | None = None
    if rng.random() < 0.3:
        a, b = 62 / site.breadth, 56 / site.depth
        left, top = rng.random() < 0.5, rng.random() < 0.5
        s, t = (box[0] if left else box[2] - a), (box[1] if top else box[3] - b)
        farm = (s, t, s + a, t + b)
    for plot in split(site, box, rng.uniform(7000, 30000)):
        gap_s, gap_t = rng.uniform(0.6, 2.2) / site.breadth, rng.uniform(0.6, 2.2) / site.depth
        lay_field(site, (plot[0] + gap_s, plot[1] + gap_t, plot[2] - gap_s, plot[3] - gap_t))
        if rng.random() < 0.3:
            hedge(site, plot)
    if farm:
        lay_farm(site, farm)


def split(site: Site, box: Box, area: float) -> list[Box]:
    """Cut a rectangle across its longer side until every piece is smaller than ``area`` square metres."""
    length, width = (box[2] - box[0]) * site.breadth, (box[3] - box[1]) * site.depth
    if length * width < area or min(length, width) < 30:
        return [box]
    cut = site.rng.uniform(0.32, 0.68)
    if length * site.rng.uniform(0.6, 1.6) > width:
        middle = box[0] + (box[2] - box[0]) * cut
        halves = (box[0], box[1], middle, box[3]), (middle, box[1], box[2], box[3])
    else:
        middle = box[1] + (box[3] - box[1]) * cut
        halves = (box[0], box[1], box[2], middle), (box[0], middle, box[2], box[3])
    return [piece for half in halves for piece in split(site, half, area)]


def lay_field(site: Site, box: Box) -> None:
    """One field: a crop with rows along one of its sides, borders that are not quite straight."""
    rng = site.rng
    crop = palette.CROPS[int(rng.integers(len(palette.CROPS)))]
    _, _, angle = site.pose((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    length, width = (box[2] - box[0]) * site.breadth, (box[3] - box[1]) * site.depth
    across = angle + (math.pi / 2 if length > width * rng.uniform(0.7, 1.3) else 0.0)
    look = crop._replace(
        colour=site.pick((crop.colour,)),
        row_depth=crop.row_depth * rng.uniform(0.7, 1.3),
        row_spacing=crop.row_spacing * rng.uniform(0.9, 1.25),
        row_angle=across + rng.normal(0, 0.015),
    )
    outline = site.quad(*box)
    site.ground(PLOT, outline + rng.normal(0, 0.5, outline.shape), look, FIELD, site.number())


def hedge(site: Site, box: Box) -> None:
    """Trees and bushes along one side of a field."""
    rng = site.rng
    line = (
        site.line(box[0], box[1], box[2], box[1], 3.2)
        if rng.random() < 0.5
        else site.line(box[0], box[1], box[0], box[3], 3.2)
    )
    line = line[rng.random(len(line)) < rng.choice([0.25, 0.6, 0.9])]
    radius = rng.uniform(1.2, 3.6, len(line))
    site.wood(line + rng.normal(0, 0.6, line.shape), radius, rng.random(len(line)) < 0.05)


def lay_farm(site: Site, box: Box) -> None:
    """A yard with a house, barns and trees."""
    rng = site.rng
    site.ground(PLOT + 1, site.quad(*box), palette.LAWN)
    s0, t0, s1, t1 = box
    inner = s0 + 0.1 * (s1 - s0), t0 + 0.12 * (t1 - t0), s1 - 0.1 * (s1 - s0), t1 - 0.1 * (t1 - t0)
    site.ground(LOT, site.quad(*inner), palette.GRAVEL if rng.random() < 0.6 else palette.OLD_ASPHALT)
    spots = [(0.25, 0.22, 0.0), (0.78, 0.45, math.pi / 2), (0.3, 0.78, 0.0)]
    for n, (a, b, turn) in enumerate(spots):
        x, y, angle = site.pose(s0 + a * (s1 - s0), t0 + b * (t1 - t0))
        if n == 0:
            house(site, (x, y, angle), rng.uniform(12, 16), 10, int(rng.integers(4)))
        elif rng.random() < 0.85:
            colour = site.pick(palette.TILES if rng.random() < 0.6 else palette.HALL_ROOFS[2:6])
            site.block((x, y, angle + turn), rng.uniform(18, 30), rng.uniform(10, 14), 5.5, "gable", colour, 0.45, 1.2)
    for _ in range(int(rng.integers(6, 14))):
        x, y, _ = site.pose(rng.uniform(s0, s1), float(rng.choice([t0, t1])) + rng.normal(0, 4) / site.depth)
        site.tree(x, y, rng.uniform(1.8, 4.5))
    for _ in range(int(rng.integers(0, 4))):
        x, y, angle = site.pose(s0 + rng.uniform(0.4, 0.62) * (s1 - s0), t0 + rng.uniform(0.35, 0.6) * (t1 - t0))
        (site.car if rng.random() < 0.7 else site.lorry)(x, y, angle + rng.uniform(0, math.pi))


def fill_forest(site: Site) -> None:
    """Crown by crown, in stands of leaf trees and conifers, with a glade now and then."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.VERGE)
    s0, t0, s1, t1 = site.inset(1.0)
    outline = site.quad(s0, t0, s1, t1)
    site.ground(PLOT, outline + rng.normal(0, 1.2, outline.shape), palette.FOREST_FLOOR)
    space = rng.uniform(4.9, 5.9)
    s, t = np.meshgrid(np.arange(s0, s1, space / site.breadth), np.arange(t0, t1, space / site.depth))
    s = np.clip(s.ravel() + rng.uniform(-0.45, 0.45, s.size) * space / site.breadth, s0, s1)
    t = np.clip(t.ravel() + rng.uniform(-0.45, 0.45, t.size) * space / site.depth, t0, t1)
    stand = np.cos(rng.uniform(4, 9) * s + rng.uniform(0, 6)) + np.cos(rng.uniform(4, 9) * t + rng.uniform(0, 6))
    keep = rng.random(s.size) < 0.94
    if rng.random() < 0.6:
        a, b, size = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.06, 0.15)
        away = np.hypot(s - a, (t - b) * rng.uniform(0.6, 1.6))
        keep &= away > size * (1 + 0.3 * rng.standard_normal(s.size) * 0.4)
        x, y, _ = site.pose(a, b)
        site.ground(PLOT + 1, site.shore(x, y, size * site.breadth * 1.05, 0.2), palette.MEADOW)
    needles = stand + rng.normal(0, 0.35, s.size) > rng.uniform(0.2, 1.4)
    radius = np.where(needles, rng.uniform(1.9, 3.2, s.size), rng.uniform(2.2, 4.8, s.size))
    site.wood(site.at(s[keep], t[keep]), radius[keep], needles[keep])


def fill_park(site: Site) -> None:
    """A lake or pond, paths, lawns, clumps of trees, perhaps a football pitch."""
    rng = site.rng
    site.ground(GROUND, site.quad(0, 0, 1, 1), palette.LAWN._replace(colour=site.pick(palette.GARDENS[:3])))
    s0, t0, s1, t1 = site.inset(4.0)
    for _ in range(int(rng.integers(3, 7))):
        glade = site.at([rng.uniform(s0 + 0.1, s1 - 0.1)], [rng.uniform(t0 + 0.1, t1 - 0.1)])[0]
        rough = (palette.MEADOW, palette.VERGE)[int(rng.integers(2))]
        site.ground(GROUND + 1, site.shore(float(glade[0]), float(glade[1]), rng.uniform(10, 26), 0.5), rough)
    reach = rng.uniform(22, 62)
    centre = site.at([rng.uniform(0.36, 0.64)], [rng.uniform(0.36, 0.64)])[0]
    taken = [(centre, reach * 1.4 + 7)]
    way = lay_lake(site, centre, reach) if rng.random() < 0.65 else lay_square(site, centre)
    pitch = lay_pitch(site, centre, reach) if rng.random() < 0.7 else None
    if pitch is not None:
        taken.append((pitch, 58.0))
    for s, t in ((s0, t0), (s1, t0), (s1, t1), (s0, t1)):
        start = site.at([s], [t])[0]
        if rng.random() < 0.75 and (pitch is None or np.hypot(*(pitch - start)) > 110):
            lay_path(site, start, way)
    for _ in range(int(rng.integers(40, 75))):
        clump(site, taken)


def lay_lake(site: Site, centre: Points, reach: float) -> Points:
    """Water with a reedy bank and a path around it; returns the path."""
    x, y = centre
    shore = site.shore(float(x), float(y), reach, site.rng.uniform(0.25, 0.6))
    angle, long = site.rng.uniform(0, math.pi), site.rng.uniform(0.55, 1.0)
    axis = np.array([[math.cos(angle), math.sin(angle)]])
    shore = shore - (1 - long) * ((shore - centre) @ axis.T) * axis
    site.ground(PLOT, centre + (shore - centre) * (1 + 4.5 / reach), palette.BANK)
    site.ground(WATERSIDE, shore, palette.LAKE, WATER, site.number())
    way: Points = centre + (shore - centre) * (1 + 12 / reach)
    site.ground(ASPHALT - 1, ribbon(np.concatenate([way, way[:1]]), 2.4), palette.GRAVEL, ROAD, site.number())
    return way


def lay_square(site: Site, centre: Points) -> Points:
    """A round place of gravel with a bed in its middle; returns its border."""
    x, y = centre
    border = site.shore(float(x), float(y), site.rng.uniform(7, 14), 0.0)
    site.ground(ASPHALT - 1, border, palette.GRAVEL)
    site.ground(ASPHALT, centre + (border - centre) * 0.45, palette.LAWN)
    return border


def lay_path(site: Site, start: Points, way: Points) -> None:
    """A bent path from a place to the nearest point of a way."""
    end = way[int(np.argmin(np.hypot(*(way - start).T)))]
    k = np.linspace(0, 1, 20)[:, None]
    bend = np.array([end[1] - start[1], start[0] - end[0]]) * site.rng.uniform(-0.2, 0.2)
    line = start + (end - start) * k + bend * (4 * k * (1 - k))
    site.ground(ASPHALT - 1, ribbon(line, 2.2), palette.GRAVEL, ROAD, site.number())


def clump(site: Site, taken: list[tuple[Points, float]]) -> None:
    """A few trees together, outside of the circles (centre, metres) that are taken."""
    rng = site.rng
    s0, t0, s1, t1 = site.inset(5.0)
    middle = site.at([rng.uniform(s0, s1)], [rng.uniform(t0, t1)])
    places = middle + rng.normal(0, 6, (int(rng.integers(1, 8)), 2))
    for centre, free in taken:
        places = places[np.hypot(*(places - centre).T) > free]
    site.wood(places, rng.uniform(2, 5.2, len(places)), rng.random(len(places)) < 0.2)


def lay_pitch(site: Site, centre: Points, reach: float) -> Points | None:
    """A football pitch with mowing stripes and white lines, off the lake; its centre, or None for want of room."""
    s0, t0, s1, t1 = site.inset(3.0)
    quarters = [(s, t, s + (s1 - s0) / 2, t + (t1 - t0) / 2) for s in (s0, (s0 + s1) / 2) for t in (t0, (t0 + t1) / 2)]
    places = [site.room(quarter) for quarter in quarters]
    (x, y, angle), length, width = max(places, key=lambda place: float(np.hypot(*(np.array(place[0][:2]) - centre))))
    middle = np.array([x, y])
    if length < 96 or width < 62 or np.hypot(*(middle - centre)) < reach * 1.4 + 55:
        return None
    along = np.array([math.cos(angle), math.sin(angle)])
    right = np.array([-along[1], along[0]])

    def stretch(a0: float, b0: float, a1: float, b1: float) -> Points:
        """(2, 2) map coordinates of a line's ends, given in metres along and across the pitch from its middle."""
        return np.array([middle + a * along + b * right for a, b in ((a0, b0), (a1, b1))])

    look = palette.PITCH._replace(row_angle=angle)
    site.ground(LOT, ribbon(stretch(-48, 0, 48, 0), 62), look, OTHER)
    lines = [(-43, -27, 43, -27), (-43, 27, 43, 27), (-43, -27, -43, 27), (43, -27, 43, 27), (0, -27, 0, 27)]
    for side in (-1, 1):
        lines += [(side * 43, -13, side * 30, -13), (side * 43, 13, side * 30, 13), (side * 30, -13, side * 30, 13)]
    for line in lines:
        site.ground(MARK, ribbon(stretch(*line), 0.4), palette.PAINT, paint=True)
    return middle
