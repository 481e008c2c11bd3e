"""LoRAs made of the difference of two models turn the one into the other."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nodes.builtin.model.errors import NoDifferenceError
from nodes.builtin.model.lora import lora_loader
from nodes.builtin.model.lora_save import lora_save
from nodes.builtin.model.merge import clip_merge_subtract, model_merge_subtract
from nodes.models.export.lora import factors
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.weights.header import read_header
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_flux, small_sd3, small_sd15, small_sdxl, write
from tests.tiny_models.handles import opened

RANK, CHANGE = 2, 0.05
FAMILIES = [
    small_sd15,
    pytest.param(small_sdxl, marks=pytest.mark.slow),
    pytest.param(small_sd3, marks=pytest.mark.slow),
    small_flux,
]


def changed(tensors):
    """The same model after training, which moves every third weight, by so many matrices."""
    draw = torch.Generator().manual_seed(7)
    found = {}
    for number, (key, tensor) in enumerate(tensors.items()):
        if number % 3:
            found[key] = tensor
            continue
        moves = torch.randn(*tensor.shape[:1], RANK, generator=draw) * CHANGE
        if tensor.ndim > 1 and len(tensor) < 1000:
            columns = torch.randn(RANK, tensor[0].numel(), generator=draw)
            found[key] = tensor + (moves @ columns).reshape(tensor.shape)
        else:
            found[key] = tensor + moves[:, 0] if tensor.ndim == 1 else tensor
    return found


@pytest.fixture
def pair(tmp_path):
    """A model of a family, in float32, and what training made of it."""

    def make(build):
        first = {key: tensor.float() for key, tensor in build(1).items()}
        files = (("a", first), ("b", changed(first)))
        return [opened(write(tmp_path / f"{name}.safetensors", each)) for name, each in files]

    return make


def saved(bench, before, after, **more):
    """The path of a LoRA that leads from one model to another."""
    model, clip = ModelHandle(before.model), ClipHandle(before.text)
    more["model_diff"] = model_merge_subtract(ModelHandle(after.model), model, bench)
    more.setdefault("lora_type", "standard")
    if before.text.found:
        more["text_encoder_diff"] = clip_merge_subtract(ClipHandle(after.text), clip, bench)
    return bench.path(lora_save(**more, ctx=bench).artifacts["models"][0])


def loaded(bench, before, path):
    (bench.root / "models/loras").mkdir(parents=True)
    path.rename(bench.root / "models/loras/a.safetensors")
    return lora_loader(ModelHandle(before.model), ClipHandle(before.text), "a.safetensors", bench)


def assert_close(found, wanted, start, tolerance):
    """The weights are those wanted, but for so much of their distance from the start."""
    for key, weight in wanted.items():
        distance = (weight - start[key]).norm()
        assert (found[key] - weight).norm() <= tolerance * distance + 1e-6, key


@pytest.mark.parametrize("build", FAMILIES)
def test_a_lora_turns_one_model_into_the_other(build, pair, tmp_path):
    bench, (before, after) = Bench(tmp_path), pair(build)

    model, clip = loaded(bench, before, saved(bench, before, after, rank=RANK))

    start, end = before.model.network, after.model.network
    found = start.module(model.patches).state_dict()
    assert_close(found, end.module().state_dict(), start.module().state_dict(), 2e-3)
    assert bool(clip.by_encoder) == bool(before.text.found)
    for one, two in zip(before.text.found, after.text.found, strict=True):
        found = one.network.module(clip.by_encoder[one.name]).state_dict()
        assert_close(
            found, two.network.module().state_dict(), one.network.module().state_dict(), 2e-3
        )
    assert bench.notices == []


def test_whole_differences_and_none_of_biases(pair, tmp_path):
    bench, (before, after) = Bench(tmp_path, prompt={"1": {"inputs": {}}}), pair(small_sd15)

    path = saved(bench, before, after, lora_type="full_diff", bias_diff=False)

    tensors = load_file(path)
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    prefix = "model.diffusion_model."
    matrices = {
        key
        for key, weight in first.items()
        if key.startswith(prefix) and weight.ndim > 1 and not torch.equal(weight, second[key])
    }
    expected = {f"diffusion_model.{key[len(prefix) : -len('.weight')]}.diff" for key in matrices}
    assert {key for key in tensors if key.startswith("diffusion_model.")} == expected
    one = min(matrices)
    difference = tensors[f"diffusion_model.{one[len(prefix) : -len('.weight')]}.diff"]
    assert difference.dtype == torch.float16
    assert torch.equal(difference, (second[one] - first[one]).half())
    assert not any(key.endswith("diff_b") for key in tensors)
    assert json.loads(read_header(path).metadata["prompt"]) == {"1": {"inputs": {}}}
    assert bench.progressed[-1][0] == bench.progressed[-1][1] > len(matrices)


@pytest.mark.parametrize("shape", [(6, 9), (5, 4, 3, 3)])
def test_factors_are_the_closest_of_their_rank(shape):
    difference = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = np.linalg.svd(difference.numpy().reshape(shape[0], -1), compute_uv=False)

    down, up = factors(difference, 2)

    assert down.shape == (2, *shape[1:])
    assert up.shape == (shape[0], 2, *[1] * (len(shape) - 2))
    missing = difference.flatten(1) - up.flatten(1) @ down.flatten(1)
    assert float(missing.norm()) == pytest.approx(np.sqrt((values[2:] ** 2).sum()), rel=1e-5)
    assert factors(difference, 100)[0].shape[0] == shape[0]


def test_what_is_no_difference_is_refused_and_no_difference_is_not_written(pair, tmp_path):
    bench, (before, _) = Bench(tmp_path), pair(small_sd15)
    model = ModelHandle(before.model)

    with pytest.raises(NoDifferenceError, match="model_diff is not the difference"):
        lora_save(lora_type="standard", model_diff=model, ctx=bench)
    with pytest.raises(NoDifferenceError, match="text_encoder_diff is not"):
        lora_save(lora_type="standard", text_encoder_diff=ClipHandle(before.text), ctx=bench)
    nothing = model_merge_subtract(model, model, bench)
    shown = lora_save(lora_type="standard", model_diff=nothing, ctx=bench)

    assert not shown.artifacts
    assert bench.notices == ["There is no difference to make a LoRA of; no file is written."]
    assert not (tmp_path / "output").exists()
