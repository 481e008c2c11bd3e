"""Weights of convolutions with their channels last in memory, where the device wants them so."""

import pytest
import torch
from torch import Tensor

from nodes.builtin.latent.vae import vae_decode, vae_encode
from nodes.models.loading.handles import VaeHandle
from nodes.models.loading.network import Network
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from tests.nodes.bench import Bench
from tests.nodes.inference.test_overflow import latent
from tests.nodes.pictures import picture
from tests.simulated_device.test_streaming import sample
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import Samplable, samplable

LAYER = "down_blocks_0_resnets_0_conv1"
FIRST = "down_blocks.0.resnets.0.conv1.weight"


@pytest.fixture
def wants_channels_last(simulated, monkeypatch):
    monkeypatch.setattr(
        "nodes.models.loading.placement.prefers_channels_last",
        lambda device: device.type == simulated.device.type,
    )


def convolutions(network: Network, **variant) -> list[Tensor]:
    """The weights of all convolutions, wherever they are."""
    found = [each for each in network.kept_weights(**variant).values() if each.ndim == 4]
    assert len(found) > 10
    return found


def lie_channels_last(weights: list[Tensor]) -> bool:
    return all(each.is_contiguous(memory_format=torch.channels_last) for each in weights)


def with_lora(kind: Samplable, folder) -> Samplable:
    """The model with a LoRA on one convolution."""
    shape = kind.model.model.network.file.shapes[FIRST]
    tensors = {
        f"lora_unet_{LAYER}.lora_up.weight": torch.randn(shape[0], 2, 1, 1),
        f"lora_unet_{LAYER}.lora_down.weight": torch.randn(2, *shape[1:]),
    }
    file = LoraFile(write(folder / "lora.safetensors", tensors), "a LoRA")
    patch = lora_patch(file, 1.0, kind.model.model.network)
    assert patch.touches == {FIRST}
    return kind._replace(model=kind.model.with_patch(patch))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_unet_gives_the_same_with_channels_last(simulated, tmp_path, request, family):
    plain = samplable(tmp_path, family)
    expected = sample(plain, tmp_path)
    assert not lie_channels_last(convolutions(plain.model.model.network))
    request.getfixturevalue("wants_channels_last")
    kind = samplable(tmp_path, family)
    network = kind.model.model.network
    live = simulated.live_bytes()
    simulated.reset()

    network.module()

    assert lie_channels_last(convolutions(network))
    largest = max(each.nbytes for each in convolutions(network))
    assert network.held_bytes == plain.model.model.network.held_bytes
    assert simulated.counters().peak_bytes - live <= network.held_bytes + 2 * largest
    torch.testing.assert_close(sample(kind, tmp_path), expected, rtol=1e-3, atol=1e-3)


def test_so_does_a_vae(simulated, tmp_path, request):
    path, bench = write(tmp_path / "a.safetensors", small_sd15()), Bench(tmp_path)

    def both(vae: VaeHandle) -> tuple[Tensor, Tensor]:
        image = vae_decode(latent(8), vae, bench)
        return image.cpu(), vae_encode(picture(1, 32, 48), vae, bench).samples.cpu()

    expected = both(VaeHandle(opened(path).vae))
    request.getfixturevalue("wants_channels_last")
    vae = VaeHandle(opened(path).vae)

    torch.testing.assert_close(both(vae), expected, rtol=1e-3, atol=1e-3)
    assert lie_channels_last(convolutions(vae.vae.network))


@pytest.mark.usefixtures("wants_channels_last")
def test_what_is_parked_changed_or_converted_lies_so_too(simulated, tmp_path):
    kind = samplable(tmp_path)
    changed, network = with_lora(kind, tmp_path), kind.model.model.network
    whole = [sample(each, tmp_path) for each in (kind, changed)]
    assert not torch.equal(*whole)

    network.resize(network.held_bytes // 2)

    for each, expected in zip((kind, changed, kind), (*whole, whole[0]), strict=True):
        assert torch.equal(sample(each, tmp_path), expected)
        assert network.host_bytes > 0
        assert lie_channels_last(convolutions(network, patches=each.model.patches))
    assert lie_channels_last(convolutions(network, dtype=torch.float64))
