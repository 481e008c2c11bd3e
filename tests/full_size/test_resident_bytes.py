"""Full-size networks take on a card what their files have, and a LoRA its factors beside that.

`test_walks` has the networks that denoise, in half precision.
"""

import gc

import pytest

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.checkpoint import open_vae
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Network
from nodes.models.loading.text_files import open_text_files
from nodes.models.weights.header import read_header
from tests.full_size.models import write_lora, write_model
from tests.full_size.pretended_card import PretendedCard
from tests.nodes.bench import Bench
from tests.tiny_models.handles import opened

MOST = 1.02
"""What a network may take, by the bytes of its tensors in the file."""
TYPES = {"clip_l": "stable_diffusion", "t5xxl": "sd3"}
"""The family that each text encoder is opened for."""


def stored_bytes(network: Network) -> int:
    """The bytes in the file of the tensors that a network reads."""
    keys = {source.key for source in network.file.sources.values()}
    return sum(network.header.tensors[key].nbytes for key in keys if key in network.header)


def check(what: str, taken: int, stored: int) -> None:
    print(f"{what}: {stored / 1e9:.3f} GB in the file, {taken / 1e9:.3f} on the card")
    assert 0 < taken <= MOST * stored


@pytest.mark.slow
def test_flux_in_8_bits(tmp_path):
    path = write_model(tmp_path / "a.safetensors", "flux_dev", "F8_E4M3")
    with PretendedCard() as card:
        network = opened(path).model.network
        network.module()

        check("FLUX.1-dev in fp8", card.counts.live_bytes, stored_bytes(network))


@pytest.mark.slow
def test_a_lora_over_all_layers_of_flux_in_8_bits(tmp_path):
    path = write_model(tmp_path / "a.safetensors", "flux_dev", "F8_E4M3")
    factors = write_lora(tmp_path / "models/loras/b.safetensors", "flux_dev")
    added = sum(info.nbytes for info in read_header(factors).tensors.values())
    with PretendedCard() as card:
        base = ModelHandle(opened(path).model)
        model = lora_loader_model_only(base, "b.safetensors", Bench(tmp_path), 1.0)
        network = model.model.network
        stored = stored_bytes(network)
        network.module()
        network.module(model.patches)
        gc.collect()

        print(f"{added / 1e9:.3f} GB of factors")
        check("FLUX.1-dev in fp8 with a LoRA", card.counts.live_bytes, stored + added)
        assert card.counts.peak_bytes <= 1.1 * (stored + added)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl", "sd21", "sd3_medium", "flux_dev"])
def test_a_lora_over_all_layers_in_16_bits_takes_no_more(tmp_path, name):
    dtype = "BF16" if name == "flux_dev" else "F16"
    path = write_model(tmp_path / "a.safetensors", name, dtype, parts=1)
    factors = write_lora(tmp_path / "models/loras/b.safetensors", name)
    layers = sum(key.endswith("lora_up.weight") for key in read_header(factors).tensors)
    with PretendedCard() as card:
        base = ModelHandle(opened(path).model)
        model = lora_loader_model_only(base, "b.safetensors", Bench(tmp_path), 1.0)
        network = model.model.network
        network.module()
        check(name, card.counts.live_bytes, stored_bytes(network))
        network.module(model.patches)
        gc.collect()

        print(f"{layers} layers, {sum(len(each.touches) for each in model.patches)} weights")
        assert sum(len(each.touches) for each in model.patches) >= layers
        check(f"{name} with a LoRA", card.counts.live_bytes, stored_bytes(network))


@pytest.mark.parametrize("name", ["clip_l", pytest.param("t5xxl", marks=pytest.mark.slow)])
def test_a_text_encoder(tmp_path, name):
    path = write_model(tmp_path / "a.safetensors", name, "F16")
    with PretendedCard() as card:
        (encoder,) = open_text_files([(path, "a")], TYPES[name], ModelPool()).encoders
        encoder.network.module()

        check(name, card.counts.live_bytes, stored_bytes(encoder.network))


def test_an_autoencoder(tmp_path):
    path = write_model(tmp_path / "a.safetensors", "ae", "BF16")
    with PretendedCard() as card:
        network = open_vae(path, "a", ModelPool()).network
        network.module()

        check("ae", card.counts.live_bytes, stored_bytes(network))
