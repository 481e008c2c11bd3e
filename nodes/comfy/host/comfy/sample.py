"""`comfy.sample`: noise, and sampling with the noise of a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nodes.comfy.host.node_classes import call, common_ksampler
from nodes.comfy.values.errors import NotOfferedError
from nodes.sampling.guidance.loop import noise_for
from nodes.values import Latent

__all__ = ["fix_empty_latent_channels", "np", "prepare_noise", "sample", "sample_custom"]


def prepare_noise(
    latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None
) -> Tensor:
    """Return a seed's noise for a batch of latents."""
    index = None if noise_inds is None else tuple(noise_inds)
    return noise_for(Latent(latent_image, batch_index=index), seed)


def fix_empty_latent_channels(model: object, latent_image: Tensor) -> Tensor:
    """Return the latent unchanged: sampling itself fixes the channels."""
    del model
    return latent_image


def sample(
    model: object,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: object,
    negative: object,
    latent_image: Tensor,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Tensor | None = None,
    sigmas: Tensor | None = None,
    callback: object = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Denoise latents, [batch, channels, h, w]; the run's own progress replaces the callback.

    Raises:
        NotOfferedError: the noise is neither that of the seed nor zero.
    """
    if sigmas is not None:
        (sampler,) = call("KSamplerSelect", {"sampler_name": sampler_name})
        return sample_custom(
            model,
            noise,
            cfg,
            sampler,
            sigmas,
            positive,
            negative,
            latent_image,
            noise_mask,
            seed=seed,
        )
    del callback, disable_pbar
    (denoised,) = common_ksampler(
        model,
        seed or 0,
        steps,
        cfg,
        sampler_name,
        scheduler,
        positive,
        negative,
        _latent(latent_image, noise_mask),
        denoise,
        disable_noise or not _is_noise(noise, latent_image, seed),
        start_step,
        last_step,
        force_full_denoise,
    )
    return denoised["samples"]


def sample_custom(
    model: object,
    noise: Tensor,
    cfg: float,
    sampler: object,
    sigmas: Tensor,
    positive: object,
    negative: object,
    latent_image: Tensor,
    noise_mask: Tensor | None = None,
    callback: object = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Denoise latents with a sampler and noise levels of the pack's choice.

    Raises:
        NotOfferedError: the noise is neither that of the seed nor zero.
    """
    del callback, disable_pbar
    inputs: dict[str, object] = {
        "model": model,
        "add_noise": _is_noise(noise, latent_image, seed),
        "noise_seed": seed or 0,
        "cfg": cfg,
        "positive": positive,
        "negative": negative,
        "sampler": sampler,
        "sigmas": sigmas,
        "latent_image": _latent(latent_image, noise_mask),
    }
    return call("SamplerCustom", inputs)[0]["samples"]


def _latent(samples: Tensor, noise_mask: Tensor | None) -> dict[str, Any]:
    return {"samples": samples} | ({} if noise_mask is None else {"noise_mask": noise_mask})


def _is_noise(noise: Tensor, latent_image: Tensor, seed: int | None) -> bool:
    """Return True for the noise of the seed, False for zeros.

    Raises:
        NotOfferedError: it is neither.
    """
    if not noise.any():
        return False
    if seed is None or not torch.equal(noise.cpu(), prepare_noise(latent_image, seed).cpu()):
        what = "sampling with noise of its own"
        raise NotOfferedError(what, hint="The noise of `comfy.sample.prepare_noise` works.")
    return True
