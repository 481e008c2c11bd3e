"""Clients that load a server over ComfyUI's API, which nodegraph's and ComfyUI's both speak."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, Self, TypeAlias

import aiohttp

from benchmarks.timing import timed

Prompt: TypeAlias = dict[str, Any]
CLIENT = "benchmark"


class Answer(NamedTuple):
    """What became of a prompt."""

    seconds: float
    """From its submission until its client hears that it is done."""
    executed: int
    """The nodes that were computed for it."""


class Listener:
    """A client that submits one prompt after the other, and hears of each over a WebSocket."""

    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._session = session
        self._socket = socket

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncGenerator[Self]:
        """Connect to a server while the block lasts."""
        limit = 64 << 20
        async with (
            aiohttp.ClientSession(url) as session,
            session.ws_connect(f"/ws?clientId={CLIENT}", max_msg_size=limit) as socket,
        ):
            yield cls(session, socket)

    async def run(self, prompt: Prompt) -> Answer:
        """Submit a prompt and wait until it is done.

        Raises:
            AssertionError: it was refused or failed.
        """
        begin = time.perf_counter()
        body = {"prompt": prompt, "client_id": CLIENT}
        async with self._session.post("/prompt", json=body) as reply:
            told = await reply.json()
            assert reply.status == 200, told
        executed = 0
        async for message in self._socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            data = event["data"]
            if data.get("prompt_id") != told["prompt_id"]:
                continue
            assert event["type"] not in ("execution_error", "execution_interrupted"), event
            executed += event["type"] == "executing" and data["node"] is not None
            if event["type"] == "execution_success":
                return Answer(time.perf_counter() - begin, executed)
        message = "the server closed the connection"
        raise AssertionError(message)


def chain(length: int, color: int) -> Prompt:
    """Return a prompt of built-in nodes that do next to nothing: an image inverted many times.

    Args:
        length: the number of its nodes, at least two.
        color: of the image; with another one nothing is cached.
    """
    nodes = {"0": _empty(color)}
    for number in range(1, length - 1):
        nodes[str(number)] = _node("ImageInvert", image=[str(number - 1), 0])
    last = str(length - 1)
    return nodes | {last: _node("PreviewImage", images=[str(length - 2), 0])}


def fan(width: int, color: int) -> Prompt:
    """Return a prompt of a wide graph: many nodes read one image, and are joined in pairs.

    Args:
        width: of the widest layer.
        color: of the image; with another one nothing is cached.
    """
    nodes = {"0": _empty(color)}
    layer: list[str] = []
    for number in range(width):
        name = f"a{number}"
        wide = 16 + number % 2
        nodes[name] = _node(
            "ImageScale", image=["0", 0], upscale_method="nearest-exact", width=wide,
            height=16, crop="disabled",
        )  # fmt: skip
        layer.append(name)
    while len(layer) > 1:
        joined: list[str] = []
        for first, second in zip(layer[::2], layer[1::2], strict=False):
            name = f"{first}{second}"[:200] + f"_{len(nodes)}"
            nodes[name] = _node(
                "ImageBlend", image1=[first, 0], image2=[second, 0], blend_factor=0.5,
                blend_mode="normal",
            )  # fmt: skip
            joined.append(name)
        layer = joined + layer[len(joined) * 2 :]
    return nodes | {"end": _node("PreviewImage", images=[layer[0], 0])}


def picture_of(color: int, size: int = 512) -> Prompt:
    """Return a prompt that makes an image of one colour, and a preview of it."""
    return {"1": _empty(color, size), "2": _node("PreviewImage", images=["1", 0])}


def _empty(color: int, size: int = 16) -> Prompt:
    return _node("EmptyImage", width=size, height=size, batch_size=1, color=color)


def _node(kind: str, **inputs: object) -> Prompt:
    return {"class_type": kind, "inputs": inputs}


async def submit(session: aiohttp.ClientSession, body: Mapping[str, Any]) -> None:
    """Queue a prompt."""
    async with session.post("/prompt", json=body) as reply:
        assert reply.status == 200, await reply.text()
        await reply.read()


async def get(session: aiohttp.ClientSession, path: str) -> Any:
    """Return the answer to a GET."""
    async with session.get(path) as reply:
        return await reply.json()


async def submit_all(
    url: str, values: Iterable[int], make: Callable[[int], Prompt], clients: int
) -> list[float]:
    """Submit prompts from several clients at once; returns the seconds until each is accepted."""
    left = iter(values)
    taken: list[float] = []

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(url) as session:
            for value in left:
                body = {"prompt": make(value), "client_id": f"client-{number}"}
                taken.append(await timed(partial(submit, session, body)))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return taken


async def wait_until_empty(url: str) -> None:
    """Wait until nothing is queued or runs."""
    async with aiohttp.ClientSession(url) as session:
        left = 1
        while left:
            left = (await get(session, "/prompt"))["exec_info"]["queue_remaining"]
            await asyncio.sleep(0.02)
