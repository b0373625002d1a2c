"""Whether the networks can run here: torch, its pair torchvision, accelerators, and the cache of models."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geoalps.findings import Finding, one_line
from geoalps.models.catalogue import CATALOGUE
from geoalps.models.checkpoint import cache_directory

PAIR = "pip install --force-reinstall torch torchvision"


def torch_pair() -> Iterator[Finding]:
    """Torch computes, and torchvision was built for it: one of its operators gives the right answer."""
    try:
        import torch
    except Exception as error:  # noqa: BLE001 - a broken build raises OSError and more
        yield Finding("torch", "wrong", f"cannot be imported ({one_line(error)})", PAIR)
        return
    try:
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist()
    except Exception as error:  # noqa: BLE001 - likewise
        says = f"torchvision does not go with torch {torch.__version__} ({one_line(error)})"
        yield Finding("torch", "wrong", says, PAIR)
        return
    if kept != [0]:
        yield Finding("torch", "wrong", f"torchvision {torchvision.__version__} computes wrongly", PAIR)
        return
    yield Finding("torch", "ok", f"{torch.__version__} with torchvision {torchvision.__version__}")


def accelerators() -> Iterator[Finding]:
    """CUDA devices with their memory, Apple's, or why there is none; nothing where torch cannot be imported."""
    try:
        import torch
    except Exception:  # noqa: BLE001 - told by torch_pair
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if torch.cuda.is_available():
            yield from _devices(torch)
        elif torch.backends.mps.is_available():
            yield Finding("GPU", "ok", "Apple's (MPS); --device mps")
        else:
            yield _no_device(torch)


def _devices(torch: Any) -> Iterator[Finding]:
    """A line a CUDA device; one on which nothing can be computed is wrong."""
    for number in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(number)
        try:
            free, total = torch.cuda.mem_get_info(number)
            torch.ones(2, device=f"cuda:{number}").sum().item()
        except RuntimeError as error:
            way_out = "use --device cpu, or a build of torch for this device"
            yield Finding("GPU", "wrong", f"cuda:{number} {name} does not compute ({one_line(error)})", way_out)
            continue
        yield Finding("GPU", "ok", f"cuda:{number} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")


def _no_device(torch: Any) -> Finding:
    """Why there is no device: none in the machine, hidden, a driver too old, or a build of torch without CUDA."""
    has_driver = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()
    if torch.version.cuda is None:
        if has_driver and sys.platform != "darwin":
            way_out = "install a build of torch with CUDA for --device cuda (docs/install.md)"
            return Finding("GPU", "note", "there is a driver of NVIDIA's, but torch is a build without CUDA", way_out)
        return Finding("GPU", "ok", "none; all runs on the processor")
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Finding("GPU", "note", "hidden by CUDA_VISIBLE_DEVICES; all runs on the processor", "unset it")
    why = _why_not(torch)
    if "too old" in why:
        way_out = "update NVIDIA's driver, or install a build of torch for an older CUDA (docs/install.md)"
        return Finding("GPU", "note", f"the driver is too old for torch's CUDA {torch.version.cuda}", way_out)
    if has_driver:
        way_out = "see whether nvidia-smi lists it; in a container: docker run --gpus all"
        return Finding("GPU", "note", f"torch finds none, though there is a driver ({why})", way_out)
    return Finding("GPU", "ok", f"none; all runs on the processor (torch is built for CUDA {torch.version.cuda})")


def _why_not(torch: Any) -> str:
    """What CUDA says when it is asked to begin."""
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - RuntimeError, AssertionError and others
        return one_line(error)
    return "no device"


def cache() -> Iterator[Finding]:
    """The folder of models: where, whether it can be written, how large it is and what is in it."""
    place = cache_directory()
    nearest = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else []
    total = sum(file.stat().st_size for file in files)
    there = [name for name, model in CATALOGUE.items() if model.is_there]
    holds = f"{total / 1e6:.0f} MB: {', '.join(there) or 'no whole model'}" if files else "empty"
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        way_out = "set GEOALPS_CACHE to a directory that can be written, before a model is fetched"
        yield Finding("models", "note" if there else "wrong", f"{place} cannot be written; {holds}", way_out)
        return
    parts = [file.name for file in files if file.name.endswith(".part")]
    if parts:
        way_out = "geoalps models fetch NAME goes on with it"
        yield Finding("models", "note", f"{place}, {holds}; a download was broken off: {parts[0]}", way_out)
        return
    yield Finding("models", "ok", f"{place}, {holds}")
