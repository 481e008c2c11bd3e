"""Nodes that denoise with a chosen sampler, noise schedule, noise and guidance."""

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from nodegraph.context import Context
from nodegraph.define import node
from nodes.denoising import noise_for
from nodes.guided import Denoised, Guider, fitting, run
from nodes.inputs import Cfg, Seed
from nodes.samplers import SamplerOrName
from nodes.values import Conditioning, Latent, Noise, Sigmas
from nodes.weights.handle import ModelHandle

_NOISE = "sampling/custom_sampling/noise"


class SampledLatents(NamedTuple):
    """The latent at the last noise level, and the model's last prediction of the clean latent."""

    output: Latent
    denoised_output: Latent


@node("SamplerCustom", category="sampling/custom_sampling")
def sampler_custom(
    *,
    model: ModelHandle,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: Cfg = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: SamplerOrName,
    sigmas: Sigmas,
    latent_image: Latent,
    ctx: Context,
) -> SampledLatents:
    """Denoise a latent with a chosen sampler and noise levels.

    `denoised_output` is the model's last prediction of the clean latent; it differs from `output`
    where the levels don't end at 0.
    """
    guider, noise = Guider(model, positive, negative, cfg), Noise((noise_seed,), add_noise)
    return _latents(run(guider, sampler, sigmas, noise, latent_image, ctx))


@node("SamplerCustomAdvanced", category="sampling/custom_sampling")
def sampler_custom_advanced(
    *,
    noise: Noise,
    guider: Guider,
    sampler: SamplerOrName,
    sigmas: Sigmas,
    latent_image: Latent,
    ctx: Context,
) -> SampledLatents:
    """Denoise a latent with chosen noise, guidance, sampler and noise levels.

    `denoised_output` is the model's last prediction of the clean latent; it differs from `output`
    where the levels don't end at 0.
    """
    return _latents(run(guider, sampler, sigmas, noise, latent_image, ctx))


@node("RandomNoise", category=_NOISE)
def random_noise(noise_seed: Seed = 0) -> Noise:
    """Make the noise of a seed, for SamplerCustomAdvanced."""
    return Noise((noise_seed,))


@node("DisableNoise", category=_NOISE)
def disable_noise() -> Noise:
    """Add no noise at the start: for latents that have some already."""
    return Noise((0,), adds=False)


@node("AddNoise", category="_for_testing/custom_sampling/noise")
def add_noise(model: ModelHandle, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add as much noise to a latent as sampling these levels would remove.

    That is the first level minus the last one; a single level counts in full.
    """
    if len(sigmas) == 0:
        return latent_image
    latent = fitting(latent_image, model)
    drawn = noise_for(latent, noise.seed, add=noise.adds)
    level = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    noised = model.parameterisation.add_noise(level, drawn, _to_model_space(latent.samples, model))
    return replace(latent, samples=model.latent_format.to_raw(noised).nan_to_num(0.0, 0.0, 0.0))


def _to_model_space(raw: Tensor, model: ModelHandle) -> Tensor:
    """Scale a latent to the model's space; an all-zero latent stays zero."""
    return model.latent_format.to_model(raw) if raw.count_nonzero() else raw


def _latents(denoised: Denoised) -> SampledLatents:
    return SampledLatents(denoised.output, denoised.clean)
