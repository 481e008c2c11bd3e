"""Several runs at once on the simulated device: one computes at a time, and nothing twice."""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings

STEPS = 3
RUNS = 16


def txt2img(seed: int, checkpoint: str = "demo-shapes.safetensors") -> Graph:
    """One small image of a checkpoint; of the demo model if none is named."""
    model = "model"
    nodes = {
        model: ("CheckpointLoaderSimple", {"ckpt_name": checkpoint}),
        "positive": ("CLIPTextEncode", {"text": "a red circle", "clip": Link(model, 1)}),
        "negative": ("CLIPTextEncode", {"text": "", "clip": Link(model, 1)}),
        "latent": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "sampled": (
            "KSampler",
            {
                "model": Link(model, 0),
                "positive": Link("positive", 0),
                "negative": Link("negative", 0),
                "latent_image": Link("latent", 0),
                "seed": seed,
                "steps": STEPS,
                "sampler_name": "euler",
                "scheduler": "normal",
                "cfg": 4.0,
                "denoise": 1.0,
            },
        ),
        "image": ("VAEDecode", {"samples": Link("sampled", 0), "vae": Link(model, 2)}),
        "saved": ("PreviewImage", {"images": Link("image", 0)}),
    }
    return Graph({name: Node(name, kind, inputs) for name, (kind, inputs) in nodes.items()})


@contextmanager
def calls_of_networks() -> Generator[list[tuple[str, int]]]:
    """Yield a list to which each network's call is added: its class and the calling thread."""
    calls: list[tuple[str, int]] = []
    wanted = ("UNet2DConditionModel", "CLIPTextTransformer", "CLIPTextModel", "Decoder")

    def note(module: nn.Module, inputs: Any) -> None:
        name = type(module).__name__
        if inputs and inputs[0].is_meta:  # only its memory is looked at
            return
        if any(name.startswith(each) for each in wanted):
            calls.append((name, threading.get_ident()))

    handle = register_module_forward_pre_hook(note)
    try:
        yield calls
    finally:
        handle.remove()


def run_all(engine: Engine, events: list[Any]) -> None:
    """Run the workflow in many threads at once, each with a seed of its own."""
    with ThreadPoolExecutor(RUNS) as threads:
        for done in [
            threads.submit(engine.run, txt2img(seed), emit=events.append) for seed in range(RUNS)
        ]:
            done.result(120)


def test_runs_at_once_encode_and_load_once_and_sample_one_after_another(simulated, tmp_path):
    registry = Registry.load(names=("nodes",))
    settings = Settings(models_dir=(tmp_path,), temp_dir=tmp_path / "temp")
    engine, events = Engine(registry, settings.files(registry.model_places)), list[Any]()

    with calls_of_networks() as calls:
        run_all(engine, events)

    executed = [event.type_name for event in events if event.name == "node_started"]
    assert executed.count("CheckpointLoaderSimple") == 1
    assert executed.count("CLIPTextEncode") == 2  # the two prompts
    assert executed.count("KSampler") == RUNS
    assert engine.models.stats.loads == 3  # U-Net, text encoder, VAE
    steps = [thread for name, thread in calls if name.startswith("UNet")]
    assert len(steps) == RUNS * STEPS
    turns = [steps[number : number + STEPS] for number in range(0, len(steps), STEPS)]
    assert all(len(set(turn)) == 1 for turn in turns)
    assert simulated.counters().refusals == 0
    assert torch.accelerator.current_accelerator(check_available=True) is not None
