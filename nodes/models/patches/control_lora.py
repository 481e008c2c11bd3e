"""Stability's Control-LoRAs: ControlNets stored as changes to the model that they steer.

The file has whole biases, norms, and parts that a U-Net lacks; every other weight is a low-rank
change, in two factors, to the model's own (Hu et al. 2021, arXiv:2106.09685).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.families.controlnets.unet import factors
from nodes.models.loading.network import Network
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.reader import open_tensors


@dataclass(frozen=True, slots=True)
class ControlLoraPatch:
    """Completes a Control-LoRA with the weights of a model."""

    base: Callable[[], Mapping[str, Tensor]]
    """Returns the weights of the network that is steered; equal for equal weights."""

    @property
    def touches(self) -> frozenset[str]:
        """Every weight of the model."""
        return frozenset(self.base())

    @torch.no_grad()
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the weights that the file lacks; see `nodes.models.loading.network.Patch`.

        Raises:
            ModelMismatchError: the model has no such weight, or one of another shape.
        """
        base, header = self.base(), network.header
        with open_tensors(header.path) as file:
            for key, source in network.table.items():
                if source.key in header:
                    continue
                own = base.get(key)
                if own is None or own.shape != weights[key].shape:
                    raise ModelMismatchError(header.path, code="controlnet_mismatch")
                made = weights.in_full_precision(own)
                up, down = factors(source.key)
                if up in header:
                    pair = (file.get_tensor(name).to(made).flatten(1) for name in (up, down))
                    made = made + torch.mm(*pair).reshape(own.shape)
                yield {key: made}
