"""Sampling on the device: what crosses the link, how often the host waits, and what is computed.

A run of more steps must not cost a copy or a wait more than a run of few.
"""

from pathlib import Path
from typing import Any

import pytest

from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.errors import NotFiniteError
from nodes.sampling.samplers.registry import SAMPLERS
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.simulated_device.device import Counters, SimulatedDevice
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import Samplable, samplable

FAMILIES = ("sd15", "sd21", "sdxl", "refiner", "sd3", "flux", "schnell")
USUAL = ("euler", "dpmpp_2m", "dpmpp_2m_sde", "lcm", "uni_pc", "heun")
"""The samplers that run by default."""
WAITING = {"dpm_adaptive"}
"""Samplers that choose the next step by numbers of the last, which the host must read."""
DRAWS = {"seeds_2": 2, "seeds_3": 3, "dpmpp_sde": 2, "dpmpp_sde_gpu": 2, "sa_solver_pece": 1}
"""The most draws of noise in a step, where it is not 1."""
FEW, MANY = 6, 9
MOST_OPS = 32
"""What a denoise call may compute beside its network."""

CASES = [
    pytest.param(family, name, marks=() if name in USUAL else pytest.mark.slow)
    for family in FAMILIES
    for name in SAMPLERS
    if name not in WAITING
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def run(kind: Samplable, ctx: Bench, name: str, steps: int = FEW, **options: Any) -> Latent:
    return ksampler(
        model=kind.model, seed=1, steps=steps, cfg=3.0, sampler_name=name, scheduler="normal",
        positive=kind.text(0.3), negative=kind.text(0.7), denoise=1.0, ctx=ctx,
        **{"latent_image": kind.blank(), **options},
    )  # fmt: skip


def added(
    simulated: SimulatedDevice, kind: Samplable, ctx: Bench, name: str, **options: Any
) -> tuple[int, int, int]:
    """What more steps cost in (copies to the host, syncs, copies to the device)."""
    run(kind, ctx, name, **options)  # the weights are there from now on
    counted: list[Counters] = []
    for steps in (FEW, MANY):
        simulated.reset()
        run(kind, ctx, name, steps, **options)
        counted.append(simulated.counters())
    few, many = counted
    return (
        many.copies_to_host - few.copies_to_host,
        many.syncs - few.syncs,
        many.copies_to_device - few.copies_to_device,
    )


@pytest.mark.parametrize(("family", "name"), CASES)
def test_a_step_waits_for_nothing(simulated, folder, family, name):
    to_host, syncs, _ = added(simulated, samplable(folder, family), Bench(folder), name)

    assert (to_host, syncs) == (0, 0)


def test_a_run_is_read_twice(simulated, folder):
    """Its result and its last x0; and the flags of its predictions, together."""
    kind, bench = samplable(folder), Bench(folder)
    run(kind, bench, "euler")
    simulated.reset()

    result = run(kind, bench, "euler")

    assert result.samples.is_cpu
    assert simulated.counters().copies_to_host == 3


def test_a_step_whose_numbers_the_sampler_needs_is_read(simulated, folder):
    kind, bench = samplable(folder), Bench(folder)
    run(kind, bench, "dpm_adaptive")
    simulated.reset()

    run(kind, bench, "dpm_adaptive")

    assert 3 < simulated.counters().copies_to_host <= 3 + bench.checks // 2


@pytest.fixture(scope="module")
def endless(folder):
    """The path of a model whose numbers become infinite."""
    tensors = small_sd15()
    key = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[key] = tensors[key].float() * 1e38
    return write(folder / "endless.safetensors", tensors)


@pytest.mark.parametrize("name", ["euler", "dpm_adaptive", "uni_pc"])
def test_the_first_step_without_numbers_is_found_at_the_end(simulated, endless, name):
    bench, kind = Bench(endless.parent), broken(endless)

    with pytest.raises(NotFiniteError, match=rf"the model's prediction in step 1 of {FEW} has"):
        run(kind, bench, name)

    assert bench.progressed


def test_it_is_found_at_once_if_somebody_watches(simulated, endless):
    bench = Bench(endless.parent, preview_method="latent2rgb")

    with pytest.raises(NotFiniteError, match=rf"the model's prediction in step 1 of {FEW} has"):
        run(broken(endless), bench, "euler")

    assert bench.progressed == [(1, FEW)]


def broken(path: Path) -> Samplable:
    return Samplable(ModelHandle(opened(path).model), 64, None)
