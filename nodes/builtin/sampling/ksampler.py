"""KSampler and KSamplerAdvanced."""

from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices
from nodegraph.definition.node import node
from nodes.builtin.inputs import Cfg, Ratio, Seed, Steps
from nodes.inference.sample import Guider, run
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.loop import cut_steps
from nodes.sampling.noise_schedule.schedules import SCHEDULES
from nodes.sampling.samplers.registry import NAMED_SAMPLERS, sigmas_for
from nodes.values import Conditioning, Latent, Noise

Boundary = Annotated[int, Field(ge=0, le=10000)]
SamplerName = Annotated[str, Choices(tuple(NAMED_SAMPLERS), registered="samplers")]
Scheduler = Annotated[str, Choices(tuple(SCHEDULES), registered="schedulers")]


@node("KSampler", category="sampling")
def ksampler(
    *,
    model: ModelHandle,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Ratio = 1.0,
    ctx: Context,
) -> Latent:
    """Add the seed's noise to a latent and remove it step by step, guided by the prompts.

    `cfg` is the strength of classifier-free guidance; at 1 the negative prompt is not used, which
    takes half the time. `denoise` below 1 keeps a part of the latent: 0.6 changes it, 0 returns
    it unchanged. If the latent has a noise mask, only the masked part changes.
    """
    sigmas = sigmas_for(model.parameterization, scheduler, sampler_name, steps, denoise)
    guider = Guider(model, positive, negative, cfg)
    return run(guider, sampler_name, sigmas, Noise((seed,)), latent_image, ctx).output


@node("KSamplerAdvanced", category="sampling", display_name="KSampler (Advanced)")
def ksampler_advanced(
    *,
    model: ModelHandle,
    add_noise: Literal["enable", "disable"],
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Boundary = 0,
    end_at_step: Boundary = 10000,
    return_with_leftover_noise: Literal["disable", "enable"],
    ctx: Context,
) -> Latent:
    """Denoise a latent over a part of a schedule, so that several samplers can share one.

    The first sampler adds the noise and returns the latent with leftover noise; the next one starts
    at the step where the first ended, and adds none.
    """
    sigmas = cut_steps(
        sigmas_for(model.parameterization, scheduler, sampler_name, steps, 1.0),
        start_at_step,
        end_at_step,
        leave_noise=return_with_leftover_noise == "enable",
    )
    guider = Guider(model, positive, negative, cfg)
    noise = Noise((noise_seed,), adds=add_noise == "enable")
    return run(guider, sampler_name, sigmas, noise, latent_image, ctx).output
