"""Latents to files and back."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nodes.builtin.latent.files import load_latent, save_latent
from nodes.imaging.errors import InputFileError
from nodes.preflight.images import check_latent
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, untouched


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "input").mkdir()
    return Bench(tmp_path)


def test_a_latent_comes_back_from_its_file_bit_for_bit(bench):
    samples = grid((2, 4, 12, 20), 0.21)

    with untouched(samples):
        (saved,) = save_latent(Latent(samples), ctx=bench).artifacts["latents"]
    loaded = load_latent(f"{saved.subfolder}/{saved.filename} [output]", bench)

    assert (saved.subfolder, saved.filename) == ("latents", "ComfyUI_00001_.latent")
    assert torch.equal(loaded.samples, samples)
    assert loaded.noise_mask is None


def test_a_part_of_a_batch_can_be_saved(bench):
    samples = grid((2, 4, 12, 20), 0.21).transpose(2, 3)[1:]

    (saved,) = save_latent(Latent(samples), "part", ctx=bench).artifacts["latents"]

    assert torch.equal(load_latent(f"{saved.filename} [output]", bench).samples, samples)


def test_a_latent_file_is_laid_out_as_comfyui_does(bench):
    bench.prompt = {"1": {"class_type": "SaveLatent", "inputs": {"filename_prefix": "é"}}}
    bench.extra_pnginfo = {"workflow": {"nodes": []}}

    (saved,) = save_latent(Latent(torch.ones(1, 4, 2, 2)), ctx=bench).artifacts["latents"]

    with safe_open(bench.path(saved), "pt") as file:
        assert sorted(file.keys()) == ["latent_format_version_0", "latent_tensor"]
        assert file.get_tensor("latent_format_version_0").numel() == 0
        assert file.metadata()["prompt"] == json.dumps(bench.prompt)
        assert file.metadata()["workflow"] == '{"nodes": []}'


def test_an_old_file_is_scaled_from_the_models_space(bench):
    save_file({"latent_tensor": torch.full((1, 4, 2, 2), 0.18215)}, bench.root / "input/old.latent")

    torch.testing.assert_close(load_latent("old.latent", bench).samples, torch.ones(1, 4, 2, 2))


def test_half_precision_is_read_as_float32(bench):
    tensors = {
        "latent_tensor": torch.ones(1, 4, 2, 2).half(),
        "latent_format_version_0": torch.ones(0),
    }
    save_file(tensors, bench.root / "input/half.latent")

    assert load_latent("half.latent", bench).samples.dtype == torch.float32


@pytest.mark.parametrize(
    "content", [b"", b"no tensors", b"\xff\0\0\0\0\0\0\0{", b"\x02" + b"\0" * 7 + b"{]"]
)
def test_what_is_no_latent_is_refused(bench, content):
    (bench.root / "input/x.latent").write_bytes(content)

    with pytest.raises(InputFileError, match=r"x\.latent' can not be loaded as a latent"):
        load_latent("x.latent", bench)


def test_what_is_no_safetensors_file_is_refused_before_the_run(bench):
    (bench.root / "input/x.latent").write_bytes(b"\xff\0\0\0\0\0\0\0{")
    save_file({"latent_tensor": torch.ones(1)}, bench.root / "input/good.latent")

    check_latent({"latent": "good.latent"}, bench.files)
    with pytest.raises(InputFileError, match=r"x\.latent' can not be loaded as a latent"):
        check_latent({"latent": "x.latent"}, bench.files)


def test_weights_of_something_else_are_refused(bench):
    save_file({"weight": torch.ones(1)}, bench.root / "input/w.latent")

    with pytest.raises(InputFileError, match="it holds no 'latent_tensor'"):
        load_latent("w.latent", bench)
