"""Modulation of transformer blocks, computed ahead of the steps (adaLN-Zero, arXiv:2212.09748).

Every block shifts, scales and gates its hidden states by numbers that depend on the time, the
guidance and the pooled text alone, and not on the latent. The layers that make them are a quarter
to a third of the weights of FLUX.1 and SD3. So a run has them make the numbers of all its noise
levels at once, and hands those of one level to the network in place of the timestep. Then no step
reads those weights, and they need not be on the device.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.residency.units import Parts
from nodes.sampling.conditioning.cond import CondBatch

MODULATION = "modulation"
"""The key in a condition's extras of the modulation at its call's level: [batch, width]."""
PARTS = Parts(seldom=("*.linear", "time_text_embed.*"))
"""The modules that make modulation, which are called once a run."""
_READ = ("guidance",)
"""The extras of a condition that are embedded besides the timestep and the pooled text."""
_BLOCK = 8
"""Levels that are computed together. Fewer are filled up: the number of rows of a product may
change its rounding, and a level must have the same numbers whatever levels are computed with it."""

Embed: TypeAlias = Callable[[nn.Module, Tensor, CondBatch, Tensor], Tensor]
"""A function from a network, timesteps, conditions, one a timestep, and a tensor of as many rows,
with the device and precision of the result, to what modulation is made of: [rows, width]."""


@dataclass(frozen=True, slots=True, eq=False)
class Modulation:
    """The modulation of all blocks at one step, which a network takes in place of the timestep.

    What a network does to a timestep leaves it as it is.
    """

    rows: Tensor
    """[batch, the widths of all layers]."""

    def to(self, dtype: torch.dtype) -> "Modulation":
        """Return it as it is."""
        del dtype
        return self

    def __mul__(self, factor: float) -> "Modulation":
        """Return it as it is."""
        del factor
        return self


class ModulationLinear(nn.Linear):
    """A layer that makes the modulation of one norm, unless that was made ahead.

    Args:
        plain: the layer in whose place it is, of the same shape.
        start: the first of its numbers among those of all layers.
    """

    def __init__(self, plain: nn.Linear, start: int) -> None:
        super().__init__(plain.in_features, plain.out_features)  # pyright: ignore[reportUnknownMemberType]
        self.part = slice(start, start + plain.out_features)

    def __call__(self, emb: Tensor | Modulation) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return [batch, width]; what was made ahead without a call, for which weights would come.

        Args:
            emb: the embedded time, or the modulation of all layers.
        """
        if isinstance(emb, Modulation):
            return emb.rows[:, self.part]
        return cast("Tensor", super().__call__(emb))


class _SiLU(nn.SiLU):
    """The function before such a layer."""

    def forward(self, input: Tensor | Modulation) -> Tensor | Modulation:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return silu(input), and modulation as it is."""
        return input if isinstance(input, Modulation) else super().forward(input)


class _PassesModulation:
    """A class of embeddings, to be named before that of diffusers."""

    def forward(self, timestep: Tensor | Modulation, *others: Tensor) -> Tensor | Modulation:
        """Embed as the other class; modulation needs no more embedding."""
        if isinstance(timestep, Modulation):
            return timestep
        return cast("Any", super()).forward(timestep, *others)


@cache
def _passing(plain: type[nn.Module]) -> type[nn.Module]:
    return type(plain.__name__, (_PassesModulation, plain), {})


def accept_modulation(network: nn.Module) -> None:
    """Let a new diffusers transformer take modulation that was made ahead as its timestep."""
    embeddings = cast("nn.Module", network.time_text_embed)
    embeddings.__class__ = _passing(type(embeddings))
    start = 0
    for norm in list(network.modules()):
        linear = getattr(norm, "linear", None)
        if isinstance(linear, nn.Linear) and isinstance(getattr(norm, "silu", None), nn.SiLU):
            norm.silu, norm.linear = _SiLU(), ModulationLinear(linear, start)
            start += linear.out_features


def modulation_width(network: nn.Module) -> int:
    """Return the numbers of all layers together."""
    return max((layer.part.stop for layer in _layers(network)), default=0)


@torch.no_grad()
def modulate(
    network: nn.Module, embed: Embed, timesteps: Tensor, cond: CondBatch, like: Tensor
) -> Tensor:
    """Return the modulation at several levels: [levels, rows, width].

    Args:
        network: with its weights.
        embed: the network's.
        timesteps: [levels], on its device.
        cond: what is embedded with each of them.
        like: [rows, …], with the device and precision of the network.
    """
    levels, rows = len(timesteps), len(like)
    made = like.new_empty(levels, rows, modulation_width(network))
    wide, read = like.repeat(_BLOCK, *[1] * (like.ndim - 1)), _repeat(cond, _BLOCK)
    blocks: list[Tensor] = []
    for start in range(0, levels, _BLOCK):
        block = timesteps[start : start + _BLOCK]
        block = torch.cat([block, block[-1:].expand(_BLOCK - len(block))])
        embedded = embed(network, block.repeat_interleave(rows), read, wide)
        blocks.append(functional.silu(embedded).to(like.dtype))
    for layer in _layers(network):
        for number, block in enumerate(blocks):
            part = made[number * _BLOCK : (number + 1) * _BLOCK]
            part[..., layer.part] = layer(block).unflatten(0, (_BLOCK, rows))[: len(part)]
    return made


def pick_rows(cond: CondBatch, every: int) -> CondBatch:
    """Return every so-and-so-many-th row of a condition, with nothing but what is embedded."""
    extras = {name: cond.extras[name][::every] for name in _READ if name in cond.extras}
    pooled = None if cond.pooled is None else cond.pooled[::every]
    return CondBatch(cond.tokens[::every, :0], pooled, extras)


def _repeat(cond: CondBatch, times: int) -> CondBatch:
    """Return a condition's rows several times, all of them before the first comes again."""
    extras = {
        name: value.repeat(times, *[1] * (value.ndim - 1)) for name, value in cond.extras.items()
    }
    pooled = None if cond.pooled is None else cond.pooled.repeat(times, 1)
    return replace(cond, pooled=pooled, extras=extras)


def _layers(network: nn.Module) -> Iterator[ModulationLinear]:
    return (each for each in network.modules() if isinstance(each, ModulationLinear))
