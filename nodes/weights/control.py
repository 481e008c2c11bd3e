"""ControlNets as they travel along links, and at work in a condition."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from nodes.control_errors import ControlMismatchError, NoControlTypeError
from nodes.families.control import ControlSpec
from nodes.hints import Hint, per_sample
from nodes.networks.build import network_class
from nodes.networks.builder import ControlAdapter
from nodes.values import CONTROL_TEXT, ControlCall, Residuals
from nodes.weights.control_lora import ControlLoraPatch
from nodes.weights.network import Network, Patches


@dataclass(frozen=True, slots=True)
class ControlNetHandle:
    """A ControlNet, and what is patched onto it; equal to another by its weights."""

    __socket__: ClassVar = "CONTROL_NET"

    network: Network
    spec: ControlSpec = field(compare=False)
    patches: Patches = ()
    kind: int | None = None
    """Which of the kinds of hint it knows is meant, where it knows several."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.network.nbytes(self.patches)

    @property
    def adapter(self) -> ControlAdapter:
        """How its network is asked."""
        adapter = network_class(self.spec.network.kind).control
        assert adapter, "ControlSpecs name networks that steer"
        return adapter


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
        """Compare the sizes; see `nodes.values.Control`."""
        if not self.handle.adapter.fits(self.handle.spec.network.config, network):
            raise ControlMismatchError(self.handle.network.header.path)
        if self.handle.spec.kinds and self.handle.kind is None:
            raise NoControlTypeError(self.handle.network.header.path)

    @torch.no_grad()
    def residuals(self, call: ControlCall) -> Residuals:
        """What it adds, times its strength; see `nodes.values.Control`."""
        first, last = call.sigma_at(self.start), call.sigma_at(self.end)
        held = (call.sigma <= first) & (call.sigma >= last)
        if not held.any():
            return {}
        handle, place = self.handle, self.handle.network.placement
        hint = handle.adapter.hint(handle.spec.network.config, self.hint, call)
        hint = per_sample(hint, len(call.x) // call.cond.chunks, call.cond.chunks)
        x, timestep = call.x.to(place.device, place.dtype), call.timestep.to(place.device)
        own = (ControlLoraPatch(call.module),) if handle.spec.network.completed else ()
        module = handle.network.module((*handle.patches, *own))
        moved = replace(call, x=x, timestep=timestep)
        made = handle.adapter.ask(module, moved, hint.to(x), handle.kind)
        weight = (held * self.strength).to(call.x)
        return {
            part: tuple(_times(state.to(call.x), weight) for state in states)
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


def _times(state: Tensor, weight: Tensor) -> Tensor:
    """[batch, …] times one number a sample."""
    return state * weight.view(-1, *[1] * (state.ndim - 1))
