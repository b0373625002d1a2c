"""The models that geoalps knows by name: what runs them, what they cost, where their files come from and lie.

What is published with a SHA-256 (segment-anything's own checkpoints) is checked against it. Of the others geoalps
knows no hash: the first fetch is trusted, written down with its revision in ``sha256.json`` beside the files, and
whatever is loaded later must be what was fetched then.

Imports no torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from geoalps.errors import CheckpointError, GeoalpsError, OptionError
from geoalps.models import checkpoint
from geoalps.models.checkpoint import PUBLISHED, cache_directory
from geoalps.models.pretrained import CONFIG, HASHES, INDEX, PREPROCESSING, WEIGHTS, ModelDirectory, installed

HUB = "https://huggingface.co"
PATTERNS = (CONFIG, *PREPROCESSING, WEIGHTS, INDEX, "model-*.safetensors")
"""What is fetched of a repository; pickled weights beside them are not."""

APACHE = "Apache-2.0"
DINOV3 = "DINOv3 License"
SAM3 = "SAM License"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name."""

    name: str
    """What ``geoalps models`` and the plug-in's option ``model`` call it."""
    kind: Literal["segmenter", "encoder"]
    """What its plug-in is."""
    plugin: str
    """Name of the segmenter or encoder that runs it."""
    repository: str | None
    """``owner/name`` on the hub; None for a checkpoint of segment-anything's."""
    licence: str
    """Of the weights."""
    parameters: int | None
    """How many, rounded as published or as the architecture counts; of SAM 2.1 the video memory included."""
    size: int | None = None
    """Bytes of the weights; None is unknown."""
    gated: bool = False
    """The owner wants his licence accepted by a person with an account before anything can be fetched."""
    sha256: str | None = None
    """Of the weights, all 64 digits; None is unknown, then the first fetch is trusted."""

    @property
    def address(self) -> str:
        """Where it comes from."""
        return PUBLISHED[self.name].url if self.repository is None else f"{HUB}/{self.repository}"

    @property
    def path(self) -> Path:
        """Where it lies in the cache, or would: a file of segment-anything's, else a directory."""
        if self.repository is None:
            return cache_directory() / PUBLISHED[self.name].filename
        return cache_directory() / "hub" / self.name

    @property
    def is_there(self) -> bool:
        """The cache has it whole; its hashes are looked at when it is used."""
        if self.repository is None:
            return self.path.is_file() and self.path.stat().st_size == self.size
        return (self.path / HASHES).is_file()

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, ``null`` where it is unknown."""
        told = ("name", "kind", "plugin", "licence", "gated", "parameters", "size", "sha256", "address")
        return {name: getattr(self, name) for name in told} | {"path": str(self.path), "cached": self.is_there}


def _published(name: str, parameters: int) -> KnownModel:
    """A checkpoint of segment-anything's."""
    known = PUBLISHED[name]
    return KnownModel(name, "segmenter", "sam", None, APACHE, parameters, known.size, sha256=known.sha256)


def _sam(name: str, repository: str, licence: str, parameters: int, *, gated: bool = False) -> KnownModel:
    """A later SAM of the hub."""
    return KnownModel(name, "segmenter", "sam-hub", repository, licence, parameters, gated=gated)


def _dinov2(size: str, parameters: int) -> KnownModel:
    """A DINOv2 of the hub."""
    return KnownModel(f"dinov2-{size}", "encoder", "dinov2", f"facebook/dinov2-{size}", APACHE, parameters)


def _dinov3(size: str, trained_on: str, parameters: int) -> KnownModel:
    """A DINOv3 of the hub: trained on ``lvd1689m``, pictures of the web, or ``sat493m``, satellite images."""
    name = f"dinov3-{size}" + ("-sat" if trained_on == "sat493m" else "")
    repository = f"facebook/dinov3-{size}-pretrain-{trained_on}"
    return KnownModel(name, "encoder", "dinov3", repository, DINOV3, parameters, gated=True)


CATALOGUE: Mapping[str, KnownModel] = {
    model.name: model
    for model in (
        _published("vit_b", 93_735_472),
        _published("vit_l", 312_342_832),
        _published("vit_h", 641_090_608),
        _sam("sam2.1-tiny", "facebook/sam2.1-hiera-tiny", APACHE, 38_900_000),
        _sam("sam2.1-small", "facebook/sam2.1-hiera-small", APACHE, 46_000_000),
        _sam("sam2.1-base-plus", "facebook/sam2.1-hiera-base-plus", APACHE, 80_800_000),
        _sam("sam2.1-large", "facebook/sam2.1-hiera-large", APACHE, 224_400_000),
        _sam("sam3", "facebook/sam3", SAM3, 900_000_000, gated=True),
        _sam("sam-hq-base", "syscv-community/sam-hq-vit-base", APACHE, 94_806_832),
        _sam("sam-hq-large", "syscv-community/sam-hq-vit-large", APACHE, 313_676_336),
        _sam("sam-hq-huge", "syscv-community/sam-hq-vit-huge", APACHE, 642_686_256),
        _dinov2("small", 22_056_576),
        _dinov2("base", 86_580_480),
        _dinov2("large", 304_368_640),
        _dinov2("giant", 1_136_480_768),
        _dinov3("vits16", "lvd1689m", 21_000_000),
        _dinov3("vits16plus", "lvd1689m", 29_000_000),
        _dinov3("vitb16", "lvd1689m", 86_000_000),
        _dinov3("vitl16", "lvd1689m", 300_000_000),
        _dinov3("vith16plus", "lvd1689m", 840_000_000),
        _dinov3("vit7b16", "lvd1689m", 6_716_000_000),
        _dinov3("vitl16", "sat493m", 300_000_000),
        _dinov3("vit7b16", "sat493m", 6_716_000_000),
    )
}
"""Every known model by its name."""


def known(name: str) -> KnownModel:
    """The model of a name.

    Raises:
        OptionError: there is none.
    """
    if name not in CATALOGUE:
        raise OptionError(f"there is no model {name!r}; known are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def locate(model: str | Path) -> Path:
    """The directory of a hub model: the one given, or of the catalogue's name in the cache. Fetches nothing.

    Raises:
        OptionError: neither a directory nor a name.
        CheckpointError: the cache does not have it.
    """
    if Path(model).is_dir():
        return Path(model)
    if str(model) not in CATALOGUE:
        hub = ", ".join(name for name, found in CATALOGUE.items() if found.repository)
        raise OptionError(f"model is {str(model)!r}, no directory and no known name; known are {hub}")
    found = CATALOGUE[str(model)]
    if found.repository is None:
        raise OptionError(f"model {found.name!r} is a checkpoint of segment-anything's; --segmenter sam runs it")
    if not found.is_there:
        raise CheckpointError(f"{found.name} is not in the cache ({found.path}); geoalps models fetch {found.name}")
    return found.path


def fetch(name: str, *, progress: bool = True) -> Path:
    """The files of a known model, downloaded unless the cache has them; goes on where an earlier try stopped.

    Where no hash is published, what comes first is trusted: its hashes are written down, and later uses compare.

    Args:
        name: a key of :data:`CATALOGUE`.
        progress: show progress bars on stderr.

    Returns:
        Its path in the cache.

    Raises:
        OptionError: no such name.
        PluginError: huggingface_hub is not installed.
        CheckpointError: it could not be downloaded, is gated, or what came is no such model.
    """
    model = known(name)
    if model.repository is None:
        return checkpoint.fetch(name, progress=progress)
    if model.is_there:
        ModelDirectory.open(model.path).verify()
        return model.path
    installed("huggingface_hub")
    part = model.path.with_name(f"{model.name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with FileLock(model.path.with_name(f"{model.name}.lock")):
            if not model.is_there:
                revision = _download(model, part, progress=progress)
                _write_hashes(model, part, revision)
                part.rename(model.path)
    except GeoalpsError:
        raise
    except Exception as error:  # the hub's client raises what its HTTP library does
        raise CheckpointError(_why_not(model, error)) from error
    return model.path


def _download(model: KnownModel, folder: Path, *, progress: bool) -> str:
    """Fill a folder with the newest revision's files; returns that revision."""
    hub, utils = installed("huggingface_hub"), installed("huggingface_hub.utils")
    were_off = utils.are_progress_bars_disabled()
    if not progress:
        utils.disable_progress_bars()
    try:
        revision = str(hub.HfApi().model_info(model.repository).sha)
        hub.snapshot_download(model.repository, revision=revision, allow_patterns=list(PATTERNS), local_dir=folder)
    finally:
        if not were_off:
            utils.enable_progress_bars()
    return revision


def _write_hashes(model: KnownModel, folder: Path, revision: str) -> None:
    """Write down what was fetched, in the file that says the directory is whole; what is no model is removed."""
    try:
        files = ModelDirectory.open(folder).hashes()
    except CheckpointError as error:
        # Kept, it would be taken for whole by the next try.
        shutil.rmtree(folder)
        raise CheckpointError(f"what came from {model.address} is of no use and was removed: {error}") from error
    found = {"repository": model.repository, "revision": revision, "files": files}
    (folder / HASHES).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _why_not(model: KnownModel, error: Exception) -> str:
    """Why a model could not be fetched, and the way out."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    refused = isinstance(error, HfHubHTTPError) and getattr(error.response, "status_code", None) in (401, 403)
    if isinstance(error, GatedRepoError) or refused:
        return (
            f"{model.name} is gated: accept its licence ({model.licence}) at {model.address} with an account there,"
            f" then hf auth login, then geoalps models fetch {model.name}"
        )
    told = str(error).strip().splitlines()
    return (
        f"cannot fetch {model.name} from {model.address} ({told[0].strip() if told else type(error).__name__}); where"
        f" there is a network, fetch it there and copy {model.path} to this machine"
    )
