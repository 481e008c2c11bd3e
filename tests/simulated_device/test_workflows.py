"""Everything that a model can do, as whole workflows on the simulated device and on the CPU.

`pytest -m "" -rP tests/simulated_device/test_workflows.py` shows what a step of each costs.
"""

import json
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from nodegraph.workflow.read import read_prompt
from nodes.values import Latent
from tests.nodes.comfy import packs
from tests.nodes.reference import distance
from tests.server.serving import Server, serving
from tests.simulated_device.device import SimulatedDevice, autoload_environment
from tests.tiny_models.model_folder import write_models
from tests.tiny_models.workflows import CASES, LATENT, Case, Draft, write_picture

FEW, MANY = 3, 6
MOST_OPS = 32
"""What a step may compute beside the networks of its denoise call."""
OPS = {"alterations": 60, "differential_diffusion": 36, "regions": 48}
"""Where it is more: a guidance rule with deviations, masks, the weights of several texts."""
COPIES = {"gligen": 1, "pack": 1}
"""Copies to the device in a step, of a few bytes each: the waves of the boxes' positions, and the
timestep that the pack's function asks for."""
READ = {"pack": 1}
"""Copies to the host: the noise level of which the pack asks the timestep."""
DEFAULT = {"gguf_lora", "inpaint_model", "ip_adapter_plus", "pack"}
"""Cases that run by default."""
TYPICAL = 1e-5


def guided_by_pack(d: Draft):
    """A pack for ComfyUI changes a latent and a condition, and guides."""
    latent, said = d.g.node("ToyLatents", {"latent": d.blank(), "conditioning": d.text()})
    model = d.g.node("ToyGuides", {"model": d.model, "sharp": 0.9})[0]
    return d.sample(said, latent_image=latent, model=model)


ALL = {**CASES, "pack": Case("sd15", guided_by_pack)}


class World(NamedTuple):
    """The settings of both engines, and the node types."""

    settings: Settings
    registry: Registry

    def engine(self) -> Engine:
        return Engine(self.registry, self.settings.files(self.registry.model_places))

    def prompt(self, name: str, **options):
        made = ALL[name].prompt(self.registry, **options)
        write_models(Path(str(self.settings.models_dir[0])), json.dumps(made))
        return made

    def run(self, engine: Engine, name: str, **options) -> Tensor:
        """What a workflow makes, without saving it."""
        prompt = self.prompt(name, **options)
        node, index = prompt.pop("saved")["inputs"][ALL[name].kind]
        made: Any = engine.run(read_prompt(prompt), targets=[node]).outputs[node][index]
        return made.samples if isinstance(made, Latent) else made


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    packs.toys(root / "custom_nodes")
    write_picture(root / "input")
    folders = {
        f"{name}_dir": root / name
        for name in ("custom_nodes", "packs", "cache", "output", "temp", "input")
    }
    settings = Settings(**folders, models_dir=(root / "models",))
    return World(settings, Registry.from_settings(settings))


@pytest.fixture(scope="module")
def on_cpu(world):
    return world.engine()


@pytest.fixture(scope="module")
def on_device(world):
    return world.engine()


@dataclass
class Outside:
    """Counts the ops of modules that no other has called, in whichever thread."""

    simulated: SimulatedDevice
    inside: int = 0
    _depth: threading.local = field(default_factory=threading.local)

    def enter(self, *_: object) -> None:
        self._depth.now = getattr(self._depth, "now", 0) + 1
        if self._depth.now == 1:
            self.inside -= self.simulated.counters().ops

    def leave(self, *_: object) -> None:
        self._depth.now -= 1
        if self._depth.now == 0:
            self.inside += self.simulated.counters().ops


@contextmanager
def count_inside(simulated: SimulatedDevice) -> Generator[Outside]:
    """Yield what counts the ops inside of networks."""
    found = Outside(simulated)
    hooks = (
        register_module_forward_pre_hook(found.enter),
        register_module_forward_hook(found.leave, always_call=True),
    )
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


class Step(NamedTuple):
    """What a step costs."""

    copies_to_host: float
    syncs: float
    copies_to_device: float
    ops: float
    """Beside those of networks."""


def step_of(simulated, world, engine, name) -> Step:
    """What more steps cost, with all but the sampler cached."""
    found: list[Step] = []
    for seed, steps in ((2, FEW), (3, MANY)):
        simulated.reset()
        with count_inside(simulated) as networks:
            world.run(engine, name, seed=seed, steps=steps)
        counted = simulated.counters()
        found.append(
            Step(
                counted.copies_to_host,
                counted.syncs,
                counted.copies_to_device,
                counted.ops - networks.inside,
            )
        )
    return Step(*((many - few) / (MANY - FEW) for few, many in zip(*found, strict=True)))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in DEFAULT else pytest.mark.slow) for n in ALL]
)
def test_a_workflow_makes_on_the_device_what_it_makes_on_the_cpu(
    simulated, world, on_cpu, on_device, name
):
    simulated.switch(on=False)
    expected = world.run(on_cpu, name)
    simulated.switch(on=True)

    found = world.run(on_device, name)

    assert found.device == simulated.device
    off = distance(found.cpu(), expected)
    step = step_of(simulated, world, on_device, name)
    print(
        f"{name}: off by {off:.1e}; a step: {step.copies_to_host:.0f} copies to the host,"
        f" {step.syncs:.0f} syncs, {step.copies_to_device:.0f} copies to the device,"
        f" {step.ops:.0f} ops beside the networks'"
    )
    assert off <= TYPICAL
    assert (step.copies_to_host, step.syncs) == (READ.get(name, 0), 0)
    assert step.copies_to_device <= COPIES.get(name, 0)
    assert step.ops <= OPS.get(name, MOST_OPS)


@pytest.mark.slow
def test_a_worker_of_the_server_makes_what_the_cpu_makes(loaded_device, world, on_cpu, tmp_path):
    home = tmp_path / "home"
    prompts = {name: world.prompt(name) for name in ALL if ALL[name].kind == LATENT}
    shutil.copytree(world.settings.models_dir[0], home / "models")
    write_picture(home / "input")
    environment = autoload_environment(tmp_path / "packages")
    environment["NODEGRAPH_CUSTOM_NODES_DIR"] = str(world.settings.custom_nodes_dir)

    with serving(home, ["--device", "cpu"], environment) as server:
        runs = {name: server.submit(prompt) for name, prompt in prompts.items()}
        made = {name: latent_of(server, run) for name, run in runs.items()}

    for name, latent in made.items():
        assert distance(latent, world.run(on_cpu, name)) <= TYPICAL, name


def latent_of(server: Server, run: str) -> Tensor:
    """The latent that a run saved."""
    history = server.finished(run)
    assert history["status"]["status_str"] == "success", json.dumps(history["status"])
    (artifact,) = history["outputs"]["saved"]["latents"]
    return load_file(server.output / artifact["subfolder"] / artifact["filename"])["latent_tensor"]
