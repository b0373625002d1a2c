"""Made scenes of every kind, and one check of a finished product that shares no code with the program."""

import json
import sqlite3
import xml.etree.ElementTree as ET
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import rasterio.features
import shapely
from affine import Affine
from rasterio.enums import ColorInterp, MergeAlg

TILED = ("--tile-size", 128, "--margin", 32, "--option", "regions_per_mpx=2500")
"""Options with which a made scene has several tiles and objects of a few hundred pixels."""
PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


@dataclass(frozen=True)
class Made:
    """A made scene."""

    path: Path
    valid: np.ndarray
    """(height, width) bool: where it was given data."""


def colours(shape, bands=3, seed=0, step=18):
    """(bands, height, width) uint8: patches of few kinds with a little noise, borders not on the pixel grid's tiles."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(20, 236, (6, bands))
    rows, cols = (np.arange(length) // step for length in shape)
    kind = rng.integers(0, 6, (rows[-1] + 1, cols[-1] + 1))[np.ix_(rows, cols)]
    noise = rng.integers(-3, 4, (bands, *shape))
    return np.clip(kinds[kind].transpose(2, 0, 1) + noise, 0, 255).astype(np.uint8)


def write(path, values, valid=None, *, interpretation=None, colormap=None, mask=None, **profile):
    """Write (bands, height, width) values as a tiled GeoTIFF; ``valid`` is kept beside them."""
    place = {"crs": "EPSG:32633", "transform": PLACE, **profile}
    place = {key: value for key, value in place.items() if value is not None}
    size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **size, **{**blocks, **place}) as file:
        if interpretation:
            file.colorinterp = interpretation
        if colormap:
            file.write_colormap(1, colormap)
        file.write(values)
        if mask is not None:
            file.write_mask(mask)
    return Made(Path(path), np.ones(values.shape[1:], bool) if valid is None else valid)


def plain(path, shape=(200, 170), **kwargs):
    """Three bands of uint8."""
    return write(path, colours(shape), photometric="rgb", **kwargs)


def hole(shape):
    """A slanted hole that crosses tiles, and a missing corner."""
    rows, cols = np.indices(shape)
    return (abs(rows - cols - 10) > 12) & (rows + cols > 40)


def with_nodata(path):
    """Nodata 0 in all bands of a hole."""
    valid = hole((200, 170))
    return write(path, np.where(valid, colours(valid.shape), np.uint8(0)), valid, nodata=0)


def with_nan(path):
    """Reflectances, NaN where there is nothing."""
    valid = hole((200, 170))
    return write(path, np.where(valid, colours(valid.shape) / np.float32(300), np.float32("nan")), valid)


def with_alpha(path):
    """Red, green, blue and alpha."""
    valid = hole((200, 170))
    values = np.concatenate([colours(valid.shape), 255 * valid[None].astype(np.uint8)])
    kinds = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    return write(path, values, valid, interpretation=kinds, photometric="rgb", alpha="yes")


def with_mask(path):
    """An internal mask."""
    valid = hole((200, 170))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        return write(path, colours(valid.shape), valid, mask=valid, photometric="rgb")


def with_palette(path):
    """Indices of colours."""
    values = colours((200, 170), 1) // 32
    table = {i: (30 * i, 255 - 30 * i, (97 * i) % 256, 255) for i in range(8)}
    return write(path, values, colormap=table, photometric="palette")


def many_bands(bands, dtype="uint8", factor=1, shape=(200, 170), **kwargs):
    """A maker of scenes with so many bands of a dtype."""
    return lambda path: write(path, (colours(shape, bands) * factor).astype(dtype), **kwargs)


SCENES = {
    "nodata": with_nodata,
    "float with NaN": with_nan,
    "alpha": with_alpha,
    "mask": with_mask,
    "palette": with_palette,
    "uint16": many_bands(3, "uint16", np.uint16(200)),
    "int16, one band": many_bands(1, "int16", np.int16(-100)),
    "two bands": many_bands(2),
    "seven bands": many_bands(7, "uint16", np.uint16(40)),
    "rotated": lambda path: plain(path, transform=PLACE @ Affine.rotation(30) @ Affine.shear(10)),
    "south-up": lambda path: plain(path, transform=Affine(0.5, 0, 5e5, 0, 0.5, 5e6)),
    "geographic": lambda path: plain(path, crs="EPSG:4326", transform=Affine(1e-5, 0, 11.3, 0, -1e-5, 47.2)),
    "no CRS": lambda path: plain(path, crs=None, transform=Affine(2, 0, 0, 0, -2, 0)),
    "smaller than the margin": lambda path: plain(path, (25, 30)),
    "one row": many_bands(3, shape=(1, 300)),
    "one column": many_bands(3, shape=(300, 1)),
    "one pixel": many_bands(1, shape=(1, 1)),
}
"""Makers of valid scenes, by what is special about them."""


def check_product(made, out, k, *, covers=True, follows_pixels=True):
    """Assert that a directory holds a whole, coherent product of a scene.

    ``covers``: every valid pixel belongs to an object. ``follows_pixels``: outlines are not simplified.
    """
    out = Path(out)
    left = [path.name for path in out.rglob("*") if path.name.endswith((".part", "-wal", "-journal", ".tmp"))]
    assert not left, left
    ids, classes, transform, palette = _rasters(made, out, k)
    assert not ids[~made.valid].any()
    assert covers <= bool((ids[made.valid] > 0).all())
    pairs = np.unique(np.stack([ids[ids > 0], classes[ids > 0]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1], "an object with two classes"

    with closing(sqlite3.connect(f"file:{out / 'labels.gpkg'}?mode=ro", uri=True)) as database:
        table = database.execute(
            "SELECT class_id, class_name, colour, object_count, area_m2 FROM classes ORDER BY class_id"
        ).fetchall()
        ((qml, default),) = database.execute("SELECT styleQML, useAsDefault FROM layer_styles").fetchall()
    assert default
    assert [row[0] for row in table] == list(range(len(table)))
    assert len(table) == (k if ids.any() else 0)
    assert {row[0]: tuple(bytes.fromhex(row[2][1:])) for row in table} == palette
    # category element: value and label; the renderer may add one for all other values
    shown = {c.get("value"): c.get("label") for c in ET.fromstring(qml).iter("category") if c.get("value")}  # noqa: S314 - ours
    assert shown == {str(row[0]): row[1] for row in table}

    layer = pyogrio.read_dataframe(out / "labels.gpkg", layer="objects")
    assert list(layer.columns) == [
        "object_id",
        "class_id",
        "class_name",
        "score",
        "confidence",
        "area_m2",
        "fitted_class_id",
        "geometry",
    ]
    assert sorted(layer.object_id) == sorted(set(pairs[0].tolist()))
    assert dict(zip(layer.object_id, layer.class_id, strict=True)) == dict(pairs.T.tolist())
    assert (layer.class_name == [table[i][1] for i in layer.class_id]).all()
    assert layer.score.between(0, 1).all()
    assert layer.confidence.between(0, 1).all()
    assert [row[3] for row in table] == np.bincount(layer.class_id, minlength=len(table)).tolist()
    np.testing.assert_allclose([row[4] for row in table], np.bincount(layer.class_id, layer.area_m2, len(table)))
    _check_polygons(layer, ids, transform, follows_pixels)

    run = json.loads((out / "run.json").read_text(), parse_constant=None)
    assert run["counts"]["objects"] == len(layer)
    return layer, run


def _rasters(made, out, k):
    """Object ids, class ids (-1 uncovered), the transform, and the classes' colours, all checked against the scene."""
    with rasterio.open(made.path) as scene:
        grid = scene.shape, scene.crs, scene.transform
    with rasterio.open(out / "objects.tif") as file:
        assert (file.dtypes, file.nodata) == (("uint32",), 0)
        assert (file.shape, file.crs) == grid[:2]
        assert file.transform.almost_equals(grid[2], 1e-9)
        ids = file.read(1).astype(np.int64)
    with rasterio.open(out / "labels.tif") as file:
        uncovered = 65535 if k > 255 else 255
        assert (file.dtypes, file.nodata) == (("uint16" if k > 255 else "uint8",), uncovered)
        assert (file.shape, file.crs) == grid[:2]
        assert file.transform.almost_equals(grid[2], 1e-9)
        classes = file.read(1).astype(np.int64)
        table = file.colormap(1)
    assert ((classes == uncovered) == (ids == 0)).all()
    assert classes[ids > 0].max(initial=0) < k
    classes[ids == 0] = -1
    given = json.loads((out / "classes.json").read_text())["classes"]
    return ids, classes, grid[2], {c["class_id"]: table[c["class_id"]][:3] for c in given}


def _check_polygons(layer, ids, transform, follows_pixels):
    """Polygons are valid, do not overlap, and painted again they are ``objects.tif``."""
    inverse = ~transform
    geometries = shapely.transform(layer.geometry.to_numpy(), lambda xy: np.stack(inverse @ tuple(xy.T), 1))
    assert shapely.is_valid(geometries).all()
    assert shapely.is_valid(layer.geometry.to_numpy()).all()
    if not len(layer):
        return
    # coordinates in the millions leave pixels with a rounding error, and a corner is a corner of four pixels
    geometries = shapely.set_precision(geometries, 1e-3)
    count = rasterio.features.rasterize(geometries, ids.shape, merge_alg=MergeAlg.add, dtype="int32")
    assert count.max() <= 1
    painted = rasterio.features.rasterize(zip(geometries, layer.object_id, strict=True), ids.shape, dtype="int32")
    area = shapely.area(geometries)
    assert abs(area.sum() - (ids > 0).sum()) < 1e-3 * (ids > 0).sum()
    if follows_pixels:
        assert (painted == ids).all()
        np.testing.assert_allclose(area, np.bincount(ids.ravel())[layer.object_id], atol=1e-2)
    else:
        assert (painted != ids).mean() < 0.1
        assert shapely.coverage_is_valid(geometries)


def pixels_of(out):
    """Class ids and object ids of a product, as arrays."""
    with rasterio.open(Path(out) / "labels.tif") as labels, rasterio.open(Path(out) / "objects.tif") as objects:
        return labels.read(1), objects.read(1)
