"""The machine: cores, memory and disk that this process may use, inside a container too."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 60
"""Bytes from which a limit is none: version 1 of control groups writes a number near 2^63."""

CONTROLS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of each version: the file of the limit, that of the use, and the counter of cached files, which the kernel gives back
when memory is asked for."""


@dataclass(frozen=True)
class Machine:
    """Cores and memory."""

    cores: int
    """Of the machine."""
    usable_cores: float
    """That this process may keep busy: its affinity, and the container's quota, which may be 1.5."""
    memory: int
    """Bytes of the machine."""
    memory_limit: int | None
    """Bytes that the container allows, where that is less; None where it sets no limit."""
    free_memory: int
    """Bytes that can be taken now without pushing others out."""

    @classmethod
    def look(cls, root: Path = Path("/")) -> Machine:
        """The machine as it is now.

        Args:
            root: of the file system in which the control groups are looked up.
        """
        import psutil  # type: ignore[import-untyped, unused-ignore]

        cores, memory = os.cpu_count() or 1, psutil.virtual_memory()
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
        quota = cpu_quota(root)
        limit, used = memory_limit(root)
        limit = limit if limit is not None and limit < memory.total else None
        free = int(memory.available) if limit is None else min(int(memory.available), max(limit - used, 0))
        return cls(cores, min(allowed, quota or allowed), int(memory.total), limit, free)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores that the control group of this process allows, as Docker's ``--cpus`` sets it; None without a limit."""
    found = []
    for group in _groups(root, "cpu"):
        words = _text(group / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            found.append(int(words[0]) / int(words[1]))
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit(root: Path = Path("/")) -> tuple[int | None, int]:
    """Bytes that the control group allows, None without a limit, and bytes that it uses and cannot give back."""
    limits = []
    for group in _groups(root, "memory"):
        for limit, used, cache in CONTROLS:
            text = _text(group / limit)
            if text.isdigit() and int(text) < UNLIMITED:
                taken = int(_text(group / used) or 0) - _counter(group / "memory.stat", cache)
                limits.append((int(text), max(taken, 0)))
    return min(limits, default=(None, 0), key=lambda pair: pair[0] - pair[1])


def _groups(root: Path, controller: str) -> list[Path]:
    """Directories of the control groups that this process is in, itself and all above, of both versions."""
    top = root / "sys/fs/cgroup"
    places = {top, top / controller}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if controllers and controller not in controllers.split(","):
            continue
        own = (top / controller if controllers else top) / path.lstrip("/")
        places |= {own, *(above for above in own.parents if top in above.parents)}
    return sorted(places)


def _counter(path: Path, name: str) -> int:
    """A counter of a kernel's file of lines ``name number``; 0 where it is not there."""
    rows = (line.split() for line in _text(path).splitlines())
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == name), 0)


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing where it is not there."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def free_disk(path: Path) -> int:
    """Bytes that can still be written below a path, which need not be there yet."""
    return shutil.disk_usage(existing(path)).free
