"""Slots on the device that units pass through: one computes while the next one is copied."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from nodes.models.residency.parked_unit import ParkedUnit
from nodes.models.residency.side_stream import Event, SideStream


class Passage(Protocol):
    """A unit of one module that is called."""

    def close(self) -> None:
        """Take the weights away from the module."""
        ...


@dataclass(slots=True, eq=False)
class _Slot:
    """A buffer on the device."""

    buffer: Tensor
    free: Event
    """After this nothing that was computed reads what lies in it."""
    unit: str | None = None
    """The unit that lies in it, or is on its way."""
    arrived: Event = None
    views: dict[str, dict[str, nn.Parameter]] = field(
        default_factory=dict[str, dict[str, nn.Parameter]]
    )
    """The weights of each unit that has been in it, as they lie in the buffer."""


class Conveyor:
    """Brings parked units to the device when they are called, each a little before.

    One thread at a time may compute with it: that which has the device's lane.

    Args:
        units: by name, in the order of the network's modules.
        device: where the network computes.
        slots: how many buffers there are, each as large as the largest unit.
    """

    def __init__(self, units: Mapping[str, ParkedUnit], device: torch.device, slots: int) -> None:
        self.units = units
        self._slots: list[_Slot] = []
        """The one that was written last at the end."""
        self._stream = SideStream(device)
        self._order = _CallOrder(tuple(units))
        size = max((len(unit.buffer) for unit in units.values()), default=0)
        buffers = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(slots)]
        free = self._stream.mark()
        self._slots += [_Slot(buffer, free) for buffer in buffers]
        self._in_use: tuple[_Slot, Passage] | None = None
        self._thread = 0

    def __del__(self) -> None:
        """Let the memory of the slots be used again only after the copies that are on their way."""
        for slot in self._slots:
            self._stream.wait(slot.arrived)

    @property
    def buffers(self) -> list[Tensor]:
        """The slots' memory."""
        return [slot.buffer for slot in self._slots]

    def open(self, name: str, passage: Passage) -> dict[str, nn.Parameter]:
        """Return the weights of a unit on the device until `close`, and send for those after it.

        Args:
            name: of the unit.
            passage: to be closed if its module never tells that it has been called.
        """
        thread = threading.get_ident()
        assert self._in_use is None or self._thread == thread, "one thread has the device's lane"
        self._close()
        self._thread = thread
        self._order.note(name)
        slot = self._slot_of(name) or self._send(name, [])
        self._stream.wait(slot.arrived)
        if name not in slot.views:
            slot.views[name] = self.units[name].parameters(slot.buffer)
        self._in_use = slot, passage
        self._send_ahead(slot)
        return slot.views[name]

    def close(self, passage: Passage) -> None:
        """Take back the weights of a unit that has been called."""
        if self._in_use is not None and self._in_use[1] is passage:
            self._close()

    def _close(self) -> None:
        if self._in_use is None:
            return
        slot, passage = self._in_use
        self._in_use = None
        slot.free = self._stream.mark()
        passage.close()

    def _send_ahead(self, in_use: _Slot) -> None:
        """Send for the units that are called next, as many as there are other slots."""
        kept = [in_use]
        for name in islice(self._order.following(), len(self._slots) - 1):
            slot = self._slot_of(name) or self._send(name, kept)
            if slot not in kept:
                kept.append(slot)

    def _slot_of(self, name: str) -> _Slot | None:
        return next((slot for slot in self._slots if slot.unit == name), None)

    def _send(self, name: str, kept: list[_Slot]) -> _Slot:
        """Begin to copy a unit into the slot that was written the longest ago, none of those."""
        slot = next(slot for slot in self._slots if slot not in kept)
        self._slots.remove(slot)
        self._slots.append(slot)
        unit = self.units[name]
        slot.unit = None  # until the copy is on its way
        slot.arrived = self._stream.copy(unit.buffer, slot.buffer[: len(unit.buffer)], slot.free)
        slot.unit = name
        return slot


class _CallOrder:
    """A guess at the unit that is called next.

    At first units come in the order of the network's modules, and the first after the last. Later
    a unit is followed by that which followed it when it was last called, after the same unit.

    Args:
        names: of the units, in the order of the modules.
    """

    def __init__(self, names: Sequence[str]) -> None:
        following = (*names[1:], *names[:1])
        self._plain = dict(zip(names, following, strict=True))
        self._learned: dict[tuple[str, str], str] = {}
        self._last = ("", "")

    def note(self, name: str) -> None:
        """Note that a unit is called now."""
        self._learned[self._last] = name
        self._plain[self._last[1]] = name
        self._last = (self._last[1], name)

    def following(self) -> Iterator[str]:
        """Yield the units that are called next, as far as is known; it never ends."""
        pair = self._last
        while True:
            name = self._learned.get(pair) or self._plain[pair[1]]
            yield name
            pair = (pair[1], name)
