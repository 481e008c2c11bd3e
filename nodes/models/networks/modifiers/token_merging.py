"""Self-attention over fewer tokens: those that are alike stand for each other.

Token merging for Stable Diffusion (Bolya & Hoffman 2023, arXiv:2303.17604).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.call_context import NetworkCall, current, wrap
from nodes.models.networks.modifiers.unet_parts import self_attentions, unet_of

_CELL = 2
"""Of each 2x2 tokens, one stays for sure."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Merges a share of the tokens where the U-Net sees the whole latent."""

    ratio: float
    """Which share of all tokens goes; at most three quarters can."""

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`."""
        unet = unet_of(network, "TomePatchModel")
        for attention in self_attentions(unet):
            wrap(attention, self._merging)

    def _merging(
        self, forward: Callable[..., Tensor], hidden: Tensor, *args: object, **kwargs: Any
    ) -> Tensor:
        call, tokens = current(), hidden.shape[1]
        count = round(tokens * self.ratio)
        if call.height * call.width != tokens or count == 0:
            return forward(hidden, *args, **kwargs)
        pairs = Pairs.of(hidden, kept_for_sure(call), count)
        return pairs.apart(forward(pairs.merge(hidden), *args, **kwargs))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which tokens go, and which of those that stay stands for each."""

    stays: Tensor
    """[batch, kept]: the numbers of the tokens that stay, the sure ones last."""
    goes: Tensor
    """[batch, count]."""
    into: Tensor
    """[batch, count]: the place among `stays`."""

    @classmethod
    def of(cls, hidden: Tensor, sure: Tensor, count: int) -> "Pairs":
        """By the cosine of the angle between tokens: those that are most alike go.

        Args:
            hidden: [batch, tokens, width].
            sure: [tokens]: whether a token stays for sure.
            count: how many go, if there are so many.
        """
        batch = len(hidden)
        sure = sure.to(hidden.device)
        targets, others = sure.nonzero()[:, 0], (~sure).nonzero()[:, 0]
        directions = functional.normalize(hidden.float(), dim=-1)
        likeness = directions[:, others] @ directions[:, targets].transpose(1, 2)
        best, nearest = likeness.max(dim=-1)
        order = best.argsort(dim=-1, descending=True)
        count = min(count, len(others))
        gone, left = order[:, :count], order[:, count:]
        stays = torch.cat([others[left], targets.expand(batch, -1)], dim=1)
        return cls(stays, others[gone], nearest.gather(1, gone) + left.shape[1])

    def merge(self, hidden: Tensor) -> Tensor:
        """[batch, kept, width]: those that stay, each the mean of what it stands for."""
        kept, gone = _taken(hidden, self.stays), _taken(hidden, self.goes)
        return kept.scatter_reduce(1, _wide(self.into, hidden), gone, "mean", include_self=True)

    def apart(self, made: Tensor) -> Tensor:
        """[batch, tokens, width]: every token in its place again, merged ones alike."""
        places = torch.cat([self.stays, self.goes], dim=1)
        values = torch.cat([made, _taken(made, self.into)], dim=1)
        return torch.empty_like(values).scatter(1, _wide(places, made), values)


def kept_for_sure(call: NetworkCall) -> Tensor:
    """[height * width]: one token of each 2x2, drawn anew for each level of noise."""
    rows, columns = call.height // _CELL, call.width // _CELL
    sure = torch.zeros(call.height, call.width, dtype=torch.bool)
    if rows == 0 or columns == 0:
        return ~sure.flatten()
    drawn = torch.randint(_CELL**2, (rows, columns), generator=call.generator())
    y = torch.arange(rows)[:, None] * _CELL + drawn // _CELL
    x = torch.arange(columns)[None, :] * _CELL + drawn % _CELL
    sure[y, x] = True
    return sure.flatten()


def _taken(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(1, _wide(places, values))


def _wide(places: Tensor, like: Tensor) -> Tensor:
    return places[..., None].expand(-1, -1, like.shape[-1])
