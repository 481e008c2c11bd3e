"""Apply a key table to tensors, in either direction."""

from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nodes.models.weights.key_table import KeyTable, Op, Source

_VIDEO = 5
"""The dimensions of a convolution's weight over frames, rows and columns."""


def from_file(source: Source, stored: Tensor) -> Tensor:
    """Return the network's weight from the file's whole tensor; a view where that is possible."""
    return to_network(source.op, stored[source.rows(len(stored))] if source.slots > 1 else stored)


def to_network(op: Op, part: Tensor) -> Tensor:
    """Return the network's weight from its part of the file's tensor."""
    return _TO_NETWORK[op](part)


def to_file(op: Op, weight: Tensor) -> Tensor:
    """Return one part of the file's tensor from a weight: the inverse of `to_network`."""
    return _TO_FILE[op](weight)


def _same(weight: Tensor) -> Tensor:
    return weight


def _swap(weight: Tensor) -> Tensor:
    return torch.cat(weight.chunk(2)[::-1])


def _transpose(weight: Tensor) -> Tensor:
    return weight.T


_TO_NETWORK: Mapping[Op, Callable[[Tensor], Tensor]] = {
    "id": _same,
    "conv1x1": lambda part: part.flatten(1),
    "transpose": _transpose,
    "swap": _swap,
    "frame": lambda part: part.squeeze(2) if part.ndim == _VIDEO else part,
    "sixths": lambda part: part.reshape(6, -1),
}
_TO_FILE: Mapping[Op, Callable[[Tensor], Tensor]] = {
    "id": _same,
    "conv1x1": lambda weight: weight[:, :, None, None],
    "transpose": _transpose,
    "swap": _swap,
    "frame": lambda weight: weight.unsqueeze(2),
    "sixths": torch.flatten,
}


def export(table: KeyTable, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's state dict under the file's keys and in its layout; contiguous."""
    parts: defaultdict[str, dict[int, Tensor]] = defaultdict(dict)
    for key, source in table.items():
        parts[source.key][source.slot] = to_file(source.op, state[key])
    return {
        key: torch.cat([slots[n] for n in sorted(slots)]).contiguous()
        if len(slots) > 1
        else slots[0].contiguous()
        for key, slots in parts.items()
    }
