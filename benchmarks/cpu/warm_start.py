"""Seconds until a fresh server is ready, and to its first image, cold and with `--warm`.

Each round starts a real server, waits for `/readyz`, and asks `/v1/generate` for two images of
different seeds; `--warm` runs the workflow with a third seed, so that no image is in the cache.
Medians of several rounds, with the processor seconds of the worker, which other load on the machine
changes less. The files are in the system's memory already: a disk is not measured.

- `demo`: the checkpoint of 8 MB that comes with nodegraph, 64 by 64 pixels, 20 steps.
- `sd15`: Stable Diffusion 1.5 of full size with random weights, 256 by 256 pixels, 1 step.
"""

import json
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import processor
from benchmarks.report import Report
from benchmarks.sd15_checkpoint import write_checkpoint
from tests.server.serving import WORKFLOWS, Server, serving, until

PATIENCE = 600.0
KINDS: Mapping[str, Mapping[str, Any]] = {
    "demo": {"width": 64, "height": 64, "steps": 20},
    "sd15": {"width": 256, "height": 256, "steps": 1, "ckpt_name": "sd15.safetensors"},
}
"""The inputs that make each kind's workflow of the shipped one."""
FIGURES = ("until ready", "first image", "second image")


class Taken(NamedTuple):
    """The seconds that something took."""

    wall: float
    processor: float
    """Of the worker."""


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("kinds", nargs="*", default=["demo"], help=", ".join(KINDS))
    parser.add_argument("--rounds", type=int, default=3, help="servers of each kind")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            home = Path(folder, kind)
            (home / "models/checkpoints").mkdir(parents=True)
            if kind == "sd15":
                write_checkpoint(home / "models/checkpoints/sd15.safetensors")
            for name, flags in (("cold", ()), ("warm", ("--warm", str(home / "warm.json")))):
                (home / "warm.json").write_text(json.dumps(workflow(kind, seed=0)))
                found = [start(home, kind, flags) for _ in range(options.rounds)]
                for figure, times in zip(FIGURES, zip(*found, strict=True), strict=True):
                    for clock, seconds in zip(Taken._fields, zip(*times, strict=True), strict=True):
                        middle = statistics.median(seconds)
                        report.add(f"{kind}, {name}: {figure}, {clock} time", middle, "s")


def workflow(kind: str, seed: int) -> dict[str, Any]:
    """Return the text-to-image workflow of a kind."""
    prompt: dict[str, Any] = json.loads((WORKFLOWS / "txt2img.json").read_text())
    for node in prompt.values():
        inputs = node["inputs"]
        inputs |= {name: value for name, value in KINDS[kind].items() if name in inputs}
        if "seed" in inputs:
            inputs["seed"] = seed
    return prompt


def start(home: Path, kind: str, flags: tuple[str, ...]) -> list[Taken]:
    """Return the times until a server was ready, and those of its first two images."""
    begin = time.perf_counter()
    with serving(home, ("--device", "cpu", *flags), ready=False) as server:
        until(lambda: server.get("/readyz").status == 200, PATIENCE)
        wall = time.perf_counter() - begin
        (worker,) = server.worker_pids()
        ready = Taken(wall, processor(worker))
        return [ready, *(image(server, worker, workflow(kind, seed)) for seed in (1, 2))]


def image(server: Server, worker: int, prompt: Mapping[str, Any]) -> Taken:
    """Return the times of an image."""
    begin, before = time.perf_counter(), processor(worker)
    headers = {"Prefer": f"wait={PATIENCE:.0f}"}
    reply = server.ask("POST", "/v1/generate", {"workflow": prompt}, headers, timeout=PATIENCE)
    assert reply.status == 200, reply.data
    return Taken(time.perf_counter() - begin, processor(worker) - before)
