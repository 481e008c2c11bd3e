"""How families make one conditioning of what their text encoders say."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from nodes.families.family import EncoderName, TextStyle
from nodes.text.encoder import Encoded

Parts: TypeAlias = Mapping[str, Encoded]
"""What each text encoder gave, by its name."""
_L_WIDTH, _G_WIDTH = 768, 1280
_SD3_WIDTH, _SD3_LENGTH = 4096, 77


def single(parts: Parts) -> Encoded:
    """The only one's."""
    (encoded,) = parts.values()
    return encoded


def sdxl(parts: Parts) -> Encoded:
    """CLIP-L's and CLIP-G's features side by side; CLIP-G's pooled state."""
    return Encoded(_side_by_side(parts["clip_l"], parts["clip_g"]), parts["clip_g"].pooled)


def sd3(parts: Parts) -> Encoded:
    """CLIP-L's and CLIP-G's features side by side, then T5's tokens; both pooled states.

    CLIP's features are padded with zeros to T5's width (Esser et al. 2024, arXiv:2403.03206,
    section 5.1). Encoders that are not there say zeros.
    """
    clip_l, clip_g, t5 = (parts.get(name) for name in ("clip_l", "clip_g", "t5xxl"))
    tokens: list[Tensor] = []
    if clip_l and clip_g:
        tokens.append(_side_by_side(clip_l, clip_g))
    elif clip_l:
        tokens.append(clip_l.tokens)
    elif clip_g:
        tokens.append(functional.pad(clip_g.tokens, (_L_WIDTH, 0)))
    tokens = [functional.pad(part, (0, _SD3_WIDTH - part.shape[-1])) for part in tokens]
    if t5:
        tokens.append(t5.tokens)
    pooled = torch.cat([_pooled(clip_l, _L_WIDTH), _pooled(clip_g, _G_WIDTH)], dim=-1)
    return Encoded(torch.cat(tokens or [torch.zeros(1, _SD3_LENGTH, _SD3_WIDTH)], dim=1), pooled)


def flux(parts: Parts) -> Encoded:
    """T5's tokens, CLIP-L's pooled state."""
    return Encoded(parts["t5xxl"].tokens, parts["clip_l"].pooled)


def _side_by_side(left: Encoded, right: Encoded) -> Tensor:
    """Their features, as many tokens as the shorter one has."""
    length = min(left.tokens.shape[1], right.tokens.shape[1])
    return torch.cat([left.tokens[:, :length], right.tokens[:, :length]], dim=-1)


def _pooled(part: Encoded | None, width: int) -> Tensor:
    return torch.zeros(1, width) if part is None or part.pooled is None else part.pooled


STYLES: Mapping[TextStyle, Callable[[Parts], Encoded]] = {
    "sd15": single,
    "sd2": single,
    "sdxl": sdxl,
    "sdxl_refiner": single,
    "sd3": sd3,
    "flux": flux,
}

OPTIONAL: Mapping[TextStyle, frozenset[EncoderName]] = {
    "sd3": frozenset({"clip_l", "clip_g", "t5xxl"})
}
"""The text encoders that a style can do without, if it has another one."""
