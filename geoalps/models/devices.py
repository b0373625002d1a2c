"""Where torch computes, and with how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue

import torch

from geoalps.errors import OptionError


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch computes with so many threads; afterwards with as many as before, since the process is not ours alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(name: str) -> torch.device:
    """The device of a name, there to be used.

    Raises:
        OptionError: an unknown name, or a device this machine lacks.
    """
    cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"device is {name!r}; allowed are auto, cpu, cuda, cuda:N and mps") from error
    there = {"cpu": True, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    there["mps"] = torch.backends.mps.is_available()
    if device.type not in there:
        raise OptionError(f"device is {name!r}; allowed are auto, cpu, cuda, cuda:N and mps")
    if not there[device.type]:
        raise OptionError(f"device is {name!r}, which this machine or this build of torch lacks; give auto or cpu")
    return device


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What networks may compute in. Never float16: processors have no fast one, and it overflows."""
TILES_IN_FLIGHT = 2
"""On an accelerator: while one tile's kernels run, the next one's are launched."""


def resolve_precision(name: str, device: torch.device, *, exact: bool = False) -> str:
    """``fp32`` or ``bf16``; ``auto`` is bf16 where the device computes it faster, unless the result must be exact.

    Raises:
        OptionError: an unknown name, or bf16 where the result must be exact.
    """
    if name != "auto" and name not in PRECISIONS:
        raise OptionError(f"precision is {name!r}; allowed are auto, {', '.join(PRECISIONS)}")
    if exact and name == "bf16":
        raise OptionError("precision is 'bf16', which rounds too much to be exact; leave out one of the two")
    if name != "auto":
        return name
    return "bf16" if not exact and has_bfloat16(device.type) else "fp32"


@cache
def has_bfloat16(device: str) -> bool:
    """Whether a type of device multiplies bfloat16 itself; one that does not is slower with it than without."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # as on a Mac: then torch lacks the questions, too
    if device != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported())


class Turns:
    """Who computes when: one tile at a time on a processor, with all its threads; some at a time on an accelerator.

    Args:
        device: where.
        threads: of torch on a processor; None is all cores of the machine.
    """

    def __init__(self, device: torch.device, threads: int | None) -> None:
        self._device, self._threads = device, threads or os.cpu_count() or 1
        self._free: SimpleQueue[torch.cuda.Stream | None] = SimpleQueue()
        # the same streams again and again: memory that one has given back serves no other
        for _ in range(TILES_IN_FLIGHT if device.type == "cuda" else 1):
            self._free.put(torch.cuda.Stream(device) if device.type == "cuda" else None)  # type: ignore[no-untyped-call]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn; inside, torch computes as it should."""
        stream = self._free.get()
        try:
            if stream is not None:  # networks are built on the default one, perhaps a moment ago
                stream.wait_stream(torch.cuda.default_stream(self._device))
            with torch_threads(self._threads) if stream is None else torch.cuda.stream(stream):
                yield
        finally:
            self._free.put(stream)
