"""Attention as packs call it, with the heads apart or side by side."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def optimized_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    mask: Tensor | None = None,
    attn_precision: object = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **_more: object,
) -> Tensor:
    """Return scaled dot-product attention.

    Args:
        q: [batch, length, heads * dim]; [batch, heads, length, dim] with `skip_reshape`.
        k: likewise.
        v: likewise.
        heads: how many.
        mask: added to the scores, or True where to look: [length, length] or [batch, …].
        attn_precision: without effect.
        skip_reshape: see `q`.
        skip_output_reshape: return [batch, heads, length, dim].
    """
    del attn_precision
    if not skip_reshape:
        q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    if mask is not None and mask.ndim == 3:
        mask = mask[:, None]
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out if skip_output_reshape else out.transpose(1, 2).flatten(2)


def optimized_attention_for_device(
    device: torch.device, mask: bool = False, small_input: bool = False
) -> Callable[..., Tensor]:
    """Return `optimized_attention`, whatever the device and the input."""
    del device, mask, small_input
    return optimized_attention
