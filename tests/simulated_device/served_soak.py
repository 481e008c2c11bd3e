"""Thousands of mixed prompts through a server, with cancels over HTTP, and what is left of them.

`python -m tests.simulated_device.served_soak 2000` prints the figures of a whole soak.
"""

import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from nodegraph.packs.registry import Registry
from tests.server.serving import ended
from tests.simulated_device.device import load_device
from tests.simulated_device.left import Left, print_quarters
from tests.simulated_device.served import PATIENCE, DeviceServer, files_of, serving_device
from tests.simulated_device.soak import (
    BAD_DAYS,
    MIB,
    NAMES,
    PROBE,
    RESULTS,
    WEIGHTS,
    drawn_options,
    prompt_of,
)
from tests.tiny_models.workflows import write_picture

FLAGS = (
    "--slots", "2", "--history", "200", "--result-cache", str(RESULTS),
    "--weights-cache", str(WEIGHTS), "--memory-budget", str(WEIGHTS),
)  # fmt: skip
BUDGET = 128 * MIB
"""Bytes of the device."""
AT_ONCE = 5
"""Prompts that are in the queue or run at a time."""
CODES = {"out_of_memory", "too_small_share"}
"""The errors of a run that lacked memory."""


@dataclass(frozen=True)
class ServerLeft:
    """What a server and its worker hold while nothing runs."""

    worker: Left
    server_rss: int
    """Bytes of the machine's memory that the server's own process has."""
    server_files: int
    """Its open file descriptors."""
    workers: tuple[int, ...]
    """The process ids of its workers."""

    @classmethod
    def now(cls, server: DeviceServer) -> "ServerLeft":
        """Measure both processes, once the worker has let go of what it may."""
        worker, process = server.left(), Path(f"/proc/{server.process.pid}")
        pages = int((process / "statm").read_text().split()[1])
        return cls(
            worker=worker,
            server_rss=pages * os.sysconf("SC_PAGE_SIZE"),
            server_files=len(list((process / "fd").iterdir())),
            workers=tuple(server.worker_pids()),
        )


@dataclass
class ServerSoak:
    """Prompts for one server.

    Args:
        server: has the flags `FLAGS`.
        names: the workflows that prompts are drawn from.
        seed: of the prompts that are drawn.
    """

    server: DeviceServer
    names: Sequence[str] = NAMES
    seed: int = 1
    outcomes: Counter[str] = field(default_factory=Counter[str])
    """How many prompts were made, cancelled, or failed for lack of memory."""

    def __post_init__(self) -> None:
        self._registry = Registry.load(["nodes"])
        self._draw = random.Random(self.seed)
        self._waiting: deque[str] = deque()
        self._limits: set[str] = set()
        write_picture(self.server.home / "input")

    def prompt(self, name: str, **options: int) -> dict[str, Any]:
        """A workflow in API format, with the models that it reads."""
        return prompt_of(name, self._registry, self.server.home / "models", **options)

    def run(self, count: int) -> None:
        """Run so many prompts; a fifth of them are cancelled, or lack memory at some time."""
        for number in range(count):
            self._submit(number, self._draw.choice(BAD_DAYS))
            while len(self._waiting) >= AT_ONCE:
                self._note_end(self._waiting.popleft())
        while self._waiting:
            self._note_end(self._waiting.popleft())

    def probe(self) -> Tensor:
        """The latent that one workflow makes now, computed anew."""
        self.server.left()
        history = self.server.done(self.prompt(PROBE))
        ((path,),) = files_of(self.server, history, "latents").values()
        return load_file(path)["latent_tensor"]

    def left(self) -> ServerLeft:
        """What both processes hold now."""
        return ServerLeft.now(self.server)

    def _submit(self, number: int, bad_day: str) -> None:
        """Queue a prompt; on a bad day what troubles it is queued around it, or it is cancelled."""
        server, draw = self.server, self._draw
        prompt = self.prompt(draw.choice(self.names), **drawn_options(draw))
        if bad_day == "refuse":
            self._waiting.append(self._limit(fail=draw.randrange(1, 2000)))
        if bad_day == "squeeze":
            self._waiting.append(self._limit(spare=draw.randrange(MIB, 24 * MIB)))
        run = server.submit(prompt, client_id=f"client-{number % 2}")
        if bad_day == "cancel":
            time.sleep(draw.uniform(0, 0.3))
            self._cancel(draw.choice(("interrupt", "cancel")), run)
        if bad_day in ("refuse", "squeeze"):
            self._waiting.append(self._limit())
        self._waiting.append(run)

    def _limit(self, **limits: int) -> str:
        run = self.server.trouble(**limits)
        self._limits.add(run)
        return run

    def _cancel(self, way: str, run: str) -> None:
        if way == "cancel":
            self.server.post(f"/v1/runs/{run}/cancel")
        else:
            self.server.post("/interrupt", {"prompt_id": run})

    def _note_end(self, run: str) -> None:
        known: Mapping[str, Any] = ended(self.server, run, PATIENCE)
        state, error = known["status"], known.get("error") or {}
        if state == "failed" and error.get("code") in CODES:
            state = "no memory"
        assert state != "failed", known
        if run in self._limits:
            self._limits.remove(run)
        else:
            self.outcomes[state] += 1


def main(count: int) -> None:
    """Print what both processes hold after each quarter of a soak."""
    load_device()
    with (
        TemporaryDirectory() as folder,
        serving_device(Path(folder), FLAGS, budget=BUDGET) as server,
    ):
        soak = ServerSoak(server)
        soak.run(len(NAMES) * 4)  # which writes the models, and makes what is made once
        print_quarters(soak, count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
