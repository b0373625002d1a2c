"""Backbones of transformers and timm as functions from a picture to a dense map, whatever form their tokens have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geoalps.errors import CheckpointError, GeoalpsError, OptionError
from geoalps.models.pretrained import IMAGENET, ModelDirectory, installed, load_network
from geoalps.protocols import EmbeddingMap, Image, Mask

STATEFUL = ("swin", "donut-swin", "maskformer-swin")
"""Architectures whose code keeps smaller attention windows once it saw a small image: results would depend on order."""
FIRST_PATCH = 4
"""Pixels of a side of the first tokens of backbones with stages, where their configuration does not say it."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A vision backbone with one dense map."""

    forward: Callable[[Tensor], Tensor]
    """(1, 3, height, width) float32 to (1, channels, rows, cols)."""
    stride: int
    """Pixels of a side of its tokens; sides of its input are multiples of it."""
    mean: tuple[float, ...]
    """Of red, green and blue in 0..1."""
    deviation: tuple[float, ...]
    """Likewise."""
    device: torch.device
    """Where it computes."""

    @torch.inference_mode()
    def encode(self, image: Image, valid: Mask, size: int | None) -> EmbeddingMap:
        """A window's dense map.

        Args:
            image: (height, width, 3) uint8 RGB; its values under nodata do not matter.
            valid: (height, width) bool.
            size: side of the square that the window is resized to; None leaves its size.

        Raises:
            OptionError: the backbone does not take a window of this size.
        """
        pixels = self._normalised(image, valid)
        if size is not None:
            pixels = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
        rows, cols = (-(-side // self.stride) for side in pixels.shape[-2:])
        padding = (0, cols * self.stride - pixels.shape[-1], 0, rows * self.stride - pixels.shape[-2])
        try:
            tokens = self.forward(functional.pad(pixels, padding).to(self.device))
        except (GeoalpsError, torch.OutOfMemoryError):
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            said = str(error).strip().splitlines()[:1]
            raise OptionError(
                f"the backbone does not take {rows * self.stride} x {cols * self.stride} pixels ({''.join(said)}); give"
                " the size that it was made for, as size=224"
            ) from error
        values = tokens[0].float().cpu().numpy()
        covered = [
            round(cells * self.stride * side / (size or side))
            for cells, side in zip((rows, cols), valid.shape, strict=True)
        ]
        return EmbeddingMap(np.ascontiguousarray(values), (covered[0], covered[1]))

    def _normalised(self, image: Image, valid: Mask) -> Tensor:
        """(1, 3, height, width) float32 on the CPU, 0 where nodata is."""
        mean, deviation = (np.array(value, np.float32) * 255 for value in (self.mean, self.deviation))
        pixels = np.where(valid[..., None], (image - mean) / deviation, np.float32(0))
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def from_transformers(directory: ModelDirectory, device: torch.device) -> Backbone:
    """A backbone of transformers with its weights.

    Raises:
        PluginError: transformers is not installed, or too old.
        CheckpointError: the directory holds no vision backbone, or see :func:`load_network`.
    """
    config = directory.config
    if "text_config" in config or "prompt_encoder_config" in config:
        raise CheckpointError(
            f"{directory.path} holds a {directory.model_type}, more than a vision backbone; save its vision model alone"
        )
    network = load_network(directory, _class_of(directory), device)
    told = network.config
    stages = len(getattr(told, "depths", None) or [0])
    patch = getattr(told, "patch_size", FIRST_PATCH)
    patch = patch if isinstance(patch, int) else patch[0]
    stride = patch * 2 ** (stages - 1)
    arguments = {"interpolate_pos_encoding": True}
    known = inspect.signature(network.forward).parameters
    prefix = 2 + (getattr(told, "num_register_tokens", 0) or 0)

    def forward(pixels: Tensor) -> Tensor:
        """Tokens as a map."""
        given = {name: value for name, value in arguments.items() if name in known}
        return _as_map(network(pixels, **given).last_hidden_state, pixels, stride, prefix)

    processing = directory.preprocessing
    statistics = (
        tuple(map(float, processing.get(f"image_{name}", usual)))
        for name, usual in zip(("mean", "std"), IMAGENET, strict=True)
    )
    mean, deviation = statistics
    return Backbone(forward, stride, mean, deviation, device)


def from_timm(name: str, weights: Path, device: torch.device) -> Backbone:
    """A backbone of timm with weights from a safetensors file.

    Raises:
        PluginError: timm is not installed.
        OptionError: it knows no such model, or the model has no dense map.
        CheckpointError: the file is damaged, or holds another model's weights.
    """
    timm = installed("timm")
    # Names with a colon would be looked up on the hub.
    if not timm.is_model(name):
        raise OptionError(f"timm {timm.__version__} has no model {name!r}; timm.list_models() lists what it has")
    network = _timm_network(timm, name)
    told = network.pretrained_cfg
    heads = told.get("classifier") or ()
    _load_timm(network, weights, (heads,) if isinstance(heads, str) else tuple(heads))
    if not hasattr(network, "forward_intermediates"):
        raise OptionError(f"timm's {name} gives no dense map; give another model, such as vit_small_patch14_dinov2")
    network.to(device).eval().requires_grad_(False)

    def forward(pixels: Tensor) -> Tensor:
        """The last stage's map, normalised as for the head."""
        given = {"indices": 1, "norm": True, "output_fmt": "NCHW", "intermediates_only": True}
        found: Tensor = network.forward_intermediates(pixels, **given)[-1]
        return found

    stride = int(network.feature_info[-1]["reduction"])
    return Backbone(forward, stride, tuple(told["mean"]), tuple(told["std"]), device)


def _class_of(directory: ModelDirectory) -> str:
    """Name of the class of transformers without any head."""
    auto = installed("transformers.models.auto.modeling_auto")
    found: Mapping[str, Any] = auto.MODEL_MAPPING_NAMES
    if directory.model_type in STATEFUL:
        raise CheckpointError(
            f"{directory.path} holds a {directory.model_type}, which gives other results after small windows than"
            " before; give it to the encoder timm, or another backbone"
        )
    name = found.get(directory.model_type)
    if not isinstance(name, str):
        raise CheckpointError(
            f"{directory.path} holds a {directory.model_type}, which transformers knows no backbone of"
        )
    return name


def _as_map(tokens: Tensor, pixels: Tensor, stride: int, prefix: int) -> Tensor:
    """(1, channels, rows, cols) of a map, or of tokens row by row behind at most ``prefix`` that are of no place.

    Raises:
        CheckpointError: there is no token for every place.
    """
    rows, cols = (side // stride for side in pixels.shape[-2:])
    if tokens.ndim == 4 and tokens.shape[-2:] == (rows, cols):
        return tokens
    if tokens.ndim == 3 and 0 <= tokens.shape[1] - rows * cols <= prefix:
        return tokens[:, tokens.shape[1] - rows * cols :].transpose(1, 2).reshape(1, -1, rows, cols)
    raise CheckpointError(
        f"the model gives {tuple(tokens.shape)} for {rows} x {cols} patches, no dense map; give a backbone such as"
        " DINOv2, DINOv3, ViT or ConvNeXt"
    )


def _timm_network(timm: Any, name: str) -> Any:
    """Without weights and head; of any input size where the model can."""
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)
    except TypeError:  # not every kind of model knows the option
        return timm.create_model(name, pretrained=False, num_classes=0)


def _load_timm(network: Any, weights: Path, heads: tuple[str, ...]) -> None:
    """Weights into a network; those of a head are left out, any other difference is an error."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not weights.is_file() or weights.suffix != ".safetensors":
        raise CheckpointError(f"checkpoint {weights} is no safetensors file; give the model.safetensors of the model")
    try:
        state = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights} cannot be read ({error}): it is cut off or no safetensors") from error
    state = {name: value for name, value in state.items() if not name.startswith(tuple(f"{head}." for head in heads))}
    want = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    have = {name: tuple(value.shape) for name, value in state.items()}
    if want != have:
        name = sorted(name for name in {*want, *have} if want.get(name) != have.get(name))[0]
        raise CheckpointError(
            f"{weights} does not fit {type(network).__name__}: {name} is {have.get(name, 'missing')}, wanted is"
            f" {want.get(name, 'nothing of that name')}; give the model's own weights"
        )
    network.load_state_dict(state)
