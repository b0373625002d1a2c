"""The product: the output directory of one run, as others read it.

Files are made under ``work/product.part`` and moved to their final names at the end, ``run.json`` last: a directory
with a ``run.json`` holds a whole product. One call may make several: until it ends well, ``work/unfinished`` lets the
same call replace those that it had finished when it was killed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoalps.errors import ProductError
from geoalps.io.lock import alone_in
from geoalps.io.rasters import quiet
from geoalps.io.store import Store
from geoalps.io.style import ClassRow

if TYPE_CHECKING:
    import geopandas
    import xarray
    from matplotlib.axes import Axes

FILES = (
    "labels.tif",
    "labels.tif.aux.xml",
    "labels.qml",
    "objects.tif",
    "labels.gpkg",
    "classes.csv",
    "classes.npz",
    "classes.json",
    "report.html",
    "run.json",
)
"""What a product is made of, in the order in which the files are moved to their names."""
REPORT = "report.html"
"""The page about a product."""
LOOKS = (REPORT, "labels.qml", "labels.tif.aux.xml")
"""Files that only show what the others hold; a product that has lost one is one all the same."""
DISSOLVED = "dissolved.gpkg"
"""On request, neighbouring objects of one class as one polygon; gone when classes change without that request."""
COMPLETE = "product.done"
"""Directory in ``work`` of files that are all made and wait to be moved: whoever comes next goes on with it."""
UNFINISHED = "unfinished"
"""File in ``work`` that tells that the call which made the product did not end well yet."""


@contextmanager
def building_in(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Make the output directory, and in it an empty one to build the product in; it is gone at the end.

    After an error no directory is left that was not there before, unless it holds a store.

    Raises:
        ProductError: there is a product already and ``overwrite`` is False, another run is making one, or the
            directory cannot be written.
    """
    new = [path for path in (folder / "work", folder, *folder.parents) if not path.exists()]
    _finish(folder)
    refuse_product(folder, overwrite)
    try:
        with alone_in(folder / "work"):
            try:
                yield _prepare(folder)
                (folder / "work" / UNFINISHED).unlink(missing_ok=True)
            finally:
                shutil.rmtree(folder / "work" / "product.part", ignore_errors=True)
    finally:
        for path in new:
            with suppress(OSError):
                path.rmdir()


def refuse_product(folder: Path, overwrite: bool) -> None:
    """Refuse a directory that holds a product which is not to be replaced, or something in a file's place.

    Raises:
        ProductError: it does.
    """
    replaceable = overwrite or (folder / "work" / UNFINISHED).exists()
    if (folder / "run.json").exists() and not replaceable:
        raise ProductError(
            f"{folder} holds a product already; use --overwrite to replace it, or -o for another directory"
        )
    in_the_way = [name for name in FILES if (folder / name).is_dir()]
    if in_the_way:
        raise ProductError(f"{folder / in_the_way[0]} is a directory; move it away, or use -o for another directory")


def _prepare(folder: Path) -> Path:
    building = folder / "work" / "product.part"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
    except OSError as error:
        raise ProductError(
            f"cannot write to {folder} ({error.strerror or error}); use -o for another directory"
        ) from error
    return building


def publish(building: Path, folder: Path, kept: Sequence[str] = ()) -> None:
    """Move a finished product's files to their names; those ``kept`` are there and stay as they are.

    All or nothing: once the directory they were made in is renamed, whoever opens the product next moves what a killed
    run left there.

    Raises:
        ProductError: a file is missing, or cannot be moved.
    """
    missing = [name for name in FILES if name not in (*kept, REPORT) and not (building / name).exists()]
    if missing:
        raise ProductError(f"{missing[0]} was not made; run again")
    (folder / "work" / UNFINISHED).touch()
    building.rename(folder / "work" / COMPLETE)
    _finish(folder)


def _finish(folder: Path) -> None:
    """Move the files of a product that are all made, if there are any, to their names; ``run.json`` last."""
    complete = folder / "work" / COMPLETE
    if not complete.exists():
        return
    try:
        (folder / "run.json").unlink(missing_ok=True)
        if (complete / "labels.gpkg").exists():  # it goes first: none of the new files has a name yet
            for name in (DISSOLVED, REPORT):  # there may be none of the new classes
                (folder / name).unlink(missing_ok=True)
        for name in ("labels.gpkg", DISSOLVED, *FILES):
            with suppress(FileNotFoundError):  # moved before, or by another who opened the product at this moment
                (complete / name).replace(folder / name)
        shutil.rmtree(complete, ignore_errors=True)
    except OSError as error:
        raise ProductError(
            f"{folder} cannot be finished ({error.strerror or error}); make it writable, close what has its files "
            "open, and run again"
        ) from error


def is_product(folder: Path) -> bool:
    """Whether a directory holds a product, or all that one is made of."""
    return (folder / "run.json").exists() or (folder / "work" / COMPLETE).exists()


@dataclass(frozen=True)
class Product:
    """A finished product, to be read."""

    path: Path
    """The directory."""

    @classmethod
    def open(cls, path: str | Path) -> Product:
        """The product in a directory.

        Raises:
            ProductError: the directory holds none.
        """
        folder = Path(path)
        _finish(folder)
        missing = [name for name in FILES if name not in LOOKS and not (folder / name).exists()]
        if missing and (folder / "run.json").exists():
            keeps = "" if "classes.json" in missing or "classes.npz" in missing else f" --class-model {folder}"
            raise ProductError(
                f"{folder} is not whole (no {missing[0]}); `geoalps tile-label SCENE -o {folder} --overwrite{keeps}` "
                "makes it again" + (", with its classes as they are" if keeps else "")
            )
        if missing:
            raise ProductError(
                f"{folder} is not a product (no {missing[0]}); make one with `geoalps tile-label SCENE -o {folder}`"
            )
        return cls(folder)

    def store(self) -> Store:
        """The store that the product was made from.

        Raises:
            ProductError: it is gone, or another one is in its place.
        """
        folder = self.path / "work"
        if not (folder / "manifest.json").exists():
            raise ProductError(
                f"{self.path} has no store (work/), which holds the embeddings; make the product again, in one go "
                "(geoalps tile-label) and without --clean"
            )
        store = Store.open(folder)
        if store.digest != self.run().get("store"):
            raise ProductError(
                f"{folder} is not the store that the product was made from: the scene was segmented anew since; make "
                "the product again with --overwrite"
            )
        return store

    def labels(self, chunks: int = 2048) -> xarray.DataArray:
        """Class ids, (y, x), backed by Dask chunks of this side; uncovered is the raster's nodata."""
        return self._raster("labels.tif", chunks)

    def object_ids(self, chunks: int = 2048) -> xarray.DataArray:
        """Object ids, (y, x) uint32, 0 = uncovered."""
        return self._raster("objects.tif", chunks)

    def objects(self, columns: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """One row an object: polygon, ``object_id``, ``class_id``, ``class_name``, score, confidence, ``area_m2``.

        ``fitted_class_id`` is the class before merging.
        """
        import geopandas

        return geopandas.read_file(self.path / "labels.gpkg", layer="objects", columns=columns)

    def classes(self) -> Any:
        """One row a class (a DataFrame): ``class_id``, ``class_name``, ``colour``, ``object_count``, ``area_m2``.

        ``merge_into`` names the class that took the objects of this one.
        """
        import geopandas

        return geopandas.read_file(self.path / "labels.gpkg", layer="classes", ignore_geometry=True)

    def class_rows(self) -> list[ClassRow]:
        """The classes that stand, as the table ``classes`` has them."""
        columns = [field.name for field in fields(ClassRow)]
        table = self.classes()[columns].astype({"class_id": int, "object_count": int, "area_m2": float})
        return [ClassRow(*row) for row in table.itertuples(index=False, name=None)]

    def explore(self, **options: Any) -> Any:
        """An interactive map (``folium.Map``); see :func:`geoalps.io.interactive.explore`."""
        from geoalps.io.interactive import explore

        return explore(self, **options)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the label map with its legend (matplotlib); see :func:`geoalps.io.plotting.plot`."""
        from geoalps.io.plotting import plot

        return plot(self, ax, **options)

    def need_objects(self) -> Product:
        """The product itself.

        Raises:
            ProductError: it holds no objects, so that there is no class to be named, split, counted or exported.
        """
        if not self.run()["counts"]["objects"]:
            raise ProductError(
                f"{self.path} holds no objects, and so no classes to work on; label the scene again (geoalps "
                "tile-label SCENE --overwrite): it says what may be wrong"
            )
        return self

    def run(self) -> dict[str, Any]:
        """How the product was made: versions, options, fingerprints, timings, counts, seam index.

        Raises:
            ProductError: ``run.json`` is damaged.
        """
        try:
            content = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except ValueError as error:
            content = error
        if not isinstance(content, dict):
            raise ProductError(f"{self.path / 'run.json'} is damaged ({content}); make the product again")
        return content

    def _raster(self, name: str, chunks: int) -> xarray.DataArray:
        import rioxarray
        import xarray

        with quiet():
            array = rioxarray.open_rasterio(self.path / name, chunks={"x": chunks, "y": chunks}, cache=False)
        assert isinstance(array, xarray.DataArray)  # noqa: S101 - one subdataset, so never a list
        return array.squeeze("band", drop=True)
