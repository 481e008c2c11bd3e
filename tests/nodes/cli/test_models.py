"""`nodegraph models`: which files there are, and what one holds, without torch."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from nodegraph.cli import cli


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A models folder with one LoRA in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_PACKS", ",")  # none: their own models would be listed, too
    path = tmp_path / "models/loras/style/ink.safetensors"
    path.parent.mkdir(parents=True)
    tensors = {"a": np.zeros((300, 4), np.float16), "b": np.zeros(5, np.float32)}
    save_file(tensors, path, {"license": "CC0-1.0", "modelspec.source": "here", "family": "sd1"})
    return path


def models(*args):
    return CliRunner().invoke(cli, ["models", *args])


def test_lists_folder_name_and_size(model):
    lines = [line.split() for line in models("list").stdout.splitlines()]

    assert ["loras", "style/ink.safetensors", "2.6", "KB"] in lines


def test_lists_as_json(model):
    data = json.loads(models("list", "--json").stdout)

    size = model.stat().st_size
    assert {"folder": "loras", "name": "style/ink.safetensors", "bytes": size} in data


@pytest.mark.parametrize(
    "name",
    ["style/ink.safetensors", "loras/style/ink.safetensors", "models/loras/style/ink.safetensors"],
)
def test_shows_what_a_file_holds(model, name):
    facts = json.loads(models("show", name, "--json").stdout)

    assert facts["family"] == "sd1"
    assert facts["parameters"] == 1205
    assert facts["tensors"] == 2
    assert facts["dtype"] == "F16, F32"
    assert facts["size"] == model.stat().st_size
    assert facts["licence"] == "CC0-1.0"
    assert facts["source"] == "here"
    assert facts["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_shows_it_to_people(model):
    lines = models("show", "style/ink.safetensors").stdout.splitlines()

    assert "parameters  1,205" in lines
    assert "size        2.6 KB" in lines


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cut.safetensors", b"", "cut.safetensors' is incomplete"),
        ("evil.ckpt", b"PK\x03\x04 and so on", "is a pickle"),
        ("inc.safetensors", None, "Did you mean 'style/ink.safetensors'?"),
    ],
)
def test_says_what_is_wrong_with_a_file(model, name, data, message):
    if data is not None:
        (model.parent / name).write_bytes(data)
    done = models("show", f"style/{name}")

    assert done.exit_code == 2
    assert message in done.stderr


def test_a_hash_that_is_named_is_checked(model):
    right = hashlib.sha256(model.read_bytes()).hexdigest()

    assert models("show", f"style/ink.safetensors#sha256={right}").exit_code == 0
    done = models("show", f"style/ink.safetensors#sha256={'0' * 64}")

    assert done.exit_code != 0
    assert "wrong_hash" in done.stderr
    assert right in done.stderr


def test_what_is_written_is_called_what_it_is(model, tmp_path):
    done = models("convert", "style/ink.safetensors", str(tmp_path / "ink.ckpt"))

    assert done.exit_code == 2
    assert ".safetensors" in done.stderr
    assert not (tmp_path / "ink.ckpt").exists()


def layer(folder, said):
    """A model of one layer in few bits, and what it says of its format."""
    text = np.frombuffer(json.dumps(said).encode(), np.uint8)
    tensors = {"a.weight": np.ones((32, 256), np.int8), "a.weight_scale": np.ones(32, np.float32)}
    path = folder / "models/unet/small.safetensors"
    path.parent.mkdir(parents=True)
    save_file({**tensors, "a.comfy_quant": text, "b": np.zeros(5, np.float16)}, path)


def test_shows_the_format_of_layers_in_few_bits(model, tmp_path):
    layer(tmp_path, {"format": "int8_tensorwise", "convrot": True})

    facts = json.loads(models("show", "small.safetensors", "--json").stdout)

    assert facts["dtype"] == "int8_convrot, F16"
    assert facts["parameters"] == 32 * 256 + 5


def test_a_format_that_is_not_known_is_named_and_is_no_damage(model, tmp_path):
    layer(tmp_path, {"format": "int3_magic"})

    shown, verified = (models(each, "small.safetensors") for each in ("show", "verify"))

    assert shown.exit_code == 2
    assert "layer 'a': the format 'int3_magic' is not known" in " ".join(shown.stderr.split())
    assert "asym_w4a8_int8, awq_w4a16" in " ".join(shown.stderr.split())
    assert verified.exit_code == 0
