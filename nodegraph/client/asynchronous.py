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
from nodegraph.client.streams import Place, events_in
from nodegraph.client.values import Output, Run, RunEvent, Status
from nodegraph.client.workflows import Workflow, as_sent

LOCAL = "http://127.0.0.1:8188"


class AsyncClient:
    """Talks to a server; to be used with `async with`, or to be closed.

    Args:
        url: where the server is.
        token: what it wants to know, if anything.
        client: who this is: clients take turns.
        timeout: seconds that an answer may take.
        patience: seconds for which it is tried again when a connection breaks.

    Raises:
        ClientError: that is no URL, or no token.
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
        """Let go of all connections; runs go on."""
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
            key: the same request with the same key is the same run; one is made up if
                not given. Visible ASCII characters.

        Raises:
            WorkflowRefusedError: something is wrong with the workflow.
            RefusedError: the server takes no runs, or not this one.
            UnreachableError: there is no server.
            ClientError: that is no key.
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
        return Run.of(reply.told)

    async def get(self, run: Run | str) -> Run:
        """How a run is doing now."""
        return Run.of((await self._connection.ask(Request("GET", _path(run)))).told)

    async def cancel(self, run: Run | str) -> Run:
        """Stop a run after its present step, or take it out of the queue."""
        reply = await self._connection.ask(Request("POST", f"{_path(run)}/cancel"))
        return Run.of(reply.told)

    async def retry(self, run: Run | str) -> Run:
        """Queue a run again that failed or was cancelled.

        Raises:
            ConflictError: it was neither.
        """
        request = Request("POST", f"{_path(run)}/retry", again=False)
        return Run.of((await self._connection.ask(request)).told)

    async def runs(self, *statuses: Status, limit: int = 50) -> list[Run]:
        """The newest runs, newest first.

        Args:
            statuses: only of these; all of them if none is named.
            limit: how many at most; a thousand is the most that a server gives.
        """
        query = f"&status={','.join(statuses)}" if statuses else ""
        reply = await self._connection.ask(Request("GET", f"/v1/runs?limit={limit}{query}"))
        return [Run.of(item) for item in reply.told["runs"]]

    async def object_info(self) -> Mapping[str, Any]:
        """Every node type as ComfyUI's clients see it: inputs, ranges, choices, outputs, help."""
        return (await self._connection.ask(Request("GET", "/object_info"))).told

    async def follow(
        self, run: Run | str, *, after: int = 0, previews: bool = False
    ) -> AsyncGenerator[RunEvent]:
        """A run's events, from the first to the last, as they happen; each one once.

        Where the connection breaks, it goes on with the event after the last one that came.

        Args:
            run: which.
            after: only events after the one with this id.
            previews: unfinished images too: `preview`, with `mime` and `image` in base64.

        Raises:
            RefusedError: the server said no; for example, there is no such run.
            UnreachableError: the server is gone for longer than the patience lasts.
        """
        patience, place = self._connection.patience(), Place(after)
        query = {"previews": "true"} if previews else None
        while not place.over:
            reason: BaseException = ConnectionError("the stream ended early")
            try:
                answer = await self._connection.stream(f"{_path(run)}/events", place.last, query)
                if answer is None:
                    return
                async with answer:
                    async for event in events_in(_heard(answer, patience)):
                        patience.renew()
                        if place.takes(event):
                            yield event
            except (*BROKEN, UnavailableError) as error:
                reason = error
            if not place.over:
                await patience.wait(reason)

    async def wait(self, run: Run | str, seconds: float | None = None) -> Run:
        """Wait until a run is over; how it ended.

        Args:
            run: which.
            seconds: after so many give up; never if None.

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
        """The files that a run made so far."""
        reply = await self._connection.ask(Request("GET", f"{_path(run)}/outputs"))
        return [Output.of(item) for item in reply.told["outputs"]]

    async def fetch(self, output: Output) -> bytes:
        """What is in a file that a run made.

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
            file: which, or what is in it.
            name: how it is called there; as here if not given.
            folder: a folder inside of the input folder.

        Returns:
            What a workflow calls it; other than `name` if that holds other bytes already.

        Raises:
            OSError: the file can not be read.
            RefusedError: the server does not take it.
            UnreachableError: there is no server.
        """
        data = file if isinstance(file, bytes) else await asyncio.to_thread(Path(file).read_bytes)
        called = name or ("upload" if isinstance(file, bytes) else Path(file).name)

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData({"subfolder": folder})
            made.add_field("image", data, filename=called)
            return made

        reply = await self._connection.ask(Request("POST", "/upload/image", form=form))
        kept = reply.told
        return "/".join(part for part in (kept["subfolder"], kept["name"]) if part)

    async def generate(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        seconds: float | None = None,
    ) -> list[bytes]:
        """Run a workflow; the files that it made, in their order.

        What nodes only show (`temp`) is left out if there is anything else. See `submit` and
        `wait` for the arguments and for what is raised; a run that takes too long is cancelled.
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


async def _heard(answer: aiohttp.ClientResponse, patience: Patience) -> AsyncGenerator[bytes]:
    """What comes; whatever it is, it says that the server is there."""
    async for chunk in answer.content.iter_any():
        patience.extend()
        yield chunk


def _id(run: Run | str) -> str:
    return run if isinstance(run, str) else run.id


def _path(run: Run | str) -> str:
    return f"/v1/runs/{quote(_id(run), safe='')}"
