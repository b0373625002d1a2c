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
from geoalps.protocols import Mask
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
    red_nir: Scene | None = None
    """The scene seen in red and, twice, near infrared; None where it does not say which bands these are."""

    @classmethod
    def fit(cls, scenes: Sequence[Scene], like: Stretch | None = None) -> list[Spectra]:
        """The further bands of every scene, stretched to 8 bit by percentiles over all scenes.

        Args:
            scenes: of one sensor.
            like: the stretch of their first three bands: radar's further polarisations are treated like those.

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
        decibel, speckle = (like.decibel, like.speckle > 0) if like else (False, None)
        stretches = [fit_stretch(view, decibel=decibel, speckle=speckle) for view in views]
        seen = [[view[place] for view in views] for place in range(len(scenes))]
        near = scenes[0].red_nir if all(scene.red_nir == scenes[0].red_nir for scene in scenes) else None
        return [
            cls(bands, tuple(zip(mine, stretches, strict=True)), _red_nir(scene, near))
            for scene, mine in zip(scenes, seen, strict=True)
        ]

    @classmethod
    def as_fitted(cls, scene: Scene, fields: Mapping[str, Any]) -> Spectra:
        """The same bands and stretches as of another scene; ``fields`` are that one's :meth:`to_json`."""
        bands = tuple(fields["bands"])
        views = [scene.with_bands(three) for three in _threes(bands)]
        stretches = [Stretch.from_json(stretch) for stretch in fields["stretches"]]
        return cls(bands, tuple(zip(views, stretches, strict=True)), _red_nir(scene, fields.get("red_nir")))

    def to_json(self) -> dict[str, Any]:
        """JSON values: ``bands`` and ``stretches``, and ``red_nir`` where these bands are known."""
        known = {"bands": list(self.bands), "stretches": [stretch.to_json() for _, stretch in self.views]}
        return {**known, "red_nir": list(self.red_nir.bands[:2])} if self.red_nir else known

    def read(self, window: Window) -> NDArray[np.float32]:
        """(c, h, w) float32, 0..1: at most ``MOST`` of the bands, spread evenly over them; NDVI last.

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
        if self.red_nir is None:
            return found
        return np.concatenate([found, vegetation(*self.red_nir.read(window))[None]])

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


def vegetation(values: NDArray[Any], valid: Mask) -> NDArray[np.float32]:
    """(h, w) float32, 0..1: half of 1 + NDVI, which is the same scale in every scene; 0.5 where there is no light.

    Args:
        values: (at least 2, h, w) red and near infrared, in the scene's own values.
        valid: (h, w) bool.
    """
    red, near = (np.where(valid, band, 0).astype(np.float32) for band in values[:2])
    light = red + near
    index = np.divide(near - red, light, out=np.zeros_like(light), where=light > 0)
    return np.asarray((1 + np.clip(index, -1, 1)) / 2, np.float32)


def _red_nir(scene: Scene, bands: Sequence[int] | None) -> Scene | None:
    """A scene seen in red and, twice, near infrared."""
    return scene.with_bands((bands[0], bands[1], bands[1])) if bands else None


def _threes(bands: tuple[int, ...]) -> list[tuple[int, ...]]:
    """In threes; the last one is filled up with its last band."""
    parts = [bands[i : i + 3] for i in range(0, len(bands), 3)]
    return [part + part[-1:] * (3 - len(part)) for part in parts]
