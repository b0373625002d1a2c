"""The mask generator beside segment-anything's: same weights, same points, one process, turn by turn.

python benchmarks/sam.py [--model vit_b] [--checkpoint FILE] [--device cpu] [--rounds 3] [--scene SCENE] [--out OUT]

A tile of 1024 pixels with 1024 points, stage by stage: encoder, decoder, the rest (filters, stability, boxes, NMS,
runs), and pooling of the embedding by mask, segment-anything's as ALPS does it: the features interpolated anew for
every mask (--pooled of them are timed, the rest is that times their number). Without --checkpoint weights are random;
then what goes for the quality of a mask is set such that half of all masks pass, and the masks of both are replaced by
round ones of many sizes after they were computed, so that filters and NMS have what they have in earnest. With
--equality the encoders, the decoders and the masks of --exact are compared, at full size, on the random weights.
With --scene and --checkpoint on a GPU the whole program labels a scene, and what the GPU did meanwhile is sampled.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid
from torch import Tensor
from torch.nn import functional

from geoalps.io.product import Product
from geoalps.labeling.pool import pool
from geoalps.models import sam_encoder
from geoalps.models.checkpoint import load_state
from geoalps.models.devices import has_bfloat16
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator
from geoalps.models.promptable import Answers
from geoalps.models.sam_decoder import PointDecoder
from geoalps.models.sam_network import SamNetwork
from geoalps.sample import SampleScene

SIDE = 1024
PASSING = 0.49
"""Share of masks that the predicted IoU lets pass, where weights are random."""
STAGES = ("encoder", "decoder", "rest", "pooling")


@dataclass(frozen=True)
class Run:
    """One tile by one generator."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By stage."""
    memory: float = 0.0
    """Bytes above what there was before."""
    masks: int = 0

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


class Clock:
    """Seconds by stage; a stage within another does not count for that."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._device = device

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens inside belongs to a stage."""
        start, inner = self._now(), sum(self.seconds.values())
        yield
        self.seconds[name] += self._now() - start - (sum(self.seconds.values()) - inner)

    def _now(self) -> float:
        """Seconds, when the device has done all it was told."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose calls belong to a stage."""

        def call(*args: Any, **kwargs: Any) -> Any:
            """The function itself."""
            with self.stage(name):
                return function(*args, **kwargs)

        return call


@contextmanager
def watched(device: torch.device) -> Iterator[list[float]]:
    """A list with the most bytes that were taken inside, above what was before."""
    peak = [0.0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak[0] = torch.cuda.max_memory_allocated() - before
        return
    before, done = _resident(), threading.Event()

    def watch() -> None:
        """Look a hundred times a second."""
        while not done.wait(0.01):
            peak[0] = max(peak[0], _resident() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def blobs(points: NDArray[np.float64]) -> Tensor:
    """(3 n, 256, 256) float32 logits: round masks of three sizes at (n, 2) points of a tile, sharp or not."""
    cells = (torch.arange(256) + 0.5)[None]
    found = []
    for x, y in points / 4:
        rng = np.random.default_rng(int(x * 1024 + y))
        for size in (4, 11, 32):
            radius, steep = size * rng.uniform(0.5, 1.5), rng.uniform(0.3, 8) * min(1, 8 / size)
            shift = rng.uniform(-2, 2, 2)
            far = ((cells - (x + shift[0])) ** 2 + (cells.T - (y + shift[1])) ** 2).sqrt()
            found.append((radius - far) * steep)
    return torch.stack(found)


def random_sam(model: str) -> Sam:
    """A network with random weights, such that encodings and predicted IoUs differ from place to place."""
    torch.manual_seed(0)
    sam = sam_model_registry[model]().eval().requires_grad_(False)
    for name, parameter in sam.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            parameter.normal_(0, 0.05)
    return sam


def sharpen(sam: Sam) -> None:
    """Scale random logits to those of a trained network, and lower them, so that masks are their highest parts."""
    last = sam.mask_decoder.output_upscaling[3]
    last.weight[:, 0], last.bias[0] = 0, 1.0
    for mlp in sam.mask_decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight.mul_(600)
        mlp.layers[-1].weight[0], mlp.layers[-1].bias[0] = 0, -10.0


def calibrate(sam: Sam, image: NDArray[np.uint8], share: float) -> None:
    """Scale the head of predicted IoUs such that so many of all masks are above .88."""
    head = sam.mask_decoder.iou_prediction_head.layers[-1]
    network = SamNetwork(sam)
    with torch.inference_mode():
        encoded = network.encode(image, np.ones(image.shape[:2], bool))
        iou = network.predict(encoded, build_point_grid(8) * SIDE, 0).iou
    scale = 0.05 / float(iou.std())
    head.weight.mul_(scale)
    head.bias.mul_(scale).add_(0.88 - float(iou.quantile(1 - share)) * scale)


def upstreams(sam: Sam, image: NDArray[np.uint8], made: dict[bytes, Tensor], pooled: int) -> Run:
    """segment-anything, and pooling as ALPS does it."""
    clock, generator = Clock(sam.device), SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle")
    decoder, encoder = sam.mask_decoder, sam.image_encoder
    plain, order = decoder.forward, iter(np.array_split(build_point_grid(32) * SIDE, 16))

    def decoded(**given: Any) -> tuple[Tensor, Tensor]:
        """The decoder's answer, its masks replaced."""
        masks, iou = clock.timed("decoder", plain)(**given)
        return (made[next(order).tobytes()].view(masks.shape).to(masks) if made else masks), iou

    decoder.forward, encoder_forward = decoded, encoder.forward
    encoder.forward = clock.timed("encoder", encoder_forward)
    try:
        with watched(sam.device) as peak:
            with clock.stage("rest"):
                records = generator.generate(image)
            generator.predictor.set_image(image)
            features, some = generator.predictor.features, records[:pooled]
            clock.seconds["encoder"] /= 2
            with clock.stage("pooling"):
                for record in some:
                    whole = functional.interpolate(features, (256, 256), mode="bilinear")[0]
                    mask = torch.from_numpy(_mask(record["segmentation"])[::4, ::4].copy()).to(whole.device)
                    (whole * mask).sum((1, 2)) / mask.sum()
            clock.seconds["pooling"] *= len(records) / max(1, len(some))
    finally:
        decoder.forward, encoder.forward = plain, encoder_forward
    return Run(clock.seconds, peak[0], len(records))


def _mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """(height, width) bool of an uncompressed run length encoding."""
    flat = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"])
    return np.ascontiguousarray(flat.reshape(rle["size"][::-1]).T)


def ours(network: SamNetwork, image: NDArray[np.uint8], made: dict[bytes, Tensor], exact: bool, points: int) -> Run:
    """The generator and the pooling of geoalps."""
    clock, options = Clock(network.device), GeneratorOptions(points_per_batch=points, exact=exact)
    generator = MaskGenerator(network, options)
    encode, predict = network.encode, network.predict

    def predicted(encoded: Any, asked: NDArray[np.float64], above: float) -> Answers:
        """The decoder's answers, their masks replaced."""
        answers = clock.timed("decoder", predict)(encoded, asked, above)
        if not made:
            return answers
        return Answers(made[asked.tobytes()][: len(answers.iou)].to(answers.logits), answers.iou)

    network.encode, network.predict = clock.timed("encoder", encode), predicted  # type: ignore[method-assign]
    try:
        with watched(network.device) as peak:
            with clock.stage("rest"):
                segments, embedding = generator.generate(image, np.ones(image.shape[:2], bool))
            with clock.stage("pooling"):
                pool(segments, embedding)
    finally:
        del network.encode, network.predict
    return Run(clock.seconds, peak[0], len(segments))


def compare(args: argparse.Namespace, image: NDArray[np.uint8]) -> str:
    """The table of all generators."""
    device = torch.device(args.device)
    sams = {}
    for name in ("bf16",) if args.alone else ("upstream", "fp32", "bf16"):
        sams[name] = random_sam(args.model)
        if args.checkpoint:
            sams[name].load_state_dict(load_state(args.checkpoint)[0])
        else:
            calibrate(sams[name], image, PASSING)
        sams[name].to(device)
    points = 256 if device.type == "cuda" else 64
    grid = build_point_grid(32) * SIDE
    made = {} if args.checkpoint else {
        part.tobytes(): blobs(part).to(device) for size in {64, points} for part in np.array_split(grid, 1024 // size)
    }  # fmt: skip
    dtype = torch.bfloat16 if has_bfloat16(device.type) else torch.float32
    narrow = SamNetwork(sams["bf16"], dtype, compiled=args.compiled)
    exact = narrow if args.alone else SamNetwork(sams["fp32"])
    methods: dict[str, Callable[[], Run]] = {
        "segment-anything + ALPS pooling": lambda: upstreams(sams["upstream"], image, made, args.pooled),
        "geoalps fp32 --exact": lambda: ours(exact, image, made, True, points),
        "geoalps fp32": lambda: ours(exact, image, made, False, points),
        "geoalps bf16": lambda: ours(narrow, image, made, False, points),
    }
    if not has_bfloat16(device.type):
        del methods["geoalps bf16"]
    if args.alone:
        methods = dict(list(methods.items())[-1:])
    runs: dict[str, list[Run]] = {name: [] for name in methods}
    for turn in range(args.rounds):
        for name, method in methods.items():
            runs[name].append(method())
            print(turn, name, {k: round(v, 2) for k, v in runs[name][-1].seconds.items()}, file=sys.stderr, flush=True)
    return table(runs)


def table(runs: dict[str, list[Run]]) -> str:
    """Markdown: medians over turns; ratios are medians of ratios within a turn, against the first."""
    first = next(iter(runs.values()))
    lines = [f"| generator | {' s | '.join(STAGES)} s | total s | times as fast | peak MB | masks |"]
    lines.append("|" + " --- |" * 9)
    for name, many in runs.items():
        stages = [float(np.median([run.seconds[stage] for run in many])) for stage in STAGES]
        ratio = float(np.median([one.total / run.total for one, run in zip(first, many, strict=True)]))
        peak = max(run.memory for run in many) / 1e6
        cells = [*(f"{seconds:.2f}" for seconds in stages), f"{np.median([run.total for run in many]):.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio:.1f} | {peak:.0f} | {many[0].masks} |")
    return "\n".join(lines)


def equality(model: str, image: NDArray[np.uint8]) -> str:
    """How far encoder, decoder and the masks of --exact are from segment-anything's, in float32."""
    sam = random_sam(model)
    calibrate(sam, image, 0.3)
    sharpen(sam)
    lines = []
    with torch.inference_mode():
        picture = sam.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
        want, have = sam.image_encoder(picture), sam_encoder.encode(sam.image_encoder, picture)
        lines.append(f"encoder: {float((have - want).abs().max()):.1e} of {float(want.abs().max()):.1f}")
        coords = torch.from_numpy(build_point_grid(4) * SIDE)[:, None]
        sparse, dense = sam.prompt_encoder((coords, torch.ones(16, 1)), None, None)
        places = sam.prompt_encoder.get_dense_pe()
        logits, iou = sam.mask_decoder(want, places, sparse, dense, True)
        decoder = PointDecoder(sam.mask_decoder)
        ours_, our_iou = decoder.predict(decoder.image_side(want, dense[:1], places), sparse.float(), 0)
        apart = float((ours_ - logits.flatten(0, 1)).abs().max()), float((our_iou - iou.flatten()).abs().max())
        lines.append(f"decoder: logits {apart[0]:.1e} of {float(logits.abs().max()):.1f}, predicted IoU {apart[1]:.1e}")
    options = {"points_per_side": 6, "stability_score_thresh": 0.5, "stability_score_offset": 0.5}
    options["box_nms_thresh"] = 1.0
    records = SamAutomaticMaskGenerator(sam, **options).generate(image)
    segments, _ = MaskGenerator(SamNetwork(sam), GeneratorOptions(**options, exact=True)).generate(
        image, np.ones(image.shape[:2], bool)
    )
    worst = []
    for number, record in enumerate(sorted(records, key=lambda one: -one["predicted_iou"])[: len(segments)]):
        mask = np.zeros(SIDE * SIDE, bool)
        mask[segments.take([number]).pixels(SIDE)[1]] = True
        worst.append(int((mask != record["segmentation"].ravel()).sum()))
    apart_in = f"pixels that differ: {sum(worst)} of {SIDE * SIDE * len(worst)}, in {sum(map(bool, worst))} masks"
    lines.append(f"masks: {len(records)} and {len(segments)}; {apart_in}")
    return "\n".join(lines)


def end_to_end(scene: Path, checkpoint: Path, device: str) -> str:
    """Tiles a second of the whole program, and how busy the GPU was, sampled five times a second."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    command = ["tile-label", str(scene), "--segmenter", "sam", "--checkpoint", str(checkpoint), "--device", device]
    with tempfile.TemporaryDirectory() as work:
        watcher = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
        subprocess.run([sys.executable, "-m", "geoalps", *command, "--margin", "0", "-o", work + "/out"], check=True)
        watcher.terminate()
        product = Product.open(Path(work) / "out")
        tiles = len(list((product.path / "work" / "tiles").rglob("*.parquet")))
        seconds = product.run()["seconds"]["segment"]
    busy = [int(line) for line in (watcher.communicate()[0] or "").split() if line.isdigit()]
    working = [share for share in busy if share > 0]
    rate = f"{tiles} tiles in {seconds:.1f} s: {tiles / seconds:.2f} a second, {1000 * seconds / tiles:.0f} ms each"
    return f"{rate}; from first to last kernel the GPU was busy {np.mean(working or [0]):.0f} % of the time"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["vit_b", "vit_l", "vit_h"], default="vit_b")
    parser.add_argument("--checkpoint", type=Path, help="weights; random ones without it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pooled", type=int, default=8, help="masks that are pooled as ALPS does it")
    parser.add_argument("--compiled", action="store_true", help="torch.compile for bf16")
    parser.add_argument("--alone", action="store_true", help="only what geoalps does by default, such as for vit_h")
    parser.add_argument("--equality", action="store_true", help="only compare results")
    parser.add_argument("--scene", type=Path, help="label it, too")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    scene = SampleScene((SIDE, SIDE), seed=1)
    image = np.ascontiguousarray(scene.read(scene.window).rgb)
    text = equality(args.model, image) if args.equality else compare(args, image)
    if args.scene and args.checkpoint:
        text += "\n\n" + end_to_end(args.scene, args.checkpoint, args.device)
    threads = f"{platform.machine()}, {torch.get_num_threads()} threads"
    where = threads if args.device == "cpu" else torch.cuda.get_device_name()
    text = f"{args.model}, {where}, torch {torch.__version__}\n\n{text}\n"
    print(text)
    if args.out:
        args.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
