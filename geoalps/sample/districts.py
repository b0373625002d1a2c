"""Fills the cells of a plan, each once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from geoalps.sample.country import fill_fields, fill_forest, fill_park
from geoalps.sample.plan import Plan, U, V
from geoalps.sample.roads import lay_sides
from geoalps.sample.site import Site
from geoalps.sample.things import Content
from geoalps.sample.town import fill_centre, fill_suburb
from geoalps.sample.works import fill_harbour, fill_industry

FILLERS = {
    "harbour": fill_harbour,
    "centre": fill_centre,
    "suburb": fill_suburb,
    "industry": fill_industry,
    "park": fill_park,
    "fields": fill_fields,
    "forest": fill_forest,
}
"""What fills each kind of district."""


OVERHANG = 45.0
"""Metres by which things of a cell (banks, ships, crowns) may stand over its borders."""


@lru_cache(maxsize=4096)
def bounds(plan: Plan, i: int, j: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in metres: everything of cell (i, j) lies in it."""
    at = np.linspace(0, 1, 9)
    sides = [plan.side(*side, at) for side in ((i, j, U), (i, j, V), (i + 1, j, V), (i, j + 1, U))]
    points = np.concatenate(sides)
    (x0, y0), (x1, y1) = points.min(0) - OVERHANG, points.max(0) + OVERHANG
    return float(x0), float(y0), float(x1), float(y1)


@lru_cache(maxsize=192)
def content(plan: Plan, i: int, j: int) -> Content:
    """All that belongs to cell (i, j): its inside and the two sides that start at its corner."""
    site = Site(plan, i, j)
    FILLERS[plan.district(i, j)](site)
    lay_sides(site)
    return site.content()
