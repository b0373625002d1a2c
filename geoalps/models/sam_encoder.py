"""SAM's image encoder with fused attention, from segment-anything's own modules and weights.

The relative positions add ``q . R_h + q . R_w`` to every score before the softmax. Here this bias is built for some
queries at a time and given to :func:`torch.nn.functional.scaled_dot_product_attention`: no score and no bias between
all pairs of tokens, 0.8 GB a block in float32, ever exists. The result differs from upstream's by rounding alone.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, Block, get_rel_pos, window_unpartition
from torch import Tensor
from torch.nn import functional

BIAS_BYTES = {"cpu": 8 << 20, "cuda": 256 << 20}
"""How large a piece of the bias may be: on a processor it should stay in its cache."""


def encode(encoder: ImageEncoderViT, pictures: Tensor) -> Tensor:
    """What ``encoder(pictures)`` gives: (b, out_chans, rows, cols) of (b, 3, side, side), in the weights' type."""
    flow = encoder.patch_embed(pictures)
    if encoder.pos_embed is not None:
        flow = flow + encoder.pos_embed
    for block in encoder.blocks:
        flow = flow + _attended(block, block.norm1(flow))
        flow = flow + block.mlp(block.norm2(flow))
    features: Tensor = encoder.neck(flow.permute(0, 3, 1, 2))
    return features


def _attended(block: Block, flow: Tensor) -> Tensor:
    """(b, rows, cols, channels) after attention in windows, or everywhere where the block has none."""
    shape, attention = flow.shape, block.attn
    mixed = attention.qkv(flow)
    if not block.window_size:
        return _project(attention, _attention(attention, mixed))
    windows, padded = _windows(mixed, block.window_size, attention.qkv.bias)
    inside = _attention(attention, windows)
    return _project(attention, window_unpartition(inside, block.window_size, padded, (shape[1], shape[2])))


def _project(attention: Attention, flow: Tensor) -> Tensor:
    """The attention's last linear layer."""
    projected: Tensor = attention.proj(flow)
    return projected


def _windows(mixed: Tensor, side: int, bias: Tensor | None) -> tuple[Tensor, tuple[int, int]]:
    """(windows, side, side, c) of (b, rows, cols, c) projections, and the (rows, cols) they cover.

    Upstream pads with zeros before it projects, so what is padded afterwards must be the projection of zero: the bias.
    """
    images, rows, cols, channels = mixed.shape
    height, width = rows + -rows % side, cols + -cols % side
    if (height, width) != (rows, cols):
        padded = (
            mixed.new_zeros(images, height, width, channels)
            if bias is None
            else bias.expand(images, height, width, channels).clone()
        )
        padded[:, :rows, :cols] = mixed
        mixed = padded
    cells = mixed.view(images, height // side, side, width // side, side, channels)
    return cells.transpose(2, 3).reshape(-1, side, side, channels), (height, width)


def _attention(attention: Attention, mixed: Tensor) -> Tensor:
    """(b, rows, cols, channels) values attended to, of (b, rows, cols, 3 channels) queries, keys and values."""
    images, rows, cols, _ = mixed.shape
    heads, tokens = attention.num_heads, rows * cols
    query, key, value = mixed.view(images, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if attention.use_rel_pos:
        out = torch.empty_like(query)
        tables = _tables(attention, rows, cols)
        for image, head, part in _parts(images, heads, rows, cols * tokens * query.element_size(), query.device.type):
            asked = query[image, head].unflatten(2, (rows, cols))[:, :, part]
            bias = _bias(asked, tables[0][part], tables[1])
            span = slice(part.start * cols, part.stop * cols)
            out[image, head, span] = functional.scaled_dot_product_attention(
                asked.flatten(2, 3), key[image, head], value[image, head], bias
            )
    else:
        out = functional.scaled_dot_product_attention(query, key, value)
    return out.transpose(1, 2).reshape(images, rows, cols, -1)


def _tables(attention: Attention, rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """Relative positions (rows, rows, c) down and (cols, cols, c) along."""
    return get_rel_pos(rows, rows, attention.rel_pos_h), get_rel_pos(cols, cols, attention.rel_pos_w)


def _bias(query: Tensor, down: Tensor, along: Tensor) -> Tensor:
    """(b, heads, queries, keys): what the relative positions add to the scores.

    Args:
        query: (b, heads, r, cols, c), of some rows.
        down: (r, rows, c) positions of these rows against all.
        along: (cols, cols, c).
    """
    by_row = torch.einsum("bnrwc,rkc->bnrwk", query, down)
    by_col = torch.einsum("bnrwc,wkc->bnrwk", query, along)
    return (by_row[..., :, None] + by_col[..., None, :]).flatten(4).flatten(2, 3)


def _parts(images: int, heads: int, rows: int, row_bytes: int, device: str) -> list[tuple[slice, slice, slice]]:
    """Pieces (images, heads, rows of queries) whose bias is no larger than ``BIAS_BYTES``, if a row's is not.

    Args:
        images: pictures, or windows of them.
        heads: of the attention.
        rows: of queries in a picture.
        row_bytes: bytes of one row's bias, one head, one picture.
        device: type of the device.
    """
    room = max(1, BIAS_BYTES.get(device, BIAS_BYTES["cuda"]) // row_bytes)
    at_once = min(rows, room)
    many_heads = min(heads, max(1, room // rows))
    many_images = min(images, max(1, room // (rows * heads)))
    return [
        (slice(i, min(i + many_images, images)), slice(h, min(h + many_heads, heads)), slice(r, min(r + at_once, rows)))
        for i in range(0, images, many_images)
        for h in range(0, heads, many_heads)
        for r in range(0, rows, at_once)
    ]
