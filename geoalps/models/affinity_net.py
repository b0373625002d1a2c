"""A small network that says, for every pixel and others near it, how likely a border of two whole things lies between.

Trained on made chips alone (:mod:`geoalps.training.affinity`), where the truth is known to the pixel. It knows what a
gradient cannot: that the stripes of a corrugated roof are one roof, and that two grey roofs with a dark gap are two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from geoalps.errors import CheckpointError
from geoalps.models.affinities import OFFSETS, STEP
from geoalps.models.devices import has_bfloat16, torch_threads
from geoalps.protocols import Image

CHANNELS = (16, 48, 96, 128, 128)
"""Channels at 1/2, 1/4, ... 1/32 of the picture's resolution."""
FEATURES = 32
"""Channels of the last map, at 1/2."""
COARSEST = STEP * 2 ** (len(CHANNELS) - 1)
"""Pixels per cell of the coarsest map: pictures are padded to whole numbers of them."""
REMEDY = "install geoalps again, or train the file with `python -m geoalps.training`"
GREY, CONTRAST = 0.45, 4.0
"""Pictures of 0..1 enter as (value - GREY) * CONTRAST."""


class AffinityNet(nn.Module):
    """An encoder and a decoder joined level by level (U-Net), a quarter million pixels a tenth of a second on one core.

    Args:
        trainable: with batch normalisation after every convolution; without it, as in files, convolutions have a bias
            that holds it (:meth:`folded`).
    """

    def __init__(self, trainable: bool = False) -> None:
        super().__init__()
        widths = (3 * STEP**2, *CHANNELS)
        self.down = nn.ModuleList(
            nn.Sequential(_step(before, after, 1 if level == 0 else 2, trainable), _step(after, after, 1, trainable))
            for level, (before, after) in enumerate(zip(widths, CHANNELS, strict=False))
        )
        finer, outputs = CHANNELS[-2::-1], (*CHANNELS[-2:0:-1], FEATURES)
        inputs = (CHANNELS[-1], *outputs)
        self.up = nn.ModuleList(
            _step(skip + below, after, 1, trainable) for skip, below, after in zip(finer, inputs, outputs, strict=False)
        )
        self.head = nn.Conv2d(FEATURES, len(OFFSETS), 1)

    def features(self, pictures: Tensor) -> Tensor:
        """(b, FEATURES, h / 2, w / 2) of (b, 3, h, w) float pictures in 0..1, h and w whole numbers of ``COARSEST``."""
        flow = functional.pixel_unshuffle((pictures - GREY) * CONTRAST, STEP)
        skips = []
        for stage in self.down:
            flow = stage(flow)
            skips.append(flow)
        skips.pop()
        for join in self.up:
            skip = skips.pop()
            flow = functional.interpolate(flow, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            flow = torch.cat([skip, flow], 1)
            del skip  # maps at half resolution are what a window's memory goes to
            flow = join(flow)
        return flow

    def forward(self, pictures: Tensor) -> Tensor:
        """(b, len(OFFSETS), h / 2, w / 2) logits of being of one whole with the pixel at each offset."""
        logits: Tensor = self.head(self.features(pictures))
        return logits

    def folded(self) -> AffinityNet:
        """The same function without batch normalisation, for inference and for files."""
        plain = AffinityNet()
        for mine, theirs in zip(_convolutions(self), _convolutions(plain), strict=True):
            theirs[0].load_state_dict(_folded(mine))
        plain.head.load_state_dict(self.head.state_dict())
        return plain.eval()


def _step(inputs: int, outputs: int, stride: int, trainable: bool) -> nn.Sequential:
    """A 3 x 3 convolution, batch normalisation when trainable, and a rectified linear unit."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not trainable)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(outputs)] if trainable else []), nn.ReLU(inplace=True))


def _folded(step: nn.Sequential) -> dict[str, Tensor]:
    """Weight and bias of a convolution that does what one and its batch normalisation do."""
    convolution, norm = step[0], step[1]
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        return dict(convolution.state_dict())
    held = norm.state_dict()
    scale = held["weight"] / torch.sqrt(held["running_var"] + norm.eps)
    return {
        "weight": convolution.weight.detach() * scale[:, None, None, None],
        "bias": held["bias"] - held["running_mean"] * scale,
    }


def _convolutions(net: AffinityNet) -> list[nn.Sequential]:
    """All steps of a network, in order."""
    return [step for step in net.modules() if isinstance(step, nn.Sequential) and isinstance(step[0], nn.Conv2d)]


def partings(image: Image, net: AffinityNet) -> NDArray[np.float32]:
    """How likely every pixel and the one at each offset are parted by a border of two wholes.

    Args:
        image: (height, width, 3) uint8 RGB; fill what is invalid first.
        net: a network without batch normalisation.

    Returns:
        (len(OFFSETS), ceil(height / STEP), ceil(width / STEP)) float32 in 0..1: cell (i, j) of map n is of the pixels
        (i * STEP, j * STEP) + (0 or OFFSETS[n] * STEP).

    Computed by one thread, so that it is rounded alike however many tiles are in work; in bfloat16 where the processor
    has it, which takes half the time and memory, else in float32.
    """
    height, width = image.shape[:2]
    padding = [(0, -side % COARSEST) for side in (height, width)]
    # a mirror makes no border; what is smaller than its padding has nothing to mirror
    mode = "reflect" if all(after < side for (_, after), side in zip(padding, (height, width), strict=True)) else "edge"
    padded = np.pad(image, (*padding, (0, 0)), mode=mode)  # type: ignore[call-overload]
    narrow = torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16("cpu"))
    with torch.inference_mode(), torch_threads(1), narrow:
        pictures = torch.from_numpy(padded).permute(2, 0, 1)[None].float().div_(255)
        logits = net(pictures.contiguous(memory_format=torch.channels_last))[0].float()
        chances = torch.sigmoid_(logits.neg_())[:, : -(-height // STEP), : -(-width // STEP)]
        return np.ascontiguousarray(chances.numpy())


def save_net(net: AffinityNet, path: Path, record: Mapping[str, Any]) -> None:
    """Write a folded network as float16; ``record``, JSON values, says how it was trained."""
    tensors = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, path, {"record": json.dumps(dict(record), sort_keys=True)})
    path.chmod(0o644)  # the library writes files that only their owner can read


def load_net(path: Path) -> AffinityNet:
    """A network from its file.

    Raises:
        CheckpointError: no such file, damaged, or of another architecture.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as an affinity network ({error}); {REMEDY}") from None
    net = AffinityNet()
    expected = {name: tensor.shape for name, tensor in net.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        raise CheckpointError(f"{path} holds a network of another architecture; {REMEDY}")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds weights that are not finite numbers; {REMEDY}")
    net.load_state_dict(tensors)
    return net.eval().to(memory_format=torch.channels_last)
