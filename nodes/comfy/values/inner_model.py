"""The objects inside of a MODEL that packs read and replace: noise schedules, formats, shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import torch
from torch import Tensor

from nodes.comfy.values.errors import NotOfferedPartError
from nodes.comfy.values.kinds import class_for, config_of, names_of
from nodes.comfy.values.patches.weight_names import shapes_of
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.noise_schedule.parameterization import (
    Discrete,
    Flow,
    ImageToImage,
    Parameterization,
)

_FLUX_LEVELS = 10000


class ModelType(Enum):
    """The kinds of noise and of prediction, as `comfy.model_base` names them."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


def model_type(own: Parameterization) -> ModelType:
    """Return the kind of a model."""
    if isinstance(own, ImageToImage):
        return ModelType.IMG_TO_IMG
    if isinstance(own, Discrete):
        return ModelType.EPS if own.prediction == "eps" else ModelType.V_PREDICTION
    if isinstance(own, Flow):
        return ModelType.FLUX if len(own.sigmas) == _FLUX_LEVELS else ModelType.FLOW
    return ModelType.EDM


class ModelSampling:
    """A model's noise schedule with ComfyUI's attributes."""

    sigma_data = 1.0

    def __init__(self, parameterization: Parameterization) -> None:
        self.parameterization = parameterization
        self.sigmas = parameterization.sigmas.clone()
        self.sigma_min = torch.tensor(parameterization.sigma_min)
        self.sigma_max = torch.tensor(parameterization.sigma_max)
        if isinstance(parameterization, Flow):
            self.shift = parameterization.shift
            self.multiplier = parameterization.multiplier

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the timestep of a noise level."""
        return self.parameterization.timestep(sigma.cpu()).to(sigma.device)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the noise level at a timestep."""
        level = torch.as_tensor(timestep, dtype=torch.float32)
        return self.parameterization.sigma(level.cpu()).to(level.device)

    def percent_to_sigma(self, percent: float) -> float:
        """Return the noise level at a fraction of the schedule."""
        return self.parameterization.percent_to_sigma(percent)

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Scale a noisy latent as the network expects it."""
        return self.parameterization.scale_input(noise, sigma)

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """Return the clean latent that the network's output stands for."""
        return self.parameterization.to_x0(model_input, sigma, model_output)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """Return a latent with noise of a level."""
        return self.parameterization.add_noise(
            torch.as_tensor(sigma), noise, latent_image, max_denoise=max_denoise
        )

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Undo the fading of a latent whose sampling ended at a level."""
        return self.parameterization.inverse_noise_scaling(torch.as_tensor(sigma), latent)


class InnerModel:
    """The object under `model.model`."""

    manual_cast_dtype = None

    @classmethod
    def of(cls, handle: ModelHandle) -> "InnerModel":
        """Return the object of a model; its class is one of `comfy.model_base`, too."""
        kind = class_for(cls, names_of(handle.model.spec).model)
        made: InnerModel = object.__new__(kind)
        made.fill(handle)
        return made

    def fill(self, handle: ModelHandle) -> None:
        """Set the attributes of a new object."""
        self._handle = handle
        self.network = handle.model.network
        self.model_sampling = ModelSampling(handle.parameterization)
        self.latent_format = LatentFormat(handle)
        self.model_config = config_of(handle.model.spec, self.latent_format)
        self.model_type = model_type(handle.parameterization)
        self.device = handle.model.network.placement.device

    def get_dtype(self) -> torch.dtype:
        """Return the dtype that it computes in."""
        return cast("torch.dtype", getattr(torch, self._handle.precision))

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """Scale a latent from the VAE's space to the model's."""
        return self._handle.latent_format.to_model(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """Scale a latent from the model's space to the VAE's."""
        return self._handle.latent_format.to_raw(latent)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return the names of its weights, with tensors that have shapes and no values."""
        return shapes_of(self.network)

    def __getattr__(self, name: str) -> Any:
        """Refuse a part that has no counterpart.

        Raises:
            NotOfferedPartError: always; it is an AttributeError, too.
        """
        what = f"the {name!r} of a model"
        raise NotOfferedPartError(what)


class LatentFormat:
    """A model's latent format with ComfyUI's attributes."""

    def __init__(self, handle: ModelHandle) -> None:
        own = handle.latent_format
        self.latent_channels = own.channels
        self.scale_factor = own.scale
        rgb = handle.model.spec.latent.rgb
        self.latent_rgb_factors = [list(row) for row in rgb[:-1]] or None
        self.latent_rgb_factors_bias = list(rgb[-1]) if rgb else None
        self.taesd_decoder_name = None
        self.process_in = own.to_model
        self.process_out = own.to_raw


@dataclass(frozen=True, slots=True)
class PackNoiseLevels:
    """The parameterization that an object with the methods of `comfy.model_sampling` describes.

    Args:
        base: the model's own: whether the signal fades with the noise is not the pack's to say.
        sampling: the pack's object.
    """

    base: Parameterization
    sampling: Any

    @property
    def sigmas(self) -> Tensor:
        """[levels] float32, ascending."""
        return self.sampling.sigmas.detach().float().cpu()

    @property
    def sigma_min(self) -> float:
        """The lowest level."""
        return float(self.sampling.sigma_min)

    @property
    def sigma_max(self) -> float:
        """The highest level."""
        return float(self.sampling.sigma_max)

    @property
    def is_flow(self) -> bool:
        """True if the signal fades as the noise grows."""
        return self.base.is_flow

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the network's time at this level; same shape, float32."""
        return self.sampling.timestep(sigma).float().reshape(sigma.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at a timestep; same shape, float32."""
        return self.sampling.sigma(timestep).float()

    def percent_to_sigma(self, fraction: float) -> float:
        """Return the level at a fraction of the schedule."""
        return float(self.sampling.percent_to_sigma(fraction))

    def alpha(self, sigma: Tensor) -> Tensor:
        """Return the factor of the latent at this level."""
        return self.base.alpha(sigma)

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """Return log(alpha / sigma)."""
        return self.base.half_log_snr(sigma)

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """Return the level with this log(alpha / sigma)."""
        return self.base.sigma_at(half_log_snr)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Scale x as the network expects it."""
        return self.sampling.calculate_input(_like(sigma, x), x)

    def to_x0(self, x: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """Return the clean latent that the network's output stands for."""
        return self.sampling.calculate_denoised(_like(sigma, x), output, x)

    def add_noise(
        self, sigma: Tensor, noise: Tensor, latent: Tensor, *, max_denoise: bool = False
    ) -> Tensor:
        """Return the latent at this level of noise."""
        return self.sampling.noise_scaling(_like(sigma, noise), noise, latent, max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Undo the fading of a latent whose sampling ended at `sigma`."""
        return self.sampling.inverse_noise_scaling(_like(sigma, latent), latent)


def _like(sigma: Tensor, x: Tensor) -> Tensor:
    """Return levels, one or [batch], so that they go with a latent."""
    level = torch.as_tensor(sigma, device=x.device)
    return level.reshape(-1, *[1] * (x.ndim - 1)) if level.ndim else level
