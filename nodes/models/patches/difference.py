"""Weights that a file holds as the difference to those of another network."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.loading.network import Network, Patches


@dataclass(frozen=True, slots=True)
class DifferencePatch:
    """Adds another network's weights, wherever both have one of that name and shape."""

    base: Network
    base_patches: Patches

    @property
    def touches(self) -> frozenset[str]:
        """Every weight of the other network."""
        return frozenset(self.base.table)

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sums; see `nodes.models.loading.network.Patch`."""
        del network
        base = self.base.module(self.base_patches).state_dict()
        shared = (k for k in base if k in weights and base[k].shape == weights[k].shape)
        return {key: weights[key] + base[key].to(weights[key]) for key in shared}
