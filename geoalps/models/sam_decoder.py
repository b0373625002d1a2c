"""SAM's mask decoder for many single points on one image: the same function in another order of multiplication.

Upstream copies the image for every prompt and projects each copy to keys, values and queries. Here

- what depends on the image alone is computed once an image;
- the projections of the image are absorbed into the few tokens of a prompt: as ``q . (W_k x) = (W_k^T q) . x``, and as
  attention is linear in its values, scores and sums are products of ``heads * tokens`` vectors with the image itself;
- the transposed convolutions, whose strides are their sizes, are linear layers, and pixels are put in their places
  last, when there are only masks left;
- masks whose predicted IoU is too low are never computed: the prediction needs the tokens alone.

The weights are segment-anything's. In float32 the result differs from upstream's by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling import MaskDecoder
from segment_anything.modeling.transformer import Attention
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class ImageSide:
    """What the decoder keeps of one image for all its prompts; n is the number of the image's tokens."""

    grid: tuple[int, int]
    """(rows, cols) of the tokens."""
    keys: Tensor
    """(1, n, c): the embedding with the dense prompt added."""
    places: Tensor
    """(1, n, c): the positional encoding."""
    first_keys: Tensor
    """(1, heads, n, d): of the first layer's attention from tokens to the image."""
    first_values: Tensor
    """(1, heads, n, d): of the same."""


class PointDecoder:
    """A decoder of segment-anything for prompts that share their image.

    Args:
        decoder: its weights stay float32 here: few tokens go through most of them.
        dtype: what is computed for every pixel is computed in.
    """

    def __init__(self, decoder: MaskDecoder, dtype: torch.dtype = torch.float32) -> None:
        self.decoder = decoder
        self.dtype = dtype
        self._layers = decoder.transformer.layers
        self._scaling = _upscaling(decoder, dtype)
        self._norms = [
            (layer.norm4.weight.to(dtype), layer.norm4.bias.to(dtype), layer.norm4.eps) for layer in self._layers
        ]

    def compile(self) -> None:
        """Through ``torch.compile`` from now on."""
        self._transformed = torch.compile(self._transformed, dynamic=True)  # type: ignore[method-assign]
        self._masks = torch.compile(self._masks, dynamic=True)  # type: ignore[method-assign]

    def image_side(self, embedding: Tensor, dense: Tensor, places: Tensor) -> ImageSide:
        """What all prompts of an image share.

        Args:
            embedding: (1, c, rows, cols) of the image encoder.
            dense: (1, c, rows, cols) of the prompt encoder, without mask prompts.
            places: (1, c, rows, cols): the dense positional encoding.
        """
        keys, where = ((t.float().flatten(2).transpose(1, 2)) for t in (embedding + dense, places))
        attention = self._layers[0].cross_attn_token_to_image
        first = _heads(attention.k_proj(keys + where), attention), _heads(attention.v_proj(keys), attention)
        held = [t.to(self.dtype).contiguous() for t in (keys, where, *first)]
        return ImageSide((embedding.shape[2], embedding.shape[3]), *held)

    def predict(self, image: ImageSide, sparse: Tensor, above: float) -> tuple[Tensor, Tensor]:
        """The masks of some prompts whose predicted IoU is above a threshold.

        Args:
            image: see :meth:`image_side`.
            sparse: (b, t, c) float32 prompt tokens.
            above: 0 gives all.

        Returns:
            (k, 4 rows, 4 cols) logits and (k,) float32 predicted IoU, prompt after prompt, up to ``masks`` each;
            the first mask of the decoder, meant for prompts of several points, is left out.
        """
        decoder = self.decoder
        given = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens, keys = self._transformed(image, torch.cat([given.expand(len(sparse), -1, -1), sparse], 1))
        iou = decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        good = iou > above if above > 0 else torch.ones_like(iou, dtype=torch.bool)
        some = good.any(1)
        if not some.all():  # a copy of all would cost as much as a layer
            tokens, keys, iou, good = tokens[some], keys[some], iou[some], good[some]
        logits = self._masks(tokens[:, 2 : 1 + decoder.num_mask_tokens], keys, image.grid)
        return logits[good], iou[good]

    def _transformed(self, image: ImageSide, given: Tensor) -> tuple[Tensor, Tensor]:
        """(b, t, c) float32 tokens and (b, n, c) image tokens after the two-way transformer."""
        queries, keys, placed_keys = given, image.keys, image.keys + image.places
        for number, layer in enumerate(self._layers):
            if layer.skip_first_layer_pe:
                queries = layer.self_attn(queries, queries, queries)
            else:
                placed = queries + given
                queries = queries + layer.self_attn(placed, placed, queries)
            queries = layer.norm1(queries)
            asked = layer.cross_attn_token_to_image
            if number == 0:
                seen = _seen_at_first(asked, queries + given, image)
            else:
                seen = _seen(asked, queries + given, keys, placed_keys)
            queries = layer.norm2(queries + seen)
            queries = layer.norm3(queries + layer.mlp(queries))
            told = _told(layer.cross_attn_image_to_token, keys, placed_keys, queries + given, queries)
            keys = functional.layer_norm(told, told.shape[-1:], *self._norms[number])
            placed_keys = keys + image.places
        transformer = self.decoder.transformer
        seen = _seen(transformer.final_attn_token_to_image, queries + given, keys, placed_keys)
        return transformer.norm_final_attn(queries + seen), keys

    def _masks(self, tokens: Tensor, keys: Tensor, grid: tuple[int, int]) -> Tensor:
        """(b, masks, 4 rows, 4 cols) logits of (b, masks, c) float32 mask tokens and (b, n, c) image tokens."""
        heads = list(self.decoder.output_hypernetworks_mlps)[1:]
        weights = torch.stack([head(tokens[:, number]) for number, head in enumerate(heads)], 1)
        first, norm, second, eps = self._scaling
        flow = torch.unflatten(functional.linear(keys, *first), 2, (4, -1))
        flow = functional.gelu(functional.layer_norm(flow, flow.shape[-1:], *norm, eps))
        flow = torch.unflatten(functional.gelu(functional.linear(flow, *second)), 3, (4, -1)).flatten(1, 3)
        return _in_place(weights.to(self.dtype) @ flow.transpose(1, 2), grid)


Linear = tuple[Tensor, Tensor]
PAIRS = {torch.float32: torch.int64, torch.bfloat16: torch.int32}
"""A type of twice the size, which every device has: nothing is computed in it."""


def _upscaling(decoder: MaskDecoder, dtype: torch.dtype) -> tuple[Linear, Linear, Linear, float]:
    """The two transposed convolutions as linear layers (quarters before channels), and the norm between them."""
    one, norm, _, two, _ = decoder.output_upscaling
    first, second = (
        (conv.weight.permute(2, 3, 1, 0).flatten(0, 2).to(dtype).contiguous(), conv.bias.repeat(4).to(dtype))
        for conv in (one, two)
    )
    return first, (norm.weight.to(dtype), norm.bias.to(dtype)), second, norm.eps


def _in_place(logits: Tensor, grid: tuple[int, int]) -> Tensor:
    """(b, masks, 4 rows, 4 cols) of (b, masks, n * 16): a token's four quarters, and their four, as (row, col) each.

    Two neighbours along a row are moved as one number of twice the size, which is ten times as fast.
    """
    pairs = torch.unflatten(logits.view(PAIRS[logits.dtype]), 2, (*grid, 2, 2, 2))
    # a copy even of nothing, whose strides would not do
    placed = pairs.permute(0, 1, 2, 4, 6, 3, 5).clone(memory_format=torch.contiguous_format).view(logits.dtype)
    return placed.view(*logits.shape[:2], 4 * grid[0], 4 * grid[1])


def _heads(flow: Tensor, attention: Attention) -> Tensor:
    """(b, heads, n, d) of (b, n, heads * d)."""
    return torch.unflatten(flow, 2, (attention.num_heads, -1)).transpose(1, 2)


def _rows(weight: Tensor, attention: Attention) -> Tensor:
    """(heads, d, ...) of the (heads * d, ...) weights of a projection."""
    return torch.unflatten(weight, 0, (attention.num_heads, -1))


def _out(attention: Attention, values: Tensor) -> Tensor:
    """(b, t, c) of (b, heads, t, d) values attended to."""
    out: Tensor = attention.out_proj(values.transpose(1, 2).flatten(2))
    return out


def _seen_at_first(attention: Attention, asking: Tensor, image: ImageSide) -> Tensor:
    """(b, t, c) float32: what (b, t, c) tokens see of an image that is still the same for all of them."""
    count = asking.shape[:2]
    query = _heads(attention.q_proj(asking).flatten(0, 1)[None], attention).to(image.keys.dtype)
    values = functional.scaled_dot_product_attention(query, image.first_keys, image.first_values)
    return _out(attention, torch.unflatten(values[0].float(), 1, count).transpose(0, 1))


def _seen(attention: Attention, asking: Tensor, keys: Tensor, placed: Tensor) -> Tensor:
    """(b, t, c) float32: what (b, t, c) tokens see of their own (b, n, c) image tokens.

    The bias of the keys adds the same to all scores of a query, so that the softmax does not see it.
    """
    query = _heads(attention.q_proj(asking), attention)
    absorbed = torch.einsum("bhtd,hdc->bhtc", query, _rows(attention.k_proj.weight, attention))
    mixed = _attended((absorbed * query.shape[-1] ** -0.5).flatten(1, 2).to(keys.dtype), placed, keys)
    mixed = torch.unflatten(mixed.float(), 1, query.shape[1:3])
    values = torch.einsum("bhtc,hdc->bhtd", mixed, _rows(attention.v_proj.weight, attention))
    return _out(attention, values + _rows(attention.v_proj.bias, attention)[:, None])


def _attended(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(b, q, c) of (b, q, c) scaled queries, (b, n, c) keys and values.

    A processor is quicker with plain products: the scores of few queries fit into its cache.
    """
    if query.device.type == "cpu":
        return (query @ keys.transpose(1, 2)).softmax(2) @ values
    fused = functional.scaled_dot_product_attention(query[:, None], keys[:, None], values[:, None], scale=1.0)
    return fused[:, 0]


def _told(attention: Attention, keys: Tensor, placed: Tensor, telling: Tensor, told: Tensor) -> Tensor:
    """(b, n, c): image tokens with what they see of (b, t, c) tokens added.

    Args:
        attention: from the image to tokens.
        keys: (b or 1, n, c) image tokens.
        placed: the same with their places added.
        telling: (b, t, c) float32 tokens with places.
        told: (b, t, c) float32 tokens.
    """
    key, value = _heads(attention.k_proj(telling), attention), _heads(attention.v_proj(told), attention)
    scale = key.shape[-1] ** -0.5
    absorbed = torch.einsum("bhtd,hdc->bhtc", key, _rows(attention.q_proj.weight, attention) * scale)
    bias = torch.einsum("bhtd,hd->bht", key, _rows(attention.q_proj.bias, attention) * scale)
    scores = absorbed.flatten(1, 2).to(keys.dtype) @ placed.transpose(1, 2)
    scores = torch.unflatten(scores, 1, key.shape[1:3]).add_(bias[..., None].to(keys.dtype))
    shares = scores.softmax(2).flatten(1, 2)
    out = torch.einsum(
        "bhtd,chd->bhtc", value, torch.unflatten(attention.out_proj.weight, 1, (attention.num_heads, -1))
    )
    whole = keys + attention.out_proj.bias.to(keys.dtype)
    return torch.baddbmm(whole.expand(len(told), -1, -1), shares.transpose(1, 2), out.flatten(1, 2).to(keys.dtype))
