"""The client for asyncio."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from nodegraph.client.connection import BROKEN, Connection, Patience, Request, check_visible
from nodegraph.client.errors import (
    ClientError,
    RunCancelledError,
    RunFailedError,
    TooLateError,
    UnavailableError,
)
from nodegraph.client.streams import StreamPosition, events_in
from nodegraph.client.values import Output, Run, RunEvent, Status
from nodegraph.client.workflows import Workflow, as_sent

LOCAL = "http://127.0.0.1:8188"


class AsyncClient:
    """A client of a server; use it with `async with`, or close it.

    Args:
        url: where the server is.
        token: the server's token, if it has one.
        client: the name of this client; the queue lets clients take turns.
        timeout: the most seconds that an answer may take.
        patience: seconds for which requests are repeated when a connection breaks.

    Raises:
        ClientError: the URL or the token is malformed.
    """

    def __init__(
        self,
        url: str = LOCAL,
        *,
        token: str = "",
        client: str = "",
        timeout: float = 60.0,
        patience: float = 60.0,
    ) -> None:
        self._connection = Connection(url, token, timeout, patience)
        self._client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; runs go on."""
        await self._connection.close()

    async def submit(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        webhook: str = "",
        key: str | None = None,
    ) -> Run:
        """Queue a workflow; it is on the server's disk when this returns.

        Args:
            workflow: a graph, parsed JSON, or a file: JSON, or a picture that carries one.
            targets: the nodes whose results are wanted; every output node if None.
            priority: higher runs earlier.
            webhook: a URL that the server tells when the run is over.
            key: the idempotency key: the same request with the same key is the same run.
                Visible ASCII characters; a new UUID if None.

        Raises:
            WorkflowRefusedError: something is wrong with the workflow.
            RefusedError: the server refused the run.
            UnreachableError: no server answers.
            ClientError: the key is malformed.
            UnknownFileError: there is no such file.
        """
        if key is not None:
            check_visible("key", key)
        body = {
            "workflow": as_sent(workflow),
            "targets": None if targets is None else list(targets),
            "client": self._client,
            "priority": priority,
            "webhook": webhook,
        }
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        reply = await self._connection.ask(Request("POST", "/v1/runs", body, headers))
        return Run.from_json(reply.json_object)

    async def get(self, run: Run | str) -> Run:
        """Return the present state of a run."""
        return Run.from_json((await self._connection.ask(Request("GET", _path(run)))).json_object)

    async def cancel(self, run: Run | str) -> Run:
        """Stop a run after its present step, or take it out of the queue."""
        reply = await self._connection.ask(Request("POST", f"{_path(run)}/cancel"))
        return Run.from_json(reply.json_object)

    async def retry(self, run: Run | str) -> Run:
        """Queue a run again that failed or was cancelled.

        Raises:
            ConflictError: it was neither.
        """
        request = Request("POST", f"{_path(run)}/retry", again=False)
        return Run.from_json((await self._connection.ask(request)).json_object)

    async def runs(self, *statuses: Status, limit: int = 50) -> list[Run]:
        """Return the newest runs, newest first.

        Args:
            statuses: only runs with one of these; all runs if none is named.
            limit: the most runs; a server returns 1000 at most.
        """
        query = f"&status={','.join(statuses)}" if statuses else ""
        reply = await self._connection.ask(Request("GET", f"/v1/runs?limit={limit}{query}"))
        return [Run.from_json(item) for item in reply.json_object["runs"]]

    async def object_info(self) -> Mapping[str, Any]:
        """Return every node type as `/object_info` describes it: inputs, choices, outputs, help."""
        return (await self._connection.ask(Request("GET", "/object_info"))).json_object

    async def metrics(self) -> str:
        """Return the server's counts and times, as Prometheus reads them."""
        reply = await self._connection.ask(Request("GET", "/metrics"))
        return reply.data.decode(errors="replace")

    async def follow(
        self, run: Run | str, *, after: int = 0, previews: bool = False
    ) -> AsyncGenerator[RunEvent]:
        """Yield a run's events as they happen, from the first to the last, each of them once.

        If the connection breaks, it goes on with the event after the last one that arrived.

        Args:
            run: the run or its id.
            after: only events after the one with this id.
            previews: also unfinished images: `preview`, with `mime` and `image` in base64.

        Raises:
            RefusedError: the server refused; for example, there is no such run.
            UnreachableError: the server was away for longer than `patience`.
        """
        patience, position = self._connection.patience(), StreamPosition(after)
        query = {"previews": "true"} if previews else None
        while not position.over:
            reason: BaseException = ConnectionError("the stream ended early")
            try:
                answer = await self._connection.stream(f"{_path(run)}/events", position.last, query)
                if answer is None:
                    return
                async with answer:
                    async for event in events_in(_chunks(answer, patience)):
                        patience.renew()
                        if position.advance(event):
                            yield event
            except (*BROKEN, UnavailableError) as error:
                reason = error
            if not position.over:
                await patience.wait(reason)

    async def wait(self, run: Run | str, seconds: float | None = None) -> Run:
        """Wait until a run is over, and return its final state.

        Args:
            run: the run or its id.
            seconds: the most seconds to wait; forever if None.

        Raises:
            TooLateError: it was not over in time; it goes on.
            RunFailedError: it failed.
            RunCancelledError: it was cancelled.
        """
        try:
            async with asyncio.timeout(seconds):
                async for _ in self.follow(run):
                    pass
                ended = await self.get(run)
        except TimeoutError as error:
            raise TooLateError(_id(run), seconds or 0) from error
        if ended.status == "failed":
            raise RunFailedError(ended)
        if ended.status == "cancelled":
            raise RunCancelledError(ended)
        return ended

    async def outputs(self, run: Run | str) -> list[Output]:
        """Return the files that a run made so far."""
        reply = await self._connection.ask(Request("GET", f"{_path(run)}/outputs"))
        return [Output.from_json(item) for item in reply.json_object["outputs"]]

    async def fetch(self, output: Output) -> bytes:
        """Return the content of a file that a run made.

        Raises:
            NotFoundError: it is gone.
        """
        if not output.url.startswith("/"):
            message = f"the output {output.filename!r} is not on this server: {output.url}."
            raise ClientError(message)
        return (await self._connection.ask(Request("GET", output.url))).data

    async def upload(self, file: Path | str | bytes, name: str = "", folder: str = "") -> str:
        """Put a file into the server's input folder.

        Args:
            file: its path, or its content.
            name: its name on the server; that of the path if empty.
            folder: a folder inside the input folder.

        Returns:
            The name for workflows; differs from `name` if another file has that already.

        Raises:
            OSError: the file can not be read.
            RefusedError: the server refused the file.
            UnreachableError: no server answers.
        """
        data = file if isinstance(file, bytes) else await asyncio.to_thread(Path(file).read_bytes)
        called = name or ("upload" if isinstance(file, bytes) else Path(file).name)

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData({"subfolder": folder})
            made.add_field("image", data, filename=called)
            return made

        reply = await self._connection.ask(Request("POST", "/upload/image", form=form))
        kept = reply.json_object
        return "/".join(part for part in (kept["subfolder"], kept["name"]) if part)

    async def generate(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        seconds: float | None = None,
    ) -> list[bytes]:
        """Run a workflow and return the files that it made, in their order.

        Files that are only shown (`temp`) are left out if there are others. See `submit` and
        `wait` for arguments and errors; a run that takes longer than `seconds` is cancelled.
        """
        run = await self.submit(workflow, targets=targets, priority=priority)
        try:
            await self.wait(run, seconds)
        except TooLateError:
            await self.cancel(run)
            raise
        made = await self.outputs(run)
        kept = [output for output in made if output.type == "output"] or made
        return [await self.fetch(output) for output in kept]


async def _chunks(answer: aiohttp.ClientResponse, patience: Patience) -> AsyncGenerator[bytes]:
    """Yield the chunks of a stream; each of them shows that the server is alive."""
    async for chunk in answer.content.iter_any():
        patience.extend()
        yield chunk


def _id(run: Run | str) -> str:
    return run if isinstance(run, str) else run.id


def _path(run: Run | str) -> str:
    return f"/v1/runs/{quote(_id(run), safe='')}"
