"""Say how a model was trained to remove noise, where its file does not."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated

import torch
from torch import Tensor

from nodegraph.define import node
from nodegraph.markers import Choices
from nodes.parameterisation import Discrete, broadcast
from nodes.weights.handle import ModelHandle

_LCM_LEVELS = 50
_LCM_SIGMA_DATA = 0.5
_LCM_TIMESTEP_SCALE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class X0(Discrete):
    """The network predicts the clean latent itself."""

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """The output as it is."""
        del x, sigma
        return output


@dataclass(frozen=True, slots=True, eq=False)
class ImageToImage(X0):
    """The network turns one latent into another, without noise."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """As it is."""
        del sigma
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Consistency(Discrete):
    """A latent consistency model, distilled at every 20th of 1000 levels.

    Luo et al. 2023 (arXiv:2310.04378), with the boundary scalings of diffusers' `LCMScheduler`.
    """

    stride: int = 1
    """How many training timesteps lie between two levels."""

    def timestep(self, sigma: Tensor) -> Tensor:
        """The training timestep of the nearest level."""
        return Discrete.timestep(self, sigma) * self.stride + (self.stride - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The inverse."""
        return Discrete.sigma(self, (timestep.float() - (self.stride - 1)) / self.stride)

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """From the noise, with the scalings that make timestep 0 exact."""
        t = broadcast(self.timestep(sigma), x) * _LCM_TIMESTEP_SCALE
        norm = t**2 + _LCM_SIGMA_DATA**2
        x0 = x - output * broadcast(sigma, x)
        return x0 * t / norm.sqrt() + x * (_LCM_SIGMA_DATA**2 / norm)


@node("ModelSamplingDiscrete", category="advanced/model")
def model_sampling_discrete(
    model: ModelHandle,
    sampling: Annotated[str, Choices(("eps", "v_prediction", "lcm", "x0", "img_to_img"))],
    zsnr: bool = False,
) -> ModelHandle:
    """Say what a model predicts, where its file does not.

    Noise (eps), v, the clean latent (x0, lcm for consistency models) or another picture's latent
    (img_to_img).

    `zsnr` starts at (all but) pure noise, for models trained with zero terminal SNR.
    """
    return replace(model, sampling=_parameterisation(sampling, zsnr))


@cache
def _parameterisation(sampling: str, zsnr: bool) -> Discrete:
    plain = Discrete.scaled_linear(zero_terminal_snr=zsnr)
    if sampling == "v_prediction":
        return replace(plain, prediction="v")
    if sampling == "lcm":
        stride = len(plain.sigmas) // _LCM_LEVELS
        kept = torch.arange(stride - 1, len(plain.sigmas), stride)
        return Consistency(plain.sigmas[kept], plain.log_sigmas[kept], stride=stride)
    kinds = {"eps": Discrete, "x0": X0, "img_to_img": ImageToImage}
    return kinds[sampling](plain.sigmas, plain.log_sigmas)
