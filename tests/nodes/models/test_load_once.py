"""Loading reads each tensor of a file once, and keeps none of it twice.

On the CPU tensors are views of the mapped file. Here every read is a copy of its own, as it is on
any other device.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.checkpoint import Checkpoint, open_checkpoint
from nodes.models.loading.network import Network
from nodes.models.loading.placement import default_placement
from nodes.models.loading.vision import open_vision
from nodes.models.residency.layout import take_apart
from nodes.models.weights import reader
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import TensorFile, TensorRows
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, small_sd3, write
from tests.tiny_models.folders import layouts, original, write_folder
from tests.tiny_models.quantized_files import scaled, write_gguf
from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.vision_encoders import open_vision as open_vision_weights

QKV = "double_blocks.0.img_attn.qkv"
FOLDERS = ("sd15", "sd2", "sdxl", "refiner", "sd3", "sd35", "flux")
MODELS = {"flux": small_flux, "sd3": small_sd3}


@dataclass
class Reads:
    """The bytes of all reads, each of which is a copy."""

    nbytes: int = 0

    def copy(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, QuantizedTensor):
            self.nbytes += tensor.packed.nbytes
            return QuantizedTensor(
                tensor.packed.clone(), tensor.quantization, tensor.shape, tensor.dtype
            )
        self.nbytes += tensor.nbytes
        return tensor.clone()


@dataclass(frozen=True)
class CopiedRows:
    """The rows of a tensor; see `TensorRows`."""

    rows: TensorRows
    reads: Reads

    def __getitem__(self, rows: slice) -> Tensor:
        return self.reads.copy(self.rows[rows])


@dataclass(frozen=True)
class CopiedFile:
    """An open file; see `TensorFile`."""

    file: TensorFile
    reads: Reads = field(default_factory=Reads)

    def get_tensor(self, name: str) -> Tensor:
        return self.reads.copy(self.file.get_tensor(name))

    def get_slice(self, name: str) -> TensorRows:
        return CopiedRows(self.file.get_slice(name), self.reads)


@pytest.fixture
def reads(monkeypatch) -> Reads:
    """Makes every read a copy."""
    found, open_tensors = Reads(), reader.open_tensors

    @contextmanager
    def open_copied(*args: Any) -> Generator[TensorFile]:
        with open_tensors(*args) as file:
            yield CopiedFile(file, found)

    monkeypatch.setattr(reader, "open_tensors", open_copied)
    return found


def networks(checkpoint: Checkpoint) -> Iterator[Network]:
    yield checkpoint.model.network
    if checkpoint.vae.found:
        yield checkpoint.vae.found
    yield from (encoder.network for encoder in checkpoint.text.encoders)


def stored(weight: Tensor) -> Tensor:
    """The tensor that holds a weight's bytes."""
    return weight.packed if isinstance(weight, QuantizedTensor) else weight


def bytes_in_file(network: Network) -> int:
    """The bytes of a network's tensors, and of their scales."""
    header = network.header
    keys = {source.key for source in network.file.sources.values()}
    return sum(header.tensors[key].nbytes for key in keys)


def assert_loads_once(network: Network, reads: Reads) -> None:
    before = reads.nbytes
    weights = network.module().state_dict().values()
    parts = [part for weight in weights for part in take_apart(weight)[0]]
    storages = {part.untyped_storage().data_ptr(): part for part in parts}

    assert reads.nbytes - before == bytes_in_file(network)
    held = sum(part.untyped_storage().nbytes() for part in storages.values())
    assert held == sum(part.nbytes for part in parts)
    assert network.nbytes() == held


def in_float32(tensors: Tensors) -> Tensors:
    """In the precision that is computed in, as models on a device often are."""
    return {key: tensor.float() for key, tensor in tensors.items()}


@pytest.mark.parametrize("name", layouts())
def test_each_network_of_a_checkpoint(tmp_path, reads, name):
    path = write(tmp_path / "a.safetensors", in_float32(original(name)))

    for network in networks(open_checkpoint(path, "a", ModelPool())):
        assert_loads_once(network, reads)


@pytest.mark.parametrize("shards", [{}, {"max_shard_size": "1MB"}], ids=["whole", "shards"])
@pytest.mark.parametrize("name", [each for each in layouts() if each.values[0] in FOLDERS])
def test_each_network_of_a_folder(tmp_path, reads, name, shards):
    path = write(tmp_path / "a.safetensors", original(name))
    whole = open_checkpoint(path, "a", ModelPool())
    folder = write_folder(tmp_path / "folder", name, whole, **shards)

    for network in networks(open_checkpoint(folder, "b", ModelPool())):
        assert_loads_once(network, reads)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_on_the_cpu_fused_weights_are_views_of_the_mapped_file(tmp_path):
    path = write(tmp_path / "a.safetensors", in_float32(small_flux()))

    state = model_of(path).module().state_dict()

    names = ("to_q", "to_k", "to_v")
    fused = [state[f"transformer_blocks.0.attn.{name}.weight"] for name in names]
    (storage,) = {weight.untyped_storage().data_ptr() for weight in fused}
    assert str(path) == mapped_file(storage)
    assert [weight.data_ptr() - storage for weight in fused] == [0, 64 * 64 * 4, 2 * 64 * 64 * 4]


def mapped_file(address: int) -> str | None:
    """The file that is mapped at an address of this process's memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, *_, name = line.split()
        start, end = (int(number, 16) for number in place.split("-"))
        if start <= address < end:
            return name
    return None


def model_of(path: Path) -> Network:
    return open_checkpoint(path, "a", ModelPool()).model.network


def test_a_vision_encoder(tmp_path, reads):
    draw = Draw(1, torch.float32)
    open_vision_weights(draw)
    path = write(tmp_path / "a.safetensors", draw.tensors)

    assert_loads_once(open_vision(path, "a", ModelPool()).network, reads)


@pytest.mark.parametrize("name", MODELS)
def test_fp8_with_scales(tmp_path, reads, name):
    small, _ = scaled(MODELS[name]())
    network = model_of(write(tmp_path / "a.safetensors", small))

    assert_loads_once(network, reads)

    assert any(isinstance(w, QuantizedTensor) for w in network.module().state_dict().values())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "F16"])
def test_gguf(tmp_path, reads, name, kind):
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "a.gguf", MODELS[name](), kind)

    assert_loads_once(model_of(tmp_path / "a.gguf"), reads)


def test_a_lora_adds_the_bytes_of_what_it_changes(tmp_path):
    bench = Bench(tmp_path)
    write(tmp_path / "models/diffusion_models/a.safetensors", in_float32(small_flux()))
    write(tmp_path / "models/loras/a.safetensors", lora(1, {QKV: (192, 64)}))
    model = unet_loader("a.safetensors", "default", bench)
    network = model.model.network

    patches = lora_loader_model_only(model, "a.safetensors", bench, 0.7).patches
    network.module(patches)

    assert network.nbytes(patches) == 192 * 64 * 4
    assert (
        network.nbytes(patches)
        < network.nbytes()
        == 4 * sum(weight.numel() for weight in network.module().state_dict().values())
    )


def test_nothing_on_the_device_is_read_back_to_load_a_model_with_a_lora(tmp_path, monkeypatch):
    """The device is one whose tensors can't be read: `float` of one is an error."""
    place = partial(replace, device=torch.device("meta"))
    monkeypatch.setattr(
        "nodes.models.loading.network.default_placement",
        lambda *args, **kwargs: place(default_placement(*args, **kwargs)),
    )
    bench = Bench(tmp_path)
    write(tmp_path / "models/diffusion_models/a.safetensors", scaled(small_flux())[0])
    write(tmp_path / "models/loras/a.safetensors", lora(1, {QKV: (192, 64)}))
    model = unet_loader("a.safetensors", "default", bench)

    patched = lora_loader_model_only(model, "a.safetensors", bench, 0.7)
    weights = patched.model.network.module(patched.patches).state_dict().values()

    assert {stored(weight).device.type for weight in weights} == {"meta"}
    own = model.model.network.module().state_dict().values()
    parts = (part for weight in own for part in take_apart(weight)[0])
    assert model.model.network.nbytes() == sum(part.nbytes for part in parts)


@pytest.mark.parametrize(
    ("rows", "held", "quantized"), [(slice(2, 4), 34, True), (slice(3, 5), 2 * 16 * 4, False)]
)
def test_rows_of_blocks_that_are_longer_than_rows(tmp_path, rows, held, quantized):
    """A block of 32 numbers takes 34 bytes; rows of 16 numbers need not begin with one."""
    pytest.importorskip("gguf")
    path, key = tmp_path / "a.gguf", "a.weight"
    tensors = {key: torch.linspace(-1, 1, 4 * 64).reshape(4, 64)}
    meant = write_gguf(path, tensors, "Q8_0", shapes={key: (16, 16)})

    with reader.open_tensors(path) as file:
        found = file.get_slice(key)[rows]

    assert torch.equal(found + 0, meant[key][rows])
    assert isinstance(found, QuantizedTensor) == quantized
    assert stored(found).untyped_storage().nbytes() == held
