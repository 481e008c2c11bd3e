"""How long it takes until a run that is told to stop has stopped.

Run as `python -m benchmarks.server_cancel [part …] [--rounds N]`; parts are `sampling` and
`loading`, both if none is named. A real server with a real worker on this machine's CPU; the time
is from sending the request until the server says that the run is cancelled, which is written down
by then.

- `sampling`: the demo model, and a sampler under way; the length of one step beside it.
- `loading`: a Stable Diffusion 1.5 of full size with random weights (2.1 GB), stopped at a random
  moment while its weights are read and converted; they are forgotten after each round.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.full_size import write_checkpoint
from benchmarks.server_load import spread
from tests.server.serving import Server, picture, serving

ROUNDS = 40


def events(server: Server, run: str) -> list[dict[str, Any]]:
    """What happened to a run so far."""
    return server.get(f"/v1/runs/{run}/events").json["events"]


def begun(server: Server, run: str, kind: str) -> None:
    """Wait until a node of this type runs."""
    while not any(
        event["name"] == "node_started" and event["data"]["type_name"] == kind
        for event in events(server, run)
    ):
        status = server.get(f"/v1/runs/{run}").json
        assert status["status"] in ("queued", "running"), status
        time.sleep(0.005)


def stopped(server: Server, run: str) -> float:
    """Cancel a run; how long it took."""
    begin = time.perf_counter()
    server.post(f"/v1/runs/{run}/cancel")
    while (status := server.get(f"/v1/runs/{run}").json["status"]) in ("queued", "running"):
        time.sleep(0.002)
    assert status == "cancelled", f"the run {status} before it was stopped"
    return time.perf_counter() - begin


def sampling(home: Path, rounds: int) -> None:
    """Print how long it takes beside a sampler."""
    with serving(home) as server:
        server.finished(server.submit(picture()))
        begin = time.perf_counter()
        server.finished(server.submit(picture(steps=100, seed=7)))
        step = (time.perf_counter() - begin) / 100
        taken: list[float] = []
        for number in range(rounds):
            run = server.submit(picture(steps=10_000, seed=100 + number))
            begun(server, run, "KSampler")
            time.sleep(random.uniform(0, 0.3))
            taken.append(stopped(server, run))
        print(f"sampling: {spread(taken)}, {rounds} runs; a step takes {step * 1000:.1f} ms")


def loading(home: Path, rounds: int) -> None:
    """Print how long it takes while a large checkpoint is loaded."""
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
        begun(server, run, "KSampler")
        whole = time.perf_counter() - whole
        stopped(server, run)
        taken: list[float] = []
        for _ in range(rounds):
            server.post("/free", {"unload_models": True, "free_memory": True})
            run = server.submit(prompt)
            begun(server, run, random.choice(("CLIPTextEncode", "KSampler")))
            time.sleep(random.uniform(0, 2))
            taken.append(stopped(server, run))
        print(
            f"loading: {spread(taken)}, {rounds} runs, at most {max(taken) * 1000:.0f} ms,"
            f" median {statistics.median(taken) * 1000:.0f} ms;"
            f" the first run reached its sampler after {whole:.1f} s"
        )


PARTS = {"sampling": sampling, "loading": loading}


def main() -> None:
    """Run the parts that are named."""
    arguments = sys.argv[1:]
    rounds = ROUNDS
    if "--rounds" in arguments:
        place = arguments.index("--rounds")
        rounds = int(arguments[place + 1])
        del arguments[place : place + 2]
    for name in arguments or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder), rounds)


if __name__ == "__main__":
    main()
