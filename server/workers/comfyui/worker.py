"""A ComfyUI server as a worker: connected to, described, and given runs."""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientWebSocketResponse,
    WSMsgType,
)

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.spec import NodeSpec
from server.errors import WorkerLostError
from server.workers.comfyui.addresses import ServerAddress
from server.workers.comfyui.attempts.attempt import Attempt, ServerAccess
from server.workers.comfyui.attempts.outputs import OutputFiles
from server.workers.comfyui.connection import ComfyConnection, Fetched, UnwellError
from server.workers.comfyui.errors import ComfyAnswerError
from server.workers.comfyui.messages import ComfyMessage, read_binary, read_text
from server.workers.comfyui.node_types import NodeTypes, read_node_types
from server.workers.comfyui.scripts import PackScripts, read_scripts
from server.workers.process_worker import ServerHooks
from server.workers.worker import Order, Report

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds until the server is connected to again; doubled while that fails."""
STABLE = 10.0
"""Seconds after which a connection counts as a good one: the pause is the first one again."""
_FIRST = ("execution_start", "execution_cached", "executing")
"""The messages that may come before a server that chooses a prompt's id has answered with it."""
_MOST_UNCLAIMED = 100
_LISTING = 20.0
"""Seconds that a server may take to list the scripts of its packs; it does without them then."""
_FAREWELL = 1.0
"""Seconds that a server has to close the connection."""
REFUSED, SILENT = 5.0, 120.0
"""Seconds until its runs are taken away from a server: one that refuses connections is dead, one
that does not answer may be loading a model."""


class ComfyWorker:
    """A worker that has a ComfyUI server compute runs; of several, it queues those that wait.

    Args:
        address: the server.
        client: our client id there, and the base of our prompts' ids: the same after a restart.
        hooks: the parts of the server that it calls.
        files: returns the folders of an owner.
        native: our own node types, by name.
    """

    device: Mapping[str, Any] = {}
    writing: Collection[str] = ()

    def __init__(
        self,
        address: ServerAddress,
        client: uuid.UUID,
        hooks: ServerHooks,
        files: Callable[[str], Files],
        native: Callable[[], Mapping[str, NodeSpec]],
    ) -> None:
        self.server = address.name
        self.name = f"comfyui:{address.name}"
        self.slots = address.slots
        self.ready = False
        self.models = ()
        self.node_types = NodeTypes()
        """The node types that it had when it was connected to last."""
        self.gives_scripts = address.gives_scripts
        self.scripts: PackScripts = {}
        """The scripts of its packs, if the editor may run them."""
        self._url = str(address.url)
        self._client = client
        self._hooks = hooks
        self._files = files
        self._native = native
        self._connection = ComfyConnection(address, str(client))
        self._attempts: dict[str, Attempt] = {}
        self._unclaimed: deque[ComfyMessage] = deque(maxlen=_MOST_UNCLAIMED)
        """The last messages about prompts that are of no attempt, as far as is known."""
        self._losses = 0
        """The number of times that the connection was lost."""
        self._supervisor: asyncio.Task[None] | None = None
        self._refreshed = 0.0
        self._digest = b""
        """Of the answer that the node types were read from."""
        self._known_native: Mapping[str, NodeSpec] | None = None
        """Our own node types at that time."""
        self._connected = 0.0
        self._complaint = ""
        """The last reason why it could not be reached, so that each is logged once."""

    async def start(self) -> None:
        """Begin to connect; return before it is ready."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def run(self, order: Order) -> AsyncGenerator[Sequence[Report]]:
        """Have the server compute a run and yield its reports.

        The server goes on with the run if this ends early: an attempt that follows finds it.
        """
        if not self.ready:
            reason = f"ComfyUI {self.server} can not be reached"
            raise WorkerLostError(reason, together=0)
        files = self._files(order.owner)
        outputs = OutputFiles(order.run, files, self._hooks.namer, self._connection)
        types, connection = self.node_types.registry, self._connection
        server = ServerAccess(
            connection, types, files, outputs, lambda: self._losses, self._find_unclaimed
        )
        attempt = self._attempts[order.run] = Attempt(order, self._prompt_id(order), server)
        try:
            async with aclosing(attempt.reports()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._attempts.pop(order.run, None)

    async def cancel(self, run: str) -> None:
        """Stop a run as soon as possible."""
        if run in self._attempts:
            self._attempts[run].cancel()

    def set_watched(self, run: str, watched: bool) -> None:
        """Pass previews of a run on or not; the server makes them in any case."""
        if run in self._attempts:
            self._attempts[run].watched = watched

    async def expect(self, prompt: Mapping[str, Any]) -> None:
        """Do nothing: the server's files are its own."""

    async def reload(self) -> None:
        """Do nothing: the server's packs are its own."""

    async def free(self) -> None:
        """Have the server unload its models."""
        if self.ready:
            with suppress(ClientError, TimeoutError, NodeGraphError):
                await self._connection.free()

    async def refresh(self, older_than: float) -> None:
        """Read its node types again if they are older than so many seconds: models may be new."""
        if self.ready and time.monotonic() - self._refreshed > older_than:
            with suppress(ClientError, TimeoutError, NodeGraphError):
                await self._describe()

    async def stop(self) -> None:
        """Disconnect; the server goes on with the runs that it has."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        await self._connection.close()

    def _prompt_id(self, order: Order) -> str:
        return str(uuid.uuid5(self._client, f"{self.server}/{order.run}/{order.retries}"))

    async def _supervise(self) -> None:
        """Stay connected for ever."""
        pause, down = FIRST_PAUSE, time.monotonic()
        while True:
            try:
                await self._live()
                error: Exception = ConnectionError("it closed the connection")
            except (ClientError, TimeoutError, OSError, NodeGraphError) as problem:
                error = problem
            if self.ready:
                is_stable = time.monotonic() - self._connected > STABLE
                pause, down = FIRST_PAUSE if is_stable else pause, time.monotonic()
                self._lose_connection(error)
            else:
                self._complain(_describe(error))
            patience = REFUSED if isinstance(error, ClientConnectorError) else SILENT
            if time.monotonic() - down > patience:
                self._lose_runs()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _live(self) -> None:
        """Connect, become ready, and hand messages on until the connection ends."""
        socket = await self._connection.connect()
        try:
            await self._describe()
            self.ready, self._complaint = True, ""
            self._connected = time.monotonic()
            count = len(self.node_types.entries)
            scripts = sum(map(len, self.scripts.values()))
            text = "ComfyUI %s (%s) is there: %d node types, %d scripts of %d packs"
            _log.info(text, self.server, self._url, count, scripts, len(self.scripts))
            self._hooks.changed()
            for attempt in self._attempts.values():
                attempt.wake()
            await self._listen(socket)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await socket.close()

    async def _describe(self) -> None:
        """Read the server's node types, and the scripts of its packs if the editor may run them."""
        native = self._native()
        known = self._digest if native is self._known_native else b""
        found = await self._connection.object_info(known)
        scripts = await self._read_scripts()
        self._refreshed = time.monotonic()
        types = self.node_types
        if found is not None:
            digest, answer = found
            types = await asyncio.to_thread(read_node_types, answer, self.server, native)
            self._digest, self._known_native = digest, native
        self.node_types, self.scripts = types, scripts

    async def _read_scripts(self) -> PackScripts:
        """Return the scripts of its packs; none if it lists none, or the editor may not run any."""
        if not self.gives_scripts:
            return {}
        try:
            async with asyncio.timeout(_LISTING):
                return read_scripts(await self._connection.extensions())
        except (ComfyAnswerError, UnwellError, TimeoutError) as error:
            _log.info("ComfyUI %s lists no scripts: %s", self.server, _describe(error))
            return {}

    async def fetch(self, path: str) -> Fetched:
        """Return its answer to GET, for a script of its packs; see `ComfyConnection.fetch`.

        Raises:
            ClientError: it is not there.
        """
        if not self.ready:
            reason = f"the ComfyUI server {self.server!r} can not be reached"
            raise ClientConnectionError(reason)
        return await self._connection.fetch(path)

    async def _listen(self, socket: ClientWebSocketResponse) -> None:
        async for frame in socket:
            message = None
            if frame.type is WSMsgType.TEXT:
                message = read_text(frame.data)
            elif frame.type is WSMsgType.BINARY:
                message = read_binary(frame.data)
            if message is not None and (self.gives_scripts or not message.is_of_pack):
                self._hand_on(message)

    def _hand_on(self, message: ComfyMessage) -> None:
        """Give a message to the attempt that it is about; to the one that runs, if none is named.

        The server computes one prompt after the other.
        """
        if message.name in _FIRST and message.prompt not in self._prompts():
            self._unclaimed.append(message)
        for attempt in list(self._attempts.values()):
            is_unnamed = not message.prompt and message.transient
            if message.prompt == attempt.prompt or (is_unnamed and attempt.is_running):
                attempt.offer(message)

    def _prompts(self) -> set[str]:
        return {attempt.prompt for attempt in self._attempts.values()}

    def _find_unclaimed(self, prompt: str) -> list[ComfyMessage]:
        return [message for message in self._unclaimed if message.prompt == prompt]

    def _lose_connection(self, error: Exception) -> None:
        """Take no more runs until the server is there again; it may still have those it has."""
        self.ready = False
        self._losses += 1
        _log.warning("ComfyUI %s is gone: %s", self.server, _describe(error))
        self._hooks.metrics.worker_restarted(self.name, "disconnected")
        self._hooks.changed()

    def _complain(self, reason: str) -> None:
        """Log why the server can not be reached, unless that was the last that was logged."""
        if reason != self._complaint:
            self._complaint = reason
            text = "ComfyUI %s (%s) can not be reached, and joins when it can: %s"
            _log.warning(text, self.server, self._url, reason)

    def _lose_runs(self) -> None:
        for attempt in self._attempts.values():
            attempt.lose(f"ComfyUI {self.server} can not be reached")


def _describe(error: Exception) -> str:
    """Return an error in words; those of aiohttp have none sometimes."""
    return str(error) or type(error).__name__
