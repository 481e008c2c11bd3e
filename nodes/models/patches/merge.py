"""Patches that mix a network's weights with another's, add another's, or multiply some."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.loading.network import Network, Patches
from nodes.models.loading.variants.patched_weights import PatchedWeights


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
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the sums, in the dtype of `weights`; see `nodes.models.loading.network.Patch`."""
        del network
        keys = [key for share in self.shares for key in share.keys]
        shares = {key: share for share in self.shares for key in share.keys}
        for key, theirs in self.other.weights(keys, self.other_patches):
            own, share = weights[key], shares[key]
            yield {key: own * share.own + theirs.to(own) * share.other}


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
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the products; see `nodes.models.loading.network.Patch`."""
        del network
        for key in sorted(self.keys):
            yield {key: weights[key] * self.factor}


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
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the sums; see `nodes.models.loading.network.Patch`."""
        del network
        base = self.base.kept_weights(self.base_patches)
        for key, theirs in base.items():
            own = weights.get(key)
            if own is not None and own.shape == theirs.shape:
                yield {key: own + weights.in_full_precision(theirs)}
