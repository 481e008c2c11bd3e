"""Layers in few bits, of the formats that files name: their numbers, and models of them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.residency.layout import stored_nbytes
from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.formats.layer_formats import KINDS
from nodes.models.weights.formats.markers import METADATA
from nodes.models.weights.formats.tiles import tile, untile
from nodes.models.weights.header import read_header
from nodes.models.weights.key_table import Source
from nodes.models.weights.lazy import read_weight
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import TensorFiles
from nodes.preflight.model_summary import summarize
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.quantized_files import layers_in, matrices, numbers_in

REFERENCE = Path(__file__).parents[3] / "data/layer_formats.safetensors"
"""Made by `make_reference.py`."""
LAYERS = sorted(key for key in load_file(REFERENCE) if key.endswith(".weight"))
TITLES = {
    "int8_convrot": "int8_convrot",
    "float8_e4m3fn": "float8_e4m3fn",
    "mxfp8": "mxfp8",
    "nvfp4": "nvfp4",
    "convrot_w4a4": "convrot_w4a4",
    "awq_w4a16": "awq_w4a16",
    "w4a8": "asym_w4a8_int8",
    "w6a8": "asym_w4a8_int8",
}
"""The formats of the models here, and the names that are shown for them."""
EVERY_RUN = ("int8_convrot", "mxfp8", "nvfp4", "w4a8")
"""Those of which there is a whole model in every run of the tests; all are in one model, too."""
BYTES = {
    "int8_convrot": (1.0, 1.08),
    "float8_e4m3fn": (1.0, 1.01),
    "mxfp8": (1.03, 1.04),
    "nvfp4": (0.56, 0.57),
    "convrot_w4a4": (0.5, 0.57),
    "awq_w4a16": (0.6, 0.63),
    "w4a8": (0.56, 0.65),
    "w6a8": (0.8, 0.89),
}
"""The least and the most bytes of a number of a tiny matrix, with the scales."""
QKV = "double_blocks.0.img_attn.qkv"
KEY = "transformer_blocks.0.attn.to_k.weight"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def loaded(bench: Bench, tensors: dict[str, Tensor], name: str, **more: str) -> ModelHandle:
    write(bench.root / "models/diffusion_models" / name, tensors, more)
    return unet_loader(name, "default", bench)


def both(bench: Bench, tensors: dict[str, Tensor], **more: str) -> tuple[ModelHandle, ModelHandle]:
    """A model with layers in few bits, and the same with plain weights of these numbers."""
    model = loaded(bench, tensors, "small.safetensors", **more)
    numbers = numbers_in(bench.root / "models/diffusion_models/small.safetensors")
    return model, loaded(bench, numbers, "plain.safetensors")


def denoised(model: ModelHandle) -> Tensor:
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 16 * 8 * 8).reshape(1, 16, 8, 8)
    return denoise(model, x, torch.tensor([0.5]), cond)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def read_reference(key: str, source: Source | None = None) -> tuple[QuantizedTensor, Tensor]:
    header = read_header(REFERENCE)
    with TensorFiles() as files:
        weight = read_weight(header, files, source or Source(key), torch.float32)
        expected = files.tensor(header.tensors[key.replace(".weight", ".expected")])
    assert isinstance(weight, QuantizedTensor)
    return weight, expected


@pytest.mark.parametrize("key", LAYERS)
def test_a_layer_stands_for_the_numbers_that_comfy_kitchen_reads(key):
    weight, expected = read_reference(key)

    assert weight.shape == expected.shape
    torch.testing.assert_close(weight.dequantize(), expected, rtol=0, atol=1e-6)
    assert read_header(REFERENCE).tensors[key].nbytes == stored_nbytes(weight)


@pytest.mark.parametrize("key", LAYERS)
def test_a_weight_that_is_some_rows_of_a_layer_has_their_numbers(key):
    part, expected = read_reference(key, Source(key, slot=1, slots=4, span=2))

    torch.testing.assert_close(part.dequantize(), expected[8:24], rtol=0, atol=1e-6)


@pytest.mark.parametrize("key", LAYERS)
def test_a_matrix_that_is_unpacked_in_pieces_has_the_same_numbers(key, monkeypatch):
    weight, expected = read_reference(key)
    monkeypatch.setattr("nodes.models.weights.formats.layer_numbers._AT_ONCE", 5 * 64)

    found = weight.dequantize(torch.bfloat16)

    assert torch.equal(found, expected.to(torch.bfloat16)) or "fp8" in key


def test_every_format_is_in_the_reference():
    formats = {
        info.layer.format.name for info in read_header(REFERENCE).tensors.values() if info.layer
    }

    assert formats == KINDS.keys()


def test_scales_lie_in_tiles_as_comfy_kitchen_lays_them():
    reference = load_file(REFERENCE)
    plain, tiled = reference["tiles.plain"], reference["tiles.tiled"]

    assert torch.equal(tile(plain), tiled)
    assert torch.equal(untile(tiled, *plain.shape), plain)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in EVERY_RUN else pytest.mark.slow) for name in TITLES],
)
def test_a_model_in_few_bits_computes_with_the_numbers_that_they_stand_for(bench, name):
    tensors = layers_in(small_flux(), name)

    model, plain = both(bench, tensors)

    assert_close(denoised(model), denoised(plain))
    network = model.model.network
    state = network.module().state_dict()
    weight = state[KEY]
    assert isinstance(weight, QuantizedTensor)
    assert weight.packed.dtype == tensors[f"{QKV}.weight"].dtype
    least, most = BYTES[name]
    assert least <= stored_nbytes(weight) / weight.numel() <= most
    planned, held = network.file.sizes, {key: stored_nbytes(each) for key, each in state.items()}
    assert sum(planned.values()) == pytest.approx(sum(held.values()), rel=3e-3)
    assert network.nbytes() == pytest.approx(sum(held.values()), rel=3e-3)
    file = bench.root / "models/diffusion_models/small.safetensors"
    assert summarize(file).dtypes[0] == TITLES[name]
    assert summarize(file).parameters == sum(each.numel() for each in small_flux().values())


def test_layers_may_be_in_formats_of_their_own_which_the_metadata_say(bench):
    names = sorted(TITLES)
    keys = matrices(small_flux())
    tensors = dict(small_flux())
    for number, key in enumerate(keys[: 2 * len(names)]):
        layer = layers_in({key: tensors[key]}, names[number % len(names)], seed=number)
        tensors |= layer
    said = {key.removesuffix(".comfy_quant"): t for key, t in tensors.items() if "comfy_qu" in key}
    options = {layer: json.loads(bytes(each.tolist())) for layer, each in said.items()}
    plain = {key: each for key, each in tensors.items() if "comfy_quant" not in key}

    model, expected = both(bench, plain, **{METADATA: json.dumps({"layers": options})})

    assert_close(denoised(model), denoised(expected))
    marked, _ = both(bench, tensors)
    assert torch.equal(denoised(marked), denoised(model))


@pytest.mark.parametrize("name", ["int8_convrot", "nvfp4", "w4a8"])
def test_a_lora_adds_to_the_numbers_and_the_layers_stay_in_few_bits(bench, name):
    write(bench.root / "models/loras/a.safetensors", lora(1, {QKV: (192, 64)}))
    pair = both(bench, layers_in(small_flux(), name))
    before = denoised(pair[0])

    patched, wanted = (lora_loader_model_only(each, "a.safetensors", bench, 0.7) for each in pair)

    assert_close(denoised(patched), denoised(wanted))
    weight = patched.model.network.module(patched.patches).state_dict()[KEY]
    assert isinstance(weight, QuantizedTensor)
    assert torch.equal(denoised(pair[0]), before)
    assert not torch.allclose(denoised(patched), before, atol=1e-3)


def text(value: object) -> Tensor:
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


INT8 = {"a.weight": torch.zeros(32, 64, dtype=torch.int8), "a.weight_scale": torch.ones(32, 1)}
SAYS_INT8 = {"format": "int8_tensorwise"}


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        (INT8 | {"a.comfy_quant": text({"format": "int3_magic"})}, "'int3_magic' is not known"),
        (INT8 | {"a.comfy_quant": text([1])}, "no JSON object"),
        (INT8 | {"a.comfy_quant": torch.tensor([1], dtype=torch.uint8)}, "not JSON"),
        (INT8, "of type I8 and has a scale, but nothing says its format"),
        ({"a.weight": INT8["a.weight"], "a.weight_scale_inv": torch.ones(1)}, "scales for blocks"),
        (INT8 | {"a.comfy_quant": text({"format": "nvfp4"})}, "is of type I8, not U8"),
        (
            INT8 | {"a.comfy_quant": text({**SAYS_INT8, "convrot": True})},
            "64 features are no multiple of 256",
        ),
        (
            INT8 | {"a.comfy_quant": text({**SAYS_INT8, "convrot": True, "convrot_groupsize": 8})},
            "rotated by 8",
        ),
        (
            INT8 | {"a.weight_scale": torch.ones(16, 1), "a.comfy_quant": text(SAYS_INT8)},
            "its weight_scale has 16 numbers, not 1 or 32",
        ),
        (
            INT8 | {"a.comfy_quant": text({"format": "awq_w4a16", "group_size": 0})},
            "group_size is 0, not a number above 0",
        ),
    ],
)
def test_a_layer_that_is_not_read_is_an_error_that_names_it_and_what_is(tmp_path, tensors, what):
    save_file(tensors, tmp_path / "a.safetensors")

    with pytest.raises(WeightFileError, match=what) as error:
        read_header(tmp_path / "a.safetensors")

    assert error.value.code == "unreadable_layers"
    assert "'a'" in error.value.message
    assert "asym_w4a8_int8, awq_w4a16, convrot_w4a4" in error.value.hint


def test_a_layer_without_its_scale_is_an_error_when_it_is_used(bench):
    tensors = layers_in(small_flux(), "nvfp4")
    del tensors[f"{QKV}.weight_scale_2"]
    model = loaded(bench, tensors, "a.safetensors")

    with pytest.raises(WeightFileError, match=f"'{QKV}': .*nvfp4, it has no weight_scale_2"):
        denoised(model)


def test_shards_may_have_a_layers_tensors_apart(bench):
    tensors = layers_in(small_flux(), "nvfp4")
    scales = {key for key in tensors if key.endswith("weight_scale")}
    folder = bench.root / "models/diffusion_models"
    write(folder / "b-00001-of-00002.safetensors", {k: tensors[k] for k in tensors.keys() - scales})
    write(folder / "b-00002-of-00002.safetensors", {k: tensors[k] for k in scales})

    shards = unet_loader("b-00001-of-00002.safetensors", "default", bench)

    assert torch.equal(denoised(shards), denoised(loaded(bench, tensors, "a.safetensors")))
