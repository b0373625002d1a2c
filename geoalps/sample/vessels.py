"""Ships and boats."""

from __future__ import annotations

from geoalps.sample import palette
from geoalps.sample.site import Site
from geoalps.sample.things import Detail, Ship


def boat(site: Site, place: tuple[float, float], heading: float, length: float, moving: bool = False) -> Ship:
    """A ship of some length in metres: a boat below 16, a container ship or barge above 40."""
    rng = site.rng
    width = length * (rng.uniform(0.30, 0.36) if length < 16 else rng.uniform(0.17, 0.22))
    wake = length * rng.uniform(2.0, 3.6) if moving and rng.random() < 0.8 else 0.0
    deck = site.pick(palette.DECKS[3:4] * 3 + palette.DECKS) if length < 16 else site.pick(palette.DECKS)
    return Ship(*place, heading, length, width, deck, wake, tuple(_load(site, length, width)), site.number())


def _load(site: Site, length: float, width: float) -> list[Detail]:
    """Cabin, bridge, hatches or containers."""
    rng, white = site.rng, (218.0, 218.0, 214.0)
    if length < 16:
        dark = (92.0, 98.0, 106.0) if rng.random() < 0.6 else (196.0, 186.0, 168.0)
        return [
            Detail(-0.02 * length, 0, 0.36 * length, 0.6 * width, 0.8, white),
            Detail(0.12 * length, 0, 0.10 * length, 0.5 * width, 0.8, (62, 72, 82)),
            Detail(-0.36 * length, 0, 0.18 * length, 0.6 * width, 0.1, dark),
        ]
    bridge = [
        Detail(-0.38 * length, 0, 0.10 * length, 0.86 * width, min(4.5, 0.09 * length), white),
        Detail(-0.342 * length, 0, 0.016 * length, 0.8 * width, 0.2, (70, 80, 92)),
        Detail(-0.445 * length, 0, 0.03 * length, 0.26 * width, min(4.0, 0.08 * length), (96, 84, 78)),
    ]
    if length > 40 and rng.random() < 0.6:
        across = max(2, int(width * 0.86 / 2.6))
        return bridge + [
            Detail(
                along, (n - (across - 1) / 2) * 2.55, 6.0, 2.35, 2.6 * rng.integers(1, 3), site.pick(palette.CONTAINERS)
            )
            for along in _steps(-0.27 * length, 0.33 * length, 6.6)
            for n in range(across)
            if rng.random() < 0.88
        ]
    hatch = site.pick(((122, 96, 82), (96, 108, 104), (148, 140, 124)))
    return bridge + [
        Detail(along, 0, 0.10 * length, 0.66 * width, 0.9, hatch)
        for along in _steps(-0.25 * length, 0.32 * length, 0.125 * length)
    ]


def _steps(start: float, stop: float, step: float) -> list[float]:
    """Middles of the whole steps between start and stop."""
    return [start + step * (n + 0.5) for n in range(int((stop - start) / step))]
