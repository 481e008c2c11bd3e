"""The gateway: a process of the server's own that is connected to Ray, and restarted if it fails.

Ray ends a process whose head is gone for long; this one has nothing to lose.
"""

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from server.workers.ray.core import connect, head_answers
from server.workers.ray.link import Link
from server.workers.wire import Frame, FrameReader, pack

_PAUSE = 2.0
"""Seconds between two questions to the head."""
_LONGEST_ABSENCE = 30.0
"""Seconds without an answer after which the gateway ends, and the server connects anew."""
_LAST_WORDS = 3.0
"""Seconds that letting go of all actors may take at the end."""


async def serve(end: socket.socket) -> None:
    """Connect to the cluster that the first message names, then obey the server until it is gone.

    Args:
        end: the socket to the server.
    """
    reader, writer = await asyncio.open_connection(sock=end, limit=2**20)
    frames = FrameReader(reader)
    first = await frames.next()
    if first is None:
        return
    try:
        cluster = connect(first.body["address"], first.body["namespace"])  # nothing goes on yet
    except Exception as error:  # noqa: BLE001 - Ray's errors are of many kinds; the server hears
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {' '.join(lines)}"
        writer.write(pack(Frame({"op": "failed", "reason": reason})))
        await writer.drain()
        return
    writer.write(pack(Frame({"op": "opened", "nodes": cluster.nodes, "version": cluster.version})))
    gateway = Gateway(first.body, writer)
    probing = asyncio.create_task(gateway.probe())
    listening = asyncio.create_task(gateway.listen(frames))
    await asyncio.wait([probing, listening], return_when=asyncio.FIRST_COMPLETED)
    await gateway.close()


class Gateway:
    """The links to all actors, and the messages between them and the server.

    Args:
        opening: the server's first message: `namespace`, `owner`.
        writer: leads to the server.
    """

    def __init__(self, opening: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        self._namespace: str = opening["namespace"]
        self._owner: str = opening["owner"]
        self._writer = writer
        self._links: dict[int, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, frames: FrameReader) -> None:
        """Obey the server until it is gone."""
        while (frame := await frames.next()) is not None:
            body = frame.body
            life: int = body["life"]
            if body["op"] == "begin":
                tell = partial(self._tell, body["worker"], life)
                link = self._links[life] = Link(body, self._namespace, self._owner, tell)
                self._begin(self._follow(life, link))
            elif body["op"] == "write" and life in self._links:
                self._links[life].write(frame.data)
            elif body["op"] == "end" and life in self._links:
                self._begin(self._links.pop(life).close(body["how"]))

    async def probe(self) -> None:
        """Ask the head again and again if it is there; return when it is gone for long."""
        loop = asyncio.get_running_loop()
        answered = loop.time()
        is_up = True
        while loop.time() - answered < _LONGEST_ABSENCE:
            answers = await head_answers()
            if answers:
                answered = loop.time()
            if answers != is_up:
                is_up = answers
                self._writer.write(pack(Frame({"op": "head", "up": is_up})))
            await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """Let go of all actors, which keep their caches."""
        closing = [asyncio.create_task(link.close("release")) for link in self._links.values()]
        if closing:
            await asyncio.wait(closing, timeout=_LAST_WORDS)

    async def _follow(self, life: int, link: Link) -> None:
        await link.run()
        self._links.pop(life, None)

    def _tell(self, worker: str, life: int, body: Mapping[str, Any], data: bytes) -> None:
        self._writer.write(pack(Frame({**body, "worker": worker, "life": life}, data)))

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
