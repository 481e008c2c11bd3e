"""ControlNets as they travel along links, and at work in a condition."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from nodes.models.adapters.errors import NoControlTypeError
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.loading.network import Network, Patches
from nodes.models.networks.base.builder import ControlAdapter
from nodes.models.networks.base.control_hint import Hint, per_sample
from nodes.models.networks.factory import network_class
from nodes.models.patches.control_lora import ControlLoraPatch
from nodes.models.patches.errors import ControlMismatchError
from nodes.sampling.conditioning.cond import ControlCall, Residuals


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
    """A ControlNet with its hint; see `nodes.sampling.conditioning.cond.Control`."""

    handle: ControlNetHandle
    hint: Hint
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    both_sides: bool = field(default=False)

    def check(self, network: Mapping[str, object]) -> None:
        """Compare the sizes; see `nodes.sampling.conditioning.cond.Control`."""
        if not self.handle.adapter.fits(self.handle.spec.network.config, network):
            raise ControlMismatchError(self.handle.network.header.path)
        if self.handle.spec.kinds and self.handle.kind is None:
            raise NoControlTypeError(self.handle.network.header.path)

    @torch.no_grad()
    def residuals(self, call: ControlCall) -> Residuals:
        """What it adds, times its strength; see `nodes.sampling.conditioning.cond.Control`."""
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


def _times(state: Tensor, weight: Tensor) -> Tensor:
    """[batch, …] times one number a sample."""
    return state * weight.view(-1, *[1] * (state.ndim - 1))
