"""Copies to a device beside what is computed there, and the events that keep the two in order."""

from typing import TypeAlias

import torch
from torch import Tensor

from nodegraph.runtime.devices import side_stream

Event: TypeAlias = torch.Event | None
"""A point in the order of a stream's work; None where there is but one stream."""


class SideStream:
    """A queue of copies to a device; without streams each copy is waited for.

    Args:
        device: that computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = side_stream(device)

    def copy(self, source: Tensor, target: Tensor, after: Event) -> Event:
        """Begin a copy, and return the event of its end.

        Args:
            source: on the host; in the background if it is pinned.
            target: on the device, of the same size.
            after: the event before which the target must not be written to.
        """
        if self._stream is None:
            target.copy_(source)
            return None
        if after is not None:
            self._stream.wait_event(after)
        arrived = torch.Event(device=self._device)
        with self._stream:
            target.copy_(source, non_blocking=True)
            arrived.record(self._stream)
        return arrived

    def wait(self, event: Event) -> None:
        """Let what is computed from now on come after an event."""
        if event is not None:
            torch.accelerator.current_stream(self._device).wait_event(event)

    def mark(self) -> Event:
        """Return the event of the end of all that is computed so far."""
        if self._stream is None:
            return None
        event = torch.Event(device=self._device)
        event.record(torch.accelerator.current_stream(self._device))
        return event
