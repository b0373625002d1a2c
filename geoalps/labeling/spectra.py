"""Spectra: what the bands beyond red, green and blue say of every segment.

A segmenter sees three bands. Where a scene has more, and the caller chose none, each segment's mean in every further
band is appended to its embedding: near infrared tells a meadow from a green roof, whoever drew the outlines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.grid import Window
from geoalps.io.scene import Scene
from geoalps.io.stretch import Stretch, fit_stretch
from geoalps.segments import Segments

MOST = 16
"""Further bands that a segmenter gets: those between say the same, and hundreds of them would fill the memory."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """The further bands of a scene, three at a time, each with the stretch of the whole scene."""

    bands: tuple[int, ...]
    """1-based."""
    views: tuple[tuple[Scene, Stretch], ...]
    """The scene seen in three of these bands each; the last band is repeated to fill the last view."""

    @classmethod
    def fit(cls, scenes: Sequence[Scene]) -> list[Spectra]:
        """The further bands of every scene, stretched to 8 bit by percentiles over all scenes.

        Raises:
            OptionError: the scenes have different further bands.
        """
        bands = scenes[0].further_bands
        differ = [scene.name for scene in scenes if scene.further_bands != bands]
        if differ:
            raise OptionError(
                f"{differ[0]} has other bands than {scenes[0].name}; give the bands that all scenes have with --bands"
            )
        views = [[scene.with_bands(three) for scene in scenes] for three in _threes(bands)]
        stretches = [fit_stretch(view) for view in views]
        seen = [[view[place] for view in views] for place in range(len(scenes))]
        return [cls(bands, tuple(zip(mine, stretches, strict=True))) for mine in seen]

    @classmethod
    def as_fitted(cls, scene: Scene, fields: Mapping[str, Any]) -> Spectra:
        """The same bands and stretches as of another scene; ``fields`` are that one's :meth:`to_json`."""
        bands = tuple(fields["bands"])
        views = [scene.with_bands(three) for three in _threes(bands)]
        stretches = [Stretch.from_json(stretch) for stretch in fields["stretches"]]
        return cls(bands, tuple(zip(views, stretches, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """JSON values: ``bands`` and ``stretches``."""
        return {"bands": list(self.bands), "stretches": [stretch.to_json() for _, stretch in self.views]}

    def read(self, window: Window) -> NDArray[np.float32]:
        """(c, h, w) float32, 0..1: at most ``MOST`` of the bands, spread evenly over them.

        Raises:
            SceneError: pixels cannot be read.
        """
        kept = len(self.bands) if len(self.bands) <= MOST else MOST
        places = [(2 * i + 1) * len(self.bands) // (2 * kept) for i in range(kept)]
        found = np.zeros((kept, *window.shape), np.float32)
        for number, (view, stretch) in enumerate(self.views):
            mine = [i for i, place in enumerate(places) if place // 3 == number]
            if mine:
                found[mine] = stretch.exact(*view.read(window))[[places[i] % 3 for i in mine]]
        return found

    def means(self, segments: Segments, window: Window) -> NDArray[np.float32]:
        """(n, bands) float32, 0..255: mean of every band over every segment.

        Args:
            segments: none of them empty, in the frame of ``window``.
            window: of the scene.
        """
        index, pixel = segments.pixels(window.width)
        columns = []
        for view, stretch in self.views:
            image, _ = view.read_rgb(window, stretch)
            flat = image.reshape(-1, 3)[pixel]
            columns += [np.bincount(index, channel, len(segments)) / segments.areas for channel in flat.T]
        return np.stack(columns[: len(self.bands)], 1).astype(np.float32)


def _threes(bands: tuple[int, ...]) -> list[tuple[int, ...]]:
    """In threes; the last one is filled up with its last band."""
    parts = [bands[i : i + 3] for i in range(0, len(bands), 3)]
    return [part + part[-1:] * (3 - len(part)) for part in parts]
