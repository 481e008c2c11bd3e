"""A server whose worker computes on the simulated device, and nodes that measure and trouble it."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.nodegraph.install_pack import install
from tests.server.serving import Server, serving
from tests.simulated_device.device import UNLIMITED, Counters, autoload_environment
from tests.simulated_device.left import Left

NODES = """
    from dataclasses import asdict

    from nodegraph.definition.node import node
    from nodegraph.graph.results import Ui


    def device():
        import torch  # which loads the device, so that it is not loaded from two sides at once
        from tests.simulated_device.device import load_device

        return load_device()


    @node("DeviceMeasure", category="test", cache="never", output_node=True)
    def measure() -> Ui:
        found = device()
        from tests.simulated_device.left import Left

        return Ui(values={
            "left": [asdict(Left.now(found))], "counters": [asdict(found.counters())],
        })


    @node("DeviceTrouble", category="test", cache="never", output_node=True)
    def trouble(budget: int, spare: int, fail: int, lose: int, pinning: bool) -> Ui:
        found = device()
        found.set_budget(found.counters().live_bytes + spare if spare else budget)
        found.refuse_pinning(refuses=not pinning)
        found.fail_allocation(fail)
        found.lose(lose)
        return Ui()
"""
PACK = """
    from nodegraph.definition.pack import Pack

    PACK = Pack("trouble", "1.0", ("trouble_pack.device",))
"""


PATIENCE = 600.0
"""Seconds that a run may take: weights of hundreds of MiB are read on a busy machine."""
NO_LIMITS = {"spare": 0, "fail": 0, "lose": 0, "pinning": True}


class DeviceServer(Server):
    """A running server whose worker has the device."""

    budget: int = UNLIMITED
    """Bytes of the device, where nothing else was asked for."""

    def done(self, prompt: Mapping[str, Any]) -> Any:
        """The history of a prompt that is run now, and succeeds."""
        history = self.finished(self.submit(prompt), PATIENCE)
        assert history["status"]["status_str"] == "success", json.dumps(history["status"])
        return history

    def trouble(self, **limits: int) -> str:
        """Queue a run that sets the device's limits, and takes back those that are not named.

        Args:
            limits: `budget` in bytes; `spare` bytes beside what is in use; `fail` and `lose`, the
                number of the allocation or piece of work that fails; `pinning`.
        """
        inputs = {"budget": self.budget, **NO_LIMITS, **limits}
        return self.submit({"1": {"class_type": "DeviceTrouble", "inputs": inputs}})

    def counters(self) -> Counters:
        """What the device counted so far."""
        return Counters(**self._measure("counters"))

    def left(self) -> Left:
        """What the worker holds once it has let go of what it may."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        return Left(**self._measure("left"))

    def _measure(self, name: str) -> dict[str, int]:
        history = self.done({"1": {"class_type": "DeviceMeasure", "inputs": {}}})
        return history["outputs"]["1"][name][0]


@contextmanager
def serving_device(
    home: Path,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    budget: int = UNLIMITED,
    **settings: object,
) -> Generator[DeviceServer]:
    """A server as `serving` has it, with a worker on the device.

    Args:
        home: its folders.
        flags: further ones.
        environment: further variables.
        budget: bytes of the device.
        settings: other ones of `autoload_environment`.
    """
    packages = home / "packages"
    if not packages.exists():
        install(packages, "trouble", init=PACK, device=NODES)
    variables = autoload_environment(packages, budget=budget, **settings)
    flags = ["--device", "cpu", *flags]  # cards that the driver shows are chosen so; this is none
    with serving(home, flags, {**variables, **(environment or {})}) as server:
        running = DeviceServer(server.process, server.url, server.home)
        running.budget = budget
        yield running


def files_of(server: Server, history: Any, kind: str) -> dict[str, list[Path]]:
    """The files of one kind that a run wrote, by the node that did."""
    return {
        node: [server.output / item["subfolder"] / item["filename"] for item in shown[kind]]
        for node, shown in history["outputs"].items()
        if kind in shown
    }
