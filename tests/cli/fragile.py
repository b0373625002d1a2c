"""A segmenter that comes to grief where it sees certain colours; :func:`install` makes it a plug-in in a directory."""

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoalps.models.regions import RegionSegmenter

FATES = Path(__file__).parent / "fates"
"""Where files like ``250-0-0.fail`` say what happens on sight of a colour: ``fail``, ``die``, or ``once``: die once."""


@dataclass(frozen=True)
class Fragile(RegionSegmenter):
    """As ``regions``, where nothing happens."""

    @property
    def identity(self):
        return {**super().identity, "name": "fragile"}

    def segment(self, image, valid):
        for fate in sorted(FATES.iterdir()):
            if (image == np.array(fate.stem.split("-"), int)).all(-1).any():
                if fate.suffix == ".fail":
                    raise ValueError("seen what nobody should see")
                if fate.suffix == ".once":
                    fate.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().segment(image, valid)


def install(folder):
    """Make the plug-in ``fragile`` importable from a directory; gives the directory of its fates."""
    (folder / "fates").mkdir(parents=True)
    shutil.copy(__file__, folder)
    about = folder / "fragile-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[geoalps.segmenters]\nfragile = fragile:Fragile\n")
    return folder / "fates"


def fate(folder, colour, what):
    """The file that says what happens on sight of a colour."""
    return folder / f"{'-'.join(map(str, colour))}.{what}"


def mark(values, row, col, colour):
    """Paint a spot of a colour into (bands, h, w) values."""
    values[:, row - 2 : row + 3, col - 2 : col + 3] = np.array(colour)[:, None, None]
