"""Networks that have less of the device than their weights take: the same numbers come out."""

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.builtin.conditioning.flux import reference_latent
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.tiny_models.checkpoints import write
from tests.tiny_models.samplable import samplable

MIB = 1 << 20
FAMILIES = ("sd15", "sd21", "sdxl", "refiner", "sd3", "flux", "schnell", "flux2", "flux3")
SHARES = (0.6, 0.3, 0.15)


def sample(kind, folder, steps=2, references=()):
    positive = kind.text(0.3)
    for latent in references:
        positive = reference_latent(positive, Latent(latent))
    return ksampler(
        model=kind.model, seed=1, steps=steps, cfg=3.0, sampler_name="euler", scheduler="normal",
        positive=positive, negative=kind.text(0.7), latent_image=kind.blank(),
        denoise=1.0, ctx=Bench(folder),
    ).samples.cpu()  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_with_a_part_of_its_weights_on_the_device_gives_the_same(
    simulated, tmp_path, family
):
    kind = samplable(tmp_path, family)
    network = kind.model.model.network
    whole = sample(kind, tmp_path)
    nbytes = network.held_bytes

    for share in SHARES:
        network.resize(int(share * nbytes))
        assert torch.equal(sample(kind, tmp_path), whole)
        assert network.held_bytes > 0
        assert network.held_bytes <= share * nbytes
        assert network.host_bytes >= 0.9 * (nbytes - network.held_bytes)

    network.resize(nbytes)
    assert torch.equal(sample(kind, tmp_path), whole)
    assert network.held_bytes == nbytes


def test_what_is_parked_crosses_the_link_once_a_step(simulated, tmp_path):
    kind = samplable(tmp_path, "flux")
    network = kind.model.model.network
    network.resize(network.nbytes() // 2)
    sample(kind, tmp_path)

    before = simulated.counters().bytes_to_device
    sample(kind, tmp_path, steps=2)
    few = simulated.counters().bytes_to_device - before
    before = simulated.counters().bytes_to_device
    sample(kind, tmp_path, steps=4)
    many = simulated.counters().bytes_to_device - before

    assert (many - few) / 2 <= 1.1 * network.host_bytes


def test_weights_that_only_references_need_leave_first(simulated, tmp_path):
    kind = samplable(tmp_path, "flux3")
    network = kind.model.model.network
    references = (grid((1, 128, 4, 6), 0.2),)
    plain, seeing = (sample(kind, tmp_path, references=each) for each in ((), references))
    network.resize(int(0.88 * network.held_bytes))

    brought: list[int] = []
    for steps in (2, 2, 4):
        before = simulated.counters().bytes_to_device
        found = sample(kind, tmp_path, steps=steps)
        brought.append(simulated.counters().bytes_to_device - before)

    assert not torch.equal(seeing, plain)
    assert torch.equal(sample(kind, tmp_path), plain)
    assert torch.equal(sample(kind, tmp_path, references=references), seeing)
    assert found.isfinite().all()
    assert network.host_bytes > 0
    assert brought[2] - brought[1] < 100


def test_the_device_never_holds_more_than_the_share(simulated, tmp_path):
    kind = samplable(tmp_path, "flux")
    network = kind.model.model.network
    share = network.nbytes() // 2
    network.resize(share)
    live = simulated.live_bytes()
    simulated.reset()

    network.module()

    assert simulated.counters().peak_bytes - live <= share


def with_lora(kind, folder, strength):
    """Return the model with a LoRA on one attention."""
    handle = kind.model
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    draw = torch.Generator().manual_seed(5)
    tensors = {
        f"{key}.lora_up.weight": torch.randn(32, 2, generator=draw),
        f"{key}.lora_down.weight": torch.randn(2, 32, generator=draw),
    }
    file = LoraFile(write(folder / "lora.safetensors", tensors), "a LoRA")
    patch = lora_patch(file, strength, handle.model.network)
    assert patch.touches
    return kind._replace(model=handle.with_patch(patch))


def test_a_lora_on_a_network_that_is_split(simulated, tmp_path):
    kind = samplable(tmp_path)
    network = kind.model.model.network
    variants = [kind, with_lora(kind, tmp_path, 1.0), with_lora(kind, tmp_path, 0.5)]
    whole = [sample(each, tmp_path) for each in variants]
    assert not torch.equal(whole[0], whole[1])
    network.resize(network.held_bytes // 3)
    share = network.nbytes() // 3

    for each, expected in [*zip(variants, whole, strict=True), (kind, whole[0])]:
        assert torch.equal(sample(each, tmp_path), expected)
        assert network.held_bytes <= share + 1024


@pytest.mark.parametrize(
    "share",
    [pytest.param(1.0, marks=pytest.mark.slow), pytest.param(0.6, marks=pytest.mark.slow), 0.3],
)
def test_runs_within_a_memory_budget(simulated, tmp_path, share):
    kinds = [samplable(tmp_path, family) for family in ("sd15", "sdxl", "flux")]
    whole = [sample(kind, tmp_path) for kind in kinds]
    networks = [kind.model.model.network for kind in kinds]
    for network in networks:
        network.unload()
    budget = int(share * max(network.nbytes() for network in networks))
    pool = ModelPool(1 << 40, FixedBudget(budget))
    simulated.reset()
    simulated.set_budget(simulated.live_bytes() + budget + 4 * MIB)

    for number in (0, 1, 2, 0, 1, 2):
        uses = RunModels(pool, None)
        with use_environment(RunEnvironment(models=uses)):
            assert torch.equal(sample(kinds[number], tmp_path), whole[number])
        uses.end()
        assert sum(network.held_bytes for network in networks) <= budget

    assert simulated.counters().refusals == 0


def test_a_model_that_comes_later_in_a_run_gets_room_from_the_first(simulated, tmp_path):
    kinds = [samplable(tmp_path, family) for family in ("sdxl", "sd15")]
    whole = [sample(kind, tmp_path) for kind in kinds]
    first, second = (kind.model.model.network for kind in kinds)
    first.unload()
    second.unload()
    pool = ModelPool(1 << 40, FixedBudget(first.nbytes()))
    uses = RunModels(pool, None)

    with use_environment(RunEnvironment(models=uses)):
        for _ in range(2):
            found = [sample(kind, tmp_path) for kind in kinds]
            assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))
    uses.end()

    assert first.held_bytes + second.held_bytes <= first.nbytes()
