"""Modules whose units get their weights when they are called."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from torch import Tensor, nn

from nodes.models.residency.conveyor import Conveyor
from nodes.models.residency.parked_unit import ParkedUnit

_Entry: TypeAlias = tuple[dict[str, Tensor | None], str, str]
"""Where a module holds a weight: its dict, the name in there, and the weight's key."""


@dataclass(slots=True, eq=False)
class _Binding:
    """One unit of one module."""

    name: str
    conveyor: Conveyor
    unit: ParkedUnit
    entries: list[_Entry]

    def open(self, *_: object) -> None:
        """Give the module its weights, which are on the device or on their way."""
        weights = self.conveyor.open(self.name, self)
        for held, name, key in self.entries:
            held[name] = weights[key]

    def close(self) -> None:
        """Take them away from the module; see `Passage`."""
        for held, name, key in self.entries:
            held[name] = self.unit.empty[key]

    def end(self, *_: object) -> None:
        """Tell the conveyor that the module has computed, or failed to."""
        self.conveyor.close(self)


def stream(module: nn.Module, conveyor: Conveyor, own: Collection[str] = ()) -> None:
    """Let a module get the weights of parked units when it calls them.

    Args:
        module: with the weights that are resident.
        conveyor: brings the others.
        own: weights of parked units that the module has in another version, which stay.
    """
    for name, unit in conveyor.units.items():
        part = module.get_submodule(name)
        entries = list(_entries(part, name, unit.weights.keys() - set(own)))
        binding = _Binding(name, conveyor, unit, entries)
        binding.close()
        part.register_forward_pre_hook(binding.open)
        part.register_forward_hook(binding.end, always_call=True)


def _entries(part: nn.Module, name: str, keys: Collection[str]) -> Iterator[_Entry]:
    """Yield the places of a unit's weights."""
    for inner, each in cast("Iterator[tuple[str, nn.Module]]", part.named_modules(prefix=name)):
        for held in (each._parameters, each._buffers):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            for own in held:
                if (key := f"{inner}.{own}") in keys:
                    yield cast("dict[str, Tensor | None]", held), own, key
