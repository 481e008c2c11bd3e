"""Server-sent events, read as they come (WHATWG HTML, section 9.2)."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from nodegraph.client.values import ENDS, RunEvent
from nodegraph.plain import is_object


class Place:
    """How far one is in a run's events.

    Args:
        last: the id of the last event that is known.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.over = False
        """Whether the last event says that the run is over."""

    def takes(self, event: RunEvent) -> bool:
        """Whether an event is news, and if it has an id, the last one that is known from now on."""
        if event.id is None:
            return not self.over
        if event.id <= self.last:
            return False
        self.last, self.over = event.id, event.name in ENDS
        return True


async def events_in(chunks: AsyncIterable[bytes]) -> AsyncIterator[RunEvent]:
    """The events of a stream that comes in pieces; one that is cut off in its middle is none."""
    name, data = "", list[str]()
    async for line in _lines(chunks):
        key, _, value = line.decode().rstrip("\r").partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif not key and not value:
            if name and data:
                yield _event(name, json.loads("\n".join(data)))
            name, data = "", []


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    begun = list[bytes]()
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for following in others:
            yield b"".join(begun)
            begun = [following]


def _event(name: str, told: Any) -> RunEvent:
    """Milestones say what they are; what is only passing is its own data."""
    if is_object(told) and "id" in told and "sequence" in told:
        return RunEvent.of(told)
    return RunEvent(name=name, data=told if is_object(told) else {})
