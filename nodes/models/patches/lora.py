"""Patches: changes to a network's weights that a handle carries along."""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import cast

import torch
from torch import Tensor

from nodes.models.loading.network import Network
from nodes.models.loading.widening import grows, widened
from nodes.models.patches.lora_file import LoraFile, Module, size_of
from nodes.models.patches.lora_math import Parts, Whole, change, decomposed
from nodes.models.patches.lora_names import Target, targets_of
from nodes.models.weights.reader import opened


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
        """New tensors for the weights it changes; see `nodes.models.loading.network.Patch`."""
        changed: dict[str, Tensor] = {}
        now = ChainMap(changed, cast("dict[str, Tensor]", weights))
        device = network.placement.device
        with opened(self.file.path) as file:
            for name, target in self.targets.items():
                keys = self.file.modules[name]
                parts = {part: file.get_tensor(key) for part, key in keys.items()}
                own = {part: tensor.to(device).float() for part, tensor in parts.items()}
                for whole, pieces in _pieces(network, target, own):
                    merged = self._merged(whole.join(now), pieces)
                    changed |= whole.split(merged.to(network.placement.dtype))
        return changed

    def _merged(self, weight: Tensor, parts: Parts) -> Tensor:
        """A weight, in float32, after the change."""
        if "set" in parts:
            return parts["set"].reshape(weight.shape)
        delta = change(parts)
        if delta is None:
            return weight
        if delta.numel() != weight.numel():  # see `nodes.models.loading.widening`
            columns = max(weight.shape[1], delta.shape[1])
            weight, delta = widened(weight, columns), widened(delta, columns)
        delta = delta.reshape(weight.shape)
        if "dora_scale" in parts:
            delta = decomposed(weight, delta, parts["dora_scale"]) - weight
        return weight + self.strength * delta


def lora_patch(file: LoraFile, strength: float, network: Network) -> LoraPatch:
    """The part of a LoRA that changes a network; its `targets` are empty if none does."""
    named = targets_of(network)
    targets = {
        name: named[name]
        for name, module in file.modules.items()
        if name in named and _fits(file, module, network, named[name])
    }
    return LoraPatch(file, strength, targets)


def _pieces(network: Network, target: Target, parts: Parts) -> Iterator[tuple[Whole, Parts]]:
    """What is changed by what: the weights, then their biases."""
    biases = {"diff": parts["diff_b"]} if "diff_b" in parts else {}
    if len(parts) > len(biases):
        yield Whole.of(network.table, target.weights, stored=target.stored), parts
    if biases:
        yield Whole.of(network.table, _biases(target), stored=target.stored), biases


def _biases(target: Target) -> tuple[str, ...]:
    return tuple(f"{key.removesuffix('.weight')}.bias" for key in target.weights)


def _fits(file: LoraFile, module: Module, network: Network, target: Target) -> bool:
    """Whether a module changes as many numbers as there are."""
    if "diff_b" in module:
        biases = _biases(target)
        if not all(key in network.table for key in biases):
            return False
        size = prod(file.header.shape(module["diff_b"]))
        if size != _numbers(network, biases, stored=target.stored):
            return False
        if len(module) == 1:
            return True
    size = size_of(file.header, module)
    if size is None:
        return False
    own = _numbers(network, target.weights, stored=target.stored)
    return size == own or (size > own and grows(network.spec, target.weights))


def _numbers(network: Network, keys: tuple[str, ...], *, stored: bool) -> int:
    """How many numbers these weights have together."""
    sources = [network.table[key] for key in keys]
    if stored:
        return network.header.tensors[sources[0].key].numel
    return sum(source.share(network.header.tensors[source.key].numel) for source in sources)
