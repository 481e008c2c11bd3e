"""Messages between servers, cut into notices that Postgres can carry, and put together again."""

import base64
import itertools
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from server.scheduling.event_bus import Message

LARGEST: Final = 7800
"""The most characters of a notice, all of them ASCII; Postgres takes fewer than 8000 bytes."""
MOST_PIECES: Final = 64
"""The most notices of one message; a larger one, a huge preview, is not sent."""
WATCH, LIVE, CANCEL = "watch", "live", "cancel"
"""Kinds of messages: somebody watches a run, a passing event of a run, a run is to be stopped."""


class Cutter:
    """Cuts messages into notices, each with the message's key, its place and their number."""

    def __init__(self) -> None:
        self._who = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()

    def cut(self, message: Mapping[str, Any]) -> list[str]:
        """Return the notices of a message; none if it is too large."""
        text = json.dumps(message)
        count = -(-len(text) // LARGEST)
        if count > MOST_PIECES:
            return []
        head = f"{self._who}.{next(self._numbers)} {count}"
        return [
            f"{head} {place} {text[place * LARGEST : (place + 1) * LARGEST]}"
            for place in range(count)
        ]


class Joiner:
    """Puts messages together; the notices of one server come in order."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, list[str]]] = {}
        """The message that has begun to come, by the server that sends it."""

    def join(self, notice: str) -> Mapping[str, Any] | None:
        """Take a notice; return the message that it completes, None if it completes none."""
        key, count, place, text = notice.split(" ", 3)
        who = key.partition(".")[0]
        if place == "0":
            self._begun[who] = key, []
        begun, pieces = self._begun.get(who, ("", []))
        if key != begun or int(place) != len(pieces):
            return None  # its beginning came before this server listened
        pieces.append(text)
        if len(pieces) < int(count):
            return None
        del self._begun[who]
        return json.loads("".join(pieces))


def live(message: Message, after: int) -> dict[str, Any]:
    """Return a passing event of a run as a message to other servers.

    Args:
        message: the event.
        after: the id of the run's milestone that came before it.
    """
    kept = {name: getattr(message, name) for name in ("name", "run", "client", "owner", "data")}
    payload = base64.b64encode(message.payload).decode()
    return {"op": LIVE, "after": after, "message": {**kept, "payload": payload}}


def read_live(body: Mapping[str, Any]) -> tuple[Message, int]:
    """Return what `live` was given."""
    sent = body["message"]
    message = Message(sent["name"], sent["run"], sent["client"], sent["owner"], data=sent["data"])
    return message._replace(payload=base64.b64decode(sent["payload"])), body["after"]
