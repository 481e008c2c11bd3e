"""A denoising network with all that is known about it."""

from dataclasses import dataclass, field
from functools import cached_property

from nodes.models.families.base.spec import (
    DirectRules,
    DiscreteRules,
    EdmRules,
    ModelSpec,
    NoiseRules,
)
from nodes.models.loading.network import Network
from nodes.models.networks.base.builder import Adapter
from nodes.models.networks.factory import network_class
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.noise_schedule.parameterization import (
    Discrete,
    Flow,
    ImageToImage,
    Parameterization,
)
from nodes.sampling.noise_schedule.variance_exploding import Edm


@dataclass(frozen=True)
class DiffusionModel:
    """The model behind a MODEL link; equal to another by its weights."""

    network: Network
    spec: ModelSpec = field(compare=False)

    @property
    def adapter(self) -> Adapter:
        """The adapter that calls its network."""
        adapter = network_class(self.network.spec.kind).adapter
        assert adapter, "families name networks that denoise"
        return adapter

    @cached_property
    def parameterization(self) -> Parameterization:
        """The kind of noise and of prediction that it was trained with."""
        return _parameterization(self.spec.noise)

    @cached_property
    def latent_format(self) -> LatentFormat:
        """The scale and shift from the VAE's latents to its own."""
        latent = self.spec.latent
        return LatentFormat(
            latent.channels, latent.downscale, latent.scale, latent.shift, latent.layered
        )


def _parameterization(noise: NoiseRules) -> Parameterization:
    if isinstance(noise, DiscreteRules):
        return Discrete.scaled_linear(noise.prediction, zero_terminal_snr=noise.zero_terminal_snr)
    if isinstance(noise, EdmRules):
        return Edm.between(noise.sigma_min, noise.sigma_max, sigma_data=noise.sigma_data)
    if isinstance(noise, DirectRules):
        return ImageToImage.scaled_linear()
    if noise.mu is not None:
        return Flow.from_mu(noise.mu)
    return Flow.with_shift(noise.shift, multiplier=noise.multiplier)
