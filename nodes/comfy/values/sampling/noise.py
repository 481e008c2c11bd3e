"""NOISE in ComfyUI's form."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nodes.sampling.guidance.loop import start_noise
from nodes.values import Latent, Noise


class PackNoise:
    """A NOISE: draws the noise of a seed, or none."""

    def __init__(self, noise: Noise) -> None:
        self.native = noise
        self.seed = noise.seed

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """Return noise for a LATENT: [batch, channels, h, w] on the CPU."""
        samples, index = input_latent["samples"], input_latent.get("batch_index")
        latent = Latent(samples, batch_index=None if index is None else tuple(index))
        return start_noise(latent, self.native, torch.device("cpu"))


def noise_from(value: Any) -> Noise:
    """Convert a NOISE of a pack.

    Args:
        value: has `generate_noise`, a function from a LATENT to its noise, and mostly `seed`.
    """
    if isinstance(value, PackNoise):
        return value.native
    seed = getattr(value, "seed", 0)
    return Noise((int(seed or 0),), draw=partial(_draw, value))


def _draw(value: Any, latent: Latent) -> Tensor:
    index = {} if latent.batch_index is None else {"batch_index": list(latent.batch_index)}
    return value.generate_noise({**latent.extras, "samples": latent.samples.cpu(), **index})
