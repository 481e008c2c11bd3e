"""The server under load: prompts a second, how long requests take, and its memory.

Run as `python -m benchmarks.server_load [part …]`; parts are `start`, `prompts`, `images`,
`sampling` and `crowd`, all of them if none is named. Each starts a real server with real workers
on this machine, in a folder of its own. Clients are in this process, so on two cores they take
part of the time.

- `start`: processor seconds and resident memory until the first answer to an HTTP request.
- `prompts`: 1,000 tiny prompts from 64 clients, then 5,000 in all: prompts a second from the first
  submit to the last result, how long a submit takes, and memory before and after.
- `images`: 400 prompts of EmptyImage and PreviewImage from 32 clients, with 1 slot and with 8:
  prompts done a second, and processor milliseconds a prompt of the server and of its worker.
- `sampling`: how long a GET takes while nothing runs, and while the demo model samples.
- `crowd`: 10,000 prompts wait and 500 WebSocket clients listen, one of whom never reads.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from tests.server.serving import Server, install_toys, picture, serving, toy

TOYS = {"NODEGRAPH_PACKS": "toys"}
CLIENTS = 64
IMAGES, IMAGE_CLIENTS = 400, 32
WAITING, LISTENERS = 10_000, 500


def memory(pid: int) -> float:
    """Resident memory in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def processor(pid: int) -> float:
    """Processor seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def spread(seconds: Sequence[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    last = ordered[int(len(ordered) * 0.99)]
    return f"p50 {statistics.median(ordered) * 1000:.1f} ms, p99 {last * 1000:.1f} ms"


def tiny(value: int) -> dict[str, Any]:
    """A prompt of two nodes that computes nothing."""
    return {
        "1": {"class_type": "ToyNumber", "inputs": {"value": value}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def image(value: int) -> dict[str, Any]:
    """A prompt that makes an image of one colour, and a preview of it."""
    inputs = {"width": 512, "height": 512, "batch_size": 1, "color": value}
    return {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    await call()
    return time.perf_counter() - begin


async def submit(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    """Queue a prompt."""
    async with session.post("/prompt", json=body) as reply:
        assert reply.status == 200, await reply.text()
        await reply.read()


async def get(session: aiohttp.ClientSession, path: str) -> Any:
    """What a GET answers."""
    async with session.get(path) as reply:
        return await reply.json()


async def submitted(
    server: Server,
    values: Iterable[int],
    make: Callable[[int], dict[str, Any]] = tiny,
    clients: int = CLIENTS,
) -> list[float]:
    """How long each of these prompts takes to be accepted, sent by all clients at once."""
    left = iter(values)
    taken: list[float] = []

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(server.url) as session:
            for value in left:
                body = {"prompt": make(value), "client_id": f"client-{number}"}
                taken.append(await timed(partial(submit, session, body)))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return taken


async def emptied(server: Server) -> None:
    """Wait until nothing is queued or runs."""
    async with aiohttp.ClientSession(server.url) as session:
        left = 1
        while left:
            left = (await get(session, "/prompt"))["exec_info"]["queue_remaining"]
            await asyncio.sleep(0.02)


def start(home: Path) -> None:
    """Print what a cold start costs."""
    seconds: list[float] = []
    sizes: list[float] = []
    for _ in range(7):
        with serving(home, ready=False) as server:
            server.get("/healthz")
            seconds.append(processor(server.process.pid))
            sizes.append(memory(server.process.pid))
    print(f"start: {statistics.median(seconds):.2f} s of CPU (least {min(seconds):.2f}),", end=" ")
    print(f"{statistics.median(sizes):.0f} MiB until HTTP answers; medians of {len(seconds)}")


def prompts(home: Path) -> None:
    """Print how many tiny prompts a second there are, and what they leave in memory."""

    async def load(server: Server) -> None:
        (worker,) = server.worker_pids()
        await submitted(server, range(100))
        await emptied(server)
        before = memory(server.process.pid), memory(worker)
        begin = time.perf_counter()
        taken = await submitted(server, range(100, 1100))
        await emptied(server)
        rate = 1000 / (time.perf_counter() - begin)
        print(f"prompts: {rate:.0f} a second, 1,000 from {CLIENTS} clients; submit {spread(taken)}")
        await submitted(server, range(1100, 5100))
        await emptied(server)
        after = memory(server.process.pid), memory(worker)
        for name, low, high in zip(("server", "worker"), before, after, strict=True):
            print(f"prompts: {name} {low:.0f} MiB before, {high:.0f} MiB after 5,000")

    with serving(home, environment=TOYS) as server:
        asyncio.run(load(server))


def images(home: Path) -> None:
    """Print how many prompts that make an image are done a second, and their processor time."""

    async def load(server: Server, slots: int) -> None:
        pids = (server.process.pid, *server.worker_pids())
        await submitted(server, range(100), image, IMAGE_CLIENTS)
        await emptied(server)
        before = [processor(pid) for pid in pids]
        begin = time.perf_counter()
        await submitted(server, range(100, 100 + IMAGES), image, IMAGE_CLIENTS)
        await emptied(server)
        rate = IMAGES / (time.perf_counter() - begin)
        used = [processor(pid) - first for pid, first in zip(pids, before, strict=True)]
        server_ms, worker_ms = (seconds / IMAGES * 1000 for seconds in used)
        print(
            f"images: {slots} slots: {rate:.0f} done a second; processor time a prompt:"
            f" server {server_ms:.1f} ms, worker {worker_ms:.1f} ms"
        )

    for slots in (1, 8):
        folder = home / f"{slots}-slots"
        with serving(folder, ["--slots", str(slots)]) as server:
            asyncio.run(load(server, slots))


def sampling(home: Path) -> None:
    """Print how long a GET takes beside a sampler."""

    async def measure(server: Server, count: int = 400) -> list[float]:
        async with aiohttp.ClientSession(server.url) as session:
            found: list[float] = []
            for _ in range(count):
                found.append(await timed(partial(get, session, "/prompt")))
                await asyncio.sleep(0.005)
        return found

    with serving(home) as server:
        server.finished(server.submit(picture()))
        print(f"sampling: GET {spread(asyncio.run(measure(server)))} while nothing runs")
        run = server.submit(picture(steps=10_000, seed=5))
        while not server.get("/queue").json["queue_running"]:
            time.sleep(0.01)
        print(f"sampling: GET {spread(asyncio.run(measure(server)))} while a sampler runs")
        server.post(f"/v1/runs/{run}/cancel")


async def deaf(server: Server) -> asyncio.StreamWriter:
    """A WebSocket client that never reads."""
    port = int(server.url.split(":")[-1])
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(
        b"GET /ws?clientId=client-0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    return writer


async def listen(session: aiohttp.ClientSession, number: int, heard: list[int]) -> None:
    """Count what a client's WebSocket says."""
    async with session.ws_connect(f"/ws?clientId=client-{number}") as socket:
        async for _ in socket:
            heard[number] += 1


async def queued_up(server: Server, session: aiohttp.ClientSession, waiting: int) -> None:
    """Let so many wait behind one that runs, print what that takes, and let them run."""
    await submit(session, {"prompt": toy(steps=100_000), "prompt_id": "blocker"})
    begin = time.perf_counter()
    taken = await submitted(server, range(waiting))
    print(f"crowd: {waiting} queued in {time.perf_counter() - begin:.0f} s; {spread(taken)}")
    print(f"crowd: server {memory(server.process.pid):.0f} MiB with all of them queued")
    look = partial(get, session, "/v1/runs?status=queued&limit=50")
    looks = [await timed(look) for _ in range(20)]
    print(f"crowd: a page of 50 that wait, with their positions: {spread(looks)}")
    async with session.post("/v1/runs/blocker/cancel"):
        begin = time.perf_counter()
    await emptied(server)
    print(f"crowd: {waiting / (time.perf_counter() - begin):.0f} prompts a second")


def crowd(home: Path) -> None:
    """Print what many who wait and many who listen cost."""

    async def load(server: Server) -> None:
        heard = [0] * LISTENERS
        before = memory(server.process.pid)
        writer = await deaf(server)
        unlimited = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(server.url, connector=unlimited) as session:
            numbers = range(1, LISTENERS)
            tasks = [asyncio.create_task(listen(session, n, heard)) for n in numbers]
            await queued_up(server, session, WAITING)
            for task in tasks:
                task.cancel()
        writer.close()
        print(
            f"crowd: server {before:.0f} MiB before, {memory(server.process.pid):.0f} after;",
            end=" ",
        )
        print(f"those who listen heard {min(heard[1:])} to {max(heard)} messages")

    with serving(home, environment=TOYS) as server:
        asyncio.run(load(server))


PARTS = {
    "start": start,
    "prompts": prompts,
    "images": images,
    "sampling": sampling,
    "crowd": crowd,
}


def main() -> None:
    """Run the parts that are named."""
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            install_toys(Path(folder))
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
