"""`comfy.sample`: noise, and sampling with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from nodes.comfy.host.sampling import samplers
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.sampling.session import StepCallback
from nodes.inference.sample import fit_channels
from nodes.sampling.guidance.loop import noise_for
from nodes.values import Latent

__all__ = ["fix_empty_latent_channels", "np", "prepare_noise", "sample", "sample_custom"]


def prepare_noise(
    latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None
) -> Tensor:
    """Return a seed's noise for a batch of latents, [batch, channels, h, w]."""
    index = None if noise_inds is None else tuple(noise_inds)
    return noise_for(Latent(latent_image, batch_index=index), seed)


def fix_empty_latent_channels(model: PackModel, latent_image: Tensor) -> Tensor:
    """Return an empty latent with as many channels as the model has; any other as it is."""
    if latent_image.count_nonzero():
        return latent_image
    return fit_channels(Latent(latent_image), model.handle).samples


def sample(
    model: PackModel,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Tensor | None = None,
    sigmas: Tensor | None = None,
    callback: StepCallback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Denoise latents, [batch, channels, h, w], as KSampler does; see `CFGGuider.sample`.

    `noise` is added as it is; `disable_noise` is without effect, as in ComfyUI.
    """
    sampler = samplers.KSampler(
        model,
        steps,
        model.load_device,
        sampler_name,
        scheduler,
        denoise,
        model.model_options,
    )
    return sampler.sample(
        noise,
        positive,
        negative,
        cfg,
        latent_image,
        start_step,
        last_step,
        force_full_denoise,
        noise_mask,
        sigmas,
        callback,
        disable_pbar,
        seed,
    )


def sample_custom(
    model: PackModel,
    noise: Tensor,
    cfg: float,
    sampler: samplers.Sampler,
    sigmas: Tensor,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    noise_mask: Tensor | None = None,
    callback: StepCallback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Denoise latents with a sampler and noise levels of the pack's choice."""
    return samplers.sample(
        model,
        noise,
        positive,
        negative,
        cfg,
        model.load_device,
        sampler,
        sigmas,
        model.model_options,
        latent_image,
        noise_mask,
        callback,
        disable_pbar,
        seed,
    )
