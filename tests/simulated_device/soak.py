"""Thousands of mixed prompts through one engine on the simulated device, and what is left of them.

`python -m tests.simulated_device.soak 2000` prints the figures of a whole soak; `… 2000 cpu` those
of one on the CPU.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from nodegraph.cache.content import ContentCache
from nodegraph.errors import NodeGraphError, RunCancelledError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event, Progress
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.registry import Registry
from nodegraph.runtime.run_environment import CancelToken
from nodegraph.workflow.read import read_prompt
from nodes.values import Latent
from tests.simulated_device.device import SimulatedDevice, load_device
from tests.simulated_device.left import Left, print_quarters
from tests.tiny_models.model_folder import write_models
from tests.tiny_models.workflows import CASES, write_picture

MIB = 1 << 20
NAMES = (
    "sd15", "sdxl", "sd3", "flux", "controlnet_sd15", "controlnet_sdxl", "controlnet_flux",
    "lora_stack", "lora_sdxl", "lora_sd3", "lora_flux", "ip_adapter", "gguf_lora", "fp8",
    "inpaint_mask", "regions", "hires_fix", "decode",
)  # fmt: skip
"""The workflows that prompts are drawn from."""
BAD_DAYS = (*[""] * 7, "cancel", "refuse", "squeeze")
"""What goes wrong with a prompt: it is cancelled, or memory is refused once or all the time."""
PROBE = "controlnet_sd15"
RESULTS = 4 * MIB
"""Bytes of results that are kept, so that they are pushed out all the time."""
WEIGHTS = 40 * MIB
"""Bytes of weights on the device, less than two of the checkpoints take."""


@dataclass
class Soak:
    """One engine, and prompts for it.

    Args:
        root: a folder for models and results.
        simulated: the device, switched on; None for a soak on the CPU.
        names: the workflows that prompts are drawn from.
        seed: of the prompts that are drawn.
    """

    root: Path
    simulated: SimulatedDevice | None
    names: Sequence[str] = NAMES
    seed: int = 1
    outcomes: Counter[str] = field(default_factory=Counter[str])
    """How many prompts were made, cancelled, or failed for lack of memory."""

    def __post_init__(self) -> None:
        self.registry = Registry.load(["nodes"])
        write_picture(self.root / "input")
        folders = Folders.under(self.root)
        self.engine = Engine(
            self.registry,
            Files(folders),
            ContentCache(RESULTS),
            memory_budget=WEIGHTS,
            weights_cache=WEIGHTS,
        )
        self._draw = random.Random(self.seed)

    def prompt(self, name: str, **options: int) -> dict[str, Any]:
        """A workflow in API format, with the models that it reads."""
        return prompt_of(name, self.registry, self.root / "models", **options)

    def drawn(self) -> dict[str, Any]:
        """Another prompt: any workflow, size, batch and number of steps."""
        return self.prompt(self._draw.choice(self.names), **drawn_options(self._draw))

    def run(self, count: int) -> None:
        """Run so many prompts; a fifth of them are cancelled, or lack memory at some time."""
        for _ in range(count):
            bad_day = self._draw.choice(BAD_DAYS if self.simulated else BAD_DAYS[:-2])
            self.outcomes[self._run(self.drawn(), bad_day)] += 1

    def probe(self) -> Tensor:
        """What one workflow makes now, computed anew."""
        self.engine.free()
        prompt = self.prompt(PROBE)
        node, index = prompt.pop("saved")["inputs"][CASES[PROBE].kind]
        made = self.engine.run(read_prompt(prompt), targets=[node]).outputs[node][index]
        assert isinstance(made, Latent)
        return made.samples.cpu()

    def left(self) -> Left:
        """Let go of what may go, and measure the rest."""
        self.engine.free()
        return Left.now(self.simulated)

    def _run(self, prompt: Mapping[str, Any], bad_day: str) -> str:
        cancel, wait = CancelToken(), self._draw.randrange(3)

        def watch(event: Event) -> None:
            if bad_day == "cancel" and isinstance(event, Progress) and event.value >= wait:
                cancel.cancel()

        with self._bad_day(bad_day):
            try:
                self.engine.run(read_prompt(prompt), emit=watch, cancel=cancel)
            except RunCancelledError:
                return "cancelled"
            except NodeGraphError as error:
                if error.code not in {"out_of_memory", "too_small_share"}:
                    raise
                return "no memory"
        return "made"

    @contextmanager
    def _bad_day(self, name: str) -> Generator[None]:
        """Refuse one allocation, or all that are beyond what little there is."""
        device, draw = self.simulated, self._draw
        if device and name == "refuse":
            device.fail_allocation(draw.randrange(1, 2000))
        if device and name == "squeeze":
            device.set_budget(device.counters().live_bytes + draw.randrange(MIB, 24 * MIB))
        yield
        if device:
            device.set_budget()
            device.fail_allocation(0)


def prompt_of(name: str, registry: Registry, models: Path, **options: int) -> dict[str, Any]:
    """A workflow in API format; the models that it reads are written where they lack."""
    made = CASES[name].prompt(registry, **options)
    write_models(models, json.dumps(made))
    return made


def drawn_options(draw: random.Random) -> dict[str, int]:
    """A seed, a number of steps, a size and a batch for `Soak.prompt`."""
    return {
        "seed": draw.randrange(1 << 30),
        "steps": draw.choice((1, 2)),
        "side": draw.choice((64, 64, 64, 96)),
        "batch": draw.choice((1, 1, 2)),
    }


def main(count: int, *, on_cpu: bool) -> None:
    """Print what a process holds after each quarter of a soak."""
    simulated = None if on_cpu else load_device()
    if simulated:
        simulated.switch(on=True)
    with TemporaryDirectory() as folder:
        soak = Soak(Path(folder), simulated)
        soak.run(len(NAMES) * 2)  # which writes the models, and makes what is made once
        print_quarters(soak, count)


if __name__ == "__main__":
    main(int(sys.argv[1]), on_cpu="cpu" in sys.argv)
