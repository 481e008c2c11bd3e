"""ControlNets as they travel along links, and at work in a condition."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from nodes.control_errors import ControlMismatchError, NoControlTypeError
from nodes.networks.controlnet import ask
from nodes.resizing import resize
from nodes.values import CONTROL_TEXT, ControlCall, Residuals
from nodes.weights.network import Network, Patches

_SAME = ("block_out_channels", "layers_per_block", "cross_attention_dim")
"""What a ControlNet's configuration shares with its model's."""
_DOWNSCALE = 8


@dataclass(frozen=True, slots=True)
class ControlNetHandle:
    """A ControlNet, and what is patched onto it."""

    __socket__: ClassVar = "CONTROL_NET"

    network: Network
    patches: Patches = ()
    kind: int | None = None
    """Which of the kinds of hint it knows is meant, where it knows several."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.network.nbytes(self.patches)

    @property
    def kinds(self) -> int:
        """How many kinds of hint it tells apart; 0 where there is but one."""
        return self.network.spec.config.get("num_control_type", 0)


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """The picture that a ControlNet reads; two of them are never equal."""

    picture: Tensor
    """[batch, 3, height, width] in [0, 1]."""

    def rows(self, height: int, width: int, batch: int, pieces: int) -> Tensor:
        """[1 or batch x pieces, 3, height, width]: one picture a sample, as often as need be."""
        scaled = resize(self.picture, width, height, "nearest-exact", "center")
        if len(scaled) == 1:
            return scaled
        each = scaled.repeat(math.ceil(batch / len(scaled)), 1, 1, 1)[:batch]
        return each.repeat(pieces, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class NetControl:
    """A ControlNet with its hint; see `nodes.values.Control`."""

    handle: ControlNetHandle
    hint: Hint
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    both_sides: bool = field(default=False)

    def check(self, network: Mapping[str, object]) -> None:
        """Compare the widths and depths; see `nodes.values.Control`."""
        own = self.handle.network.spec.config
        if any(network.get(key) != own[key] for key in _SAME):
            raise ControlMismatchError(self.handle.network.header.path)
        if self.handle.kinds and self.handle.kind is None:
            raise NoControlTypeError(self.handle.network.header.path)

    @torch.no_grad()
    def residuals(self, call: ControlCall) -> Residuals:
        """What it adds, times its strength; see `nodes.values.Control`."""
        first, last = call.sigma_at(self.start), call.sigma_at(self.end)
        held = (call.sigma <= first) & (call.sigma >= last)
        if not held.any():
            return {}
        place = self.handle.network.placement
        height, width = (side * _DOWNSCALE for side in call.x.shape[-2:])
        hint = self.hint.rows(height, width, len(call.x) // call.cond.pieces, call.cond.pieces)
        channels = self.handle.network.spec.config["in_channels"]
        x, timestep = call.x[:, :channels].to(place.device, place.dtype), call.timestep
        made = ask(
            self.handle.network.module(self.handle.patches),
            replace(call, x=x, timestep=timestep.to(place.device)),
            hint.to(x),
            self.handle.kind,
        )
        weight = (held * self.strength).to(call.x)
        return {
            part: tuple(state.to(call.x) * weight[:, None, None, None] for state in states)
            for part, states in made.items()
        }


def summed(call: ControlCall) -> Residuals:
    """What the controls of a call add together; they may have a text of their own to read."""
    told = call.cond.extras.get(CONTROL_TEXT)
    if told is not None:
        call = replace(call, cond=replace(call.cond, tokens=told))
    total: dict[str, tuple[Tensor, ...]] = {}
    for control in call.cond.controls:
        for part, states in control.residuals(call).items():
            before = total.get(part)
            total[part] = (
                tuple(a + b for a, b in zip(before, states, strict=True)) if before else states
            )
    return total
