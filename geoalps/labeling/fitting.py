"""Fitting: from the objects of segmented scenes to a class model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.io.store import Store
from geoalps.io.style import hex_colour, palette
from geoalps.labeling.class_model import ClassModel, Normalisation, entries
from geoalps.labeling.kmeans import OnlineKMeans
from geoalps.labeling.objects import Embeddings, ObjectEmbeddings, stitch_store
from geoalps.labeling.tasks import Progress, Silence
from geoalps.labeling.workers import WorkersLike

SAMPLE = 20_000
"""Objects, from all tiles, on which the centres are seeded."""
BUFFER = 65_536
"""Objects held at once and shuffled among one another; as many are kept from pass to pass."""
BATCH = 4096
PASSES = 5


@dataclass(eq=False)
class _Population:
    """The objects of several scenes, read in any order of tiles, as often as it takes.

    The first BUFFER objects that are read are kept, so that a scene of few is read from disk once.
    """

    scenes: list[ObjectEmbeddings]
    kept: dict[tuple[int, int], Embeddings] = field(default_factory=dict)
    """Embeddings of the objects that begin in a tile, by the numbers of its scene and the tile."""
    room: int = BUFFER
    """Objects that can still be kept."""

    def tiles(self) -> list[tuple[int, int]]:
        """Numbers of scene and tile of every tile."""
        return [(place, number) for place, scene in enumerate(self.scenes) for number in range(len(scene.store.grid))]

    def read(self, place: int, number: int) -> Embeddings:
        """(n, channels) embeddings of the objects that begin in one tile; not to be written to."""
        values = self.kept.get((place, number))
        if values is None:
            scene = self.scenes[place]
            grid = scene.store.grid
            values = scene.of_tile(number, grid[divmod(number, grid.cols)])[1]
            if len(values) <= self.room:
                self.kept[place, number] = values
                self.room -= len(values)
        return values

    def __iter__(self) -> Iterator[Embeddings]:
        """The embeddings of every tile that has objects, in the order of the tiles."""
        parts = (self.read(*tile) for tile in self.tiles())
        return (values for values in parts if len(values))

    def shuffled(self, seed: Sequence[int]) -> Iterator[Embeddings]:
        """Batches of rows drawn from many tiles at a time: neighbours in the scene are strangers in a batch."""
        rng = np.random.default_rng(seed)
        tiles, held, count = self.tiles(), [], 0
        for turn in rng.permutation(len(tiles)):
            held.append(self.read(*tiles[turn]))
            count += len(held[-1])
            if count >= BUFFER:
                yield from _batches(held, rng)
                held, count = [], 0
        yield from _batches(held, rng)


def _batches(held: list[Embeddings], rng: np.random.Generator) -> Iterator[Embeddings]:
    """All rows of what is held, shuffled, BATCH at a time; nothing when there is none."""
    held = [values for values in held if len(values)]
    if held:
        values = rng.permutation(np.concatenate(held))
        yield from (values[start : start + BATCH] for start in range(0, len(values), BATCH))


def fit(
    stores: list[Store],
    k: int,
    normalisation: str,
    seed: int,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """See :func:`geoalps.fit_classes`. Scenes without a single object give a model without classes."""
    if not 1 <= k <= 65535:
        raise OptionError(f"{k} classes were asked for; allowed is 1 to 65535")
    _same_embedding(stores)
    scenes = [ObjectEmbeddings.open(store, stitch_store(store, workers, progress)) for store in stores]
    population = _Population(scenes)
    progress = progress or Silence()
    progress.start("fit", PASSES + 1)
    count, mean, covariance = _moments(population)
    scaling = Normalisation.fit(normalisation, mean, covariance, appended=_appended(stores[0]))
    source = {
        "segmenter": stores[0].adapted or stores[0].fingerprint["segmenter"],
        "encoder": stores[0].fingerprint["encoder"],
        "stretch": stores[0].fingerprint["stretch"],
        "spectra": stores[0].fingerprint["spectra"],
        "bands": stores[0].fingerprint["scene"]["bands"],
        "scenes": [store.fingerprint["scene"]["name"] for store in stores],
        "objects": count,
        "seed": seed,
    }
    if not count:
        progress.advance(PASSES + 1)
        return ClassModel(np.zeros((0, len(mean))), scaling, (), source)
    learner = OnlineKMeans.seeded(scaling(_sample(population, count)), k, seed)
    progress.advance()

    def batches(number: int) -> Iterator[Embeddings]:
        """The normalised embeddings of one pass."""
        yield from (scaling(values) for values in population.shuffled([seed, number]))
        progress.advance()

    learner.fit(batches, PASSES)
    # the commonest class is 0; equal ones by their centres, so that the order of tiles numbers nothing
    centres = learner.centres[np.lexsort((*learner.centres.T[::-1], -learner.counts.round(6)))]
    return ClassModel(centres, scaling, entries([hex_colour(colour) for colour in palette(k)]), source)


def _same_embedding(stores: list[Store]) -> None:
    """Refuse stores whose embeddings do not mean the same, with an OptionError that names the difference."""
    for part in ("segmenter", "encoder"):
        found = {(store.fingerprint[part] or {}).get("name") for store in stores}
        if len(found) > 1:
            raise OptionError(
                f"the stores were made with different {part}s ({', '.join(map(str, sorted(found, key=str)))})"
            )
    if any(_described(store) != _described(stores[0]) for store in stores):
        raise OptionError("some stores were made --with-shape and some without; segment all of them alike")


def _described(store: Store) -> Mapping[str, Any] | None:
    """What hand-made descriptors are appended to a store's embeddings, and by which revision; None without them."""
    found: Mapping[str, Any] | None = store.fingerprint["segmenter"].get("with_shape")
    return found


def _appended(store: Store) -> int:
    """How many columns the normalisation takes for a group beside the embedding proper.

    Further bands are one with the descriptors; without descriptors they stay with the embedding.
    """
    shape = _described(store)
    return len(shape["columns"]) + len(store.fingerprint["spectra"]["bands"]) if shape else 0


def _moments(population: _Population) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Number of objects, mean and covariance of their embeddings, streamed; each object counts once."""
    count, total, square, shift = 0, np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    for values in population:
        if not count:
            # centred on the first tile's mean, or the squares would swallow the differences
            shift = values.astype(float).mean(0)
            total, square = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
        x = values.astype(float) - shift
        count += len(x)
        total += x.sum(0)
        square += np.einsum("ni,nj->ij", x, x)
    if not count:
        return 0, np.zeros(0), np.zeros((0, 0))
    mean = total / count
    return count, shift + mean, square / count - np.outer(mean, mean)


def _sample(population: _Population, count: int) -> Embeddings:
    """At most SAMPLE objects, evenly spaced in the order of the tiles."""
    chosen = np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(np.int64))
    values, before = [], 0
    for part in population:
        values.append(part[chosen[(chosen >= before) & (chosen < before + len(part))] - before])
        before += len(part)
    return np.concatenate(values)
