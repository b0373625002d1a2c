import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.predictor import SamPredictor
from torch import nn

from geoalps.errors import CheckpointError, OptionError
from geoalps.models.checkpoint import sha256
from geoalps.models.enlarging import Enlarger
from geoalps.models.mask_generator import GeneratorOptions, MaskGenerator, prompt_points, without_small_parts
from geoalps.models.sam import SamSegmenter
from geoalps.models.sam_architecture import OFFICIAL, PIXEL_MEAN, PIXEL_STD, SamArchitecture, build_network
from geoalps.models.sam_network import SamNetwork
from geoalps.protocols import Segmenter

CONFIG = {"decoder_num_heads": 2}


def tiny_sam(seed=1, *, img_size=64, patch=8, window=3, shift=10.0, use_rel_pos=True, num_heads=2):
    """A random SAM whose masks differ in place and size: a shift of the logits leaves only their peaks."""
    torch.manual_seed(seed)
    grid, dim, out = img_size // patch, 32, 32
    sam = Sam(
        ImageEncoderViT(
            img_size=img_size,
            patch_size=patch,
            embed_dim=dim,
            depth=2,
            num_heads=num_heads,
            mlp_ratio=2,
            out_chans=out,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=use_rel_pos,
            window_size=window,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(out, (grid, grid), (img_size, img_size), mask_in_chans=16),
        MaskDecoder(
            transformer_dim=out,
            transformer=TwoWayTransformer(depth=2, embedding_dim=out, mlp_dim=64, num_heads=2),
            iou_head_hidden_dim=32,
        ),
        PIXEL_MEAN,
        PIXEL_STD,
    )
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if "rel_pos" in name or name.endswith("pos_embed"):
                parameter.normal_(0, 0.2)
        head = sam.mask_decoder.iou_prediction_head.layers[-1]
        head.weight.mul_(4)
        head.bias.fill_(0.4)
        last = sam.mask_decoder.output_upscaling[3]
        last.weight[:, 0], last.bias[0] = 0, 1.0
        for mlp in sam.mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight.mul_(600)
            mlp.layers[-1].weight[0], mlp.layers[-1].bias[0] = 0, -shift
    return sam.eval()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small lose more than they gain by threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blocks_image(shape, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-shape[0] // 12), -(-shape[1] // 12), 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(12, 0).repeat(12, 1)[: shape[0], : shape[1]])


def everywhere(shape):
    return np.ones(shape, bool)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save({"model": tiny_sam().state_dict(), "config": CONFIG}, path)
    return path


def full_masks(segments, shape):
    out = np.zeros((len(segments), *shape), bool)
    index, pixel = segments.pixels(shape[1])
    out.reshape(len(segments), -1)[index, pixel] = True
    return out


def same_masks(segments, records, shape):
    """As pairs of pixels and predicted IoU; upstream keeps empty masks when nothing filters them."""
    want = sorted((r["segmentation"].tobytes(), np.clip(r["predicted_iou"], 0, 1)) for r in records if r["area"])
    have = sorted(zip((mask.tobytes() for mask in full_masks(segments, shape)), segments.scores, strict=True))
    assert [mask for mask, _ in have] == [mask for mask, _ in want]
    np.testing.assert_allclose([score for _, score in have], [score for _, score in want], atol=2e-6)
    return len(want)


def exactly(sam, **options):
    """The generator that judges as segment-anything does."""
    return MaskGenerator(SamNetwork(sam), GeneratorOptions(**options, exact=True))


FILTERS = {
    "none": {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1.0},
    "iou": {"pred_iou_thresh": 0.1, "stability_score_thresh": 0, "box_nms_thresh": 1.0},
    "stability": {"pred_iou_thresh": 0, "stability_score_thresh": 0.6, "box_nms_thresh": 1.0},
    "nms": {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 0.8},
    "offset": {"pred_iou_thresh": 0, "stability_score_thresh": 0.6, "stability_score_offset": 0.4, "box_nms_thresh": 1},
    "all": {"pred_iou_thresh": 0.02, "stability_score_thresh": 0.1, "box_nms_thresh": 0.95},
}


@pytest.mark.parametrize(
    ("seed", "shape"), [(1, (64, 64)), (1, (72, 96)), (1, (41, 33)), (1, (96, 50)), (4, (30, 64)), (4, (120, 120))]
)
def test_masks_are_those_of_segment_anything(seed, shape):
    sam, image, counts = tiny_sam(seed), blocks_image(shape, seed), {}
    for name, filters in FILTERS.items():
        options = {"points_per_side": 6, "points_per_batch": 7, **filters}
        upstream = SamAutomaticMaskGenerator(sam, **options).generate(image)
        segments, _ = exactly(sam, **options).generate(image, everywhere(shape))
        counts[name] = same_masks(segments, upstream, shape)
    # Each filter lets some masks pass and some not, or the comparison would say nothing about it.
    assert all(0 < counts[name] < counts["none"] for name in FILTERS if name != "none"), counts
    assert counts["all"] > 1, counts
    assert counts["offset"] != counts["stability"]


def test_order_is_best_first_and_the_same_twice():
    sam, image = tiny_sam(4), blocks_image((72, 96))
    generator = exactly(sam, points_per_side=6, pred_iou_thresh=0, stability_score_thresh=0)
    (first, map1), (second, map2) = (generator.generate(image, everywhere((72, 96))) for _ in range(2))
    assert (np.diff(first.scores) <= 0).all()
    assert (first.runs == second.runs).all()
    assert (first.offsets == second.offsets).all()
    assert (first.scores == second.scores).all()
    assert (map1.values == map2.values).all()


def test_small_parts_are_removed_as_upstream_does():
    pytest.importorskip("cv2")
    sam, image = tiny_sam(1), blocks_image((72, 96))
    options = {"points_per_side": 6, "pred_iou_thresh": 0, "stability_score_thresh": 0.2, "box_nms_thresh": 0.9}
    plain, _ = exactly(sam, **options).generate(image, everywhere((72, 96)))
    options["min_mask_region_area"] = 40
    upstream = SamAutomaticMaskGenerator(sam, **options).generate(image)
    segments, _ = exactly(sam, **options).generate(image, everywhere((72, 96)))
    assert same_masks(segments, upstream, (72, 96)) > 1
    before = {mask.tobytes() for mask in full_masks(plain, (72, 96))}
    assert before != {mask.tobytes() for mask in full_masks(segments, (72, 96))}


def test_small_parts_of_a_mask():
    mask = np.zeros((12, 12), bool)
    mask[1:7, 1:7] = True
    mask[3, 3] = False
    mask[10, 10] = True
    want = np.zeros((12, 12), bool)
    want[1:7, 1:7] = True
    assert (without_small_parts(mask, 4) == want).all()
    assert (without_small_parts(mask, 1) == mask).all()
    crumbs = np.zeros((12, 12), bool)
    crumbs[0, 0], crumbs[5:7, 5] = True, True
    assert np.argwhere(without_small_parts(crumbs, 9)).tolist() == [[5, 5], [6, 5]]


@pytest.mark.parametrize("exact", [True, False])
def test_nodata_gets_no_prompt_and_no_segment_and_its_values_do_not_matter(checkpoint, exact):
    shape = (72, 96)
    image, valid = blocks_image(shape), everywhere(shape)
    valid[:, 48:] = False
    valid[:20, :20] = False
    options = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1, "exact": exact}
    segmenter = SamSegmenter(checkpoint, points_per_side=8, points_per_batch=5, **options)
    asked = []
    encoder = segmenter.generator.network.sam.prompt_encoder
    hook = encoder.register_forward_pre_hook(
        lambda _, args, kwargs: asked.append(kwargs["points"][0]), with_kwargs=True
    )
    segments, embedding = segmenter.segment(image, valid)
    hook.remove()

    points = torch.cat(asked).numpy()[:, 0] * 96 / 64
    assert len(points) == sum(valid[int((i + 0.5) * 9), int((j + 0.5) * 12)] for i in range(8) for j in range(8)) < 32
    assert valid[points[:, 1].astype(int), points[:, 0].astype(int)].all()
    assert max(len(batch) for batch in asked) == 5
    assert len(segments)
    assert not full_masks(segments, shape)[:, ~valid].any()
    assert (segments.areas > 0).all()

    noisy = np.where(valid[..., None], image, np.random.default_rng(1).integers(0, 256, image.shape, dtype=np.uint8))
    again, embedding_again = segmenter.segment(noisy, valid)
    assert (again.runs == segments.runs).all()
    assert (again.scores == segments.scores).all()
    assert (embedding_again.values == embedding.values).all()


def test_nothing_but_nodata_runs_no_encoder(checkpoint, monkeypatch):
    segmenter = SamSegmenter(checkpoint)
    monkeypatch.setattr(SamNetwork, "encode", None)
    segments, embedding = segmenter.segment(blocks_image((48, 96)), np.zeros((48, 96), bool))
    assert len(segments) == 0
    assert embedding.values.shape == (32, 4, 8)
    assert embedding.shape == (48, 96)
    assert not embedding.values.any()


@pytest.mark.parametrize("exact", [True, False])
def test_one_mask_at_a_time_at_full_size_and_none_that_the_predicted_iou_rejects(monkeypatch, exact):
    seen, plain = [], Enlarger._together
    monkeypatch.setattr(Enlarger, "_together", lambda *args: (made := plain(*args), seen.append(made[0].shape))[0])
    options = GeneratorOptions(8, pred_iou_thresh=0.1, stability_score_thresh=0, box_nms_thresh=1, exact=exact)
    segments, _ = MaskGenerator(SamNetwork(tiny_sam()), options).generate(blocks_image((72, 96)), everywhere((72, 96)))
    assert {count for count, _, _ in seen} == {1}
    assert 0 < len(segments) <= len(seen) < 8 * 8 * 3


@pytest.mark.parametrize(
    ("shape", "cells", "covered"),
    [
        ((64, 64), (8, 8), (64, 64)),
        ((128, 128), (8, 8), (128, 128)),
        ((30, 60), (4, 8), (30, 60)),
        ((40, 128), (3, 8), (48, 128)),
        ((96, 50), (8, 5), (96, 61)),
        ((1, 200), (1, 8), (8, 200)),
    ],
)
def test_embedding_is_the_predictors_without_padding(checkpoint, shape, cells, covered):
    segmenter, image = SamSegmenter(checkpoint, points_per_side=2, precision="fp32"), blocks_image(shape)
    _, embedding = segmenter.segment(image, everywhere(shape))
    assert embedding.values.dtype == np.float32
    assert embedding.values.shape[1:] == cells
    assert embedding.shape == covered
    if min(shape) > 1:
        predictor = SamPredictor(tiny_sam())
        predictor.set_image(image)
        want = predictor.features[0, :, : cells[0], : cells[1]].numpy()
        np.testing.assert_allclose(embedding.values, want, atol=1e-5)


def test_one_encoder_pass(checkpoint):
    segmenter, passes = SamSegmenter(checkpoint, points_per_side=4, points_per_batch=3), []
    segmenter.generator.network.sam.image_encoder.neck.register_forward_hook(lambda *_: passes.append(1))
    segmenter.segment(blocks_image((50, 60)), everywhere((50, 60)))
    assert len(passes) == 1


def test_threads_share_one_network_and_agree(checkpoint, monkeypatch):
    built = []
    monkeypatch.setattr("geoalps.models.sam.build_network", lambda *args: built.append(1) or build_network(*args))
    segmenter = SamSegmenter(checkpoint, points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0)
    images, found = [blocks_image((48, 48), seed) for seed in range(4)], {}

    def work(i):
        found[i] = segmenter.segment(images[i], everywhere((48, 48)))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    for i, image in enumerate(images):
        alone, _ = segmenter.segment(image, everywhere((48, 48)))
        assert (alone.runs == found[i].runs).all()


def test_torch_computes_with_as_many_threads_as_said_whoever_asks(checkpoint, monkeypatch):
    """Dask's worker processes set OMP_NUM_THREADS to 1: what is told by the environment is not what is used."""
    seen, generate = [], MaskGenerator.generate
    monkeypatch.setattr(
        MaskGenerator, "generate", lambda *args: seen.append(torch.get_num_threads()) or generate(*args)
    )
    before = torch.get_num_threads()
    for said in (3, None):
        for now in (1, 2):
            torch.set_num_threads(now)
            SamSegmenter(checkpoint, points_per_side=1, torch_threads=said).segment(
                blocks_image((30, 30)), everywhere((30, 30))
            )
            assert torch.get_num_threads() == now
    torch.set_num_threads(before)
    assert seen == [3, 3, os.cpu_count(), os.cpu_count()]


def test_keeps_the_protocol_and_travels_to_other_processes(checkpoint):
    segmenter = SamSegmenter(checkpoint, points_per_side=3, pred_iou_thresh=0.1, torch_threads=2)
    segmenter.segment(blocks_image((30, 30)), everywhere((30, 30)))
    assert isinstance(segmenter, Segmenter)
    assert segmenter.partition is False
    copy = pickle.loads(pickle.dumps(segmenter))  # noqa: S301 - as dask.distributed sends it
    assert copy.identity == segmenter.identity
    assert copy.options == segmenter.options
    assert copy.torch_threads == segmenter.torch_threads == 2


def test_identity_changes_with_what_changes_the_result_only(checkpoint, tmp_path):
    identity = SamSegmenter(checkpoint).identity
    assert identity["name"] == "sam"
    assert identity["model"] == "vit_32x2"
    assert identity["checkpoint"] == sha256(checkpoint)
    assert SamSegmenter(checkpoint, device="cpu", points_per_batch=2, torch_threads=1).identity == identity
    assert json.dumps(SamSegmenter(checkpoint, stability_score_offset=1).identity) == json.dumps(identity)
    for name, value in asdict(GeneratorOptions()).items():
        if name not in ("points_per_batch", "exact"):
            changed = (
                [[[0.5, 0.5]]] if value is None
                else not value if isinstance(value, bool)
                else value + 1 if isinstance(value, int)
                else value / 2
            )  # fmt: skip
            other = SamSegmenter(checkpoint, **{name: changed}).identity
            assert {key for key in identity if identity[key] != other[key]} == {"options"}
            assert {key for key, old in identity["options"].items() if old != other["options"][key]} == {name}
    assert SamSegmenter(checkpoint, exact=True).identity["options"]["exact"] is True
    precisions = {
        SamSegmenter(checkpoint, precision=name).identity["options"]["precision"] for name in ("fp32", "bf16", "auto")
    }
    assert precisions == {"fp32", "bf16"}
    torch.save({"model": tiny_sam(seed=2).state_dict(), "config": CONFIG}, tmp_path / "other.pth")
    assert SamSegmenter(tmp_path / "other.pth").identity["checkpoint"] != identity["checkpoint"]


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_architectures_are_told_from_their_tensors(name):
    with torch.device("meta"):
        official = sam_model_registry[name]()
    told = SamArchitecture.told_from(official.state_dict())
    assert told == OFFICIAL[name]
    assert told.name == name
    # Built from the told numbers by our own hand, it is the network that the registry builds.
    with torch.device("meta"):
        ours = Sam(told._image_encoder(), told._prompt_encoder(), told._mask_decoder(), PIXEL_MEAN, PIXEL_STD).eval()
    assert str(ours) == str(official)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in official.state_dict().items()}
    for a, b in zip(ours.modules(), official.modules(), strict=True):
        plain = (bool, int, float, str, tuple)
        kept = [{k: v for k, v in vars(m).items() if isinstance(v, plain)} for m in (a, b)]
        assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("build", "config"),
    [
        ({}, CONFIG),
        ({"img_size": 128, "window": 5}, CONFIG),
        ({"img_size": 64, "patch": 16, "window": 0}, CONFIG),
        ({"num_heads": 4}, CONFIG),
        (
            {"use_rel_pos": False, "num_heads": 4},
            {**CONFIG, "num_heads": 4, "window_size": 3, "global_attn_indexes": [1]},
        ),
    ],
)
def test_a_network_told_from_its_checkpoint_is_the_network(build, config):
    sam = tiny_sam(**build)
    architecture = SamArchitecture.told_from(sam.state_dict(), config)
    network = build_network(architecture, sam.state_dict(), torch.device("cpu"))
    image = torch.rand(1, 3, architecture.img_size, architecture.img_size)
    predictors = [SamPredictor(model) for model in (sam, network)]
    for predictor in predictors:
        predictor.set_torch_image(image * 255, (50, 50))
    a, b = (p.predict_torch(torch.tensor([[[9.0, 20.0]]]), torch.ones(1, 1)) for p in predictors)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_building_leaves_the_global_random_state_and_half_precision_becomes_float(tmp_path):
    state = {name: value.half() for name, value in tiny_sam().state_dict().items()}
    torch.save({"model": state, "config": CONFIG}, tmp_path / "half.pth")
    before = torch.get_rng_state()
    network = SamSegmenter(tmp_path / "half.pth", precision="fp32").generator.network.sam
    assert torch.equal(torch.get_rng_state(), before)
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def _saved(path, change=lambda state: None, config=CONFIG):
    state = dict(tiny_sam().state_dict())
    change(state)
    torch.save({"model": state, "config": config}, path)
    return path


@pytest.mark.parametrize(
    ("change", "config", "says"),
    [
        (lambda state: state.pop("image_encoder.pos_embed"), CONFIG, "do not tell img_size"),
        (lambda state: state.pop("mask_decoder.mask_tokens.weight"), CONFIG, "no tensor 'mask_decoder.mask_tokens.we"),
        (lambda state: state.update(extra=torch.zeros(1)), CONFIG, "extra is"),
        (lambda state: state.pop("prompt_encoder.no_mask_embed.weight"), CONFIG, "no_mask_embed.weight is missing"),
        (lambda state: None, {"heads": 2}, "heads are unknown"),
        (lambda state: None, {"decoder_num_heads": "2"}, "decoder_num_heads are unknown to SAM or of a wrong type"),
        (lambda state: None, {"decoder_num_heads": 3}, "no SAM can be built"),
        (lambda state: None, {"depth": 10**9}, "say depth 1000000000, its tensors 2"),
    ],
)
def test_checkpoints_of_something_else_are_refused(tmp_path, change, config, says):
    segmenter = SamSegmenter(_saved(tmp_path / "odd.pth", change, config))
    with pytest.raises(CheckpointError) as caught:
        segmenter.segment(blocks_image((20, 20)), everywhere((20, 20)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_model_than_asked_for_is_refused(checkpoint):
    with pytest.raises(CheckpointError, match="holds vit_32x2, asked for was vit_b"):
        _ = SamSegmenter(checkpoint, model="vit_b").identity


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"points_per_batch": 0}, "points_per_batch is 0"),
        ({"pred_iou_thresh": 1.5}, "allowed is 0 to 1"),
        ({"box_nms_thresh": float("nan")}, "allowed is 0 to 1"),
        ({"stability_score_offset": -1.0}, "must not be negative"),
        ({"crop_n_layers": -1}, "crop_n_layers is -1"),
        ({"crop_overlap_ratio": 1.0}, "crop_overlap_ratio is 1.0"),
        ({"precision": "fp16"}, "allowed are auto, fp32, bf16"),
        ({"precision": "bf16", "exact": True}, "too much to be exact"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"device": "meta"}, "device is 'meta'"),
        ({"device": "cuda:99"}, "give auto or cpu"),
        ({"model": "vit_x"}, "allowed are vit_b, vit_h, vit_l"),
        ({"torch_threads": 0}, "torch_threads is 0"),
    ],
)
def test_bad_options_are_refused_at_once(checkpoint, options, says):
    with pytest.raises(OptionError, match=says):
        SamSegmenter(checkpoint, **options)


def test_points_lie_in_the_middle_of_their_cells():
    (points,) = prompt_points(everywhere((40, 80)), 4)
    assert points[:5].tolist() == [[10, 5], [30, 5], [50, 5], [70, 5], [10, 15]]
    assert not any(map(len, prompt_points(np.zeros((40, 80), bool), 4)))
    levels = prompt_points(everywhere((40, 80)), 4, (4, 2, 1))
    assert [len(level) for level in levels] == [1, 3, 12]
    assert sorted(np.concatenate(levels).tolist()) == sorted(points.tolist())


def test_checkpoint_module_loads_no_torch():
    code = "import sys, geoalps.models.checkpoint; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
