"""The time from telling a run to stop until it has stopped.

A real server with a real worker on this machine's CPU; the time is from sending the request until
the server says that the run is cancelled, which is written down by then.

- `sampling`: the demo model, and a sampler under way; the length of one step beside it.
- `loading`: a Stable Diffusion 1.5 of full size with random weights (2.1 GB), stopped at a random
  moment while its weights are read and converted; they are forgotten after each round.
"""

import random
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.sd15_checkpoint import write_checkpoint
from tests.server.serving import Server, picture, serving


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="sampling, loading")
    parser.add_argument("--rounds", type=int, default=40, help="runs that are stopped")


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    for name in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder), options.rounds, report)


def events(server: Server, run: str) -> list[dict[str, Any]]:
    """Return what happened to a run so far."""
    return server.get(f"/v1/runs/{run}/events").json["events"]


def wait_for(server: Server, run: str, kind: str) -> None:
    """Wait until a node of this type runs."""
    while not any(
        event["name"] == "node_started" and event["data"]["type_name"] == kind
        for event in events(server, run)
    ):
        status = server.get(f"/v1/runs/{run}").json
        assert status["status"] in ("queued", "running"), status
        time.sleep(0.005)


def stop(server: Server, run: str) -> float:
    """Cancel a run; returns the seconds until it was over."""
    begin = time.perf_counter()
    server.post(f"/v1/runs/{run}/cancel")
    while (status := server.get(f"/v1/runs/{run}").json["status"]) in ("queued", "running"):
        time.sleep(0.002)
    assert status == "cancelled", f"the run {status} before it was stopped"
    return time.perf_counter() - begin


def sampling(home: Path, rounds: int, report: Report) -> None:
    """Report the time beside a sampler."""
    with serving(home) as server:
        server.finished(server.submit(picture()))
        begin = time.perf_counter()
        server.finished(server.submit(picture(steps=100, seed=7)))
        step = (time.perf_counter() - begin) / 100
        taken: list[float] = []
        for number in range(rounds):
            run = server.submit(picture(steps=10_000, seed=100 + number))
            wait_for(server, run, "KSampler")
            time.sleep(random.uniform(0, 0.3))
            taken.append(stop(server, run))
        report.add("sampling: one step", step * 1000, "ms")
        report.add_times("sampling: stopped", taken)
        report.add("sampling: stopped, longest", max(taken) * 1000, "ms")


def loading(home: Path, rounds: int, report: Report) -> None:
    """Report the time while a large checkpoint is loaded."""
    folder = home / "models" / "checkpoints"
    folder.mkdir(parents=True)
    write_checkpoint(folder / "large.safetensors")
    prompt = picture(steps=1)
    for node in prompt.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            node["inputs"]["ckpt_name"] = "large.safetensors"
    with serving(home) as server:
        whole = time.perf_counter()
        run = server.submit(prompt)
        wait_for(server, run, "KSampler")
        whole = time.perf_counter() - whole
        stop(server, run)
        taken: list[float] = []
        for _ in range(rounds):
            server.post("/free", {"unload_models": True, "free_memory": True})
            run = server.submit(prompt)
            wait_for(server, run, random.choice(("CLIPTextEncode", "KSampler")))
            time.sleep(random.uniform(0, 2))
            taken.append(stop(server, run))
        report.add("loading: the first run reached its sampler after", whole, "s")
        report.add_times("loading: stopped", taken)
        report.add("loading: stopped, longest", max(taken) * 1000, "ms")


PARTS = {"sampling": sampling, "loading": loading}
