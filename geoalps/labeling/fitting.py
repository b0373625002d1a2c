"""Fitting: from the objects of segmented scenes to a class model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as count_from
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.io.class_table import ClassEntry
from geoalps.io.palettes import class_colours, hex_colour
from geoalps.io.store import Store
from geoalps.labeling.centres import ROUNDS, Centres
from geoalps.labeling.class_model import ClassModel, entries
from geoalps.labeling.kmeans import OnlineKMeans
from geoalps.labeling.normalisation import Normalisation
from geoalps.labeling.objects import Embeddings, ObjectEmbeddings, stitch_store
from geoalps.labeling.workers import WorkersLike
from geoalps.progress import Progress, Silence

SAMPLE = 20_000
"""Objects, from all tiles, on which the centres are seeded."""
BUFFER = 65_536
"""Objects held at once and shuffled among one another; as many are kept from pass to pass."""
BATCH = 4096
PASSES = 5


@dataclass(eq=False)
class Population:
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

    def mean_colours(self, classes: Callable[[Embeddings], NDArray[np.int64]], k: int) -> NDArray[np.uint8]:
        """(k, 3) uint8: mean colour of the objects of every class by their area; grey where there are none.

        Args:
            classes: gives (n,) 0..k-1 for (n, channels) embeddings.
            k: classes.
        """
        sums, total = np.zeros((k, 3)), np.zeros(k)
        for place, number in self.tiles():
            if not len(values := self.read(place, number)):
                continue
            scene = self.scenes[place]
            found, colours = (
                classes(values),
                scene.colours_of_tile(number, scene.store.grid[divmod(number, scene.store.grid.cols)]),
            )
            area = scene.areas_of_tile(number).astype(np.float64)
            total += np.bincount(found, area, k)
            for channel in range(3):
                sums[:, channel] += np.bincount(found, area * colours[:, channel], k)
        mean = np.where(total[:, None] > 0, sums / np.maximum(total, 1)[:, None], 128)
        return np.round(mean).astype(np.uint8)


def _batches(held: list[Embeddings], rng: np.random.Generator) -> Iterator[Embeddings]:
    """All rows of what is held, shuffled, BATCH at a time; nothing when there is none."""
    held = [values for values in held if len(values)]
    if held:
        values = rng.permutation(np.concatenate(held))
        yield from (values[start : start + BATCH] for start in range(0, len(values), BATCH))


def fit(
    stores: list[Store],
    k: int | Literal["auto"],
    normalisation: str,
    seed: int,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """See :func:`geoalps.fit_classes`. Scenes without a single object give a model without classes."""
    if k != "auto" and not 1 <= k <= 65535:
        raise OptionError(f"{k} classes were asked for; allowed is 1 to 65535, or auto")
    population = opened(stores, workers, progress)
    progress = progress or Silence()
    progress.start("fit", PASSES + 2)
    count, scaling = _scaling(population, stores[0], normalisation)
    source = {
        "segmenter": stores[0].adapted or stores[0].fingerprint["segmenter"],
        "encoder": stores[0].fingerprint["encoder"],
        "stretch": stores[0].fingerprint["stretch"],
        "spectra": stores[0].fingerprint["spectra"],
        "bands": stores[0].fingerprint["scene"]["bands"],
        "dtype": stores[0].fingerprint["scene"]["dtype"],
        "scenes": [store.fingerprint["scene"]["name"] for store in stores],
        "objects": count,
        "seed": seed,
    }
    if not count:
        progress.advance(PASSES + 2)
        return ClassModel(Centres.flat(np.zeros((0, scaling.basis.shape[1]))), scaling, (), source)
    sample = scaling(_sample(population, count))
    if k == "auto":
        from geoalps.labeling.class_count import suggest  # brings scikit-learn: a second that only who asks spends

        suggestion = suggest(sample, seed=seed, areas=_sample_areas(population, count))
        source["auto"] = suggestion.reason
        progress.tell(suggestion.reason)
    wanted = suggestion.k if k == "auto" else k
    learner = OnlineKMeans.seeded(sample, wanted, seed)
    progress.advance()

    def batches(number: int) -> Iterator[Embeddings]:
        """The normalised embeddings of one pass."""
        yield from (scaling(values) for values in population.shuffled([seed, number]))
        progress.advance()

    learner.fit(batches, PASSES)
    # the commonest class is 0; equal ones by their centres, so that the order of tiles numbers nothing
    order = np.lexsort((*learner.centres.T[::-1], -learner.counts.round(6)))
    centres = Centres.flat(learner.centres[order]).measured(scaling(values) for values in population)
    means = population.mean_colours(lambda values: centres.locate(scaling(values)).class_id, wanted)
    progress.advance()
    colours = [hex_colour(colour) for colour in class_colours(means, centres.counts)]
    return ClassModel(centres, scaling, entries(colours), source)


def update(
    model: ClassModel,
    stores: list[Store],
    seed: int = 0,
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """See :func:`geoalps.update_classes`."""
    population = opened(stores, workers, progress)
    progress = progress or Silence()
    for store in stores:
        if (name := store.fingerprint["scene"]["name"]) in model.source["scenes"]:
            progress.tell(f"a scene named {name} was learnt from before; if it is the same, it counts once more")
    progress.start("update", 2)
    centres = model.centres.learnt(model.normalised(values) for values in population.shuffled([seed]))
    progress.advance()
    since = centres.measured(model.normalised(values) for values in population)
    progress.advance()
    source = dict(model.source)
    source["scenes"] = [*source["scenes"], *(store.fingerprint["scene"]["name"] for store in stores)]
    source["objects"] += int(since.counts[since.parents < 0].sum())
    return replace(model, centres=centres.reaching(model.centres, since), source=source)


def adapted(
    model: ClassModel,
    stores: list[Store],
    workers: WorkersLike = None,
    progress: Progress | None = None,
) -> ClassModel:
    """See :func:`geoalps.adapt_classes`."""
    population = opened(stores, workers, progress)
    progress = progress or Silence()
    progress.start("adapt", ROUNDS)
    count, mean, covariance = _moments(population)
    if not count:
        progress.advance(ROUNDS)
        return model
    scaling = model.normalisation.adapted(mean, covariance)

    def normalised() -> Iterator[Embeddings]:
        """The embeddings of all tiles."""
        yield from (scaling(values) for values in population)
        progress.advance()

    centres = model.centres.adapted(normalised)
    source = {**model.source, "adapted": [store.fingerprint["scene"]["name"] for store in stores]}
    return replace(model, centres=centres, normalisation=scaling, source=source)


def split(
    model: ClassModel, class_id: int, k: int, store: Store, seed: int = 0, progress: Progress | None = None
) -> ClassModel:
    """The same model with one class taken apart into k, clustered anew from the objects of one scene.

    Raises:
        OptionError: fewer than k objects of the class differ.
    """
    population = opened([store], None, progress)
    node = int(model.centres.leaves[class_id])

    def mine(batches: Iterator[Embeddings]) -> Iterator[Embeddings]:
        """The normalised embeddings of this class."""
        for x in (model.normalised(values) for values in batches):
            if len(part := x[model.centres.locate(x).node == node]):
                yield part

    count = sum(map(len, mine(iter(population))))
    if count < k:
        raise OptionError(f"class {class_id} has {count} objects; it cannot be split into {k}")
    learner = OnlineKMeans.seeded(_rows(mine(iter(population)), _evenly(count)), k, seed)
    learner.fit(lambda number: mine(population.shuffled([seed, number])), PASSES)
    order = np.lexsort((*learner.centres.T[::-1], -learner.counts.round(6)))
    children = Centres.flat(learner.centres[order]).measured(mine(iter(population)))
    centres = model.centres.split(class_id, children)

    def of_child(values: Embeddings) -> NDArray[np.int64]:
        """(n,) 0..k-1 for the objects of this class, k for all others."""
        child = centres.locate(model.normalised(values)).node - len(model.centres.vectors)
        return np.where(child < 0, k, child)

    means = population.mean_colours(of_child, k + 1)[:k]
    taken = np.array([list(bytes.fromhex(entry.colour[1:])) for entry in model.classes], np.uint8)
    colours = [hex_colour(colour) for colour in class_colours(means, children.counts, taken=taken)]
    return replace(model, centres=centres, classes=_split_entries(model, class_id, colours))


def _split_entries(model: ClassModel, class_id: int, colours: list[str]) -> tuple[ClassEntry, ...]:
    """Entries after a class was split: its own keeps number and colour; the names of all parts are numbered."""
    old = model.classes[class_id]
    taken = {entry.class_name for entry in model.classes}
    names = (name for number in count_from(1) if (name := f"{old.class_name} ({number})") not in taken)
    first, *others = [next(names) for _ in colours]
    kept = [replace(e, class_name=first) if e is old else e for e in model.classes]
    new = [ClassEntry(len(kept) + i, name, colours[i + 1]) for i, name in enumerate(others)]
    return (*kept, *new)


def opened(stores: list[Store], workers: WorkersLike, progress: Progress | None) -> Population:
    """The objects of some stores, stitched.

    Raises:
        OptionError: their embeddings do not mean the same.
    """
    _same_embedding(stores)
    return Population([ObjectEmbeddings.open(store, stitch_store(store, workers, progress)) for store in stores])


def sampled(
    stores: list[Store], normalisation: str, workers: WorkersLike = None, progress: Progress | None = None
) -> tuple[Embeddings, NDArray[np.int64]]:
    """Normalised embeddings and (n,) pixels of at most SAMPLE objects of some stores, evenly spaced over all tiles.

    Args:
        stores: of :func:`geoalps.segment`.
        normalisation: as of :func:`geoalps.fit_classes`.
        workers: for what is to be stitched yet.
        progress: hears of it.

    Raises:
        OptionError: unknown normalisation, or stores that do not go together.
    """
    population = opened(stores, workers, progress)
    count, scaling = _scaling(population, stores[0], normalisation)
    if not count:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
    return scaling(_sample(population, count)), _sample_areas(population, count)


def _scaling(population: Population, store: Store, normalisation: str) -> tuple[int, Normalisation]:
    """Number of objects, and the normalisation fitted on them."""
    count, mean, covariance = _moments(population)
    return count, Normalisation.fit(normalisation, mean, covariance, appended=_appended(store))


def _same_embedding(stores: list[Store]) -> None:
    """Refuse stores whose embeddings do not mean the same, with an OptionError that names the difference."""
    if any(_described(store) != _described(stores[0]) for store in stores):
        raise OptionError("some stores were made --with-shape and some without; segment all of them alike")
    for store in stores[1:]:
        for part, one, other in _parts(stores[0], store):
            if one != other:
                raise OptionError(
                    f"{store.fingerprint['scene']['name']} was segmented with another {part} than "
                    f"{stores[0].fingerprint['scene']['name']} ({_short(other)}, {_short(one)}): equal numbers would "
                    "not mean the same; give the scenes themselves, or segment those that follow with --class-model"
                )


def _parts(one: Store, other: Store) -> Iterator[tuple[str, Any, Any]]:
    """(what, of the one, of the other): all on which the meaning of an embedding depends. Options may differ."""
    first, second = one.fingerprint, other.fingerprint
    for part in ("segmenter", "encoder"):
        mine, theirs = first[part] or {}, second[part] or {}
        for key in sorted({*mine, *theirs} - {"options"}, key=lambda key: key != "name"):
            yield part if key == "name" else f"{part} {key}", mine.get(key), theirs.get(key)
    yield "data type", first["scene"]["dtype"], second["scene"]["dtype"]
    yield "choice of bands", first["scene"]["bands"], second["scene"]["bands"]
    yield "choice of further bands", first["spectra"]["bands"], second["spectra"]["bands"]
    yield "stretch", first["stretch"], second["stretch"]


def _short(value: Any) -> str:
    """A value in a message."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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


def _moments(population: Population) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
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


def _evenly(count: int) -> NDArray[np.int64]:
    """At most SAMPLE of 0..count-1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(np.int64))


def _sample(population: Population, count: int) -> Embeddings:
    """At most SAMPLE objects, evenly spaced in the order of the tiles."""
    return _rows(population, _evenly(count))


def _rows(batches: Iterable[Embeddings], chosen: NDArray[np.int64]) -> Embeddings:
    """Rows of all batches together, by their ascending numbers."""
    values, before = [], 0
    for part in batches:
        values.append(part[chosen[(chosen >= before) & (chosen < before + len(part))] - before])
        before += len(part)
    return np.concatenate(values)


def _sample_areas(population: Population, count: int) -> NDArray[np.int64]:
    """(n,) pixels of the objects of :func:`_sample`."""
    areas = [population.scenes[place].areas_of_tile(number) for place, number in population.tiles()]
    return np.concatenate(areas)[_evenly(count)]
