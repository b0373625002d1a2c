"""The sheet that a chip is drawn on: regions with looks and heights, painted over each other as whole numbers.

What is drawn are region numbers, on a grid twice as fine as the chip; colours come later (:mod:`texture`), from the
table of regions. Two layers are kept: what a pixel looks like and what it truly is. Paint changes the first alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geoalps.sample.chips.look import Look
from geoalps.sample.chips.shape import Frame, Points, dense

MARGIN = 8
"""Pixels drawn around the chip, for blur and for blocks of compression that start elsewhere."""

LONGEST = 15.0
"""Metres; longer edges get corners in between before they are bent."""


class Sheet:
    """Regions of one chip while they are drawn.

    Args:
        shape: (height, width) of the chip in pixels.
        pixel: metres of a pixel.
        rng: where chance comes from.
        lean: metres by which the top of a thing moves in x and y per metre of height, seen by the camera.
    """

    def __init__(
        self, shape: tuple[int, int], pixel: float, rng: Generator, lean: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.shape, self.pixel, self.rng, self.lean = shape, pixel, rng, lean
        self.span = (shape[1] * pixel, shape[0] * pixel)
        """Metres in x and y."""
        fine = (2 * (shape[1] + 2 * MARGIN) + 1, 2 * (shape[0] + 2 * MARGIN) + 1)
        self._look, self._truth = Image.new("I", fine, 0), Image.new("I", fine, 0)
        self._pens = ImageDraw.Draw(self._look), ImageDraw.Draw(self._truth)
        self.dry = 0.0
        """Season of what grows: 1 is parched, -1 lush."""
        self.looks: list[Look] = []
        self.relief: list[tuple[float, ...]] = []
        """Of each region: height, slope in x and y, place of the height x, y, radius and height of a dome, its
        lumps, how pointed it is."""
        self.whole_of: list[int] = []
        self.part_of: list[int] = []
        self.kinds: list[int] = []
        """Class id of each whole."""
        self._parts = 0
        self._amount = 0.0
        self._waves: list[tuple[float, float, float, float, float]] = []
        """Of the bend: turns per metre along x and y, phase, metres moved in x and y."""

    @property
    def centre(self) -> tuple[float, float]:
        """Metres."""
        return self.span[0] / 2, self.span[1] / 2

    @property
    def reach(self) -> float:
        """Metres from the centre to a corner, with the margin."""
        side = MARGIN * self.pixel
        return float(np.hypot(self.span[0] / 2 + side, self.span[1] / 2 + side))

    def sees(self, x: float, y: float, reach: float) -> bool:
        """Whether something within ``reach`` metres of a place may be in the chip."""
        reach += MARGIN * self.pixel + 1.5 * self._amount
        return -reach < x < self.span[0] + reach and -reach < y < self.span[1] + reach

    def whole(self, kind: int) -> int:
        """A new whole of a class."""
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def part(self) -> int:
        """A new part, of whatever whole it is used with."""
        self._parts += 1
        return self._parts

    def add(
        self,
        look: Look,
        whole: int = 0,
        part: int = 0,
        height: float = 0.0,
        slope: tuple[float, float] = (0.0, 0.0),
        origin: tuple[float, float] = (0.0, 0.0),
        dome: tuple[float, float] = (0.0, 0.0),
        lump: float = 0.0,
        cone: float = 0.0,
    ) -> int:
        """A new region.

        Args:
            look: its surface.
            whole: that it belongs to.
            part: that it belongs to; 0 is the whole's own.
            height: metres above ground at ``origin``.
            slope: metres it rises per metre in x and y.
            origin: where it has its height.
            dome: radius and height of a dome around ``origin``, which stands on ``height``.
            lump: relative height of the dome's lumps; crowns have about 0.16.
            cone: 0 for a round dome to 1 for a pointed one.
        """
        self.looks.append(look)
        if self._waves:
            origin = self._bent_place(*origin)
        self.relief.append((height, *slope, *origin, *dome, lump, cone))
        self.whole_of.append(whole)
        self.part_of.append(part)
        return len(self.looks) - 1

    def base(self, look: Look, kind: int) -> int:
        """Cover everything; returns the whole."""
        whole = self.whole(kind)
        region = self.add(look, whole)
        for image in (self._look, self._truth):
            image.paste(region, (0, 0, *image.size))
        return whole

    def fill(self, region: int, outline: Points, paint: bool = False) -> None:
        """Draw a region's polygon, (n, 2) metres; as paint it changes looks and not truth."""
        if len(outline) < 3:
            return
        corners = self._corners(outline, True)
        self._pens[0].polygon(corners, fill=region)
        if not paint:
            self._pens[1].polygon(corners, fill=region)

    def fills(self, first: int, outlines: NDArray[np.float64], paint: bool = False) -> None:
        """Draw polygons (n, k, 2) of regions first, first + 1, ..."""
        if self._waves:
            outlines = self._bent(outlines.reshape(-1, 2)).reshape(outlines.shape)
        corners = (outlines * (2 / self.pixel) + 2 * MARGIN).reshape(len(outlines), -1).tolist()
        look, truth = self._pens
        for region, polygon in enumerate(corners, first):
            look.polygon(polygon, fill=region)
            if not paint:
                truth.polygon(polygon, fill=region)

    def lay(self, outline: Points, look: Look, kind: int, height: float = 0.0) -> int:
        """A whole of one region; returns the whole."""
        whole = self.whole(kind)
        self.fill(self.add(look, whole, height=height), outline)
        return whole

    def mark(self, look: Look, outlines: Sequence[Points], height: float = 0.0) -> None:
        """Paint: one region in several polygons, none of it truth."""
        region = self.add(look, height=height)
        for outline in outlines:
            self.fill(region, outline, paint=True)

    def line(self, look: Look, points: Points, width: float, under: Look, height: float = 0.0) -> None:
        """Paint a line; one thinner than a pixel of the fine grid takes some of the colour that lies under it."""
        share = min(1.0, width / (0.75 * self.pixel))
        if share < 0.12:
            return
        colour = tuple(u + (c - u) * share for c, u in zip(look.colour, under.colour, strict=True))
        region = self.add(look._replace(colour=(colour[0], colour[1], colour[2])), height=height)
        corners = self._corners(points, False)
        self._pens[0].line(corners, fill=region, width=max(1, round(2 * width / self.pixel)))

    def settle(self, waver: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
        """Move all borders drawn so far.

        Args:
            waver: rows and columns, float32 in pixels of the chip with its margin, from where each pixel is taken.
        """
        down, aside = (np.rint(2 * w).astype(np.intp).repeat(2, 0).repeat(2, 1) for w in waver)
        width, height = self._look.size
        rows = np.arange(height - 1)[:, None] + down
        cols = np.arange(width - 1)[None, :] + aside
        np.clip(rows, 0, height - 1, out=rows)
        np.clip(cols, 0, width - 1, out=cols)
        rows *= width
        rows += cols
        moved = []
        for image in (self._look, self._truth):
            values = np.array(image)
            values[:-1, :-1] = values.ravel()[rows]
            moved.append(Image.fromarray(values))
        self._look, self._truth = moved
        self._pens = ImageDraw.Draw(self._look), ImageDraw.Draw(self._truth)

    def maps(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Region numbers: looks on the fine grid, truth on the chip's own grid without its margin."""
        truth = np.asarray(self._truth)[1::2, 1::2][MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.asarray(self._look), truth

    def bend(self, amount: float, length: float) -> None:
        """Bend all that is drawn from now on: streets curve, and what stands along them follows.

        Args:
            amount: metres by which places move.
            length: metres from one bend to the next.
        """
        turn, phase = self.rng.uniform(0, 2 * math.pi, (2, 2))
        turns = math.pi / length
        self._waves = [
            (math.cos(t) * turns, math.sin(t) * turns, p, -math.sin(t) * amount, math.cos(t) * amount)
            for t, p in zip(turn.tolist(), phase.tolist(), strict=True)
        ]
        self._amount = amount

    def _bent_place(self, x: float, y: float) -> tuple[float, float]:
        """One place moved by the bend."""
        (u, v, phase, dx, dy), (u1, v1, phase1, dx1, dy1) = self._waves
        wave, wave1 = math.sin(x * u + y * v + phase), math.sin(x * u1 + y * v1 + phase1)
        return x + dx * wave + dx1 * wave1, y + dy * wave + dy1 * wave1

    def _bent(self, points: Points) -> Points:
        """Points (n, 2) moved by the bend."""
        out = points.copy()
        for u, v, phase, dx, dy in self._waves:
            wave = np.sin(points @ np.array((u, v)) + phase)
            out[:, 0] += dx * wave
            out[:, 1] += dy * wave
        return out

    def _corners(self, points: Points, closed: bool) -> list[float]:
        """Coordinates on the fine grid, x, y, x, y, ...; with corners in between where edges are bent."""
        scale, start = 2 / self.pixel, 2.0 * MARGIN
        if not self._waves:
            straight: list[float] = (points * scale + start).ravel().tolist()
            return straight
        if len(points) <= 8:
            flat = points.tolist()
            x0, y0 = flat[0]
            if all(abs(x - x0) < LONGEST and abs(y - y0) < LONGEST for x, y in flat):
                return [v * scale + start for x, y in flat for v in self._bent_place(x, y)]
        near = points if len(points) > 40 else dense(points, LONGEST, closed)
        bent: list[float] = (self._bent(near) * scale + start).ravel().tolist()
        return bent

    def kind_at(self, x: float, y: float) -> int:
        """Class drawn at a place, held to the nearest of the chip's borders."""
        if self._waves:
            x, y = self._bent_place(x, y)
        width, height = self._truth.size
        col, row = (round(v * 2 / self.pixel) + 2 * MARGIN for v in (x, y))
        region = self._truth.getpixel((min(max(col, 0), width - 1), min(max(row, 0), height - 1)))
        return self.kinds[self.whole_of[int(region)]]  # type: ignore[arg-type]

    def clear(self, outline: Points, kind: int) -> bool:
        """Whether a class alone was drawn at all corners and the middle of an outline so far."""
        spots = np.concatenate([outline, outline.mean(0, keepdims=True)]).tolist()
        return all(self.kind_at(x, y) == kind for x, y in spots)

    def anywhere(self, inset: float = 0.0) -> Frame:
        """A place in the chip, some metres inside its borders if it can be, with any direction."""
        x, y = (self.rng.uniform(min(inset, s / 2), max(s - inset, s / 2)) for s in self.span)
        return Frame(x, y, self.rng.uniform(0, 6.2831853))
