"""Names of classes from a few labelled places: the commonest label on each class, with the evidence for it.

    naming = name_from("out/harbour", "places.gpkg", field="class")
    relabel("out/harbour", naming.entries)

Areas are added up: a large polygon says more than a small one, and a point is one pixel. On a grid of degrees a pixel
near the equator weighs more than one near a pole.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoalps.errors import OptionError
from geoalps.grid import TileGrid
from geoalps.io.class_table import ClassEntry
from geoalps.io.product import Product
from geoalps.io.rasters import RasterReader
from geoalps.io.sampling import CellAreas
from geoalps.io.truth import UNKNOWN, Truth, open_truth
from geoalps.labeling.class_model import ClassModel
from geoalps.labeling.evaluation import WINDOW
from geoalps.labeling.scores import PairCounts
from geoalps.progress import Progress, Silence

Areas = Mapping[tuple[int, int], float]
"""Square metres (pixels without a CRS) by class id and class value of the labels."""
NEARLY = 5e-4
"""By which a share may miss what is asked: pixels of one map differ a little in area, yet 3 points of 5 are 0.6."""


@dataclass(frozen=True)
class Evidence:
    """What the labelled places say of one class."""

    class_id: int
    """Of the product."""
    before: str
    """Its name as it is."""
    proposed: str | None
    """The commonest label on it; None where there is none, or it is not common enough."""
    share: float
    """Of the labelled area on the class, that has the commonest label; NaN without any."""
    area_m2: float
    """Labelled area on the class, of all labels, in square metres; pixels without a CRS."""
    places: int
    """Labelled places that touch it, of all labels."""
    runner_up: str | None
    """The second commonest label on it."""
    runner_up_share: float
    """Its share; 0 where there is none."""


@dataclass(frozen=True)
class Naming:
    """Evidence for every class, and what becomes of the classes."""

    evidence: tuple[Evidence, ...]
    """One a class that is not merged into another, by class id."""
    entries: tuple[ClassEntry, ...]
    """One a class, by class id, as :func:`geoalps.labeling.relabelling.relabel` takes them."""
    unused: Mapping[str, float]
    """Labels that no class is named after, and their area on the product's classes."""
    unit: str
    """Of all areas: ``m2``, or ``pixels`` without a CRS."""

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        evidence = [{**asdict(row), "share": None if math.isnan(row.share) else row.share} for row in self.evidence]
        return {
            "evidence": evidence,
            "classes": [asdict(entry) for entry in self.entries],
            "unused": dict(self.unused),
            "unit": self.unit,
        }


def name_from(
    product: Product | str | Path,
    labels: str | Path,
    field: str,
    *,
    layer: str | None = None,
    min_share: float = 0.0,
    keep_apart: bool = False,
    progress: Progress | None = None,
) -> Naming:
    """Propose names for the classes of a product; nothing is changed.

    A class is named after the label that has most of its labelled area; one without evidence keeps its name. Classes of
    one name are merged into the one with the most evidence.

    Args:
        product: or its directory.
        labels: a file of polygons or points, in any reference system; see :func:`geoalps.io.truth.open_truth`.
        field: text or whole numbers: the label of each.
        layer: of a file with several.
        min_share: least share of the labelled area that names a class, 0..1, give or take NEARLY.
        keep_apart: number classes of one name (``water``, ``water 2``) and merge none.
        progress: hears of every window.

    Raises:
        ProductError: the directory holds no product.
        SceneError: the labels cannot be read, or do not overlap the product.
        OptionError: there is no such field, or no label lies on a class.
    """
    if not 0 <= min_share <= 1:
        raise OptionError(f"min_share is {min_share:g}; allowed is 0 to 1")
    product = (product if isinstance(product, Product) else Product.open(product)).need_objects()
    before = ClassModel.load(product.path).classes
    with (
        RasterReader(product.path / "labels.tif") as raster,
        open_truth(labels, raster.place, field=field, layer=layer) as truth,
    ):
        areas, places = _count(raster, truth, progress or Silence())
        names = {value: truth.class_name(value) for value in sorted({value for _, value in areas})}
        unit = "pixels" if raster.place.crs is None else "m2"
    if not areas:
        raise OptionError(f"no label of {labels} lies on a class of {product.path}; label places that have a class")
    touched = np.bincount(places.pairs()[0], minlength=len(before))
    evidence = []
    for entry in before:
        votes = {names[value]: area for (class_id, value), area in areas.items() if class_id == entry.class_id}
        if entry.merge_into is None:
            evidence.append(_weighed(entry, votes, int(touched[entry.class_id]), min_share))
    used = {row.proposed for row in evidence}
    unused = {name: _area_of(value, areas) for value, name in names.items() if name not in used}
    return Naming(tuple(evidence), _entries(before, evidence, keep_apart), unused, unit)


def _count(raster: RasterReader, truth: Truth, progress: Progress) -> tuple[Areas, PairCounts]:
    """Areas by class and label, and pixels by class and labelled place."""
    areas: defaultdict[tuple[int, int], float] = defaultdict(float)
    places, cells = PairCounts(), CellAreas(raster.place.transform, raster.place.crs)
    grid = TileGrid(raster.shape, WINDOW, 0)
    tiles = list(grid.meeting(truth.near))
    progress.start("name", len(tiles))
    for tile in tiles:
        known, classes = truth.read(tile.core), raster.read(tile.core)
        labelled = (known.classes != UNKNOWN) & (classes != np.iinfo(classes.dtype).max)
        area = np.broadcast_to(cells(tile.core), classes.shape)[labelled]
        pairs = classes[labelled].astype(np.int64) * len(truth.names) + known.classes[labelled]
        found, which = np.unique(pairs, return_inverse=True)
        for pair, amount in zip(found.tolist(), np.bincount(which, area).tolist(), strict=True):
            areas[divmod(pair, len(truth.names))] += amount
        placed = labelled & (known.instances != 0)
        places.add(classes[placed], known.instances[placed])
        progress.advance()
    return areas, places


def _area_of(label: int, areas: Areas) -> float:
    """Of one label on all classes."""
    return sum(area for (_, value), area in areas.items() if value == label)


def _weighed(entry: ClassEntry, votes: Mapping[str, float], places: int, min_share: float) -> Evidence:
    """The commonest label of a class; of two equally common ones, the first by alphabet."""
    total = sum(votes.values())
    order = sorted(votes, key=lambda name: (-votes[name], name))
    share = votes[order[0]] / total if order else math.nan
    second = order[1] if len(order) > 1 else None
    return Evidence(
        class_id=entry.class_id,
        before=entry.class_name,
        proposed=order[0] if order and share >= min_share - NEARLY else None,
        share=share,
        area_m2=total,
        places=places,
        runner_up=second,
        runner_up_share=votes[second] / total if second else 0.0,
    )


def _entries(before: Sequence[ClassEntry], evidence: Sequence[Evidence], keep_apart: bool) -> tuple[ClassEntry, ...]:
    """The classes with their new names; those of one name merged, or numbered.

    The class with the largest area for a name has it. One that has the name already, without evidence, counts too.
    """
    after = {entry.class_id: entry for entry in before}
    wanted = {row.class_id: row.proposed or row.before for row in evidence}
    support = {row.class_id: row.share * row.area_m2 if row.proposed else 0.0 for row in evidence}
    holders: dict[str, int] = {}
    taken = set(wanted.values())
    for class_id in sorted(wanted, key=lambda number: (-support[number], number)):
        name = wanted[class_id]
        holder = holders.setdefault(name, class_id)
        if holder == class_id:
            after[class_id] = replace(after[class_id], class_name=name)
        elif keep_apart:
            after[class_id] = replace(after[class_id], class_name=_numbered(name, taken))
        else:
            after[class_id] = replace(after[class_id], merge_into=holder)
    # what was merged into a class that is merged now goes on with it
    return tuple(_followed(after[entry.class_id], after) for entry in before)


def _numbered(name: str, taken: set[str]) -> str:
    """``water 2``, or the first number that is free; it is taken then."""
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    taken.add(f"{name} {number}")
    return f"{name} {number}"


def _followed(entry: ClassEntry, after: Mapping[int, ClassEntry]) -> ClassEntry:
    """An entry merged into the last of a chain."""
    into = entry.merge_into
    while into is not None and after[into].merge_into is not None:
        into = after[into].merge_into
    return replace(entry, merge_into=into)
