"""Encoders: dense embeddings of vision backbones, which replace a segmenter's own.

>>> encoder = Dinov3Encoder("dinov3-vitl16-sat")              # doctest: +SKIP
>>> embedding = encoder.encode(image, valid)                  # doctest: +SKIP

A window keeps its size: it is padded to whole patches with the mean colour, which nodata is filled with too, and the
padding is cut off again. Only with ``size`` it is resized, for a backbone that takes one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

from torch import inference_mode

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.catalogue import locate
from geoalps.models.checkpoint import sha256
from geoalps.models.dense import Backbone, from_timm, from_transformers
from geoalps.models.devices import Turns, resolve_device
from geoalps.models.pretrained import ModelDirectory
from geoalps.models.sam import SamSegmenter
from geoalps.protocols import EmbeddingMap, Image, Mask


class SamEncoder:
    """The image encoder of a segment-anything checkpoint alone, for a segmenter that has none.

    Args:
        checkpoint: see :class:`~geoalps.models.sam.SamSegmenter`, as for all that follow.
        model: ``vit_b``, ``vit_l`` or ``vit_h``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        torch_threads: threads that torch computes a tile with on a CPU; None is all cores.

    Raises:
        OptionError: an option outside of what is allowed, or a device that is not there.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        model: str | None = None,
        device: str = "auto",
        *,
        torch_threads: int | None = None,
    ) -> None:
        self._segmenter = SamSegmenter(checkpoint, model, device, torch_threads=torch_threads)
        self._requested_device = device
        self._turns = Turns(self._segmenter.device, torch_threads)

    def __reduce__(self) -> tuple[Any, ...]:
        made = self._segmenter
        # whoever opens it may work in another directory
        checkpoint = made.checkpoint and made.checkpoint.absolute()
        threads = {"torch_threads": made.torch_threads}
        return partial(type(self), checkpoint, made.model, self._requested_device, **threads), ()

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the segmenter, but for what its masks alone depend on.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, or no SAM.
        """
        return {**self._segmenter.identity, "options": {}}

    def encode(self, image: Image, valid: Mask) -> EmbeddingMap:
        """The map of the encoder's neck; see :meth:`geoalps.models.promptable.EncodedImage.embedding_map`.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; what the image holds elsewhere changes nothing.

        Raises:
            CheckpointError: see :attr:`identity`.
        """
        network = self._segmenter.generator.network
        with self._turns.turn(), inference_mode():
            return network.encode(image, valid).embedding_map()


class HubEncoder:
    """A vision backbone of transformers that gives a dense map: DINOv2, DINOv3, ViT, ConvNeXt, the vision of CLIP.

    The files must be there: nothing is downloaded but by ``geoalps models fetch``. The network is built when first
    needed; one network serves all threads, one tile at a time on a processor, two on a GPU. Copies sent to other
    processes build their own.

    Args:
        model: a directory as ``save_pretrained`` writes it, or a name of ``geoalps models`` that the cache has.
        device: ``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        size: side in pixels that windows are resized to; None leaves them as they are.
        torch_threads: threads that torch computes a tile with on a CPU; None is all cores of the machine.

    Raises:
        OptionError: an option outside of what is allowed, a device that is not there, or no such model.
        CheckpointError: the cache does not have the model.
    """

    name: ClassVar[str] = "hub"
    model_types: ClassVar[tuple[str, ...]] = ()
    """What the directory may hold; empty for anything that gives a dense map."""

    def __init__(
        self, model: str | Path, device: str = "auto", *, size: int | None = None, torch_threads: int | None = None
    ) -> None:
        _check(size, torch_threads)
        self.path = locate(model).absolute()
        self.device = resolve_device(device)
        self.size = size
        self.torch_threads = torch_threads
        self._requested_device = device
        self._lock, self._turns = RLock(), Turns(self.device, torch_threads)
        self._directory: ModelDirectory | None = None
        self._backbone: Backbone | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"size": self.size, "torch_threads": self.torch_threads}
        return partial(type(self), self.path, self._requested_device, **options), ()

    @property
    def directory(self) -> ModelDirectory:
        """The model's files; reads no weights.

        Raises:
            CheckpointError: see :meth:`ModelDirectory.open`, or another kind of model.
        """
        with self._lock:
            if self._directory is None:
                found = ModelDirectory.open(self.path)
                if self.model_types and found.model_type not in self.model_types:
                    raise CheckpointError(
                        f"{found.path} holds a {found.model_type}; {self.name} runs {', '.join(self.model_types)}, the"
                        " encoder hub any other"
                    )
                self._directory = found
            return self._directory

    @property
    def backbone(self) -> Backbone:
        """The network, built once.

        Raises:
            PluginError: transformers is not installed, or too old.
            CheckpointError: the files are damaged, were changed, or give no dense map.
        """
        with self._lock:
            if self._backbone is None:
                self._backbone = from_transformers(self.directory, self.device)
            return self._backbone

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name, architecture, SHA-256 of each file, and the size that windows are resized to.

        Raises:
            CheckpointError: see :attr:`directory`.
        """
        found = self.directory
        options = {"size": self.size}
        return {"name": self.name, "model": found.model_type, "files": found.hashes(), "options": options}

    def encode(self, image: Image, valid: Mask) -> EmbeddingMap:
        """The backbone's last map of one window; its ``shape`` is what the tokens cover.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; what the image holds elsewhere changes nothing.

        Raises:
            OptionError: the backbone does not take a window of this size.
            PluginError: see :attr:`backbone`; so for CheckpointError.
        """
        backbone = self.backbone
        with self._turns.turn():
            return backbone.encode(image, valid, self.size)


class Dinov2Encoder(HubEncoder):
    """DINOv2, with registers or without."""

    name = "dinov2"
    model_types = ("dinov2", "dinov2_with_registers")

    def __init__(
        self,
        model: str | Path = "dinov2-base",
        device: str = "auto",
        *,
        size: int | None = None,
        torch_threads: int | None = None,
    ) -> None:
        super().__init__(model, device, size=size, torch_threads=torch_threads)


class Dinov3Encoder(HubEncoder):
    """DINOv3, trained on pictures of the web or on satellite images."""

    name = "dinov3"
    model_types = ("dinov3_vit", "dinov3_convnext")

    def __init__(
        self,
        model: str | Path = "dinov3-vitl16-sat",
        device: str = "auto",
        *,
        size: int | None = None,
        torch_threads: int | None = None,
    ) -> None:
        super().__init__(model, device, size=size, torch_threads=torch_threads)


class TimmEncoder:
    """A backbone of timm with weights from a file.

    Args:
        model: timm's name, such as ``vit_small_patch14_dinov2``; looked up nowhere else.
        checkpoint: safetensors file of the model's weights; those of a classifier in it are left out.
        device: ``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        size: side in pixels that windows are resized to, for a model that takes one size; None leaves them as they
            are.
        torch_threads: threads that torch computes a tile with on a CPU; None is all cores of the machine.

    Raises:
        OptionError: an option outside of what is allowed, or a device that is not there.
    """

    def __init__(
        self,
        model: str,
        checkpoint: str | Path,
        device: str = "auto",
        *,
        size: int | None = None,
        torch_threads: int | None = None,
    ) -> None:
        _check(size, torch_threads)
        self.model = model
        self.checkpoint = Path(checkpoint).absolute()
        self.device = resolve_device(device)
        self.size = size
        self.torch_threads = torch_threads
        self._requested_device = device
        self._lock, self._turns = RLock(), Turns(self.device, torch_threads)
        self._backbone: Backbone | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"size": self.size, "torch_threads": self.torch_threads}
        return partial(type(self), self.model, self.checkpoint, self._requested_device, **options), ()

    @property
    def backbone(self) -> Backbone:
        """The network, built once.

        Raises:
            PluginError: timm is not installed.
            OptionError: it knows no such model, or the model has no dense map.
            CheckpointError: the file is missing, damaged, or of another model.
        """
        with self._lock:
            if self._backbone is None:
                self._backbone = from_timm(self.model, self.checkpoint, self.device)
            return self._backbone

    @property
    def identity(self) -> Mapping[str, Any]:
        """``timm``, the model's name, the checkpoint's SHA-256, and the size that windows are resized to.

        Raises:
            CheckpointError: the checkpoint is missing.
        """
        checkpoint = sha256(self.checkpoint)
        return {"name": "timm", "model": self.model, "checkpoint": checkpoint, "options": {"size": self.size}}

    def encode(self, image: Image, valid: Mask) -> EmbeddingMap:
        """The model's last map of one window; see :meth:`HubEncoder.encode`."""
        backbone = self.backbone
        with self._turns.turn():
            return backbone.encode(image, valid, self.size)


def _check(size: int | None, threads: int | None) -> None:
    """Refuse sizes and numbers of threads below 1 with an OptionError."""
    for name, value in (("size", size), ("torch_threads", threads)):
        if value is not None and value < 1:
            raise OptionError(f"{name} is {value}; at least 1 is needed")
