"""An autoencoder with all that is known about it."""

from dataclasses import dataclass, field
from pathlib import Path

from nodes.models.families.base.spec import VaeSpec
from nodes.models.loading.errors import MissingPartError
from nodes.models.loading.network import Network


@dataclass(frozen=True)
class Autoencoder:
    """The autoencoder behind a VAE link; equal to another by its weights."""

    origin: Path = field(compare=False)
    """The file that it comes from."""
    found: Network | None
    """The VAE's network; None if the file has none, which is an error only when it is used."""
    spec: VaeSpec | None = field(compare=False)

    @property
    def network(self) -> Network:
        """Its network.

        Raises:
            MissingPartError: the file has none.
        """
        if self.found is None:
            raise MissingPartError(self.origin, "VAE")
        return self.found

    @property
    def downscale(self) -> int:
        """The image pixels that a latent pixel stands for, each way."""
        return self._spec.latent.downscale

    @property
    def channels(self) -> int:
        """The number of channels of its latents."""
        return self._spec.latent.channels

    @property
    def picture_channels(self) -> int:
        """The number of channels of its pictures: 4 if they have an alpha channel."""
        return self._spec.picture_channels

    @property
    def _spec(self) -> VaeSpec:
        if self.spec is None:
            raise MissingPartError(self.origin, "VAE")
        return self.spec
