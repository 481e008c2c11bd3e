"""Networks that patches make larger.

FLUX.1's LoRAs for edges and depth let the first layer take more channels: beside the latent it
then reads a second one. GLIGEN puts layers into a U-Net that read boxes.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from nodes.models.families.adapters.gligen import GROUNDED
from nodes.models.families.base.spec import Config, NetworkSpec
from nodes.models.networks.factory import network_class


def grows(spec: NetworkSpec, keys: tuple[str, ...]) -> bool:
    """Whether these weights are the one that may have more columns after a patch."""
    return keys == (network_class(spec.kind).widened,)


def grown(spec: NetworkSpec, weights: Mapping[str, Tensor]) -> NetworkSpec:
    """The network with as many channels as its first layer has, and GLIGEN's, if among these."""
    if GROUNDED in weights:
        return replace(spec, config=grounded(spec.config))
    first = weights.get(network_class(spec.kind).widened)
    if first is None or first.shape[1] == spec.config["in_channels"]:
        return spec
    return replace(spec, config={**spec.config, "in_channels": first.shape[1]})


def grounded(config: Config) -> Config:
    """The configuration of a U-Net that reads boxes."""
    return {**config, "attention_type": "gated"}


def widened(weight: Tensor, columns: int) -> Tensor:
    """A matrix with columns of zeros behind its own, up to a number."""
    return functional.pad(weight, (0, max(0, columns - weight.shape[1])))
