"""Answers of `comfy.model_management` on cards of several kinds, from the table of devices."""

import pytest
import torch

from nodegraph.runtime.devices import has_bfloat16
from nodes.comfy.host.comfy import model_management as answers

FLAGS = ("should_use_fp16", "should_use_bf16", "is_nvidia", "is_amd", "is_intel_xpu", "mps_mode")


@pytest.mark.parametrize(
    ("type_name", "capability", "hip", "expected"),
    [
        ("cuda", (9, 0), None, {"should_use_fp16", "should_use_bf16", "is_nvidia"}),
        ("cuda", (7, 5), None, {"should_use_fp16", "is_nvidia"}),
        ("cuda", (9, 4), "6.4", {"should_use_fp16", "should_use_bf16", "is_amd"}),
        ("xpu", None, None, {"is_intel_xpu"}),
        ("mps", None, None, {"mps_mode"}),
        ("cpu", None, None, set()),
    ],
)
def test_packs_are_told_what_the_card_is_and_can(monkeypatch, type_name, capability, hip, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(answers, "default_device", lambda: torch.device(type_name))
    half = torch.float16 if type_name == "cuda" else torch.float32

    assert {name for name in FLAGS if getattr(answers, name)()} == expected
    assert answers.unet_dtype() == answers.text_encoder_dtype() == half
    wide = has_bfloat16(torch.device(type_name))
    assert answers.vae_dtype() == (torch.bfloat16 if wide else torch.float32)
    assert not answers.should_use_bf16(torch.device("cpu"))
    assert answers.get_torch_device().type == type_name


def test_free_memory_includes_what_torch_holds(monkeypatch):
    facts = {"get_memory_info": (100, 1000), "memory_reserved": 70, "memory_allocated": 50}
    for name, value in facts.items():
        monkeypatch.setattr(torch.accelerator, name, lambda _device, value=value: value)

    assert answers.get_free_memory("cuda:0") == 120
    assert answers.get_free_memory("cuda:0", torch_free_too=True) == (120, 20)
    assert answers.get_total_memory("cuda:0") == 1000


def test_what_the_engine_decides_itself_is_nothing_to_packs():
    tensor = torch.ones(2)

    assert answers.loaded_models() == []
    assert answers.dtype_size(torch.float16) == 2
    assert answers.cast_to(tensor, torch.float64).dtype == torch.float64
    assert answers.cast_to(tensor).data_ptr() == tensor.data_ptr()
    assert answers.is_device_cuda(torch.device("cuda:1"))
    assert not answers.is_device_cuda(torch.device("cpu"))
    answers.synchronize()
