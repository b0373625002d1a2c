"""The shape of a SAM network: told from its tensors, built without weights, filled from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor

from geoalps.errors import CheckpointError

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

ENCODER = "image_encoder"
DECODER = "mask_decoder"


@dataclass(frozen=True)
class SamArchitecture:
    """Everything that building a ``segment_anything.modeling.Sam`` takes; the defaults are those of ViT-B.

    The names are segment-anything's. What a checkpoint's tensors cannot tell may stand in its settings:
    ``decoder_num_heads`` (8 otherwise), ``norm_eps`` (1e-6), and where the encoder has no relative positions
    ``num_heads`` (required), ``window_size`` and ``global_attn_indexes`` (global attention everywhere).
    """

    img_size: int = 1024
    """Side of the square input in pixels."""
    patch_size: int = 16
    """Side of a token in input pixels."""
    embed_dim: int = 768
    """Channels inside the image encoder."""
    depth: int = 12
    """Blocks of the image encoder."""
    num_heads: int = 12
    """Attention heads of the image encoder."""
    mlp_dim: int = 3072
    """Hidden channels of the encoder's MLPs."""
    qkv_bias: bool = True
    """The encoder's projections have a bias."""
    use_abs_pos: bool = True
    """The encoder has absolute positions."""
    use_rel_pos: bool = True
    """The encoder has relative positions."""
    window_size: int = 14
    """Side of an attention window in tokens; 0 for global attention in every block."""
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks that attend globally although ``window_size`` is not 0."""
    norm_eps: float = 1e-6
    """Epsilon of the encoder's layer norms."""
    out_chans: int = 256
    """Channels of the embedding, the prompts and the decoder."""
    mask_in_chans: int = 16
    """Hidden channels of the mask prompt."""
    num_multimask_outputs: int = 3
    """Masks per prompt."""
    decoder_depth: int = 2
    """Layers of the decoder's transformer."""
    decoder_num_heads: int = 8
    """Attention heads of the decoder."""
    decoder_mlp_dim: int = 2048
    """Hidden channels of the decoder's MLPs."""
    attention_downsample_rate: int = 2
    """By what the decoder's cross attention narrows its channels."""
    iou_head_depth: int = 3
    """Layers of the head that predicts IoU."""
    iou_head_hidden_dim: int = 256
    """Hidden channels of that head."""

    @property
    def name(self) -> str:
        """``vit_b``, ``vit_l`` or ``vit_h`` for the published ones, else like ``vit_32x2`` (channels x blocks)."""
        return next((name for name, known in OFFICIAL.items() if known == self), f"vit_{self.embed_dim}x{self.depth}")

    @property
    def grid(self) -> int:
        """Tokens along a side of the input."""
        return self.img_size // self.patch_size

    @classmethod
    def told_from(cls, state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> SamArchitecture:
        """The architecture whose tensors have these names and shapes.

        Args:
            state: tensors by parameter name.
            config: settings stored beside them; may repeat what the shapes tell, not contradict it.

        Raises:
            CheckpointError: the tensors are not those of a SAM, or the settings do not fit them.
        """
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in (config or {}).items()}
        allowed = {field.name: type(field.default) for field in fields(cls)}
        if wrong := sorted(name for name, value in given.items() if type(value) is not allowed.get(name)):
            raise CheckpointError(f"the checkpoint's settings {', '.join(wrong)} are unknown to SAM or of a wrong type")
        try:
            told = {**_encoder_told(shapes, given), **_decoder_told(shapes)}
        except (LookupError, ValueError, ZeroDivisionError) as error:
            reason = f"no tensor {error}" if isinstance(error, KeyError) else error
            raise CheckpointError(
                f"the checkpoint holds no SAM: {reason}; give vit_b, vit_l or vit_h of segment-anything, or one built"
                " of its modules"
            ) from error
        for name in sorted(set(told) & set(given)):
            if told[name] != given[name]:
                raise CheckpointError(f"the checkpoint's settings say {name} {given[name]}, its tensors {told[name]}")
        return cls(**{**given, **told})

    def build(self) -> Sam:
        """The network without storage for its weights (on torch's ``meta`` device)."""
        # On meta nothing is drawn from the global random state and nothing is allocated.
        with torch.device("meta"):
            if self.name in OFFICIAL:
                return sam_model_registry[self.name]()
            return Sam(self._image_encoder(), self._prompt_encoder(), self._mask_decoder(), PIXEL_MEAN, PIXEL_STD)

    def _image_encoder(self) -> Any:
        return ImageEncoderViT(
            img_size=self.img_size,
            patch_size=self.patch_size,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_ratio=(self.mlp_dim + 0.5) / self.embed_dim,  # multiplied back and cut to a whole number
            out_chans=self.out_chans,
            qkv_bias=self.qkv_bias,
            norm_layer=partial(torch.nn.LayerNorm, eps=self.norm_eps),
            use_abs_pos=self.use_abs_pos,
            use_rel_pos=self.use_rel_pos,
            window_size=self.window_size,
            global_attn_indexes=self.global_attn_indexes,
        )

    def _prompt_encoder(self) -> Any:
        return PromptEncoder(
            embed_dim=self.out_chans,
            image_embedding_size=(self.grid, self.grid),
            input_image_size=(self.img_size, self.img_size),
            mask_in_chans=self.mask_in_chans,
        )

    def _mask_decoder(self) -> Any:
        transformer = TwoWayTransformer(
            depth=self.decoder_depth,
            embedding_dim=self.out_chans,
            num_heads=self.decoder_num_heads,
            mlp_dim=self.decoder_mlp_dim,
            attention_downsample_rate=self.attention_downsample_rate,
        )
        return MaskDecoder(
            transformer_dim=self.out_chans,
            transformer=transformer,
            num_multimask_outputs=self.num_multimask_outputs,
            iou_head_depth=self.iou_head_depth,
            iou_head_hidden_dim=self.iou_head_hidden_dim,
        )


OFFICIAL: dict[str, SamArchitecture] = {
    "vit_b": SamArchitecture(),
    "vit_l": replace(
        SamArchitecture(), embed_dim=1024, depth=24, num_heads=16, mlp_dim=4096, global_attn_indexes=(5, 11, 17, 23)
    ),
    "vit_h": replace(
        SamArchitecture(), embed_dim=1280, depth=32, num_heads=16, mlp_dim=5120, global_attn_indexes=(7, 15, 23, 31)
    ),
}
"""The three that Meta published."""


def build_network(architecture: SamArchitecture, state: Mapping[str, Tensor], device: torch.device) -> Sam:
    """A float32 SAM for inference with these weights.

    Raises:
        CheckpointError: names or shapes of the tensors differ from the architecture's.
    """
    try:
        network = architecture.build()
    except (AssertionError, ArithmeticError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"no SAM can be built as the checkpoint says ({architecture}): {error}") from error
    want = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    have = {name: tuple(value.shape) for name, value in state.items()}
    if want != have:
        name = sorted(name for name in {*want, *have} if want.get(name) != have.get(name))[0]
        raise CheckpointError(
            f"the checkpoint does not fit {architecture.name}: {name} is {have.get(name, 'missing')}, wanted is"
            f" {want.get(name, 'nothing of that name')}; give a checkpoint of segment-anything"
        )
    network.to_empty(device=device)
    network.load_state_dict(state)
    # The pixel statistics are no part of a state dict.
    network.pixel_mean = torch.tensor(PIXEL_MEAN, device=device).view(-1, 1, 1)
    network.pixel_std = torch.tensor(PIXEL_STD, device=device).view(-1, 1, 1)
    return network.eval().requires_grad_(False)


Shapes = Mapping[str, tuple[int, ...]]


def _encoder_told(shapes: Shapes, given: Mapping[str, Any]) -> dict[str, Any]:
    embed_dim, _, patch_size, _ = shapes[f"{ENCODER}.patch_embed.proj.weight"]
    use_abs_pos = f"{ENCODER}.pos_embed" in shapes
    img_size = shapes[f"{ENCODER}.pos_embed"][1] * patch_size if use_abs_pos else _needed(given, "img_size")
    depth = _count(shapes, f"{ENCODER}.blocks")
    return {
        "img_size": img_size,
        "patch_size": patch_size,
        "embed_dim": embed_dim,
        "depth": depth,
        "mlp_dim": shapes[f"{ENCODER}.blocks.0.mlp.lin1.weight"][0],
        "qkv_bias": f"{ENCODER}.blocks.0.attn.qkv.bias" in shapes,
        "use_abs_pos": use_abs_pos,
        "out_chans": shapes[f"{ENCODER}.neck.0.weight"][0],
        **_attention_told(shapes, given, depth, embed_dim, img_size // patch_size),
    }


def _needed(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise ValueError(f"its tensors do not tell {name} and its settings lack it")
    return given[name]


def _attention_told(shapes: Shapes, given: Mapping[str, Any], depth: int, embed_dim: int, grid: int) -> dict[str, Any]:
    """Heads and windows: a table of relative positions has 2 side - 1 rows and as many columns as a head channels."""
    tables = [shapes.get(f"{ENCODER}.blocks.{block}.attn.rel_pos_h") for block in range(depth)]
    if None in tables:
        heads = _needed(given, "num_heads")
        plain = {
            "window_size": given.get("window_size", 0),
            "global_attn_indexes": given.get("global_attn_indexes", ()),
        }
        return {"use_rel_pos": False, "num_heads": heads, **plain}
    sides = [(rows + 1) // 2 for rows, _ in filter(None, tables)]
    windows = sorted(set(sides) - {grid})
    if len(windows) > 1:
        raise ValueError(f"its blocks have windows of {windows} tokens, allowed is one size")
    return {
        "use_rel_pos": True,
        "num_heads": embed_dim // shapes[f"{ENCODER}.blocks.0.attn.rel_pos_h"][1],
        "window_size": windows[0] if windows else 0,
        "global_attn_indexes": tuple(block for block, side in enumerate(sides) if side == grid) if windows else (),
    }


def _decoder_told(shapes: Shapes) -> dict[str, Any]:
    cross = shapes[f"{DECODER}.transformer.final_attn_token_to_image.q_proj.weight"]
    return {
        "mask_in_chans": shapes["prompt_encoder.mask_downscaling.3.weight"][0],
        "num_multimask_outputs": shapes[f"{DECODER}.mask_tokens.weight"][0] - 1,
        "decoder_depth": _count(shapes, f"{DECODER}.transformer.layers"),
        "decoder_mlp_dim": shapes[f"{DECODER}.transformer.layers.0.mlp.lin1.weight"][0],
        "attention_downsample_rate": cross[1] // cross[0],
        "iou_head_depth": _count(shapes, f"{DECODER}.iou_prediction_head.layers"),
        "iou_head_hidden_dim": shapes[f"{DECODER}.iou_prediction_head.layers.0.weight"][0],
    }


def _count(shapes: Shapes, prefix: str) -> int:
    """Length of a list of modules."""
    return len({name[len(prefix) + 1 :].split(".")[0] for name in shapes if name.startswith(f"{prefix}.")})
