"""Many who wait and many who listen: the server's answers and memory, and a GET beside a sampler.

A real server with a real worker on this machine, in a folder of its own; clients are in this
process, so on two cores they take part of the time.

- `crowd`: 10,000 prompts wait and 500 WebSocket clients listen, one of whom never reads.
- `sampling`: the time of a GET while nothing runs, and while the demo model samples.
"""

import asyncio
import tempfile
import time
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

import aiohttp

from benchmarks.clients import get, submit, submit_all, wait_until_empty
from benchmarks.cpu.server_throughput import CLIENTS, TOYS, toy
from benchmarks.machine import memory
from benchmarks.report import Report
from benchmarks.timing import timed
from tests.server.serving import Server, install_toys, picture, serving
from tests.server.serving import toy as slow_toy

LOOKS = 20
TAIL = 0.99
"""The percentile of times that is reported beside the median."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--waiting", type=int, default=10_000, help="prompts that wait")
    parser.add_argument("--listeners", type=int, default=500, help="WebSocket clients")
    parser.add_argument("--gets", type=int, default=400, help="beside a sampler")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    with tempfile.TemporaryDirectory() as folder:
        sampling(Path(folder, "sampling"), options.gets, report)
        home = Path(folder, "crowd")
        install_toys(home)
        with serving(home, environment=TOYS) as server:
            asyncio.run(crowd(server, options, report))


def sampling(home: Path, gets: int, report: Report) -> None:
    """Report the time of a GET beside a sampler."""

    async def look() -> list[float]:
        async with aiohttp.ClientSession(server.url) as session:
            found: list[float] = []
            for _ in range(gets):
                found.append(await timed(partial(get, session, "/prompt")))
                await asyncio.sleep(0.005)
        return found

    with serving(home) as server:
        server.finished(server.submit(picture()))
        report.add_times("GET while nothing runs", asyncio.run(look()), TAIL)
        run = server.submit(picture(steps=10_000, seed=5))
        while not server.get("/queue").json["queue_running"]:
            time.sleep(0.01)
        report.add_times("GET while a sampler runs", asyncio.run(look()), TAIL)
        server.post(f"/v1/runs/{run}/cancel")


async def crowd(server: Server, options: Namespace, report: Report) -> None:
    """Report what many who wait and many who listen cost."""
    heard = [0] * options.listeners
    pid = server.process.pid
    report.add("memory of the server before", memory(pid), "MiB")
    writer = await deaf(server)
    unlimited = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=unlimited) as session:
        numbers = range(1, options.listeners)
        tasks = [asyncio.create_task(listen(session, number, heard)) for number in numbers]
        await queue_up(server, session, options.waiting, report)
        for task in tasks:
            task.cancel()
    writer.close()
    report.add("memory of the server after", memory(pid), "MiB")
    report.add("messages that a listener heard, least", min(heard[1:]), "messages")
    report.add("messages that a listener heard, most", max(heard), "messages")


async def deaf(server: Server) -> asyncio.StreamWriter:
    """Connect a WebSocket client that never reads."""
    port = int(server.url.split(":")[-1])
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(
        b"GET /ws?clientId=client-0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    return writer


async def listen(session: aiohttp.ClientSession, number: int, heard: list[int]) -> None:
    """Count the messages of a client's WebSocket."""
    async with session.ws_connect(f"/ws?clientId=client-{number}") as socket:
        async for _ in socket:
            heard[number] += 1


async def queue_up(
    server: Server, session: aiohttp.ClientSession, waiting: int, report: Report
) -> None:
    """Let so many wait behind one that runs, report what that takes, and let them run."""
    await submit(session, {"prompt": slow_toy(steps=100_000), "prompt_id": "blocker"})
    taken = await submit_all(server.url, range(waiting), toy, CLIENTS)
    report.add_times("submit", taken, TAIL)
    report.add("memory of the server with all queued", memory(server.process.pid), "MiB")
    look = partial(get, session, "/v1/runs?status=queued&limit=50")
    report.add_times("a page of 50 that wait", [await timed(look) for _ in range(LOOKS)], TAIL)
    async with session.post("/v1/runs/blocker/cancel"):
        begin = time.perf_counter()
    await wait_until_empty(server.url)
    report.add("prompts that waited", waiting / (time.perf_counter() - begin), "done/s")
