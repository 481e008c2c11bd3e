"""The denoising loop: everything between a KSampler's inputs and its output.

A sampler asks for x0 at (x, sigma); `GuidancePlanner` calls the model for each condition and
combines the predictions by classifier-free guidance or another rule. A node says what to sample in
a `Request`, draws the noise and calls `sample`::

    sigmas = sigmas_for(model.parameterization, scheduler, sampler_name, steps, denoise)
    request = Request(
        denoiser=ModelDenoiser(model, context.check_cancelled), sampler=sampler_name,
        sigmas=sigmas, seed=seed, positive=positive, negative=negative, cfg=cfg,
    )
    samples = sample(request, latent, noise_for(latent, seed), on_step)
    return replace(latent, samples=samples)

KSamplerAdvanced cuts the sigmas with `cut_steps` and has `noise_for(..., add=False)` where it adds
no noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.sampling.conditioning.cond import ConcatLatent, Conditioning
from nodes.sampling.conditioning.denoiser import Branch, Denoiser, PreparedCond
from nodes.sampling.conditioning.inpainting import Inpainting
from nodes.sampling.conditioning.latents import Latent, LatentFormat
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.guidance.finiteness import FinitenessCheck
from nodes.sampling.guidance.planner import GuidancePlanner, with_ranges
from nodes.sampling.guidance.settings import PLAIN, GuidanceSettings
from nodes.sampling.guidance.step_cache import EasyCache
from nodes.sampling.noise_schedule.noise import Seeds, noise_like
from nodes.sampling.noise_schedule.noise_ahead import noise_ahead
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.registry import (
    NAMED_SAMPLERS,
    SAMPLERS,
    Call,
    Process,
    Reply,
    Sampler,
    SamplerOrName,
    SamplerRun,
)

OnStep: TypeAlias = Callable[[int, int, Tensor], bool | None]
"""Gets (steps done, steps in all, x0 in the model's space) once a step.

x0 is on the model's device; True says that it was copied from there, so that nothing more is lost
by a look at the predictions' finiteness.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """All that one run of a sampler needs, apart from the latent and its noise."""

    denoiser: Denoiser
    sampler: SamplerOrName
    """A name of `SAMPLERS`, or one with options of its own."""
    sigmas: Tensor
    """[steps + 1], descending; empty leaves the latent as it is."""
    positive: Conditioning
    negative: Conditioning
    cfg: float | Sequence[float]
    """The guidance scale, one for the batch or one for each image.

    At 1 the negative prediction is not needed, and not computed.
    """
    seed: Seeds
    """The seed of the noise that samplers add during sampling."""
    guidance: GuidanceSettings = PLAIN


@torch.no_grad()
def sample(
    request: Request, latent: Latent, noise: Tensor, on_step: OnStep | None = None
) -> Tensor:
    """Denoise a latent.

    Args:
        request: the model, the sampler, and the conditions.
        latent: [batch, channels, h, w] in the VAE's space; never modified. Its mask says where.
        noise: of the same shape, standard normal; see `noise_for`.
        on_step: called in each step as soon as its first prediction is there.

    Returns:
        The new samples, in the VAE's space, on the model's device, as is all between the start and
        the end; sigmas are on the CPU, where samplers calculate with them.

    Raises:
        NotFiniteError: the model's prediction holds infinities or NaN.
    """
    sigmas, denoiser = request.sigmas, request.denoiser
    if len(sigmas) < 2:
        return latent.samples
    parameterization = denoiser.parameterization
    clean = in_model_space(latent.samples, denoiser.latent_format, denoiser.device)
    noise = noise.to(denoiser.device)
    inpainting = _inpainting(request, latent, clean, noise)
    finiteness = FinitenessCheck()
    planner_for = cache(partial(_planner, request, _concat(latent), finiteness))
    predict = _predictor(request)

    max_denoise = _is_highest(float(sigmas[0]), parameterization)
    x = parameterization.add_noise(sigmas[0], noise, clean, max_denoise=max_denoise)
    process = Process(parameterization, noise_ahead(request.seed, sigmas, denoiser.device))
    run = SamplerRun(_sampler(request)(x, sigmas, process))
    steps_done = 0
    for call in run:
        x = inpainting.surround(call.x, call.sigma) if inpainting else call.x
        planner = planner_for(*x.shape[-2:])
        reply = predict(planner, replace(call, x=x), denoiser)
        x0 = inpainting.restore(reply.x0, call.sigma) if inpainting else reply.x0
        if on_step and call.step >= steps_done:
            steps_done = call.step + 1
            if on_step(steps_done, len(sigmas) - 1, x0):
                finiteness.look()
        run.answer(replace(reply, x0=x0))
    finiteness.look()
    denoised = parameterization.inverse_noise_scaling(sigmas[-1], run.latent)
    return denoiser.latent_format.to_raw(denoised)


def noise_for(
    latent: Latent, seed: Seeds, *, add: bool = True, device: torch.device | None = None
) -> Tensor:
    """Return the seed's noise for a latent, a draw each image; zeros if none is to be added.

    Args:
        latent: the noise has its shape and its dtype.
        seed: one for the batch, or one for each image.
        add: False for zeros.
        device: of the noise, which is drawn on the CPU; the latent's if None.

    Raises:
        BatchCountError: there is one seed an image, but not as many as images.
    """
    if not add and isinstance(seed, int):
        return torch.zeros_like(latent.samples, device=device)
    noise = noise_like(latent.samples, seed, latent.batch_index)
    return noise.to(device) if add else torch.zeros_like(noise, device=device)


def in_model_space(raw: Tensor, latents: LatentFormat, device: torch.device) -> Tensor:
    """Return a latent in the model's space on its device; an empty one is empty there, too.

    An empty latent of the CPU is not copied, and nothing is waited for where one is on a device.
    """
    if not raw.is_cpu:
        moved = raw.to(device)
        return torch.where(moved.any(), latents.to_model(moved), moved)
    if not raw.count_nonzero():
        return raw if device.type == raw.device.type else torch.zeros_like(raw, device=device)
    return latents.to_model(raw).to(device)


def cut_steps(sigmas: Tensor, start: int, end: int, *, leave_noise: bool) -> Tensor:
    """Return the steps of a schedule from `start` up to `end`, as KSamplerAdvanced takes them.

    Args:
        sigmas: [steps + 1] of the whole schedule.
        start: the first step to take, from 0.
        end: the step to stop before; any number beyond the last is the last.
        leave_noise: keep the noise that is left at `end`; else the last of the steps goes to 0.

    Returns:
        The levels of these steps; empty if there are none.
    """
    cut = sigmas[: end + 1].clone()
    if len(cut) < len(sigmas) and not leave_noise:
        cut[-1] = 0
    return cut[start:] if start < len(cut) - 1 else sigmas.new_empty(0)


def _sampler(request: Request) -> Sampler:
    return SAMPLERS[request.sampler] if isinstance(request.sampler, str) else request.sampler


def _predictor(request: Request) -> Callable[[GuidancePlanner, Call, Denoiser], Reply]:
    """Return the way to answer a call: always by the model, or at times from the step cache."""
    step_cache = request.guidance.step_cache
    if step_cache is None:
        return GuidancePlanner.predict
    return EasyCache(step_cache, request.denoiser.parameterization).predict


def _concat(latent: Latent) -> ConcatLatent | None:
    """Return the latent and its mask, for models that read a image and bring none."""
    mask = latent.noise_mask
    return None if mask is None else ConcatLatent(latent.samples, mask.float())


def _inpainting(
    request: Request, latent: Latent, clean: Tensor, noise: Tensor
) -> Inpainting | None:
    if latent.noise_mask is None:
        return None
    noise = _noise_around_mask(request, noise)
    parameterization = request.denoiser.parameterization
    return Inpainting.for_latent(
        latent.noise_mask, clean, noise, parameterization, _denoise_mask_function(request)
    )


def _noise_around_mask(request: Request, noise: Tensor) -> Tensor:
    """Return the noise outside the mask, which some samplers draw anew."""
    named = NAMED_SAMPLERS.get(request.sampler) if isinstance(request.sampler, str) else None
    if named is None or not named.renews_noise:
        return noise
    seed = request.seed
    next_seed = _next(seed) if isinstance(seed, int) else [_next(each) for each in seed]
    return noise_like(noise, next_seed)


def _planner(
    request: Request,
    concat: ConcatLatent | None,
    finiteness: FinitenessCheck,
    height: int,
    width: int,
) -> GuidancePlanner:
    """Return the guidance for latents of one size; few samplers change the size.

    Args:
        request: with the conditions.
        concat: for conditions that bring none.
        finiteness: of the whole run.
        height: of the latent.
        width: of the latent.
    """
    denoiser, settings, size = request.denoiser, request.guidance, (height, width)
    seed = request.seed if isinstance(request.seed, int) else request.seed[0]
    parameterization = denoiser.parameterization

    def prepare(conditioning: Conditioning, branch: Branch = "positive") -> list[PreparedCond]:
        conds = (replace(cond, concat=cond.concat or concat) for cond in conditioning.conds)
        return [denoiser.prepare(cond, size, branch, seed) for cond in conds]

    positive, negative = prepare(request.positive), prepare(request.negative, "negative")
    extras = [prepare(each) for each in settings.extras]
    cfg = request.cfg if isinstance(request.cfg, int | float) else torch.tensor(request.cfg)
    return GuidancePlanner(
        *resolve(positive, negative, size, parameterization),
        cfg,
        settings,
        [resolve(each, [], size, parameterization)[0] for each in extras],
        steps=len(request.sigmas) - 1,
        repeats_text=denoiser.repeats_text,
        perturbed=with_ranges(settings.perturbed, parameterization),
        uncond_modifiers=with_ranges(settings.uncond_modifiers, parameterization),
        cfg_overrides=with_ranges(settings.cfg_overrides, parameterization),
        finiteness=finiteness,
    )


def _denoise_mask_function(request: Request) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return the settings' function of (mask, fraction left) as one of (mask, sigma)."""
    function, parameterization = (
        request.guidance.denoise_mask_function,
        request.denoiser.parameterization,
    )
    if function is None:
        return None

    def time(sigma: Tensor) -> float:
        return float(parameterization.timestep(sigma.flatten()[:1].float()))

    last = request.sigmas[-1:].clamp(min=parameterization.sigma_min)
    start, end = time(request.sigmas[:1]), time(last)
    duration = (start - end) or 1.0
    return lambda mask, sigma: function(mask, (time(sigma) - end) / duration)


def _next(seed: int) -> int:
    return (seed + 1) % 2**64


def _is_highest(sigma: float, parameterization: Parameterization) -> bool:
    highest = parameterization.sigma_max
    return sigma > highest or math.isclose(sigma, highest, rel_tol=1e-5)
