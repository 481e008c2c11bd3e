"""Pictures from the project's own nodes: what the evaluation looks at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import Tensor

from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.registry import Registry
from nodegraph.workflow.api_format import read_prompt
from training.evaluate import Prompt

ASSETS = Path(__file__).parents[1] / "nodes" / "assets"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of sampling."""

    checkpoint: str = "demo-shapes.safetensors"
    steps: int = 20
    cfg: float = 2.0
    sampler: str = "euler"
    scheduler: str = "normal"
    lora: str = ""
    strength: float = 1.0


TURBO = Settings("demo-shapes-turbo.safetensors", steps=1, cfg=1.0, scheduler="sgm_uniform")


def workflow(prompt: Prompt, settings: Settings) -> dict[str, object]:
    """The workflow of one picture; node "decode" has it."""
    lora = {"lora_name": settings.lora, "strength_model": settings.strength, "model": ["load", 0]}
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "load": ("CheckpointLoaderSimple", {"ckpt_name": settings.checkpoint}),
        "lora": ("LoraLoaderModelOnly", lora),
        "prompt": ("CLIPTextEncode", {"text": prompt.text, "clip": ["load", 1]}),
        "empty": ("CLIPTextEncode", {"text": "", "clip": ["load", 1]}),
        "canvas": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "sample": (
            "KSampler",
            {
                "model": ["lora" if settings.lora else "load", 0],
                "seed": prompt.seed,
                "steps": settings.steps,
                "cfg": settings.cfg,
                "sampler_name": settings.sampler,
                "scheduler": settings.scheduler,
                "positive": ["prompt", 0],
                "negative": ["empty", 0],
                "latent_image": ["canvas", 0],
                "denoise": 1.0,
            },
        ),
        "decode": ("VAEDecode", {"samples": ["sample", 0], "vae": ["load", 2]}),
    }
    if not settings.lora:
        del nodes["lora"]
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def from_nodes(settings: Settings) -> Callable[[Sequence[Prompt]], Tensor]:
    """A source of pictures, [batch, 3, 64, 64] in [0, 1], that runs a workflow for each."""

    def source(prompts: Sequence[Prompt]) -> Tensor:
        with TemporaryDirectory() as folder:
            here = Folders.under(Path(folder))
            found = {"checkpoints": (ASSETS,), "loras": (ASSETS,)}
            files = Files(Folders(here.models, here.input, here.output, here.temp, found))
            engine = Engine(Registry.load(["nodes"]), files)
            images = [_picture(engine, prompt, settings) for prompt in prompts]
        return torch.cat(images).movedim(-1, 1)

    return source


def _picture(engine: Engine, prompt: Prompt, settings: Settings) -> Tensor:
    graph = read_prompt(workflow(prompt, settings))
    result = engine.run(graph, targets=["decode"])
    return cast("Tensor", result.outputs["decode"][0])
