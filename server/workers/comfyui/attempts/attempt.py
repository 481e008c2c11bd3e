"""One attempt at a run on a ComfyUI server, followed from its prompt to its end."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.packs.registry import Registry
from server.errors import WorkerLostError
from server.workers.comfyui.attempts.endings import failure_of, refusal_of
from server.workers.comfyui.attempts.inputs import needed_graph, upload_inputs
from server.workers.comfyui.attempts.outputs import OutputFiles
from server.workers.comfyui.attempts.run_events import RunEvents
from server.workers.comfyui.connection import ComfyConnection, UnwellError
from server.workers.comfyui.errors import ComfyAnswerError, ComfyInterruptedError
from server.workers.comfyui.messages import ComfyMessage
from server.workers.worker import Order, Report

POLL, SOON = 10.0, 0.1
"""Seconds between two looks at queue and history, while messages come and after the last one."""
AGAIN = 0.5
"""Seconds until a prompt is stopped once more that is still there."""
MOST_MESSAGES = 1000
"""Messages that may wait; from then on progress and previews are dropped."""
MOST_TROUBLES = 8
"""Answers in a row that the server is not well, until the attempt fails; some 45 seconds."""
_ABSENT = 3
"""Looks in a row at which a prompt is nowhere until it is taken for gone."""
_UNWRITTEN = 50
"""The same for one that has succeeded, and whose entry in the history is still to come."""
_MOST_OUTPUT = 2**20
"""The most bytes of what a node shows, as JSON, besides its files."""
_NOTICED = 0.5
"""Seconds after which the worker knows that the server is gone, if it is."""
_OWN = ("prefer",)
"""Data from the client that is for us alone."""


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """The parts of a server, and of ours, that an attempt uses."""

    connection: ComfyConnection
    types: Registry
    """The node types of the server."""
    files: Files
    """The folders of the run's owner."""
    outputs: OutputFiles
    """Takes the files over."""
    losses: Callable[[], int]
    """Returns how often the connection was lost so far."""
    unclaimed: Callable[[str], Sequence[ComfyMessage]]
    """Returns the messages about a prompt of that id that came before it was known to be ours."""


class Attempt:
    """An attempt at a run: finds its prompt on the server or submits it, and follows it.

    Args:
        order: the run.
        prompt: the prompt's id, the same at each attempt, so that nothing is run twice.
        server: all that is needed of the server.
    """

    def __init__(self, order: Order, prompt: str, server: ServerAccess) -> None:
        self.prompt = prompt
        self.watched = order.watched
        self._order = order
        self._server = server
        self._connection = server.connection
        self._losses = server.losses()
        self._graph = needed_graph(order.work, server.types.catalog)
        self._events = RunEvents(order.run, self._graph, order.work.targets)
        self._messages: asyncio.Queue[ComfyMessage | None] = asyncio.Queue()
        self._pause = SOON
        self._due: float | None = None
        """The time of the next look, even if messages come all the time."""
        self._lost: WorkerLostError | None = None
        self._cancelled = False
        self._succeeded = False
        self._absent = self._troubles = 0
        self._ending: Mapping[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        """True from the beginning of its prompt on the server to the end there."""
        return self._events.has_begun and not self._succeeded and self._ending is None

    def offer(self, message: ComfyMessage) -> None:
        """Add a message about this prompt."""
        if not message.transient or self._messages.qsize() < MOST_MESSAGES:
            self._messages.put_nowait(message)

    def wake(self) -> None:
        """Look at queue and history now: the connection is there again."""
        self._messages.put_nowait(None)

    def lose(self, reason: str) -> None:
        """End the attempt: the server is gone."""
        self._lost = WorkerLostError(reason, together=int(self._events.has_begun))
        self.wake()

    def cancel(self) -> None:
        """Have the prompt stopped at the next look, wherever it is; nobody else's is touched."""
        self._cancelled = True
        self.wake()

    async def reports(self) -> AsyncGenerator[Sequence[Report]]:
        """Yield the reports in batches; the last one is `done`.

        Raises:
            WorkerLostError: the server died before the end of the run.
        """
        try:
            await self._begin()
        except (ClientError, TimeoutError) as error:
            await asyncio.sleep(_NOTICED)
            alive = not self._was_away
            reason = f"ComfyUI {self._connection.name} did not take the prompt ({error!r})"
            raise WorkerLostError(reason, together=int(alive)) from error
        except NodeGraphError as error:
            self._fail(error)
        while self._ending is None:
            await self._advance()
            if self._ending is None and (batch := self._events.take()):
                yield batch
        yield [*self._events.take(), Report("done", self._ending)]

    async def _begin(self) -> None:
        """Find or submit the prompt; try again for a while if the server is not well."""
        while self._ending is None:
            try:
                await self._find_or_submit()
            except UnwellError as error:
                if self._was_away:
                    raise
                self._note_trouble(error)
                await asyncio.sleep(self._pause)
            else:
                self._troubles, self._pause, self._due = 0, SOON, None
                return

    def _note_trouble(self, error: UnwellError) -> None:
        """Wait longer each time that the server is not well; in the end, fail."""
        self._troubles += 1
        self._pause = min(AGAIN * 2 ** (self._troubles - 1), POLL)
        self._due = time.monotonic() + self._pause
        if self._troubles >= MOST_TROUBLES:
            request, _, problem = str(error).partition(" was ")
            self._fail(ComfyAnswerError(self._connection.name, request, f"was {problem}"))

    async def _find_or_submit(self) -> None:
        """Submit the prompt, unless an earlier attempt did and the server still has it."""
        if await self._connection.standing(self.prompt):
            return
        if await self._connection.history(self.prompt):
            return
        if not self._cancelled:
            catalog, files = self._server.types.catalog, self._server.files
            nodes = await upload_inputs(self._graph, catalog, files, self._connection)
            await self._submit(nodes)

    async def _submit(self, nodes: Mapping[str, Any]) -> None:
        if self._cancelled:
            return
        extra = {key: item for key, item in self._order.work.extra.items() if key not in _OWN}
        body = {
            "prompt": nodes,
            "prompt_id": self.prompt,
            "client_id": self._connection.client,
            "extra_data": extra,
            "partial_execution_targets": list(self._order.work.targets),
        }
        status, reply = await self._connection.submit(body)
        given = reply.get("prompt_id")
        if isinstance(given, str) and given and given != self.prompt:
            self.prompt = given  # servers before 0.3.50 choose it themselves, and may begin at once
            for message in self._server.unclaimed(given):
                self.offer(message)
        refusal = refusal_of(self._connection.name, status, reply)
        if refusal is not None:
            await self._stop()
            self._fail(refusal)

    async def _advance(self) -> None:
        """Wait for a message and handle it; if none comes, look at queue and history."""
        pause = self._pause if self._due is None else max(0.0, self._due - time.monotonic())
        message = None
        if pause:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    message = await self._messages.get()
        if self._lost:
            raise self._lost
        try:
            if message is None:
                await self._look()
            else:
                await self._handle(message)
            self._troubles = 0
        except UnwellError as error:
            self._note_trouble(error)
            if self._ending is not None:
                await self._stop()
        except (ClientError, TimeoutError):  # the worker waits for the server, or gives it up
            self._pause = POLL
        except NodeGraphError as error:
            await self._stop()
            self._fail(error)

    async def _handle(self, message: ComfyMessage) -> None:
        if message.transient:
            self._handle_transient(message)
        elif message.name == "execution_start":
            self._pause = POLL
            self._events.restart()
        elif message.name == "execution_cached":
            self._events.plan(message.data.get("nodes"))
        elif message.text("node") and message.name in ("executing", "executed"):
            await self._handle_node(message)
        else:
            await self._handle_end(message)

    def _handle_transient(self, message: ComfyMessage) -> None:
        if message.is_of_pack:
            self._events.relay(message)
        elif message.name == "progress":
            self._events.progress(message)
        elif message.name == "progress_state":
            self._events.progress_of_all(message)
        elif self.watched:
            self._events.preview(message)

    async def _handle_node(self, message: ComfyMessage) -> None:
        node, shown_as = message.text("node"), message.text("display_node")
        if message.name == "executing":
            self._events.start(node, shown_as)
        else:
            await self._show(node, message.data.get("output"), shown_as)

    async def _handle_end(self, message: ComfyMessage) -> None:
        if message.name == "execution_error":
            self._fail(failure_of(self._connection.name, message.data, self._events.type_of))
        elif message.name == "execution_interrupted":
            self._interrupt()
        elif message.name in ("execution_success", "executing"):
            self._succeeded, self._pause = True, SOON
            await self._look()

    async def _look(self) -> None:
        """Look for the prompt in the history and the queue."""
        self._due = None
        entry = await self._connection.history(self.prompt)
        standing = "" if entry else await self._connection.standing(self.prompt)
        if entry:
            await self._finish(entry)
        elif standing:
            self._absent, self._pause = 0, POLL
            if standing == "running":
                self._events.begin()
            if self._cancelled:
                self._pause, self._due = AGAIN, time.monotonic() + AGAIN
                await self._connection.stop(self.prompt)
        else:
            self._absent, self._pause = self._absent + 1, SOON
            if self._absent >= (_UNWRITTEN if self._succeeded else _ABSENT):
                self._give_up()

    async def _stop(self) -> None:
        """Stop the prompt, because the attempt ends without it; if that fails, it goes on."""
        with suppress(ClientError, TimeoutError, NodeGraphError):
            await self._connection.stop(self.prompt)

    def _give_up(self) -> None:
        """End an attempt whose prompt is nowhere on the server."""
        if self._succeeded:
            self._end_successfully()
        elif self._cancelled:
            self._ending = {"state": "cancelled"}
        elif self._was_away:
            self.lose(f"ComfyUI {self._connection.name} was restarted")
        else:
            self._fail(ComfyInterruptedError(self._connection.name, "removed"))

    async def _finish(self, entry: Mapping[str, Any]) -> None:
        """End the attempt as the history says, with the outputs that were not told yet."""
        status = entry.get("status")
        told = status.get("messages") if is_object(status) else None
        messages: dict[object, object] = {
            item[0]: item[1]
            for item in (told if is_list(told) else [])
            if is_list(item) and len(item) > 1 and isinstance(item[0], str)
        }
        error, cached = messages.get("execution_error"), messages.get("execution_cached")
        if is_object(error):
            self._fail(failure_of(self._connection.name, error, self._events.type_of))
            return
        if "execution_interrupted" in messages:
            self._interrupt()
            return
        if is_object(status) and status.get("status_str") == "error":
            self._fail(failure_of(self._connection.name, {}, self._events.type_of))
            return
        self._events.plan(cached.get("nodes") if is_object(cached) else [])
        outputs = entry.get("outputs")
        for node, output in outputs.items() if is_object(outputs) else ():
            if node not in self._events.shown:
                await self._show(node, output)
        self._end_successfully()

    async def _show(self, node: str, output: object, shown_as: str = "") -> None:
        if not is_object(output):
            return
        stored = await self._server.outputs.take(node, output)
        if len(json.dumps(stored)) > _MOST_OUTPUT:
            stored = {"text": [f"more than {_MOST_OUTPUT >> 20} MiB, left out"]}
        self._events.show(node, stored, shown_as)

    @property
    def _was_away(self) -> bool:
        """True if the connection was lost since the attempt began."""
        return self._server.losses() != self._losses

    def _end_successfully(self) -> None:
        self._events.end_node()
        total = len(self._graph.nodes)
        cached = min(self._events.cached_count, total)
        self._ending = {"state": "succeeded", "executed": total - cached, "cached": cached}

    def _interrupt(self) -> None:
        if self._cancelled:
            self._ending = {"state": "cancelled"}
        else:
            self._fail(ComfyInterruptedError(self._connection.name, "interrupted"))

    def _fail(self, error: NodeGraphError) -> None:
        self._ending = {"state": "failed", "error": error.as_dict()}
