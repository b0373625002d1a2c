"""A model as ``save_pretrained`` of transformers writes it: a directory with a configuration and safetensors.

Nothing in it is run: pickled weights are refused, and code that a configuration names is never loaded. Nothing is
looked up outside of it either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from geoalps.errors import CheckpointError, PluginError
from geoalps.models.checkpoint import sha256

if TYPE_CHECKING:
    from torch import device as Device  # noqa: N812 - a type

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of red, green and blue in 0..1, where a model says none."""
CONFIG = "config.json"
PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
HASHES = "sha256.json"
PICKLED = (".bin", ".ckpt", ".h5", ".msgpack", ".pickle", ".pkl", ".pt", ".pth")
"""Endings of weights that may hold code, or that torch does not read."""


@dataclass(frozen=True)
class ModelDirectory:
    """A directory whose files are there and readable; see :meth:`open`."""

    path: Path
    """Absolute, so that it stays the same for whoever works elsewhere."""
    config: Mapping[str, Any]
    """``config.json``."""
    files: tuple[str, ...]
    """Names of the files that determine the result: configuration, pre-processing where it is there, weights."""

    @classmethod
    def open(cls, path: str | Path) -> ModelDirectory:
        """Look at a directory without reading its weights.

        Raises:
            CheckpointError: it is no directory, lacks a file, holds pickled weights only, or a file is damaged.
        """
        path = Path(path).absolute()
        if not path.is_dir():
            raise CheckpointError(
                f"model {path} is no directory; give one with {CONFIG} and {WEIGHTS}, as save_pretrained writes it"
            )
        config = _json(path / CONFIG)
        if not isinstance(config.get("model_type"), str):
            raise CheckpointError(f"{path / CONFIG} names no model_type; give a directory that save_pretrained wrote")
        weights = _weights(path)
        there = [name for name in PREPROCESSING if (path / name).is_file()]
        return cls(path, config, (CONFIG, *there, *weights))

    @property
    def model_type(self) -> str:
        """What transformers calls the architecture."""
        return str(self.config["model_type"])

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """What the image processor was told; empty where the directory says nothing of it.

        Raises:
            CheckpointError: the file that says it is damaged.
        """
        for name in PREPROCESSING:
            if name in self.files:
                told = _json(self.path / name)
                found = told.get("image_processor", told)
                if isinstance(found, dict) and "image_mean" in found:
                    return found
        return {}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by its name."""
        return {name: sha256(self.path / name) for name in self.files}

    def verify(self) -> None:
        """Compare with the hashes that were written when the files were fetched, if any were.

        Raises:
            CheckpointError: a file is not the one that was fetched.
        """
        if not (self.path / HASHES).is_file():
            return
        fetched = _json(self.path / HASHES).get("files")
        if not isinstance(fetched, dict):
            raise CheckpointError(f"{self.path / HASHES} lists no files; delete {self.path} and fetch the model again")
        for name, found in self.hashes().items():
            if fetched.get(name) != found:
                raise CheckpointError(
                    f"{self.path / name} is not the file that was fetched: SHA-256 begins with {found[:12]}, written"
                    f" down is {str(fetched.get(name))[:12]}; delete {self.path} and fetch the model again"
                )


def load_network(directory: ModelDirectory, architecture: str, device: Device, **options: Any) -> Any:
    """A float32 network for inference with all its weights from a directory.

    Args:
        directory: verified first.
        architecture: name of a class of transformers that has ``from_pretrained``.
        device: where it goes.
        options: of ``from_pretrained``.

    Raises:
        PluginError: transformers is not installed, or too old for the architecture.
        CheckpointError: the files were changed, are damaged, or are of another model.
    """
    import torch

    transformers = installed("transformers")
    if not hasattr(transformers, architecture):
        raise PluginError(
            f"transformers {transformers.__version__} has no {architecture}, which {directory.path} needs;"
            " pip install -U transformers"
        )
    directory.verify()
    given = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}
    try:
        with _quiet(transformers):
            network, report = getattr(transformers, architecture).from_pretrained(
                str(directory.path), output_loading_info=True, **given, **options
            )
    except Exception as error:  # a directory of another model raises whatever its parts trip over
        raise CheckpointError(
            f"{directory.path} cannot be loaded as {architecture} ({_first_line(error)}); give a whole directory of"
            " such a model, or fetch it again"
        ) from error
    # A pooler sits behind the tokens; what it holds changes none of them.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise CheckpointError(
            f"{directory.path} lacks {len(missing)} weights of {architecture}, {missing[0]} among them; give the"
            " directory of such a model"
        )
    return network.to(device).eval().requires_grad_(False)


def installed(name: str) -> ModuleType:
    """The package ``transformers``, ``timm`` or ``huggingface_hub``.

    Raises:
        PluginError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise PluginError(f'this model needs {name} ({error}); pip install "geoalps[hub]"') from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars and no advice from transformers: what matters is in the report of what was loaded."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def _weights(path: Path) -> list[str]:
    """Names of the files that hold the weights, the index of several first; each begins as safetensors must."""
    if (path / WEIGHTS).is_file():
        names = [WEIGHTS]
    elif (path / INDEX).is_file():
        shards = _json(path / INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(f"{path / INDEX} maps no weights; fetch the model again")
        names = sorted({str(name) for name in shards.values()})
    else:
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLED)
        if pickled:
            raise CheckpointError(
                f"{path} holds {pickled[0]} but no {WEIGHTS}: such weights can hold code and are not read; convert"
                " them where you trust them, with save_pretrained of transformers"
            )
        raise CheckpointError(f"{path} holds no {WEIGHTS}; give a directory that save_pretrained wrote")
    for name in names:
        _check_header(path, name)
    return names if names == [WEIGHTS] else [INDEX, *names]


def _check_header(path: Path, name: str) -> None:
    """Refuse a file outside of the directory, and one that is cut off or no safetensors."""
    from safetensors import SafetensorError, safe_open

    if Path(name).name != name or not name.endswith(".safetensors"):
        raise CheckpointError(f"{path / INDEX} names {name!r}; allowed are safetensors files beside it")
    try:
        with safe_open(path / name, framework="np") as file:
            file.keys()
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path / name} cannot be read ({_first_line(error)}): it is cut off or no safetensors; fetch it again"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} holds no {path.name}; give a directory that save_pretrained wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); fetch the model again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no JSON object; fetch the model again")
    return found


def _first_line(error: BaseException) -> str:
    """What an error says, up to its first line break."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".:") if lines else type(error).__name__
