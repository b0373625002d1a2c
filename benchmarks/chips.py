"""Speed of made chips, kind by kind, and a contact sheet of them.

python benchmarks/chips.py [--chips N] [--seed S] [--picture docs/images/chips.png]

Chips a second of cpu time on one core (BLAS and the rest run one thread), each kind with the sensors and pixel sizes
that chance gives it; the first chip of a process, which makes the noises, is not counted. With --picture it writes the
contact sheet instead: the right half of each chip with outlines, of wholes in red and of parts in yellow.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from geoalps.sample import Chip, made_chip  # noqa: E402
from geoalps.sample.chips import CAMERAS, KINDS  # noqa: E402

SHOWN = (
    ("urban", "aerial", 0.25, 700), ("port", "aerial", 0.8, 1001), ("industry", "web", 0.5, 702),
    ("airport", "satellite", 0.5, 303), ("sport", "aerial", 0.5, 1006), ("parking", "drone", 0.12, 708),
    ("rural", "satellite", 0.6, 706), ("orchard", "aerial", 0.2, 1007), ("forest", "drone", 0.12, 708),
    ("water", "aerial", 0.7, 711), ("solar", "satellite", 0.25, 710), ("bare", "aerial", 0.2, 1011),
    ("urban", "panchromatic", 0.5, 712), ("urban", "infrared", 0.35, 713), ("port", "sar", 0.8, 714),
    ("sport", "grey", 0.6, 1015), ("rural", "satellite", 5.0, 1016), ("water", "infrared", 8.0, 1017),
    ("urban", "satellite", 4.0, 1018), ("solar", "web", 3.0, 719), ("settlement", "satellite", 0.2, 3002),
    ("settlement", "aerial", 0.25, 3003), ("settlement", "drone", 0.12, 3006),
    ("settlement", "panchromatic", 0.35, 3001), ("settlement", "satellite", 4.0, 3005),
)  # fmt: skip
"""Kind, sensor, pixel size in metres and seed of the contact sheet's chips."""
COLUMNS, SIDE, GAP, COLOURS = 5, 164, 4, 96


def seconds(kind: str, chips: int, seed: int) -> NDArray[np.float64]:
    """(chips,) cpu seconds of each chip of a kind."""
    taken = np.empty(chips)
    for n in range(chips):
        start = time.process_time()
        made_chip(seed + n, kind=kind)
        taken[n] = time.process_time() - start
    return taken


def speed(chips: int, seed: int) -> None:
    """Print a table."""
    made_chip(seed)
    weights, means = [], []
    print("| kind | chips a cpu second | ms, mean | ms, 95 % |\n| --- | --- | --- | --- |")
    for kind, (_, weight, *_) in KINDS.items():
        taken = seconds(kind, chips, seed)
        weights.append(weight)
        means.append(taken.mean())
        print(f"| {kind} | {1 / taken.mean():.1f} | {1e3 * taken.mean():.0f} | {1e3 * np.quantile(taken, 0.95):.0f} |")
    mean = float(np.average(means, weights=weights))
    print(f"| all, as often as drawn | {1 / mean:.1f} | {1e3 * mean:.0f} | |")
    print(f"\n{chips} chips of 256 x 256 px a kind from seed {seed}; sensors drawn: {', '.join(CAMERAS)}")


def outlined(chip: Chip) -> NDArray[np.uint8]:
    """The picture with outlines."""
    image = chip.image.copy()
    for ids, colour in ((chip.parts, (255, 225, 40)), (chip.wholes, (255, 30, 60))):
        edge = np.zeros(ids.shape, bool)
        edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
        edge[1:] |= ids[1:] != ids[:-1]
        image[edge] = colour
    return image


def picture(path: Path) -> None:
    """Write the contact sheet."""
    rows = -(-len(SHOWN) // COLUMNS)
    step = SIDE + GAP
    sheet = Image.new("RGB", (COLUMNS * step - GAP, rows * step - GAP), "white")
    for n, (kind, sensor, pixel, seed) in enumerate(SHOWN):
        chip = made_chip(seed, SIDE, kind, sensor, pixel)
        image = chip.image.copy()
        image[:, SIDE // 2 :] = outlined(chip)[:, SIDE // 2 :]
        sheet.paste(Image.fromarray(image), (n % COLUMNS * step, n // COLUMNS * step))
    # Few colours keep the file small; they serve the eye alone.
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=40, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first chip of each kind")
    parser.add_argument("--picture", type=Path, help="write the contact sheet here instead")
    given = parser.parse_args()
    if given.picture:
        picture(given.picture)
    else:
        speed(given.chips, given.seed)


if __name__ == "__main__":
    main()
