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

import torch
from torch import Tensor

from nodes.sampling.conditioning.latents import Latent, LatentFormat, Noise
from nodes.sampling.guidance.session import OnStep, Request, SamplingSession
from nodes.sampling.noise_schedule.noise import Seeds, noise_like
from nodes.sampling.noise_schedule.noise_ahead import noise_ahead
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.samplers.registry import Process, run_sampler, sampler_of

__all__ = [
    "OnStep",
    "Request",
    "cut_steps",
    "in_model_space",
    "noise_for",
    "sample",
    "start_noise",
]


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
    session = SamplingSession(request, latent, clean, noise, on_step)
    max_denoise = _is_highest(float(sigmas[0]), parameterization)
    x = parameterization.add_noise(sigmas[0], noise, clean, max_denoise=max_denoise)
    process = Process(parameterization, noise_ahead(request.seed, sigmas, denoiser.device))
    denoised = run_sampler(sampler_of(request.sampler), x, sigmas, process, session)
    session.finiteness.look()
    denoised = parameterization.inverse_noise_scaling(sigmas[-1], denoised)
    return denoiser.latent_format.to_raw(denoised)


def start_noise(latent: Latent, noise: Noise, device: torch.device) -> Tensor:
    """Return the noise that a latent's sampling starts with, on a device.

    Raises:
        BatchCountError: there is one seed an image, but not as many as images.
    """
    if noise.draw is None or not noise.adds:
        return noise_for(latent, noise.seed, add=noise.adds, device=device)
    return noise.draw(latent).to(device, latent.samples.dtype)


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


def _is_highest(sigma: float, parameterization: Parameterization) -> bool:
    highest = parameterization.sigma_max
    return sigma > highest or math.isclose(sigma, highest, rel_tol=1e-5)
