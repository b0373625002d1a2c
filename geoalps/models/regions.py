"""The ``regions`` segmenter: needs no GPU and no download.

    gradient superpixels -> adjacency graph -> small regions eliminated -> affinities of a small network
    -> merging tree -> every node scored -> best cut -> descriptors

The segments are a partition of the valid pixels; the embeddings are hand-made descriptors, one per segment. Both
models, 2.6 MB that come with geoalps, were trained on made chips alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.choice import Scorer, choose, hand_scores
from geoalps.models.descriptors import NAMES, describe
from geoalps.models.hierarchy import RegionGraph, RegionTree, eliminate, merge_tree
from geoalps.models.nodes import describe_nodes
from geoalps.models.order import ordered_tree
from geoalps.models.superpixels import basins, fill_invalid, gradients, lab, lab_exact
from geoalps.protocols import Bands, Image, Mask, PooledEmbeddings, Sample
from geoalps.segments import Segments

if TYPE_CHECKING:
    from geoalps.models.affinity_net import AffinityNet

Float = NDArray[np.float32]
Int = NDArray[np.int64]

CHOICES = ("learned", "hand", "cut")
"""How nodes of the tree are chosen: by trained scores, by hand-made ones (a control), or by one horizontal cut."""
FINE = 0.5
"""Metres: pixels that are no larger show things with all that is on them."""
FURTHER = 3.0
"""How many bands like lightness all further bands count for together: as many as there are of colour."""
NET_FILE, SCORER_FILE = "affinity_net.safetensors", "choice.json"
"""What a directory of weights holds."""


@dataclass(frozen=True, eq=False)
class WindowTree:
    """A merging tree of one window, and what it was made from."""

    tree: RegionTree
    graph: RegionGraph
    """Of the tree's leaves."""
    labels: NDArray[np.int32]
    """(h, w) int32: which leaf, 1..n, each pixel is part of; 0 where invalid."""
    colour: Float
    """(3, h, w) float32 L*a*b*."""
    gradient: Float
    """(h, w) float32: of the smoothed colour, per pixel."""
    slopes: Float
    """(2, h, w) float32: of the smoothed lightness down the rows and along the columns."""


@dataclass(frozen=True)
class RegionSegmenter:
    """Regions that look like one thing each; see the module's docstring."""

    granularity: float = 1.0
    """The dial from coarse, below 1, to fine, above: by how much it multiplies ``regions_per_mpx``. What is chosen
    follows it less than in proportion: a thing that stands out stays one at any setting near."""
    choice: str = "learned"
    """One of ``CHOICES``."""
    affinity: bool = True
    """Whether the network is asked; False merges by colour and gradient alone, and loads no torch."""
    weights: str | None = None
    """Directory with models of one's own (``python -m geoalps.training``); None is what comes with geoalps."""
    regions_per_mpx: float = 300.0
    """Regions per million valid pixels of the horizontal cut that the best cut keeps near, at granularity 1."""
    altitude: float | None = None
    """Merging cost of that cut in every tile; :meth:`adapted` finds it for a scene. None goes by each window's own
    regions_per_mpx: then a tile of fields is cut as fine as a tile of roofs, and seams show."""
    smallest: int = 24
    """Pixels below which a region is given to its likest neighbour before anything is merged."""
    smoothing: float = 0.7
    """Standard deviation in pixels of the Gaussian before the gradient."""
    all_bands: bool = True
    """Whether borders are also looked for in what the image does not show: further bands, more than 8 bits."""

    partition = True

    def __post_init__(self) -> None:
        if not 0.01 <= self.granularity <= 100:
            raise OptionError(
                f"granularity is {self.granularity:g}; allowed is 0.01 (coarse) to 100 (fine), usual is 1"
            )
        if self.choice not in CHOICES:
            raise OptionError(f"choice is {self.choice!r}; allowed are {', '.join(CHOICES)}")
        if not 0 < self.regions_per_mpx <= 1e6:
            raise OptionError(f"regions-per-mpx is {self.regions_per_mpx:g}; allowed is above 0 to 1000000")
        if self.smallest < 1:
            raise OptionError(f"smallest is {self.smallest}; at least 1 pixel is needed")
        if not 0 <= self.smoothing <= 10:
            raise OptionError(f"smoothing is {self.smoothing:g}; allowed is 0 to 10 pixels")
        if self.weights is not None:
            # whoever is sent a copy may work in another directory
            object.__setattr__(self, "weights", str(Path(self.weights).absolute()))

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name, revision of the method, options, models, names of the embedding's columns.

        Raises:
            CheckpointError: a file of the weights is missing.
        """
        models = {name: _digest(self.weights, name) for name in self._files}
        return {"name": "regions", "revision": 3, "options": asdict(self), "models": models, "embedding": list(NAMES)}

    @property
    def multiband(self) -> bool:
        """See :class:`geoalps.protocols.MultiBand`."""
        return self.all_bands

    @property
    def _files(self) -> tuple[str, ...]:
        """Models that are used."""
        return (NET_FILE,) * self.affinity + (SCORER_FILE,) * (self.choice == "learned")

    @property
    def _wanted(self) -> float:
        """Regions per million valid pixels."""
        return self.regions_per_mpx * self.granularity

    def adapted(self, samples: Iterable[Sample], pixel_size: float | None = None) -> RegionSegmenter:
        """The same segmenter with the altitude that gives the wanted number of regions over some windows of a scene."""
        if self.altitude is not None:
            return self
        altitudes, pixels, roots = [np.zeros(0)], 0, 0
        for image, valid, *bands in samples:
            if valid.any():
                altitudes.append(self.tree_of(image, valid, *bands).tree.altitudes)
                pixels, roots = pixels + int(valid.sum()), roots + 1
        return replace(
            self,
            altitude=_altitude(np.concatenate(altitudes), self._wanted * crowding(pixel_size) * pixels / 1e6, roots),
        )

    def segment(self, image: Image, valid: Mask, bands: Bands | None = None) -> tuple[Segments, PooledEmbeddings]:
        """Partition one tile's window; see :class:`geoalps.protocols.MultiBand`.

        The score of a segment is its mean border gradient over that plus its mean inner gradient: 0.5 where a border
        is no stronger than what lies inside, towards 1 for a plain region with a sharp outline.
        """
        if not valid.any():
            return Segments.empty(), PooledEmbeddings(np.zeros((0, len(NAMES)), np.float32))
        seen = self.tree_of(image, valid, bands)
        group = self._chosen(seen, int(valid.sum()))
        labels = np.concatenate([[0], group + 1]).astype(np.int32)[seen.labels]
        graph = seen.graph.merge(group, int(group.max()) + 1)
        segments = Segments.from_labels(labels, _scores(labels, graph, seen.gradient))
        return segments, PooledEmbeddings(describe(labels, segments, graph, seen.colour, seen.slopes))

    def tree_of(self, image: Image, valid: Mask, bands: Bands | None = None) -> WindowTree:
        """The merging tree of a window with a valid pixel, before anything is chosen.

        Raises:
            CheckpointError: the network cannot be loaded.
        """
        colour, smooth, gradient, slopes = self._view(image, valid, bands if self.all_bands else None)
        basin, count = basins(gradient, valid)
        graph, kept = eliminate(RegionGraph.from_labels(basin, count, smooth, gradient), self.smallest)
        labels = np.concatenate([[0], kept + 1]).astype(np.int32)[basin]
        del basin, smooth
        if self.affinity:
            graph = graph.asked(labels, self._partings(image, valid))
        tree = ordered_tree(graph) if self.affinity else merge_tree(graph)
        return WindowTree(tree, graph, labels, colour, gradient, slopes)

    def _partings(self, image: Image, valid: Mask) -> Float:
        """What the network says of a window; see :func:`geoalps.models.affinity_net.partings`."""
        from geoalps.models.affinity_net import partings

        filled = fill_invalid(np.moveaxis(image, -1, 0), valid)
        return partings(np.moveaxis(filled, 0, -1), self.network)

    @property
    def network(self) -> AffinityNet:
        """The affinity network, loaded once a process.

        Raises:
            CheckpointError: it cannot be loaded.
        """
        return _net(self.weights)

    def _chosen(self, seen: WindowTree, pixels: int) -> Int:
        """(n,) int64 group 0..count-1 of every leaf of a window with so many valid pixels."""
        tree = seen.tree
        altitude = self.altitude
        if altitude is None:
            altitude = _altitude(tree.altitudes, self._wanted * pixels / 1e6, 1)
        if self.choice == "cut":
            if altitude is None:
                return tree.cut(max(1, round(self._wanted * pixels / 1e6)))
            return tree.cut(tree.count_above(altitude))
        values = describe_nodes(tree, seen.graph, seen.labels, seen.colour, seen.gradient)
        scores = hand_scores(values) if self.choice == "hand" else _scorer(self.weights)(values)
        finite = tree.altitudes[np.isfinite(tree.altitudes)]
        return choose(tree, seen.graph.sizes, scores, float(finite.max()) if altitude is None else altitude)

    def _view(self, image: Image, valid: Mask, bands: Bands | None) -> tuple[Float, Float, Float, Float]:
        """What a window looks like.

        Returns:
            L*a*b* colour (3, h, w); the same and the further bands, smoothed (3 + c, h, w); the gradient of these
            (h, w); the slopes (2, h, w) of the lightness.
        """
        colour = fill_invalid(lab(image) if bands is None else lab_exact(bands.exact), valid)
        seen = [*colour] if bands is None else [*colour, *_beside_colour(bands.further, valid)]
        smooth = np.stack([ndimage.gaussian_filter(channel, self.smoothing) for channel in seen])
        energy = np.zeros(valid.shape, np.float32)
        slopes = []
        for channel in smooth:  # one at a time: three of them at once are a third of what a tile takes
            slopes.append(gradients(channel))
            energy += slopes[-1][0] ** 2 + slopes[-1][1] ** 2
            del slopes[1:]
        return colour, smooth, np.sqrt(energy), np.stack(slopes[0])


def _beside_colour(further: Float, valid: Mask) -> Float:
    """(c, h, w) further bands of 0..1 in L*a*b* units, such that all of them together weigh as ``FURTHER`` bands.

    Bands are often alike: without that, many of them would say everything and colour nothing.
    """
    return fill_invalid(further, valid) * np.float32(100 * np.sqrt(FURTHER / max(len(further), 1)))


def crowding(pixel_size: float | None) -> float:
    """How many times as many regions per pixel a scene with pixels of so many metres holds as one of half a metre.

    In made chips regions of 100 pixels or more become denser with the pixel's size to the power 0.4. Below half a metre
    that does not go on in photographs, where roofs come apart into what lies on them; there it is 1.
    """
    return 1.0 if pixel_size is None else max(1.0, pixel_size / FINE) ** 0.4


def _altitude(altitudes: NDArray[np.float64], regions: float, roots: int) -> float | None:
    """Altitude at which trees of so many roots fall into so many regions; None when none does.

    It lies between two merges, so that rounding moves none across.
    """
    merges, undone = -np.sort(-altitudes[np.isfinite(altitudes)]), round(regions) - roots
    return float(merges[undone - 1 : undone + 1].mean()) if 0 < undone < len(merges) else None


def _file(weights: str | None, name: str) -> Path:
    """Where a model is."""
    return Path(weights) / name if weights else Path(str(resources.files("geoalps.models") / name))


@lru_cache
def _digest(weights: str | None, name: str) -> str:
    """SHA-256 of a model's file.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return hashlib.sha256(_file(weights, name).read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{_file(weights, name)} cannot be read ({error.strerror}); give weights=DIRECTORY with "
            f"{NET_FILE} and {SCORER_FILE}, or none for those of geoalps"
        ) from None


@lru_cache(maxsize=2)
def _net(weights: str | None) -> AffinityNet:
    """The network of a directory."""
    from geoalps.models.affinity_net import load_net

    return load_net(_file(weights, NET_FILE))


@lru_cache(maxsize=2)
def _scorer(weights: str | None) -> Scorer:
    """The scorer of a directory."""
    _digest(weights, SCORER_FILE)
    return Scorer.from_json(_file(weights, SCORER_FILE).read_text("utf-8"))


def _scores(labels: NDArray[np.int32], graph: RegionGraph, gradient: Float) -> Float:
    """(n,) float32 in 0..1."""
    inner = np.bincount(labels.ravel(), gradient.ravel(), len(graph) + 1)[1:] / graph.sizes
    ends = graph.edges.ravel(order="F")
    length = np.bincount(ends, np.tile(graph.lengths, 2), len(graph))
    border = np.bincount(ends, np.tile(graph.contrasts, 2), len(graph)) / np.maximum(length, 1)
    total = border + inner
    return np.asarray(np.divide(border, total, out=np.full(len(graph), 0.5), where=total > 0), np.float32)
