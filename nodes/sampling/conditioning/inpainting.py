"""Denoising inside a mask: the rest follows the original latent, at each call's noise level."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nodes.imaging.batch import repeat_to_batch
from nodes.sampling.conditioning.errors import EnlargedMaskError
from nodes.sampling.conditioning.latents import LAYERED
from nodes.sampling.conditioning.regions import resize_mask
from nodes.sampling.noise_schedule.parameterization import Parameterization


@dataclass(frozen=True, slots=True, eq=False)
class Inpainting:
    """The mask, and the original latent that is kept outside of it."""

    mask: Tensor
    """[batch, 1, h, w] in [0, 1], [batch, 1, 1, h, w] for all layers of a latent.

    1 is denoised, between is blended.
    """
    latent: Tensor
    """The original, in the model's space."""
    noise: Tensor
    parameterization: Parameterization
    denoise_mask_function: Callable[[Tensor, Tensor], Tensor] | None = None
    """(mask, sigma) to the mask that holds there; None: the same at every level."""

    @classmethod
    def for_latent(
        cls,
        mask: Tensor,
        latent: Tensor,
        noise: Tensor,
        parameterization: Parameterization,
        denoise_mask_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> "Inpainting":
        """Fit a mask of any size, and of one image or more, to the latent."""
        resized = resize_mask(mask.float(), (latent.shape[-2], latent.shape[-1]))
        mask = repeat_to_batch(resized, len(latent)).to(latent.device)
        if latent.ndim == LAYERED:
            mask = mask.unsqueeze(2)
        return cls(mask, latent, noise, parameterization, denoise_mask_function)

    def surround(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return x inside the mask, the original with noise of this level outside.

        Raises:
            EnlargedMaskError: the sampler has changed the size.
        """
        if x.shape[-2:] != self.mask.shape[-2:]:
            raise EnlargedMaskError
        outside = self.parameterization.add_noise(sigma, self.noise, self.latent)
        mask = self._mask_at(sigma)
        return x * mask + outside * (1.0 - mask)

    def restore(self, x0: Tensor, sigma: Tensor) -> Tensor:
        """Return the prediction inside the mask, the original outside."""
        mask = self._mask_at(sigma)
        return x0 * mask + self.latent * (1.0 - mask)

    def _mask_at(self, sigma: Tensor) -> Tensor:
        function = self.denoise_mask_function
        return self.mask if function is None else function(self.mask, sigma)
