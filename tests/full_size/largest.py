"""The models that run on cards of 24 to 8 GB by plan: whole, with a part of their weights, or not.

`python -m tests.full_size.largest` prints the table: models as published at their own sizes of
images (guided by CFG, FLUX.1 but by itself), then FLUX.1-dev made deeper and wider. The memory of a
call is that which the samplers plan with, the weights are those of the network that denoises, and
the machine has room for all that waits there.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from nodegraph.execution.weights_budget import LARGEST_RESERVE, RESERVE_SHARE
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading import forward
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.call_memory import denoiser_peak
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.split import split
from nodes.models.residency.units import divide
from nodes.sampling.conditioning.cond import CondBatch
from tests.full_size.cards import CARDS
from tests.full_size.models import write_model
from tests.full_size.pretended_card import PretendedCard
from tests.full_size.test_walks import KINDS, sample
from tests.tiny_models.handles import opened

NAMES = (
    *("sd15", "sdxl", "sd3_medium", "sd35_large", "flux_dev", "flux2_klein_4b", "z_image"),
    *("lumina2", "longcat_image"),
)
STORED = ("BF16", "F8_E4M3")
SIZES = ("24", "16", "12", "8")
SCALES = (2, 4, 8)


class Card(FixedBudget):
    """The memory of a card, without the reserve that is usual."""

    def __init__(self, nbytes: float) -> None:
        super().__init__(int(nbytes - min(nbytes * RESERVE_SHARE, LARGEST_RESERVE)))


@dataclass(frozen=True)
class Model:
    """A network, and what a call of it takes; sizes in bytes."""

    name: str
    spec: NetworkSpec
    sizes: Mapping[str, int]
    beside: int

    @property
    def nbytes(self) -> int:
        """All of its weights."""
        return sum(self.sizes.values())

    def fate(self, card: float) -> str:
        """Say what comes of it on a card of so many bytes."""
        room = Card(card).limit - self.beside
        if self.nbytes <= room:
            return "whole"
        network, parts = skeleton(self.spec), network_class(self.spec.kind).parts
        places = split(lambda most: divide(network, self.sizes, most, parts), self.sizes, room)
        if places is None:
            return "refused"
        often = sum(unit.nbytes for unit in places.parked if not unit.is_seldom)
        return f"{often / 1e9:.1f} GB a step" if often else "whole but for modulation"


def read_model(folder: Path, name: str, dtype: str = "BF16") -> Model:
    """Read what a step of a published model takes, with matrices stored in a dtype."""
    path = write_model(folder / f"{name}_{dtype}.safetensors", name, dtype, parts=1)
    calls: list[tuple[NetworkSpec, torch.dtype, tuple[int, ...], CondBatch]] = []

    def note(*call: Any) -> int:
        calls.append(call)
        return 0

    with PretendedCard() as card, patch.object(forward, "denoiser_peak", note):
        model = ModelHandle(opened(path).model)
        models = RunModels(ModelPool(1 << 60, Card(CARDS["80"])), None)
        with use_environment(RunEnvironment(models=models)):
            sample(card, model, KINDS[name], 1, folder)
        models.end()
        network = model.model.network
        spec, sizes = network.spec, dict(network.file.sizes)
    peaks = [denoiser_peak(*call[:3], _on_meta(call[3])) or 0 for call in calls]
    return Model(f"{name} {dtype}", spec, sizes, max(peaks))


def _on_meta(cond: CondBatch) -> CondBatch:
    def empty(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    pooled = None if cond.pooled is None else empty(cond.pooled)
    extras = {key: empty(each) for key, each in cond.extras.items()}
    return CondBatch(empty(cond.tokens), pooled, extras, chunks=cond.chunks)


def scaled(model: Model, depth: int = 1, width: int = 1) -> Model:
    """Return FLUX.1-dev with so many times the blocks, each so many times as wide.

    A call takes as much for any number of blocks, and in proportion to their width.
    """
    config = dict(model.spec.config)
    for key in ("num_layers", "num_single_layers"):
        config[key] *= depth
    config["num_attention_heads"] *= width
    spec = replace(model.spec, config=config)
    itemsize = model.nbytes / sum(
        each.numel() for each in skeleton(model.spec).state_dict().values()
    )
    weights = skeleton(spec).state_dict()
    sizes = {key: int(each.numel() * itemsize) for key, each in weights.items()}
    name = (
        f"{model.name}, {depth} x the blocks" if width == 1 else f"{model.name}, {width} x as wide"
    )
    return Model(name, spec, sizes, model.beside * width)


def rows(folder: Path, names: Sequence[str]) -> Iterator[Model]:
    """Yield the models of the table."""
    for name in names:
        for dtype in STORED:
            model = read_model(folder, name, dtype)
            yield model
            if name == "flux_dev":
                yield from (scaled(model, depth=times) for times in SCALES)
                yield from (scaled(model, width=times) for times in SCALES)


def row(model: Model) -> str:
    """Return a model as a row of a table in Markdown."""
    fates = [model.fate(CARDS[size]) for size in SIZES]
    cells = (model.name, f"{model.nbytes / 1e9:.1f}", f"{model.beside / 1e9:.2f}", *fates)
    return f"| {' | '.join(cells)} |"


HEAD = f"""\
| model | GB | a call | {" | ".join(f"{size} GB" for size in SIZES)} |
|---|---|---|{"---|" * len(SIZES)}"""


def main(arguments: list[str]) -> None:
    """Print the table, or the models of it that are asked for."""
    names = [name for name in NAMES if name in arguments] or list(NAMES)
    print(HEAD)
    with TemporaryDirectory() as folder:
        for model in rows(Path(folder), names):
            print(row(model), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
