"""The segmenter ``sam``: Segment Anything from a checkpoint, masks and embedding from one encoder pass.

>>> segmenter = SamSegmenter("sam_vit_b_01ec64.pth")          # doctest: +SKIP
>>> segments, embedding = segmenter.segment(image, valid)     # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from geoalps.errors import CheckpointError, OptionError
from geoalps.models import checkpoint as checkpoints
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator
from geoalps.models.sam_architecture import SamArchitecture, build_network
from geoalps.protocols import EmbeddingMap, Image, Mask
from geoalps.segments import Segments

DEFAULT_MODEL = "vit_b"


class SamSegmenter:
    """Masks of segment-anything's automatic generator, their scores the predicted IoU.

    The checkpoint is found (or downloaded) and the network built when first needed; one network serves all threads,
    one tile at a time. Copies sent to other processes build their own.

    Args:
        checkpoint: a file of segment-anything's, or of any SAM built of its modules; None downloads ``model``.
        model: ``vit_b``, ``vit_l`` or ``vit_h``; None is what the checkpoint's tensors say, or ``vit_b`` to download.
        device: ``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        torch_threads: threads that torch computes a tile with on a CPU; None is all cores of the machine, whoever asks:
            torch's sums are rounded by how many threads share them, and a worker process must round as a thread does.
            Several worker processes on one machine had better share its cores.
        points_per_side: see :class:`~geoalps.models.mask_generator.GeneratorOptions`, as for all that follow.
        points_per_batch: points that go through the decoder together.
        pred_iou_thresh: least predicted IoU.
        stability_score_thresh: least stability.
        stability_score_offset: shift of the threshold that stability is measured by.
        box_nms_thresh: box IoU from which two masks are duplicates.
        min_mask_region_area: smallest hole and island in pixels.

    Raises:
        OptionError: an option outside of what is allowed, or a device that is not there.
    """

    partition = False

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        model: str | None = None,
        device: str = "auto",
        *,
        torch_threads: int | None = None,
        points_per_side: int = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        min_mask_region_area: int = 0,
    ) -> None:
        if model is not None and model not in checkpoints.PUBLISHED:
            allowed = ", ".join(sorted(checkpoints.PUBLISHED))
            raise OptionError(f"model is {model!r}; allowed are {allowed}, or none to go by the checkpoint")
        if torch_threads is not None and torch_threads < 1:
            raise OptionError(f"torch_threads is {torch_threads}; at least 1 is needed")
        self.torch_threads = torch_threads
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.model = model
        self.device = resolve_device(device)
        # 1 and 1.0 are one setting, also where an identity is compared as text.
        self.options = GeneratorOptions(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=float(pred_iou_thresh),
            stability_score_thresh=float(stability_score_thresh),
            stability_score_offset=float(stability_score_offset),
            box_nms_thresh=float(box_nms_thresh),
            min_mask_region_area=min_mask_region_area,
        )
        self._requested_device = device
        self._lock = RLock()
        self._path = self.checkpoint
        self._architecture: SamArchitecture | None = None
        self._generator: MaskGenerator | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = asdict(self.options) | {"torch_threads": self.torch_threads}
        # whoever opens it may work in another directory
        checkpoint = self.checkpoint and self.checkpoint.absolute()
        return partial(type(self), checkpoint, self.model, self._requested_device, **options), ()

    @property
    def path(self) -> Path:
        """The checkpoint's file; downloaded when none was given.

        Raises:
            CheckpointError: it could not be downloaded.
        """
        with self._lock:
            if self._path is None:
                self._path = checkpoints.fetch(self.model or DEFAULT_MODEL)
            return self._path

    @property
    def architecture(self) -> SamArchitecture:
        """What the checkpoint's tensors say; reads no weights.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, no SAM, or not the ``model`` asked for.
        """
        with self._lock:
            if self._architecture is None:
                found = SamArchitecture.told_from(*checkpoints.load_state(self.path))
                if self.model not in (None, found.name):
                    raise CheckpointError(
                        f"{self.path} holds {found.name}, asked for was {self.model}; leave the model out, or give its"
                        " checkpoint"
                    )
                self._architecture = found
            return self._architecture

    @property
    def generator(self) -> MaskGenerator:
        """The network with its options, built once; the calls of several threads to it are not serialised here.

        Raises:
            CheckpointError: see :attr:`architecture`.
        """
        with self._lock:
            if self._generator is None:
                state, _ = checkpoints.load_state(self.path)
                network = build_network(self.architecture, state, self.device)
                self._generator = MaskGenerator(network, self.options)
            return self._generator

    @property
    def identity(self) -> Mapping[str, Any]:
        """``sam``, the model, the checkpoint's SHA-256, and every option but batch size, device and torch's threads.

        Those change nothing but the rounding of floating point numbers.

        Raises:
            CheckpointError: see :attr:`architecture`.
        """
        options = asdict(self.options)
        del options["points_per_batch"]
        checkpoint = checkpoints.sha256(self.path)
        return {"name": "sam", "model": self.architecture.name, "checkpoint": checkpoint, "options": options}

    def segment(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap]:
        """Segments of one tile's window and the embedding of the same encoder pass.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; False is nodata: no prompt and no segment lies there, and what the image
                holds there changes nothing.

        Returns:
            Segments in the frame of ``image``, best first, and the (channels, h, w) map of the encoder's neck. The
            map's ``shape`` is what its tokens cover, which may exceed the window by up to a token at the bottom or
            right (see :meth:`~geoalps.models.mask_generator.EncodedImage.embedding_map`).

        Raises:
            CheckpointError: see :attr:`architecture`.
        """
        with self._lock, _torch_threads(self.torch_threads or os.cpu_count() or 1):
            return self.generator.generate(image, valid)


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
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
