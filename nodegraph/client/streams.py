"""Server-sent events, read as they arrive (WHATWG HTML, section 9.2)."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from nodegraph.client.values import ENDS, RunEvent
from nodegraph.graph.json_values import is_object


class StreamPosition:
    """The position in a run's events.

    Args:
        last: the id of the last event that was seen.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.over = False
        """True once the event that ends the run was seen."""

    def advance(self, event: RunEvent) -> bool:
        """Move on to an event; return False if it was seen before."""
        if event.id is None:
            return not self.over
        if event.id <= self.last:
            return False
        self.last, self.over = event.id, event.name in ENDS
        return True


async def events_in(chunks: AsyncIterable[bytes]) -> AsyncIterator[RunEvent]:
    """Yield the events of a stream that arrives in chunks, without one that is cut off."""
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
    parts = list[bytes]()
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for following in others:
            yield b"".join(parts)
            parts = [following]


def _event(name: str, data: Any) -> RunEvent:
    """Read an event: one with an id carries name and data inside, others are the bare data."""
    if is_object(data) and "id" in data and "sequence" in data:
        return RunEvent.from_json(data)
    return RunEvent(name=name, data=data if is_object(data) else {})
