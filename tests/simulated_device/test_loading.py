"""Weights on the simulated device: each byte crosses the link once and has memory once."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.network import Network
from tests.nodes.bench import Bench
from tests.nodes.models.test_load_once import MODELS, QKV, bytes_in_file, in_float32, networks
from tests.simulated_device.device import SimulatedDevice
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.folders import ORIGINALS, original
from tests.tiny_models.quantized_files import layers_in, scaled, write_gguf

LARGE = {"qwen_image", "longcat_image"}
"""Checkpoints whose text encoder is larger than all buffers: one of them is waited for."""
_SCALE = 4
"""Bytes of a scale: the file may have one for several weights, which each get their own."""


def assert_moved_once(simulated: SimulatedDevice, network: Network) -> None:
    """Load a network: on the way there, one tensor more is held, as it is stored and as kept."""
    keys = {source.key for source in network.file.sources.values()}
    infos = [network.header.tensors[key] for key in keys]
    one = max(info.nbytes + info.numel * torch.float32.itemsize for info in infos)
    before = simulated.live_bytes()
    simulated.reset()

    module = network.module()

    counted = simulated.counters()
    assert 0 <= counted.bytes_to_device - bytes_in_file(network) <= _SCALE * len(network.table)
    assert counted.copies_to_host == counted.syncs == 0
    assert counted.live_bytes - before == network.nbytes()
    assert counted.peak_bytes - before <= network.nbytes() + one
    assert {weight.device.type for weight in module.state_dict().values()} == {"simulated"}


def scaled_file(path: Path, tensors: dict[str, Tensor]) -> Path:
    return write(path, scaled(tensors)[0])


def gguf_file(path: Path, tensors: dict[str, Tensor]) -> Path:
    pytest.importorskip("gguf")
    write_gguf(path, tensors, "Q4_0")
    return path


@pytest.mark.parametrize("name", [name for name in ORIGINALS if name not in LARGE])
def test_each_network_of_a_checkpoint(simulated, tmp_path, name):
    path = write(tmp_path / "a.safetensors", in_float32(original(name)))

    for network in networks(open_checkpoint(path, "a", ModelPool())):
        assert_moved_once(simulated, network)


def layers_file(path: Path, tensors: dict[str, Tensor]) -> Path:
    return write(path, layers_in(tensors, "w4a8"))


@pytest.mark.parametrize("write_model", [write, scaled_file, gguf_file, layers_file])
def test_weights_are_read_ahead(simulated, tmp_path, write_model):
    path = write_model(tmp_path / "a", small_flux())
    network = open_checkpoint(path, "a", ModelPool()).model.network

    with simulated.log_transfers() as log:
        network.module()

    large = [each for each in log if each.nbytes > _SCALE]
    assert large
    assert all("staged_reads.py" in each.calls[1] for each in large)


@pytest.mark.parametrize("name", MODELS)
def test_fp8_with_scales(simulated, tmp_path, name):
    path = write(tmp_path / "a.safetensors", scaled(MODELS[name]())[0])

    assert_moved_once(simulated, open_checkpoint(path, "a", ModelPool()).model.network)


def test_layers_in_few_bits(simulated, tmp_path):
    path = write(tmp_path / "a.safetensors", layers_in(small_flux(), "int8_convrot"))

    assert_moved_once(simulated, open_checkpoint(path, "a", ModelPool()).model.network)


@pytest.mark.parametrize("name", MODELS)
def test_gguf(simulated, tmp_path, name):
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "a.gguf", MODELS[name](), "Q4_0")

    network = open_checkpoint(tmp_path / "a.gguf", "a", ModelPool()).model.network

    assert_moved_once(simulated, network)


def test_a_lora_asks_nothing_of_the_device(simulated, tmp_path):
    bench = Bench(tmp_path)
    write(tmp_path / "models/diffusion_models/a.safetensors", in_float32(small_flux()))
    write(tmp_path / "models/loras/a.safetensors", lora(1, {QKV: (192, 64)}))
    model = unet_loader("a.safetensors", "default", bench)
    network = model.model.network
    network.module()
    simulated.reset()

    patches = lora_loader_model_only(model, "a.safetensors", bench, 0.7).patches
    module = network.module(patches)

    counted = simulated.counters()
    assert counted.copies_to_host == counted.syncs == 0
    assert counted.bytes_to_device < network.nbytes(patches) == 192 * 64 * 4
    del module
