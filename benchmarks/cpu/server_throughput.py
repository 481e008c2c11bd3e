"""The server under load: prompts a second, the time of a submit, memory and processor time.

A real server with a real worker on this machine, in a folder of its own; clients are in this
process, so on two cores they take part of the time.

- `toys`: prompts of two toy nodes from 64 clients, from the first submit to the last result, and
  the memory of server and worker before and after all of them.
- `images`: prompts of EmptyImage (512 by 512) and PreviewImage from 32 clients, with 1 slot and
  with 8: prompts done a second, and processor milliseconds a prompt of server, worker and clients.
  With `--comfyui` the same prompts go to both servers.
"""

import asyncio
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from benchmarks.clients import Prompt, picture_of, submit_all, wait_until_empty
from benchmarks.machine import memory, processor
from benchmarks.report import Report
from tests.server.serving import install_toys, serving

TOYS = {"NODEGRAPH_PACKS": "toys"}
CLIENTS, IMAGE_CLIENTS = 64, 32
WARM_UP = 100
TAIL = 0.99
"""The percentile of times that is reported beside the median."""
RATE, SINGLE_SLOT = 400, 0.8
"""Prompts a second on two cores, and the part of that with a single slot."""
RATIO = 3
"""How many times as many prompts a second as ComfyUI."""


class Load(NamedTuple):
    """What a server did under load."""

    rate: float
    """Prompts done a second."""
    submits: list[float]
    """Seconds until each was accepted."""
    clients: float
    """Processor seconds of the clients."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("parts", nargs="*", default=["toys", "images"], help="toys, images")
    parser.add_argument("--toys", type=int, default=1280, help="toy prompts")
    parser.add_argument("--more-toys", type=int, default=4000, help="afterwards, for the memory")
    parser.add_argument("--images", type=int, default=400, help="prompts of images")
    parser.add_argument("--comfyui", metavar="URL", help="a running ComfyUI to compare with")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    with tempfile.TemporaryDirectory() as folder:
        if "toys" in options.parts:
            toys(Path(folder, "toys"), options, report)
        if "images" in options.parts:
            images(Path(folder), options, report)


def toy(value: int) -> Prompt:
    """Return a prompt of two nodes that computes nothing."""
    return {
        "1": {"class_type": "ToyNumber", "inputs": {"value": value}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def toys(home: Path, options: Namespace, report: Report) -> None:
    """Report the prompts a second, the time of a submit, and what they leave in memory."""
    install_toys(home)

    async def load() -> None:
        await submit_all(server.url, range(WARM_UP), toy, CLIENTS)
        await wait_until_empty(server.url)
        before = [memory(pid) for pid in pids]
        begin = time.perf_counter()
        values = range(WARM_UP, WARM_UP + options.toys)
        taken = await submit_all(server.url, values, toy, CLIENTS)
        await wait_until_empty(server.url)
        report.add("toys", options.toys / (time.perf_counter() - begin), "done/s")
        report.add_times("toys: submit", taken, TAIL)
        last = values.stop + options.more_toys
        await submit_all(server.url, range(values.stop, last), toy, CLIENTS)
        await wait_until_empty(server.url)
        for name, pid, low in zip(("server", "worker"), pids, before, strict=True):
            report.add(f"toys: memory of the {name} after {WARM_UP}", low, "MiB")
            report.add(f"toys: memory of the {name} after {last:,}", memory(pid), "MiB")

    with serving(home, environment=TOYS) as server:
        pids = server.process.pid, *server.worker_pids()
        asyncio.run(load())


def images(home: Path, options: Namespace, report: Report) -> None:
    """Report the prompts a second that make an image, and their processor time."""
    rates: dict[int, float] = {}
    for slots in (8, 1):
        with serving(home / f"{slots}-slots", ["--slots", str(slots)]) as server:
            pids = server.process.pid, *server.worker_pids()
            asyncio.run(loaded(server.url, WARM_UP, 0))
            before = [processor(pid) for pid in pids]
            found = asyncio.run(loaded(server.url, options.images, WARM_UP))
            used = [processor(pid) - start for pid, start in zip(pids, before, strict=True)]
        rates[slots] = found.rate
        goal = f">= {RATE}" if slots > 1 else f">= {SINGLE_SLOT * rates[8]:.0f}"
        report.add(f"images, {slots} slots", found.rate, "done/s", goal)
        report.add_times(f"images, {slots} slots: submit", found.submits, TAIL)
        parts = zip(("server", "worker", "clients"), [*used, found.clients], strict=True)
        for name, spent in parts:
            ms = spent * 1000 / options.images
            report.add(f"images, {slots} slots: processor time of the {name}", ms, "ms/prompt")
    if options.comfyui:
        asyncio.run(loaded(options.comfyui, WARM_UP, 0))
        theirs = asyncio.run(loaded(options.comfyui, options.images, WARM_UP))
        report.add("images: ComfyUI", theirs.rate, "done/s")
        report.add_times("images: ComfyUI: submit", theirs.submits, TAIL)
        report.add("images", max(rates.values()) / theirs.rate, "x", f">= {RATIO}")


async def loaded(url: str, count: int, first: int) -> Load:
    """Let a server make so many images, the first of that colour."""
    begin, used = time.perf_counter(), time.process_time()
    taken = await submit_all(url, range(first, first + count), picture_of, IMAGE_CLIENTS)
    await wait_until_empty(url)
    rate = count / (time.perf_counter() - begin)
    return Load(rate, taken, time.process_time() - used)
