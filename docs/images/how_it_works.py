"""Draw the pictures of docs/how-it-works.md from a made scene, which the program labels.

python docs/images/how_it_works.py [--target docs/images]

The same command gives the same pictures. Every step is what the program does: the tiles, the tree and the choice of
``regions``, the store's segments, the product.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import rasterio
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA

import geoalps as ga
from geoalps.io.sample import write_sample
from geoalps.labeling.objects import ObjectEmbeddings, stitch_store
from geoalps.models.regions import RegionSegmenter, WindowTree
from geoalps.sample import SampleScene

SIDE, SEED, TILE, MARGIN, CLASSES = 768, 4, 256, 48, 10
AT = (1, 1)
"""The tile that is looked at."""
DETAIL = ga.Window(330, 280, 530, 480)
"""The part of the scene in which the tree is shown."""
HOUSES = ga.Window(110, 560, 250, 700)
"""The part in which polygons are shown."""
SEAM = ga.Window(314, 148, 512, 404)
"""The part in which a tile line is shown."""
GOLD, PALE = "#f2b33d", "#ffffff"
LARGEST = 190_000
"""Bytes of a picture."""
RGB = NDArray[np.uint8]
Labels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Run:
    """The scene and all that was made of it."""

    image: RGB
    """(h, w, 3) uint8."""
    product: ga.Product
    store: ga.Store

    @property
    def objects(self) -> Labels:
        """(h, w) object ids."""
        return np.asarray(self.product.object_ids())

    @property
    def segmenter(self) -> RegionSegmenter:
        """As it was for this scene, after its look at it."""
        identity = self.store.adapted or self.store.fingerprint["segmenter"]
        return RegionSegmenter(**identity["options"])


def made(folder: Path) -> Run:
    """Make the scene and label it."""
    scene = folder / "scene.tif"
    write_sample(scene, SampleScene((SIDE, SIDE), SEED), truth=False)
    product = ga.tile_label(scene, folder / "labels", CLASSES, tile_size=TILE, margin=MARGIN, threads=1)
    with rasterio.open(scene) as file:
        image = file.read().transpose(1, 2, 0)
    return Run(image, product, ga.Store.open(folder / "labels" / "work"))


def borders(labels: Labels, origin: tuple[int, int] = (0, 0)) -> LineCollection:
    """Lines between pixels of different labels, in the axes' pixels; ``origin`` is (row, col) of the first pixel."""
    row, col = np.nonzero(labels[1:] != labels[:-1])
    flat = np.stack([np.stack([col, row + 1], 1), np.stack([col + 1, row + 1], 1)], 1)
    row, col = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = np.stack([np.stack([col + 1, row], 1), np.stack([col + 1, row + 1], 1)], 1)
    lines = np.concatenate([flat, upright]) + np.array([origin[1], origin[0]])
    return LineCollection([*lines], colors=PALE, linewidths=0.7, capstyle="round")


def show(ax: plt.Axes, picture: NDArray[Any], title: str, **settings: Any) -> None:
    """A picture whose pixel (row, col) covers row..row + 1, with a title and no axes."""
    height, width = picture.shape[:2]
    ax.imshow(picture, extent=(0, width, height, 0), interpolation="nearest", **settings)
    ax.set_title(title, fontsize=11, pad=6)
    ax.set_axis_off()


def outlined(ax: plt.Axes, picture: RGB, labels: Labels, title: str) -> None:
    """A picture with the borders of its labels."""
    show(ax, picture // 4 * 3 + 20, title)
    ax.add_collection(borders(labels))


def box(ax: plt.Axes, window: ga.Window, **settings: Any) -> None:
    """A window's frame."""
    ax.add_patch(
        Rectangle((window.col0, window.row0), window.width, window.height, fill=False, clip_on=False, **settings)
    )


def random_colours(labels: Labels) -> RGB:
    """(h, w, 3) uint8: a soft colour for each label, the same in every run."""
    hues = np.random.default_rng(5).permutation(np.linspace(0, 1, 997))
    table = mpl.colormaps["gist_rainbow"](hues[np.arange(997)])[:, :3] * 0.55 + 0.38
    return (np.clip(table[labels.astype(np.int64) * 7919 % 997], 0, 1) * 255).astype(np.uint8)


def alone(run: Run) -> Labels:
    """(h, w) labels as a tool gives that does one tile after the other: each tile's segments, cut at its core."""
    labels, last = np.zeros((SIDE, SIDE), np.int64), 0
    for tile in run.store.grid:
        seen = painted(run.store.read_segments(tile), tile.window.shape)
        inside = seen[tile.core.slices(tile.window)]
        labels[tile.core.slices()] = np.where(inside > 0, inside + last, 0)
        last += int(seen.max())
    return labels


def painted(segments: ga.Segments, shape: tuple[int, int]) -> Labels:
    """(h, w) numbers of segments, from 1."""
    labels = np.zeros(shape, np.int64)
    for (row, col0, col1), number in zip(segments.runs, segments.index, strict=True):
        labels[row, col0:col1] = number + 1
    return labels


def tiles(run: Run) -> plt.Figure:
    """The scene in tiles, and one of them with its margin."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.6), width_ratios=(1.12, 1))
    tile = run.store.grid[AT]
    show(left, run.image, "the scene in tiles")
    for line in range(TILE, SIDE, TILE):
        left.axhline(line, color=PALE, linewidth=1)
        left.axvline(line, color=PALE, linewidth=1)
    box(left, tile.window, edgecolor=GOLD, linewidth=2, linestyle=(0, (4, 2)))
    box(left, tile.core, edgecolor=GOLD, linewidth=2.4)
    show(right, run.image[tile.window.slices()], "what one tile reads: its core and a margin")
    moved = tile.core.shift(-tile.window.row0, -tile.window.col0)
    box(right, moved, edgecolor=GOLD, linewidth=2.4)
    return figure


def tree(run: Run) -> plt.Figure:
    """From superpixels by a tree to the chosen objects."""
    image = run.image[DETAIL.slices()]
    segmenter = run.segmenter
    valid = np.ones(image.shape[:2], bool)
    seen = segmenter.tree_of(image, valid)
    chosen = painted(segmenter.segment(image, valid)[0], image.shape[:2])
    figure, axes = plt.subplots(2, 3, figsize=(11, 7.7))
    show(axes[0, 0], image, "the picture")
    outlined(axes[0, 1], image, seen.labels, f"superpixels: {len(seen.graph)}")
    show(axes[0, 2], parting(segmenter, image), "where the network sees borders", cmap="magma")
    outlined(axes[1, 0], image, cut(seen, 120), "the tree, cut at 120 regions")
    outlined(axes[1, 1], image, cut(seen, 30), "the same tree, cut at 30")
    outlined(axes[1, 2], image, chosen, f"what is chosen: {int(chosen.max())} segments")
    return figure


def parting(segmenter: RegionSegmenter, image: RGB) -> NDArray[Any]:
    """(h, w) how likely a border lies near, the mean over the directions in which the network looks."""
    from geoalps.models.affinity_net import partings

    return np.asarray(partings(image, segmenter.network).mean(0))


def cut(seen: WindowTree, regions: int) -> Labels:
    """(h, w) regions of a horizontal cut."""
    return np.concatenate([[-1], seen.tree.cut(regions)])[seen.labels]


def one_tile(run: Run) -> plt.Figure:
    """One tile's window, and its segments."""
    tile = run.store.grid[AT]
    image = run.image[tile.window.slices()]
    labels = painted(run.store.read_segments(tile), tile.window.shape)
    core = tile.core.shift(-tile.window.row0, -tile.window.col0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.7))
    outlined(left, image, labels, "one tile's window")
    show(
        right, random_colours(labels), f"its {int(labels.max())} segments; what the frame cuts, a neighbour sees whole"
    )
    for ax in (left, right):
        box(ax, core, edgecolor=GOLD, linewidth=2.2)
    return figure


def seams(run: Run) -> plt.Figure:
    """Tiles done one by one and cut at their cores, and the objects that geoalps makes of the same segments."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.0))
    titles = ("each tile by itself: cut at the tile line", "joined: one object on both sides of the line")
    line = TILE - SEAM.col0
    for ax, labels, title in zip(axes, (alone(run), run.objects), titles, strict=True):
        part = labels[SEAM.slices()]
        mixed = (random_colours(part) * 0.62 + run.image[SEAM.slices()] * 0.38).astype(np.uint8)
        show(ax, mixed, title)
        ax.add_collection(borders(part))
        ends = SEAM.height + 1, SEAM.height + 8
        ax.plot([line, line], ends, color=GOLD, linewidth=5, clip_on=False, solid_capstyle="butt")
        ax.set(xlim=(0, SEAM.width), ylim=(SEAM.height, 0))
    return figure


def classes(run: Run) -> plt.Figure:
    """Objects as points, by class; and the map."""
    objects = stitch_store(run.store)
    ids, values = zip(*ObjectEmbeddings.open(run.store, objects), strict=True)
    model = ga.ClassModel.load(run.product.path)
    known = run.product.classes().set_index("class_id")
    of = run.product.objects(["object_id", "class_id"]).set_index("object_id").class_id
    number, first = np.unique(np.concatenate(ids), return_index=True)
    there = np.isin(number, of.index)
    flat = PCA(2, random_state=0).fit_transform(model.normalised(np.concatenate(values)[first]))[there]
    colours = of.loc[number[there]].map(known.colour)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.4))
    left.scatter(*flat.T, s=14, c=colours, edgecolors="#00000055", linewidths=0.3)
    left.set_title(f"{len(flat)} objects by their embeddings (two of {values[0].shape[1]} dimensions)", fontsize=11)
    left.set(xticks=[], yticks=[])
    table = np.full((256, 3), 255, np.uint8)
    table[known.index] = [[round(255 * part) for part in to_rgb(colour)] for colour in known.colour]
    show(right, table[np.asarray(run.product.labels())], f"labels.tif: {len(known)} classes")
    handles = [Patch(color=colour, label=name) for name, colour in zip(known.class_name, known.colour, strict=True)]
    right.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def polygons(run: Run) -> plt.Figure:
    """The polygons over a detail, exact and simplified by two pixels."""
    exact = run.product.objects()
    model = ga.ClassModel.load(run.product.path)
    simple = ga.label(run.store, model, run.product.path.with_name("simple"), simplify=0.6, threads=1).objects()
    colours = run.product.classes().set_index("class_id").colour
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.7))
    for ax, drawn, title in zip(axes, (exact, simple), ("labels.gpkg", "the same with --simplify 0.6"), strict=True):
        west, north = 500_000.0, 5_200_000.0  # where made scenes lie
        ax.imshow(run.image, extent=(west, west + 0.3 * SIDE, north - 0.3 * SIDE, north), interpolation="nearest")
        drawn.plot(ax=ax, color=drawn.class_id.map(colours), alpha=0.5)
        drawn.boundary.plot(ax=ax, color=PALE, linewidth=1.1)
        ax.set_xlim(west + 0.3 * HOUSES.col0, west + 0.3 * HOUSES.col1)
        ax.set_ylim(north - 0.3 * HOUSES.row1, north - 0.3 * HOUSES.row0)
        ax.set_title(title, fontsize=11, pad=6)
        ax.set_axis_off()
    return figure


def save(figure: plt.Figure, path: Path) -> None:
    """As a JPEG of at most ``LARGEST`` bytes."""
    figure.tight_layout(pad=0.6, w_pad=1.2)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=115, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    plt.close(figure)
    picture = Image.open(buffer).convert("RGB")
    for quality in range(88, 40, -4):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= LARGEST:
            break
    print(f"{path}: {path.stat().st_size // 1000} kB")


def main() -> None:
    """Parse, run, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    mpl.use("Agg")
    with tempfile.TemporaryDirectory() as folder:
        run = made(Path(folder))
        for draw in (tiles, tree, one_tile, seams, classes, polygons):
            save(draw(run), given.target / f"how_{draw.__name__}.jpg")


if __name__ == "__main__":
    main()
