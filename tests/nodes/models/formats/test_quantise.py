"""Layers rounded to few bits: their bytes, and models that are written so."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import Tensor

from nodegraph.cli import cli
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.latent.vae import vae_decode
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.weights.formats.layer_formats import LayerFormat, Written
from nodes.models.weights.formats.quantise import quantise, written_format
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.formats.test_layer_formats import REFERENCE
from tests.tiny_models.checkpoints import write
from tests.tiny_models.compare import decoded, denoised
from tests.tiny_models.folders import original
from tests.tiny_models.handles import opened

FORMATS = get_args(Written)
LAYERS = {
    "int8_convrot": "int8_convrot",
    "float8_e4m3fn": "fp8",
    "mxfp8": "mxfp8",
    "nvfp4": "nvfp4",
}
"""The layers of the reference, by their formats."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_matrix_is_rounded_to_the_bytes_that_comfy_kitchen_writes(name):
    reference = load_file(REFERENCE)
    form = written_format(name, (32, 64))
    assert form is not None

    found = quantise(reference["meant"], form)

    own = {key: t for key, t in reference.items() if key.startswith(f"{LAYERS[name]}.weight")}
    assert len(own) == len(found) - 1
    for key, expected in own.items():
        tensor = found[key.removeprefix(f"{LAYERS[name]}.")]
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor.float(), expected.float())


@pytest.mark.parametrize("name", FORMATS)
def test_a_matrix_of_zeros_stays_one(name):
    form = written_format(name, (32, 32))
    assert form is not None

    found = quantise(torch.zeros(32, 32), form)

    assert not found["weight"].float().any()
    assert all(torch.isfinite(tensor.float()).all() for tensor in found.values())


@pytest.mark.parametrize(
    ("name", "shape", "rotation"),
    [
        ("int8_convrot", (32, 3072), 256),
        ("int8_convrot", (32, 192), 64),
        ("int8_convrot", (32, 48), 16),
    ],
)
def test_as_many_features_are_rotated_together_as_can_be(name, shape, rotation):
    assert written_format(name, shape) == LayerFormat("int8_tensorwise", rotation=rotation)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("nvfp4", (32, 40)),
        ("mxfp8", (48, 64)),
        ("int8_convrot", (8, 64)),
        ("nvfp4", (32, 32, 1, 1)),
    ],
)
def test_a_weight_of_an_odd_shape_stays_as_it_is(name, shape):
    assert written_format(name, shape) is None


def convert(source: Path, target: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["models", "convert", str(source), str(target), *more])


def in_blocks(tensors: dict[str, Tensor]) -> set[str]:
    return {key.removesuffix(".comfy_quant") for key in tensors if key.endswith(".comfy_quant")}


def slow(*values: str | float) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("sd3", "nvfp4"),
        *(slow("flux", name) for name in FORMATS),
        *(slow("sd3", name) for name in FORMATS[:-1]),
        *(slow("sdxl", name) for name in FORMATS),
    ],
)
def test_a_checkpoint_in_few_bits_denoises_nearly_as_before(family, name, tmp_path):
    source = write(tmp_path / "whole.safetensors", original(family))

    done = convert(source, tmp_path / "small.safetensors", "--quantise", name)

    assert done.exit_code == 0, done.output
    before, after = original(family), load_file(tmp_path / "small.safetensors")
    layers = in_blocks(after)
    changed = {key for key in before if after[key].dtype != before[key].dtype}
    assert changed == {f"{layer}.weight" for layer in layers}
    assert layers
    assert all("block" in layer for layer in layers)
    assert all(torch.equal(after[key], before[key]) for key in before.keys() - changed)
    whole, small = (opened(tmp_path / f"{each}.safetensors") for each in ("whole", "small"))
    found, expected = denoised(ModelHandle(small.model)), denoised(ModelHandle(whole.model))
    difference = (found - expected).norm() / expected.norm()
    assert difference < (0.12 if name == "nvfp4" else 0.035) * (4 if family == "sdxl" else 1)
    assert torch.equal(decoded(VaeHandle(small.vae)), decoded(VaeHandle(whole.vae)))


def draw(name: str, bench: Bench) -> Tensor:
    """The picture that a checkpoint makes in six steps, [1, height, width, 3]."""
    model, clip, vae = checkpoint_loader_simple(name, bench)
    positive, negative = (
        clip_text_encode(text=text, clip=clip, ctx=bench) for text in ("a red square", "")
    )
    latent = ksampler(
        model=model,
        seed=1,
        steps=6,
        cfg=1.0 if name.startswith("flux") else 4.0,
        sampler_name="euler",
        scheduler="simple",
        positive=positive,
        negative=negative,
        latent_image=Latent(torch.zeros(1, model.latent_format.channels, 8, 8)),
        ctx=bench,
    )
    return vae_decode(latent, vae, bench)


@pytest.mark.parametrize(
    ("family", "name", "mean"),
    [
        ("flux", "int8_convrot", 0.001),
        slow("flux", "float8_e4m3fn", 0.005),
        slow("flux", "mxfp8", 0.007),
        slow("flux", "nvfp4", 0.03),
        slow("sdxl", "int8_convrot", 0.003),
        slow("sdxl", "nvfp4", 0.04),
    ],
)
def test_a_picture_in_few_bits_is_nearly_the_same(family, name, mean, tmp_path):
    bench, folder = Bench(tmp_path), tmp_path / "models/checkpoints"
    source = write(folder / f"{family}.safetensors", original(family))
    small = folder / f"{family}-small.safetensors"
    done = convert(source, small, "--quantise", name)
    assert done.exit_code == 0, done.output

    difference = (draw(small.name, bench) - draw(source.name, bench)).abs().mean()

    assert 0 < difference < mean


def test_what_is_in_few_bits_is_saved_as_it_is_and_not_rounded_again(tmp_path):
    layer = "model.diffusion_model.double_blocks.0.img_attn.qkv"
    scale = {f"{layer}.scale_weight": torch.tensor(2.0)}
    source = write(tmp_path / "whole.safetensors", original("flux") | scale)
    small, again = (tmp_path / f"{name}.safetensors" for name in "ab")

    assert convert(source, small, "--quantise", "nvfp4").exit_code == 0
    assert convert(small, again, "--quantise", "int8_convrot").exit_code == 0

    tensors, found = load_file(small), load_file(again)
    assert found.keys() == tensors.keys()
    assert f"{layer}.comfy_quant" not in found
    assert all(torch.equal(found[key].float(), tensors[key].float()) for key in tensors)


def test_the_command_line_says_which_formats_there_are(tmp_path):
    done = convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--quantise", "int3")

    assert done.exit_code == 2
    assert all(repr(name) in done.stderr for name in FORMATS)
