"""Sampling on the device: what crosses the link, how often the host waits, and what is computed.

A run of more steps must not cost a copy or a wait more than a run of few.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.errors import NotFiniteError
from nodes.sampling.samplers.registry import SAMPLERS
from nodes.values import Area, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.simulated_device.device import SimulatedDevice
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import Samplable, samplable

FAMILIES = ("sd15", "sd21", "sdxl", "refiner", "sd3", "flux", "schnell")
USUAL = ("euler", "dpmpp_2m", "dpmpp_2m_sde", "lcm", "uni_pc", "heun")
"""The samplers that run by default, on SD 1.5 and FLUX.1."""
FEWER = ("euler", "dpmpp_2m_sde")
"""Those on the other families: a sampler does not know which network it calls."""
WAITING = {"dpm_adaptive"}
"""Samplers that choose the next step by numbers of the last, which the host must read."""
DRAWS = {"seeds_2": 2, "seeds_3": 3, "dpmpp_sde": 2, "dpmpp_sde_gpu": 2}
"""How often a sampler draws noise in a step, where it is not once."""
STOCHASTIC = {"ddpm", "lcm", "er_sde", "sa_solver", "sa_solver_pece"}
"""Samplers that draw noise, beside those whose names say so."""
FEW, MANY = 5, 8
"""Steps of two runs that are compared; modulation is made for eight levels at a time."""
MOST_OPS = 32
"""What a denoise call may compute beside its network."""


def usual(family: str) -> tuple[str, ...]:
    return USUAL if family in ("sd15", "flux") else FEWER


CASES = [
    pytest.param(family, name, marks=() if name in usual(family) else pytest.mark.slow)
    for family in FAMILIES
    for name in SAMPLERS
    if name not in WAITING
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def run(kind: Samplable, ctx: Bench, name: str, steps: int = FEW, **options: Any) -> Latent:
    given: dict[str, Any] = {"positive": kind.text(0.3), "latent_image": kind.blank(), **options}
    return ksampler(
        model=kind.model, seed=1, steps=steps, cfg=3.0, sampler_name=name, scheduler="normal",
        negative=kind.text(0.7), denoise=1.0, ctx=ctx, **given,
    )  # fmt: skip


class Crossed(NamedTuple):
    copies_to_host: int
    syncs: int
    copies_to_device: int
    ops: int
    """Those beside the network's own: of the samplers, the guidance and the model handle."""
    calls: int
    """Of the network."""


def added(
    simulated: SimulatedDevice, kind: Samplable, ctx: Bench, name: str, **options: Any
) -> Crossed:
    """What more steps cost."""
    run(kind, ctx, name, **options)  # the weights are there from now on
    few, many = (crossed(simulated, kind, ctx, name, n, **options) for n in (FEW, MANY))
    return Crossed(*(b - a for a, b in zip(few, many, strict=True)))


def crossed(
    simulated: SimulatedDevice, kind: Samplable, ctx: Bench, name: str, steps: int, **options: Any
) -> Crossed:
    own: list[int] = []

    def count(*_: object) -> None:
        own.append(simulated.counters().ops)

    network = kind.model.model.network.module((), (), kind.model.dtype)
    hooks = network.register_forward_pre_hook(count), network.register_forward_hook(count)
    simulated.reset()
    try:
        run(kind, ctx, name, steps, **options)
    finally:
        for hook in hooks:
            hook.remove()
    found, inside = simulated.counters(), sum(own[1::2]) - sum(own[::2])
    return Crossed(
        found.copies_to_host,
        found.syncs,
        found.copies_to_device,
        found.ops - inside,
        len(own) // 2,
    )


def drawn(name: str) -> int:
    """How often a sampler may draw noise in a step."""
    return DRAWS.get(name, int(name in STOCHASTIC or "ancestral" in name or "sde" in name))


@pytest.mark.parametrize(("family", "name"), CASES)
def test_a_step_waits_for_nothing(simulated, folder, family, name):
    crossed = added(simulated, samplable(folder, family), Bench(folder), name)

    assert (crossed.copies_to_host, crossed.syncs) == (0, 0)
    assert crossed.copies_to_device <= drawn(name) * (MANY - FEW)
    print(f"{family} {name}: {crossed.ops / crossed.calls:.1f} ops beside each call")
    assert crossed.ops <= MOST_OPS * crossed.calls


def test_masks_areas_and_batches_wait_for_nothing(simulated, folder):
    """Weights, texts and masks are put on the device before the first step."""
    kind = samplable(folder)
    whole, part, masked = (kind.text(step).conds[0] for step in (0.3, 0.7, 0.9))
    positive = (
        replace(whole, strength=0.8),
        replace(part, area=Area(6, 5, 2, 1)),
        replace(masked, mask=torch.linspace(0, 1, 64).reshape(1, 8, 8)),
        replace(kind.text(0.5, length=154).conds[0], start=0.4, sample=1),
    )
    latent = replace(kind.blank(batch=2), noise_mask=torch.linspace(0, 1, 64).reshape(1, 1, 8, 8))

    crossed = added(
        simulated,
        kind,
        Bench(folder),
        "euler",
        positive=Conditioning(positive),
        latent_image=latent,
    )

    assert crossed[:3] == (0, 0, 0)


def test_a_run_is_read_at_its_end(simulated, folder):
    """The flags of its predictions, together; its result stays on the device."""
    kind, bench = samplable(folder), Bench(folder)
    run(kind, bench, "euler")
    simulated.reset()

    result = run(kind, bench, "euler")

    assert result.samples.device == simulated.device
    assert simulated.counters().copies_to_host == 1


def test_a_step_whose_numbers_the_sampler_needs_is_read(simulated, folder):
    kind, bench = samplable(folder), Bench(folder)
    run(kind, bench, "dpm_adaptive")
    simulated.reset()

    run(kind, bench, "dpm_adaptive")

    assert 1 < simulated.counters().copies_to_host <= 1 + bench.checks // 2


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
