"""The names of weights as packs know them: ComfyUI's, which are those of the original layouts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.families.base.encoder_keys import LORA_NUMBERS, lora_paths
from nodes.models.loading.network import Network
from nodes.models.patches.lora_math import FusedWeights
from nodes.models.patches.lora_names import Target, targets_of

NETWORK = "diffusion_model."
"""The beginning of the names of a denoiser's weights."""
_STORED = ("model.diffusion_model.", NETWORK)
"""The beginnings of a denoiser's names in files; some have none."""
Rows: TypeAlias = tuple[int, int, int]
"""A part of a weight: the dimension, the first index, the number."""


@dataclass(frozen=True, slots=True)
class NamedWeight:
    """The weights of a network that have one name in ComfyUI."""

    keys: tuple[str, ...]
    """The network's own."""
    is_stored: bool
    """True if it is one tensor of the original layout, else in the network's own layout."""

    def layout(self, network: Network) -> FusedWeights:
        """Return how the weights become one tensor, and that tensor weights."""
        return FusedWeights.in_layout(network.table, self.keys, stored=self.is_stored)


def weight_names(network: Network) -> dict[str, NamedWeight]:
    """Return the weights of a denoiser or a text encoder by ComfyUI's names."""
    if network.spec.name in LORA_NUMBERS:
        return {name: NamedWeight((key,), False) for key, name in _text_names(network)}
    found: dict[str, list[str]] = {}
    for key, source in network.table.items():
        found.setdefault(NETWORK + _plain_name(source.key), []).append(key)
    return {name: NamedWeight(tuple(keys), True) for name, keys in found.items()}


def shapes_of(network: Network) -> dict[str, Tensor]:
    """Return a network's weights by ComfyUI's names, without values."""
    names = weight_names(network).items()
    return {name: torch.empty(_shape(network, named), device="meta") for name, named in names}


def lora_names(network: Network) -> Iterator[tuple[str, str | tuple[str, Rows]]]:
    """Yield every name that a LoRA may have for weights, with ComfyUI's name of these.

    For a part of a fused weight that is a pair of the name and the part.
    """
    by_key = {key: name for name, named in weight_names(network).items() for key in named.keys}
    for lora, target in targets_of(network).items():
        keys = [key for key in target.weights if key in by_key and key.endswith(".weight")]
        if keys:
            yield lora, _place(network, target, by_key[keys[0]])


def _place(network: Network, target: Target, name: str) -> str | tuple[str, Rows]:
    source = network.table[target.weights[0]]
    if target.stored or source.slots == 1 or network.spec.name in LORA_NUMBERS:
        return name
    own = network.file.shapes[target.weights[0]][0]
    rows = source.rows(own * source.slots // source.span)
    return name, (0, rows.start, rows.stop - rows.start)


def _text_names(network: Network) -> Iterator[tuple[str, str]]:
    spec = network.spec
    for key in network.table:
        path, _, end = key.rpartition(".")
        yield key, f"{spec.name}.transformer.{lora_paths(spec.kind, path)[0]}.{end}"


def _shape(network: Network, named: NamedWeight) -> tuple[int, ...]:
    if not named.is_stored:
        return tuple(network.file.shapes[named.keys[0]])
    source = network.table[named.keys[0]]
    if source.key in network.header:
        return tuple(network.header.shape(source.key))
    shapes = [network.file.shapes[key] for key in named.keys]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _plain_name(key: str) -> str:
    """Return a denoiser's name of a weight without the beginning that it has in its file."""
    for start in _STORED:
        if key.startswith(start):
            return key.removeprefix(start)
    return key
