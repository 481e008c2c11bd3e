"""Families, samplers and schedules that distributions add, and names that no other file knows."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nodes.models.families import registry
from nodes.models.networks.factory import network_classes
from tests.nodes.models.added import toy_family, toy_samplers
from tests.tiny_models.checkpoints import lora, small_sd15, write
from tests.tiny_models.random_weights import Draw

ROOT = Path(__file__).parents[4]
WIDTH = 16


def toy_checkpoint():
    """The toy's network with the text encoder and the VAE of a small Stable Diffusion 1."""
    tensors = {k: t for k, t in small_sd15().items() if not k.startswith(toy_family.PREFIX)}
    text = tensors[f"{toy_family.TEXT}text_model.final_layer_norm.weight"].shape[0]
    draw = Draw(11)
    for name, shape in (
        ("inlet", (WIDTH, 4, 3, 3)),
        ("reads", (WIDTH, text)),
        ("outlet", (4, WIDTH, 3, 3)),
    ):
        draw.weight(f"{toy_family.PREFIX}toy_{name}.weight", *shape)
        draw.put(f"{toy_family.PREFIX}toy_{name}.bias", (shape[0],), 0.1)
    return tensors | draw.tensors, text


@pytest.fixture
def here(tmp_path):
    """A folder to run in, and a distribution that adds the toys."""
    info = tmp_path / "site/toys-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "output").mkdir()
    lines = (
        "[nodes.model_families]",
        f"toy = {toy_family.__name__}:TOY",
        "[nodes.samplers]",
        f"halfway = {toy_samplers.__name__}:HALFWAY",
        "[nodes.schedulers]",
        f"squared = {toy_samplers.__name__}:squared",
    )
    (info / "entry_points.txt").write_text("\n".join(lines))
    tensors, text = toy_checkpoint()
    write(tmp_path / "models/checkpoints/toy.safetensors", tensors)
    write(tmp_path / "models/loras/toy.safetensors", lora(5, {"lora_unet_toy_reads": (16, text)}))
    return tmp_path


def run(here, graph, *, known=True):
    """Run a workflow as users do; what it wrote to stdout and stderr, and the exit code."""
    data = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    (here / "workflow.json").write_text(json.dumps(data))
    return nodegraph(here, "run", "workflow.json", known=known)


def nodegraph(here, *arguments, known=True):
    """Run a command with the distribution, or without it."""
    places = [str(here / "site")] if known else []
    path = os.pathsep.join([*places, str(ROOT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "nodegraph", *arguments],
        check=False,
        cwd=here,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def loading(name):
    return {
        "load": ("CheckpointLoaderSimple", {"ckpt_name": name}),
        "text": ("CLIPTextEncode", {"text": "a red square", "clip": ["load", 1]}),
        "none": ("CLIPTextEncode", {"text": "", "clip": ["load", 1]}),
        "empty": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
    }


def sampling(name, model, sampler="halfway", scheduler="squared"):
    """KSampler with the sampler and the schedule from outside."""
    inputs = {
        "model": model, "positive": ["text", 0], "negative": ["none", 0],
        "latent_image": ["empty", 0], "seed": 1, "steps": 3, "cfg": 2.0,
        "sampler_name": sampler, "scheduler": scheduler, "denoise": 1.0,
    }  # fmt: skip
    save = ("SaveLatent", {"samples": [name, 0], "filename_prefix": name})
    return {name: ("KSampler", inputs), f"save_{name}": save}


def latent(here, name):
    return load_file(here / "output" / f"{name}_00001_.latent")["latent_tensor"]


@pytest.mark.slow
def test_a_family_a_sampler_and_a_schedule_from_outside_do_all_that_ours_do(here):
    graph = {
        **loading("toy.safetensors"),
        "lora": (
            "LoraLoaderModelOnly",
            {"model": ["load", 0], "lora_name": "toy.safetensors", "strength_model": 1.0},
        ),
        **sampling("plain", ["load", 0]),
        **sampling("patched", ["lora", 0]),
        **sampling("ours", ["load", 0], "euler", "normal"),
        "keep": (
            "CheckpointSave",
            {
                "model": ["lora", 0], "clip": ["load", 1], "vae": ["load", 2],
                "filename_prefix": "merged",
            },
        ),
    }  # fmt: skip
    done = run(here, graph)
    assert done.returncode == 0, done.stderr
    (here / "output/merged_00001_.safetensors").rename(
        here / "models/checkpoints/merged.safetensors"
    )
    again = run(here, {**loading("merged.safetensors"), **sampling("saved", ["load", 0])})
    assert again.returncode == 0, again.stderr

    plain, patched, ours, saved = (latent(here, n) for n in ("plain", "patched", "ours", "saved"))
    assert plain.isfinite().all()
    assert not torch.allclose(plain, patched, atol=1e-3)
    assert not torch.allclose(plain, ours, atol=1e-3)
    torch.testing.assert_close(saved, patched, atol=2e-2, rtol=2e-2)  # saved in float16


def test_without_that_distribution_nothing_of_it_is_known(here):
    write(here / "models/checkpoints/small.safetensors", small_sd15())
    file = run(here, loading("toy.safetensors") | sampling("a", ["load", 0]), known=False)
    names = run(here, loading("small.safetensors") | sampling("a", ["load", 0]), known=False)

    assert file.returncode != 0
    assert "is of no known model family" in file.stderr
    assert names.returncode != 0
    assert "halfway" in names.stderr
    assert "squared" in names.stderr


def test_a_type_of_comfyuis_stays_in_its_place_and_a_type_of_a_familys_own_comes_last(here):
    before, after = (types_of_loader(here, known=known) for known in (False, True))

    assert "wan" in before
    assert after == [*before, "toy"]


def types_of_loader(here, *, known):
    done = nodegraph(here, "nodes", "CLIPLoader", "--json", known=known)
    (choices,) = (i["choices"] for i in json.loads(done.stdout)["inputs"] if i["name"] == "type")
    return choices


WORDS = {"vae", "clip", "vision", "pixels", "controlnet", "photomaker", "projector", "compact"}
"""Kinds of network that are words as well: for folders, inputs, sockets and parts of a file."""
FOLDERS = {"unet", "t2i_adapter"}
"""Kinds that are also ComfyUI's names of folders below `models/`."""
TYPES = {*registry.loader_types(1), *registry.loader_types(2)}
"""ComfyUI's types of text encoders, which its nodes list whether a family here has them or not."""
COMPONENTS = {"unet"}
"""Kinds that are also diffusers' names of parts, which headers of LoRA files say."""
SAID_ELSEWHERE = {
    "folders.py": FOLDERS,
    "builtin/model/text_encoders.py": TYPES,
    "denoisers/qwen_image21.py": {"qwen_image"},  # for ComfyUI's loader both are of this type
    "denoisers/z_image.py": {"lumina2"},  # likewise
    "patches/lora_config.py": COMPONENTS,
    "popular/ip_adapter_plus.py": {"sd15", "sdxl"},  # the published files of its presets
}
"""Names that a file says for another reason."""


OWN = registry.families()
KINDS = network_classes()


def literals(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_other_file_names_a_family_or_a_kind_of_network():
    names = {each.name for each in OWN} | set(KINDS)
    names |= {style.name for each in OWN for style in each.encoder_sets}
    said = {name: set() for name in names - WORDS}
    for room in ("nodegraph", "nodes", "server"):
        for path in (ROOT / room).rglob("*.py"):
            other = next((s for end, s in SAID_ELSEWHERE.items() if str(path).endswith(end)), set())
            for name in (set(literals(path)) & said.keys()) - other:
                said[name].add(path)

    for name, paths in said.items():
        families = [path for path in paths if "families" in path.parts]
        networks = [path for path in paths if "networks" in path.parts]
        rest = paths - {*families, *networks}
        assert not rest, f"{name!r} is said in {sorted(map(str, rest))}"
        assert len(families) <= 1, f"{name!r} is said in {sorted(map(str, families))}"
        assert len(networks) <= 1, f"{name!r} is said in {sorted(map(str, networks))}"


def test_only_families_tell_networks_apart_by_their_kind():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "nodes").rglob("*.py")
        if "families" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Attribute)
        and node.left.attr == "kind"
        and any(isinstance(one, ast.Constant) and one.value in KINDS for one in node.comparators)
    ]

    assert not found
