"""The memory of calls that is found without computing, beside that of real calls."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import VaeHandle
from nodes.models.networks import call_memory
from nodes.models.networks.call_memory import call_peak, vae_peak
from tests.full_size.models import MODELS
from tests.nodes.pictures import grid
from tests.tiny_models.checkpoints import small_sd15, write

VAE = MODELS["sdxl"][1]
FULL_SIZE = NetworkSpec("vae", "vae", VAE.config, VAE.prefix, VAE.table)


def test_the_peak_of_a_vae_is_that_of_the_device(simulated, tmp_path):
    path = write(tmp_path / "a.safetensors", small_sd15())
    vae = VaeHandle(open_checkpoint(path, "a", ModelPool()).vae)
    network, dtype = vae.vae.network, vae.vae.network.placement.dtype
    calls: dict[Literal["decode", "encode"], Tensor] = {
        "decode": grid((1, 4, 24, 16), 0.3),
        "encode": grid((1, 3, 64, 96), 0.3).abs(),
    }

    for method, on_host in calls.items():
        x = on_host.to("simulated")
        run = getattr(network.module(), method)
        before = simulated.live_bytes()
        simulated.reset()
        with torch.no_grad():
            run(x, return_dict=False)
        found = simulated.counters().peak_bytes - before

        foretold = vae_peak(network.spec, dtype, method, tuple(x.shape))

        assert found <= foretold <= 1.1 * found, method


@pytest.mark.parametrize(
    ("dtype", "method", "shape", "gigabytes"),
    [
        (torch.bfloat16, "decode", (1, 4, 128, 128), 1.611),
        (torch.float32, "decode", (1, 4, 128, 128), 3.222),
        (torch.float32, "encode", (1, 3, 1024, 1024), 2.697),
        (torch.float32, "decode", (1, 4, 64, 64), 0.805),
    ],
)
def test_the_peak_of_a_full_size_vae(dtype, method, shape, gigabytes):
    assert vae_peak(FULL_SIZE, dtype, method, shape) == pytest.approx(gigabytes * 1e9, rel=1e-3)


def test_a_figure_is_found_once():
    calls: list[None] = []

    def call(_: object) -> None:
        calls.append(None)
        torch.empty(1000, device="meta")

    found = [call_peak(FULL_SIZE, torch.float32, "a test", call) for _ in range(3)]

    assert found == [4096] * 3
    assert len(calls) == 1
    assert call_peak(FULL_SIZE, torch.float32, "another", call) == 4096
    assert len(calls) == 2


def test_the_oldest_figures_are_forgotten(monkeypatch):
    monkeypatch.setattr(call_memory, "_KEPT", 2)
    calls: list[str] = []
    for name in ("a", "b", "c", "c", "a"):
        call_peak(FULL_SIZE, torch.float32, name, lambda _, name=name: calls.append(name))
    assert calls == ["a", "b", "c", "a"]
