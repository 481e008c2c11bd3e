"""What users get wrong, through the program itself: each error says where, what, what would work.

A workflow that can not work is refused before anything is computed, where a file's header or the
graph tells; else its run fails at the node that can not go on. What other runs made stays.
"""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image as Pictures
from safetensors.torch import save_file

from nodegraph.cli import cli
from tests.nodes.bad_input import BAD, LOAD_PICTURE, Bad, Graph, changed
from tests.tiny_models.checkpoints import (
    lora,
    small_ae16,
    small_controlnet,
    small_flux,
    small_sd3,
    small_sd15,
    small_sdxl,
    tiny_sdxl_lora,
    write,
)
from tests.tiny_models.random_weights import Levels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with good files and bad ones."""
    root = tmp_path_factory.mktemp("bad")
    (root / "output").mkdir()
    put_checkpoints(root / "models" / "checkpoints")
    put_other_models(root / "models")
    put_inputs(root / "input")
    return root


def put_checkpoints(folder):
    good = write(folder / "sd15.safetensors", small_sd15())
    write(folder / "sdxl.safetensors", small_sdxl())
    write(folder / "sd3.safetensors", small_sd3())
    write(folder / "flux.safetensors", small_flux())
    write(folder / "strange.safetensors", {"blocks.0.mixer.weight": torch.zeros(2)})
    whole = {key: value for key, value in small_sd15().items() if "output_blocks.1." not in key}
    write(folder / "hole.safetensors", whole)
    (folder / "cut.safetensors").write_bytes(good.read_bytes()[:-1000])
    (folder / "page.safetensors").write_text("<!doctype html><title>Log in</title>" * 9)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    (folder / "pointer.safetensors").write_text(pointer)
    (folder / "empty.safetensors").write_bytes(b"")
    torch.save({"state_dict": {"x": torch.zeros(2)}}, folder / "old.ckpt")


def put_other_models(models):
    write(models / "vae" / "ae16.safetensors", small_ae16())
    write(models / "vae" / "lora.safetensors", tiny_part())
    write(models / "loras" / "sdxl.safetensors", tiny_sdxl_lora())
    write(models / "loras" / "none.safetensors", {"x": torch.zeros(2)})
    write(models / "controlnet" / "wide.safetensors", small_controlnet(Levels(64, text=64)))
    write(models / "controlnet" / "lora.safetensors", tiny_part())
    write(models / "upscale_models" / "lora.safetensors", tiny_part())


def put_inputs(folder):
    folder.mkdir()
    Pictures.new("RGB", (64, 64), "teal").save(folder / "teal.png")
    Pictures.new("L", (20, 30), 255).save(folder / "mask.png")
    (folder / "notes.png").write_text("no picture at all, just words")
    (folder / "half.png").write_bytes((folder / "teal.png").read_bytes()[:40])
    save_file({"latent_tensor": torch.full((1, 4, 8, 8), torch.nan)}, folder / "nan.latent")
    save_file({"latent_tensor": torch.ones(1, 16, 8, 8)}, folder / "sd3.latent")


def tiny_part():
    return lora(1, {"lora_unet_input_blocks_1_1_proj_in": (64, 64)})


@pytest.fixture
def invoke(folder, monkeypatch):
    """Run a command there, with no hub to ask."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("NODEGRAPH_HUB_OFFLINE", "true")

    def call(command, graph, *options):
        return CliRunner().invoke(cli, [command, "-", *options], input=json.dumps(graph))

    return call


def everything(folder):
    """Every file that users have there, and its size."""
    kept = [path for name in ("models", "input", "output") for path in (folder / name).rglob("*")]
    return {path: path.stat().st_size for path in kept if path.is_file()}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_place_and_its_cure(invoke, folder, name):
    bad = BAD[name]
    before = everything(folder)

    done = invoke("run", changed(bad))

    assert done.exit_code == (1 if bad.fails else 2), done.output
    place, kind = (
        (f"(node {bad.where})", "missing") if bad.gone else (f"node {bad.where!r}", bad.code)
    )
    assert place in done.stderr
    assert kind in done.stderr
    for words in bad.says:
        assert words in done.stderr
    assert "Traceback" not in done.output
    assert everything(folder) == before, "nothing is lost, and nothing half made"


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if not bad.fails])
def test_what_shows_before_a_run_shows_when_a_workflow_is_checked(invoke, name):
    bad = BAD[name]

    done = invoke("validate", changed(bad), "--json")

    (problem,) = json.loads(done.stdout)["problems"]
    assert (done.exit_code, problem["code"], problem["node_id"]) == (2, bad.code, bad.where)
    assert problem["message"]


def test_everything_that_is_wrong_is_said_at_once(invoke):
    bad = Bad(
        "",
        (),
        inputs={"load.ckpt_name": "no.safetensors", "empty.width": 1, "sample.cfg": "high"},
    )

    done = invoke("validate", changed(bad), "--json")

    problems = json.loads(done.stdout)["problems"]
    assert {problem["node_id"] for problem in problems} == {"load", "empty", "sample"}


def test_the_workflow_itself_works(invoke, folder):
    done = invoke("run", changed(Bad("", ())))

    assert (done.exit_code, done.stdout) == (0, "output/made_00001_.png\n"), done.output
    (folder / "output" / "made_00001_.png").unlink()


def test_a_mask_of_another_size_is_stretched(invoke, folder):
    nodes: Graph = {
        "picture": LOAD_PICTURE,
        "mask": ("LoadImageMask", {"image": "mask.png", "channel": "red"}),
        "latent": ("VAEEncode", {"pixels": ["picture", 0], "vae": ["load", 2]}),
        "masked": ("SetLatentNoiseMask", {"samples": ["latent", 0], "mask": ["mask", 0]}),
    }
    inputs = {"sample.latent_image": ["masked", 0], "save.filename_prefix": "masked"}

    done = invoke("run", changed(Bad("", (), nodes, inputs)))

    assert done.exit_code == 0, done.output
    (folder / "output" / "masked_00001_.png").unlink()


def test_an_embedding_that_is_not_there_is_a_warning_and_left_out(invoke, folder):
    done = invoke("run", changed(Bad("", (), inputs={"text.text": "a embedding:nowhere cat"})))

    assert done.exit_code == 0
    assert "nowhere" in done.stderr
    (folder / "output" / "made_00001_.png").unlink()
