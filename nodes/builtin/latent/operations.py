"""Operations on latents, and nodes that apply them once or to the guidance of every step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.imaging.batch import change_layers
from nodes.imaging.filters import gaussian_blur
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.rules import GuidanceInputs
from nodes.values import Latent

_OPERATIONS = "latent/advanced/operations"
_SHARPEST = 10.0
"""The unsharp mask's factor at a strength of 1."""
_BRIGHT = 3.0
"""The number of deviations above the mean at which a vector's length counts as bright."""


@dataclass(frozen=True, slots=True)
class LatentOperation:
    """A function of latents: [batch, channels, h, w], or with layers, to the same shape."""

    __socket__: ClassVar = "LATENT_OPERATION"

    apply: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class GuidanceOperation:
    """Applies an operation to the guidance's difference; see `GuidanceSettings.pre_cfg`."""

    operation: LatentOperation

    def __call__(self, terms: GuidanceInputs) -> GuidanceInputs:
        """Return the inputs with a changed positive prediction."""
        difference = self.operation.apply(terms.cond - terms.uncond)
        return replace(terms, cond=terms.uncond + difference)


@dataclass(frozen=True, slots=True)
class Sharpen:
    """Unsharp mask on directions: each pixel's channels as a vector of length 1."""

    radius: int
    sigma: float
    strength: float

    def __call__(self, latent: Tensor) -> Tensor:
        """Return the sharpened latent; every vector keeps its length."""
        return change_layers(latent, self._sharpen)

    def _sharpen(self, latent: Tensor) -> Tensor:
        length = latent.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-10)
        direction = latent / length
        blurred = gaussian_blur(direction, self.radius, self.sigma, mode="shrink")
        return (direction + _SHARPEST * self.strength * (direction - blurred)) * length


@dataclass(frozen=True, slots=True)
class Tonemap:
    """Tone mapping of vector lengths (Reinhard et al. 2002, doi:10.1145/566654.566575, eq. 3)."""

    multiplier: float

    def __call__(self, latent: Tensor) -> Tensor:
        """Return the latent with its long vectors shortened."""
        return change_layers(latent, self._shorten)

    def _shorten(self, latent: Tensor) -> Tensor:
        length = latent.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-10)
        over = (1, 2, 3)
        bright = length.mean(over, keepdim=True) + _BRIGHT * length.std(over, keepdim=True)
        white = (bright * self.multiplier).clamp(min=1e-10)
        return latent / (1 + length / white)


@node("LatentOperationSharpen", category=_OPERATIONS, experimental=True)
def latent_operation_sharpen(
    sharpen_radius: Annotated[int, Field(ge=1, le=31), Step(1)] = 9,
    sigma: Annotated[float, Field(ge=0.1, le=10.0), Step(0.1)] = 1.0,
    alpha: Annotated[float, Field(ge=0.0, le=5.0), Step(0.01)] = 0.1,
) -> LatentOperation:
    """Sharpen a latent with an unsharp mask of strength `alpha`.

    The mask is a blur of `sigma` latent pixels that reaches `sharpen_radius` latent pixels.
    """
    return LatentOperation(Sharpen(sharpen_radius, sigma, alpha))


@node("LatentOperationTonemapReinhard", category=_OPERATIONS, experimental=True)
def latent_operation_tonemap_reinhard(
    multiplier: Annotated[float, Field(ge=0.0, le=100.0), Step(0.01)] = 1.0,
) -> LatentOperation:
    """Shorten the longest vectors of a latent, against oversaturated colours at high guidance.

    The lower the `multiplier`, the stronger the effect.
    """
    return LatentOperation(Tonemap(multiplier))


@node("LatentApplyOperation", category=_OPERATIONS, experimental=True)
def latent_apply_operation(samples: Latent, operation: LatentOperation) -> Latent:
    """Apply an operation to a latent."""
    return replace(samples, samples=operation.apply(samples.samples))


@node("LatentApplyOperationCFG", category=_OPERATIONS, experimental=True)
def latent_apply_operation_cfg(model: ModelHandle, operation: LatentOperation) -> ModelHandle:
    """Apply an operation to the guidance of every step; without effect at a cfg of 1."""
    pre_cfg = (*model.guidance.pre_cfg, GuidanceOperation(operation))
    return replace(model, guidance=replace(model.guidance, pre_cfg=pre_cfg))
