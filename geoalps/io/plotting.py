"""A product as a map with a legend (matplotlib); read through the raster's overviews, so that any size will do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from geoalps.errors import OptionError
from geoalps.io.palettes import rgb
from geoalps.io.rasters import quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geoalps.io.product import Product

PALE = 225
"""Grey of the classes that :func:`plot` is not asked for."""


def plot(
    product: Product,
    ax: Axes | None = None,
    *,
    legend: bool = True,
    only: Sequence[int] | None = None,
    pixels: int = 1_000_000,
) -> Axes:
    """Draw the label map with matplotlib, in map coordinates, with a legend in the order of the classes.

    Args:
        product: with or without a CRS.
        ax: where to draw; a new figure by default.
        legend: names of the classes, to the right.
        only: ids of the classes that keep their colour; all others are grey.
        pixels: read at most about so many, from an overview of the raster.

    Returns:
        The axes.

    Raises:
        OptionError: ``only`` names a class that the product does not show, or ``pixels`` is below 1.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch
    from matplotlib.transforms import Affine2D

    classes = product.classes()
    _check_only(only, classes.class_id.tolist())
    with quiet(), rasterio.open(product.path / "labels.tif") as file:
        values, place, crs = _reduced(file, pixels), file.transform, file.crs
        height, width = file.shape
    if ax is None:
        ax = plt.subplots(figsize=(8.5, 6), layout="constrained")[1]
    # a picture in pixels, brought to the map by the whole transform: rotated and sheared grids too
    matrix = np.vstack([np.reshape(place[:6], (2, 3)), [0, 0, 1]])
    picture = coloured(values, classes, only)
    ax.imshow(
        picture,
        extent=(0, width, height, 0),
        transform=Affine2D(matrix) + ax.transData,
        interpolation="nearest",
        clip_on=True,
    )
    corners = np.array([place * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))])
    (west, south), (east, north) = corners.min(0), corners.max(0)
    _frame(ax, (west, south, east, north), crs)
    ax.set_title(product.path.name)
    if legend:
        rows = [row for row in classes.itertuples() if only is None or row.class_id in only]
        patches = [Patch(facecolor=row.colour, edgecolor="#00000040", label=row.class_name) for row in rows]
        ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, ncols=1 + len(rows) // 25)
    return ax


def _frame(ax: Axes, box: tuple[float, float, float, float], crs: Any) -> None:
    """Limits, shape, names and plain numbers of the axes; ``box`` is west, south, east, north on the map."""
    west, south, east, north = box
    ax.set(xlim=(west, east), ylim=(south, north))
    degrees = crs is not None and crs.is_geographic
    ax.set_aspect(1 / max(math.cos(math.radians((south + north) / 2)), 0.05) if degrees else "equal")
    ax.set(xlabel="longitude" if degrees else "x", ylabel="latitude" if degrees else "y")
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.locator_params(nbins=5)


def _check_only(only: Sequence[int] | None, ids: Sequence[int]) -> None:
    """Refuse classes that are not shown."""
    unknown = sorted(set(only or ()) - set(ids))
    if unknown:
        raise OptionError(f"class {unknown[0]} is not shown; the product shows {', '.join(map(str, ids))}")


def _reduced(file: Any, pixels: int) -> NDArray[Any]:
    """(h, w) of a whole raster in at most about ``pixels`` pixels; its overviews hold the commonest class."""
    if pixels < 1:
        raise OptionError(f"pixels is {pixels}; allowed is 1 and more")
    share = min(1.0, math.sqrt(pixels / (file.height * file.width)))
    shape = max(1, round(file.height * share)), max(1, round(file.width * share))
    values: NDArray[Any] = file.read(1, out_shape=shape)
    return values


def coloured(values: NDArray[Any], classes: Any, only: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """(h, w, 4) uint8 of (h, w) class ids; what is not covered is transparent."""
    table = np.zeros((int(np.iinfo(values.dtype).max) + 1, 4), np.uint8)
    for row in classes.itertuples():
        shown = only is None or row.class_id in only
        table[row.class_id] = (*(rgb(row.colour) if shown else (PALE, PALE, PALE)), 255)
    picture: NDArray[np.uint8] = table[values]
    return picture
