"""The gateway's connection to one actor: bytes of the worker's process, both ways."""

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from server.workers.ray.core import Actor, head_answers, is_restarted, was_lost
from server.workers.ray.messages import BEAT, CHUNK, ActorOptions, Attachment

Tell = Callable[[Mapping[str, Any], bytes], None]
"""Sends a message about the worker to the server, with bytes."""
_PAUSE = 0.3
_LONGEST = 200
_log = logging.getLogger(__name__)


class Link:
    """The connection to the actor of one worker, until its process or the actor dies.

    Args:
        order: the server's wish: `actor`, `program`, `sharers`.
        namespace: the namespace of the actors.
        owner: the server.
        tell: sends messages to the server.
    """

    def __init__(self, order: Mapping[str, Any], namespace: str, owner: str, tell: Tell) -> None:
        self._options = ActorOptions(**order["actor"])
        self._namespace = namespace
        self._attachment = Attachment(uuid.uuid4().hex, owner, order["program"], order["sharers"])
        self._tell = tell
        self._actor: Actor | None = None
        self._waiting = bytearray()
        self._more = asyncio.Event()

    async def run(self) -> None:
        """Connect, and hand on what the process says until its end, which is the last message."""
        writing = asyncio.create_task(self._write())
        try:
            actor = self._actor = await self._find()
            await self._attach(actor)
            await self._listen(actor)
        except Exception as error:  # noqa: BLE001 - Ray's errors are of many kinds; the server hears
            died = was_lost(error) and await head_answers()
            reason = f"its Ray actor was lost: {_describe(error)}"
            self._tell({"op": "lost", "reason": reason, "died": died}, b"")
        finally:
            writing.cancel()

    def write(self, data: bytes) -> None:
        """Send bytes to the process, after those before."""
        self._waiting += data
        self._more.set()

    async def close(self, how: str) -> None:
        """Let go of the actor: `release` it, `restart` its process, or `remove` it."""
        actor = self._actor
        if actor is None:
            return
        with suppress(Exception):  # it is gone, or the head is: nothing is left to let go of
            if how == "remove":
                await asyncio.to_thread(actor.kill)
            else:
                await actor.detach(self._attachment.session, end=how == "restart")

    async def _find(self) -> Actor:
        """Return the actor, a new one if the one of that name was made otherwise."""
        recipe = _recipe(self._options)
        actor = await asyncio.to_thread(Actor, self._options, self._namespace, recipe)
        found = await _await_actor(actor)
        if found["recipe"] != recipe and found["owner"] in ("", self._attachment.owner):
            await asyncio.to_thread(actor.kill)
            await asyncio.sleep(1.0)  # until its name is free
            actor = await asyncio.to_thread(Actor, self._options, self._namespace, recipe)
            found = await _await_actor(actor)
        if found["version"] != version("nodegraph"):
            message = (
                f"its machine has nodegraph {found['version']}, and the server"
                f" {version('nodegraph')}; install the same"
            )
            raise RuntimeError(message)
        return actor

    async def _attach(self, actor: Actor) -> None:
        told = ""
        while holder := await actor.attach(self._attachment):
            if holder != told:
                self._tell({"op": "held", "by": holder}, b"")
            told = holder
            await asyncio.sleep(BEAT)
        self._tell({"op": "attached"}, b"")

    async def _listen(self, actor: Actor) -> None:
        while True:
            news = await actor.take(self._attachment.session)
            if news.data:
                self._tell({"op": "data"}, news.data)
            if news.over:
                reason = "another connection has taken its actor over"
                self._tell({"op": "lost", "reason": reason, "died": False}, b"")
                return
            if news.code is not None:
                self._tell({"op": "ended", "code": news.code}, b"")
                return

    async def _write(self) -> None:
        """Send what waits, in order and in parts that Ray sends along with a call."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting and self._actor is not None:
                data = bytes(self._waiting[:CHUNK])
                del self._waiting[:CHUNK]
                try:
                    await self._actor.write(self._attachment.session, data)
                except Exception as error:  # noqa: BLE001 - `take` fails, too, and is told
                    _log.debug("bytes for an actor were lost: %s", error)
                    return


async def _await_actor(actor: Actor) -> Mapping[str, Any]:
    """Return what an actor says of itself, once it has a place, or has one again."""
    while True:
        try:
            return await actor.describe()
        except Exception as error:
            if not is_restarted(error):
                raise
        await asyncio.sleep(_PAUSE)


def _describe(error: Exception) -> str:
    """Return an error of Ray's in short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    known = f": {lines[-1][:_LONGEST]}" if lines and not was_lost(error) else ""
    return type(error).__name__ + known


def _recipe(options: ActorOptions) -> str:
    """Return a name for the actor as it is made now; another version makes another one."""
    text = json.dumps([options.as_dict(), version("nodegraph")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
