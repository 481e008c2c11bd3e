"""Nodes that sample with chosen parts: sampler, levels, guider, noise; and one batch of prompts."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Name
from nodegraph.definition.node import node
from nodes.builtin.inputs import Cfg, Seed
from nodes.builtin.sampling.errors import MixedModelsError
from nodes.inference.sample import Guider, SamplingResult, fit_channels, run
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.loop import in_model_space, start_noise
from nodes.sampling.noise_schedule.errors import BatchCountError
from nodes.sampling.samplers.registry import SamplerOrName
from nodes.values import Conditioning, Latent, Noise, Sigmas

_NOISE = "sampling/custom_sampling/noise"
_NOTHING = Conditioning(())


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
    latent = fit_channels(latent_image, model)
    drawn = start_noise(latent, noise, latent.samples.device)
    level = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    clean = in_model_space(latent.samples, model.latent_format, latent.samples.device)
    noised = model.parameterization.add_noise(level, drawn, clean)
    return replace(latent, samples=model.latent_format.to_raw(noised).nan_to_num(0.0, 0.0, 0.0))


def _latents(denoised: SamplingResult) -> SampledLatents:
    return SampledLatents(denoised.output, denoised.clean)


class Batch(NamedTuple):
    """The outputs of `BatchPrompt`: guider and noise for all images so far."""

    GUIDER: Guider
    NOISE: Noise
    batch_size: Annotated[int, Name("batch_size")]


@node(
    "BatchPrompt", category="sampling/custom_sampling/guiders", display_name="Add Prompt to Batch"
)
def batch_prompt(
    *,
    model: ModelHandle,
    positive: Conditioning,
    negative: Conditioning,
    cfg: Cfg = 8.0,
    seed: Seed = 0,
    guider: Guider | None = None,
    noise: Noise | None = None,
) -> Batch:
    """Add an image with its own prompts, guidance and seed to a batch for SamplerCustomAdvanced.

    Chain one for each image by `guider` and `noise`; `batch_size` is for the empty latent. Every
    image comes out as it would alone, noise on the way included (not with dpm_adaptive, whose
    steps depend on the whole batch).
    """
    before = guider or Guider(model, _NOTHING, _NOTHING, ())
    seeds = noise.seeds if noise else ()
    cfgs = before.cfg if isinstance(before.cfg, tuple) else (before.cfg,)
    if len(cfgs) != len(seeds):
        problem = f"the guider is for {len(cfgs)} images so far, the noise for {len(seeds)}"
        raise BatchCountError(problem, code="unmatched_batch")
    if before.model != model:
        raise MixedModelsError
    own = len(seeds)
    guided = Guider(
        model,
        _append(before.positive, positive, own),
        _append(before.negative, negative, own),
        (*cfgs, cfg),
    )
    return Batch(guided, replace(noise or Noise(()), seeds=(*seeds, seed)), own + 1)


def _append(before: Conditioning, more: Conditioning, own: int) -> Conditioning:
    """Append one image's conditions to those of the images so far; a guider's own come first."""
    first = (cond if cond.sample is not None else replace(cond, sample=0) for cond in before.conds)
    return Conditioning((*first, *(replace(cond, sample=own) for cond in more.conds)))
