"""The stretch of a scene: native values to uint8 RGB, the same for every window.

It is fitted once on a sample of the whole scene. A stretch per tile would give the same roof two colours on the two
sides of a tile line.

    >>> Stretch((0.0,) * 3, (1000.0,) * 3)(np.full((3, 1, 1), 500, np.uint16), np.ones((1, 1), bool)).tolist()
    [[[128, 128, 128]]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.io.speckle import despeckled, fit_variation
from geoalps.protocols import Image, Mask

if TYPE_CHECKING:
    from geoalps.io.scene import Scene

Mode = Literal["auto", "percentile", "none"]
"""auto leaves uint8 as it is and takes percentiles of anything else."""
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Stretch:
    """A linear map of each band's range to 0..255, clipped; the nearest integer, halves up."""

    low: Triple
    """What becomes 0, per band; in dB when ``decibel``."""
    high: Triple
    """What becomes 255, per band; a band where it does not exceed ``low`` becomes 0 up to ``low`` and 255 above."""
    decibel: bool = False
    """Take 10 log10 of the values first; zero and below count as the smallest positive float32."""
    speckle: float = 0.0
    """Standard deviation of a radar's speckle over its mean; above 0 it is filtered before all else
    (:mod:`geoalps.io.speckle`)."""

    def __post_init__(self) -> None:
        if len(self.low) != 3 or len(self.high) != 3 or not np.isfinite([*self.low, *self.high]).all():
            raise OptionError(f"a stretch needs three finite numbers low and high, not {self.low} and {self.high}")
        if not 0 <= self.speckle < math.inf:
            raise OptionError(f"the speckle of a stretch is {self.speckle}; allowed is 0 (no filter) and above")

    @classmethod
    def identity(cls) -> Stretch:
        """uint8 values as they are."""
        return cls((0.0,) * 3, (255.0,) * 3)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Stretch:
        """The inverse of :meth:`to_json`.

        Raises:
            OptionError: a field is missing, or is not three finite numbers.
        """
        try:
            low, high = (tuple(float(value) for value in fields[key]) for key in ("low", "high"))
        except (KeyError, TypeError, ValueError) as error:
            raise OptionError(f"a stretch needs three finite numbers low and high; given is {dict(fields)}") from error
        speckle = float(fields.get("speckle", 0))
        return cls(low, high, bool(fields.get("decibel", False)), speckle)  # type: ignore[arg-type]  # checked there

    def to_json(self) -> dict[str, Any]:
        """JSON values: ``low``, ``high``, ``decibel``, and ``speckle`` where there is some."""
        known = {"low": list(self.low), "high": list(self.high), "decibel": self.decibel}
        return {**known, "speckle": self.speckle} if self.speckle else known

    def __call__(self, values: NDArray[Any], valid: Mask) -> Image:
        """(3, h, w) native values and (h, w) validity -> (h, w, 3) uint8, 0 where not valid."""
        image = np.empty((*valid.shape, 3), np.uint8)
        values = self._filtered(values, valid)
        as_they_are = values.dtype == np.uint8 and self == Stretch.identity()
        for i in range(3):
            image[..., i] = values[i] if as_they_are else self._band(values[i], valid, i)
        if not valid.all():
            image[~valid] = 0
        return image

    def exact(self, values: NDArray[Any], valid: Mask) -> NDArray[np.float32]:
        """(3, h, w) native values and (h, w) validity -> (3, h, w) float32, 0..1, not rounded; 0 where not valid."""
        values = self._filtered(values, valid)
        shares = [self._share(_floats(values[i], valid), i) for i in range(3)]
        return np.where(valid, np.stack(shares), np.float32(0)).astype(np.float32)

    def _filtered(self, values: NDArray[Any], valid: Mask) -> NDArray[Any]:
        """The values without speckle."""
        return despeckled(values, valid, self.speckle) if self.speckle else values

    def _band(self, band: NDArray[Any], valid: Mask, i: int) -> NDArray[np.uint8]:
        """(h, w) native values of band ``i`` -> (h, w) uint8; what is not valid may come out as anything."""
        if band.dtype.kind in "iu" and band.dtype.itemsize <= 2:
            # Every value there can be, once: several times quicker than arithmetic on every pixel.
            every = np.arange(1 << 8 * band.dtype.itemsize).astype(f"u{band.dtype.itemsize}").view(band.dtype)
            return np.take(self._scale(every.astype(np.float64), i), band.view(f"u{band.dtype.itemsize}"))
        return self._scale(_floats(band, valid), i)

    def _scale(self, value: NDArray[Any], i: int) -> NDArray[np.uint8]:
        """Rounded 0..255 of float values; they are overwritten."""
        value = self._share(value, i)
        value *= 255
        value += 0.5
        return value.astype(np.uint8)

    def _share(self, value: NDArray[Any], i: int) -> NDArray[Any]:
        """0..1 of float values, in their precision; they are overwritten."""
        if self.decibel:
            to_decibel(value)
        # In the values' own precision, so that nothing comes out above 255 whatever the range.
        low, high = value.dtype.type(self.low[i]), value.dtype.type(self.high[i])
        if high <= low:
            return np.asarray(value > low, value.dtype)
        # Clipped first: what is far outside would overflow.
        np.clip(value, low, high, out=value)
        value -= low
        value /= high - low
        return value


def _floats(band: NDArray[Any], valid: Mask) -> NDArray[Any]:
    """A copy of (h, w) values as floats that hold them, 0 where not valid."""
    single = band.dtype.kind == "f" and band.dtype.itemsize <= 4
    return np.where(valid, band, 0).astype(np.float32 if single else np.float64)


def to_decibel(value: NDArray[Any]) -> None:
    """10 log10 of float values, in place; zero and below count as the smallest positive float32."""
    np.maximum(value, np.finfo(np.float32).tiny, out=value)
    np.log10(value, out=value)
    value *= 10


def fit_stretch(
    scene: Scene | Sequence[Scene],
    mode: Mode = "auto",
    percentiles: tuple[float, float] = (2, 98),
    decibel: bool = False,
    speckle: bool | None = None,
) -> Stretch:
    """The stretch of a scene, or one for several, from a sample of the valid pixels.

    Args:
        scene: what to look at; nothing is read where the dtype decides. Of several, each gives as large a sample.
        mode: ``auto`` leaves uint8 as it is (unless ``decibel``) and takes percentiles of anything else;
            ``percentile`` always takes percentiles; ``none`` takes the range of an integer dtype.
        percentiles: the two that become 0 and 255, each band on its own; a band that is repeated has one range.
        decibel: for SAR intensities: 10 log10 of the values first; the percentiles are those of positive values.
        speckle: filter radar's speckle. None does where ``decibel``, or where a scene says that it is of a radar.

    Raises:
        OptionError: no such mode, percentiles out of order, ``none`` for a scene of floats, or scenes of different
            dtypes.
        SceneError: the sample cannot be read.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"stretch is {mode!r}; allowed are {', '.join(get_args(Mode))}")
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise OptionError(f"percentiles are {percentiles[0]} and {percentiles[1]}; give two ascending ones in 0 to 100")
    scenes = list(scene) if isinstance(scene, Sequence) else [scene]
    if len(dtypes := {each.dtype for each in scenes}) > 1:
        raise OptionError(
            f"the scenes hold {' and '.join(sorted(dtypes))}, which no one stretch fits; give scenes of one dtype, or "
            "label each dtype by itself"
        )
    dtype = np.dtype(scenes[0].dtype)
    filtered = speckle if speckle is not None else decibel or any(each.radar for each in scenes)
    found = _range(scenes, dtype, mode, percentiles, decibel)
    return replace(found, speckle=fit_variation(scenes)) if filtered else found


def _range(
    scenes: Sequence[Scene], dtype: np.dtype[Any], mode: Mode, percentiles: tuple[float, float], decibel: bool
) -> Stretch:
    """Where black and white are, of scenes of one dtype; see :func:`fit_stretch`."""
    if mode == "none":
        return _dtype_range(dtype, decibel)
    if mode == "auto" and dtype == np.uint8 and not decibel:
        return Stretch.identity()
    samples = [each.sample() for each in scenes]
    bands = [np.concatenate([values[i][valid] for values, valid in samples]) for i in range(3)]
    low, high = zip(*(_percentiles(band, percentiles, decibel) for band in bands), strict=True)
    return Stretch(low, high, decibel)


def _dtype_range(dtype: np.dtype[Any], decibel: bool) -> Stretch:
    """Black and white at the ends of an integer dtype, in decibel from 0 (the intensity 1); floats have no ends."""
    if dtype.kind == "f":
        raise OptionError(f"a stretch of none needs integers and the scene is {dtype}; use auto or percentile")
    low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    if decibel:
        low, high = 0.0, 10 * math.log10(high)
    return Stretch((low,) * 3, (high,) * 3, decibel)


def _percentiles(values: NDArray[Any], percentiles: tuple[float, float], decibel: bool) -> tuple[float, float]:
    """(low, high) of one band's sample; (0, 1) when there is nothing to look at."""
    values = values.astype(np.float64)
    if decibel:
        values = values[values > 0]
        to_decibel(values)
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, percentiles)
    return float(low), float(high)
