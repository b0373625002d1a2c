"""One run in a directory at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from geoalps.errors import ProductError

LOCK = "run.lock"
_held: dict[Path, int] = {}
"""Directories this process has locked, and by which thread."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a directory, which is made if need be; a stage within a stage of one run comes in.

    The lock is the operating system's: it ends with the process, however that ends.

    Raises:
        ProductError: another run is in there, or the directory cannot be written.
    """
    place = folder.resolve()
    if _held.get(place) == threading.get_ident():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise ProductError(
            f"another run is writing to {folder}; wait for it to end, or use -o for another directory"
        ) from error
    except NotImplementedError as error:
        raise ProductError(
            f"the file system of {folder} knows no locks, so two runs could spoil each other; use -o for another one"
        ) from error
    except OSError as error:
        raise ProductError(
            f"cannot write to {folder} ({error.strerror or error}); use -o for another directory"
        ) from error
    _held[place] = threading.get_ident()
    try:
        yield
    finally:
        del _held[place]
        # gone before it is free: whoever comes next makes a new one
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
