"""ControlNets that are kept as changes to the model that they steer: Stability's Control-LoRAs.

The file has the parts that a U-Net does not have, biases and norms as they are, and every other
weight as two factors of what is to be added to the model's own (Hu et al. 2021, arXiv:2106.09685).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodes.models.families.controlnets.unet import factors
from nodes.models.loading.network import Network
from nodes.models.patches.errors import ControlMismatchError
from nodes.models.weights.quantized import precise
from nodes.models.weights.reader import opened


@dataclass(frozen=True, slots=True)
class ControlLoraPatch:
    """Completes a Control-LoRA with a model's weights; equal to another for the same network."""

    base: nn.Module
    """The network that is steered."""

    @property
    def touches(self) -> frozenset[str]:
        """Every weight of the model."""
        return frozenset(self.base.state_dict())

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the file does not have whole; see `nodes.models.loading.network.Patch`.

        Raises:
            ControlMismatchError: the model has no such weight, or one of another shape.
        """
        base, header, place = self.base.state_dict(), network.header, network.placement
        made: dict[str, Tensor] = {}
        with opened(header.path) as file:
            for key, source in network.table.items():
                if source.key in header:
                    continue
                own = base.get(key)
                if own is None or own.shape != weights[key].shape:
                    raise ControlMismatchError(header.path)
                made[key] = precise(own, place.dtype).to(place.device)
                up, down = factors(source.key)
                if up in header:
                    pair = (file.get_tensor(name).to(made[key]).flatten(1) for name in (up, down))
                    made[key] = made[key] + torch.mm(*pair).reshape(own.shape)
        return made
