"""What does not depend on the latent is computed once a run, and the same pictures come out.

Each run is compared with one that remembers nothing.
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from nodes.builtin.conditioning.controlnets import control_net_apply_advanced
from nodes.builtin.conditioning.ip_adapter import ip_adapter_apply
from nodes.builtin.sampling.skip_layer_guidance import (
    perturbed_attention_guidance,
    skip_layer_guidance_dit,
)
from nodes.builtin.sampling.unet_patches import free_u
from nodes.models.adapters.controlnet import NetControl
from nodes.models.networks.denoisers.modulation import PARTS, modulation_width
from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.conditioning.run_memory import RunMemory
from nodes.values import Area, CondBatch, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.builtin.conditioning import test_ip_adapter as image_prompts
from tests.nodes.builtin.conditioning.test_controlnets import load
from tests.nodes.pictures import picture
from tests.simulated_device.test_sampling import run
from tests.simulated_device.test_streaming import with_lora
from tests.tiny_models.checkpoints import SMALL_SD15, small_controlnet
from tests.tiny_models.control_networks import adapter
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.samplable import samplable

UNETS = ("sd15", "sd21", "sdxl", "refiner")
STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def forgetful(monkeypatch):
    """A block in which runs remember nothing."""

    @contextmanager
    def block():
        with monkeypatch.context() as patched:
            nothing = partial(RunMemory, most=0)
            patched.setattr("nodes.inference.merging.RunMemory", nothing)
            here = "nodes.models.loading.forward.with_modulation"
            patched.setattr(here, lambda _, call, *__: call.cond)
            yield

    return block


@contextmanager
def counted(module, suffix):
    """Count the calls of a module's parts whose names end so."""
    calls: Counter[str] = Counter()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, part in module.named_modules()
        if name.endswith(suffix)
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


class Both(NamedTuple):
    """A run, and one that remembers nothing."""

    made: Tensor
    plain: Tensor
    once: Counter[str]
    """The calls of the parts that are counted, in the first."""
    every_step: Counter[str]
    saved_ops: int


def run_both(simulated, folder, family, forgetful, parts) -> Both:
    """Run a family's model with and without memory, and count the calls of parts of its network."""
    kind, bench = samplable(folder, family), Bench(folder)
    module = kind.model.model.network.module((), (), kind.model.dtype)
    simulated.reset()
    with counted(module, parts) as once:
        made = run(kind, bench, "euler", STEPS).samples
    ops = simulated.counters().ops
    simulated.reset()
    with forgetful(), counted(module, parts) as every_step:
        plain = run(kind, bench, "euler", STEPS).samples
    return Both(made, plain, once, every_step, simulated.counters().ops - ops)


@pytest.mark.parametrize("family", UNETS)
def test_the_text_s_keys_and_values_are_computed_once_a_run(simulated, folder, family, forgetful):
    both = run_both(simulated, folder, family, forgetful, ("attn2.to_k", "attn2.to_v"))

    assert set(both.once.values()) == {1}
    assert set(both.every_step.values()) == {STEPS}
    assert both.saved_ops >= (STEPS - 1) * len(both.once)
    assert torch.equal(both.made, both.plain)


def areas(kind):
    whole, part = (kind.text(step).conds[0] for step in (0.3, 0.7))
    late = replace(kind.text(0.5, length=154).conds[0], start=0.4)
    return Conditioning((whole, replace(part, area=Area(6, 5, 2, 1)), late))


def steered(kind, handle, **options):
    text = kind.text(0.3)
    hint = picture(1, 24, 40)
    positive = control_net_apply_advanced(text, text, handle, hint, **options).positive
    return {"positive": positive}


def controlnet(kind, folder):
    tensors = small_controlnet(SMALL_SD15)
    handle = load(Bench(folder), tensors, "control.safetensors")
    return kind, steered(kind, handle, strength=0.7, end_percent=0.6)


def t2i_adapter(kind, folder):
    draw = Draw(5)
    adapter(draw, (32, 64))
    handle = load(Bench(folder), draw.tensors, "t2i.safetensors")
    return kind, steered(kind, handle, strength=0.7)


def ip_adapter(kind, folder):
    image_prompts.write_models(folder)
    eyes = image_prompts.clip_vision_loader("eyes.safetensors", Bench(folder))
    handle = image_prompts.adapter(folder, "plus")
    model = ip_adapter_apply(kind.model, handle, eyes, picture(1, 16, 16), 0.6, 0.0, 0.5)
    return kind._replace(model=model), {}


CASES = {
    "a lora": lambda kind, folder: (with_lora(kind, folder, 0.8), {}),
    "freeu": lambda kind, _: (kind._replace(model=free_u(kind.model)), {}),
    "perturbed": lambda kind, _: (
        kind._replace(model=perturbed_attention_guidance(kind.model)),
        {},
    ),
    "areas": lambda kind, _: (kind, {"positive": areas(kind)}),
    "a batch": lambda kind, _: (kind, {"latent_image": kind.blank(3)}),
    "a controlnet": controlnet,
    "a t2i-adapter": t2i_adapter,
    "an ip-adapter": ip_adapter,
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_comes_out(simulated, folder, case, forgetful):
    kind, options = CASES[case](samplable(folder), folder)
    bench = Bench(folder)
    with forgetful():
        plain = run(kind, bench, "heun", 2, **options).samples

    made = run(kind, bench, "heun", 2, **options).samples

    assert torch.equal(made, plain)


def test_the_features_of_a_t2i_adapter_are_computed_once_a_run(simulated, folder):
    kind, options = t2i_adapter(samplable(folder), folder)
    (control,) = options["positive"].conds[0].controls
    assert isinstance(control, NetControl)
    module = control.handle.network.module()

    with counted(module, "conv_in") as calls:
        run(kind, Bench(folder), "euler", STEPS, **options)

    assert sum(calls.values()) == 1


def test_a_hint_crosses_the_link_once_a_run(simulated, folder):
    kind, options = controlnet(samplable(folder), folder)
    bench = Bench(folder)
    run(kind, bench, "euler", 2, **options)
    copies: list[int] = []
    for steps in (STEPS, STEPS + 3):
        simulated.reset()
        run(kind, bench, "euler", steps, **options)
        copies.append(simulated.counters().copies_to_device)

    assert copies[0] == copies[1]


def test_a_step_within_an_ip_adapter_s_range_does_not_touch_its_tensors(simulated, folder):
    kind, _ = ip_adapter(samplable(folder), folder)
    (injection,) = kind.model.injections
    cond = injection.conditions(kind.text(0.3).conds[0], 0, (8, 8), "positive")
    prepared = PreparedCond.from_cond(cond)
    batch = CondBatch(prepared.tokens, extras=prepared.extras)
    simulated.reset()

    inside = injection.at(batch, 0, torch.tensor([9.0, 6.0]), lambda fraction: 10 * (1 - fraction))
    outside = injection.at(batch, 0, torch.tensor([4.0, 3.0]), lambda fraction: 10 * (1 - fraction))

    assert inside is batch
    assert not outside.extras
    assert simulated.counters().ops == 0


def test_a_device_that_is_nearly_full_remembers_nothing(simulated, folder):
    kind, bench = samplable(folder), Bench(folder)
    made = run(kind, bench, "euler", STEPS).samples
    module = kind.model.model.network.module((), (), kind.model.dtype)
    simulated.set_budget(simulated.live_bytes() + (1 << 20))

    with counted(module, "attn2.to_k") as calls:
        again = run(kind, bench, "euler", STEPS).samples

    assert torch.equal(again, made)
    assert set(calls.values()) > {1}


TRANSFORMERS = ("sd3", "flux", "schnell")
ENDS = ".weight", ".bias"


def modulation_keys(kind):
    """The weights that no step reads."""
    return [
        key
        for key in kind.model.model.network.file.sizes
        if any(fnmatchcase(key, f"{pattern}.*") for pattern in PARTS.seldom)
    ]


def assert_close(made, plain):
    difference = float((made - plain).norm() / plain.norm())
    assert difference < 2e-6  # guidance multiplies what differs between two predictions


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_modulation_is_made_once_a_run(simulated, folder, family, forgetful):
    both = run_both(simulated, folder, family, forgetful, (".linear",))

    assert set(both.once.values()) == {1}
    assert set(both.every_step.values()) == {STEPS}
    assert both.saved_ops > (STEPS - 1) * len(both.once)
    assert_close(both.made, both.plain)


def skip_layer_guidance(kind, _):
    model = skip_layer_guidance_dit(
        model=kind.model, double_layers="0", single_layers="0", start_percent=0.0, end_percent=1.0
    )
    return kind._replace(model=model), {}


DIFFERENT = {
    "plain": lambda kind, _: (kind, {}),
    "skipped layers": skip_layer_guidance,
    "areas": lambda kind, _: (kind, {"positive": areas(kind)}),
    "a batch": lambda kind, _: (kind, {"latent_image": kind.blank(3)}),
    "long texts": lambda kind, _: (kind, {"positive": kind.text(0.3, length=154)}),
}


@pytest.mark.parametrize("case", DIFFERENT)
@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_modulation_ahead_makes_no_difference(simulated, folder, family, case, forgetful):
    kind, options = DIFFERENT[case](samplable(folder, family), folder)
    bench = Bench(folder)
    with forgetful():
        plain = run(kind, bench, "dpmpp_sde", 2, **options).samples

    made = run(kind, bench, "dpmpp_sde", 2, **options).samples

    assert_close(made, plain)


def test_levels_that_nobody_foresaw_have_the_same_modulation(simulated, folder, monkeypatch):
    kind, bench = samplable(folder, "flux"), Bench(folder)
    made = run(kind, bench, "heun", STEPS).samples

    monkeypatch.setattr("nodes.inference.sample.foresee_levels", lambda *_: ())

    assert torch.equal(run(kind, bench, "heun", STEPS).samples, made)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_modulation_that_finds_too_little_room_is_made_in_parts(
    simulated, folder, monkeypatch, levels
):
    kind, bench = samplable(folder, "flux"), Bench(folder)
    made = run(kind, bench, "euler", STEPS).samples
    module = kind.model.model.network.module((), (), kind.model.dtype)
    room = levels * 2 * modulation_width(module) * kind.model.dtype.itemsize
    memory = partial(RunMemory, most=room)
    monkeypatch.setattr("nodes.inference.merging.RunMemory", memory)

    with counted(module, "norm_out.linear") as calls:
        again = run(kind, bench, "euler", STEPS).samples

    assert torch.equal(again, made)
    assert sum(calls.values()) == -(-STEPS // max(1, levels))


@pytest.mark.parametrize("family", TRANSFORMERS)
def test_modulation_s_weights_leave_first_and_no_step_brings_them_back(simulated, folder, family):
    kind, bench = samplable(folder, family), Bench(folder)
    network = kind.model.model.network
    whole = run(kind, bench, "euler", STEPS).samples
    sizes = network.file.sizes
    leave = sum(sizes[key] for key in modulation_keys(kind))
    largest = [max(sizes[k] for k in modulation_keys(kind) if k.endswith(e)) for e in ENDS]
    slots = 2 * sum(largest) + 4096
    network.resize(sum(sizes.values()) - leave + slots)

    assert torch.equal(run(kind, bench, "euler", STEPS).samples, whole)
    moved: list[int] = []
    for steps in (STEPS, STEPS + 3):
        before = simulated.counters().bytes_to_device
        run(kind, bench, "euler", steps)
        moved.append(simulated.counters().bytes_to_device - before)

    assert network.held_bytes <= sum(sizes.values()) - leave + slots
    assert network.host_bytes >= leave - slots
    resident = network.module().state_dict()
    assert all(resident[key].device.type == "simulated" for key in sizes.keys() - gone(network))
    assert gone(network) <= set(modulation_keys(kind))
    assert moved[1] - moved[0] == 3 * 4  # the levels' own numbers
    assert moved[0] <= 1.1 * leave + slots


def gone(network):
    """The weights that are parked."""
    return {
        key for key, each in network.module().state_dict().items() if each.device.type == "meta"
    }
