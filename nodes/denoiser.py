"""What sampling needs to know of a model: one call, and the facts of its noise schedule."""

from typing import Protocol

from torch import Tensor

from nodes.latent_format import LatentFormat
from nodes.parameterisation import Parameterisation
from nodes.values import Cond, CondBatch


class Denoiser(Protocol):
    """A model ready to denoise, whatever its family and prediction type."""

    @property
    def parameterisation(self) -> Parameterisation:
        """How noise is added, and which levels of it the model was trained on."""
        ...

    @property
    def latent_format(self) -> LatentFormat:
        """How its latents relate to the VAE's."""
        ...

    @property
    def repeats_text(self) -> bool:
        """Whether it makes no difference to repeat all of a text.

        It makes none where texts are only attended to, but does where they attend, too.
        """
        ...

    def conditions(self, cond: Cond, height: int, width: int) -> Cond:
        """A condition with all that the model reads as tensors, [1, …] each.

        Args:
            cond: as nodes made it.
            height: of the latent.
            width: of the latent.
        """
        ...

    def denoise(self, x: Tensor, sigma: Tensor, cond: CondBatch) -> Tensor:
        """Predict the clean latent x0.

        Args:
            x: [batch, channels, h, w] float32, in the model's space.
            sigma: [batch]; every sample may have its own.
            cond: one row a sample.
        """
        ...
