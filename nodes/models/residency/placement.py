"""Weights in the places that a split gives them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodes.models.residency.conveyor import Conveyor
from nodes.models.residency.layout import take_apart
from nodes.models.residency.parked_unit import HostArena, ParkedUnit
from nodes.models.residency.split import Split
from nodes.models.residency.streaming import stream


@dataclass(frozen=True, slots=True, eq=False)
class PlacedWeights:
    """The weights of a network: on the device, or on the host on their way there and back."""

    conveyor: Conveyor | None
    """Brings what is parked; None if nothing is."""

    @property
    def units(self) -> Mapping[str, ParkedUnit]:
        """The parked units by name."""
        return {} if self.conveyor is None else self.conveyor.units

    def placeholders(self) -> dict[str, Tensor]:
        """Return what a module is built with instead of parked weights."""
        return {key: each for unit in self.units.values() for key, each in unit.empty.items()}

    def stream_to(self, module: nn.Module) -> None:
        """Let a module, built with the placeholders, get parked weights when it is called."""
        if self.conveyor is not None:
            stream(module, self.conveyor)


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
    moving = [unit for unit in split.parked if not _is_parked(known.get(unit.name), weights)]
    arena = HostArena(sum(unit.flat_nbytes for unit in moving), device)
    for unit in split.parked:
        if unit not in moving:
            units[unit.name] = known[unit.name]
            continue
        units[unit.name] = parked = ParkedUnit({k: weights[k] for k in unit.keys}, arena)
        weights.update(parked.weights)
    for key in split.looked_up:
        weights[key] = move(weights[key], torch.device("cpu"))
    for key in split.resident:
        weights[key] = move(weights[key], device)
    conveyor = Conveyor(units, device, split.slots) if units else None
    return PlacedWeights(conveyor)


def move(weight: Tensor, device: torch.device) -> Tensor:
    """Return a weight on a device, stored as it is."""
    if weight.device.type == device.type:
        return weight
    parts, rebuild = take_apart(weight)
    return rebuild(iter([part.to(device) for part in parts]))


def _is_parked(unit: ParkedUnit | None, weights: Mapping[str, Tensor]) -> bool:
    return unit is not None and unit.holds(weights)
