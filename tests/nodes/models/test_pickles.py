"""Pickles: refused; with leave, only their tensors are read, and nothing in them is run."""

import json
import pickle  # noqa: TID251 - to attack with
import subprocess
import sys
import zipfile

import pytest
import torch
from click.testing import CliRunner

from nodegraph.cli import cli
from nodes.models.weights.errors import UnsafePickleError
from nodes.models.weights.header import read_header
from nodes.models.weights.pickles import convert
from tests.tiny_models import checkpoints


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return subprocess.call, (["touch", str(self.canary)],)


def hidden(path, evil):
    """A file as torch writes it, with something evil where the tensors' names should be."""
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(
                name, pickle.dumps(evil, protocol=2) if name.endswith("data.pkl") else data
            )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a folder for checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_OUTPUT_DIR", str(tmp_path / "output"))
    (tmp_path / "models/checkpoints").mkdir(parents=True)
    return tmp_path


def workflow(here, name):
    """Encode and decode nothing much: the cheapest run that reads a checkpoint's weights."""
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": name}),
        "2": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "3": ("VAEDecode", {"samples": ["2", 0], "vae": ["1", 2]}),
        "4": ("SaveImage", {"images": ["3", 0], "filename_prefix": "out"}),
    }
    prompt = {key: {"class_type": kind, "inputs": i} for key, (kind, i) in nodes.items()}
    path = here / "workflow.json"
    path.write_text(json.dumps(prompt))
    return str(path)


def invoke(*args):
    return CliRunner().invoke(cli, list(args))


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".safetensors"])
def test_a_pickle_is_refused_unless_it_is_allowed(here, suffix):
    torch.save({"a": torch.zeros(1)}, here / f"models/checkpoints/old{suffix}")
    done = invoke("run", workflow(here, f"old{suffix}"))

    assert done.exit_code == 2
    assert "pickle_refused" in done.stderr
    assert "--allow-pickle" in done.stderr


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_an_allowed_checkpoint_gives_the_image_of_its_safetensors_twin(here, monkeypatch, by):
    tensors = checkpoints.small_sd15()
    checkpoints.write(here / "models/checkpoints/new.safetensors", tensors)
    torch.save({"state_dict": tensors, "global_step": 7}, here / "models/checkpoints/old.ckpt")
    flag = ["--allow-pickle"] if by == "flag" else []
    monkeypatch.setenv("NODEGRAPH_ALLOW_PICKLE", "" if flag else "1")
    new = invoke("run", workflow(here, "new.safetensors"))
    old = invoke("run", workflow(here, "old.ckpt"), *flag)
    pixels = [(here / done.stdout.strip()).read_bytes() for done in (new, old)]
    valid = invoke("validate", "workflow.json")

    assert (new.exit_code, old.exit_code) == (0, 0)
    assert "old.ckpt is a pickle" in old.stderr
    assert "is a pickle" not in new.stderr
    assert pixels[0][pixels[0].index(b"IDAT") :] == pixels[1][pixels[1].index(b"IDAT") :]
    assert valid.exit_code == (2 if flag else 0)


@pytest.mark.parametrize("linked", [False, True])
def test_an_allowed_embedding_is_converted_when_a_prompt_may_name_it(here, linked):
    tensors = checkpoints.small_sd15()
    checkpoints.write(here / "models/checkpoints/new.safetensors", tensors)
    width = next(t.shape[1] for k, t in tensors.items() if k.endswith("token_embedding.weight"))
    (here / "models/embeddings").mkdir()
    vectors = {"string_to_param": {"*": torch.ones(2, width)}, "step": 7}
    torch.save(vectors, here / "models/embeddings/old.pt")
    text = "a photo" if linked else "a embedding:old"
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "new.safetensors"}),
        "2": ("PrimitiveString", {"value": text}),
        "3": ("CLIPTextEncode", {"text": ["2", 0] if linked else text, "clip": ["1", 1]}),
        "4": ("PreviewAny", {"source": ["3", 0]}),
    }
    prompt = {key: {"class_type": kind, "inputs": i} for key, (kind, i) in nodes.items()}
    (here / "workflow.json").write_text(json.dumps(prompt))

    done = invoke("run", "workflow.json", "--allow-pickle")

    assert done.exit_code == 0, done.stderr
    assert ("old.pt is a pickle" in done.stderr) is not linked


def test_what_runs_a_command_is_refused_though_pickles_are_allowed(here):
    canary = here / "canary"
    place = here / "models/checkpoints"
    (place / "bare.pt").write_bytes(pickle.dumps(Evil(canary), protocol=2))
    hidden(place / "zip.ckpt", Evil(canary))
    hidden(place / "among.bin", {"state_dict": {"b": Evil(canary)}})
    for name in ("bare.pt", "zip.ckpt", "among.bin"):
        done = invoke("run", workflow(here, name), "--allow-pickle")

        assert done.exit_code == 1
        assert "unsafe_pickle" in done.stderr
        assert "call" in done.stderr
    assert not canary.exists()
    assert not list((here / "cache/converted").rglob("*.safetensors"))


def test_the_canary_would_sing(here):
    """The files above are dangerous: Python's own loader runs them."""
    path = here / "evil.pkl"
    path.write_bytes(pickle.dumps(Evil(here / "canary"), protocol=2))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)

    assert (here / "canary").exists()


@pytest.mark.parametrize(
    ("held", "keys"),
    [
        ({"a": torch.ones(2), "step": 3}, {"a"}),
        ({"state_dict": {"a": torch.ones(2)}, "optimizer_states": [{}]}, {"a"}),
        ({"params_ema": {"a": torch.ones(2)}, "params": {"b": torch.ones(2)}}, {"a"}),
        ({"string_to_param": {"*": torch.ones(2, 4)}, "name": "cat"}, {"emb_params"}),
        ({"<cat>": torch.ones(4)}, {"<cat>"}),
        ({"a": torch.nn.Parameter(torch.ones(2))}, {"a"}),
    ],
)
def test_trainers_wrappings_are_taken_off(tmp_path, held, keys):
    torch.save(held, tmp_path / "old.pt")
    convert(tmp_path / "old.pt", tmp_path / "x/new.safetensors")

    assert read_header(tmp_path / "x/new.safetensors").tensors.keys() == keys


def test_tensors_that_share_memory_or_are_views_come_out_whole(tmp_path):
    from safetensors.torch import load_file

    whole = torch.arange(12.0).reshape(3, 4)
    held = {"whole": whole, "tied": whole, "turned": whole.T, "row": whole[1]}
    torch.save(held, tmp_path / "old.pt")
    convert(tmp_path / "old.pt", tmp_path / "new.safetensors")
    loaded = load_file(tmp_path / "new.safetensors")

    for key, tensor in held.items():
        assert torch.equal(loaded[key], tensor)


@pytest.mark.parametrize("data", [b"\x80\x02", b"PK\x03\x04 and so on", b"\x80\x02N."])
def test_a_damaged_or_empty_pickle_is_one_clear_error(tmp_path, data):
    (tmp_path / "old.pt").write_bytes(data)

    with pytest.raises(UnsafePickleError):
        convert(tmp_path / "old.pt", tmp_path / "new.safetensors")


def test_what_lightning_leaves_in_a_checkpoint_is_passed_over(tmp_path, monkeypatch):
    """Stable Diffusion 1's own files have a class of Lightning's among their keys."""
    import types

    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    callback = type("ModelCheckpoint", (), {"__module__": name})
    setattr(module, callback.__name__, callback)
    for parent in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, module)
    held = {"state_dict": {"a": torch.ones(2)}, "callbacks": {callback: {"best": 1}}}
    torch.save(held, tmp_path / "old.ckpt")
    monkeypatch.delitem(sys.modules, name)
    convert(tmp_path / "old.ckpt", tmp_path / "new.safetensors")

    assert read_header(tmp_path / "new.safetensors").tensors.keys() == {"a"}
