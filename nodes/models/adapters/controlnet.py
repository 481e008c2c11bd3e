"""ControlNets: the value of a CONTROL_NET link, and a ControlNet with its hint in a condition."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.loading.network import Network, Patches
from nodes.models.networks.base.builder import ControlAdapter
from nodes.models.networks.base.control_hint import ControlHint, per_sample
from nodes.models.networks.base.errors import MissingInputError
from nodes.models.networks.factory import network_class
from nodes.models.patches.control_lora import ControlLoraPatch
from nodes.models.patches.errors import ModelMismatchError
from nodes.sampling.conditioning.cond import ControlCall, Residuals, RowRange
from nodes.sampling.noise_schedule.variance_exploding import rows_on


@dataclass(frozen=True, slots=True)
class ControlNetHandle:
    """A ControlNet, and what is patched onto it; equal to another by its weights."""

    __socket__: ClassVar = "CONTROL_NET"

    network: Network
    spec: ControlSpec = field(compare=False)
    patches: Patches = ()
    kind: int | None = None
    """The kind of hint, for a ControlNet that knows several."""

    @property
    def adapter(self) -> ControlAdapter:
        """The adapter that calls its network."""
        adapter = network_class(self.spec.network.kind).control
        assert adapter, "ControlSpecs name networks that steer"
        return adapter


@dataclass(frozen=True, slots=True)
class NetControl:
    """A ControlNet with its hint; see `nodes.sampling.conditioning.cond.Control`."""

    handle: ControlNetHandle
    hint: ControlHint
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    applies_to_uncond: bool = field(default=False)

    def check(self, network: Mapping[str, object]) -> None:
        """Compare the sizes; see `nodes.sampling.conditioning.cond.Control`."""
        path = self.handle.network.header.path
        if not self.handle.adapter.fits(self.handle.spec.network.config, network):
            raise ModelMismatchError(path, code="controlnet_mismatch")
        if self.handle.spec.kinds and self.handle.kind is None:
            raise MissingInputError(
                code="no_control_type",
                need=f"the ControlNet {path.name!r} knows several kinds of hint",
                missing="none",
                hint="Choose one with SetUnionControlNetType.",
            )

    @torch.no_grad()
    def residuals(self, call: ControlCall) -> Residuals:
        """Return the residuals times the strength.

        See `nodes.sampling.conditioning.cond.Control`.
        """
        first, last = call.sigma_at(self.start), call.sigma_at(self.end)
        held = (call.sigma <= first) & (call.sigma >= last)
        if not held.any():
            return {}
        shape = tuple(call.x.shape), call.cond.chunks, call.cond.part
        if self.handle.adapter.reads_latent:
            made = self._run(call)
        else:
            made = call.memory.recall(("residuals", shape), (self,), lambda: self._run(call))
        weight = rows_on(call.x.device, held * self.strength).to(call.x)
        return {
            part: tuple(_times(state.to(call.x), weight) for state in states)
            for part, states in made.items()
        }

    def _run(self, call: ControlCall) -> Residuals:
        """Return the residuals at full strength."""
        handle, place = self.handle, self.handle.network.placement
        x, timestep = call.x.to(place.device, place.dtype), call.timestep.to(place.device)
        own = (ControlLoraPatch(call.weights),) if handle.spec.network.completed else ()
        module = handle.network.module((*handle.patches, *own))
        moved = replace(call, x=x, timestep=timestep, strength=self.strength)
        return handle.adapter.residuals(module, moved, self._hint(call, x), handle.kind)

    def _hint(self, call: ControlCall, x: Tensor) -> Tensor:
        """Return the hint for a call's latent as the network reads it, [batch or 1, …], like x."""
        handle, cond = self.handle, call.cond
        part = cond.part or RowRange(0, len(x), cond.chunks)

        def make() -> Tensor:
            hint = handle.adapter.hint(handle.spec.network.config, self.hint, call)
            rows = per_sample(hint, part.rows // part.chunks, part.chunks)
            return (rows if len(rows) == 1 else rows[part.start : part.start + len(x)]).to(x)

        return call.memory.recall(("hint", tuple(x.shape), part), (self,), make)


def _times(state: Tensor, weight: Tensor) -> Tensor:
    """Multiply [batch, …] by one number a sample."""
    return state * weight.view(-1, *[1] * (state.ndim - 1))
