"""Who hears of what: every event to every subscriber, none of whom can hold up the others."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MOST_WAITING = 10_000
"""Messages that a subscriber may be behind before it is dropped."""
MOST_PASSING = 100
"""Messages behind which it gets no progress and no previews."""
LOG_SUBSCRIPTION = "log_subscription"
"""Tells the connection of a client whether that wants `logs` messages: `{"enabled": true}`."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened."""

    name: str
    run: str = ""
    """The run it is about; empty if it is about all of them."""
    client: str = ""
    """Whose run that is."""
    id: int | None = None
    """The number of a milestone; see `server.store.runs.Milestone`."""
    sequence: int | None = None
    data: Mapping[str, Any] | None = None
    payload: bytes = b""
    """An image."""

    def about(self, run: str, client: str) -> "Message":
        """The same, about a run."""
        return replace(self, run=run, client=client)

    @property
    def passing(self) -> bool:
        """Whether it may be left out for those who are slow."""
        return self.name in ("progress", "preview", "position", "logs")


class Subscriber:
    """One listener's messages, in order."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self.dropped = False
        """Whether it was too slow and gets nothing more."""

    async def next(self) -> Message | None:
        """The next message; None when there are no more."""
        return None if self.dropped else await self._waiting.get()

    def offer(self, message: Message) -> None:
        """Let it have a message, as far as it keeps up."""
        behind = self._waiting.qsize()
        if behind >= MOST_WAITING:
            self.dropped = True
        elif not (message.passing and behind >= MOST_PASSING):
            self._waiting.put_nowait(message)

    def close(self) -> None:
        """End it after what it has."""
        self._waiting.put_nowait(None)


class Bus:
    """Hands messages on; to be used from one event loop."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()

    def subscribe(self) -> Subscriber:
        """A new listener; gets what is published from now on."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """It hears no more."""
        self._subscribers.discard(subscriber)

    def publish(self, message: Message) -> None:
        """Tell everybody."""
        for subscriber in self._subscribers:
            subscriber.offer(message)

    def close(self) -> None:
        """End all of them."""
        for subscriber in self._subscribers:
            subscriber.close()

    def __len__(self) -> int:
        return len(self._subscribers)
