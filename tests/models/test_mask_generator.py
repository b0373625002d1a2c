"""The parts of the mask generator, each against segment-anything's own or brute force."""

import os

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.utils.amg import batched_mask_to_box, calculate_stability_score
from test_sam import blocks_image, everywhere, exactly, full_masks, same_masks, tiny_sam
from torch.nn import functional
from torchvision.ops import nms

from geoalps.errors import OptionError
from geoalps.models import sam_encoder
from geoalps.models.devices import Turns, resolve_precision
from geoalps.models.enlarging import Enlarger, segments_of
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator, prompt_points
from geoalps.models.promptable import Answers, EncodedImage
from geoalps.models.sam_decoder import PointDecoder
from geoalps.models.sam_network import SamNetwork, resized_shape


@pytest.mark.parametrize("room", [1, 4096, 8 << 20])
@pytest.mark.parametrize(
    "build", [{}, {"window": 5}, {"window": 0}, {"use_rel_pos": False}, {"img_size": 128, "num_heads": 4}]
)
def test_encoder_is_upstreams(monkeypatch, build, room):
    monkeypatch.setitem(sam_encoder.BIAS_BYTES, "cpu", room)
    encoder = tiny_sam(**build).image_encoder
    for block in encoder.blocks:
        # padding is projected to it: nothing would be seen with none
        torch.nn.init.normal_(block.attn.qkv.bias)
    pictures = torch.randn(2, 3, encoder.img_size, encoder.img_size)
    with torch.inference_mode():
        want, have = encoder(pictures), sam_encoder.encode(encoder, pictures)
    torch.testing.assert_close(have, want, atol=1e-5, rtol=1e-5)


def a_decoder(depth, heads=4, masks=3):
    """A random decoder whose biases are not zero."""
    torch.manual_seed(depth)
    transformer = TwoWayTransformer(depth=depth, embedding_dim=32, mlp_dim=64, num_heads=heads)
    decoder = MaskDecoder(
        transformer_dim=32, transformer=transformer, num_multimask_outputs=masks, iou_head_hidden_dim=32
    )
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(decoder.iou_prediction_head.layers[-1].bias, 1)
    return decoder.eval()


def asked(seed=0, prompts=5, tokens=2, grid=(6, 8)):
    """An image's embedding, dense prompt, places, and sparse prompts."""
    generator = torch.Generator().manual_seed(seed)
    dense, image, places = (torch.randn(1, 32, *size, generator=generator) for size in ((1, 1), grid, grid))
    return image, dense.expand(1, 32, *grid), places, torch.randn(prompts, tokens, 32, generator=generator)


@pytest.mark.parametrize(("depth", "tokens", "masks"), [(1, 2, 3), (2, 2, 3), (3, 4, 3), (2, 3, 1)])
def test_decoder_is_upstreams(depth, tokens, masks):
    decoder = a_decoder(depth, masks=masks)
    image, dense, places, sparse = asked(tokens=tokens)
    with torch.inference_mode():
        logits, iou = decoder(
            image_embeddings=image,
            image_pe=places,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense.expand(len(sparse), -1, -1, -1),
            multimask_output=True,
        )
        ours = PointDecoder(decoder)
        side = ours.image_side(image, dense, places)
        have, have_iou = ours.predict(side, sparse, 0)
        torch.testing.assert_close(have, logits.flatten(0, 1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(have_iou, iou.flatten(), atol=1e-5, rtol=1e-5)
        ranked, middle = iou.flatten().sort().values, iou.numel() // 2
        limit = float(ranked[middle - 1 : middle + 1].mean())  # between two, so that rounding moves none across
        some, some_iou = ours.predict(side, sparse, limit)
    good = iou.flatten() > limit
    assert 0 < len(some) < len(have)
    torch.testing.assert_close(some, logits.flatten(0, 1)[good], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(some_iou, iou.flatten()[good], atol=1e-5, rtol=1e-5)


def test_no_mask_passes_is_no_error():
    decoder = PointDecoder(a_decoder(2))
    image, dense, places, sparse = asked()
    logits, iou = decoder.predict(decoder.image_side(image, dense, places), sparse, 1e9)
    assert logits.shape == (0, 24, 32)
    assert iou.shape == (0,)


def test_bfloat16_is_near():
    image, dense, places, sparse = asked()
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        decoder = PointDecoder(a_decoder(2), dtype)
        with torch.inference_mode():
            found.append(decoder.predict(decoder.image_side(image, dense, places), sparse, 0))
    (logits, iou), (rough, rough_iou) = found
    assert rough.dtype == torch.bfloat16
    assert 0 < float((rough.float() - logits).norm() / logits.norm()) < 0.03
    torch.testing.assert_close(rough_iou, iou, atol=0.03, rtol=0)


@pytest.mark.parametrize("shape", [(64, 64), (50, 64), (72, 96), (33, 120), (1, 40)])
def test_enlarged_is_what_upstream_makes(shape):
    side, size = 16, 64
    logits = torch.randn(6, side, side)
    resized = resized_shape(shape, size)
    whole = functional.interpolate(logits[None], (size, size), mode="bilinear", align_corners=False)
    whole = functional.interpolate(whole[..., : resized[0], : resized[1]], shape, mode="bilinear")[0]
    valid = np.random.default_rng(0).random(shape) < 0.9
    whole[:, ~torch.from_numpy(valid)] = -torch.inf
    encoded = EncodedImage(torch.zeros(1, 1, 4, 4), None, shape, resized, size)
    enlarger = Enlarger.of(encoded, side, valid, torch.device("cpu"))
    boxes = np.array([[0, 0, 16, 16], [3, 2, 4, 9], [0, 0, 1, 1], [15, 15, 16, 16], [5, 0, 9, 16], [2, 1, 12, 3]])
    inner = torch.full_like(logits, -50.0)
    for one, (row0, col0, row1, col1) in enumerate(boxes):
        inner[one, row0:row1, col0:col1] = logits[one, row0:row1, col0:col1] + 50
    want = functional.interpolate(inner[None], (size, size), mode="bilinear", align_corners=False)
    want = functional.interpolate(want[..., : resized[0], : resized[1]], shape, mode="bilinear")[0]
    for which, piece, (row, col) in enlarger.pieces(enlarger.cells(logits, boxes)):
        rows, cols = piece.shape[1:]
        torch.testing.assert_close(piece[0], whole[which[0], row : row + rows, col : col + cols], atol=1e-5, rtol=0)
        # outside of the piece there is nothing of the box
        reached = torch.zeros(shape, dtype=torch.bool)
        reached[row : row + rows, col : col + cols] = True
        assert not (want[which[0]] > -49.9)[~reached].any()


def test_runs_of_masks():
    masks = torch.rand(5, 9, 13) < 0.5
    masks[2] = False
    masks[3] = True
    segments = segments_of(masks, np.array([2, 3]), np.ones(5, np.float32))
    want = np.zeros((5, 15, 20), bool)
    want[:, 2:11, 3:16] = masks.numpy()
    assert (full_masks(segments, (15, 20)) == want).all()


class Blobs:
    """A network that is none: smooth blobs of three sizes around every point, their outline sharp or not."""

    device = torch.device("cpu")
    mask_threshold = 0.0

    def __init__(self, size=256):
        self.size, self.asked = size, 0

    def encode(self, image, valid):
        """Nothing of an image matters."""
        return EncodedImage(
            torch.zeros(1, 4, 16, 16), None, valid.shape, resized_shape(valid.shape, self.size), self.size
        )

    def predict(self, encoded, points, above):
        """(n, 64, 64) logits: the distance from an outline, in steepness that differs."""
        self.asked += len(points)
        scale = 64 / encoded.input_size * np.array(encoded.input_shape[::-1]) / encoded.shape[::-1]
        rows, cols = np.mgrid[:64, :64] + 0.5
        logits, iou = [], []
        for x, y in points * scale:
            for radius in (3, 6, 14):
                rng = np.random.default_rng(int(x * 1000 + y * 7 + radius))
                size, stretch, phase, steep = radius * rng.uniform(0.5, 1.5), *rng.uniform((0.5, 0, 0.5), (1, 6, 20))
                angle = np.arctan2(rows - y, cols - x)
                far = np.hypot((cols - x) * stretch, rows - y) * (1 + 0.2 * np.cos(3 * angle + phase))
                logits.append((size - far) * steep)
                iou.append(rng.uniform(0.5, 1))
        good = torch.tensor(iou) > above
        return Answers(torch.tensor(np.array(logits), dtype=torch.float32)[good], torch.tensor(iou)[good].float())


def upstreams(network, shape, options):
    """segment-anything's steps, at full size from the beginning."""
    encoded = network.encode(None, everywhere(shape))
    (points,) = prompt_points(everywhere(shape), options.points_per_side)
    answers = network.predict(encoded, points, options.pred_iou_thresh)
    full = functional.interpolate(answers.logits[None], (network.size,) * 2, mode="bilinear", align_corners=False)
    full = full[..., : encoded.input_shape[0], : encoded.input_shape[1]]
    full = functional.interpolate(full, shape, mode="bilinear", align_corners=False)[0]
    stable = calculate_stability_score(full, 0.0, options.stability_score_offset) >= options.stability_score_thresh
    masks, iou = full[stable] > 0, answers.iou[stable]
    return masks[nms(batched_mask_to_box(masks).float(), iou, options.box_nms_thresh)].numpy()


@pytest.mark.parametrize("shape", [(128, 128), (150, 112), (256, 256)])
def test_judging_by_cells_finds_what_judging_by_pixels_does(shape):
    options = {"points_per_side": 9, "stability_score_thresh": 0.9}
    want = upstreams(Blobs(), shape, GeneratorOptions(**options))
    image = np.zeros((*shape, 3), np.uint8)
    exact, _ = MaskGenerator(Blobs(), GeneratorOptions(**options, exact=True)).generate(image, everywhere(shape))
    assert {mask.tobytes() for mask in full_masks(exact, shape)} == {mask.tobytes() for mask in want}
    quick, _ = MaskGenerator(Blobs(), GeneratorOptions(**options)).generate(image, everywhere(shape))
    assert abs(len(quick) - len(want)) <= max(1, 0.02 * len(want))
    masks = full_masks(quick, shape)
    overlap = np.array([max((one & other).sum() / (one | other).sum() for other in want) for one in masks])
    assert (overlap > 0.99).sum() >= len(want) - 1 > 20


def test_adaptive_asks_less_and_covers_as_much():
    shape, image = (256, 256), np.zeros((256, 256, 3), np.uint8)
    found = {}
    for adaptive in (False, True):
        network = Blobs()
        segments, _ = MaskGenerator(
            network, GeneratorOptions(16, stability_score_thresh=0.9, adaptive=adaptive)
        ).generate(image, everywhere(shape))
        found[adaptive] = network.asked, full_masks(segments, shape).any(0).mean()
    assert found[False][0] == 256
    assert 16 < found[True][0] < 200
    assert found[True][1] > 0.9 * found[False][1]


@pytest.mark.parametrize("more", [{}, {"crop_n_points_downscale_factor": 2}, {"crop_n_layers": 2}])
def test_crops_are_those_of_segment_anything(more):
    sam, shape = tiny_sam(4), (60, 80)
    image = blocks_image(shape)
    options = {"points_per_side": 6, "pred_iou_thresh": 0, "stability_score_thresh": 0, "crop_n_layers": 1, **more}
    options |= {"box_nms_thresh": 0.95, "crop_nms_thresh": 0.9}
    upstream = SamAutomaticMaskGenerator(sam, **options).generate(image)
    segments, embedding = exactly(sam, **options).generate(image, everywhere(shape))
    assert same_masks(segments, upstream, shape) > 3
    _, whole = exactly(sam, points_per_side=4).generate(image, everywhere(shape))
    assert (embedding.values == whole.values).all()


def test_points_of_ones_own_are_those_of_segment_anything():
    sam, shape = tiny_sam(4), (60, 80)
    rng, image = np.random.default_rng(3), blocks_image(shape)
    options = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "crop_n_layers": 1}
    options |= {"box_nms_thresh": 0.95, "crop_nms_thresh": 0.9}
    grids = [rng.random((9, 2)), rng.random((5, 2))]
    upstream = SamAutomaticMaskGenerator(sam, points_per_side=None, point_grids=grids, **options).generate(image)
    segments, _ = exactly(sam, point_grids=grids, **options).generate(image, everywhere(shape))
    assert same_masks(segments, upstream, shape) > 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"point_grids": [[[0.5, 0.5]], [[0.5, 0.5]]]}, "point_grids has 2 grids; 1 are needed"),
        ({"point_grids": [[[0.5, 1.0]]]}, "outside of the window"),
        ({"point_grids": [[[0.5, float("nan")]]]}, "outside of the window"),
        ({"point_grids": [["a"]]}, "no lists of points"),
        ({"point_grids": 4}, "no lists of points"),
        ({"point_grids": [[[0.5, 0.5]]], "adaptive": True}, "leave adaptive or point_grids out"),
    ],
)
def test_point_grids_that_are_none(options, said):
    with pytest.raises(OptionError, match=said):
        GeneratorOptions(**options)


def test_crops_ask_nothing_of_nodata():
    shape = (96, 96)
    valid = everywhere(shape)
    valid[:, 48:] = False
    options = {"points_per_side": 4, "pred_iou_thresh": 0, "stability_score_thresh": 0, "crop_n_layers": 1}
    segments, _ = exactly(tiny_sam(4), **options).generate(blocks_image(shape), valid)
    assert len(segments)
    assert not full_masks(segments, shape)[:, ~valid].any()


def test_precision_is_settled_once():
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu, exact=True) == "fp32"
    assert resolve_precision("bf16", cpu) == "bf16"
    assert resolve_precision("auto", cpu) in ("fp32", "bf16")
    assert resolve_precision("auto", torch.device("mps")) == "fp32"
    with pytest.raises(OptionError, match="precision is 'half'; allowed are auto, fp32, bf16"):
        resolve_precision("half", cpu)


def test_a_turn_ends_with_an_error_too():
    turns, before = Turns(torch.device("cpu"), 3), torch.get_num_threads()

    def fail():
        with turns.turn():
            raise RuntimeError(str(torch.get_num_threads()))

    for _ in range(2):
        with pytest.raises(RuntimeError, match="3"):
            fail()
        assert torch.get_num_threads() == before


@pytest.mark.parametrize(("given", "kept"), [(None, False), ("/scratch/torchinductor_me", False), ("/own", True)])
def test_what_is_compiled_is_kept(tmp_path, monkeypatch, given, kept):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", "/scratch")
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", given or "")
    if given is None:
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    SamNetwork(tiny_sam(), compiled=True)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == (given if kept else str(tmp_path / "compiled"))


def test_compiled_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # the compiler's own stand-in for a compiler: what is traced is run as it is
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **given: plain(function, backend="eager", **given))
    options = GeneratorOptions(4, pred_iou_thresh=0.1, stability_score_thresh=0.1, exact=True)
    image = blocks_image((64, 64))
    found = [
        MaskGenerator(SamNetwork(tiny_sam(), compiled=compiled), options).generate(image, everywhere((64, 64)))[0]
        for compiled in (False, True)
    ]
    assert len(found[0]) > 1
    assert (found[0].runs == found[1].runs).all()
