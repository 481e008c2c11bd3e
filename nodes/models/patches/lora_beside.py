"""A LoRA's change beside quantized weights, which stay in few bits.

The factors of the change are added to the numbers whenever those are dequantized, by the
arithmetic that merges them into other weights, so that the sums have the same bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from nodes.models.patches.lora_math import FusedWeights, Parts, alpha_of, weight_delta
from nodes.models.weights.key_convert import to_file, to_network
from nodes.models.weights.key_table import Source
from nodes.models.weights.quantized import Quantization, QuantizedTensor

QuantizedWeights: TypeAlias = Mapping[str, QuantizedTensor]
"""Weights by the network's keys."""

_APART = ("alpha", "diff_b", "up_bias")
_AS_IT_IS = Source("")
"""The layout of weights whose change has the network's own."""


class LoraChange:
    """The change of one module of a LoRA to the weights of one tensor.

    Args:
        factors: the module's tensors, as its file has them; no whole changes, nor DoRA's.
        strength: of the LoRA.
        dtype: the precision that weights have once they are changed.
    """

    def __init__(self, factors: Parts, strength: float, dtype: torch.dtype) -> None:
        self._factors: dict[str, Tensor] = {
            part: each for part, each in factors.items() if part not in _APART
        }
        self._alpha = alpha_of(factors)
        self._strength = strength
        self._dtype = dtype

    def beside(self, weights: QuantizedWeights, fused: FusedWeights) -> dict[str, Tensor]:
        """Return weights with the change beside them; the factors go where their numbers are.

        Args:
            weights: changed already, or as their file has them.
            fused: what they are in the layout of the change.
        """
        return {
            key: self._beside(weights[key], source or _AS_IT_IS)
            for key, source in fused.with_sources()
        }

    def _beside(self, weight: QuantizedTensor, source: Source) -> QuantizedTensor:
        device = weight.packed.device
        for part, factor in self._factors.items():
            self._factors[part] = factor.to(device)
        factors, rows = dict(self._factors), _rows(weight, source)
        if rows is not None and _is_low_rank(factors) and len(factors["up"]) == rows.all:
            factors["up"], rows = factors["up"][rows.own], None
        return weight.stored_by(
            _Changed(
                weight.quantization,
                tuple(factors),
                tuple(factors.values()),
                self._alpha,
                self._strength,
                source,
                rows,
                self._dtype,
            )
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a weight in a tensor that several share."""

    own: slice
    all: int


@dataclass(frozen=True, slots=True)
class _Changed(Quantization):
    """Numbers in few bits, and the factors of a change to them."""

    tells_rows_apart: ClassVar[bool] = True

    before: Quantization
    parts: tuple[str, ...]
    """The names of the factors."""
    factors: tuple[Tensor, ...]
    alpha: float | None
    strength: float
    source: Source
    rows: _Rows | None
    """The rows of the whole change that are this weight's; None if it is this weight's alone."""
    dtype: torch.dtype

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`; the sums are rounded to the precision of merged weights first."""
        plain = self.before.dequantize(packed, shape, self.dtype).float()
        weight = to_file(self.source.op, plain)
        delta = self._delta().reshape(weight.shape)
        changed = delta.mul_(self.strength).add_(weight)
        return to_network(self.source.op, changed.to(self.dtype)).to(dtype)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Quantization`."""
        return (*self.before.tensors(), *self.factors)

    def without_tensors(self) -> "_Changed":
        """See `Quantization`."""
        return replace(self, before=self.before.without_tensors(), factors=())

    def with_tensors(self, tensors: Iterator[Tensor]) -> "_Changed":
        """See `Quantization`."""
        before = self.before.with_tensors(tensors)
        return replace(self, before=before, factors=tuple(islice(tensors, len(self.parts))))

    def as_stored(self) -> Quantization:
        """See `Quantization`."""
        return self.before.as_stored()

    def _delta(self) -> Tensor:
        """Return the change to this weight, which nothing else reads."""
        pairs = zip(self.parts, self.factors, strict=True)
        delta = weight_delta({part: factor.float() for part, factor in pairs}, self.alpha)
        assert delta is not None, "modules without factors are merged"
        return delta if self.rows is None else delta.reshape(self.rows.all, -1)[self.rows.own]


def _rows(weight: Tensor, source: Source) -> _Rows | None:
    if source.slots == 1:
        return None
    own = weight.shape[1 if source.op == "transpose" else 0]
    every = own * source.slots // source.span
    return _Rows(source.rows(every), every)


def _is_low_rank(factors: Parts) -> bool:
    """Return True for two matrices, of which rows of the first give rows of the product."""
    return "up" in factors and "down" in factors and "mid" not in factors
