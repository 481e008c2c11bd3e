"""The precision of VAEs on a device: half where it suffices, float32 where it does not."""

from pathlib import Path

import pytest
import torch

from nodegraph.runtime import devices
from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.models.loading.handles import VaeHandle
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.inference.test_overflow import latent, overflowing
from tests.nodes.pictures import picture
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

TRAINED = Path(__file__).parents[2] / "nodes/assets/demo-shapes.safetensors"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def has(monkeypatch, *, bfloat16: bool):
    """Let the device compute in half precision, as cards do."""
    monkeypatch.setattr(devices, "computes_in_half", lambda device: device.type == "simulated")
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: bfloat16)


def on_cpu(simulated, path: Path) -> VaeHandle:
    """The same VAE without the device."""
    simulated.switch(on=False)
    vae = VaeHandle(opened(path).vae)
    assert vae.vae.network.placement.device.type == "cpu"
    simulated.switch(on=True)
    return vae


def test_a_vae_computes_in_bfloat16_with_nearly_the_same_picture(simulated, monkeypatch, bench):
    host = on_cpu(simulated, TRAINED)
    has(monkeypatch, bfloat16=True)
    vae, pixels = VaeHandle(opened(TRAINED).vae), picture(1, 64, 48)

    sample, exact = (vae_encode(pixels, each, bench).samples for each in (vae, host))
    image, expected = (vae_decode(Latent(exact), each, bench) for each in (vae, host))

    assert vae.precision == "bfloat16"
    assert not torch.equal(image.cpu(), expected)
    torch.testing.assert_close(image.cpu(), expected, rtol=0, atol=2 / 255)
    assert (sample.cpu() - exact).norm() < 0.01 * exact.norm()
    assert not bench.notices


def test_a_picture_is_asked_once_if_its_numbers_are_finite(simulated, monkeypatch, tmp_path, bench):
    has(monkeypatch, bfloat16=True)
    vae = VaeHandle(opened(write(tmp_path / "a.safetensors", small_sd15())).vae)
    there = Latent(latent().samples.to(simulated.device))
    vae_decode(there, vae, bench)
    simulated.reset()

    vae_decode(there, vae, bench)

    assert simulated.counters().syncs == 1


def test_float32_is_computed_with_the_weights_of_the_file_and_remembered(
    simulated, monkeypatch, tmp_path, bench
):
    path = overflowing(tmp_path, "decoder")
    host = on_cpu(simulated, path)
    has(monkeypatch, bfloat16=False)
    vae = VaeHandle(opened(path).vae)
    other = VaeHandle(vae.vae)
    assert (vae.precision, vae.vae.network.placement.dtype) == ("float16", torch.float16)
    expected = vae_decode(latent(), host, bench)

    images = [vae_decode(latent(), each, bench) for each in (vae, other, vae)]

    assert all(torch.equal(image.cpu(), expected) for image in images)
    assert bench.notices == ["numbers of the VAE were too large for float16: computed in float32."]
    assert other.precision == "float32"
    kept = vae.vae.network.kept_weights(dtype=torch.float32)
    stored = host.vae.network.kept_weights()
    assert all(torch.equal(kept[key].cpu(), stored[key]) for key in stored)
