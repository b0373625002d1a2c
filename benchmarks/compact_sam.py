"""Trains a tiny Segment Anything whose masks mean something, and compares the mask generators on it.

python benchmarks/compact_sam.py [--checkpoint FILE] [--minutes 10] [--scenes 40]

Random weights make no masks worth comparing, and published ones cannot be part of a benchmark that runs anywhere. Here
segment-anything's own modules, at 64 x 64 pixels, learn to mask coloured discs and bars that lie on each other, from
a point: that is a toy, and enough for masks with outlines, for predicted IoUs and stabilities that differ, and for
duplicates. On scenes it has not seen: which masks segment-anything keeps, and which of them geoalps does, exactly, by
cells, in bfloat16, and with points asked only where no mask is yet. FILE is trained unless it is there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

from geoalps.models.checkpoint import load_state
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator
from geoalps.models.sam_architecture import PIXEL_MEAN, PIXEL_STD, SamArchitecture, build_network
from geoalps.models.sam_network import SamNetwork

SIDE, PATCH, CHANNELS, HEADS = 64, 4, 64, 2
SCENES, POINTS = 4, 8
"""Of a training step."""
RATE = 2e-3
OPTIONS = {"points_per_side": 16, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.8}
"""Lower than a large network's: a toy is never as sure."""

Bools = NDArray[np.bool_]


def untrained() -> Sam:
    """A network with random weights."""
    grid = SIDE // PATCH
    encoder = ImageEncoderViT(
        img_size=SIDE, patch_size=PATCH, embed_dim=CHANNELS, depth=2, num_heads=HEADS, mlp_ratio=2, out_chans=CHANNELS,
        norm_layer=partial(nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=8, global_attn_indexes=(1,),
    )  # fmt: skip
    transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2 * CHANNELS, num_heads=HEADS)
    decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer, iou_head_hidden_dim=CHANNELS)
    prompts = PromptEncoder(CHANNELS, (grid, grid), (SIDE, SIDE), mask_in_chans=16)
    return Sam(encoder, prompts, decoder, PIXEL_MEAN, PIXEL_STD)


def toy(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(64, 64, 3) uint8 discs and bars on a noisy ground, and (64, 64) int64 which each pixel shows, 0 none."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    image, labels = np.tile(rng.integers(40, 200, 3), (SIDE, SIDE, 1)).astype(float), np.zeros((SIDE, SIDE), np.int64)
    for thing in range(1, 1 + rng.integers(3, 9)):
        (row, col), (long, wide), turn = rng.uniform(4, SIDE - 4, 2), rng.uniform(3, 14, 2), rng.uniform(0, np.pi)
        u = (cols - col) * np.cos(turn) + (rows - row) * np.sin(turn)
        v = (rows - row) * np.cos(turn) - (cols - col) * np.sin(turn)
        disc, bar = (u / long) ** 2 + (v / wide) ** 2 < 1, (abs(u) < long) & (abs(v) < wide)
        inside = disc if rng.random() < 0.5 else bar
        labels[inside], image[inside] = thing, rng.integers(0, 256, 3)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), labels


def batch(rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Images (s, 3, 64, 64), true masks (s, p, 64, 64) and points (s, p, 1, 2) within them, mostly thing by thing."""
    images, truths, points = [], [], []
    for _ in range(SCENES):
        image, labels = toy(rng)
        images.append(image.transpose(2, 0, 1).astype(np.float32))
        anywhere = labels.ravel()[rng.integers(labels.size, size=POINTS)]
        wanted = np.where(rng.random(POINTS) < 0.8, rng.choice(np.unique(labels), POINTS), anywhere)
        truths.append(labels == wanted[:, None, None])
        pixels = [rng.choice(np.flatnonzero(mask)) for mask in truths[-1]]
        points.append([[(pixel % SIDE + 0.5, pixel // SIDE + 0.5)] for pixel in pixels])
    return tuple(torch.from_numpy(np.array(part, np.float32)) for part in (images, truths, points))  # type: ignore[return-value]


def answers(sam: Sam, images: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """(s, p, 3, h, w) logits and (s, p, 3) predicted IoU."""
    encoded, places, found = sam.image_encoder(sam.preprocess(images)), sam.prompt_encoder.get_dense_pe(), []
    for one, asked in zip(encoded, points, strict=True):
        sparse, dense = sam.prompt_encoder((asked, torch.ones(len(asked), 1)), None, None)
        found.append(sam.mask_decoder(one[None], places, sparse, dense, True))
    return torch.stack([masks for masks, _ in found]), torch.stack([iou for _, iou in found])


def loss_of(logits: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
    """As SAM is trained: the best of three masks counts (cross entropy and Dice), and every predicted IoU."""
    truth = functional.interpolate(truth, logits.shape[-2:], mode="area")[:, :, None].expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").flatten(3).mean(3)
    shares, sums = logits.sigmoid(), (logits.sigmoid() + truth).flatten(3).sum(3)
    masks = 4 * entropy + 1 - (2 * (shares * truth).flatten(3).sum(3) + 1) / (sums + 1)
    inside, true = logits > 0, truth > 0.5
    iou = (inside & true).flatten(3).sum(3) / (inside | true).flatten(3).sum(3).clamp(min=1)
    return masks.min(2)[0].mean() + 0.1 * masks.mean() + functional.mse_loss(predicted, iou)


def trained(minutes: float) -> Sam:
    """A network after so many minutes."""
    torch.manual_seed(0)
    sam, rng, start, step, share = untrained().train(), np.random.default_rng(0), time.monotonic(), 0, 0.0
    optimizer = torch.optim.AdamW(sam.parameters(), RATE, weight_decay=0.01)
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 100) * max(0.02, (1 + np.cos(np.pi * share)) / 2)
        images, truth, points = batch(rng)
        loss = loss_of(*answers(sam, images, points), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
        optimizer.step()
        step, share = step + 1, (time.monotonic() - start) / 60 / minutes
        if step % 100 == 0:
            print(f"step {step}, loss {loss.item():.2f}, {60 * minutes * (1 - share):.0f} s left", flush=True)
    return sam.eval()


def upstreams(sam: Sam, image: NDArray[np.uint8]) -> Bools:
    """(n, 64, 64) masks of segment-anything."""
    records = SamAutomaticMaskGenerator(sam, **OPTIONS).generate(image)
    return np.array([record["segmentation"] for record in records if record["area"]], bool).reshape(-1, SIDE, SIDE)


class Counted(SamNetwork):
    """Counts the points that it is asked for."""

    asked = 0

    def predict(self, encoded, points, above):  # type: ignore[no-untyped-def]
        """As it is, and counted."""
        self.asked += len(points)
        return super().predict(encoded, points, above)


def ours(network: SamNetwork, image: NDArray[np.uint8], **more: bool) -> Bools:
    """(n, 64, 64) masks of geoalps."""
    segments, _ = MaskGenerator(network, GeneratorOptions(**OPTIONS, **more)).generate(
        image, np.ones((SIDE, SIDE), bool)
    )
    masks = np.zeros((len(segments), SIDE * SIDE), bool)
    masks[segments.pixels(SIDE)] = True
    return masks.reshape(-1, SIDE, SIDE)


def overlaps(one: Bools, two: Bools) -> NDArray[np.float64]:
    """(n, m) IoU of (n, h, w) and (m, h, w) masks."""
    a, b = (masks.reshape(len(masks), -1).astype(np.float64) for masks in (one, two))
    common = a @ b.T
    return np.asarray(common / np.maximum(a.sum(1)[:, None] + b.sum(1) - common, 1))


def rows(sams: dict[str, Sam], scenes: int) -> Iterator[str]:
    """Of the table: masks, how many are upstream's, their IoU, recall of true things, share of points asked."""
    exact, narrow = Counted(sams["fp32"]), Counted(sams["bf16"], torch.bfloat16)
    methods = {
        "geoalps fp32 --exact": (exact, {"exact": True}),
        "geoalps fp32": (exact, {}),
        "geoalps bf16": (narrow, {}),
        "geoalps bf16, adaptive": (narrow, {"adaptive": True}),
    }
    told: dict[str, list[list[float]]] = {name: [] for name in ("segment-anything", *methods)}
    rng = np.random.default_rng(10**6)
    for _ in range(scenes):
        image, labels = toy(rng)
        truth = np.array([labels == thing for thing in np.unique(labels)[1:] if (labels == thing).sum() >= 24])
        want, asked = upstreams(sams["upstream"], image), {}
        found = {"segment-anything": want}
        for name, (network, more) in methods.items():
            before = network.asked
            found[name] = ours(network, image, **more)
            asked[name] = network.asked - before
        for name, masks in found.items():
            match = overlaps(masks, want).max(1, initial=0) if len(masks) else np.zeros(0)
            hit = (overlaps(truth, masks).max(1, initial=0) >= 0.5).sum()
            good = match >= 0.5
            points = asked.get(name, OPTIONS["points_per_side"] ** 2)
            told[name].append([len(masks), (match == 1).sum(), good.sum(), match[good].sum(), hit, len(truth), points])
    for name, many in told.items():
        masks, same, good, overlap, hit, things, points = np.sum(many, 0)
        cells = f"{masks:.0f} | {same:.0f} | {overlap / max(good, 1):.4f} | {hit / things:.3f} | {points / scenes:.0f}"
        yield f"| {name} | {cells} |"


def main() -> None:
    """Train unless it is done, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("compact_sam.pth"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--scenes", type=int, default=40)
    given = parser.parse_args()
    if not given.checkpoint.exists():
        state = trained(given.minutes).state_dict()
        torch.save({"model": state, "config": {"decoder_num_heads": HEADS}}, given.checkpoint)
    state, config = load_state(given.checkpoint)
    architecture = SamArchitecture.told_from(state, config)
    sams = {name: build_network(architecture, state, torch.device("cpu")) for name in ("upstream", "fp32", "bf16")}
    print(
        "| generator | masks | to the pixel upstream's | mean IoU with upstream's | recall of things | points a scene |"
    )
    print("|" + " --- |" * 6, *rows(sams, given.scenes), sep="\n")


if __name__ == "__main__":
    main()
