"""The event bus: hands every event to its subscribers, none of which can hold up the others."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

MOST_WAITING = 2000
"""Messages that may wait for a subscriber; after more it has to read what it missed."""
MOST_AT_ONCE = 100
MOST_TRANSIENT = 100
"""Waiting messages from which on a subscriber gets no progress, and no previews or texts."""
LOG_SUBSCRIPTION = "log_subscription"
"""Name of the message that turns a client's `logs` messages on or off: `{"enabled": true}`."""


class Message(NamedTuple):
    """An event on the bus."""

    name: str
    run: str = ""
    """The id of the run it is about; empty if it is about none in particular."""
    client: str = ""
    """The client of that run."""
    owner: str | None = None
    """The owner of that run; None if the message is for everybody."""
    id: int | None = None
    """The number of a milestone; see `server.store.runs.Milestone`."""
    sequence: int | None = None
    data: Mapping[str, Any] | None = None
    payload: bytes = b""
    """The bytes of an image."""

    @property
    def transient(self) -> bool:
        """True if a slow subscriber may go without it."""
        return self.name in ("progress", "preview", "progress_text", "position", "logs")


class Topic(NamedTuple):
    """The subject of a subscription: a client's runs, or one run; everything if neither."""

    client: str = ""
    run: str = ""
    owner: str | None = None
    """Only runs of this owner; of any owner if None."""

    def includes(self, message: Message) -> bool:
        """Return True if a message that is about no run belongs to this topic."""
        return self.owner is None or message.owner in (None, self.owner)


class Subscriber:
    """A queue of the messages for one listener, in order.

    Args:
        topic: the subject; messages that are about no run come in any case.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self._missed = False

    async def next(self) -> Message | None:
        """Wait for the next message; None after the last one."""
        return await self._waiting.get()

    async def next_batch(self) -> list[Message]:
        """Wait for messages and return all that are there; an empty list after the last one."""
        found = [await self.next()]
        while not self._waiting.empty() and len(found) < MOST_AT_ONCE and found[-1] is not None:
            found.append(self._waiting.get_nowait())
        if found[-1] is None and len(found) > 1:
            self._waiting.put_nowait(None)  # ends the next batch
        return [message for message in found if message is not None]

    def take_missed(self) -> bool:
        """Return True if messages were dropped since the last call, because too many waited."""
        missed, self._missed = self._missed, False
        return missed

    def offer(self, message: Message) -> None:
        """Add a message; if too many wait, drop those first."""
        behind = self._waiting.qsize()
        if message.transient and behind >= MOST_TRANSIENT:
            return
        if behind >= MOST_WAITING:
            self._missed = True
            while not self._waiting.empty():
                self._waiting.get_nowait()
        self._waiting.put_nowait(message)

    def close(self) -> None:
        """End the queue after the messages that wait in it."""
        self._waiting.put_nowait(None)


class Bus:
    """Hands messages to subscribers; to be used from one event loop."""

    def __init__(self) -> None:
        self._subscribers: dict[Topic, set[Subscriber]] = {}
        self._watchers: list[Callable[[Topic], None]] = []

    @property
    def idle(self) -> bool:
        """True if nobody listens; any thread may ask."""
        return not self._subscribers

    def subscribe(self, *, client: str = "", run: str = "", owner: str | None = None) -> Subscriber:
        """Return a new subscriber, which gets what is published from now on.

        Args:
            client: only messages about runs of this client, and those about no run.
            run: only messages about this run, and those about no run.
            owner: only messages for this owner, and those for everybody.
        """
        subscriber = Subscriber(Topic(client, run, owner))
        self._subscribers.setdefault(subscriber.topic, set()).add(subscriber)
        self._tell(subscriber.topic)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Send a subscriber nothing more."""
        listening = self._subscribers.get(subscriber.topic, set())
        listening.discard(subscriber)
        if not listening:
            self._subscribers.pop(subscriber.topic, None)
        self._tell(subscriber.topic)

    def publish(self, message: Message) -> None:
        """Hand a message to every subscriber whose topic it belongs to."""
        self.publish_all([message])

    def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand messages that are about the same run, in order, to everyone who is told of it."""
        if self.idle or not messages:
            return
        listening = self._listening(messages[0])
        for message in messages:
            for subscriber in listening:
                subscriber.offer(message)

    def has_viewer(self, run: str, client: str, owner: str | None = None) -> bool:
        """Return True if somebody is subscribed to this run or to its client's runs."""
        topics = _topics_of(Message("", run, client, owner))
        return any(topic in self._subscribers for topic in topics if topic.run or topic.client)

    def watch(self, watcher: Callable[[Topic], None]) -> None:
        """Have `watcher` called with the topic whenever a subscription begins or ends."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """End all subscriptions."""
        for listening in self._subscribers.values():
            for subscriber in listening:
                subscriber.close()

    def _listening(self, message: Message) -> list[Subscriber]:
        about_none = (topic for topic in self._subscribers if topic.includes(message))
        topics = _topics_of(message) if message.run else about_none
        return [each for topic in topics for each in self._subscribers.get(topic, ())]

    def _tell(self, topic: Topic) -> None:
        for watcher in self._watchers:
            watcher(topic)

    def __len__(self) -> int:
        return sum(map(len, self._subscribers.values()))


def _topics_of(message: Message) -> list[Topic]:
    """Return the topics that a message about a run belongs to: all runs, its client's, the run."""
    owners = (None,) if message.owner is None else (None, message.owner)
    clients = ("", message.client) if message.client else ("",)
    by_client = [Topic(client, owner=owner) for owner in owners for client in clients]
    return [*by_client, *(Topic(run=message.run, owner=owner) for owner in owners)]
