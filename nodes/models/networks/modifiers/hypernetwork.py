"""Hypernetworks: small networks that change what attention makes its keys and values of.

For each width that keys and values are made of, one network f_k changes what becomes the keys, and
another, f_v, what becomes the values: x + strength * f(x). They are AUTOMATIC1111's, and no
hypernetworks in the sense of Ha et al. 2016 (arXiv:1609.09106).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.families.adapters.hypernetwork import (
    HypernetworkLayers,
    Layer,
    read_hypernetwork,
)
from nodes.models.networks.base.call_context import current_memory, wrap
from nodes.models.networks.modifiers.unet_parts import all_attentions, unet_of
from nodes.models.weights.header import read_header
from nodes.models.weights.reader import open_tensors

_KEYS, _VALUES = 0, 1

Weights: TypeAlias = tuple[Tensor, ...]
"""The weights and biases of one small network, in the order of its layers."""


class _Attention(Protocol):
    to_k: nn.Linear
    to_v: nn.Linear


class _Changing(Protocol):
    changes: "list[_Change]"


@dataclass(frozen=True)
class HypernetworkFile:
    """A hypernetwork's file; equal to another by its content."""

    path: Path = field(compare=False)
    identity: str
    """The file's sha256."""

    @cached_property
    def layers(self) -> HypernetworkLayers:
        """Its layers, by the file's header.

        Raises:
            NodeGraphError: the file is damaged, or no hypernetwork that is known.
        """
        return read_hypernetwork(read_header(self.path))

    @cached_property
    def weights(self) -> Mapping[tuple[int, int], Weights]:
        """The weights of each small network, by its width and its part, as the file has them.

        They are views of the mapped file.
        """
        with open_tensors(self.path) as file:
            return {
                (width, part): tuple(file.get_tensor(key) for key in _keys(layers))
                for width, pair in self.layers.by_width.items()
                for part, layers in enumerate(pair)
            }


@dataclass(frozen=True, slots=True)
class Hypernetwork:
    """Changes the keys and values of all attentions of a U-Net; other widths stay as they are."""

    file: HypernetworkFile
    strength: float

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: it is no U-Net.
        """
        unet = unet_of(network, "HypernetworkLoader")
        for module in all_attentions(unet):
            attention = cast("_Attention", module)
            for part, layer in ((_KEYS, attention.to_k), (_VALUES, attention.to_v)):
                width = layer.in_features
                if width in self.file.layers.by_width:
                    _changes_of(layer).append(_Change(self.file, width, part, self.strength))


def attention_widths(network: nn.Module) -> set[int]:
    """Return the widths of what a U-Net's attentions make their keys and values of."""
    attentions = cast("list[_Attention]", list(all_attentions(network)))
    return {attention.to_k.in_features for attention in attentions}


def _changes_of(layer: nn.Linear) -> "list[_Change]":
    """Return the changes of what a layer reads, which may be added to; the first comes first."""
    changing = cast("_Changing", layer)
    if not hasattr(layer, "changes"):
        changing.changes = []
        wrap(layer, partial(_feed, changing.changes))
    return changing.changes


def _feed(changes: "Sequence[_Change]", forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    for change in changes:
        x = change(x)
    return forward(x)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of what a layer makes keys or values of."""

    file: HypernetworkFile
    width: int
    part: int
    strength: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return x + strength * f(x); `x` is [batch, tokens, width]."""
        found = self.file.layers
        layers = found.by_width[self.width][self.part]
        return x + self.strength * _run(layers, self._weights(x), found.activation, x)

    def _weights(self, x: Tensor) -> Weights:
        """Return the weights where `x` is and in its dtype, the same at every step of a run."""
        weights = self.file.weights[self.width, self.part]

        def make() -> Weights:
            return tuple(weight.to(x) for weight in weights)

        stay = all(each.dtype == x.dtype and each.device == x.device for each in weights)
        if stay or torch.compiler.is_compiling():
            return make()
        return current_memory().recall(("hypernetwork", x.dtype), (weights,), make)


def _run(layers: Sequence[Layer], weights: Weights, activation: str | None, x: Tensor) -> Tensor:
    """Return f(x), shaped as `x`."""
    following = iter(weights)
    activate = nn.Identity() if activation is None else cast("nn.Module", getattr(nn, activation)())
    for layer in layers:
        weight, bias = next(following), next(following) if layer.bias else None
        if layer.is_linear:
            x = functional.linear(x, weight, bias)
        else:
            x = functional.layer_norm(x, weight.shape, weight, bias)
        if layer.activates:
            x = cast("Tensor", activate(x))
    return x


def _keys(layers: Sequence[Layer]) -> list[str]:
    """Return the keys of the layers' tensors, in the order of `Weights`."""
    return [key for layer in layers for key in (layer.weight, layer.bias) if key]
