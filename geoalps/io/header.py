"""What a raster says of itself before a pixel is read: which bands to read, where it lies, and why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from geoalps.errors import GeoalpsError, SceneError
from geoalps.io.bands import choose_bands, colour_table, further_bands, radar, red_nir
from geoalps.io.remote import GDAL_ERRORS, Access, FileState, broken_off, is_remote
from geoalps.io.sources import RasterSource, local_state, open_raster, parts_of, reason

if TYPE_CHECKING:
    from geoalps.io.arrays import ArraySource

LARGEST_BLOCK = 1 << 30
"""Bytes of one block of a file that GDAL may be asked to decode: a header alone must not fill the memory."""


@dataclass(frozen=True, eq=False)
class Header:
    """A way to read a scene, and what is known of it; fields as those of :class:`.Scene`."""

    source: RasterSource | ArraySource
    crs: CRS | None
    transform: Affine
    band_count: int
    nodata: float | None
    further_bands: tuple[int, ...]
    red_nir: tuple[int, int] | None = None
    radar: bool = False


def look_at(path: str, shown: str, bands: Sequence[int] | None, nodata: float | None) -> Header:
    """Open anything that rasterio opens by name, and choose its bands.

    Args:
        path: what rasterio opens.
        shown: its name in messages.
        bands: one or three 1-based bands, or None for a choice.
        nodata: overrides that of the file.

    Raises:
        SceneError, OptionError: see :func:`.open_scene`.
    """
    access = Access.to(path)
    opened = access.ask()

    def attempt(_: bool) -> Header:
        """One try, looking at a remote file afresh."""
        with _open_whole(path, access) as dataset, access.env():
            return _header(dataset, path, shown, bands, nodata, access, opened)

    try:
        return access.persist(attempt)
    except GeoalpsError:
        raise
    except (*GDAL_ERRORS, OSError, ValueError) as error:
        raise _refusal(error, shown, access.remote) from error


def _header(
    dataset: Any,
    path: str,
    shown: str,
    bands: Sequence[int] | None,
    nodata: float | None,
    access: Access,
    opened: FileState | None,
) -> Header:
    """As :func:`look_at`, from the open dataset."""
    refuse_raster(dataset, shown)
    chosen = choose_bands(bands, dataset.colorinterp, shown)
    first = chosen[0]
    dtypes = {dataset.dtypes[band - 1] for band in chosen}
    if any(dtype.startswith("complex") for dtype in dtypes):
        raise SceneError(f"{shown} holds complex numbers; write their amplitude or intensity to a raster first")
    block = dataset.block_shapes[first - 1]
    refuse_block(dataset, block, shown)
    palette = palette_of(dataset, first) if len(set(chosen)) == 1 else None
    files = tuple(dataset.files)
    source = RasterSource(
        path=path,
        name=shown,
        bands=chosen,
        dtype=str(np.result_type(*sorted(dtypes))) if palette is None else "uint8",
        palette=palette,
        nodata=nodata,
        shape=dataset.shape,
        block_shape=block,
        overviews=tuple(dataset.overviews(first)),
        files=files,
        parts=parts_of(dataset),
        access=_access_of_parts(files) or access,
        opened=opened or local_state(files),
    )
    own = dataset.nodatavals[first - 1] if nodata is None else nodata
    further = () if bands is not None or palette is not None else further_bands(chosen, dataset.colorinterp)
    says = dataset.colorinterp, dataset.descriptions
    near = red_nir(*says) if further else None
    return Header(
        source, dataset.crs or None, dataset.transform, dataset.count, own, further, near, radar(dataset.driver, *says)
    )


def _refusal(error: BaseException, shown: str, remote: bool) -> SceneError:
    """The error for a raster that cannot be opened."""
    why = reason(error)
    if "No such file" in why or "response code: 404" in why:
        return SceneError(f"{shown} does not exist; give the path or URL of a raster")
    if remote and (broken_off(error) or "Range downloading" in why):
        way = "check the address and the network, or download the file first"
        return SceneError(f"{shown} cannot be reached ({why}); {way}")
    return SceneError(f"{shown} cannot be opened ({why}); give a raster that gdalinfo can open")


def _open_whole(path: str, access: Access) -> Any:
    """A dataset none of whose parts went missing on the way: it must look the same to a second handle.

    That one finds what did arrive in GDAL's cache, and asks for the rest again.
    """
    dataset = open_raster(path, access, fresh=True)
    if access.remote:
        open_raster(path, access, parts=parts_of(dataset)).close()
    return dataset


def _access_of_parts(files: tuple[str, ...]) -> Access | None:
    """How a local VRT's remote parts are reached; what stands beside the VRT itself is still found."""
    if is_remote(files[0] if files else "") or not any(is_remote(file) for file in files):
        return None
    access = Access.to(next(file for file in files if is_remote(file)))
    return replace(access, settings={**access.settings, "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}, url=None)


def vrt_xml(vrt: WarpedVRT) -> str:
    """A WarpedVRT as text, which every thread can open for itself."""
    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(vrt, memory.name, driver="VRT")
        return str(memory.read().decode())


def palette_of(dataset: Any, band: int) -> NDArray[np.uint8] | None:
    """The colour table of a band whose values are indices of colours; see :func:`.bands.colour_table`."""
    dtype = dataset.dtypes[band - 1]
    if dataset.colorinterp[band - 1] != ColorInterp.palette or dtype not in ("uint8", "uint16"):
        return None
    try:
        return colour_table(dataset.colormap(band), dtype)
    except ValueError:
        return None


def refuse_raster(dataset: Any, shown: str) -> None:
    """Raises SceneError for what no choice of bands mends: nothing in it, or no transform."""
    if not dataset.count:
        inside = dataset.subdatasets
        if not inside:
            raise SceneError(f"{shown} has no bands; give a raster with at least one")
        more = ", ..." if len(inside) > 3 else ""
        raise SceneError(f"{shown} holds {len(inside)} rasters; give the name of one: {', '.join(inside[:3])}{more}")
    if min(dataset.shape) < 1:
        raise SceneError(f"{shown} has no pixels: {dataset.shape[0]} x {dataset.shape[1]}")
    points = "ground control points" if dataset.gcps[0] else "RPCs" if dataset.rpcs else None
    if points and dataset.transform.is_identity:
        raise unplaced(shown, points)


def unplaced(shown: str, points: str) -> SceneError:
    """The error for a scene that only points place on the map."""
    way = "gdalwarp" if points.startswith("ground") else "gdalwarp -rpc"
    return SceneError(
        f"{shown} is placed by {points} only, without a transform; warp it first: "
        f"{way} {shown} warped.tif, or give a rasterio WarpedVRT"
    )


def refuse_block(dataset: Any, block: tuple[int, int], shown: str) -> None:
    """Raises SceneError for blocks that would fill the memory."""
    together = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
    size = block[0] * block[1] * together * max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    if size > LARGEST_BLOCK:
        raise SceneError(
            f"{shown} is stored in blocks of {block[0]} x {block[1]} pixels, {size / 1e9:.1f} GB each; "
            f"{LARGEST_BLOCK / 1e9:.1f} GB are allowed: gdal_translate -co TILED=YES it first"
        )
