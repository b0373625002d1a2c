"""How surfaces look: colour, near infrared, radar echo, and texture from grain to drift."""

from __future__ import annotations

from typing import NamedTuple

from numpy.random import Generator

Colour = tuple[float, float, float]


class Look(NamedTuple):
    """A surface. Amplitudes are relative to its brightness; lengths are metres."""

    colour: Colour
    """Red, green, blue in full sun, 0..255."""
    nir: float = -1.0
    """Near infrared, 0..255; negative for the mean of the colours."""
    other: Colour | None = None
    """Second colour, in patches: dry grass, rust, puddles."""
    mix: float = 0.0
    """Share of the second colour where it is strongest, 0..1."""
    spread: float = 0.0
    """Patches cover half at 0, less below it (-1: a sixth)."""
    edge: float = 1.0
    """Sharpness of the patches' borders."""
    small: bool = False
    """Patches of one or two metres instead of many."""
    grain: float = 0.05
    mottle: float = 0.05
    patch: float = 0.05
    drift: float = 0.05
    row_depth: float = 0.0
    """Of rows, ribs, mowing stripes, waves."""
    row_spacing: float = 1.0
    row_angle: float = 0.0
    """Direction across the rows, radians from x towards y."""
    row_hard: float = 1.0
    """1 is a wave, larger values are stripes."""
    wobble: float = 0.0
    """Waviness of the rows, in spacings."""
    cross_depth: float = 0.0
    """Of rows at right angles to the first: joints, tiles, modules."""
    cross_spacing: float = 1.0
    streak: float = 0.0
    """Of streaks along the rows: wear of roads, waves, stains of rain."""
    streak_width: float = 1.5
    streak_ratio: float = 1.0
    """Larger values are shorter streaks."""
    sar: float = -10.0
    """Radar backscatter, decibels."""

    def varied(self, rng: Generator, amount: float = 0.08) -> Look:
        """The same surface elsewhere: brighter or darker, a little redder or bluer."""
        tone, warm = 1 + amount * rng.standard_normal(), 0.35 * amount * rng.standard_normal()
        scale = (tone * (1 + warm), tone, tone * (1 - warm))
        calm, even, fine = rng.uniform(0.3, 1.15, 3)
        return self._replace(
            colour=_scaled(self.colour, scale),
            other=self.other and _scaled(self.other, scale),
            mix=self.mix * even,
            grain=self.grain * (0.3 + 0.7 * fine),
            mottle=self.mottle * calm,
            patch=self.patch * calm,
        )

    def tinted(self, colour: Colour) -> Look:
        """The same surface in another colour."""
        return self._replace(colour=colour, nir=-1.0)

    def turned(self, angle: float) -> Look:
        """The same surface with rows across this direction."""
        return self._replace(row_angle=angle)


def _scaled(colour: Colour, scale: Colour) -> Colour:
    return colour[0] * scale[0], colour[1] * scale[1], colour[2] * scale[2]


ASPHALT = Look(
    (104, 104, 105),
    92,
    (84, 84, 86),
    0.6,
    -0.6,
    3.0,
    grain=0.05,
    mottle=0.02,
    patch=0.025,
    drift=0.05,
    streak=0.04,
    sar=-15,
)
OLD_ASPHALT = Look(
    (134, 132, 127),
    122,
    (112, 111, 108),
    0.7,
    -0.4,
    2.0,
    grain=0.06,
    mottle=0.03,
    patch=0.03,
    drift=0.05,
    streak=0.04,
    sar=-14,
)
CONCRETE = Look(
    (168, 164, 154), 160, (142, 138, 130), 0.5, -0.6, 1.2, grain=0.035, mottle=0.025, patch=0.03, drift=0.05,
    row_depth=0.035, row_spacing=6.0, row_hard=-7, cross_depth=0.035, cross_spacing=6.0, streak=0.03, sar=-13,
)  # fmt: skip
PAVING = Look(
    (156, 152, 146), 148, grain=0.06, mottle=0.04, patch=0.03, drift=0.04,
    row_depth=0.03, row_spacing=1.2, row_hard=-5, cross_depth=0.03, cross_spacing=1.2, sar=-12,
)  # fmt: skip
GRAVEL = Look(
    (164, 153, 134), 165, (140, 128, 106), 0.7, grain=0.10, mottle=0.06, patch=0.05, drift=0.06, streak=0.03, sar=-10
)
DIRT = Look(
    (146, 124, 96),
    160,
    (122, 112, 82),
    0.7,
    -0.2,
    grain=0.09,
    mottle=0.08,
    patch=0.08,
    drift=0.08,
    streak=0.05,
    sar=-11,
)
SAND = Look(
    (196, 180, 148), 205, (172, 152, 120), 0.6, 0.0, 0.8, grain=0.05, mottle=0.04, patch=0.05, drift=0.08, sar=-14
)
CLAY = Look((164, 96, 70), 150, (150, 84, 62), 0.8, 0.0, 0.8, grain=0.05, mottle=0.04, patch=0.05, drift=0.05, sar=-13)
LAWN = Look(
    (90, 106, 64),
    190,
    (110, 116, 74),
    0.6,
    -0.2,
    0.7,
    grain=0.08,
    mottle=0.06,
    patch=0.06,
    drift=0.08,
    streak=0.03,
    sar=-10,
)
MEADOW = Look(
    (108, 118, 72),
    180,
    (134, 130, 88),
    0.7,
    0.0,
    0.6,
    grain=0.10,
    mottle=0.09,
    patch=0.08,
    drift=0.10,
    streak=0.04,
    sar=-9,
)
VERGE = Look(
    (112, 116, 78), 165, (136, 124, 94), 0.7, 0.0, 0.7, True, grain=0.11, mottle=0.11, patch=0.09, drift=0.10, sar=-9
)
SCRUB = Look(
    (120, 112, 78), 150, (76, 84, 52), 0.8, -0.9, 2.0, True, grain=0.12, mottle=0.10, patch=0.10, drift=0.10, sar=-8
)
FLOOR = Look(
    (66, 72, 46), 130, (92, 84, 60), 0.8, -0.4, 1.0, True, grain=0.15, mottle=0.15, patch=0.10, drift=0.10, sar=-8
)
TURF = Look(
    (82, 108, 60), 200, (100, 118, 66), 0.5, -0.4, 0.8, grain=0.05, mottle=0.04, patch=0.05, drift=0.05,
    row_depth=0.06, row_spacing=10.0, row_hard=4, streak=0.03, sar=-11,
)  # fmt: skip
WATER = Look(
    (52, 74, 78), 18, (66, 86, 80), 0.5, -0.3, 0.5, grain=0.02, mottle=0.01, patch=0.02, drift=0.08,
    streak=0.04, streak_width=2.5, streak_ratio=3.0, sar=-21,
)  # fmt: skip
POND = Look((62, 74, 54), 25, (78, 88, 60), 0.7, -0.5, grain=0.03, mottle=0.03, patch=0.04, drift=0.08, sar=-20)
POOL = Look(
    (96, 176, 196), 60, (130, 196, 208), 0.6, 0.0, 1.0, True, grain=0.03, mottle=0.05, patch=0.02, drift=0.02, sar=-18
)
PAINT = Look((214, 212, 204), 205, grain=0.06, mottle=0.06, patch=0.05, drift=0.04, sar=-13)
YELLOW = Look((208, 168, 62), 190, grain=0.06, mottle=0.06, patch=0.05, drift=0.04, sar=-13)
FLAT_ROOF = Look(
    (158, 154, 147), 150, (122, 118, 112), 0.7, -0.5, 1.2, grain=0.04, mottle=0.035, patch=0.045, drift=0.05, sar=-3
)
TILES = Look(
    (152, 94, 70), 130, (112, 82, 66), 0.6, -0.4, 1.0, True, grain=0.06, mottle=0.05, patch=0.03, drift=0.03,
    row_depth=0.09, row_spacing=0.38, cross_depth=0.05, cross_spacing=0.3, streak=0.04, streak_width=0.8, sar=-1,
)  # fmt: skip
METAL = Look(
    (184, 186, 187), 180, (150, 132, 112), 0.6, -1.1, 1.2, grain=0.02, mottle=0.02, patch=0.03, drift=0.04,
    row_depth=0.10, row_spacing=0.9, streak=0.04, streak_width=1.2, sar=1,
)  # fmt: skip
TIN = Look(
    (158, 152, 146), 150, (132, 86, 58), 0.9, -0.3, 1.2, True, grain=0.04, mottle=0.05, patch=0.05, drift=0.04,
    row_depth=0.13, row_spacing=0.35, streak=0.09, streak_width=0.9, sar=1,
)  # fmt: skip
GLASS = Look((62, 74, 86), 60, grain=0.03, mottle=0.03, patch=0.04, drift=0.0, sar=-2)
WALL = Look(
    (132, 126, 116),
    125,
    grain=0.05,
    mottle=0.05,
    patch=0.03,
    drift=0.03,
    row_depth=0.14,
    row_spacing=3.0,
    row_hard=2,
    sar=3,
)
BODY = Look((190, 190, 190), grain=0.02, mottle=0.02, patch=0.02, drift=0.0, sar=4)
STEEL = Look(
    (196, 197, 196), 190, (160, 150, 138), 0.5, -0.9, 1.0, True, grain=0.02, mottle=0.03, patch=0.03, drift=0.02, sar=5
)
CROWN = Look(
    (70, 90, 44), 195, (84, 98, 54), 0.5, 0.0, 1.0, True, grain=0.15, mottle=0.10, patch=0.05, drift=0.03, sar=-6
)
ROCK = Look(
    (138, 130, 118), 135, (104, 98, 88), 0.7, 0.0, 1.5, True, grain=0.10, mottle=0.10, patch=0.07, drift=0.05, sar=-6
)
PANEL = Look(
    (44, 54, 82), 50, grain=0.02, mottle=0.02, patch=0.03, drift=0.03,
    row_depth=-0.16, row_spacing=1.0, row_hard=-7, cross_depth=-0.16, cross_spacing=1.7, sar=0,
)  # fmt: skip
BALLAST = Look(
    (128, 118, 108), 125, (108, 98, 88), 0.7, 0.0, 1.0, True, grain=0.11, mottle=0.07, patch=0.05, drift=0.05, sar=-8
)
