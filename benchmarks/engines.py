"""Engines with the built-in nodes, in folders of their own, and prompts for them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph, Link, Node, NodeId
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings


def engine_in(folder: Path, models: Path, **settings: Any) -> Engine:
    """Return an engine with the built-in nodes.

    Args:
        folder: of its results and its cache.
        models: the folder with `checkpoints` and the others in it.
        settings: further ones; see `nodegraph.settings.settings.Settings`.
    """
    chosen = Settings(
        models_dir=(models,),
        input_dir=folder / "input",
        output_dir=folder / "output",
        cache_dir=folder / "cache",
        temp_dir=folder / "temp",
        packs_dir=folder / "packs",
        custom_nodes_dir=folder / "custom_nodes",
        packs=("nodes",),
        **settings,
    )
    return Engine.from_settings(chosen, Registry.from_settings(chosen))


def graph_of(prompt: Mapping[str, tuple[str, Mapping[str, object]]]) -> Graph:
    """Return a graph from the type and the inputs of each node; a tuple is a link."""
    return Graph(
        {
            name: Node(name, kind, {key: _linked(value) for key, value in inputs.items()})
            for name, (kind, inputs) in prompt.items()
        }
    )


def _linked(value: object) -> object:
    match value:
        case (str(node), int(output)):
            return Link(node, output)
        case _:
            return value


def run_all(
    engine: Engine, graphs: Sequence[Graph], target: NodeId, *, at_once: int
) -> list[object]:
    """Run graphs, several at once; returns the first output of that node of each."""

    def run(graph: Graph) -> object:
        return engine.run(graph, targets=[target]).outputs[target][0]

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, graphs))


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is asked for."""

    size: int
    """Its sides in pixels."""
    steps: int
    """Of Euler's sampler."""
    cfg: float = 1.0
    text: str = "a red fox"
    """The positive prompt; the negative one is empty."""
    batch: int = 1
    """The number of images."""


def text_to_image(checkpoint: str, seed: int, picture: Picture) -> Graph:
    """Return a text-to-image graph: `sample` gives the latent, `decode` the image.

    Args:
        checkpoint: the name of the file.
        seed: of the noise.
        picture: all else.
    """
    size, batch = picture.size, picture.batch
    return graph_of(
        {
            "load": ("CheckpointLoaderSimple", {"ckpt_name": checkpoint}),
            "positive": ("CLIPTextEncode", {"text": picture.text, "clip": ("load", 1)}),
            "negative": ("CLIPTextEncode", {"text": "", "clip": ("load", 1)}),
            "canvas": ("EmptyLatentImage", {"width": size, "height": size, "batch_size": batch}),
            "sample": (
                "KSampler",
                {
                    "model": ("load", 0), "seed": seed, "steps": picture.steps, "cfg": picture.cfg,
                    "sampler_name": "euler", "scheduler": "normal", "positive": ("positive", 0),
                    "negative": ("negative", 0), "latent_image": ("canvas", 0), "denoise": 1.0,
                },
            ),
            "decode": ("VAEDecode", {"samples": ("sample", 0), "vae": ("load", 2)}),
        }
    )  # fmt: skip
