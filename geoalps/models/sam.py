"""The segmenter ``sam``: Segment Anything from a checkpoint, masks and embedding from one encoder pass.

>>> segmenter = SamSegmenter("sam_vit_b_01ec64.pth")          # doctest: +SKIP
>>> segments, embedding = segmenter.segment(image, valid)     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from geoalps.errors import CheckpointError, OptionError
from geoalps.models import checkpoint as checkpoints
from geoalps.models.devices import PRECISIONS, Turns, resolve_device, resolve_precision
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator
from geoalps.models.sam_architecture import SamArchitecture, build_network
from geoalps.models.sam_network import SamNetwork
from geoalps.protocols import EmbeddingMap, Image, Mask
from geoalps.segments import Segments

DEFAULT_MODEL = "vit_b"


class SamSegmenter:
    """Masks of segment-anything's automatic generator, their scores the predicted IoU.

    The checkpoint is found (or downloaded) and the network built when first needed; one network serves all threads,
    one tile at a time on a processor, two on a GPU. Copies sent to other processes build their own.

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
        crop_n_layers: layers of crops that are looked at too.
        crop_nms_thresh: box IoU from which two masks of different crops are duplicates.
        crop_overlap_ratio: how far crops overlap.
        crop_n_points_downscale_factor: by what points along a side become fewer from layer to layer.
        min_mask_region_area: smallest hole and island in pixels.
        point_grids: points (x, y) in 0..1 instead of points_per_side, a list for the window and each layer of crops.
        exact: segment-anything's own result, in float32.
        adaptive: ask points of finer grids only where no mask is yet.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the device computes it faster, unless ``exact``.
        compiled: compile the network first, which takes minutes once; see
            :class:`~geoalps.models.sam_network.SamNetwork`.

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
        points_per_batch: int | None = None,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        min_mask_region_area: int = 0,
        point_grids: Sequence[Any] | None = None,
        exact: bool = False,
        adaptive: bool = False,
        precision: str = "auto",
        compiled: bool = False,
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
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=float(crop_nms_thresh),
            crop_overlap_ratio=float(crop_overlap_ratio),
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            min_mask_region_area=min_mask_region_area,
            point_grids=None if point_grids is None else tuple(point_grids),
            exact=exact,
            adaptive=adaptive,
        )
        # what it is here it is in every process that helps, whatever its processor
        self.precision = resolve_precision(precision, self.device, exact=exact)
        self.compiled = compiled
        self._requested_device = device
        self._lock, self._turns = RLock(), Turns(self.device, torch_threads)
        self._path = self.checkpoint
        self._architecture: SamArchitecture | None = None
        self._generator: MaskGenerator | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = asdict(self.options) | {
            "torch_threads": self.torch_threads,
            "precision": self.precision,
            "compiled": self.compiled,
        }
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
                made = SamNetwork(network, PRECISIONS[self.precision], compiled=self.compiled)
                self._generator = MaskGenerator(made, self.options)
            return self._generator

    @property
    def identity(self) -> Mapping[str, Any]:
        """``sam``, model, the checkpoint's SHA-256, and every option that changes the result.

        Batch size, device, torch's threads and compiling change the rounding of sums and nothing else.

        Raises:
            CheckpointError: see :attr:`architecture`.
        """
        options = asdict(self.options) | {"precision": self.precision}
        del options["points_per_batch"]
        checkpoint = checkpoints.sha256(self.path)
        return {
            "name": "sam",
            "revision": 2,
            "model": self.architecture.name,
            "checkpoint": checkpoint,
            "options": options,
        }

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
        generator = self.generator
        with self._turns.turn():
            return generator.generate(image, valid)
