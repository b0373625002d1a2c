"""For tests, ours and those of plug-ins: a segmenter that is exact, and checks that a plug-in keeps its protocol.

    >>> from geoalps.testing import check_segmenter
    >>> from geoalps.models.regions import RegionSegmenter
    >>> check_segmenter(RegionSegmenter())

Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage import measure

from geoalps.errors import PluginError
from geoalps.plugins import check_map, check_result
from geoalps.protocols import EmbeddingMap, Encoder, Image, Mask, Segmenter
from geoalps.segments import Segments


@dataclass(frozen=True)
class PlainSegmenter:
    """Exact: a segment is a 4-connected piece of one colour, its embedding that colour. For scenes drawn by tests."""

    partition = True

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and options."""
        return {"name": "plain", "options": {}, "embedding": ["red", "green", "blue"]}

    def segment(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap]:
        """Pieces of one colour, and the image itself as the embedding map."""
        number = image.astype(np.int64) @ np.array([1, 256, 65536]) + 1
        labels = measure.label(np.where(valid, number, 0), background=0, connectivity=1)
        values = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        return Segments.from_labels(labels), EmbeddingMap(values, (image.shape[0], image.shape[1]))


def check_segmenter(segmenter: Segmenter) -> None:
    """Try a segmenter on windows of many shapes, with and without nodata.

    Raises:
        PluginError: it breaks the protocol; the text says how.
    """
    name = _check_identity(segmenter, Segmenter)
    for image, valid in _windows():
        first = check_result(name, image, valid, segmenter.segment(image.copy(), valid.copy()))
        again = segmenter.segment(image.copy(), valid.copy())
        if not (np.array_equal(first[0].runs, again[0].runs) and np.array_equal(first[1].values, again[1].values)):
            raise PluginError(f"segmenter {name!r} gave two results for one window; it must be deterministic")
        covered = np.zeros(valid.size, int)
        np.add.at(covered, first[0].pixels(valid.shape[1])[1], 1)
        if segmenter.partition and not np.array_equal(covered, valid.ravel()):
            raise PluginError(f"segmenter {name!r} says it partitions, and left pixels out or covered some twice")


def check_encoder(encoder: Encoder) -> None:
    """Try an encoder on windows of many shapes; raises PluginError as :func:`check_segmenter` does."""
    name = _check_identity(encoder, Encoder)
    for image, valid in _windows():
        first, again = (check_map(name, image, encoder.encode(image.copy(), valid.copy())) for _ in range(2))
        if not np.array_equal(first.values, again.values):
            raise PluginError(f"encoder {name!r} gave two results for one window; it must be deterministic")


def _check_identity(plugin: Any, protocol: Any) -> str:
    """The plug-in's name, or a PluginError when it lacks a member or its identity is no JSON with a name."""
    if not isinstance(plugin, protocol):
        raise PluginError(f"{plugin!r} lacks a method or property of {protocol.__name__}")
    try:
        identity = json.loads(json.dumps(dict(plugin.identity)))
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"the identity of {plugin!r} is no JSON ({error}); it goes into the store's manifest"
        ) from error
    if not isinstance(identity.get("name"), str):
        raise PluginError(f"the identity of {plugin!r} has no name")
    return str(identity["name"])


def _windows() -> list[tuple[Image, Mask]]:
    """Images and validities: noise, plain, thin, partly and wholly without data."""
    rng = np.random.default_rng(0)
    made = []
    for shape, share in (((48, 64), 1.0), ((64, 40), 0.6), ((1, 50), 1.0), ((3, 2), 1.0), ((32, 32), 0.0)):
        image = np.repeat(np.repeat(rng.integers(0, 256, (shape[0], shape[1], 3)), 8, 0), 8, 1)[: shape[0], : shape[1]]
        valid = rng.random(shape) < share
        made.append((np.ascontiguousarray(image, np.uint8), valid))
    return made
