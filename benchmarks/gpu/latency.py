"""The time of an image, one at a time: the engine, diffusers' eager pipeline, and a bare loop.

For each family, with random weights of full size and a prompt that is encoded already:

- `nodegraph`: KSampler and VAEDecode by the engine, with another seed each time.
- `bare loop`: the calls of the same networks that such an image took, made again with nothing
  between them: neither sampler, guidance nor graph.
- `diffusers`: its pipeline in eager mode, on networks of its own classes with the same weights.

The first image of a family is with reading and hashing its file, and loading its weights. Goals are
for an H100. `--tiny` takes small models of the same families.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple, cast

import torch

from benchmarks.engines import Picture, engine_in, text_to_image
from benchmarks.gpu.device_clock import QUICK, USUAL, TimeBudget, device_seconds, sample_seconds
from benchmarks.gpu.families import FAMILIES, Family, write_checkpoint
from benchmarks.gpu.pipelines import Parts, eager
from benchmarks.gpu.replay import Calls, networks_of, record_calls
from benchmarks.gpu.space import add_space_options, open_space
from benchmarks.report import Report
from nodegraph.execution.engine import Engine
from nodegraph.runtime.devices import (
    computes_in_half,
    default_device,
    has_own_memory,
    pinned_bytes,
)
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network import Network
from nodes.values import Conditioning

MOST_DIFFERENCE = {True: 0.05, False: 1e-3}
"""By which a bare loop's numbers may differ from the engine's: in half precision, in float32."""
MOST_OF_BARE = 1.02
"""The most of a bare loop's time that the engine takes."""
LEAST_OF_DIFFUSERS = {"FLUX.1-dev": 1.5}
"""How many times as long diffusers' eager pipeline takes at the least."""


class Opened(NamedTuple):
    """A family at work."""

    engine: Engine
    family: Family
    picture: Picture
    seeds: Iterator[int]

    def image(self) -> object:
        """Make an image of another seed."""
        graph = text_to_image(self.family.checkpoint(), next(self.seeds), self.picture)
        return self.engine.run(graph, targets=["decode"]).outputs

    def parts(self) -> Parts:
        """Return the handles and the prompts."""
        graph = text_to_image(self.family.checkpoint(), 0, self.picture)
        names = ["load", "positive", "negative"]
        load, positive, negative = (self.engine.run(graph, targets=names).outputs[x] for x in names)
        model, _, vae = cast("tuple[ModelHandle, ClipHandle, VaeHandle]", load)
        prompts = cast("list[Conditioning]", [positive[0], negative[0]])
        return Parts(model, vae, *prompts)


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--seconds", type=float, default=780.0, help="for all families together")
    add_space_options(parser)


def measure(options: Namespace, report: Report) -> None:
    """Measure, and report each figure when it is known."""
    budget = TimeBudget(options.seconds)
    with open_space(options) as models:
        for number, name in enumerate(options.families):
            family = FAMILIES[name]
            if budget.left == 0:
                report.keep(f"{name}: left out", "no time was left")
                continue
            write_checkpoint(models, family, tiny=options.tiny)
            engine = engine_in(models / "work", models)
            opened = Opened(engine, family, family.picture(tiny=options.tiny), count())
            part = budget.share(len(options.families) - number)
            measure_family(opened, part, report, tiny=options.tiny)
            engine.free()
            later = {FAMILIES[each].model for each in options.families[number + 1 :]}
            goes = options.models is None or bool(options.keep)
            if goes and family.model not in later | set(options.keep):
                (models / "checkpoints" / family.checkpoint()).unlink()


def measure_family(opened: Opened, budget: TimeBudget, report: Report, *, tiny: bool) -> None:
    """Report the figures of one family; goals are for models of full size."""
    name, pace = opened.family.name, QUICK if tiny else USUAL

    def goal(text: str) -> str:
        return "" if tiny else text

    report.add(f"{name}: first image", device_seconds(opened.image), "s")
    parts = opened.parts()
    with record_calls(*networks_of(parts.model, parts.vae)) as calls:
        opened.image()
    check(name, calls, report)
    work = {
        "nodegraph": opened.image,
        "bare loop": calls.replay,
        "diffusers": eager(opened.picture, parts),
    }
    medians: dict[str, float] = {}
    for number, (way, make) in enumerate(work.items()):
        times = sample_seconds(make, budget.share(len(work) - number), pace)
        medians[way] = report.add_times(f"{name}: {way}", times)
    ours = medians["nodegraph"]
    report.add(f"{name}: an image", ours, "ms", goal(f"<= {opened.family.goal_ms:g}"))
    ratio = ours / medians["bare loop"]
    report.add(f"{name}: nodegraph beside the bare loop", ratio, "x", goal(f"<= {MOST_OF_BARE}"))
    least = LEAST_OF_DIFFUSERS.get(name)
    ratio = medians["diffusers"] / ours
    report.add(
        f"{name}: diffusers beside nodegraph", ratio, "x", goal(f">= {least}" if least else "")
    )
    report_load(name, parts.model.model.network, report)


def check(name: str, calls: Calls, report: Report) -> None:
    """Report that a bare loop gives the numbers of the engine.

    Raises:
        AssertionError: it gives others.
    """
    most = MOST_DIFFERENCE[computes_in_half(default_device())]
    found = report.add(f"{name}: bare loop's difference", calls.difference(), "x", f"<= {most}")
    assert found <= most, f"{name}: the bare loop gives other numbers than the engine"


def report_load(name: str, network: Network, report: Report) -> None:
    """Report the seconds in which a network's weights come from the file, which is in memory."""
    nbytes, device = network.nbytes(), default_device()
    network.unload()
    seconds = report.add(f"{name}: load the denoiser", device_seconds(network.module), "s")
    if has_own_memory(device):
        there = torch.empty(1 << 28, dtype=torch.uint8, device=device)
        pinned = pinned_bytes(1 << 28, device)
        link = len(pinned) / min(device_seconds(lambda: there.copy_(pinned)) for _ in range(5))
        report.add(f"{name}: load, beside a pinned copy", nbytes / seconds / link, "x", ">= 0.8")
