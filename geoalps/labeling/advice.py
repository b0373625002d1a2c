"""Advice: what is odd about a product, the likely cause, and what to try.

Every line says what is seen, why that may be, and an option. A product with nothing odd gets none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geoalps.io.report.facts import seams_show
from geoalps.io.style import ClassRow

COVERED = 0.05
"""Share of the scene: of less, the nodata value is wrong more often than the scene is so small a part of its frame."""
MASKED = 0.5
"""Share of the pixels, nodata or not, that a mask generator leaves uncovered; roads and meadows are left out of most
products."""
DOMINANT = 0.95
"""Share of the area in one class, from which the map shows that one class."""
SHARED = 3
"""Objects a class, on the average, below which classes are single objects rather than kinds."""
LONELY = 0.5
"""Share of classes with one object or none; a few are usual, of half of them the others have lost what they were."""
TINY, FINE = 30, 10_000
"""Pixels of the mean object, which is little more than the 24 that are the smallest; objects a megapixel: asked for are
300, and towns of 30 cm have 1 000 to 3 000."""
COARSE, ENOUGH = 10, 1_000_000
"""Objects a megapixel: a field of 3 m pixels has as many; and covered pixels below which so few prove nothing."""
FLAT = 8
"""Grey values of an integer scene between black and white: fewer give a picture of a few steps."""
FLAT_DECIBEL = 0.5
"""Decibel, likewise: less than the noise of any radar."""
DARK = 0.25
"""Share of the usual 300 objects a megapixel, below which a stretch over a dtype's whole range is the likely cause."""


def advice(run: Mapping[str, Any], classes: Sequence[ClassRow], place: bool = True) -> tuple[str, ...]:
    """What is odd about a product and what to try, one line each; none when nothing is.

    Args:
        run: the content of ``run.json``.
        classes: those that stand, with counts and areas.
        place: also speak of a CRS that is missing, of which a run warns by itself.
    """
    lines = [*_damaged(run)]
    if not run["counts"]["objects"]:
        lines.append(f"no objects: {_why_none(run)}")
    else:
        lines += [*_covered(run), *_fineness(run), *_classes(run, classes), *_seams(run)]
    lines += [*_stretch(run)]
    if place and run["scene"].get("crs") is None:
        lines.append(
            "the scene has no CRS: areas are in pixels, and no map knows where the objects are; gdal_edit.py -a_srs "
            "EPSG:CODE gives it one"
        )
    return tuple(lines)


def _why_none(run: Mapping[str, Any]) -> str:
    """What may be wrong when a product holds no objects, and what to do."""
    nodata = "is the nodata value right? (geoalps info SCENE, --nodata)"
    gated = run["counts"].get("gated", 0)
    if gated:
        return (
            f"all {gated} masks were over {_gate(run):g} of a tile (the gate); try --max-area-fraction 1, a larger "
            "--tile-size, or --segmenter regions"
        )
    if not _generates_masks(run):
        return f"the scene holds no valid pixels; {nodata}"
    return (
        "no mask passed; try --option pred_iou_thresh=0.7 --option stability_score_thresh=0.85, or take --segmenter "
        f"regions, which covers all that is valid. Or nothing is: {nodata}"
    )


def _generates_masks(run: Mapping[str, Any]) -> bool:
    """Whether the segmenter leaves out what passes none of its thresholds."""
    return "pred_iou_thresh" in run["segmenter"].get("options", {})


def _gate(run: Mapping[str, Any]) -> float:
    """Share of a tile over which masks were dropped."""
    return float(run["options"].get("gate") or 1)


def _damaged(run: Mapping[str, Any]) -> Iterator[str]:
    """Tiles that could not be read or segmented."""
    if damaged := run.get("damaged_tiles"):
        first = "; ".join(f"{name}: {why}" for name, why in list(damaged.items())[:3])
        yield (
            f"{len(damaged)} tiles are not whole ({first}); run.json lists them. Was it a disk or server that failed: "
            "--overwrite does only these again; else mend the scene first"
        )


def _covered(run: Mapping[str, Any]) -> Iterator[str]:
    """Much that is uncovered."""
    counts, (height, width) = run["counts"], run["scene"]["shape"]
    covered = counts.get("covered_pixels")
    if covered is None:
        return
    if _generates_masks(run) and covered < (1 - MASKED) * height * width:
        left = 1 - covered / (height * width)
        yield (
            f"{left:.0%} of the pixels are uncovered, nodata or not: no mask passed there; try --option "
            "points_per_side=64, --option pred_iou_thresh=0.7, or --segmenter regions, which covers all that is valid"
        )
    elif covered < COVERED * height * width:
        yield (
            f"objects cover {covered / (height * width):.1%} of the scene, the rest holds no data; if it should, the "
            "nodata value is wrong (geoalps info SCENE, --nodata)"
        )


def _fineness(run: Mapping[str, Any]) -> Iterator[str]:
    """Objects that are very many and tiny, or very few."""
    counts = run["counts"]
    objects, covered = counts["objects"], counts.get("covered_pixels")
    if not covered:
        return
    dense, mean = objects / covered * 1e6, covered / objects
    if dense > FINE or mean < TINY:
        yield (
            f"{dense:,.0f} objects a megapixel, {mean:.0f} pixels each: finer than is useful; try "
            f"{_coarser(run)}, --min-area with some square metres, or a scene of larger pixels"
        )
    elif dense < COARSE and covered >= ENOUGH:
        yield (
            f"{objects} objects on {covered / 1e6:.1f} megapixels: very few; try {_finer(run)}, or look whether the "
            "picture has any contrast (--stretch percentile, --bands)"
        )


def _coarser(run: Mapping[str, Any]) -> str:
    """The option by which this segmenter makes fewer objects."""
    granularity = run["segmenter"].get("options", {}).get("granularity")
    return "--option points_per_side=16" if granularity is None else f"--granularity {max(granularity / 3, 0.01):.2g}"


def _finer(run: Mapping[str, Any]) -> str:
    """The option by which this segmenter makes more objects."""
    granularity = run["segmenter"].get("options", {}).get("granularity")
    if granularity is None:
        return "--option points_per_side=64, --option pred_iou_thresh=0.7"
    return f"--granularity {min(granularity * 2, 100):.2g}"


def _classes(run: Mapping[str, Any], classes: Sequence[ClassRow]) -> Iterator[str]:
    """One class that has nearly all, or classes that are hardly more than single objects."""
    objects, area = run["counts"]["objects"], sum(row.area_m2 for row in classes)
    largest = max(classes, key=lambda row: row.area_m2, default=None)
    if largest is not None and len(classes) > 1 and largest.area_m2 > DOMINANT * area:
        yield (
            f"class {largest.class_id} ({largest.class_name}) has {largest.area_m2 / area:.0%} of the area; try "
            f"geoalps split PRODUCT {largest.class_id}, another --normalisation (pca), or look whether the scene shows "
            "more than one thing"
        )
    lonely = sum(row.object_count <= 1 for row in classes)
    if len(classes) > 2 and (objects < SHARED * len(classes) or lonely > LONELY * len(classes)):
        fewer = max(2, min(len(classes) // 2, objects // 10))
        yield (
            f"{objects} objects in {len(classes)} classes, {lonely} of these with one object or none: more than there "
            f"are kinds; try -k {fewer} or -k auto, or more objects: {_finer(run)}"
        )


def _seams(run: Mapping[str, Any]) -> Iterator[str]:
    """Borders of objects that follow tile lines more often than by chance."""
    found, grid = run["seam_index"], run["options"]["grid"]
    if not seams_show(found):
        return
    chance = found.get("by_chance") or 1.0
    yield (
        f"seam index {found['index']:.2f} ({chance:.2f} is by chance): borders follow the lines of tiles of "
        f"{grid['size']} pixels with a margin of {grid['margin']}; try {_wider(grid['size'], grid['margin'])}"
    )


def _wider(size: int, margin: int) -> str:
    """Tiles with less seam: a wider margin where the tile has room for it, else larger tiles."""
    wider = min(2 * max(margin, 32), size // 2)
    return f"--margin {wider}" if wider > margin else f"--tile-size {2 * size} --margin {2 * max(margin, 32)}"


def _stretch(run: Mapping[str, Any]) -> Iterator[str]:
    """A picture that is flat, because black and white are too near each other or too far apart."""
    stretch, dtype = run["stretch"], np.dtype(run["scene"].get("dtype", "uint8"))
    low, high = np.asarray(stretch["low"], float), np.asarray(stretch["high"], float)
    flat = [str(run["scene"]["bands"][i]) for i in range(3) if _flat(low[i], high[i], dtype, stretch.get("decibel"))]
    if flat:
        names = ", ".join(dict.fromkeys(flat))
        told = ", ".join(dict.fromkeys(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True)))
        yield (
            f"black and white are nearly one value in band {names} ({told}): the picture is flat; try other --bands, "
            "--percentiles 0 100, or --nodata with the value of an empty border"
        )
    counts = run["counts"]
    wide = dtype.kind in "iu" and dtype.itemsize > 1 and not stretch.get("decibel")
    if wide and counts["objects"] and _is_whole_range(low, high, dtype):
        dense = counts["objects"] / max(counts.get("covered_pixels") or 1, 1) * 1e6
        if dense < DARK * 300:
            yield (
                f"the stretch takes the whole range of {dtype} ({low[0]:g} to {high[0]:g}), of which scenes fill a "
                f"small part: {dense:.0f} objects a megapixel; leave out --stretch none"
            )


def _flat(low: float, high: float, dtype: np.dtype[Any], decibel: bool | None) -> bool:
    """Whether a band's black and white are too near each other to show anything."""
    if decibel:
        return high - low < FLAT_DECIBEL
    if dtype.kind in "iu":
        return high - low < FLAT
    return high - low <= 1e-6 * max(abs(low), abs(high))


def _is_whole_range(low: Any, high: Any, dtype: np.dtype[Any]) -> bool:
    """Whether black and white are the ends of an integer dtype."""
    ends = np.iinfo(dtype)
    return bool((low <= ends.min).all() and (high >= ends.max).all())
