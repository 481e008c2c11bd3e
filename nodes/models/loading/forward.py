"""The forward pass of a model handle, and the preparation of conditions for its network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nodegraph.cache.entry import survey
from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.devices import free_bytes
from nodegraph.runtime.residency import ModelUse
from nodegraph.runtime.run_environment import plan_use, run_environment
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Patch, VariantWeights
from nodes.models.loading.variants.widening import with_gligen
from nodes.models.networks.base.attention_backends import attention_backend
from nodes.models.networks.base.call_context import NetworkCall, during
from nodes.models.networks.base.concat import concat_input
from nodes.models.networks.base.jumps import with_target
from nodes.models.networks.base.reference_latents import with_references
from nodes.models.networks.call_memory import denoiser_peak
from nodes.models.networks.denoisers.modulation import (
    MODULATION,
    Embed,
    modulate,
    modulation_width,
    pick_rows,
)
from nodes.models.networks.denoisers.unets.unclip import with_unclip_vector
from nodes.models.networks.factory import network_class
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.sampling.conditioning.cond import (
    Cond,
    CondBatch,
    ControlCall,
    ForwardPass,
    ForwardWrapper,
    sum_controls,
)
from nodes.sampling.conditioning.denoiser import Branch, ModelCall, PreparedCond
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.conditioning.level_table import LevelTable
from nodes.sampling.conditioning.run_memory import RunMemory
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.variance_exploding import rows_on

_SPARE_SHARE = 8
"""One part of so many of what is free is taken to be spare where calls' peaks are not known."""
_HINT_CHANNELS = 3 + 2 * 16
"""Channels that there are at once for each pixel of a hint: its own, and those of two layers."""


class Inputs(Protocol):
    """The entry of a configuration that is read here."""

    in_channels: int


class HasInputs(Protocol):
    """A denoising network."""

    config: Inputs


@dataclass(frozen=True, slots=True, eq=False)
class ModelDenoiser:
    """The `Denoiser` of one model in one run: makes its calls one after another."""

    model: ModelHandle
    check_cancelled: Callable[[], None]
    """Asked before each call; raises to stop."""
    memory: RunMemory = field(default_factory=RunMemory, kw_only=True)
    """Keeps what is the same at every step."""
    levels: LevelTable = field(default_factory=LevelTable, kw_only=True)
    """Keeps what depends on the noise level, besides."""

    @property
    def parameterization(self) -> Parameterization:
        """The kind of noise and of prediction that the model was trained with."""
        return self.model.parameterization

    @property
    def latent_format(self) -> LatentFormat:
        """The scale and shift from the VAE's latents to the model's."""
        return self.model.latent_format

    @property
    def device(self) -> torch.device:
        """The device of its network."""
        return self.model.model.network.placement.device

    @property
    def repeats_text(self) -> bool:
        """See `Denoiser`."""
        return self.model.repeats_text

    def prepare(self, cond: Cond, size: tuple[int, int], branch: Branch, seed: int) -> PreparedCond:
        """Return a condition as the network takes it; see `Denoiser`."""
        return prepare(self.model, cond, size, branch, seed)

    def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
        """Return each call's x0; see `Denoiser`."""
        return [self._predict(call) for call in calls]

    def _predict(self, call: ModelCall) -> Tensor:
        self.check_cancelled()
        return denoise(self.model, call.x, call.sigma, self._conditions(call), self.memory)

    def _conditions(self, call: ModelCall) -> CondBatch:
        """Return a call's conditions with what the run makes of them ahead, or knows of them."""
        cond = with_modulation(self.model, call, self.levels, self.memory)
        spec = self.model.model.network.spec
        entry = network_class(spec.kind).flow_map
        if not spec.config.get(entry):
            return cond
        return with_target(cond, call.sigma, self.memory.sigmas, self.parameterization)


def prepare(
    model: ModelHandle,
    cond: Cond,
    size: tuple[int, int],
    branch: Branch = "positive",
    seed: int = 0,
) -> PreparedCond:
    """Return a condition as a model's network takes it, on the network's device.

    Args:
        model: with its patches.
        cond: as nodes made it.
        size: height and width of the latent.
        branch: the branch of guidance that it belongs to.
        seed: of the run.

    Raises:
        ChannelMismatchError: a latent that the model should look at is of another family.
    """
    for control in cond.controls:
        control.check(model.model.network.spec.config)
    for number, injection in enumerate(model.injections):
        cond = injection.conditions(cond, number, size, branch)
    cond = with_unclip_vector(cond, model.model.spec.unclip, seed)
    cond = with_references(cond, model.latent_format)
    concat = _concat_input(model, cond, size)
    prepared = PreparedCond.from_cond(model.model.adapter.conditions(cond, size, branch), concat)
    return prepared.on(model.model.network.placement.device, model.dtype)


@torch.no_grad()
def denoise(
    model: ModelHandle,
    x: Tensor,
    sigma: Tensor,
    cond: CondBatch,
    memory: RunMemory | None = None,
) -> Tensor:
    """Predict the clean latent x0.

    Args:
        model: with its patches.
        x: [batch, channels, h, w] float32, in the model's space.
        sigma: [batch]; every sample may have its own.
        cond: one row a sample.
        memory: of the run that makes the call; None for a call by itself.

    Returns:
        [batch, channels, h, w] float32.
    """
    wrapper = _wrapper(model, cond)
    forward = partial(_denoise, model)
    asked = ForwardPass(x, sigma, cond, memory or RunMemory(most=0))
    return forward(asked) if wrapper is None else wrapper.predict(forward, asked)


def _wrapper(model: ModelHandle, cond: CondBatch) -> ForwardWrapper | None:
    """Return the alteration that decides what x0 is."""
    altered = (*model.alterations, *cond.alterations)
    return next((each for each in reversed(altered) if isinstance(each, ForwardWrapper)), None)


def _denoise(model: ModelHandle, asked: ForwardPass) -> Tensor:
    """Return the x0 of one pass through the network."""
    parameterization, adapter = model.parameterization, model.model.adapter
    x, sigma, cond, memory = asked.x, asked.sigma, asked.cond, asked.memory
    with device_lane(model.model.network.placement.device), attention_backend():
        peak = _make_room(model, x, cond, ahead=MODULATION in cond.extras)
        module = _module(model, cond)
        inputs = _inputs(model, x, sigma, cond)
        cond = _inject(model, _add_residuals(model, module, inputs, cond, memory), sigma)
        call = NetworkCall(
            x.shape[-2],
            x.shape[-1],
            sigma,
            parameterization.percent_to_sigma,
            steered=bool(cond.residuals),
            memory=memory,
            branches=cond.branches,
            spare=partial(_spare, model.model.network.placement.device, peak),
        )
        run, wrapper = partial(adapter.predict, module), _wrapper(model, cond)
        if wrapper is not None:
            run = partial(wrapper.run, run, module)
        with during(call):
            output = run(inputs.x, inputs.timestep, cond)
    return parameterization.to_x0(x, sigma, output.to(x))


def _make_room(model: ModelHandle, x: Tensor, cond: CondBatch, *, ahead: bool) -> int | None:
    """Make room on the accelerator for a call: for its networks, and for what they compute.

    Returns:
        The bytes that they compute in; None if nobody plans the device's memory, or knows them.

    Args:
        model: with its patches.
        x: see `denoise`.
        cond: likewise.
        ahead: the modulation of all calls is made at once, before them.
    """
    if not model.model.network.on_accelerator or run_environment().models is None:
        return None
    use = use_of(model, x, cond)
    plan_use(use._replace(ahead=ahead))
    return use.activations


def _spare(device: torch.device, peak: int | None) -> int:
    """Return the bytes of a device that a call will not need, with room for others."""
    free = free_bytes(device)
    return max(free - peak, 0) * 3 // 4 if peak is not None else free // _SPARE_SHARE


def use_of(model: ModelHandle, x: Tensor, cond: CondBatch) -> ModelUse:
    """Return the networks of a call, and what they need beside their weights; see `denoise`.

    A ControlNet is taken to compute as much as the network that it steers, or what its first
    layers make of its hint, if that is more.
    """
    network = model.model.network
    steering = survey(cond.controls).models if cond.controls else ()
    batch, channels, *size = x.shape
    channels += 0 if cond.concat_input is None else cond.concat_input.shape[1]
    spec = _spec_of(model, channels, cond)
    peak = denoiser_peak(spec, model.dtype, (batch, channels, *size), cond)
    if peak is not None and steering:
        pixels = batch * size[0] * size[1] * model.latent_format.downscale**2
        peak += max(peak, pixels * _HINT_CHANNELS * model.dtype.itemsize)
    return ModelUse.of((network, *steering), peak)


def _spec_of(model: ModelHandle, channels: int, cond: CondBatch) -> NetworkSpec:
    """Return the spec of the network that a call is for, which patches may have widened."""
    spec, wide = model.model.network.spec, channels * model.model.adapter.patch_pixels
    config = with_gligen(spec.config) if cond.patch is not None else spec.config
    if config.get("in_channels", wide) != wide:
        config = {**config, "in_channels": wide}
    return spec if config is spec.config else replace(spec, config=config)


def with_modulation(
    model: ModelHandle, call: ModelCall, levels: LevelTable, memory: RunMemory
) -> CondBatch:
    """Return a call's conditions, with the modulation at its level if the network takes it.

    Compiled blocks do not: each has its own part of it, and would be compiled by itself.

    Args:
        model: with its patches.
        call: to be made.
        levels: of the run.
        memory: of the run.
    """
    embed = network_class(model.model.network.spec.kind).embed
    level = float(call.sigma[0])
    altered = (*model.alterations, *call.cond.alterations)
    is_compiled = any(isinstance(each, TorchCompile) for each in altered)
    if embed is None or is_compiled or bool((call.sigma != level).any()):
        return call.cond
    rows = levels.find(call.cond, level, memory, _ModulationMaker(model, embed, call))
    each = len(call.x) // len(rows)
    rows = rows if each == 1 else rows.repeat_interleave(each, dim=0)
    return replace(call.cond, extras={**call.cond.extras, MODULATION: rows})


@dataclass(frozen=True, eq=False)
class _ModulationMaker:
    """Makes modulation, [levels, rows, width], for the conditions of one call; a `LevelMaker`."""

    model: ModelHandle
    embed: Embed
    call: ModelCall

    @cached_property
    def _module(self) -> nn.Module:
        with device_lane(self.model.model.network.placement.device):
            _make_room(self.model, self.call.x, self.call.cond, ahead=True)
            return _module(self.model, self.call.cond)

    @property
    def _every(self) -> int:
        """The number of equal rows, one below the other."""
        cond = self.call.cond
        return len(self.call.x) // cond.chunks if cond.is_uniform else 1

    @property
    def level_nbytes(self) -> int:
        """The bytes of one level."""
        rows = len(self.call.x) // self._every
        return rows * modulation_width(self._module) * self.model.dtype.itemsize

    def make(self, levels: Sequence[float]) -> Tensor:
        """Return the modulation at some levels; see `LevelMaker`."""
        device = self.model.model.network.placement.device
        rows = len(self.call.x) // self._every
        like = torch.empty((rows, 1), device=device, dtype=self.model.dtype)
        timesteps = self.model.parameterization.timestep(self.call.sigma.new_tensor(levels))
        cond = pick_rows(self.call.cond, self._every)
        with device_lane(device):
            return modulate(self._module, self.embed, timesteps.to(device), cond, like)


class _Inputs(NamedTuple):
    """A network's inputs beside the conditions, on its device."""

    x: Tensor
    """The scaled latent with everything that is concatenated to it, in the network's precision."""
    sigma: Tensor
    """[batch], where the caller has it."""
    timestep: Tensor
    """[batch]."""


def _inputs(model: ModelHandle, x: Tensor, sigma: Tensor, cond: CondBatch) -> _Inputs:
    parameterization, device = model.parameterization, model.model.network.placement.device
    scaled = parameterization.scale_input(x, sigma).to(device, model.dtype)
    timestep = rows_on(device, parameterization.timestep(sigma))
    if cond.concat_input is not None:
        scaled = torch.cat([scaled, cond.concat_input.to(scaled)], dim=1)
    return _Inputs(scaled, sigma, timestep)


def _module(model: ModelHandle, cond: CondBatch) -> nn.Module:
    """Return the network with the patches and changes of the model and of the conditions."""
    patches = () if cond.patch is None else (cast("Patch", cond.patch),)
    alterations = (*model.alterations, *cond.alterations)
    network = model.model.network
    return network.module(model.patches, alterations, model.dtype, beside=patches)


def _add_residuals(
    model: ModelHandle, module: nn.Module, inputs: _Inputs, cond: CondBatch, memory: RunMemory
) -> CondBatch:
    """Return the conditions with the residuals that their controls add."""
    if not cond.controls:
        return cond
    sigma_at = model.parameterization.percent_to_sigma
    weights = VariantWeights(model.model.network, model.patches, model.dtype)
    call = ControlCall(*inputs, cond, sigma_at, module, model.latent_format, weights, memory)
    return replace(cond, residuals=sum_controls(call))


def _inject(model: ModelHandle, cond: CondBatch, sigma: Tensor) -> CondBatch:
    """Return the conditions with the model's injections, as far as they hold at these levels."""
    for number, injection in enumerate(model.injections):
        cond = injection.at(cond, number, sigma, model.parameterization.percent_to_sigma)
    return cond


def _in_channels(model: ModelHandle) -> int:
    """Return the channels that the network reads; it is loaded only if patches may widen it."""
    network = model.model.network
    widened = network_class(network.spec.kind).widened
    known: int | None = network.spec.config.get("in_channels")
    if known is not None and not any(widened in patch.touches for patch in model.patches):
        return known
    module = network.module(model.patches, model.alterations, model.dtype)
    return cast("HasInputs", module).config.in_channels


def _concat_input(model: ModelHandle, cond: Cond, size: tuple[int, int]) -> Tensor | None:
    """Return what the network, which a patch may have widened, reads with the latent."""
    adapter = model.model.adapter
    extra = _in_channels(model) // adapter.patch_pixels - model.latent_format.channels
    return concat_input(cond.concat, extra, size, model.latent_format, raw=adapter.concat_raw)
