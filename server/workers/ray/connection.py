"""The connection to a cluster of Ray, by a gateway process that is restarted if it ends."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from nodegraph.errors import SettingsError
from server.workers.output import log_output
from server.workers.process import ChildProcess, Ending
from server.workers.process_worker import FIRST_PAUSE, LONGEST_PAUSE
from server.workers.ray.line import Line
from server.workers.ray.messages import ActorOptions
from server.workers.wire import BrokenWireError, Frame, FrameReader, pack

_GATEWAY = "server.workers.ray"
_LONGEST_CONNECT = 60.0
"""Seconds that connecting may take."""
_HINT = (
    "Is the head running, and reachable from here? It takes HOST:6379 where a node of the cluster"
    " runs on this machine, else ray://HOST:10001; both sides need the same versions of Ray and"
    " Python, and the same token (RAY_AUTH_TOKEN)."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """The cluster, and who connects to it."""

    address: str
    namespace: str
    owner: str
    """The name of this server, the same after a restart."""


class RayConnection:
    """The connection to a cluster.

    Args:
        place: the cluster.
    """

    def __init__(self, place: Place) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called when the head is there again, and when it is not."""
        self.is_up = False
        """True while the head of the cluster answers."""
        self.nodes: Sequence[Mapping[str, float]] = ()
        """The resources of each node when the connection was made."""
        self.sharers = 1
        """The number of workers that may share one machine's memory."""
        self._place = place
        self._gateway: ChildProcess | None = None
        self._frames: FrameReader | None = None
        self._connected = asyncio.Event()
        self._lives = count()
        self._lines: dict[int, Line] = {}
        self._supervisor: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and stay connected from then on.

        Raises:
            SettingsError: that is not possible.
        """
        try:
            await self._connect()
        except (ConnectionError, OSError, TimeoutError) as error:
            message = f"no connection to Ray at {self._place.address!r}: {error}"
            raise SettingsError(message.rstrip(".") + ".", hint=_HINT) from error
        self._supervisor = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Let go of the actors, which keep their caches, and end the gateway."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        await self._end_gateway("the server stops")

    async def begin(self, worker: str, actor: ActorOptions, program: Mapping[str, Any]) -> Line:
        """Begin a life of a worker's process; wait for the connection first, not for the actor."""
        await self._connected.wait()
        line = Line(worker, next(self._lives), self._send)
        self._lines[line.life] = line
        order = {"actor": actor.as_dict(), "program": program, "sharers": self.sharers}
        self._send({"op": "begin", "worker": worker, "life": line.life, **order}, b"")
        return line

    def _send(self, body: Mapping[str, Any], data: bytes) -> None:
        if self._gateway is not None:
            self._gateway.writer.write(pack(Frame(body, data)))

    async def _connect(self) -> None:
        """Start a gateway and wait until it is connected.

        Raises:
            ConnectionError: Ray says why not.
            TimeoutError: it takes too long.
        """
        gateway = await ChildProcess.start(_GATEWAY, {}, log_output("ray", logging.DEBUG))
        frames = FrameReader(gateway.reader)
        gateway.writer.write(pack(Frame(self._opening)))
        try:
            async with asyncio.timeout(_LONGEST_CONNECT):
                first = await frames.next()
        except TimeoutError:
            gateway.process.kill()
            await gateway.end()
            message = f"it does not answer within {_LONGEST_CONNECT:.0f} s"
            raise TimeoutError(message) from None
        if first is None or first.body["op"] != "opened":
            code = await gateway.end()
            reason = first.body["reason"] if first else f"its client ended with code {code}"
            raise ConnectionError(reason)
        self.nodes = first.body["nodes"]
        self._gateway, self._frames = gateway, frames
        self._note_head(is_up=True)
        self._connected.set()

    @property
    def _opening(self) -> dict[str, str]:
        place = self._place
        return {"address": place.address, "namespace": place.namespace, "owner": place.owner}

    async def _supervise(self) -> None:
        """Follow the gateway, and connect again whenever it ends."""
        pause, told = FIRST_PAUSE, ""
        while True:
            if self._gateway is not None:
                await self._listen()
                await self._end_gateway("the connection to Ray ended")
                _log.warning("the connection to Ray at %s ended", self._place.address)
                pause, told = FIRST_PAUSE, ""
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await self._connect()
                _log.info("connected to Ray at %s again", self._place.address)
            except (ConnectionError, OSError, TimeoutError) as error:
                if str(error) != told:
                    _log.error("no connection to Ray at %s: %s", self._place.address, error)
                told = str(error)

    async def _listen(self) -> None:
        """Handle what the gateway says until it is gone."""
        frames = self._frames
        try:
            while frames and (frame := await frames.next()) is not None:
                self._handle(frame)
        except (BrokenWireError, LookupError) as error:
            _log.error("the gateway to Ray sent a malformed message: %r", error)

    def _handle(self, frame: Frame) -> None:
        body = frame.body
        if body["op"] == "head":
            self._note_head(is_up=body["up"])
            answer = "answers again" if body["up"] else "does not answer"
            _log.warning("the head of Ray at %s %s", self._place.address, answer)
        elif body["op"] == "held":
            text = "worker %s belongs to the server %s; it is waited for until that one is gone"
            _log.warning(text, body["worker"], body["by"])
        elif body["life"] in self._lines:
            line = self._lines[body["life"]]
            line.take(body, frame.data)
            if line.ending is not None:
                del self._lines[line.life]

    def _note_head(self, *, is_up: bool) -> None:
        if is_up != self.is_up:
            self.is_up = is_up
            self.changed()

    async def _end_gateway(self, reason: str) -> None:
        self._connected.clear()
        gateway, self._gateway = self._gateway, None
        self._note_head(is_up=False)
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.end(Ending(reason, "disconnected", charged=False))
        if gateway is not None:
            await gateway.end()
