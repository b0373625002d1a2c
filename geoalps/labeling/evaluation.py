"""A product against the truth: every figure that needs both, counted in one pass over windows.

    evaluation = evaluate("out/harbour", "truth.gpkg", field="class", background="other")
    evaluation.majority.mean_iou, evaluation.objects.recall.recall50

Classes are scored where the truth is known. A map that a person has named is scored by its names as well. Where the
truth has outlines, the objects are held against them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError, ProductError
from geoalps.grid import TileGrid
from geoalps.io.product import Product
from geoalps.io.rasters import RasterReader
from geoalps.io.truth import Truth, open_truth
from geoalps.labeling import scores
from geoalps.labeling.scores import InstanceMatches, Matching, Recall
from geoalps.labeling.tallying import RADIUS, Tally, kept, listed, refuse_unknown, tally
from geoalps.progress import Progress

__all__ = ["RADIUS", "WINDOW", "Cluster", "Evaluation", "ObjectScores", "TrueClass", "evaluate", "evaluation_of"]

WINDOW = 1024
"""Side in pixels of the windows that are held at a time."""
MOST_CLASSES = 65_535
"""Kinds of the truth; more of them are numbers of instances."""


@dataclass(frozen=True)
class TrueClass:
    """A class of the truth."""

    value: int
    """In the raster; in a file of features, its place among the classes."""
    name: str
    """Category name, number, or the field's value."""
    pixels: int
    """Scored."""


@dataclass(frozen=True)
class Cluster:
    """A class of the product."""

    class_id: int | None
    """None: pixels without a label."""
    name: str
    """As in the product."""
    pixels: int
    """Scored."""


@dataclass(frozen=True, eq=False)
class ObjectScores:
    """Objects against true outlines."""

    matches: InstanceMatches
    """Per instance."""
    boundary_recall: float
    """Share of the instances' border pixels with an object's border within RADIUS pixels; NaN without any."""
    boundary_chance: float
    """Share of all pixels of objects that have one so near: what a border drawn at random would reach."""

    @property
    def recall(self) -> Recall:
        """Of all instances."""
        return self.matches.recall()

    @property
    def by_size(self) -> dict[str, Recall]:
        """Of small, middle and large ones, by pixels as COCO parts them."""
        return self.matches.by_size()

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        found = self.matches
        return {
            **_recall_json(self.recall),
            "by_size": {name: _recall_json(recall) for name, recall in self.by_size.items()},
            "boundary_recall": _number(self.boundary_recall),
            "boundary_chance": _number(self.boundary_chance),
            "objects": found.objects,
            "objects_per_mpx": found.objects / found.pixels * 1e6,
            "coverage": found.covered / found.pixels,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures of a product."""

    product: str
    """Its directory."""
    truth: str
    """The truth's file."""
    classes: tuple[TrueClass, ...]
    """Columns of the table; those with scored pixels."""
    clusters: tuple[Cluster, ...]
    """Rows of the table; those with scored pixels, pixels without a label last."""
    table: NDArray[np.int64]
    """(clusters, classes) scored pixels."""
    one_to_one: Matching
    """Hungarian."""
    majority: Matching
    """Many-to-one."""
    by_name: Matching | None
    """Each cluster is the class that it is named after; None when no name is one of the truth's."""
    objects: ObjectScores | None
    """None when the truth has no outlines."""

    @property
    def pixels(self) -> int:
        """Scored pixels."""
        return int(self.table.sum())

    @property
    def uncovered(self) -> float:
        """Share of the scored pixels that has no label."""
        return sum(cluster.pixels for cluster in self.clusters if cluster.class_id is None) / self.pixels

    @property
    def purity(self) -> float:
        """Share of the scored pixels that are of their cluster's commonest class."""
        return self.majority.overall_accuracy

    @property
    def nmi(self) -> float:
        """Normalised mutual information, arithmetic mean."""
        return scores.mutual_information(self.table)

    @property
    def ari(self) -> float:
        """Adjusted Rand index."""
        return scores.rand_index(self.table)

    @property
    def matchings(self) -> dict[str, Matching]:
        """Those that there are, by name."""
        both = {"one_to_one": self.one_to_one, "majority": self.majority}
        return both if self.by_name is None else {**both, "by_name": self.by_name}

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values; what is not defined is null."""
        return {
            "product": self.product,
            "truth": self.truth,
            "pixels": self.pixels,
            "uncovered": self.uncovered,
            "classes": [asdict(entry) for entry in self.classes],
            "clusters": [asdict(entry) for entry in self.clusters],
            "table": self.table.tolist(),
            **{name: self._matching_json(matching) for name, matching in self.matchings.items()},
            "purity": self.purity,
            "NMI": self.nmi,
            "ARI": self.ari,
            "objects": self.objects.to_json() if self.objects else None,
        }

    def _matching_json(self, found: Matching) -> dict[str, Any]:
        """Means, figures per class, and which class each cluster stands for."""
        names = [entry.name for entry in self.classes]
        figures = zip(names, found.iou, found.precision, found.recall, strict=True)
        return {
            "OA": found.overall_accuracy,
            "mIoU": found.mean_iou,
            "mAcc": found.mean_accuracy,
            "per_class": [
                {"name": name, "IoU": _number(iou), "precision": _number(precision), "recall": _number(recall)}
                for name, iou, precision, recall in figures
            ],
            "match": [names[column] if column >= 0 else None for column in found.match],
            "confusion": found.confusion.tolist(),
        }


def _recall_json(recall: Recall) -> dict[str, Any]:
    """Its fields, null where there are no instances."""
    return {name: value if name == "instances" else _number(value) for name, value in asdict(recall).items()}


def _number(value: float) -> float | None:
    """A figure for JSON, which knows no NaN."""
    return float(value) if math.isfinite(value) else None


def evaluate(
    product: Product | str | Path,
    truth: str | Path,
    *,
    field: str | None = None,
    ignore: Iterable[int | str] = (),
    instances: str | Path | None = None,
    background: str | None = None,
    layer: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Hold a product against the truth.

    Args:
        product: or its directory; scored is what ``labels.tif`` shows, merged classes as one.
        truth: a raster of class values, or a file of polygons or points, in any reference system and resolution; see
            :func:`geoalps.io.truth.open_truth`.
        field: of the features, their class; by default ``class``.
        ignore: classes of the truth that are not scored, by value or name.
        instances: raster of instance numbers beside a raster of classes, in any reference system and resolution too.
        background: class of all that lies outside of the features.
        layer: of a file with several.
        progress: hears of every window.

    Raises:
        ProductError: the directory holds no product.
        SceneError: the truth cannot be read, or does not overlap the product.
        OptionError: an option does not fit the truth, or nothing of it is left to score.
    """
    product = product if isinstance(product, Product) else Product.open(product)
    asked: dict[str, Any] = {"field": field, "layer": layer, "background": background, "instances": instances}
    with (
        RasterReader(product.path / "labels.tif") as labels,
        RasterReader(product.path / "objects.tif") as objects,
        open_truth(truth, labels.place, **asked) as known,
    ):
        words = [str(word) for word in ignore]
        if known.names:  # before hours of reading
            refuse_unknown(words, known, known.names)
        counts = tally(labels.read, objects.read, known, TileGrid(labels.shape, WINDOW, 0), progress)
        return evaluation_of(counts, known, _names(product), str(product.path), words)


def _names(product: Product) -> dict[int, str]:
    """Class names of a product by id."""
    return {int(row.class_id): str(row.class_name) for row in product.classes().itertuples()}


def evaluation_of(
    counts: Tally, truth: Truth, names: dict[int, str], product: str, ignore: Iterable[int | str] = ()
) -> Evaluation:
    """The figures of what was counted; arguments and errors as of :func:`evaluate`."""
    label, value, pixels = counts.classes.pairs()
    if len(value) and len(np.unique(value)) > MOST_CLASSES:
        raise OptionError(f"{truth.name} has over {MOST_CLASSES} classes; are they instances? see --field, --instances")
    scored = kept(value, truth, [str(entry) for entry in ignore])
    if not scored.any():
        raise OptionError(
            f"no pixel of {truth.name} is left to score: on the product lies only what it does not know or what is "
            f"ignored; it has {listed({truth.class_name(int(v)) for v in value})} there"
        )
    rows, columns, table = scores.dense(label[scored], value[scored], pixels[scored])
    # pixels without a label last: the order in which the Hungarian method meets equals
    order = np.argsort(rows < 0, kind="stable")
    rows, table = rows[order], table[order]
    if unknown := [int(row) for row in rows if row >= 0 and int(row) not in names]:
        raise ProductError(f"{product}/labels.tif holds class {unknown[0]}, which its table of classes does not have")
    classes = tuple(
        TrueClass(int(v), truth.class_name(int(v)), int(n)) for v, n in zip(columns, table.sum(0), strict=True)
    )
    clusters = tuple(
        Cluster(row, names[row], n) if row >= 0 else Cluster(None, "no label", n)
        for row, n in zip(rows.tolist(), table.sum(1).tolist(), strict=True)
    )
    void = rows < 0
    matchings = scores.one_to_one(table, void), scores.majority(table, void), _by_name(table, clusters, classes)
    return Evaluation(product, truth.name, classes, clusters, table, *matchings, _object_scores(counts, truth))


def _by_name(table: NDArray[np.int64], clusters: Sequence[Cluster], classes: Sequence[TrueClass]) -> Matching | None:
    """Clusters stand for what they are named; ``water 2``, a second class of water, for ``water``."""
    column = {entry.name.strip().casefold(): number for number, entry in enumerate(classes)}
    match = np.full(len(clusters), -1)
    for row, cluster in enumerate(clusters):
        name = cluster.name.strip().casefold()
        if cluster.class_id is not None:
            match[row] = column.get(name, column.get(re.sub(r" \d+$", "", name), -1))
    return scores.matching(table, match) if (match >= 0).any() else None


def _object_scores(counts: Tally, truth: Truth) -> ObjectScores | None:
    """Of a truth with outlines on the product; those of points are none."""
    matches = InstanceMatches.of(*counts.objects.pairs())
    if not truth.has_instances or not len(matches.ids):
        return None
    near, border, near_covered, covered = counts.border.tolist()
    return ObjectScores(matches, near / border if border else math.nan, near_covered / covered if covered else math.nan)
