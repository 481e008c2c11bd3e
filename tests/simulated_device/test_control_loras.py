"""ControlNets that are changes to the model that they steer read its weights.

Those are on the device or parked on the host, and the same whatever was altered in the model.
"""

import pytest
import torch

from nodes.builtin.conditioning.controlnets import diff_control_net_loader
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers.perturbed_attention import PerturbedAttention
from tests.nodes.bench import Bench
from tests.nodes.builtin.conditioning.test_controlnets import (
    condition,
    load,
    predict,
    small_sd15,
    small_sdxl,
    steered,
)
from tests.tiny_models.checkpoints import SMALL_SD15, SMALL_SDXL, small_controlnet, write
from tests.tiny_models.control_networks import control_lora
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw


@pytest.fixture
def model(simulated, tmp_path) -> ModelHandle:
    return ModelHandle(opened(write(tmp_path / "a.safetensors", small_sdxl())).model)


@pytest.fixture
def control(model, tmp_path):
    draw = Draw(20)
    control_lora(draw, SMALL_SDXL)
    return load(Bench(tmp_path), draw.tensors)


def test_a_model_of_which_most_is_parked_completes_a_control_lora(simulated, model, control):
    cond = steered(control, "sdxl")
    whole, plain = predict(model, cond), predict(model, condition("sdxl"))

    model.model.network.resize(model.model.network.nbytes() // 3)
    control.network.unload()

    assert model.model.network.host_bytes > 0
    assert torch.equal(predict(model, cond), whole)
    assert not torch.equal(whole, plain)


def test_a_control_lora_is_completed_once_for_a_model_and_what_is_altered_in_it(
    simulated, model, control
):
    cond, altered = steered(control, "sdxl"), model.with_alteration(PerturbedAttention())
    whole = predict(model, cond)
    assert not torch.equal(predict(altered, cond), whole)
    simulated.reset()

    for each in (model, altered, model):
        predict(each, cond)

    assert simulated.counters().bytes_to_device < 0.5 * control.network.nbytes()
    assert torch.equal(predict(model, cond), whole)


def test_a_model_of_which_most_is_parked_is_the_base_of_a_difference(simulated, tmp_path):
    bench = Bench(tmp_path)
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", small_sd15())).model)
    difference = {**small_controlnet(SMALL_SD15), "difference": torch.zeros(0)}
    write(tmp_path / "models/controlnet/d.safetensors", difference)
    handle = diff_control_net_loader(model, "d.safetensors", bench)
    cond = steered(handle, "sd15")
    whole = predict(model, cond)

    model.model.network.resize(model.model.network.nbytes() // 3)
    handle.network.unload()

    assert model.model.network.host_bytes > 0
    assert torch.equal(predict(model, cond), whole)
