import json
import pickle
import sys

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from test_sam import CONFIG, tiny_sam

from geoalps.errors import CheckpointError, OptionError, PluginError
from geoalps.models.backbones import Dinov2Encoder, Dinov3Encoder, HubEncoder, SamEncoder, TimmEncoder
from geoalps.models.dense import Backbone
from geoalps.models.sam import SamSegmenter
from geoalps.plugins import load_encoder
from geoalps.protocols import Encoder
from geoalps.testing import check_encoder

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DINO = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "patch_size": 14}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
CONFIGS = {
    "dinov2": lambda: transformers.Dinov2Config(image_size=56, **DINO),
    "dinov2_with_registers": lambda: transformers.Dinov2WithRegistersConfig(image_size=56, **DINO),
    "dinov3_vit": lambda: transformers.DINOv3ViTConfig(image_size=64, patch_size=16, num_register_tokens=4, **VIT),
    "dinov3_convnext": lambda: transformers.DINOv3ConvNextConfig(**STAGES),
    "vit": lambda: transformers.ViTConfig(image_size=32, patch_size=8, **VIT),
    "clip_vision_model": lambda: transformers.CLIPVisionConfig(image_size=32, patch_size=8, **VIT),
    "siglip_vision_model": lambda: transformers.SiglipVisionConfig(image_size=32, patch_size=8, **VIT),
    "convnext": lambda: transformers.ConvNextConfig(**STAGES),
    "resnet": lambda: transformers.ResNetConfig(embedding_size=8, **STAGES),
}
STRIDES = {"dinov2": 14, "dinov2_with_registers": 14, "dinov3_vit": 16, "vit": 8, "clip_vision_model": 8,
           "siglip_vision_model": 8, "dinov3_convnext": 32, "convnext": 32, "resnet": 32}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def randomised(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A function that gives the directory of a tiny model, made once."""
    root = tmp_path_factory.mktemp("backbones")

    def at(kind):
        folder = root / kind
        if not folder.exists():
            randomised(transformers.AutoModel.from_config(CONFIGS[kind]())).save_pretrained(folder)
        return folder

    return at


@pytest.fixture(scope="module")
def timm_file(tmp_path_factory):
    """A function that gives the file of a small model of timm with its head, made once."""
    root = tmp_path_factory.mktemp("timm")

    def at(name):
        path = root / f"{name}.safetensors"
        if not path.exists():
            network = randomised(timm.create_model(name, pretrained=False))
            save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
        return path

    return at


def window(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def everywhere(shape):
    return np.ones(shape, bool)


def as_input(image, mean=MEAN, deviation=DEVIATION):
    pixels = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255).float()
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


def encoder_of(folder, **options):
    return HubEncoder(folder, "cpu", torch_threads=1, **options)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_map_is_made_of_the_model_s_own_tokens(kind, stored):
    stride = STRIDES[kind]
    rows, cols = 3, 5
    image = window((rows * stride, cols * stride))
    found = encoder_of(stored(kind)).encode(image, everywhere(image.shape[:2]))
    theirs = transformers.AutoModel.from_pretrained(stored(kind), local_files_only=True).eval()
    arguments = (
        {"interpolate_pos_encoding": True} if kind in {"vit", "clip_vision_model", "siglip_vision_model"} else {}
    )
    with torch.inference_mode():
        tokens = theirs(as_input(image), **arguments).last_hidden_state[0]
    assert found.values.shape == (tokens.shape[-1] if tokens.ndim == 2 else tokens.shape[0], rows, cols)
    assert found.shape == image.shape[:2]
    assert found.values.dtype == np.float32
    if tokens.ndim == 2:
        before = len(tokens) - rows * cols
        assert before == {"dinov2_with_registers": 5, "dinov3_vit": 5, "siglip_vision_model": 0}.get(kind, 1)
        for row, col in [(0, 0), (0, 4), (2, 0), (1, 3)]:
            want = tokens[before + row * cols + col].numpy()
            np.testing.assert_allclose(found.values[:, row, col], want, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_allclose(found.values, tokens.numpy(), rtol=1e-4, atol=1e-4)
    assert found.values.std() > 1e-3


@pytest.mark.parametrize("kind", ["dinov2", "dinov3_vit"])
def test_tokens_that_are_nearest_to_what_was_changed_change_most(kind, stored):
    stride = STRIDES[kind]
    image = np.full((4 * stride, 6 * stride, 3), 120, np.uint8)
    changed = image.copy()
    changed[2 * stride : 3 * stride, stride : 2 * stride] = window((stride, stride))
    maps = [
        encoder_of(stored(kind)).encode(picture, everywhere(image.shape[:2])).values for picture in (image, changed)
    ]
    assert np.unravel_index(np.abs(maps[1] - maps[0]).sum(0).argmax(), (4, 6)) == (2, 1)


@pytest.mark.parametrize("kind", ["dinov2", "dinov3_vit", "resnet"])
@pytest.mark.parametrize("shape", [(70, 50), (1, 200), (64, 65)])
def test_a_window_that_is_no_whole_number_of_patches_is_padded_with_the_mean(kind, shape, stored):
    stride = STRIDES[kind]
    encoder = encoder_of(stored(kind))
    image = window(shape)
    found = encoder.encode(image, everywhere(shape))
    rows, cols = (-(-side // stride) for side in shape)
    assert found.values.shape[1:] == (rows, cols)
    assert found.shape == (rows * stride, cols * stride)
    # the same as a larger window that is nodata where the padding is
    larger = window(found.shape, seed=1)
    larger[: shape[0], : shape[1]] = image
    valid = np.zeros(found.shape, bool)
    valid[: shape[0], : shape[1]] = True
    assert np.array_equal(encoder.encode(larger, valid).values, found.values)


@pytest.mark.parametrize("kind", ["dinov2", "dinov3_vit", "convnext"])
def test_what_lies_under_nodata_changes_nothing(kind, stored):
    encoder = encoder_of(stored(kind))
    image, valid = window((70, 90)), everywhere((70, 90))
    valid[20:50, 30:] = False
    other = np.where(valid[..., None], image, 255 - image)
    assert np.array_equal(encoder.encode(image, valid).values, encoder.encode(other, valid).values)
    assert not np.array_equal(
        encoder.encode(other, everywhere(valid.shape)).values, encoder.encode(other, valid).values
    )


def test_statistics_are_those_of_the_model_s_processor(stored, tmp_path):
    network = transformers.AutoModel.from_pretrained(stored("dinov2"), local_files_only=True)
    folder = tmp_path / "model"
    network.save_pretrained(folder)
    mean, deviation = [0.43, 0.411, 0.296], [0.213, 0.156, 0.143]
    transformers.BitImageProcessor(image_mean=mean, image_std=deviation).save_pretrained(folder)
    image = window((28, 42))
    found = encoder_of(folder)
    with torch.inference_mode():
        tokens = network.eval()(as_input(image, mean, deviation)).last_hidden_state[0, 1:]
    have = found.encode(image, everywhere((28, 42))).values
    np.testing.assert_allclose(have.reshape(32, -1).T, tokens.numpy(), rtol=1e-4, atol=1e-4)
    assert found.identity != encoder_of(stored("dinov2")).identity


def test_windows_are_resized_only_when_asked_to(stored):
    image = window((100, 60))
    found = encoder_of(stored("dinov2"), size=56).encode(image, everywhere((100, 60)))
    assert found.values.shape == (32, 4, 4)
    assert found.shape == (100, 60)
    uneven = encoder_of(stored("dinov2"), size=50).encode(image, everywhere((100, 60)))
    assert uneven.values.shape == (32, 4, 4)
    assert uneven.shape == (112, 67), "56 of 50 pixels: the tokens reach beyond the window"
    constant = np.full((33, 90, 3), 77, np.uint8)
    whole = encoder_of(stored("vit"), size=32).encode(constant, everywhere((33, 90))).values
    small = encoder_of(stored("vit")).encode(constant[:32, :32], everywhere((32, 32))).values
    np.testing.assert_allclose(whole, small, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dinov2", "dinov3_convnext"])
def test_conformance(kind, stored):
    check_encoder(encoder_of(stored(kind)))


def test_plug_ins_by_name(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOALPS_CACHE", str(tmp_path))
    for name, kind in (("dinov2", "dinov2_with_registers"), ("dinov3", "dinov3_vit"), ("hub", "vit")):
        made = load_encoder(name, {"model": str(stored(kind)), "device": "cpu"})
        assert isinstance(made, Encoder)
        assert made.identity["name"] == name
        assert json.loads(json.dumps(made.identity)) == made.identity
    with pytest.raises(CheckpointError, match=r"dinov2-base is not in the cache .*; geoalps models fetch dinov2-base"):
        load_encoder("dinov2")
    with pytest.raises(CheckpointError, match="geoalps models fetch dinov3-vitl16-sat"):
        load_encoder("dinov3")
    with pytest.raises(OptionError, match="cannot be made with"):
        load_encoder("hub")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: Dinov2Encoder(at("vit"), "cpu"), "holds a vit; dinov2 runs dinov2, dinov2_with_registers"),
        (lambda at: Dinov3Encoder(at("dinov2"), "cpu"), "holds a dinov2; dinov3 runs dinov3_vit, dinov3_convnext"),
    ],
)
def test_another_kind_of_model(make, said, stored):
    with pytest.raises(CheckpointError, match=said):
        _ = make(stored).identity


@pytest.mark.parametrize(("option", "value"), [("size", 0), ("torch_threads", 0)])
def test_bad_options(option, value, stored):
    with pytest.raises(OptionError, match=f"{option} is 0; at least 1"):
        HubEncoder(stored("vit"), "cpu", **{option: value})


def refused(encoder, said, error=CheckpointError, shape=(32, 32)):
    with pytest.raises(error, match=said) as caught:
        encoder.encode(window(shape), everywhere(shape))
    assert "\n" not in str(caught.value)


def test_models_without_a_dense_map(tmp_path):
    vit = {"image_size": 32, "patch_size": 8}
    transformers.ViTMAEModel(transformers.ViTMAEConfig(**vit, **VIT)).save_pretrained(tmp_path / "mae")
    refused(encoder_of(tmp_path / "mae"), r"for 4 x 4 patches, no dense map")
    config = transformers.CLIPConfig(vision_config={**vit, **VIT}, text_config=VIT)
    config.save_pretrained(tmp_path / "clip")
    save_file({"a": torch.zeros(1)}, tmp_path / "clip" / "model.safetensors")
    refused(encoder_of(tmp_path / "clip"), "holds a clip, more than a vision backbone")
    (tmp_path / "clip" / "config.json").write_text('{"model_type": "swin"}')
    refused(encoder_of(tmp_path / "clip"), "holds a swin, which gives other results after small windows")
    (tmp_path / "clip" / "config.json").write_text('{"model_type": "evil"}')
    refused(encoder_of(tmp_path / "clip"), "holds a evil, which transformers knows no backbone of")


def test_missing_weights_are_never_made_up(stored, tmp_path):
    network = transformers.AutoModel.from_pretrained(stored("dinov2"), local_files_only=True)
    network.save_pretrained(tmp_path / "model")
    state = network.state_dict()
    del state["layernorm.weight"]
    save_file(state, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    refused(encoder_of(tmp_path / "model"), "lacks 1 weights of Dinov2Model, layernorm.weight among them")


TIMM = {"vit_tiny_patch16_224": 16, "resnet10t": 32, "test_vit": 16, "test_convnext": 32}


@pytest.mark.parametrize("name", TIMM)
def test_timm_s_map_is_that_of_the_model(name, timm_file):
    stride = TIMM[name]
    encoder = TimmEncoder(name, timm_file(name), "cpu", torch_threads=1)
    shape = (3 * stride, 5 * stride - 7)
    image = window(shape)
    found = encoder.encode(image, everywhere(shape))
    assert found.values.shape[1:] == (3, 5)
    assert found.shape == (3 * stride, 5 * stride)
    options = {"dynamic_img_size": True} if "vit" in name else {}
    theirs = timm.create_model(name, pretrained=False, checkpoint_path=str(timm_file(name)), **options).eval()
    pixels = as_input(image, theirs.pretrained_cfg["mean"], theirs.pretrained_cfg["std"])
    with torch.inference_mode():
        tokens = theirs.forward_features(torch.nn.functional.pad(pixels, (0, 7)))[0]
    if tokens.ndim == 2:
        tokens = tokens[theirs.num_prefix_tokens :].T.reshape(-1, 3, 5)
    np.testing.assert_allclose(found.values, tokens.numpy(), rtol=1e-4, atol=1e-4)


def test_timm_refuses_what_it_cannot_use(timm_file, tmp_path):
    path = timm_file("test_vit")
    refused(TimmEncoder("no_such_model", path, "cpu"), "has no model 'no_such_model'", OptionError)
    refused(TimmEncoder("hf-hub:timm/test_vit", path, "cpu"), "has no model 'hf-hub:", OptionError)
    refused(TimmEncoder("resnet10t", path, "cpu"), r"does not fit ResNet: blocks\.0\.\S+ is \(64,\), wanted is nothing")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-9])
    refused(TimmEncoder("test_vit", cut, "cpu"), "cut off or no safetensors")
    pickled = tmp_path / "model.bin"
    torch.save({}, pickled)
    refused(TimmEncoder("test_vit", pickled, "cpu"), "is no safetensors file")
    made = load_encoder("timm", {"model": "test_vit", "checkpoint": str(path), "device": "cpu"})
    assert json.loads(json.dumps(made.identity)) == made.identity
    assert made.identity["model"] == "test_vit"


def test_a_backbone_of_one_size_says_so():
    config = {"depths": (1, 1), "embed_dim": 8, "num_heads": (1, 1), "window_size": 7}
    network = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, **config)
    backbone = Backbone(network.forward_features, 8, MEAN, DEVIATION, torch.device("cpu"))
    with pytest.raises(OptionError, match=r"does not take 32 x 32 pixels \(.*224.*\); give the size .* size=224"):
        backbone.encode(window((32, 32)), everywhere((32, 32)), None)


def test_without_the_extra_the_way_out_is_told(stored, timm_file, monkeypatch):
    vit, test_vit = stored("vit"), timm_file("test_vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    said = r'pip install "geoalps\[hub\]"'
    refused(encoder_of(vit), said, PluginError)
    refused(TimmEncoder("test_vit", test_vit, "cpu"), said, PluginError)


@pytest.fixture(scope="module")
def sam_checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save({"model": tiny_sam().state_dict(), "config": CONFIG}, path)
    return path


@pytest.mark.parametrize("shape", [(50, 80), (64, 64), (33, 20)])
def test_sam_s_encoder_alone_gives_the_segmenter_s_embedding(shape, sam_checkpoint):
    image, valid = window(shape), everywhere(shape)
    valid[:, 15:] = False
    found = SamEncoder(sam_checkpoint, device="cpu", torch_threads=1).encode(image, valid)
    _, want = SamSegmenter(sam_checkpoint, device="cpu", torch_threads=1, points_per_side=4).segment(image, valid)
    assert np.array_equal(found.values, want.values)
    assert found.shape == want.shape


def test_sam_s_encoder_is_an_encoder(sam_checkpoint):
    encoder = load_encoder("sam", {"checkpoint": str(sam_checkpoint), "device": "cpu"})
    check_encoder(encoder)
    assert encoder.identity["name"] == "sam"
    assert encoder.identity["options"] == {}
    assert len(encoder.identity["checkpoint"]) == 64


def test_a_copy_that_was_sent_away_gives_the_same(stored, timm_file, sam_checkpoint, monkeypatch, tmp_path):
    monkeypatch.chdir(stored("dinov2").parent)
    encoders = [
        Dinov2Encoder("dinov2", "cpu", size=56, torch_threads=1),
        TimmEncoder("test_vit", timm_file("test_vit"), "cpu", torch_threads=1),
        SamEncoder(sam_checkpoint, device="cpu", torch_threads=1),
    ]
    image, valid = window((40, 60)), everywhere((40, 60))
    want = [encoder.encode(image, valid).values for encoder in encoders]
    sent = pickle.dumps(encoders)
    assert len(sent) < 5_000, "the networks stay here"
    monkeypatch.chdir(tmp_path)
    for made, encoder, values in zip(pickle.loads(sent), encoders, want, strict=True):  # noqa: S301 - our own
        assert made.identity == encoder.identity
        assert np.array_equal(made.encode(image, valid).values, values)
