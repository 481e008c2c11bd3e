"""`comfy.sample`: noise."""

from collections.abc import Sequence

from torch import Tensor

from nodes.sampling.guidance.loop import noise_for
from nodes.values import Latent


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
