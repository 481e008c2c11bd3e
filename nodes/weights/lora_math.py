"""How a module of a LoRA changes a weight; all in float32.

LoRA: Hu et al. 2021 (arXiv:2106.09685). LoCon, LoHa and LoKr: Yeh et al. 2023
(arXiv:2309.14859). DoRA: Liu et al. 2024 (arXiv:2402.09353).
"""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

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
