"""Messages between servers, cut into notices that Postgres can carry, and put together again."""

import base64
import itertools
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Base64Bytes, BaseModel, Field, TypeAdapter, ValidationError

from server.scheduling.event_bus import Message
from server.workers.worker import TRANSIENT

LARGEST: Final = 7800
"""The most characters of a notice, all of them ASCII; Postgres takes fewer than 8000 bytes."""
MOST_PIECES: Final = 64
"""The most notices of one message; a larger one, a huge preview, is not sent."""
WATCH, LIVE, CANCEL = "watch", "live", "cancel"
"""Kinds of messages: somebody watches a run, a passing event of a run, a run is to be stopped."""
_NOTICE = re.compile(r"(\w+\.\d+) (\d{1,9}) (\d{1,9}) (.*)", re.ASCII | re.DOTALL)


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
        """Take a notice; return the message that it completes, None if it completes none.

        Everybody who may connect to the database may send notices, so that one may be anything.
        """
        found = _NOTICE.fullmatch(notice)
        if found is None or int(found[2]) > MOST_PIECES:
            return None
        key, count, place, text = found.groups()
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
        return _read("".join(pieces))


class _OfRun(BaseModel):
    op: Literal["watch", "cancel"]
    run: str


class _Passing(BaseModel):
    name: str = Field(pattern=f"^({'|'.join(TRANSIENT)})$")
    run: str
    client: str
    owner: str
    data: dict[str, Any] | None
    payload: Base64Bytes


class _Live(BaseModel):
    op: Literal["live"]
    sender: str = Field(alias="from")
    after: int
    message: _Passing


_TOLD = TypeAdapter[_OfRun | _Live](_OfRun | _Live)


def _read(text: str) -> Mapping[str, Any] | None:
    """Return a message; None if it is none that a server sends."""
    try:
        _TOLD.validate_json(text)
    except ValidationError:
        return None
    return json.loads(text)


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
