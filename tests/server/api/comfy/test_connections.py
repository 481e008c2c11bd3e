"""Connections that are cut, and clients that do not listen."""

import asyncio
import random
import socket
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.server.api.comfy.prompts import chain
from tests.server.serving import Server, toy


@pytest.mark.parametrize("cuts", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_stream_that_is_cut_again_and_again_lacks_nothing(cuts, server):
    chance, client = random.Random(cuts), f"cut-{cuts}"
    runs = [server.submit(toy(steps=5, value=value), client_id=client) for value in range(cuts)]

    pieces: list[dict[str, Any]] = []
    reached = 0
    for _ in range(cuts):
        seconds = chance.uniform(0.05, 0.4)
        pieces += complete(asyncio.run(heard(server, client, reached, seconds)))
        reached = pieces[-1]["seq"] if pieces else 0
    for run in runs:
        server.finished(run, 240)
    pieces += complete(asyncio.run(heard(server, client, reached, 5)))
    whole = complete(asyncio.run(heard(server, client, 0, 5)))

    assert list(map(str, filter(lasting, pieces))) == list(map(str, filter(lasting, whole)))
    ends = [item["data"]["prompt_id"] for item in whole if item["data"].get("node", "") is None]
    assert ends == runs


@pytest.mark.slow
def test_who_never_reads_is_dropped_and_holds_up_nobody(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((host, int(port)))
        deaf.sendall(
            f"GET /ws?clientId=deaf HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        for start in (50_000, 70_000):
            run = server.submit(chain(10_000, start), client_id="deaf")
            assert server.finished(run, 240)["status"]["completed"]
        deaf.settimeout(120)  # for the server's patience, and the close that nobody answers
        received = 0
        with suppress(ConnectionResetError):
            asyncio.run(asyncio.sleep(75))
            while data := deaf.recv(2**20):
                received += len(data)

    assert received < 10_000_000
    assert server.finished(server.submit(toy(value=9)))["status"]["completed"]


async def heard(server: Server, client: str, since: int, seconds: float) -> list[dict[str, Any]]:
    """What a connection hears until it is cut."""
    found: list[dict[str, Any]] = []

    async def listen() -> None:
        url = f"{server.socket_url}?clientId={client}&since={since}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            async for message in connection:
                found.append(message.json())  # noqa: PERF401 - what came before the cut counts

    with suppress(TimeoutError):
        await asyncio.wait_for(listen(), seconds)
    return found


def complete(piece: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A piece without what came after its last number: that comes again."""
    numbered = [place for place, item in enumerate(piece) if "seq" in item]
    return piece[: numbered[-1] + 1] if numbered else []


def lasting(item: dict[str, Any]) -> bool:
    """Whether a message is one of those that a client gets again."""
    if item["type"] == "progress_state":
        states = item["data"]["nodes"].values()
        return all(node["state"] == "finished" or not node["value"] for node in states)
    return item["type"] not in ("status", "feature_flags", "progress")
