"""Token merging: self-attention over fewer tokens, after merging similar ones.

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
"""Of each cell of 2x2 tokens, one is a target, which is never merged away."""


@dataclass(frozen=True, slots=True)
class TokenMerging:
    """Merges a share of the tokens at the full size of the latent."""

    ratio: float
    """The share of all tokens that is merged away, at most three quarters."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
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
        pairs = Pairs.most_alike(hidden, draw_targets(call), count)
        return pairs.unmerge(forward(pairs.merge(hidden), *args, **kwargs))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The tokens that are merged away, and the kept token that stands for each."""

    stays: Tensor
    """[batch, kept]: the indices of the tokens that are kept, the targets last."""
    goes: Tensor
    """[batch, count]: the indices of the tokens that are merged away."""
    into: Tensor
    """[batch, count]: for each of those, the place among `stays` that it is merged into."""

    @classmethod
    def most_alike(cls, hidden: Tensor, targets: Tensor, count: int) -> "Pairs":
        """Return the pairs with the greatest cosine similarity.

        Args:
            hidden: [batch, tokens, width].
            targets: [tokens]: True for a token that is never merged away.
            count: the most tokens to merge away.
        """
        batch = len(hidden)
        is_target = targets.to(hidden.device)
        kept, others = is_target.nonzero()[:, 0], (~is_target).nonzero()[:, 0]
        directions = functional.normalize(hidden.float(), dim=-1)
        similarity = directions[:, others] @ directions[:, kept].transpose(1, 2)
        best, nearest = similarity.max(dim=-1)
        order = best.argsort(dim=-1, descending=True)
        count = min(count, len(others))
        gone, left = order[:, :count], order[:, count:]
        stays = torch.cat([others[left], kept.expand(batch, -1)], dim=1)
        return cls(stays, others[gone], nearest.gather(1, gone) + left.shape[1])

    def merge(self, hidden: Tensor) -> Tensor:
        """Return [batch, kept, width]: each kept token as the mean of the tokens it stands for."""
        kept, gone = _gather(hidden, self.stays), _gather(hidden, self.goes)
        return kept.scatter_reduce(1, _wide(self.into, hidden), gone, "mean", include_self=True)

    def unmerge(self, made: Tensor) -> Tensor:
        """Return [batch, tokens, width]: every token in its place, merged ones as copies."""
        places = torch.cat([self.stays, self.goes], dim=1)
        values = torch.cat([made, _gather(made, self.into)], dim=1)
        return torch.empty_like(values).scatter(1, _wide(places, made), values)


def draw_targets(call: NetworkCall) -> Tensor:
    """Return [height * width]: True for one token of each 2x2, drawn anew for each sigma."""
    rows, columns = call.height // _CELL, call.width // _CELL
    sure = torch.zeros(call.height, call.width, dtype=torch.bool)
    if rows == 0 or columns == 0:
        return ~sure.flatten()
    drawn = torch.randint(_CELL**2, (rows, columns), generator=call.generator())
    y = torch.arange(rows)[:, None] * _CELL + drawn // _CELL
    x = torch.arange(columns)[None, :] * _CELL + drawn % _CELL
    sure[y, x] = True
    return sure.flatten()


def _gather(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(1, _wide(places, values))


def _wide(places: Tensor, like: Tensor) -> Tensor:
    return places[..., None].expand(-1, -1, like.shape[-1])
