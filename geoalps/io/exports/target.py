"""Where an export goes: a file or a directory that appears under its name when it is whole.

A directory that we made holds ``export.json``. Only such a one is replaced, so that ``--overwrite`` with a wrong path
deletes nobody's photographs.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from geoalps.errors import ProductError
from geoalps.io.product import FILES, Product
from geoalps.io.store import appearing, write_json

MARK = "export.json"
"""File of an exported directory that says what it is and how it was made."""


@contextmanager
def new_file(path: Path, product: Product, overwrite: bool) -> Iterator[Path]:
    """Where to write a file that appears at ``path`` at the end; an error leaves nothing behind.

    Raises:
        ProductError: something is there and ``overwrite`` is False, it is a directory, it is a file of the product
            itself, or the directory cannot be written.
    """
    if path.is_dir():
        raise ProductError(f"{path} is a directory; give the name of a file to write")
    if path.name in FILES and path.parent.resolve() == product.path.resolve():
        raise ProductError(f"{path} is part of the product; give another name with -o")
    if path.exists() and not overwrite:
        raise ProductError(f"{path} exists; use --overwrite to replace it, or -o for another name")
    with _parents(path):
        try:
            with appearing(path) as part:
                yield part
        except (PermissionError, NotADirectoryError) as error:
            raise _unwritable(path, error) from error


@contextmanager
def new_folder(path: Path, product: Product, overwrite: bool) -> Iterator[Path]:
    """An empty directory to fill that becomes ``path`` at the end; an error leaves nothing behind.

    Raises:
        ProductError: something is there and ``overwrite`` is False, what is there is no export, or the directory
            cannot be written.
    """
    _refuse(path, product, overwrite)
    with _parents(path):
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            part.mkdir()
            yield part
            _swap(part, path)
        except (PermissionError, NotADirectoryError) as error:
            raise _unwritable(path, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)


def mark(folder: Path, product: Product, what: str, options: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    """Write ``export.json``: the format, of which product, with which options, and how much came out."""
    run = product.run()
    head = {"format": what, "geoalps": run["geoalps"], "product": product.path.resolve().name}
    write_json(folder / MARK, {**head, "scene": run["scene"]["name"], "options": dict(options), "counts": dict(counts)})


def _refuse(path: Path, product: Product, overwrite: bool) -> None:
    """Raise a ProductError where there is something that must stay; an empty directory may be filled."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise ProductError(f"{path} is a file; give a directory for this format with -o")
    if not (path / MARK).is_file() or path.resolve() in product.path.resolve().parents:
        raise ProductError(f"{path} holds other things than an export; give a directory of its own with -o")
    if not overwrite:
        raise ProductError(f"{path} holds an export already; use --overwrite to replace it, or -o for another")


def _swap(part: Path, path: Path) -> None:
    """Put a finished directory in the place of what is there, which is deleted last."""
    old = part.with_suffix(".old")
    if path.exists():
        path.replace(old)
    part.replace(path)
    if old.exists():
        shutil.rmtree(old)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the directories above a path; after an error those are gone that were not there before."""
    new = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    except BaseException:
        for parent in new:
            with suppress(OSError):
                parent.rmdir()
        raise


def _unwritable(path: Path, error: OSError) -> ProductError:
    """The error for a place where nothing can be made."""
    return ProductError(f"cannot write to {path} ({error.strerror or error}); give another place with -o")
