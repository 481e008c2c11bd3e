"""Weights that a LoRA changes as one: fused as in the checkpoint's file, or one by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.weights.convert import from_file, to_file
from nodes.weights.tables import KeyTable, Source


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
