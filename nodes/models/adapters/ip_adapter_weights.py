"""Weights of an IP-Adapter that differ from one cross-attention of a U-Net to the next.

A U-Net's transformers are numbered in the order in which they are computed: 16 in Stable Diffusion
1.5 (0-5 before the middle, 6 in the middle, 7-15 after it), 11 in SDXL (0-3, 4, 5-10). Which of
SDXL's carry style and which the composition is InstantStyle's finding (arXiv:2404.02733).
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from nodes.models.loading.diffusion_model import DiffusionModel

Place: TypeAlias = Literal["down", "mid", "up"]
Shape: TypeAlias = Callable[["Layer"], float]
"""A function from a layer to the factor of its weight."""

_CROSS = re.compile(r"(down|mid|up)_block(?:s\.(\d+))?\.attentions\.(\d+)\..*attn2\.to_k\.weight")
_FAINT = 0.2
_LEAST = 0.05
_COUNT_XL = 11
_STYLE_XL, _COMPOSITION_XL = 6, 3
_STYLE = frozenset({0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15})
_COMPOSITION: Mapping[int, float] = {4: 0.25, 5: 1.0}
"""Of Stable Diffusion 1.5."""
_PENALTY_WIDTH = 1280


@dataclass(frozen=True, slots=True)
class Layer:
    """A cross-attention of a U-Net."""

    place: Place
    number: int
    """The number of its transformer."""
    count: int
    """The number of transformers."""
    width: int

    @property
    def is_xl(self) -> bool:
        """True in the U-Net of Stable Diffusion XL."""
        return self.count == _COUNT_XL

    @property
    def part(self) -> float:
        """Its place on the way through the U-Net, from 0 to 1."""
        return self.number / self.count


def layers_of(model: DiffusionModel) -> list[Layer]:
    """Return a U-Net's cross-attentions, in the order in which IP-Adapters have their layers."""
    network = model.network
    found = [
        (match, network.header.shape(source.key)[0])
        for name, source in network.file.sources.items()
        if (match := _CROSS.fullmatch(name))
    ]
    keys = [(match[1], int(match[2] or 0), int(match[3])) for match, _ in found]
    in_order = sorted(set(keys))  # down, mid, up
    return [
        Layer(cast("Place", key[0]), in_order.index(key), len(in_order), width)
        for key, (_, width) in zip(keys, found, strict=True)
    ]


def weights_of(model: DiffusionModel, weight: float, shape: Shape) -> Tensor:
    """Return the factor of each column of an IP-Adapter's keys or values: [widths]."""
    layers = layers_of(model)
    factors = torch.tensor([weight * shape(layer) for layer in layers])
    return factors.repeat_interleave(torch.tensor([layer.width for layer in layers]))


def width_penalty(layer: Layer) -> float:
    """Return a factor that lowers the weight of narrow layers."""
    return layer.width / _PENALTY_WIDTH


def _at(*places: Place) -> Shape:
    return lambda layer: _FAINT if layer.place in places else 1.0


def _from_least(part: Callable[[float], float]) -> Shape:
    return lambda layer: _LEAST + (1 - _LEAST) * part(layer.part)


def _style(layer: Layer) -> float:
    return float(layer.number == _STYLE_XL if layer.is_xl else layer.number in _STYLE)


def _composition(layer: Layer) -> float:
    if layer.is_xl:
        return float(layer.number == _COMPOSITION_XL)
    return _COMPOSITION.get(layer.number, 0.0)


def _strong_style(layer: Layer) -> float:
    left_out: Collection[int] = (_COMPOSITION_XL,) if layer.is_xl else _COMPOSITION
    return float(layer.number not in left_out)


SHAPES: Mapping[str, Shape] = {
    "linear": lambda _: 1.0,
    "ease in": _from_least(lambda part: 1 - part),
    "ease out": _from_least(lambda part: part),
    "ease in-out": _from_least(lambda part: 1 - abs(2 * part - 1)),
    "reverse in-out": _from_least(lambda part: abs(2 * part - 1)),
    "weak input": _at("down"),
    "weak output": _at("up"),
    "weak middle": _at("mid"),
    "strong middle": _at("down", "up"),
    "style transfer": _style,
    "composition": _composition,
    "strong style transfer": _strong_style,
}
"""The ways in which the weight differs from layer to layer, by the names of IPAdapter_plus."""
