"""One way to ask any denoising network, whatever it takes."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from nodes.families.family import NetworkKind
from nodes.networks.flux import FluxAdapter
from nodes.networks.mmdit import MMDiTAdapter
from nodes.networks.unet import UNetAdapter
from nodes.values import Cond, CondBatch


class Adapter(Protocol):
    """Knows what one kind of network takes."""

    @property
    def repeats_text(self) -> bool:
        """See `nodes.denoiser.Denoiser`."""
        ...

    @property
    def packs(self) -> int:
        """How many of a latent's pixels the network reads as one."""
        ...

    @property
    def reads_raw(self) -> bool:
        """Whether pictures beside the latent, without a mask, stay in the VAE's space."""
        ...

    def conditions(self, cond: Cond, height: int, width: int) -> Cond:
        """A condition with all that the network reads as tensors in `extras`, [1, …] each.

        What nodes put there otherwise (a guidance, a size) is turned into such tensors.

        Args:
            cond: as nodes made it.
            height: of the whole latent.
            width: of the whole latent.
        """
        ...

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass: what the network predicts, shaped as the latent.

        Args:
            module: the network.
            x: [batch, channels, h, w], scaled, on the network's device and in its precision.
            timestep: [batch], as the parameterisation gives it.
            cond: one row a sample.
        """
        ...


ADAPTERS: Mapping[NetworkKind, Adapter] = {
    "unet": UNetAdapter(),
    "mmdit": MMDiTAdapter(),
    "flux": FluxAdapter(),
}
