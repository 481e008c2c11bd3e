"""Weights in the places that a split gives them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nodes.models.residency.conveyor import Conveyor
from nodes.models.residency.layout import storage_nbytes, stored_nbytes, take_apart
from nodes.models.residency.parked_unit import HostArena, ParkedUnit
from nodes.models.residency.split import Split
from nodes.models.residency.streaming import stream

_MOST_KEPT = 1.25
"""The most that units may keep in memory, by their own bytes."""


class PlacedWeights:
    """The weights of a network in their places, and those that its modules are built with.

    Args:
        weights: all of them: on the device, or on the host on their way there and back.
        units: those that are parked, by name.
        split: of the weights.
        device: where the network computes.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        units: Mapping[str, ParkedUnit],
        split: Split,
        device: torch.device,
    ) -> None:
        self.units = units
        self.split = split
        self._weights = weights
        self._conveyor = Conveyor(units, device, split.slots) if split.slots else None

    @property
    def is_away(self) -> bool:
        """True if it can not compute: nothing is on the device, or what is parked can not come."""
        split = self.split
        if split.held_bytes == 0:
            return bool(split.parked or split.looked_up)
        return bool(split.parked) and not split.slots

    @property
    def slots(self) -> list[Tensor]:
        """The memory on the device that parked units pass through."""
        return [] if self._conveyor is None else self._conveyor.buffers

    @property
    def host_bytes(self) -> int:
        """The bytes that parked weights take on the host."""
        tables = sum(stored_nbytes(self._weights[key]) for key in self.split.looked_up)
        return storage_nbytes(unit.buffer for unit in self.units.values()) + tables

    def module(self, skeleton: nn.Module, own: Mapping[str, Tensor]) -> nn.Module:
        """Return a network with its weights: parked ones are there while they are used.

        Args:
            skeleton: the network without weights.
            own: weights that only this module has.
        """
        absent = {key: each for unit in self.units.values() for key, each in unit.empty.items()}
        skeleton.load_state_dict({**self._weights, **absent, **own}, assign=True)
        if self._conveyor is not None:
            stream(skeleton, self._conveyor, own)
        return skeleton.eval().requires_grad_(False)


def place(
    weights: dict[str, Tensor],
    split: Split,
    device: torch.device,
    before: Mapping[str, ParkedUnit] | None = None,
) -> PlacedWeights:
    """Move weights to their places, and park units.

    What goes to the host goes first; what is parked already stays where it is.

    Args:
        weights: all of a network, wherever they are; those that move are replaced.
        split: says what stays on the device.
        device: where the network computes.
        before: units that may be parked already, by name.
    """
    known, units = before or {}, dict[str, ParkedUnit]()
    parked = [unit for unit in split.parked if _is_parked(known.get(unit.name), weights)]
    if _wastes([known[unit.name] for unit in parked]):
        parked = []
    moving = [unit for unit in split.parked if unit not in parked]
    arena = HostArena(sum(unit.flat_nbytes for unit in moving), device)
    for unit in split.parked:
        if unit in parked:
            units[unit.name] = known[unit.name]
            continue
        units[unit.name] = made = ParkedUnit({k: weights[k] for k in unit.keys}, arena)
        weights.update(made.weights)
    left = {key for unit in known.values() for key in unit.weights}
    for key in split.looked_up:
        weight = move(weights[key], torch.device("cpu"))
        weights[key] = weight.clone() if key in left else weight  # or it keeps its unit in memory
    for key in split.resident:
        weights[key] = move(weights[key], device)
    return PlacedWeights(weights, units, split, device)


def keys_beside(weights: Mapping[str, Tensor], device: torch.device) -> frozenset[str]:
    """Return the weights that are not on a device."""
    return frozenset(key for key, each in weights.items() if each.device.type != device.type)


def move(weight: Tensor, device: torch.device) -> Tensor:
    """Return a weight on a device, stored as it is."""
    if weight.device.type == device.type:
        return weight
    parts, rebuild = take_apart(weight)
    return rebuild(iter([part.to(device) for part in parts]))


def _wastes(units: Sequence[ParkedUnit]) -> bool:
    """Return True if units keep much more memory than they use, for others that are gone."""
    buffers = [unit.buffer for unit in units]
    return storage_nbytes(buffers) > _MOST_KEPT * sum(len(buffer) for buffer in buffers)


def _is_parked(unit: ParkedUnit | None, weights: Mapping[str, Tensor]) -> bool:
    return unit is not None and unit.holds(weights)
