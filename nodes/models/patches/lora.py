"""LoRAs as patches on a network's weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from nodes.models.loading.network import Network
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.loading.variants.widening import can_widen
from nodes.models.patches.lora_beside import LoraChange, QuantizedWeights
from nodes.models.patches.lora_file import LoraFile, Module, factored_size, weight_size
from nodes.models.patches.lora_math import (
    FusedWeights,
    Parts,
    bias_change,
    change_weight,
    in_float32,
)
from nodes.models.patches.lora_names import Target, targets_of
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import open_tensors

_OF_BIASES = frozenset(("diff_b", "up_bias"))
"""The parts of a module that change a bias."""


@dataclass(frozen=True, slots=True)
class LoraPatch:
    """A LoRA at some strength, on one network."""

    file: LoraFile
    strength: float
    targets: Mapping[str, Target] = field(compare=False)
    """The modules of the file that change this network."""

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes."""
        return frozenset(
            key
            for name, target in self.targets.items()
            for key in (
                *(target.weights if set(self.file.modules[name]) - _OF_BIASES else ()),
                *(_biases(target) if set(self.file.modules[name]) & _OF_BIASES else ()),
            )
        )

    @torch.no_grad()
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the weights after the change; see `nodes.models.loading.network.Patch`."""
        place = network.placement
        with open_tensors(self.file.path) as file:
            for name, target in self.targets.items():
                keys = self.file.modules[name]
                parts = {part: file.get_tensor(key) for part, key in keys.items()}
                if name in self.file.configured_alphas:
                    parts["alpha"] = torch.tensor(self.file.configured_alphas[name])
                for fused, own in _changes(network, target, parts):
                    stored = {key: weights.stored_weight(key) for key in fused.keys}
                    size = factored_size(self.file.header, keys) if own is parts else None
                    if quantized := _take_quantized(stored, size):
                        change = LoraChange(own, self.strength, place.dtype)
                        yield change.beside(quantized, fused)
                    else:
                        read = {
                            key: weights.in_full_precision(weight) for key, weight in stored.items()
                        }
                        given = in_float32(own, place.device)
                        merged = change_weight(fused.join(read), given, self.strength)
                        yield fused.split(merged.to(place.dtype))


def lora_patch(file: LoraFile, strength: float, network: Network) -> LoraPatch:
    """Return the part of a LoRA that changes a network; without `targets` if none does."""
    named = targets_of(network)
    targets = {
        name: named[name]
        for name, module in file.modules.items()
        if name in named and _fits(file, module, network, named[name])
    }
    return LoraPatch(file, strength, targets)


def _take_quantized(stored: Mapping[str, Tensor], size: int | None) -> QuantizedWeights | None:
    """Return the weights if all are quantized, and they have `size` elements together."""
    found = {k: weight for k, weight in stored.items() if isinstance(weight, QuantizedTensor)}
    whole = len(found) == len(stored) and size == sum(each.numel() for each in found.values())
    return found if whole else None


def _changes(
    network: Network, target: Target, parts: Parts
) -> Iterator[tuple[FusedWeights, Parts]]:
    """Yield the weights with the tensors that change them, then the same for their biases."""
    biases = bias_change(parts)
    if parts.keys() - _OF_BIASES:
        yield FusedWeights.in_layout(network.table, target.weights, stored=target.stored), parts
    if biases:
        yield FusedWeights.in_layout(network.table, _biases(target), stored=target.stored), biases


def _biases(target: Target) -> tuple[str, ...]:
    return tuple(f"{key.removesuffix('.weight')}.bias" for key in target.weights)


def _fits(file: LoraFile, module: Module, network: Network, target: Target) -> bool:
    """Return True if a module's change has the size of the weights, or may widen them."""
    for part in _OF_BIASES & module.keys():
        biases = _biases(target)
        if not all(key in network.table for key in biases):
            return False
        size = prod(file.header.shape(module[part]))
        if size != _numbers(network, biases, stored=target.stored):
            return False
    if not module.keys() - _OF_BIASES:
        return True
    size = weight_size(file.header, module)
    if size is None:
        return False
    own = _numbers(network, target.weights, stored=target.stored)
    return size == own or (size > own and can_widen(network.spec, target.weights))


def _numbers(network: Network, keys: tuple[str, ...], *, stored: bool) -> int:
    """Return the number of elements of these weights together."""
    sources = [network.table[key] for key in keys]
    if stored:
        return network.header.tensors[sources[0].key].numel
    return sum(source.share(network.header.tensors[source.key].numel) for source in sources)
