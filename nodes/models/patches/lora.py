"""LoRAs as patches on a network's weights."""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import cast

import torch
from torch import Tensor

from nodes.models.loading.network import Network
from nodes.models.loading.widening import can_widen, pad_columns
from nodes.models.patches.lora_file import LoraFile, Module, weight_size
from nodes.models.patches.lora_math import FusedWeights, Parts, apply_dora, weight_delta
from nodes.models.patches.lora_names import Target, targets_of
from nodes.models.weights.reader import open_tensors


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
                *(target.weights if set(self.file.modules[name]) != {"diff_b"} else ()),
                *(_biases(target) if "diff_b" in self.file.modules[name] else ()),
            )
        )

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights after the change; see `nodes.models.loading.network.Patch`."""
        changed: dict[str, Tensor] = {}
        now = ChainMap(changed, cast("dict[str, Tensor]", weights))
        device = network.placement.device
        with open_tensors(self.file.path) as file:
            for name, target in self.targets.items():
                keys = self.file.modules[name]
                parts = {part: file.get_tensor(key) for part, key in keys.items()}
                own = {
                    part: tensor.float() if part == "alpha" else tensor.to(device).float()
                    for part, tensor in parts.items()
                }
                for fused, tensors in _changes(network, target, own):
                    merged = self._add(fused.join(now), tensors)
                    changed |= fused.split(merged.to(network.placement.dtype))
        return changed

    def _add(self, weight: Tensor, parts: Parts) -> Tensor:
        """Return a weight, in float32, after the change."""
        if "set" in parts:
            return parts["set"].reshape(weight.shape)
        delta = weight_delta(parts)
        if delta is None:
            return weight
        if delta.numel() != weight.numel():  # see `nodes.models.loading.widening`
            columns = max(weight.shape[1], delta.shape[1])
            weight, delta = pad_columns(weight, columns), pad_columns(delta, columns)
        delta = delta.reshape(weight.shape)
        if "dora_scale" in parts:
            delta = apply_dora(weight, delta, parts["dora_scale"]) - weight
        return weight + self.strength * delta


def lora_patch(file: LoraFile, strength: float, network: Network) -> LoraPatch:
    """Return the part of a LoRA that changes a network; without `targets` if none does."""
    named = targets_of(network)
    targets = {
        name: named[name]
        for name, module in file.modules.items()
        if name in named and _fits(file, module, network, named[name])
    }
    return LoraPatch(file, strength, targets)


def _changes(
    network: Network, target: Target, parts: Parts
) -> Iterator[tuple[FusedWeights, Parts]]:
    """Yield the weights with the tensors that change them, then the same for their biases."""
    biases = {"diff": parts["diff_b"]} if "diff_b" in parts else {}
    if len(parts) > len(biases):
        yield FusedWeights.in_layout(network.table, target.weights, stored=target.stored), parts
    if biases:
        yield FusedWeights.in_layout(network.table, _biases(target), stored=target.stored), biases


def _biases(target: Target) -> tuple[str, ...]:
    return tuple(f"{key.removesuffix('.weight')}.bias" for key in target.weights)


def _fits(file: LoraFile, module: Module, network: Network, target: Target) -> bool:
    """Return True if a module's change has the size of the weights, or may widen them."""
    if "diff_b" in module:
        biases = _biases(target)
        if not all(key in network.table for key in biases):
            return False
        size = prod(file.header.shape(module["diff_b"]))
        if size != _numbers(network, biases, stored=target.stored):
            return False
        if len(module) == 1:
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
