"""The segmenter ``sam-hub``: SAM, SAM-HQ, SAM 2 and 2.1, SAM 3 and EdgeTAM through transformers, by one adapter.

>>> segmenter = HubSamSegmenter("sam2.1-tiny")                # doctest: +SKIP
>>> segments, embedding = segmenter.segment(image, valid)     # doctest: +SKIP
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

from geoalps.errors import OptionError
from geoalps.models.catalogue import locate
from geoalps.models.devices import PRECISIONS, Turns, resolve_device, resolve_precision
from geoalps.models.hub_network import HubNetwork, family_of
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator
from geoalps.models.pretrained import ModelDirectory
from geoalps.protocols import EmbeddingMap, Image, Mask
from geoalps.segments import Segments

DEFAULT_MODEL = "sam2.1-base-plus"


class HubSamSegmenter:
    """Masks of the automatic generator with a SAM of any generation, their scores the predicted IoU.

    The files must be there: nothing is downloaded but by ``geoalps models fetch``. The network is built when first
    needed; one network serves all threads, one tile at a time on a processor, two on a GPU. Copies sent to other
    processes build their own.

    Args:
        model: a directory as ``save_pretrained`` writes it, or a name of ``geoalps models`` that the cache has.
        device: ``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        torch_threads: threads that torch computes a tile with on a CPU; None is all cores of the machine, whoever asks:
            torch's sums are rounded by how many threads share them, and a worker process must round as a thread does.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the device computes it faster, unless ``exact``.
        options: see :class:`~geoalps.models.mask_generator.GeneratorOptions`.

    Raises:
        OptionError: an option outside of what is allowed, a device that is not there, or no such model.
        CheckpointError: the cache does not have the model.
    """

    partition = False
    __signature__: ClassVar[inspect.Signature]

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        device: str = "auto",
        *,
        torch_threads: int | None = None,
        precision: str = "auto",
        **options: Any,
    ) -> None:
        if torch_threads is not None and torch_threads < 1:
            raise OptionError(f"torch_threads is {torch_threads}; at least 1 is needed")
        self.torch_threads = torch_threads
        self.path = locate(model).absolute()
        self.device = resolve_device(device)
        self.options = _generator_options(options)
        # what it is here it is in every process that helps, whatever its processor
        self.precision = resolve_precision(precision, self.device, exact=self.options.exact)
        self._requested_device = device
        self._lock, self._turns = RLock(), Turns(self.device, torch_threads)
        self._directory: ModelDirectory | None = None
        self._generator: MaskGenerator | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = asdict(self.options) | {"torch_threads": self.torch_threads, "precision": self.precision}
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
                family_of(found)
                self._directory = found
            return self._directory

    @property
    def generator(self) -> MaskGenerator:
        """The network with its options, built once; the calls of several threads to it are not serialised here.

        Raises:
            PluginError: transformers is not installed, or too old.
            CheckpointError: the files are damaged, were changed, or are of another model.
        """
        with self._lock:
            if self._generator is None:
                network = HubNetwork.load(self.directory, self.device, PRECISIONS[self.precision])
                self._generator = MaskGenerator(network, self.options)
            return self._generator

    @property
    def identity(self) -> Mapping[str, Any]:
        """``sam-hub``, the architecture, the SHA-256 of each file, and every option that changes the result.

        Batch size, device and torch's threads change nothing but the rounding of floating point numbers.

        Raises:
            CheckpointError: see :attr:`directory`.
        """
        options = asdict(self.options) | {"precision": self.precision}
        del options["points_per_batch"]
        directory = self.directory
        return {
            "name": "sam-hub",
            "model": directory.model_type,
            "files": directory.hashes(),
            "options": options,
        }

    def segment(self, image: Image, valid: Mask) -> tuple[Segments, EmbeddingMap]:
        """Segments of one tile's window and the embedding of the same encoder pass.

        Args:
            image: (height, width, 3) uint8 RGB.
            valid: (height, width) bool; False is nodata: no prompt and no segment lies there, and what the image
                holds there changes nothing.

        Returns:
            Segments in the frame of ``image``, best first, and the (channels, h, w) map of the encoder; see
            :meth:`~geoalps.models.promptable.EncodedImage.embedding_map`.

        Raises:
            PluginError: see :attr:`generator`; so for CheckpointError.
        """
        generator = self.generator
        with self._turns.turn():
            return generator.generate(image, valid)


def _generator_options(given: Mapping[str, Any]) -> GeneratorOptions:
    """The options by name; 1 and 1.0 are one setting where a float is wanted, also as text in an identity.

    Raises:
        OptionError: an unknown name, or a value outside of what is allowed.
    """
    defaults = {field.name: field.default for field in fields(GeneratorOptions)}
    for name in given:
        if name not in defaults:
            raise OptionError(f"sam-hub has no option {name!r}; it has {', '.join(defaults)}")
    values: dict[str, Any] = {
        name: float(value) if isinstance(defaults[name], float) else value for name, value in given.items()
    }
    return GeneratorOptions(**values)


def _signature() -> inspect.Signature:
    """Of :class:`HubSamSegmenter`, with each option of the generator by its name: plug-ins are asked for their own."""
    own = list(inspect.signature(HubSamSegmenter.__init__).parameters.values())[1:-1]
    keyword = inspect.Parameter.KEYWORD_ONLY
    generators = [inspect.Parameter(field.name, keyword, default=field.default) for field in fields(GeneratorOptions)]
    return inspect.Signature([*own, *generators])


HubSamSegmenter.__signature__ = _signature()
