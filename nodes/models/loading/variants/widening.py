"""Networks that a patch makes wider.

FLUX.1's LoRAs for edges and depth widen the first layer, which then reads a second latent beside
the noisy one. GLIGEN adds layers to a U-Net that read boxes.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from nodes.models.families.adapters.gligen import GLIGEN_MARK
from nodes.models.families.base.spec import Config, NetworkSpec
from nodes.models.networks.factory import network_class


def can_widen(spec: NetworkSpec, keys: tuple[str, ...]) -> bool:
    """Return True for the one weight that may have more columns after a patch."""
    return keys == (network_class(spec.kind).widened,)


def widen(spec: NetworkSpec, weights: Mapping[str, Tensor]) -> NetworkSpec:
    """Return the spec of the network that has these weights, GLIGEN's among them or not."""
    if GLIGEN_MARK in weights:
        return replace(spec, config=with_gligen(spec.config))
    first = weights.get(network_class(spec.kind).widened)
    if first is None or first.shape[1] == spec.config["in_channels"]:
        return spec
    return replace(spec, config={**spec.config, "in_channels": first.shape[1]})


def with_gligen(config: Config) -> Config:
    """Return the configuration of a U-Net with GLIGEN's layers."""
    return {**config, "attention_type": "gated"}


def pad_columns(weight: Tensor, columns: int) -> Tensor:
    """Add columns of zeros to a matrix, up to a number."""
    return functional.pad(weight, (0, max(0, columns - weight.shape[1])))
