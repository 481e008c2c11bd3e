"""A LoRA takes the place of what it changes: no second model, and few bits stay few.

`whole` is the same network with its matrices in full precision, where a LoRA is merged.
"""

import gc
import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.out_of_memory import WeightsMemoryError
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.network import Network, Patches
from nodes.models.loading.network_file import NetworkFile
from nodes.models.patches.lora import LoraPatch, lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.patches.merge import DifferencePatch, MergePatch, ScalePatch, Share
from nodes.models.weights.quantized import QuantizedTensor, full_precision
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.quantized_files import layers_in, scaled, write_gguf

BLOCK = "lora_unet_double_blocks_0_"
TARGETS = {
    f"{BLOCK}img_attn_qkv": (192, 64),
    f"{BLOCK}img_attn_proj": (64, 64),
    "lora_unet_single_blocks_0_linear1": (448, 64),
    "transformer.transformer_blocks.0.attn.add_k_proj": (64, 64),
}
"""Fused weights as the file has them, and weights by the network's own names."""
ONE_MATRIX = 448 * 64 * 4
"""Bytes of the largest weight that the LoRA changes, in float32."""


def factors(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loha(rows: int, columns: int) -> dict[str, Tensor]:
    sides = {"w1_a": (rows, 4), "w1_b": (4, columns), "w2_a": (rows, 4), "w2_b": (4, columns)}
    parts = {f"hada_{name}": factors(n, *shape) for n, (name, shape) in enumerate(sides.items())}
    return {**parts, "alpha": torch.tensor(3.0)}


def lokr(rows: int, columns: int) -> dict[str, Tensor]:
    return {"lokr_w1": factors(1, 4, 4), "lokr_w2": factors(2, rows // 4, columns // 4)}


def module_of(name: str, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{part}": tensor for part, tensor in parts.items()}


KINDS = {
    "lora": lora(3, TARGETS),
    "loha": module_of(f"{BLOCK}img_attn_qkv", loha(192, 64)),
    "lokr": module_of(f"{BLOCK}img_attn_qkv", lokr(192, 64)),
}


def opened(path) -> Network:
    return open_checkpoint(path, str(path), ModelPool()).model.network


def whole(network: Network) -> Network:
    """The same network, dequantized when it is loaded."""
    made = Network(network.header, "whole", network.spec)
    made.placement = replace(network.placement, keeps_quantized=False)
    made.file = NetworkFile(made.header, made.spec, made.placement)
    return made


@pytest.fixture
def plain(tmp_path) -> Network:
    """A network whose file has the precision that is computed in."""
    tensors = {key: tensor.float() for key, tensor in small_flux().items()}
    return opened(write(tmp_path / "plain.safetensors", tensors))


@pytest.fixture(
    params=["fp8", "Q8_0", "Q4_0", pytest.param("int8_convrot", marks=pytest.mark.slow)]
)
def quantized(request, tmp_path) -> Network:
    if request.param == "fp8":
        return opened(write(tmp_path / "a.safetensors", scaled(small_flux())[0]))
    if request.param == "int8_convrot":
        tensors = layers_in(small_flux(), request.param)
        return opened(write(tmp_path / "a.safetensors", tensors))
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "a.gguf", small_flux(), request.param)
    return opened(tmp_path / "a.gguf")


def patch(folder, network: Network, strength: float = 0.7, kind: str = "lora") -> tuple[LoraPatch]:
    path = write(folder / f"{kind}.safetensors", KINDS[kind])
    return (lora_patch(LoraFile(path, kind), strength, network),)


def numbers(network: Network, patches: Patches = ()) -> dict[str, Tensor]:
    """All weights in full precision, on the CPU."""
    state = network.module(patches).state_dict()
    return {key: full_precision(each, torch.float32).cpu() for key, each in state.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert not [key for key in found if not torch.equal(found[key], expected[key])]


def test_a_lora_takes_no_more_than_the_model(simulated, tmp_path, plain):
    base = numbers(plain)
    empty = simulated.live_bytes() - plain.held_bytes
    expected = {strength: patch(tmp_path, plain, strength) for strength in (0.7, -0.3)}

    for patches in (*expected.values(), *expected.values()):
        simulated.reset()
        module = plain.module(patches)
        counted = simulated.counters()
        assert counted.live_bytes - empty == plain.held_bytes == plain.nbytes()
        assert counted.peak_bytes - empty <= plain.nbytes() + 3 * ONE_MATRIX
        assert counted.syncs == counted.copies_to_host == 0
        del module

    changed = numbers(plain, expected[0.7])
    assert [k for k in base if not torch.equal(base[k], changed[k])] == [
        k for k in base if k in expected[0.7][0].touches
    ]
    simulated.reset()
    assert_same(numbers(plain), base)
    assert simulated.counters().bytes_to_device < 0.2 * plain.nbytes()  # what was changed alone


@pytest.mark.parametrize("kind", KINDS)
def test_quantized_weights_keep_their_bits_beside_a_lora(simulated, tmp_path, quantized, kind):
    patches = patch(tmp_path, quantized, kind=kind)
    merged = whole(quantized)
    base = numbers(quantized)
    before = simulated.live_bytes()
    size = sum(tensor.nbytes for name, tensor in KINDS[kind].items() if "alpha" not in name)

    module = quantized.module(patches)

    assert simulated.counters().live_bytes - before == quantized.nbytes(patches) == size
    assert quantized.held_bytes == quantized.nbytes() + size
    for key in patches[0].touches:
        assert isinstance(module.state_dict()[key], QuantizedTensor)
    twice = (*patches, replace(patches[0], strength=-0.2))
    for each in (patches, twice):
        assert_same(numbers(quantized, each), numbers(merged, each))
    assert_same(numbers(quantized), base)
    del module
    assert quantized.held_bytes == quantized.nbytes()


def test_a_lora_beside_quantized_weights_travels_with_those_that_are_parked(
    simulated, tmp_path, quantized
):
    patches = patch(tmp_path, quantized)
    base, expected = numbers(quantized), numbers(quantized, patches)
    gc.collect()
    empty = simulated.live_bytes() - quantized.held_bytes

    quantized.resize(0)

    gc.collect()
    assert quantized.held_bytes == 0
    assert simulated.counters().live_bytes == empty
    quantized.resize(2 * quantized.nbytes())
    assert_same(numbers(quantized, patches), expected)
    assert_same(numbers(quantized), base)
    assert quantized.held_bytes == quantized.nbytes()


def test_quantized_weights_become_whole_where_a_change_has_no_factors(simulated, tmp_path):
    network = opened(write(tmp_path / "a.safetensors", scaled(small_flux())[0]))
    tensors = {**KINDS["lora"], f"{BLOCK}img_attn_proj.dora_scale": torch.rand(64, 1) + 1}
    path = write(tmp_path / "dora.safetensors", tensors)
    patches = (lora_patch(LoraFile(path, "dora"), 0.7, network),)

    state = network.module(patches).state_dict()

    assert not isinstance(state["transformer_blocks.0.attn.to_out.0.weight"], QuantizedTensor)
    assert isinstance(state["transformer_blocks.0.attn.to_q.weight"], QuantizedTensor)
    assert_same(numbers(network, patches), numbers(whole(network), patches))


def test_memory_that_runs_out_on_the_way_to_a_lora_leaves_no_stale_weights(
    simulated, tmp_path, plain
):
    patches = patch(tmp_path, plain)
    base, expected = numbers(plain), numbers(plain, patches)
    failed = 0

    for number in range(1, 60, 7):
        plain.module()
        simulated.fail_allocation(number)
        try:
            plain.module(patches)
        except WeightsMemoryError:
            failed += 1
            assert plain.held_bytes <= plain.nbytes()
        simulated.fail_allocation(0)
        assert_same(numbers(plain, patches if number % 2 else ()), expected if number % 2 else base)

    assert failed > 3


def test_two_threads_with_different_strengths_see_their_own_weights(simulated, tmp_path, plain):
    wanted = {strength: patch(tmp_path, plain, strength) for strength in (0.7, -0.3)}
    expected = {strength: numbers(plain, patches) for strength, patches in wanted.items()}
    wrong: list[float] = []

    def compute(strength: float) -> None:
        for _ in range(4):
            found = numbers(plain, wanted[strength])
            if any(not torch.equal(found[key], expected[strength][key]) for key in found):
                wrong.append(strength)

    threads = [threading.Thread(target=compute, args=(strength,)) for strength in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
    assert plain.held_bytes == plain.nbytes()


def test_another_dtype_takes_the_place_of_the_first(simulated, plain):
    base = numbers(plain)
    empty = simulated.live_bytes() - plain.held_bytes

    half = plain.module(dtype=torch.bfloat16)

    assert {weight.dtype for weight in half.state_dict().values()} == {torch.bfloat16}
    assert simulated.counters().live_bytes - empty == plain.held_bytes == plain.nbytes() / 2
    del half
    assert_same(numbers(plain), base)


@pytest.mark.parametrize("kind", ["merge", "scale", "difference"])
def test_merges_take_no_more_than_the_models(simulated, tmp_path, plain, kind):
    tensors = {key: tensor.float() for key, tensor in small_flux(seed=5).items()}
    other = opened(write(tmp_path / "b.safetensors", tensors))
    keys = frozenset(key for key in plain.table if key.startswith("transformer_blocks"))
    theirs = patch(tmp_path, other)
    patches = {
        "merge": MergePatch(other, theirs, (Share(keys, 0.25, 0.75),)),
        "scale": ScalePatch(keys, 0.5),
        "difference": DifferencePatch(other, ()),
    }
    base = numbers(plain)
    empty = simulated.live_bytes() - plain.held_bytes
    simulated.reset()

    changed = numbers(plain, (patches[kind],))

    used = plain.held_bytes + other.held_bytes
    assert simulated.counters().live_bytes - empty == used
    assert simulated.counters().peak_bytes - empty <= used + 4 * ONE_MATRIX
    assert plain.held_bytes == plain.nbytes()
    key = "transformer_blocks.0.attn.to_q.weight"
    assert not torch.equal(changed[key], base[key])
    if kind == "merge":
        torch.testing.assert_close(
            changed[key], base[key] * 0.25 + numbers(other, theirs)[key] * 0.75
        )
    assert_same(numbers(plain), base)
