"""Weights that a LoRA changes as one: fused as in the checkpoint's file, or one by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.weights.key_convert import from_file, to_file
from nodes.models.weights.key_table import KeyTable, Source


@dataclass(frozen=True, slots=True)
class Whole:
    """Some weights of a network, in the layout that a LoRA has them in."""

    keys: tuple[str, ...]
    """The network's own, in the file's order if they are fused there."""
    sources: tuple[Source, ...] = ()
    """Where each comes from; empty if the layout is the network's, which is so for one only."""

    @classmethod
    def of(cls, table: KeyTable, keys: tuple[str, ...], *, stored: bool) -> "Whole":
        """Those weights; `stored` says that they are laid out as in the file."""
        if not stored:
            return cls(keys)
        ordered = tuple(sorted(keys, key=lambda key: table[key].slot))
        return cls(ordered, tuple(table[key] for key in ordered))

    def join(self, weights: Mapping[str, Tensor]) -> Tensor:
        """One tensor of them all, in float32."""
        if not self.sources:
            return weights[self.keys[0]].float()
        pairs = zip(self.keys, self.sources, strict=True)
        parts = [to_file(source.op, weights[key].float()) for key, source in pairs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def split(self, whole: Tensor) -> dict[str, Tensor]:
        """The inverse of `join`."""
        if not self.sources:
            return {self.keys[0]: whole}
        pairs = zip(self.keys, self.sources, strict=True)
        return {key: from_file(source, whole) for key, source in pairs}


Parts: TypeAlias = Mapping[str, Tensor]
"""The tensors of one module, by what they are."""


def change(parts: Parts) -> Tensor | None:
    """What a module adds to a weight at strength 1; shaped as the trainer has it.

    None if the module adds nothing that is known here.
    """
    if "up" in parts and "down" in parts:
        return _low_rank(parts)
    if "hada_w1_a" in parts:
        return _hadamard(parts)
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        return _kronecker(parts)
    return parts.get("diff")


def decomposed(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA: the changed weight's direction, with magnitudes of its own.

    They are one a row or one a column, as the shape of `magnitude` tells.
    """
    merged = weight + delta
    axis = 0 if magnitude.shape[0] == weight.shape[0] else 1
    others = [dim for dim in range(merged.ndim) if dim != axis]
    norm = merged.square().sum(dim=others, keepdim=True).sqrt()
    return merged * (magnitude.reshape(norm.shape) / norm)


def _scale(parts: Parts, rank: int) -> float:
    return float(parts["alpha"]) / rank if "alpha" in parts else 1.0


def _low_rank(parts: Parts) -> Tensor:
    up, down = parts["up"], parts["down"]
    scale = _scale(parts, down.shape[0])
    if "mid" in parts:
        mid = parts["mid"]
        return scale * torch.einsum("oa,ab...,bi->oi...", up.flatten(1), mid, down.flatten(1))
    return scale * (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def _hadamard(parts: Parts) -> Tensor:
    halves = [
        _factored(parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}"))
        for n in (1, 2)
    ]
    return _scale(parts, parts["hada_w1_b"].shape[0]) * halves[0] * halves[1]


def _kronecker(parts: Parts) -> Tensor:
    rank = 0
    factors: list[Tensor] = []
    for n in (1, 2):
        whole = parts.get(f"lokr_w{n}")
        if whole is None:
            second = parts[f"lokr_w{n}_b"]
            core = parts.get("lokr_t2") if n == 2 else None
            whole = _factored(parts[f"lokr_w{n}_a"], second, core)
            rank = second.shape[0]
        factors.append(whole)
    first, second = factors
    first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
    return (_scale(parts, rank) if rank else 1.0) * torch.kron(first, second)


def _factored(first: Tensor, second: Tensor, core: Tensor | None) -> Tensor:
    """A product of two matrices, or a Tucker decomposition around a core."""
    if core is None:
        return first @ second
    return torch.einsum("ij...,jr,ip->pr...", core, second, first)
