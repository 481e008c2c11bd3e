"""The ways to combine the outputs of several text encoders to one conditioning."""

from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models.text.encode import Encoded

Parts: TypeAlias = Mapping[str, Encoded]
"""The output of each text encoder, by its name."""
_L_WIDTH, _G_WIDTH = 768, 1280
_T5_WIDTH, _CLIP_LENGTH = 4096, 77


def single(parts: Parts) -> Encoded:
    """Return the output of the only encoder."""
    (encoded,) = parts.values()
    return encoded


def side_by_side(parts: Parts) -> Encoded:
    """Return CLIP-L's and CLIP-G's features side by side, and CLIP-G's pooled state."""
    return Encoded(_features(parts["clip_l"], parts["clip_g"]), parts["clip_g"].pooled)


def clips_then_t5(parts: Parts) -> Encoded:
    """Return CLIP-L's and CLIP-G's features side by side, then T5's tokens; both pooled states.

    CLIP's features are padded with zeros to T5's width (Esser et al. 2024, arXiv:2403.03206,
    section 5.1). An encoder that is missing gives zeros.
    """
    clip_l, clip_g, t5 = (parts.get(name) for name in ("clip_l", "clip_g", "t5xxl"))
    tokens: list[Tensor] = []
    if clip_l and clip_g:
        tokens.append(_features(clip_l, clip_g))
    elif clip_l:
        tokens.append(clip_l.tokens)
    elif clip_g:
        tokens.append(functional.pad(clip_g.tokens, (_L_WIDTH, 0)))
    tokens = [functional.pad(part, (0, _T5_WIDTH - part.shape[-1])) for part in tokens]
    if t5:
        tokens.append(t5.tokens)
    pooled = [_pooled_or_zeros(clip_l, _L_WIDTH), _pooled_or_zeros(clip_g, _G_WIDTH)]
    tokens = tokens or [torch.zeros(1, _CLIP_LENGTH, _T5_WIDTH)]
    return Encoded(_join(tokens, 1), _join(pooled, -1))


def t5_with_pooled_clip(parts: Parts) -> Encoded:
    """Return T5's tokens, and CLIP-L's pooled state."""
    return Encoded(parts["t5xxl"].tokens, parts["clip_l"].pooled)


def _features(left: Encoded, right: Encoded) -> Tensor:
    """Return the features of two encoders side by side, cut to the shorter one's tokens."""
    length = min(left.tokens.shape[1], right.tokens.shape[1])
    return torch.cat([left.tokens[:, :length], right.tokens[:, :length]], dim=-1)


def _pooled_or_zeros(part: Encoded | None, width: int) -> Tensor:
    """Return an encoder's pooled state; zeros of this width on the CPU if there is none."""
    return torch.zeros(1, width) if part is None or part.pooled is None else part.pooled


def _join(parts: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate parts on the device of that which is not on the CPU, if one is not."""
    device = next((part.device for part in parts if not part.is_cpu), torch.device("cpu"))
    return torch.cat([part.to(device) for part in parts], dim=dim)


_COMBINATIONS = {
    each.__name__: each for each in (single, side_by_side, clips_then_t5, t5_with_pooled_clip)
}


def combination(name: str) -> Callable[[Parts], Encoded]:
    """Return one of these functions by its name, or any by `module:function`."""
    return _COMBINATIONS.get(name) or resolve_name(name)
