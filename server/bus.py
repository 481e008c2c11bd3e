"""Who hears of what: every event to whoever listens to it, none of whom can hold up the others."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

MOST_WAITING = 2000
"""Messages that a subscriber may be behind; then it has to look up what it missed."""
MOST_AT_ONCE = 100
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
    """Which client's run that is."""
    owner: str | None = None
    """Whose it is; None if it concerns everybody."""
    id: int | None = None
    """The number of a milestone; see `server.store.runs.Milestone`."""
    sequence: int | None = None
    data: Mapping[str, Any] | None = None
    payload: bytes = b""
    """An image."""

    def about(self, run: str, client: str, owner: str) -> "Message":
        """The same, about a run."""
        return replace(self, run=run, client=client, owner=owner)

    @property
    def passing(self) -> bool:
        """Whether it may be left out for those who are slow."""
        return self.name in ("progress", "preview", "position", "logs")


@dataclass(frozen=True, slots=True)
class Topic:
    """What a subscriber looks at: a client's runs, or one run; everything if neither."""

    client: str = ""
    run: str = ""
    owner: str | None = None
    """Nothing of anybody else's; None if whosever it is."""

    def hears(self, message: Message) -> bool:
        """Whether a message that is about no run is for it."""
        return self.owner is None or message.owner in (None, self.owner)


class Subscriber:
    """One listener's messages, in order.

    Args:
        topic: what it wants to hear of; what is about no run it hears in any case.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self._missed = False

    async def next(self) -> Message | None:
        """The next message; None when there are no more."""
        return await self._waiting.get()

    async def some(self) -> list[Message]:
        """The next messages, as many as are there; none when there are no more."""
        found = [await self.next()]
        while not self._waiting.empty() and len(found) < MOST_AT_ONCE and found[-1] is not None:
            found.append(self._waiting.get_nowait())
        if found[-1] is None and len(found) > 1:
            self._waiting.put_nowait(None)  # it ends the next ones
        return [message for message in found if message is not None]

    def missed(self) -> bool:
        """Whether something was left out because it was too far behind; asked once each time."""
        missed, self._missed = self._missed, False
        return missed

    def offer(self, message: Message) -> None:
        """Let it have a message; whoever is too far behind gets what comes from now on."""
        behind = self._waiting.qsize()
        if message.passing and behind >= MOST_PASSING:
            return
        if behind >= MOST_WAITING:
            self._missed = True
            while not self._waiting.empty():
                self._waiting.get_nowait()
        self._waiting.put_nowait(message)

    def close(self) -> None:
        """End it after what it has."""
        self._waiting.put_nowait(None)


class Bus:
    """Hands messages on; to be used from one event loop."""

    def __init__(self) -> None:
        self._subscribers: dict[Topic, set[Subscriber]] = {}
        self._watchers: list[Callable[[Topic], None]] = []

    def subscribe(self, *, client: str = "", run: str = "", owner: str | None = None) -> Subscriber:
        """A new listener; gets what is published from now on.

        Args:
            client: only what this client's runs do, and what is about no run.
            run: only what this run does, and what is about none.
            owner: only what is this owner's, or everybody's.
        """
        subscriber = Subscriber(Topic(client, run, owner))
        self._subscribers.setdefault(subscriber.topic, set()).add(subscriber)
        self._tell(subscriber.topic)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """It hears no more."""
        listening = self._subscribers.get(subscriber.topic, set())
        listening.discard(subscriber)
        if not listening:
            self._subscribers.pop(subscriber.topic, None)
        self._tell(subscriber.topic)

    def publish(self, message: Message) -> None:
        """Tell everybody whom it concerns."""
        about_none = (topic for topic in list(self._subscribers) if topic.hears(message))
        for topic in _topics(message) if message.run else about_none:
            for subscriber in self._subscribers.get(topic, ()):
                subscriber.offer(message)

    def looked_at(self, run: str, client: str, owner: str | None = None) -> bool:
        """Whether somebody looks at an owner's client's run in particular."""
        topics = _topics(Message("", run, client, owner))
        return any(topic in self._subscribers for topic in topics if topic.run or topic.client)

    def watch(self, watcher: Callable[[Topic], None]) -> None:
        """Call this when somebody begins or ceases to listen."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """End all of them."""
        for listening in self._subscribers.values():
            for subscriber in listening:
                subscriber.close()

    def _tell(self, topic: Topic) -> None:
        for watcher in self._watchers:
            watcher(topic)

    def __len__(self) -> int:
        return sum(map(len, self._subscribers.values()))


def _topics(message: Message) -> list[Topic]:
    """What those look at who hear of a run: everything, its client, the run; or its owner's."""
    owners = (None,) if message.owner is None else (None, message.owner)
    clients = ("", message.client) if message.client else ("",)
    by_client = [Topic(client, owner=owner) for owner in owners for client in clients]
    return [*by_client, *(Topic(run=message.run, owner=owner) for owner in owners)]
