"""Patches: changes to a network's weights that a handle carries along."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from nodes.errors import LoraMismatchError
from nodes.weights.convert import from_file
from nodes.weights.lora_file import LoraFile, Module
from nodes.weights.lora_math import change, decomposed
from nodes.weights.lora_names import Target, targets_of
from nodes.weights.network import Network
from nodes.weights.tensors import opened


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
        return frozenset(key for target in self.targets.values() for key in target.weights)

    @torch.no_grad()
    def apply(self, network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """New tensors for the weights it changes; see `nodes.weights.network.Patch`."""
        changed: dict[str, Tensor] = {}
        with opened(self.file.path) as file:
            for name, target in self.targets.items():
                keys = self.file.modules[name]
                parts = {part: file.get_tensor(key).float() for part, key in keys.items()}
                for key in target.weights:
                    bias = f"{key.removesuffix('.weight')}.bias"
                    if "diff_b" in parts and bias in weights:
                        added = self.strength * parts["diff_b"].to(weights[bias])
                        changed[bias] = weights[bias] + added
                    weight = changed.get(key, weights[key])
                    changed[key] = self._changed(network, key, weight, parts, target)
        return changed

    def _changed(
        self,
        network: Network,
        key: str,
        weight: Tensor,
        parts: Mapping[str, Tensor],
        target: Target,
    ) -> Tensor:
        delta = change(parts)
        if delta is None:
            return weight
        if target.stored:
            delta = from_file(network.table[key], delta)
        if delta.numel() != weight.numel():
            raise LoraMismatchError(self.file.path.name, [key])
        exact = weight.float()
        delta = delta.reshape(weight.shape).to(weight.device)
        if "dora_scale" in parts:
            aim = decomposed(exact, delta, parts["dora_scale"].to(weight.device))
            return (exact + self.strength * (aim - exact)).to(weight.dtype)
        return (exact + self.strength * delta).to(weight.dtype)


def lora_patch(file: LoraFile, strength: float, network: Network) -> LoraPatch:
    """The part of a LoRA that changes a network; its `targets` are empty if none does."""
    named = targets_of(network)
    targets = {
        name: named[name]
        for name, module in file.modules.items()
        if name in named and _fits(file, module, network, named[name])
    }
    return LoraPatch(file, strength, targets)


def _fits(file: LoraFile, module: Module, network: Network, target: Target) -> bool:
    """Whether the factors of a plain LoRA have the sizes of the weight."""
    if "up" not in module or "down" not in module or "mid" in module:
        return True
    up, down = (file.header.shape(module[part]) for part in ("up", "down"))
    source = network.table[target.weights[0]]
    numbers = prod(network.header.shape(source.key))
    whole = numbers if target.stored else source.share(numbers)
    return up[0] * prod(down[1:]) == whole
