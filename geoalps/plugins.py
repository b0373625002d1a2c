"""Plug-ins: segmenters and encoders by name, found through entry points, ours like a stranger's.

What a plug-in returns is checked once, at the door, and refused with its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import GeoalpsError, OptionError, PluginError
from geoalps.protocols import EmbeddingMap, Encoder, Image, Mask, PooledEmbeddings, Segmenter
from geoalps.segments import Segments

WITH_SHAPE = EntryPoint("with_shape", "geoalps.models.with_shape:with_shape", "geoalps.descriptors")
"""What the option of that name does to a segmenter."""


@runtime_checkable
class Describing(Protocol):
    """A segmenter that says more of segments than their embedding, its own or an encoder's."""

    def describe(self, image: Image, valid: Mask, segments: Segments) -> NDArray[np.float32]:
        """(n, columns) float32 of n segments of a window, none of them empty, to be appended to their embeddings."""
        ...


def names(group: str = "segmenters") -> list[str]:
    """Installed plug-ins of ``segmenters`` or ``encoders``, sorted."""
    return sorted(point.name for point in entry_points(group=f"geoalps.{group}"))


def load_segmenter(segmenter: str | Segmenter, options: Mapping[str, Any] | None = None) -> Segmenter:
    """A segmenter by name with its options, or the object that was given.

    Args:
        segmenter: name of an installed one, or an object that is one.
        options: of the segmenter. ``with_shape`` is one of every segmenter, of objects too: when True, hand-made
            descriptors are appended to each object's embedding (:func:`geoalps.models.with_shape.with_shape`).

    Raises:
        PluginError: no such name, it cannot be imported, or what it makes is no segmenter.
        OptionError: an option it does not know, or one that is given beside an object.
    """
    options = dict(options or {})
    shape = options.pop("with_shape", None)
    if shape not in (None, True, False):
        raise OptionError(f"with_shape is {shape!r}; allowed are true and false")
    given = sorted(key for key, value in options.items() if value is not None)
    if given and not isinstance(segmenter, str):
        raise OptionError(
            f"option {given[0]!r} is given beside a segmenter that is made already; give it when making it"
        )
    made = _load("segmenters", segmenter, options) if isinstance(segmenter, str) else segmenter
    if not isinstance(made, Segmenter):
        raise PluginError(f"{made!r} is no segmenter: it lacks segment(image, valid), partition or identity")
    return WITH_SHAPE.load()(made) if shape else made


def refuse_twice(segmenter: Segmenter, encoder: Encoder | None) -> None:
    """Refuse to append to an embedding the columns that it consists of, with an OptionError."""
    identity = segmenter.identity
    columns = identity.get("with_shape", {}).get("columns")
    if encoder is None and columns is not None and identity.get("embedding") == columns:
        raise OptionError(
            f"--with-shape adds nothing to the embedding of {identity.get('name')!r}, which consists of these "
            "descriptors; leave it out, or give an --encoder or another --segmenter"
        )


def load_encoder(encoder: str | Encoder, options: Mapping[str, Any] | None = None) -> Encoder:
    """An encoder by name with its options, or the object that was given; errors as :func:`load_segmenter`."""
    made = _load("encoders", encoder, options) if isinstance(encoder, str) else encoder
    if not isinstance(made, Encoder):
        raise PluginError(f"{made!r} is no encoder: it lacks encode(image, valid) or identity")
    return made


def _load(group: str, name: str, options: Mapping[str, Any] | None) -> Any:
    """What an entry point of ``geoalps.{group}`` makes with the options that are not None; errors as above."""
    found: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=f"geoalps.{group}")}
    if name not in found:
        raise PluginError(f"there is no {group[:-1]} {name!r}; installed are {', '.join(sorted(found)) or 'none'}")
    try:
        factory = found[name].load()
    except ImportError as error:
        raise PluginError(f"{group[:-1]} {name!r} cannot be loaded ({error}); install what it needs") from error
    given = {key: value for key, value in (options or {}).items() if value is not None}
    known = inspect.signature(factory).parameters
    for option in given:
        if option not in known:
            raise OptionError(f"{group[:-1]} {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
    try:
        return factory(**given)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, GeoalpsError):
            raise
        options_text = ", ".join(f"{key}={value!r}" for key, value in given.items())
        raise OptionError(f"{group[:-1]} {name!r} cannot be made with {options_text} ({error})") from error


def check_result(name: str, image: Image, valid: Mask, result: Any) -> tuple[Segments, EmbeddingMap | PooledEmbeddings]:
    """What a segmenter returned for one window, or a PluginError that says what is wrong with it."""
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Segments)):
        raise PluginError(
            f"segmenter {name!r} returned {type(result).__name__}; want (Segments, EmbeddingMap or PooledEmbeddings)"
        )
    segments, embedding = result
    height, width = image.shape[:2]
    boxes = segments.boxes
    if len(segments) and (boxes.min() < 0 or boxes[:, 2].max() > height or boxes[:, 3].max() > width):
        raise PluginError(f"segmenter {name!r} returned a segment that reaches out of its {height} x {width} window")
    _, pixel = segments.pixels(width)
    if not valid.ravel()[pixel].all():
        raise PluginError(f"segmenter {name!r} returned segments with nodata pixels in them")
    if isinstance(embedding, PooledEmbeddings):
        _check_array(name, embedding.values, 2)
        if len(embedding.values) != len(segments):
            raise PluginError(
                f"segmenter {name!r} returned {len(embedding.values)} embeddings for {len(segments)} segments"
            )
    elif isinstance(embedding, EmbeddingMap):
        check_map(name, image, embedding)
    else:
        raise PluginError(f"segmenter {name!r} returned {type(embedding).__name__} for the embedding")
    return segments, embedding


def check_map(name: str, image: Image, embedding: Any) -> EmbeddingMap:
    """An embedding map that fits its window, or a PluginError."""
    if not isinstance(embedding, EmbeddingMap):
        raise PluginError(f"{name!r} returned {type(embedding).__name__}; want an EmbeddingMap")
    _check_array(name, embedding.values, 3)
    if embedding.shape[0] < image.shape[0] or embedding.shape[1] < image.shape[1]:
        raise PluginError(
            f"{name!r} returned an embedding map of {embedding.shape} pixels for a window of {image.shape[:2]}"
        )
    return embedding


def check_description(name: str, segments: Segments, values: Any) -> NDArray[np.float32]:
    """A finite row for every segment, or a PluginError."""
    _check_array(name, values, 2)
    if len(values) != len(segments):
        raise PluginError(f"segmenter {name!r} described {len(values)} of {len(segments)} segments")
    return np.asarray(values, np.float32)


def _check_array(name: str, values: Any, ndim: int) -> None:
    """A finite float array of ``ndim`` dimensions, or a PluginError."""
    if not isinstance(values, np.ndarray) or values.ndim != ndim or not np.issubdtype(values.dtype, np.floating):
        raise PluginError(f"{name!r} returned embeddings that are no {ndim}-dimensional float array")
    if not np.isfinite(values).all():
        raise PluginError(f"{name!r} returned embeddings that are not finite")
