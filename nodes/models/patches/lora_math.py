"""The change that a LoRA's module makes, and the weights it makes it to.

A module changes one weight, or several that the checkpoint's file has fused in one tensor. The
kinds of change are those of LoRA (arXiv:2106.09685), LoHa, LoKr and DoRA (arXiv:2402.09353).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.models.loading.variants.widening import pad_columns
from nodes.models.weights.key_convert import from_file, to_file
from nodes.models.weights.key_table import KeyTable, Source


@dataclass(frozen=True, slots=True)
class FusedWeights:
    """The weights of a network that a LoRA changes as one tensor."""

    keys: tuple[str, ...]
    """The network's own, in the file's order if they are fused there."""
    sources: tuple[Source, ...] = ()
    """The source of each in the file's layout; empty for one weight in the network's own layout."""

    @classmethod
    def in_layout(cls, table: KeyTable, keys: tuple[str, ...], *, stored: bool) -> "FusedWeights":
        """Return the weights of some keys, in the file's layout if `stored`."""
        if not stored:
            return cls(keys)
        ordered = tuple(sorted(keys, key=lambda key: table[key].slot))
        return cls(ordered, tuple(table[key] for key in ordered))

    def join(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Return one tensor of them all, in float32."""
        if not self.sources:
            return weights[self.keys[0]].float()
        pairs = zip(self.keys, self.sources, strict=True)
        parts = [to_file(source.op, weights[key].float()) for key, source in pairs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def split(self, joined: Tensor) -> dict[str, Tensor]:
        """Return the weights in one tensor: the inverse of `join`."""
        if not self.sources:
            return {self.keys[0]: joined}
        pairs = zip(self.keys, self.sources, strict=True)
        return {key: from_file(source, joined) for key, source in pairs}

    def with_sources(self) -> Iterator[tuple[str, Source | None]]:
        """Yield each weight with its source; None in the network's own layout."""
        yield from zip_longest(self.keys, self.sources)


Parts: TypeAlias = Mapping[str, Tensor]
"""The tensors of one module, by their part: `up`, `down`, …"""


def in_float32(parts: Parts, device: torch.device) -> Parts:
    """Return the tensors of a module in float32, on a device but for the one that is a number."""
    return {
        part: tensor.float() if part == "alpha" else tensor.to(device).float()
        for part, tensor in parts.items()
    }


def alpha_of(parts: Parts) -> float | None:
    """Return the number of a module that says how strong its change is; None if it has none."""
    return float(parts["alpha"]) if "alpha" in parts else None


def weight_delta(parts: Parts, alpha: float | None) -> Tensor | None:
    """Return the change to a weight at strength 1, in the trainer's shape.

    None if no kind of change that is known here is in the module.
    """
    if "up" in parts and "down" in parts:
        return _low_rank(parts, alpha)
    if "hada_w1_a" in parts:
        return _hadamard(parts, alpha)
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        return _kronecker(parts, alpha)
    return parts.get("diff")


def change_weight(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """Return a weight in float32 after the change of a module.

    Args:
        weight: several that are fused are one; it may have fewer columns than the change (see
            `nodes.models.loading.variants.widening`).
        parts: of the module, in float32 on the weight's device.
        strength: of the change.
    """
    if "set" in parts:
        return parts["set"].reshape(weight.shape)
    delta = weight_delta(parts, alpha_of(parts))
    if delta is None:
        return weight
    if delta.numel() != weight.numel():
        columns = max(weight.shape[1], delta.shape[1])
        weight, delta = pad_columns(weight, columns), pad_columns(delta, columns)
    delta = delta.reshape(weight.shape)
    if "dora_scale" in parts:
        delta = apply_dora(weight, delta, parts["dora_scale"]) - weight
    own = None if "diff" in parts else delta  # which nothing else reads; `diff` is the file's
    return torch.mul(delta, strength, out=own).add_(weight)


def bias_change(parts: Parts) -> Parts:
    """Return the parts of a module that change its bias; empty if none does.

    The bias of PEFT's second factor is scaled as the factors are; other changes are whole.
    """
    if "up_bias" in parts:
        scale = _scale(alpha_of(parts), parts["down"].shape[0]) if "down" in parts else 1.0
        return {"diff": parts["up_bias"] * scale}
    return {"diff": parts["diff_b"]} if "diff_b" in parts else {}


def apply_dora(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """Return DoRA's weight: the direction of the changed weight, times learned magnitudes.

    There is one magnitude a row or a column, as the shape of `magnitude` tells.
    """
    merged = weight + delta
    axis = 0 if magnitude.shape[0] == weight.shape[0] else 1
    others = [dim for dim in range(merged.ndim) if dim != axis]
    norm = merged.square().sum(dim=others, keepdim=True).sqrt()
    return merged * (magnitude.reshape(norm.shape) / norm)


def _scale(alpha: float | None, rank: int) -> float:
    return 1.0 if alpha is None else alpha / rank


def _low_rank(parts: Parts, alpha: float | None) -> Tensor:
    up, down = parts["up"], parts["down"]
    scale = _scale(alpha, down.shape[0])
    if "mid" in parts:
        mid = parts["mid"]
        return scale * torch.einsum("oa,ab...,bi->oi...", up.flatten(1), mid, down.flatten(1))
    product = (up.flatten(1) @ down.flatten(1)).mul_(scale)
    return product.reshape(up.shape[0], *down.shape[1:])


def _hadamard(parts: Parts, alpha: float | None) -> Tensor:
    halves = [
        _product(parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}"))
        for n in (1, 2)
    ]
    return _scale(alpha, parts["hada_w1_b"].shape[0]) * halves[0] * halves[1]


def _kronecker(parts: Parts, alpha: float | None) -> Tensor:
    rank = 0
    factors: list[Tensor] = []
    for n in (1, 2):
        whole = parts.get(f"lokr_w{n}")
        if whole is None:
            second = parts[f"lokr_w{n}_b"]
            core = parts.get("lokr_t2") if n == 2 else None
            whole = _product(parts[f"lokr_w{n}_a"], second, core)
            rank = second.shape[0]
        factors.append(whole)
    first, second = factors
    first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
    return (_scale(alpha, rank) if rank else 1.0) * torch.kron(first, second)


def _product(first: Tensor, second: Tensor, core: Tensor | None) -> Tensor:
    """Return the product of two matrices, or of a Tucker decomposition around a core."""
    if core is None:
        return first @ second
    return torch.einsum("ij...,jr,ip->pr...", core, second, first)
