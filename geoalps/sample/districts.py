"""Fills the cells of a plan, each once."""

from __future__ import annotations

from functools import lru_cache

from geoalps.sample.country import fill_fields, fill_forest, fill_park
from geoalps.sample.plan import Plan
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


@lru_cache(maxsize=192)
def content(plan: Plan, i: int, j: int) -> Content:
    """All that belongs to cell (i, j): its inside and the two sides that start at its corner."""
    site = Site(plan, i, j)
    FILLERS[plan.district(i, j)](site)
    lay_sides(site)
    return site.content()
