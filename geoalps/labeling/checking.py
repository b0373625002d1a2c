"""What a run refuses before it begins, looked at without writing anything."""

from __future__ import annotations

import os
from pathlib import Path

from geoalps.errors import OptionError, ProductError, StoreError
from geoalps.io.machine import existing
from geoalps.io.product import refuse_product
from geoalps.io.store import WHOLE, Store, read_manifest
from geoalps.labeling.normalisation import NORMALISATIONS
from geoalps.labeling.stages import NumberOfClasses
from geoalps.labeling.workers import Cluster, Threads, WorkersLike, working


def who_works(workers: WorkersLike, threads: int | None) -> tuple[int, int]:
    """Worker processes (0 is this one) and the threads of each; a cluster that is there already is asked.

    Raises:
        OptionError, WorkerError: as the run does.
    """
    if isinstance(workers, int):
        if min(workers, threads or 1) < 1:
            raise OptionError(f"workers is {workers} and threads is {threads}; at least 1 is needed")
        return workers, threads or 1
    with working(workers, threads) as at_work:
        if isinstance(at_work, Threads):
            return 0, at_work.count
        there = at_work.client.scheduler_info(-1)["workers"].values() if isinstance(at_work, Cluster) else []
        return max(len(there), 1), max((int(each["nthreads"]) for each in there), default=1)


def check_fitting(n_classes: NumberOfClasses, normalisation: str) -> None:
    """Refuse, as fitting does, what it looks at before it begins."""
    if n_classes != "auto" and not 1 <= n_classes <= 65535:
        raise OptionError(f"{n_classes} classes were asked for; allowed is 1 to 65535, or auto")
    if normalisation not in NORMALISATIONS:
        raise OptionError(f"normalisation is {normalisation!r}; allowed are {', '.join(NORMALISATIONS)}")


def check_folder(folder: Path, overwrite: bool, product: bool) -> None:
    """Refuse a directory in which the run could not write, or that holds a product already."""
    if product:
        refuse_product(folder, overwrite)
    nearest = existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "Permission denied" if nearest.is_dir() else "Not a directory"
        raise ProductError(f"cannot write to {folder} ({why}); use -o for another directory")


def is_usable(store: Store, overwrite: bool) -> bool:
    """Whether what is in the place of a store is of this one.

    Raises:
        StoreError: it is of another one, with tiles, and is not to be replaced.
    """
    manifest = store.path / "manifest.json"
    differs = store.differs_from(read_manifest(manifest)) if manifest.exists() else ["manifest.json is gone"]
    if differs and not overwrite and any((store.path / "tiles").glob(f"*/*{WHOLE}")):
        raise StoreError(
            f"{store.path} was made with other options ({'; '.join(differs)}); "
            "use --overwrite to start over, or another output directory"
        )
    return not differs
