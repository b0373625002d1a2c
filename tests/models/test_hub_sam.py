import inspect
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import pad
from transformers.models.edgetam import configuration_edgetam as edgetam
from transformers.models.sam import configuration_sam as sam
from transformers.models.sam2 import configuration_sam2 as sam2
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig
from transformers.models.sam3 import configuration_sam3 as sam3
from transformers.models.sam3_tracker import configuration_sam3_tracker as sam3_tracker
from transformers.models.sam3_tracker_video import configuration_sam3_tracker_video as sam3_tracker_video
from transformers.models.sam_hq import configuration_sam_hq as sam_hq

from geoalps.errors import CheckpointError, OptionError, PluginError
from geoalps.models import catalogue
from geoalps.models.hub_network import HubNetwork, Preprocessing
from geoalps.models.hub_sam import HubSamSegmenter
from geoalps.models.mask_generator import GeneratorOptions
from geoalps.models.pretrained import ModelDirectory
from geoalps.plugins import load_segmenter
from geoalps.protocols import Segmenter

CPU = torch.device("cpu")
SIDE = 64
DECODER = {
    "hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "iou_head_hidden_dim": 32
}  # fmt: skip
PROMPTS = {"hidden_size": 32, "image_size": SIDE, "mask_input_channels": 8}
SIZES = [[16, 16], [8, 8], [4, 4]]
MEMORY = {
    "image_size": SIDE, "memory_attention_hidden_size": 32, "memory_attention_num_layers": 1,
    "memory_attention_num_attention_heads": 1, "memory_attention_downsample_rate": 1,
    "memory_attention_feed_forward_hidden_size": 32, "memory_encoder_hidden_size": 32,
    "memory_encoder_output_channels": 16, "mask_downsampler_embed_dim": 32, "memory_fuser_num_layers": 1,
    "memory_fuser_embed_dim": 32, "memory_fuser_intermediate_dim": 32, "memory_attention_rope_feat_sizes": [4, 4],
}  # fmt: skip


def first_generation(module, prefix, **decoder):
    vision = getattr(module, f"{prefix}VisionConfig")(
        hidden_size=16, output_channels=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=8,
        window_size=3, global_attn_indexes=[1], num_pos_feats=16, mlp_ratio=2.0,
    )  # fmt: skip
    prompts = getattr(module, f"{prefix}PromptEncoderConfig")(patch_size=8, **PROMPTS)
    decoder = getattr(module, f"{prefix}MaskDecoderConfig")(**DECODER, **decoder)
    parts = {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
    config = getattr(module, f"{prefix}Config")(**{name: part.to_dict() for name, part in parts.items()})
    return getattr(transformers, f"{prefix}Model")(config)


def sam2_vision():
    hiera = sam2.Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1], window_size_per_stage=[4, 2, 4, 2], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    channels = [64, 32, 16, 8]
    return sam2.Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=channels, backbone_feature_sizes=SIZES, fpn_hidden_size=32
    )


def second_generation(module, prefix, vision, patch=16, side=SIDE):
    prompts = getattr(module, f"{prefix}PromptEncoderConfig")(**PROMPTS | {"image_size": side}, patch_size=patch)
    decoder = getattr(module, f"{prefix}MaskDecoderConfig")(**DECODER)
    return getattr(module, f"{prefix}Config")(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )


def tiny_sam2():
    return transformers.Sam2Model(second_generation(sam2, "Sam2", sam2_vision()))


def tiny_sam2_video():
    image = second_generation(sam2, "Sam2", sam2_vision()).to_dict()
    parts = {name: image[name] for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
    return transformers.Sam2VideoModel(Sam2VideoConfig(**parts, **MEMORY))


def sam3_vision():
    vit = sam3.Sam3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14,
        window_size=2, global_attn_indexes=[1], pretrain_image_size=28,
    )  # fmt: skip
    return sam3.Sam3VisionConfig(backbone_config=vit, fpn_hidden_size=32, backbone_feature_sizes=SIZES)


def tiny_sam3():
    return transformers.Sam3TrackerModel(second_generation(sam3_tracker, "Sam3Tracker", sam3_vision(), 14, 56))


def tiny_sam3_video():
    """Detector and tracker in one, as SAM 3 is published."""
    of_detr = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_layers": 1}
    text = {
        "model_type": "clip_text_model", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 16,
        "projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 8,
    }  # fmt: skip
    detector = sam3.Sam3Config(
        vision_config=sam3_vision(),
        text_config=text,
        geometry_encoder_config=sam3.Sam3GeometryEncoderConfig(**of_detr),
        detr_encoder_config=sam3.Sam3DETREncoderConfig(**of_detr),
        detr_decoder_config=sam3.Sam3DETRDecoderConfig(**of_detr, num_queries=4),
        mask_decoder_config=sam3.Sam3MaskDecoderConfig(hidden_size=32, num_attention_heads=2),
    )
    tracker = sam3_tracker_video.Sam3TrackerVideoConfig(
        vision_config=sam3_vision(),
        prompt_encoder_config=sam3_tracker_video.Sam3TrackerVideoPromptEncoderConfig(
            patch_size=14, **PROMPTS | {"image_size": 56}
        ),
        mask_decoder_config=sam3_tracker_video.Sam3TrackerVideoMaskDecoderConfig(**DECODER),
        **MEMORY | {"image_size": 56},
    )
    both = {"detector_config": detector.to_dict(), "tracker_config": tracker.to_dict()}
    return transformers.Sam3VideoModel(transformers.Sam3VideoConfig(**both))


def tiny_edgetam():
    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    backbone = transformers.TimmWrapperConfig(architecture="repvit_m1", model_args=arguments)
    vision = edgetam.EdgeTamVisionConfig(
        backbone_config=backbone, backbone_channel_list=[384, 192, 96, 48], backbone_feature_sizes=SIZES,
        fpn_hidden_size=32,
    )  # fmt: skip
    return transformers.EdgeTamModel(second_generation(edgetam, "EdgeTam", vision))


MODELS = {
    "sam": lambda: first_generation(sam, "Sam"),
    "sam_hq": lambda: first_generation(sam_hq, "SamHQ", vit_dim=16),
    "sam2": tiny_sam2,
    "sam2_video": tiny_sam2_video,
    "sam3_tracker": tiny_sam3,
    "sam3_video": tiny_sam3_video,
    "edgetam": tiny_edgetam,
}
IMAGES_OF = {"sam2_video": "Sam2Model", "sam3_video": "Sam3TrackerModel"}
"""Classes of transformers that answer points on one image, where they are not the class that was stored."""
PROCESSORS = {
    "sam": "SamImageProcessor", "sam_hq": "SamImageProcessor", "sam2": "Sam2ImageProcessor",
    "sam3_tracker": "Sam3ImageProcessor",
}  # fmt: skip
BOTH = {
    "sam": "SamProcessor",
    "sam_hq": "SamHQProcessor",
    "sam2": "Sam2Processor",
    "sam3_tracker": "Sam3TrackerProcessor",
}


def randomised(network, seed=0):
    """Weights far from their start, where all masks of all points are alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
        tracker = getattr(network, "tracker_model", network)
        tracker.mask_decoder.iou_prediction_head.proj_out.bias.fill_(1.0)  # an IoU of 0 would mean no threshold
    return network.eval()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A function that gives the directory of a tiny model, made once."""
    root = tmp_path_factory.mktemp("hub")

    def at(kind):
        folder = root / kind
        if not folder.exists():
            network = randomised(MODELS[kind]())
            network.config.save_pretrained(folder)
            # under the names of its modules, as published: save_pretrained writes some of SAM 3's prefixes twice
            state = {name: value.clone() for name, value in network.state_dict().items()}
            save_file(state, folder / "model.safetensors", {"format": "pt"})
        return folder

    return at


def copied(folder, to, **replaced):
    """A copy of a directory without hashes, some files replaced; None leaves one out."""
    to.mkdir()
    for file in folder.iterdir():
        content = replaced.get(file.name.replace(".", "_"), file.read_bytes())
        if content is not None:
            (to / file.name).write_bytes(content)
    return to


def window(shape, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-shape[0] // 12), -(-shape[1] // 12), 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(12, 0).repeat(12, 1)[: shape[0], : shape[1]])


POINTS = np.array([[3.5, 4.0], [50.25, 30.0], [79.0, 8.5], [20.0, 49.0], [61.5, 40.0]])


@pytest.mark.parametrize("kind", MODELS)
def test_logits_and_iou_are_those_of_transformers(kind, stored):
    image, valid = window((50, 80)), np.ones((50, 80), bool)
    network = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU)
    encoded = network.encode(image, valid)
    answers = network.predict(encoded, POINTS, 0)

    name = IMAGES_OF.get(kind) or type(network.network).__name__
    theirs = getattr(transformers, name).from_pretrained(stored(kind), local_files_only=True).eval()
    with torch.inference_mode():
        points = torch.tensor(POINTS * np.array(encoded.input_shape[::-1]) / (80, 50))[None, :, None].float()
        want = theirs(pixel_values=network.preprocessing(image, valid), input_points=points)
    assert answers.logits.shape == (15, *want.pred_masks.shape[-2:])
    torch.testing.assert_close(answers.logits, want.pred_masks[0].flatten(0, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(answers.iou, want.iou_scores[0].flatten(), rtol=1e-4, atol=1e-4)
    assert answers.logits.std() > 1e-3
    assert len(answers.iou.unique()) > 6, "points and masks that differ, or the comparison says nothing"

    above = float(answers.iou.median())
    some = network.predict(encoded, POINTS, above)
    keep = answers.iou > above
    assert 0 < keep.sum() < 15
    torch.testing.assert_close(some.logits, answers.logits[keep], rtol=0, atol=0)
    torch.testing.assert_close(some.iou, answers.iou[keep], rtol=0, atol=0)


@pytest.mark.parametrize("kind", MODELS)
def test_bfloat16_answers_much_as_float32(kind, stored):
    image, valid = window((50, 80)), np.ones((50, 80), bool)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        network = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU, dtype)
        encoded = network.encode(image, valid)
        answers = network.predict(encoded, POINTS, 0)
        assert answers.logits.dtype == answers.iou.dtype == torch.float32
        found.append((torch.from_numpy(encoded.embedding_map().values).flatten(), answers.logits.flatten()))
    least = 0.7 if kind == "edgetam" else 0.99  # its many layers of random weights blow any rounding up
    for full, half in zip(*found, strict=True):
        assert not torch.equal(full, half)
        assert torch.corrcoef(torch.stack([full, half]))[0, 1] > least


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("shape", [(50, 80), (91, 37), (200, 150)])
def test_input_is_that_of_the_model_s_own_processor(kind, shape, stored, tmp_path):
    side = 56 if kind == "sam3_tracker" else SIDE
    aspect = kind in {"sam", "sam_hq"}
    size = {"longest_edge": side} if aspect else {"height": side, "width": side}
    given = {"size": size, "image_mean": [0.3, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    if aspect:
        given["pad_size"] = {"height": side, "width": side}
    processor = getattr(transformers, PROCESSORS[kind])(**given)
    folder = copied(stored(kind), tmp_path / "model")
    processor.save_pretrained(folder)
    image = window(shape)
    want = processor(torch.from_numpy(image.transpose(2, 0, 1)), return_tensors="pt")
    network = HubNetwork.load(ModelDirectory.open(folder), CPU)
    have = network.preprocessing(image, np.ones(shape, bool))
    torch.testing.assert_close(have, want["pixel_values"], rtol=1e-4, atol=1e-4)
    fits = tuple(map(int, want["reshaped_input_sizes"][0])) if aspect else (side, side)
    assert network.preprocessing.input_shape(shape) == fits


@pytest.mark.parametrize("kind", PROCESSORS)
def test_points_lie_where_the_model_s_own_processor_puts_them(kind, stored, tmp_path):
    """From window and points to masks by transformers alone."""
    side = 56 if kind == "sam3_tracker" else SIDE
    whole = {"height": side, "width": side}
    given = {"size": {"longest_edge": side}, "pad_size": whole} if kind in {"sam", "sam_hq"} else {"size": whole}
    processor = getattr(transformers, PROCESSORS[kind])(**given)
    both = getattr(transformers, BOTH[kind])(processor)
    image = window((91, 140))
    network = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU)
    have = network.predict(network.encode(image, np.ones((91, 140), bool)), POINTS, 0)
    pixels = torch.from_numpy(image.transpose(2, 0, 1))
    inputs = both(images=pixels, input_points=[[[list(point)] for point in POINTS.tolist()]], return_tensors="pt")
    with torch.inference_mode():
        points = inputs["input_points"].float()
        want = network.network(pixel_values=inputs["pixel_values"], input_points=points, multimask_output=True)
    torch.testing.assert_close(have.logits, want.pred_masks[0].flatten(0, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(have.iou, want.iou_scores[0].flatten(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", PROCESSORS)
def test_without_a_processor_the_family_s_own_statistics_hold(kind, stored):
    theirs = getattr(transformers, PROCESSORS[kind])
    told = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU).preprocessing
    assert (list(told.mean), list(told.deviation)) == (list(theirs.image_mean), list(theirs.image_std))
    assert told.keeps_aspect == ("longest_edge" in theirs.size)


def test_an_input_that_the_network_does_not_take_is_refused(stored, tmp_path):
    folder = copied(stored("sam2"), tmp_path / "model")
    transformers.Sam2ImageProcessor().save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"asks for inputs of \[1024\] pixels, its network takes 64"):
        HubNetwork.load(ModelDirectory.open(folder), CPU)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_what_lies_under_nodata_changes_nothing(kind, stored):
    image, valid = window((60, 90)), np.ones((60, 90), bool)
    valid[:, 70:] = False
    other = np.where(valid[..., None], image, 255 - image)
    network = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU)
    one, two = (network.predict(network.encode(picture, valid), POINTS, 0) for picture in (image, other))
    torch.testing.assert_close(one.logits, two.logits, rtol=0, atol=0)
    seen = network.predict(network.encode(other, np.ones_like(valid)), POINTS, 0)
    assert not torch.equal(one.logits, seen.logits)


def test_nodata_looks_like_the_padding():
    told = Preprocessing(32, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    image, valid = window((20, 40)), np.zeros((20, 40), bool)
    assert told(image, valid).abs().max() < 0.5 / 255 / 0.224 + 1e-6
    some = np.ones((20, 40), bool)
    resized = told(image, some)
    torch.testing.assert_close(resized, pad(resized[:, :, :16], (0, 0, 0, 16)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["sam", "sam_hq", "sam2", "sam3_tracker"])
@pytest.mark.parametrize("shape", [(50, 80), (64, 64), (130, 33)])
def test_embedding_map_covers_the_window_as_its_tokens_do(kind, shape, stored):
    network = HubNetwork.load(ModelDirectory.open(stored(kind)), CPU)
    encoded = network.encode(window(shape), np.ones(shape, bool))
    found, blank = encoded.embedding_map(), network.blank(shape).embedding_map()
    assert found.values.shape == blank.values.shape
    assert found.shape == blank.shape
    assert not blank.values.any()
    assert all(covered >= side for covered, side in zip(found.shape, shape, strict=True))
    if not network.preprocessing.keeps_aspect:
        assert found.shape == shape


def test_a_map_of_a_window_knows_where_it_is(stored):
    """A change of one corner changes the tokens there most."""
    network = HubNetwork.load(ModelDirectory.open(stored("sam")), CPU)
    image, valid = window((64, 32)), np.ones((64, 32), bool)
    changed = image.copy()
    changed[48:, 16:] = 255 - changed[48:, 16:]
    before, after = (network.encode(picture, valid).embedding_map() for picture in (image, changed))
    rows, cols = np.unravel_index(np.abs(after.values - before.values).sum(0).argmax(), before.values.shape[1:])
    assert before.values.shape[1:] == (8, 4)
    assert rows >= 6
    assert cols >= 2


OPTIONS = {"torch_threads": 1, "points_per_side": 4, "pred_iou_thresh": 0, "stability_score_thresh": 0}


@pytest.mark.parametrize("kind", MODELS)
def test_segments_and_embedding_twice_the_same(kind, stored):
    segmenter = HubSamSegmenter(stored(kind), "cpu", **OPTIONS, box_nms_thresh=1.0)
    assert isinstance(segmenter, Segmenter)
    image, valid = window((50, 80)), np.ones((50, 80), bool)
    valid[:10] = False
    (segments, embedding), (again, other) = (segmenter.segment(image, valid) for _ in range(2))
    assert len(segments) > 3
    assert np.array_equal(segments.runs, again.runs)
    assert np.array_equal(embedding.values, other.values)
    assert valid.ravel()[segments.pixels(80)[1]].all()
    nothing, zeros = segmenter.segment(image, np.zeros_like(valid))
    assert len(nothing) == 0
    assert not zeros.values.any()
    assert zeros.shape == embedding.shape


def test_plug_in_by_name_knows_the_generator_s_options(stored):
    made = load_segmenter("sam-hub", {"model": str(stored("sam2")), "points_per_side": 5, "pred_iou_thresh": 1})
    assert made.options == GeneratorOptions(points_per_side=5, pred_iou_thresh=1.0)
    assert isinstance(made.options.pred_iou_thresh, float)
    for given in (load_segmenter, lambda name, options: HubSamSegmenter(**options)):
        with pytest.raises(OptionError, match=r"no option 'points'; it has .*points_per_side"):
            given("sam-hub", {"model": str(stored("sam2")), "points": 5})
    assert {"model", "device", "torch_threads", "points_per_side"} <= set(inspect.signature(HubSamSegmenter).parameters)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"torch_threads": 0}, "torch_threads is 0"),
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"model": "sam2.1-huge"}, "no directory and no known name; known are sam2.1-tiny"),
        ({"model": "vit_b"}, "--segmenter sam runs it"),
    ],
)
def test_bad_options(options, said, stored):
    with pytest.raises(OptionError, match=said):
        HubSamSegmenter(**{"model": stored("sam2"), "device": "cpu"} | options)


def test_a_name_of_the_catalogue_is_looked_for_in_the_cache(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"not in the cache .*; geoalps models fetch sam2.1-tiny$"):
        HubSamSegmenter("sam2.1-tiny", "cpu")
    with pytest.raises(CheckpointError, match=r"geoalps models fetch sam2\.1-base-plus"):
        load_segmenter("sam-hub")
    (tmp_path / "hub").mkdir()
    folder = copied(stored("sam2"), catalogue.CATALOGUE["sam2.1-tiny"].path)
    written = {"files": ModelDirectory.open(folder).hashes()}
    (folder / "sha256.json").write_text(json.dumps(written))
    found = HubSamSegmenter("sam2.1-tiny", "cpu", **OPTIONS)
    assert found.identity == HubSamSegmenter(stored("sam2"), "cpu", **OPTIONS).identity
    assert found.generator is found.generator


def test_identity_is_json_and_holds_what_changes_the_result(stored, tmp_path):
    base = HubSamSegmenter(stored("sam2"), "cpu").identity
    assert json.loads(json.dumps(base)) == base
    assert base["model"] == "sam2"
    assert set(base["files"]) == {"config.json", "model.safetensors"}
    assert HubSamSegmenter(stored("sam2"), "cpu", points_per_batch=7, torch_threads=2).identity == base
    assert HubSamSegmenter(stored("sam2"), "cpu", points_per_side=7).identity != base
    precisions = {
        HubSamSegmenter(stored("sam2"), "cpu", precision=name).identity["options"]["precision"]
        for name in ("fp32", "bf16", "auto")
    }
    assert precisions == {"fp32", "bf16"}
    assert HubSamSegmenter(stored("sam2"), "cpu", exact=True).precision == "fp32"
    folder = copied(stored("sam2"), tmp_path / "model")
    size = {"height": SIDE, "width": SIDE}
    transformers.Sam2ImageProcessor(size=size, image_mean=[0.1, 0.2, 0.3]).save_pretrained(folder)
    assert HubSamSegmenter(folder, "cpu").identity != base


def refused(folder, said, error=CheckpointError):
    """Making the network fails with one line."""
    with pytest.raises(error, match=said) as caught:
        _ = HubSamSegmenter(folder, "cpu").generator
    assert "\n" not in str(caught.value)


def test_files_that_are_not_those_that_were_fetched(stored, tmp_path):
    folder = copied(stored("sam2"), tmp_path / "model")
    written = ModelDirectory.open(folder).hashes()
    (folder / "sha256.json").write_text(json.dumps({"files": written}))
    _ = HubSamSegmenter(folder, "cpu").generator
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    refused(folder, "model.safetensors is not the file that was fetched")
    (folder / "sha256.json").write_text("{}")
    refused(folder, "lists no files")


def test_weights_of_another_architecture(stored, tmp_path):
    weights = (stored("sam2") / "model.safetensors").read_bytes()
    refused(copied(stored("sam"), tmp_path / "a", model_safetensors=weights), r"lacks \d+ weights of SamModel")
    config = json.loads((stored("sam2") / "config.json").read_text())
    config["mask_decoder_config"]["mlp_dim"] = 48
    changed = json.dumps(config).encode()
    refused(copied(stored("sam2"), tmp_path / "b", config_json=changed), "cannot be loaded as Sam2Model")
    config["model_type"] = "dinov2"
    other = json.dumps(config).encode()
    refused(copied(stored("sam2"), tmp_path / "c", config_json=other), r"holds a dinov2, no SAM; allowed are sam,")


@pytest.mark.parametrize("length", [0, 5, 3000, -100])
def test_weights_that_are_cut_off(length, stored, tmp_path):
    weights = (stored("sam2") / "model.safetensors").read_bytes()[:length]
    refused(copied(stored("sam2"), tmp_path / "cut", model_safetensors=weights), "cut off or no safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "holds no config.json"), (b"{", "cannot be read"), (b"[]", "no JSON object"), (b"{}", "no model_type")],
)
def test_configurations_that_are_none(content, said, stored, tmp_path):
    refused(copied(stored("sam2"), tmp_path / "bad", config_json=content), said)


class Evil:
    """Runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickled_weights_are_refused_and_never_opened(stored, tmp_path):
    folder = copied(stored("sam2"), tmp_path / "model", model_safetensors=None)
    mark = tmp_path / "ran"
    torch.save({"weight": Evil(str(mark))}, folder / "pytorch_model.bin")
    refused(folder, r"holds pytorch_model\.bin but no model\.safetensors: such weights can hold code")
    assert not mark.exists()
    (folder / "model.safetensors").write_bytes((stored("sam2") / "model.safetensors").read_bytes())
    _ = HubSamSegmenter(folder, "cpu").generator
    assert not mark.exists()


def test_weights_in_several_files(stored, tmp_path):
    folder = tmp_path / "shards"
    whole = HubNetwork.load(ModelDirectory.open(stored("sam2")), CPU).network
    whole.save_pretrained(folder, max_shard_size="100KB")
    found = HubSamSegmenter(folder, "cpu", **OPTIONS)
    assert len(found.identity["files"]) > 3
    for name, value in found.generator.network.network.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
    index = folder / "model.safetensors.index.json"
    away = json.dumps({"weight_map": {"a": "../model.safetensors"}})
    index.write_text(away)
    refused(folder, "names '../model.safetensors'; allowed are safetensors files beside it")


def test_code_in_a_directory_is_never_run(stored, tmp_path):
    config = json.loads((stored("sam2") / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    folder = copied(stored("sam2"), tmp_path / "model", config_json=json.dumps(config).encode())
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    _ = HubSamSegmenter(folder, "cpu").generator
    assert not mark.exists()


def test_without_the_extra_the_way_out_is_told(stored, monkeypatch):
    folder = stored("sam2")  # before transformers goes: what is stored is made with it
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(folder, r'this model needs transformers .*; pip install "geoalps\[hub\]"', PluginError)


WORKER = """
import pickle, sys
import numpy as np
segmenter, image, valid = pickle.load(sys.stdin.buffer)
segments, embedding = segmenter.segment(image, valid)
pickle.dump((segments.runs, embedding.values), sys.stdout.buffer)
"""


def test_another_process_gets_the_same(stored, monkeypatch, tmp_path):
    monkeypatch.chdir(stored("sam2").parent)
    segmenter = HubSamSegmenter("sam2", "cpu", **OPTIONS, box_nms_thresh=1.0)
    image, valid = window((50, 80)), np.ones((50, 80), bool)
    segments, embedding = segmenter.segment(image, valid)
    sent = pickle.dumps((segmenter, image, valid))
    assert len(sent) < 20_000, "the network stays here"
    run = subprocess.run([sys.executable, "-c", WORKER], input=sent, capture_output=True, check=True, cwd=tmp_path)
    runs, values = pickle.loads(run.stdout)  # noqa: S301 - our own
    assert np.array_equal(runs, segments.runs)
    assert np.array_equal(values, embedding.values)
