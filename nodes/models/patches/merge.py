"""Patches that mix a network's weights with another's, add another's, or multiply some."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.loading.network import Network, Patches


@dataclass(frozen=True, slots=True)
class Share:
    """The factors of both networks in the sums of some weights."""

    keys: frozenset[str]
    own: float
    other: float


@dataclass(frozen=True, slots=True)
class MergePatch:
    """Replaces weights by weighted sums with another network's."""

    other: Network
    other_patches: Patches
    shares: tuple[Share, ...]

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes."""
        return frozenset(key for share in self.shares for key in share.keys)

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the sums, in the dtype of `weights`; see `nodes.models.loading.network.Patch`."""
        del network
        return {
            key: weights[key] * share.own + theirs.to(weights[key]) * share.other
            for share in self.shares
            for key, theirs in self.other.weights(share.keys, self.other_patches)
        }


@dataclass(frozen=True, slots=True)
class ScalePatch:
    """Multiplies some weights by a number."""

    keys: frozenset[str]
    factor: float

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes."""
        return self.keys

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the products; see `nodes.models.loading.network.Patch`."""
        del network
        return {key: weights[key] * self.factor for key in self.keys}


def common(network: Network, other: Network) -> frozenset[str]:
    """Return the weights that both networks have, in the same shape."""
    mine, theirs = network.file.shapes, other.file.shapes
    return frozenset(key for key in mine if theirs.get(key) == mine[key])


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
