"""FLUX.1-dev through an engine on pretended cards of several sizes: what runs, and at what price.

`python -m tests.full_size.cards` prints the table; `python -m tests.full_size.cards 24 fp8-lora`
a part of it.
"""

import gc
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from nodegraph import Graph
from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event, Notice
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.files.identity import Identities
from nodegraph.packs.registry import Registry
from tests.full_size.models import write_lora, write_model
from tests.full_size.pretended_card import PretendedCard

CARDS: Mapping[str, float] = {
    "80": 84.9e9, "40": 42.4e9, "24": 25.2e9, "16": 16.7e9, "12": 12.4e9, "8": 8.2e9,
}  # fmt: skip
"""Bytes that a card of so many GB gives to torch."""
STEPS = 1


class Variant(NamedTuple):
    """The files of one way to run the model."""

    network: str
    t5: str
    has_lora: bool = False


VARIANTS: Mapping[str, Variant] = {
    "bf16": Variant("flux_bf16", "t5_fp16"),
    "bf16-lora": Variant("flux_bf16", "t5_fp16", has_lora=True),
    "fp8": Variant("flux_fp8", "t5_fp8"),
    "fp8-lora": Variant("flux_fp8", "t5_fp8", has_lora=True),
}


@dataclass(frozen=True)
class Run:
    """What came of a run on a card; sizes in bytes."""

    card: str
    variant: str
    failure: str
    """Why it failed; empty if it did not."""
    refusals: int
    """Allocations that ended in `torch.OutOfMemoryError`."""
    uploaded: int
    peak: int
    notices: tuple[str, ...]

    def row(self) -> str:
        """The run as a row of a table in Markdown."""
        outcome = f"fails: {self.failure}" if self.failure else "runs"
        uploaded, peak = (f"{each / 1e9:.1f}" for each in (self.uploaded, self.peak))
        cells = (f"{self.card} GB", self.variant, outcome, str(self.refusals), uploaded, peak)
        return f"| {' | '.join(cells)} |"


HEAD = """\
| card | FLUX.1-dev | | OOMs | GB uploaded | peak GB |
|---|---|---|---|---|---|"""


def write_files(models: Path) -> Path:
    """Write the files, which take no room on the disk; returns their folder."""
    places = {
        "diffusion_models/flux_bf16": ("flux_dev", "BF16"),
        "diffusion_models/flux_fp8": ("flux_dev", "F8_E4M3"),
        "text_encoders/t5_fp16": ("t5xxl", "F16"),
        "text_encoders/t5_fp8": ("t5xxl", "F8_E4M3"),
        "text_encoders/clip_l": ("clip_l", "F16"),
        "vae/ae": ("ae", "BF16"),
    }
    for place, (name, dtype) in places.items():
        write_model(models / f"{place}.safetensors", name, dtype)
    write_lora(models / "loras/flux.safetensors", "flux_dev")
    return models


def workflow(registry: Registry, variant: Variant, side: int = 1024) -> tuple[Graph, str]:
    """The graph of a picture, and the node that decodes it."""
    g = Graph(registry)
    model = g.UNETLoader(unet_name=f"{variant.network}.safetensors", weight_dtype="default")
    if variant.has_lora:
        model = g.LoraLoaderModelOnly(model=model, lora_name="flux.safetensors", strength_model=1.0)
    clip = g.DualCLIPLoader(
        clip_name1=f"{variant.t5}.safetensors", clip_name2="clip_l.safetensors", type="flux",
        device="default",
    )  # fmt: skip
    text = g.FluxGuidance(conditioning=g.CLIPTextEncode(clip=clip, text="a cat"), guidance=3.5)
    latent = g.KSampler(
        model=model, seed=1, steps=STEPS, cfg=1.0, sampler_name="euler", scheduler="simple",
        positive=text, negative=text, denoise=1.0,
        latent_image=g.EmptySD3LatentImage(width=side, height=side, batch_size=1),
    )  # fmt: skip
    (vae,) = g.node("VAELoader", {"vae_name": "ae.safetensors"})
    image = g.VAEDecode(samples=latent, vae=vae)
    return g, image.node_id


@contextmanager
def known_by_name() -> Generator[None]:
    """Know files by their names: hashing what is zeros would take minutes."""
    with patch.object(Identities, "sha256", lambda _, path: f"id of {Path(path).name}"):
        yield


def run(models: Path, card: str, variant: str) -> Run:
    """Run a variant once on a new card."""
    registry = Registry.load(["nodes"])
    root = models.parent
    files = Files(Folders((models,), root / "input", root / "output", root / "temp"))
    graph, target = workflow(registry, VARIANTS[variant])
    notices: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.message)

    failure = ""
    with known_by_name(), PretendedCard(int(CARDS[card])) as pretended:
        engine = Engine(registry, files)
        try:
            engine.run(graph.plain(), targets=[target], emit=note)
        except NodeGraphError as error:
            failure = str(error)
        counts = pretended.counts
        found = Run(
            card, variant, failure, counts.refusals, counts.bytes_to_device, counts.peak_bytes,
            tuple(notices),
        )  # fmt: skip
        del engine
        gc.collect()
    return found


def main(arguments: list[str]) -> None:
    """Print the table, or the part of it that is asked for."""
    cards = [name for name in CARDS if name in arguments] or list(CARDS)
    variants = [name for name in VARIANTS if name in arguments] or list(VARIANTS)
    print(HEAD)
    with TemporaryDirectory() as folder:
        models = write_files(Path(folder) / "models")
        for variant in variants:
            for card in cards:
                made = run(models, card, variant)
                print(made.row(), flush=True)
                for notice in made.notices:
                    print(f"  notice: {notice}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
