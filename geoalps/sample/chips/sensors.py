"""Cameras and radars: from light to the bytes of an image."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from geoalps.sample.chips.noises import OCTAVES, Grid, noise
from geoalps.sample.chips.sheet import MARGIN
from geoalps.sample.chips.sun import Sun, horizon, illuminate
from geoalps.sample.chips.texture import Surfaces

Light = NDArray[np.float32]
"""(height, width, 3) float32, about 0..255, with the chip's margin."""


@dataclass(frozen=True)
class Setting:
    """What a picture was taken with."""

    sensor: str
    pixel: float
    """Metres."""
    sun: Sun


def picture(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 without the margin: what a sensor of :data:`SENSORS` delivers."""
    return SENSORS[setting.sensor](setting, scene, rng)


def _colours(setting: Setting, scene: Surfaces, rng: Generator, infrared: bool = False) -> Light:
    """Red, green, blue through air, or near infrared, red, green."""
    light = illuminate(setting.sun, scene, setting.pixel)
    bands = light[..., [3, 0, 1]] if infrared else light[..., :3]
    return _developed(_hazy(bands, rng), rng)


def _hazy(light: Light, rng: Generator) -> Light:
    """Air between camera and ground: a veil, now and then thin cloud that varies over the picture."""
    veil = rng.choice([0.0, rng.uniform(0.02, 0.12), rng.uniform(0.12, 0.4)], p=[0.4, 0.45, 0.15])
    if not veil:
        return light
    amount: Grid | float = veil
    if rng.random() < 0.4:
        amount = np.clip(veil * (1 + 0.6 * noise(rng, light.shape[:2], OCTAVES - 1)), 0, 0.75)[..., None]
    air = np.array([168, 178, 190], np.float32)[: light.shape[-1]] * np.float32(rng.uniform(0.7, 1.1))
    hazy: Light = light + amount * (air - light)
    return hazy


def _developed(light: Light, rng: Generator) -> Light:
    """White balance, saturation, exposure, contrast, gamma: as many laboratories as pictures."""
    grey = light.mean(-1, keepdims=True)
    out = grey + np.float32(rng.choice([rng.uniform(0.35, 0.9), rng.uniform(0.9, 1.25)])) * (light - grey)
    cast = (
        1 + 0.05 * rng.standard_normal() * np.array([1, 0, -1]) + 0.012 * rng.standard_normal() * np.array([1, -2, 1])
    )
    out *= cast.astype(np.float32)
    level = float(grey[::4, ::4].mean())
    target = rng.uniform(58, 150)
    # Between what the ground is and what an automatic exposure would make of it.
    out *= np.float32((target / max(level, 5.0)) ** rng.uniform(0.15, 0.8))
    gamma = math.exp(rng.normal(0, 0.16))
    np.clip(out, 0, 400, out=out)
    curve = (255 * (np.arange(4001) / 2550) ** gamma).astype(np.float32)
    out = curve.take((out * 10).astype(np.intp))
    contrast = rng.uniform(0.85, 1.25)
    middle = np.float32(out[::4, ::4].mean())
    developed: Light = middle + np.float32(contrast) * (out - middle)
    return developed


def _blurred(light: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """The point spread of optics and motion."""
    if sigma < 0.15:
        return light
    blurred: NDArray[np.float32] = gaussian_filter(light, (sigma, sigma, 0) if light.ndim == 3 else sigma, truncate=2.5)
    return blurred


def _resampled(light: Light, rng: Generator, share: float) -> Light:
    """Stored at a share of the pixels and enlarged again."""
    height, width = light.shape[:2]
    small = (max(8, round(width * share)), max(8, round(height * share)))
    way = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[int(rng.integers(2))]
    image = Image.fromarray(_bytes(light)).resize(
        small, Image.Resampling.BOX if share < 0.7 else Image.Resampling.BILINEAR
    )
    return np.asarray(image.resize((width, height), way), np.float32)


def _sharpened(light: Light, amount: float, sigma: float = 1.0) -> Light:
    """Unsharp mask: halos along borders."""
    sharp: Light = light + np.float32(amount) * (light - _blurred(light, sigma))
    return sharp


def _grainy(light: Light, rng: Generator, amount: float, grey: bool = False) -> Light:
    """Noise of the sensor, stronger in the dark's favour, a little coarser than pixels now and then."""
    octave = int(rng.choice([0, 0, 1]))
    bands = 1 if grey else light.shape[-1]
    same = noise(rng, light.shape[:2], octave)
    share = np.float32(rng.uniform(0.3, 1.0))
    fields = [share * same + (1 - share) * noise(rng, light.shape[:2], octave) for _ in range(bands)]
    strength = np.float32(amount) * (0.6 + 0.4 * np.sqrt(np.maximum(light, 0) / 128))
    noisy: Light = light + strength * np.stack(fields, -1)
    return noisy


def _bytes(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rounded and clipped."""
    values = np.rint(light)
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def _compressed(image: NDArray[np.uint8], rng: Generator, quality: int) -> NDArray[np.uint8]:
    """Through JPEG, its blocks anywhere; without the margin."""
    row, col = rng.integers(0, MARGIN, size=2)
    piece = image[row:, col:]
    store = io.BytesIO()
    Image.fromarray(piece).save(store, "JPEG", quality=quality, subsampling=int(rng.choice([0, 2])))
    back = np.asarray(Image.open(store).convert("RGB"))
    return back[MARGIN - row : image.shape[0] - MARGIN - row, MARGIN - col : image.shape[1] - MARGIN - col].copy()


def _cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without the margin."""
    return image[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()


def _clean(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """Clear air, no noise, no blur beyond the drawing's own."""
    del rng
    return _cropped(_bytes(illuminate(setting.sun, scene, setting.pixel)[..., :3]))


def _aerial(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """A good camera in an aeroplane."""
    light = _blurred(_colours(setting, scene, rng), rng.uniform(0, 0.7))
    light = _grainy(light, rng, rng.uniform(0.5, 5))
    if rng.random() < 0.5:
        light = _sharpened(light, rng.uniform(0.2, 0.9), rng.uniform(0.7, 1.3))
    return _compressed(_bytes(light), rng, int(rng.integers(70, 97)))


def _drone(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """A small camera: noise, then strong sharpening, contrast."""
    light = _grainy(_colours(setting, scene, rng), rng, rng.uniform(2, 9))
    light = _sharpened(light, rng.uniform(0.5, 1.8), rng.uniform(0.6, 1.2))
    return _compressed(_bytes(light), rng, int(rng.integers(60, 95)))


def _satellite(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """Pan-sharpened: fine brightness, coarse colours, ringing."""
    light = _blurred(_colours(setting, scene, rng), rng.uniform(0.5, 1.1))
    grey = light.mean(-1, keepdims=True)
    light = grey + _blurred(light - grey, rng.uniform(1, 2.2))
    light = _grainy(_sharpened(light, rng.uniform(0.4, 1.8), rng.uniform(0.9, 1.6)), rng, rng.uniform(0.5, 4), True)
    return _compressed(_bytes(light), rng, int(rng.integers(55, 96)))


def _web(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """A map service's tile: dark, resampled, compressed twice."""
    light = _blurred(_colours(setting, scene, rng), rng.uniform(0.2, 0.8)) * np.float32(rng.uniform(0.6, 1.05))
    light = _resampled(light, rng, rng.uniform(0.45, 0.95))
    if rng.random() < 0.5:
        light = _sharpened(light, rng.uniform(0.2, 1.0))
    return _compressed(_bytes(light), rng, int(rng.integers(30, 85)))


def _grey(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """A photograph on black-and-white film: grain and uneven light."""
    light = _colours(setting, scene, rng) @ np.array([0.4, 0.4, 0.2], np.float32)
    light = _blurred(light, rng.uniform(0.3, 1.1))
    light *= 1 + np.float32(0.06) * noise(rng, light.shape, OCTAVES - 1)
    film = _grainy(light[..., None], rng, rng.uniform(2, 10), True)
    return _compressed(_bytes(film.repeat(3, -1)), rng, int(rng.integers(60, 96)))


def _panchromatic(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """One broad band up to the near infrared, of 11 bits and stretched: roofs hardly differ from ground."""
    bands = np.array([0.28, 0.26, 0.14, 0.32], np.float32)
    light = _hazy((illuminate(setting.sun, scene, setting.pixel) @ bands)[..., None], rng)
    light = _blurred(light, rng.uniform(0.5, 1.2))
    light = _sharpened(light, rng.uniform(0, 1.2), 1.2)
    low, high = np.percentile(light[::3, ::3], (rng.uniform(0.2, 4), rng.uniform(96, 99.8)))
    light = (light - low) * np.float32(255 / max(high - low, 20)) if rng.random() < 0.7 else light
    return _cropped(_bytes(_grainy(light, rng, rng.uniform(1, 5), True).repeat(3, -1)))


def _infrared(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """False colours: near infrared, red, green."""
    light = _blurred(_colours(setting, scene, rng, True), rng.uniform(0, 0.8))
    return _compressed(_bytes(_grainy(light, rng, rng.uniform(1, 5))), rng, int(rng.integers(65, 97)))


def _radar(setting: Setting, scene: Surfaces, rng: Generator) -> NDArray[np.uint8]:
    """SAR-like: echoes by material, bright sides towards the antenna, radar shadows, speckle of several looks."""
    azimuth, looks = rng.uniform(0, 2 * math.pi), rng.choice([1.0, 2.0, 4.0, 9.0])
    power = 10 ** (scene.echo / 10) * (0.7 + 0.3 * scene.albedo[..., 3] / 120)
    dx, dy = math.cos(azimuth), math.sin(azimuth)
    ahead = np.roll(scene.height, (round(2 * dy), round(2 * dx)), (0, 1))
    rise = np.clip(scene.height - ahead, -1, 12)  # steps that face away from the antenna lie in shadow already
    facing = np.maximum(0, -rise) + 0.3 * np.maximum(0, -(scene.slope[0] * dx + scene.slope[1] * dy))
    power = power * (1 + facing) + 0.6 * np.minimum(1, np.maximum(0, rise - 1) / 4)
    hidden = horizon(scene.height, azimuth, setting.pixel / rng.uniform(0.6, 1.6)) - scene.height > 0.6
    power = np.where(hidden, 0.004, power) + 0.003
    speckle = rng.standard_gamma(looks, power.shape).astype(np.float32) / np.float32(looks)
    amplitude = np.sqrt(_blurred((power * speckle).astype(np.float32), rng.uniform(0.3, 0.8)))
    scale = rng.uniform(70, 130) / float(np.sqrt(np.mean(amplitude[::3, ::3] ** 2)))
    grey = 255 * np.minimum(1, amplitude * scale / 255) ** np.float32(rng.uniform(0.6, 1.0))
    return _cropped(_bytes(grey[..., None].repeat(3, -1)))


SENSORS: dict[str, Callable[[Setting, Surfaces, Generator], NDArray[np.uint8]]] = {
    "clean": _clean,
    "aerial": _aerial,
    "drone": _drone,
    "satellite": _satellite,
    "web": _web,
    "grey": _grey,
    "panchromatic": _panchromatic,
    "infrared": _infrared,
    "sar": _radar,
}
"""What can take the picture, by name."""
