"""Checkpoints on disk: where they come from, whether they are what they say, and how they are opened without code.

The published checkpoints of segment-anything are downloaded once into a cache directory, continued where an earlier
try stopped, and take their final name only after their SHA-256 is right. Nothing here unpickles code.
"""

from __future__ import annotations

import hashlib
import http
import http.client
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from geoalps.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

WAY_OUT = "give --checkpoint FILE, or --segmenter regions, which needs no download"
CHUNK = 1 << 20
TIMEOUT = 30
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """A checkpoint that its authors offer for download."""

    url: str
    """Where it is; http or https."""
    size: int
    """Bytes."""
    sha256: str
    """All 64 hexadecimal digits."""

    @property
    def filename(self) -> str:
        """Last part of the address; the file's name in the cache."""
        return urlsplit(self.url).path.rpartition("/")[2]


# The digits in Meta's file names are of the MD5, not of the SHA-256 that torch.hub expects in such a place.
PUBLISHED: dict[str, PublishedCheckpoint] = {
    "vit_b": PublishedCheckpoint(
        "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": PublishedCheckpoint(
        "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": PublishedCheckpoint(
        "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}
"""Meta's segment-anything checkpoints by model name."""


def cache_directory() -> Path:
    """Where downloads are kept: ``GEOALPS_CACHE``, else ``geoalps`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if given := os.environ.get("GEOALPS_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "geoalps"


def fetch(name: str, *, progress: bool = True) -> Path:
    """The file of a published checkpoint, downloaded unless the cache has it.

    An interrupted download is continued, in this call or by a later one.

    Args:
        name: a key of :data:`PUBLISHED`.
        progress: show a progress bar on stderr.

    Returns:
        Path in the cache; its SHA-256 is right.

    Raises:
        OptionError: no such name.
        CheckpointError: it could not be downloaded, or what came is something else.
    """
    if name not in PUBLISHED:
        raise OptionError(f"model is {name!r}; published are {', '.join(sorted(PUBLISHED))}; or give --checkpoint FILE")
    published = PUBLISHED[name]
    path = cache_directory() / published.filename
    if _is(published, path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of several processes that want the file one downloads it and the others find it.
        with FileLock(path.with_name(path.name + ".lock")):
            if not _is(published, path):
                _download(published, path.with_name(path.name + ".part"), progress=progress)
                _accept(published, path.with_name(path.name + ".part"), path)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(f"cannot download {name} from {published.url}: {reason}; {WAY_OUT}") from error
    return path


def sha256(path: str | Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits; read once as long as the file stays as it is.

    Raises:
        CheckpointError: the file is missing or cannot be read.
    """
    path = _existing(path)
    stat = path.stat()
    return _digest(path.resolve(), stat.st_size, stat.st_mtime_ns)


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a checkpoint, on the CPU, and the settings stored beside them.

    Two forms are read: a bare state dict, as Meta publishes, and ``{"model": state dict, "config": settings}``.

    Returns:
        Tensors by parameter name, and the settings (empty for a bare state dict).

    Raises:
        CheckpointError: the file is missing, damaged, holds code, or no state dict.
    """
    import torch

    path = _existing(path)
    try:
        # Mapped, so that telling a model from its shapes reads no weights; the old format cannot be.
        raw = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged file raises whatever the reader trips over
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is damaged, no PyTorch file, or holds code, which is never run;"
            " give a file of tensors as torch.save(model.state_dict()) writes"
        ) from error
    state, config = (raw["model"], raw["config"]) if _has_config(raw) else (raw, {})
    if not _is_state(state) or not isinstance(config, dict):
        raise CheckpointError(
            f"{path} holds no state dict; allowed are tensors by name, or"
            ' {"model": tensors by name, "config": settings}'
        )
    return state, config


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} is no file; give the path of a SAM checkpoint, or leave it out")
    return path


def _has_config(raw: object) -> bool:
    return isinstance(raw, Mapping) and set(raw) == {"model", "config"}


def _is_state(state: object) -> bool:
    from torch import Tensor

    return (
        isinstance(state, dict)
        and bool(state)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())
    )


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001 - size and time make the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(published: PublishedCheckpoint, part: Path, *, progress: bool) -> None:
    """Fill ``part`` up to the published size, going on where a dropped connection left it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(published.filename, total=published.size)
        for _ in range(ATTEMPTS):
            before = _bytes_in(part)
            try:
                for position in _receive(published, part):
                    bar.update(task, completed=position)
            except (OSError, http.client.HTTPException):
                # A dropped connection is worth another try only when something came through.
                if _bytes_in(part) <= before:
                    raise
            if _bytes_in(part) >= published.size or _bytes_in(part) <= before:
                break
    if _bytes_in(part) < published.size:
        raise ConnectionError(f"the connection ended after {_bytes_in(part)} of {published.size} bytes")


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _receive(published: PublishedCheckpoint, part: Path) -> Iterator[int]:
    """Write one answer of the server into ``part``; yields the position in the file after every chunk."""
    have = _bytes_in(part)
    if have >= published.size:
        return
    request = urllib.request.Request(published.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with _opener().open(request, timeout=TIMEOUT) as answer:
        position = _start_of(answer, have)
        with part.open("ab" if position else "wb") as file:
            while chunk := answer.read(min(CHUNK, published.size - position)):
                file.write(chunk)
                position += len(chunk)
                yield position


def _start_of(answer: http.client.HTTPResponse, asked: int) -> int:
    """Where in the file an answer begins: a server without ranges sends the whole of it again."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = answer.headers.get("Content-Range", "")
    if not found.startswith(f"bytes {asked}-"):
        raise ConnectionError(f"asked for bytes from {asked}, got {found!r}")
    return asked


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else, redirects included."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _is(published: PublishedCheckpoint, path: Path) -> bool:
    return path.is_file() and sha256(path) == published.sha256


def _accept(published: PublishedCheckpoint, part: Path, path: Path) -> None:
    if not _is(published, part):
        found = sha256(part)
        part.unlink()
        raise CheckpointError(
            f"{published.url} is not the published file: SHA-256 begins with {found[:12]}, allowed is"
            f" {published.sha256[:12]}; it was removed, run again or {WAY_OUT}"
        )
    part.replace(path)
