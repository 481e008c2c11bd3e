"""The client for programs without asyncio: `AsyncClient` on an event loop in its own thread."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from nodegraph.client.asynchronous import LOCAL, AsyncClient
from nodegraph.client.errors import ClientError
from nodegraph.client.values import Output, Run, RunEvent, Status
from nodegraph.client.workflows import Workflow

T = TypeVar("T")


class Client:
    """A client of a server; use it with `with`, or close it. Any thread may use it.

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
        self._inner = AsyncClient(
            url, token=token, client=client, timeout=timeout, patience=patience
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="nodegraph-client", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; runs go on. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self._await(self._inner.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        webhook: str = "",
        key: str | None = None,
    ) -> Run:
        """Queue a workflow; see `AsyncClient.submit`."""
        return self._await(
            self._inner.submit(
                workflow, targets=targets, priority=priority, webhook=webhook, key=key
            )
        )

    def get(self, run: Run | str) -> Run:
        """Return the present state of a run."""
        return self._await(self._inner.get(run))

    def cancel(self, run: Run | str) -> Run:
        """Stop a run after its present step, or take it out of the queue."""
        return self._await(self._inner.cancel(run))

    def retry(self, run: Run | str) -> Run:
        """Queue a run again that failed or was cancelled; see `AsyncClient.retry`."""
        return self._await(self._inner.retry(run))

    def runs(self, *statuses: Status, limit: int = 50) -> list[Run]:
        """Return the newest runs, newest first; see `AsyncClient.runs`."""
        return self._await(self._inner.runs(*statuses, limit=limit))

    def object_info(self) -> Mapping[str, Any]:
        """Return every node type as `/object_info` describes it; see `AsyncClient.object_info`."""
        return self._await(self._inner.object_info())

    def metrics(self) -> str:
        """Return the server's counts and times; see `AsyncClient.metrics`."""
        return self._await(self._inner.metrics())

    def follow(
        self, run: Run | str, *, after: int = 0, previews: bool = False
    ) -> Generator[RunEvent]:
        """Yield a run's events as they happen; see `AsyncClient.follow`."""
        events = self._inner.follow(run, after=after, previews=previews)
        try:
            while (event := self._await(_next(events))) is not None:
                yield event
        finally:
            if not self._loop.is_closed():
                self._await(_close(events))

    def wait(self, run: Run | str, seconds: float | None = None) -> Run:
        """Wait until a run is over; see `AsyncClient.wait`."""
        return self._await(self._inner.wait(run, seconds))

    def outputs(self, run: Run | str) -> list[Output]:
        """Return the files that a run made so far."""
        return self._await(self._inner.outputs(run))

    def fetch(self, output: Output) -> bytes:
        """Return the content of a file that a run made."""
        return self._await(self._inner.fetch(output))

    def upload(self, file: Path | str | bytes, name: str = "", folder: str = "") -> str:
        """Put a file into the server's input folder; see `AsyncClient.upload`."""
        return self._await(self._inner.upload(file, name, folder))

    def generate(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        priority: int = 0,
        seconds: float | None = None,
    ) -> list[bytes]:
        """Run a workflow and return the files that it made; see `AsyncClient.generate`."""
        return self._await(
            self._inner.generate(workflow, targets=targets, priority=priority, seconds=seconds)
        )

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            message = "this client is closed."
            raise ClientError(message)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next(events: AsyncGenerator[RunEvent]) -> RunEvent | None:
    return await anext(events, None)


async def _close(events: AsyncGenerator[RunEvent]) -> None:
    await events.aclose()
