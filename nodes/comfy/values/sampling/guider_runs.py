"""GUIDER links: guiders of packs that sample in a way of their own, when nodes of ours run them."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodes.comfy.values import runtime
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.patches.options import PackAlteration, is_sampled_by_packs
from nodes.comfy.values.sampling.guiders import (
    SAMPLING_METHODS,
    CFGGuider,
    PackPredictor,
    live_guider,
)
from nodes.comfy.values.sampling.k_diffusion import ksampler_of
from nodes.inference.sample import Guider, GuiderRunner, SamplingResult, fit_channels
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.loop import start_noise
from nodes.sampling.samplers.registry import SamplerOrName
from nodes.values import Latent, Noise


def guider_from(guider: CFGGuider) -> Guider:
    """Return a guider for our own nodes; they call its methods where a pack overrides them."""
    native = guider.to_native()
    kind = type(guider)
    own = all(getattr(kind, name) is getattr(CFGGuider, name) for name in SAMPLING_METHODS)
    own = own and not is_sampled_by_packs(guider.model_options)
    return native if own else replace(native, runner=PackRunner(copy.copy(guider)))


def guider_to(guider: Guider) -> CFGGuider:
    """Return a guider in ComfyUI's form; for one that a pack made, a copy of that object."""
    for part in (guider.runner, guider.predictor):
        if isinstance(part, PackRunner | PackPredictor):
            return copy.copy(part.guider)
    return CFGGuider.from_native(guider)


def model_from(model: PackModel) -> ModelHandle:
    """Return a model for our own nodes; they call functions of packs around sampling."""
    handle = model.to_handle(live_guider)
    if not is_sampled_by_packs(model.model_options):
        return handle
    return replace(handle, alterations=(*handle.alterations, SampledByPacks()))


@dataclass(frozen=True, slots=True)
class SampledByPacks(PackAlteration):
    """Has a model sampled as packs' functions in its options want; a `SamplingWrapper`."""

    def runner(self, guider: Guider) -> GuiderRunner:
        """Return what samples with a guider of the model."""
        return PackRunner(guider_to(guider))


@dataclass(frozen=True, slots=True, eq=False)
class PackRunner:
    """Samples by the methods of a pack's guider; a `GuiderRunner`."""

    guider: CFGGuider

    def __call__(
        self, sampler: SamplerOrName, sigmas: Tensor, noise: Noise, latent: Latent, ctx: Context
    ) -> SamplingResult:
        """Denoise a latent with a copy of the guider; see `nodes.inference.sample.run`."""
        guider, last_x0 = copy.copy(self.guider), list[Tensor]()
        handle = guider.model_patcher.to_handle()
        latent = fit_channels(latent, handle)
        drawn = start_noise(latent, noise, torch.device("cpu"))

        def keep(_step: int, x0: Tensor, _x: Tensor, _steps: int) -> None:
            last_x0[:] = [x0]

        with runtime.running(ctx):
            samples = guider.sample(
                drawn,
                latent.samples.cpu(),
                ksampler_of(sampler),
                sigmas,
                denoise_mask=latent.noise_mask,
                callback=keep,
                disable_pbar=True,
                seed=noise.seed if isinstance(noise.seed, int) else noise.seed[0],
            )
        output = replace(latent, samples=samples)
        clean = [replace(output, samples=handle.latent_format.to_raw(x0)) for x0 in last_x0]
        return SamplingResult(output, clean[0] if clean else output)
