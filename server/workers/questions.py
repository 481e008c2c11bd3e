"""Questions about prompts that a worker answers, for its process has imported the packs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from server.errors import WorkerLostError

About: TypeAlias = Literal["prompt", "inputs"]
"""Packs change a prompt, or check the inputs of its nodes."""


@runtime_checkable
class AnswersQuestions(Protocol):
    """A worker that packs can be asked through."""

    @property
    def ready(self) -> bool:
        """True if it can be asked now."""
        ...

    async def ask(
        self, about: About, question: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        """Return its answer.

        Raises:
            WorkerLostError: the worker died before it answered.
            TimeoutError: it did not answer within `patience` seconds.
        """
        ...


class Questions:
    """The questions to one worker that it has not answered yet.

    Args:
        send: sends a message to the worker.
    """

    def __init__(self, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._numbers = count()
        self._open: dict[int, asyncio.Future[Mapping[str, Any]]] = {}

    async def ask(
        self, about: About, question: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        """Ask, and wait for the answer; raises what `AnswersQuestions.ask` raises."""
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience):
                await self._send({"op": "ask", "number": number, "about": about, **question})
                return await answer
        finally:
            del self._open[number]

    def take_answer(self, body: Mapping[str, Any]) -> None:
        """Hand an answer to whoever waits for it; nobody may wait any more."""
        waiting = self._open.get(body["number"])
        if waiting is not None and not waiting.done():
            waiting.set_result(body)

    def lose(self, error: WorkerLostError) -> None:
        """Note that the worker is dead."""
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(error)
