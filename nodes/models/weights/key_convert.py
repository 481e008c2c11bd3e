"""Apply a key table to tensors, in either direction."""

from collections import defaultdict
from collections.abc import Mapping

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
    if op == "conv1x1":
        return part.flatten(1)
    if op == "transpose":
        return part.T
    if op == "swap":
        return torch.cat(part.chunk(2)[::-1])
    if op == "frame":
        return part.squeeze(2) if part.ndim == _VIDEO else part
    return part


def to_file(op: Op, weight: Tensor) -> Tensor:
    """Return one part of the file's tensor from a weight: the inverse of `to_network`."""
    if op == "conv1x1":
        return weight[:, :, None, None]
    if op == "transpose":
        return weight.T
    if op == "swap":
        return torch.cat(weight.chunk(2)[::-1])
    if op == "frame":
        return weight.unsqueeze(2)
    return weight


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
