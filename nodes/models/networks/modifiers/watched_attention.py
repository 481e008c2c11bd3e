"""A U-Net that notes what its middle attends to, for self-attention guidance (arXiv:2210.00939)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.call_context import NetworkCall, current, wrap
from nodes.models.networks.modifiers.unet_parts import self_attentions, unet_of

_DEEPEST = 8
"""More halvings of a latent than any U-Net makes."""


class _Attention(Protocol):
    heads: int
    to_q: nn.Module
    to_k: nn.Module


@dataclass(frozen=True, slots=True, eq=False)
class WatchedAttention:
    """Notes how much attention each place gets in the first self-attention of the middle.

    It belongs to one run, whose calls are not merged with those of others.
    """

    maps: list[Tensor] = field(default_factory=list[Tensor])
    """[rows, 1, height, width] for each call since `take`: 1 is what each place gets on average."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "SelfAttentionGuidance")
        attention = next(self_attentions(unet.mid_block), None)
        if attention is not None:
            wrap(attention, _Watch(cast("_Attention", attention), self.maps))

    def take(self) -> list[Tensor]:
        """Return the maps, in the order of the calls, and forget them."""
        taken = [*self.maps]
        self.maps.clear()
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    attention: _Attention
    maps: list[Tensor]

    def __call__(
        self, forward: Callable[..., Tensor], hidden: Tensor, *args: object, **kwargs: Any
    ) -> Tensor:
        height, width = _grid(current(), hidden.shape[1])
        given = _given_attention(self.attention, hidden)
        self.maps.append(given.reshape(len(hidden), 1, height, width))
        return forward(hidden, *args, **kwargs)


def _given_attention(attention: _Attention, hidden: Tensor) -> Tensor:
    """Return the attention that each token gets from all, the mean of all heads: [rows, tokens]."""
    queries, keys = (
        _heads(cast("Tensor", layer(hidden)), attention.heads)
        for layer in (attention.to_q, attention.to_k)
    )
    scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    return torch.softmax(scores, dim=-1).mean(dim=1).sum(dim=1)


def _heads(x: Tensor, heads: int) -> Tensor:
    """Map [rows, tokens, width] to [rows, heads, tokens, width / heads], float32."""
    return x.reshape(len(x), x.shape[1], heads, -1).transpose(1, 2).float()


def _grid(call: NetworkCall, tokens: int) -> tuple[int, int]:
    """Return the height and width of the latent after as many halvings as leave so many tokens."""
    sizes = [(-(-call.height // 2**n), -(-call.width // 2**n)) for n in range(_DEEPEST)]
    return next(size for size in sizes if size[0] * size[1] == tokens)
