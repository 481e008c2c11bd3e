"""The device that computes, where there is none but the CPU, and the one file that tells types."""

import os
import re
from pathlib import Path

import torch

from nodegraph.runtime.devices import (
    captures_graphs,
    computes_in_half,
    device_name,
    free_bytes,
    memory_bytes,
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
