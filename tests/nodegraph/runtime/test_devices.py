"""The device that computes, where there is none but the CPU, and the one file that tells types."""

import os
import re
from pathlib import Path

import pytest
import torch

from nodegraph.runtime.devices import (
    captures_graphs,
    computes_in_half,
    computing_dtype,
    device_name,
    free_bytes,
    has_bfloat16,
    memory_bytes,
    multiplies_fp8,
)

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def test_the_memory_of_the_cpu_is_the_machines():
    free, total = memory_bytes(CPU)

    assert 0 < free <= total
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_bytes(CPU) <= total


def test_only_cuda_computes_in_half_precision_and_records_graphs():
    for type_name in ("cpu", "mps", "xpu"):
        assert not computes_in_half(torch.device(type_name))
        assert not captures_graphs(torch.device(type_name))
    assert computes_in_half(torch.device("cuda", 1))
    assert captures_graphs(torch.device("cuda", 1))
    assert device_name(CPU) == "cpu"


@pytest.mark.parametrize(
    ("type_name", "capability", "wanted", "expected"),
    [
        ("cuda", (9, 0), torch.bfloat16, torch.bfloat16),  # Hopper
        ("cuda", (8, 0), torch.bfloat16, torch.bfloat16),  # Ampere
        ("cuda", (7, 5), torch.bfloat16, torch.float16),  # Turing
        ("cuda", (7, 0), torch.bfloat16, torch.float16),  # Volta
        ("cuda", (7, 5), torch.float16, torch.float16),
        ("cuda", (7, 5), torch.float32, torch.float32),
        ("cuda", (9, 0), torch.float32, torch.float32),
        ("cpu", None, torch.bfloat16, torch.float32),
        ("mps", None, torch.float16, torch.float32),
        ("xpu", None, torch.bfloat16, torch.float32),
    ],
)
def test_the_precision_follows_from_the_type_and_capability_of_the_device(
    monkeypatch, type_name, capability, wanted, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    device = torch.device(type_name)

    assert computing_dtype(device, wanted) == expected
    assert has_bfloat16(device) == bool(capability and capability >= (8, 0))


@pytest.mark.parametrize(
    ("type_name", "hip", "capability", "expected"),
    [
        ("cuda", None, (9, 0), True),  # Hopper
        ("cuda", None, (8, 9), True),  # Ada
        ("cuda", None, (8, 6), False),  # Ampere
        ("cuda", "6.3", (9, 4), False),  # MI300
        ("cpu", None, None, False),
        ("mps", None, None, False),
    ],
)
def test_nvidias_devices_multiply_in_fp8_since_ada(
    monkeypatch, type_name, hip, capability, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)

    assert multiplies_fp8(torch.device(type_name)) == expected


def test_what_torch_has_reserved_and_not_used_counts_as_free(monkeypatch):
    facts = {"get_memory_info": (100, 1000), "memory_reserved": 700, "memory_allocated": 650}
    for name, value in facts.items():
        monkeypatch.setattr(torch.accelerator, name, lambda _device, value=value: value)

    assert memory_bytes(torch.device("cuda")) == (100, 1000)
    assert free_bytes(torch.device("cuda")) == 150


def test_types_of_device_are_told_apart_in_one_file():
    """Elsewhere nobody asks torch for CUDA, so that every accelerator takes the same path."""
    asks = re.compile(
        r"""torch\.(cuda|mps|xpu)\.|backends\.mps|\.type (==|!=|in) .*["'](cuda|xpu)"""
    )

    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("nodegraph", "nodes", "server")
        for path in (ROOT / folder).rglob("*.py")
        if asks.search(path.read_text())
    ]

    assert found == []
