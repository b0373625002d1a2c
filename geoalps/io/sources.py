"""Where a scene's bands come from: anything that GDAL opens, here or on another machine.

``read(window, size)`` gives (3, h, w) values in native dtype and (h, w) bool validity, as that of
:class:`.arrays.ArraySource` does. A source is told everything when it is made; :mod:`geoalps.io.scene` finds it out.
"""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geoalps.errors import SceneError
from geoalps.grid import Window
from geoalps.io.bands import Values, as_three, differs, finite
from geoalps.io.remote import GDAL_ERRORS, Access, FileState, broken_off, without_secrets
from geoalps.protocols import Mask

Parts: TypeAlias = tuple[tuple[str, ...], tuple[int, ...]]
"""Flags of masks, factors of overviews."""

_opening = threading.Lock()


def open_raster(path: str, access: Access, fresh: bool = False, parts: Parts | None = None) -> Any:
    """A rasterio dataset, without the warning that it has no georeference: a scene may do without.

    Args:
        path: what rasterio opens.
        access: how it is reached.
        fresh: look at a remote file again, whatever GDAL remembers of it.
        parts: what a remote one must have; see :func:`parts_of`.

    Raises:
        RasterioIOError: it cannot be opened, or part of a remote file's header did not arrive.
    """
    with access.env(fresh):
        # Python keeps one list of warning filters for all threads.
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
            dataset.transform  # noqa: B018
        if access.remote and parts is not None and parts_of(dataset) != parts:
            dataset.close()
            raise RasterioIOError("IO error: part of the header did not arrive")
        return dataset


def parts_of(dataset: Any) -> Parts:
    """Flags of masks, factors of overviews; where a TIFF's directories do not arrive, GDAL sees none and is silent."""
    masks = tuple(flag.name for flags in dataset.mask_flag_enums for flag in flags)
    return masks, tuple(dataset.overviews(1)) if dataset.count else ()


def reason(error: BaseException) -> str:
    """First line of what GDAL said; rasterio keeps it in the cause."""
    text = without_secrets(str(error.__cause__ or error).strip())
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def local_state(files: tuple[str, ...]) -> FileState | None:
    """Bytes and latest modification of local files, statistics and overviews aside, which viewers write."""
    paths = [Path(file) for file in files if not file.endswith((".aux.xml", ".ovr"))]
    if not paths or not all(path.is_file() for path in paths):
        return None
    stats = [path.stat() for path in paths]
    return {"size": sum(stat.st_size for stat in stats), "mtime_ns": max(stat.st_mtime_ns for stat in stats)}


@dataclass(frozen=True, eq=False)
class RasterSource:
    """Bands of anything that GDAL opens; safe to read from several threads, and to pickle."""

    path: str
    """What rasterio opens: a path, a URL, a subdataset, or the XML of a VRT."""
    name: str
    """For messages."""
    bands: tuple[int, ...]
    """Three 1-based bands."""
    dtype: str
    """Of what :meth:`read` gives."""
    palette: NDArray[np.uint8] | None
    """(4, n) uint8 RGBA when the one band holds indices of colours."""
    nodata: float | None
    """Overrides the file's own nodata value."""
    shape: tuple[int, int]
    """(height, width) in pixels."""
    block_shape: tuple[int, int]
    """(height, width) of what the file stores, and GDAL decodes, as one."""
    overviews: tuple[int, ...]
    """Factors of the overviews, internal or beside the file."""
    files: tuple[str, ...]
    """What GDAL reads for it, a VRT's sources and masks too."""
    access: Access
    """How they are reached."""
    parts: Parts
    """That every handle must have."""
    opened: FileState | None
    """:attr:`state` when it was opened."""
    _handles: threading.local = field(default_factory=threading.local, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # whoever opens it may work in another directory
        path = os.path.abspath(self.path) if os.path.exists(self.path) else self.path  # noqa: PTH100, PTH110 - any text
        return {key: value for key, value in vars(self).items() if key != "_handles"} | {"path": path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _handles=threading.local())

    @property
    def dataset(self) -> Any:
        """This thread's own handle, kept open: GDAL's are not safe to share, and opening a remote file is slow."""
        held = getattr(self._handles, "dataset", None)
        if held is None:
            held = self._handles.dataset = open_raster(self.path, self.access, parts=self.parts)
        return held

    def _reopen(self) -> None:
        """Give up this thread's handle for one that remembers nothing."""
        held = self._handles.__dict__.pop("dataset", None)
        if held is not None:
            held.close()
        self._handles.dataset = open_raster(self.path, self.access, fresh=True, parts=self.parts)

    @property
    def state(self) -> FileState | None:
        """Of its files now, statistics and overviews aside; None when that is not known without reading them.

        Raises:
            SceneError: the server does not answer.
        """
        if self.access.url is not None:
            return self.access.ask()
        return local_state(self.files)

    def read(self, window: Window, size: tuple[int, int] | None = None) -> tuple[Values, Mask]:
        """Values and validity of a window, decimated to ``size`` (nearest neighbour, through overviews) when given.

        Raises:
            SceneError: some of its pixels are damaged (it carries the window), or do not arrive (it carries none).
        """
        size, unique = size or window.shape, list(dict.fromkeys(self.bands))
        area = rasterio.windows.Window(window.col0, window.row0, window.width, window.height)
        dtype = None if self.palette is not None else self.dtype

        def attempt(again: bool) -> tuple[Values, Mask]:
            """Values as stored and validity; (bands, h, w) and (h, w)."""
            # Inside of an environment GDAL logs its warnings; outside, it prints them.
            with self.access.env():
                if again:
                    self._reopen()
                raw = self.dataset.read(unique, window=area, out_shape=(len(unique), *size), out_dtype=dtype)
                return raw, self._valid(self.dataset, raw, unique, area, size)

        try:
            raw, valid = self.access.persist(attempt)
        except GDAL_ERRORS as error:
            why = broken_off(error) if self.access.remote else None
            if why is not None:
                raise _unreached(self.name, window, why, len(self.access.pauses) + 1) from error
            raise unreadable(self.name, window, error) from error
        if self.palette is not None:
            rgba = np.take(self.palette, raw[0], axis=1)
            return rgba[:3], valid & (rgba[3] > 0)
        return as_three(raw, self.bands), valid & finite(raw)

    def _valid(self, dataset: Any, raw: Values, unique: list[int], window: Any, size: tuple[int, int]) -> Mask:
        """What rasterio's ``dataset_mask`` says, but asking only the bands that are read for their nodata."""
        flags, nodata = dataset.mask_flag_enums, dataset.nodatavals

        def mask(bands: list[int]) -> Mask:
            """GDAL's own, of any of these bands."""
            return np.asarray((dataset.read_masks(bands, window=window, out_shape=(len(bands), *size)) > 0).any(0))

        own: Mask | None = None
        if MaskFlags.per_dataset in flags[0]:
            own = mask([1])
        elif dataset.count == 4 and dataset.colorinterp[0] == ColorInterp.red and nodata[3] is not None:
            own = differs(dataset.read([4], window=window, out_shape=(1, *size)), nodata[3])
        if self.nodata is not None:
            return differs(raw, self.nodata) if own is None else own & differs(raw, self.nodata)
        if own is not None:
            return own
        chosen = [flags[band - 1] for band in unique]
        if all(flag == [MaskFlags.all_valid] for flag in chosen):
            return np.ones(size, bool)
        if all(flag == [MaskFlags.nodata] for flag in chosen) and len(set(nodata)) == 1 and raw.dtype.kind in "iu":
            # GDAL's own mask would read and widen every band once more.
            return differs(raw, nodata[0])
        return mask(unique)


def unreadable(name: str, window: Window, error: BaseException) -> SceneError:
    """The error for pixels that are damaged; it carries the window."""
    told = SceneError(f"{name} cannot be read at {_place(window)} ({reason(error)}); the file is damaged or cut short")
    told.window = window
    return told


def _unreached(name: str, window: Window, why: str, tries: int) -> SceneError:
    """The error for pixels that did not arrive; nothing is wrong with them."""
    asked = f"asked {tries} times" if tries > 1 else "asked once"
    return SceneError(
        f"{name} cannot be read at {_place(window)} ({why}; {asked}); check the network and run again, "
        "or download the file first"
    )


def _place(window: Window) -> str:
    """``rows 0 to 512, columns 0 to 512``."""
    return f"rows {window.row0} to {window.row1}, columns {window.col0} to {window.col1}"
