"""Workflows that name models on a hub: validated without it, run with it, recorded."""

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from PIL import Image

from nodegraph.cli import cli
from tests.nodes.models.hub.server import sha256
from tests.tiny_models import checkpoints
from tests.tiny_models.folders import write_folder
from tests.tiny_models.handles import opened


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small checkpoint's bytes."""
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    return checkpoints.write(path, checkpoints.small_sd15()).read_bytes()


@pytest.fixture
def here(hub, tmp_path, monkeypatch):
    """A working directory whose hub is the one on this machine."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/checkpoints").mkdir(parents=True)
    (tmp_path / "nodegraph.lock").write_text("{}")
    for name, value in {
        "CACHE_DIR": tmp_path / "cache",
        "HUB_CACHE_DIR": tmp_path / "hub",
        "HUB_ENDPOINT": hub.url,
        "OUTPUT_DIR": tmp_path / "output",
    }.items():
        monkeypatch.setenv(f"NODEGRAPH_{name}", str(value))
    return tmp_path


def workflow(here, name):
    """Draw two steps and save the picture."""
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": name}),
        "2": ("CLIPTextEncode", {"text": "hf://us/never/asked.safetensors", "clip": ["1", 1]}),
        "3": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "4": ("KSampler", {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0],
                           "latent_image": ["3", 0], "seed": 1, "steps": 1, "cfg": 1.0,
                           "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}),
        "5": ("VAEDecode", {"samples": ["4", 0], "vae": ["1", 2]}),
        "6": ("SaveImage", {"images": ["5", 0], "filename_prefix": "out"}),
    }  # fmt: skip
    prompt = {key: {"class_type": kind, "inputs": i} for key, (kind, i) in nodes.items()}
    path = here / "workflow.json"
    path.write_text(json.dumps(prompt))
    return str(path)


def invoke(*args):
    return CliRunner().invoke(cli, list(args))


def test_validation_asks_nobody_and_says_what_is_not_here(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    done = invoke("validate", workflow(here, "hf://us/ink@main"), "--json")
    answer = json.loads(done.stdout)

    assert done.exit_code == 0
    assert [warning["code"] for warning in answer["warnings"]] == ["not_here_yet"]
    assert "models pull hf://us/ink@main" in answer["warnings"][0]["hint"]
    assert hub.asked == []
    invoke("models", "pull", "hf://us/ink")
    assert json.loads(invoke("validate", "workflow.json", "--json").stdout)["warnings"] == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hf://us", "bad_reference"),
        ("hf://us/ink@../a", "bad_reference"),
        ("hf://us/ink/../a.safetensors", "bad_reference"),
        ("hf://us/ink#sha256=abc", "bad_reference"),
        ("none.safetensors#sha256=" + "0" * 64, "value_not_in_list"),
        ("https://us/ink.safetensors", "value_not_in_list"),
    ],
)
def test_a_name_that_is_no_reference_is_a_problem(here, name, code):
    done = invoke("validate", workflow(here, name), "--json")
    problems = json.loads(done.stdout)["problems"]

    assert done.exit_code == 2
    assert [(p["code"], p["node_id"], p["input_name"]) for p in problems] == [
        (code, "1", "ckpt_name")
    ]


def test_a_wrong_hash_is_found_before_anything_runs(here, model):
    (here / "models/checkpoints/a.safetensors").write_bytes(model)
    wrong = "0" * 64
    done = invoke("run", workflow(here, f"a.safetensors#sha256={wrong}"))

    assert done.exit_code == 2
    assert wrong in done.stderr
    assert sha256(model) in done.stderr


def test_a_file_of_the_right_hash_passes(here, model):
    (here / "models/checkpoints/a.safetensors").write_bytes(model)
    name = f"a.safetensors#sha256={sha256(model)}"

    assert invoke("validate", workflow(here, name)).exit_code == 0


def test_a_run_downloads_the_model_and_records_where_it_is_from(hub, here, model):
    commit = hub.repo("us/ink", licence="cc0-1.0").commit({"small.safetensors": model})
    done = invoke("run", workflow(here, "hf://us/ink"), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    progress = [
        event for event in events if event["event"] == "progress" if event["node_id"] == "1"
    ]
    notices = [event["message"] for event in events if event["event"] == "notice"]
    pinned = f"hf://us/ink@{commit}/small.safetensors"
    with Image.open(events[-1]["paths"][0]) as image:
        recorded = json.loads(image.info["nodegraph"])

    assert done.exit_code == 0
    assert progress[-1]["value"] == progress[-1]["total"] > 1
    assert any(commit[:12] in notice for notice in notices)
    assert recorded["models"] == {pinned: sha256(model)}
    assert recorded["licences"] == {pinned: "cc0-1.0"}
    assert not any("never" in path for _, path, _ in hub.asked)


def test_a_hub_that_refuses_fails_the_node_that_wanted_the_model(hub, here):
    hub.repo("us/ink", gated=True)
    done = invoke("run", workflow(here, "hf://us/ink"))

    assert done.exit_code == 1
    assert "node '1'" in done.stderr
    assert "HF_TOKEN" in done.stderr


def test_a_model_of_another_family_is_told_once_it_is_here(hub, here):
    import numpy as np
    from safetensors.numpy import save

    hub.repo("us/odd").commit({"odd.safetensors": save({"a": np.zeros(3, np.float32)})})
    first = invoke("run", workflow(here, "hf://us/odd"))
    second = invoke("validate", "workflow.json")

    assert (first.exit_code, second.exit_code) == (1, 2)
    for done in (first, second):
        assert "no known model family" in done.stderr


def test_validating_a_reference_does_not_import_the_hub_s_client(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    invoke("models", "pull", "hf://us/ink")
    code = (
        "import sys; from nodegraph.cli import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, *sys.modules)"
    )
    command = [sys.executable, "-c", code, "validate", workflow(here, "hf://us/ink")]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    code, *modules = child.stdout.splitlines()[-1].split()

    assert code == "0"
    assert {"huggingface_hub", "httpx2", "torch"}.isdisjoint(modules)


def test_pull_prints_the_path_alone_on_stdout(hub, here, model):
    commit = hub.repo("us/ink").commit({"small.safetensors": model})
    done = invoke("models", "pull", f"hf://us/ink#sha256={sha256(model)}")

    assert done.exit_code == 0
    assert done.stdout.endswith(f"snapshots/{commit}/small.safetensors\n")
    assert f"hf://us/ink@{commit}/small.safetensors, licence: openrail++" in done.stderr


def test_pull_ends_with_1_if_the_content_is_another(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    done = invoke("models", "pull", f"hf://us/ink#sha256={'0' * 64}")

    assert done.exit_code == 1
    assert "wrong_hash" in done.stderr


def test_what_was_pulled_is_listed_and_shown(hub, here, model):
    commit = hub.repo("us/ink").commit({"small.safetensors": model})
    missing = invoke("models", "show", "hf://us/ink")
    invoke("models", "pull", "us/ink")
    listed = json.loads(invoke("models", "list", "--json").stdout)
    facts = json.loads(invoke("models", "show", "hf://us/ink", "--json").stdout)

    assert missing.exit_code == 2
    assert "models pull hf://us/ink@main" in missing.stderr
    assert {"folder": "hub", "name": "hf://us/ink@main", "bytes": len(model)} in listed
    assert facts["family"] == "Stable Diffusion 1.x"
    assert facts["licence"] == "openrail++"
    assert facts["source"] == f"hf://us/ink@{commit}/small.safetensors"
    assert facts["sha256"] == sha256(model)
    assert facts["dtype"] == "F16"


def test_a_folder_is_shown_as_one_model(hub, here, model):
    files = {"model_index.json": b'{"_class_name": "Pipe"}', "unet/config.json": b"{}"}
    hub.repo("us/pipe").commit(files | {"unet/a.safetensors": model})
    invoke("models", "pull", "hf://us/pipe")
    facts = json.loads(invoke("models", "show", "hf://us/pipe", "--json").stdout)

    assert facts["family"] == "Pipe"
    assert facts["parameters"] > 1_000_000


def test_verify_tells_right_from_wrong_and_from_missing(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    invoke("models", "pull", "hf://us/ink")
    right = invoke("models", "verify", "hf://us/ink", "--json")
    blob = next((here / "hub").rglob(f"blobs/{sha256(model)}"))
    blob.write_bytes(model[:-1] + b"x")
    wrong = invoke("models", "verify")
    missing = invoke("models", "verify", "hf://us/other")

    assert right.exit_code == 0
    assert json.loads(right.stdout)[0]["expected"].keys() == {"lock file", "hub"}
    assert wrong.exit_code == 1
    assert f"lock file: {sha256(model)}" in wrong.stdout
    assert missing.exit_code == 2


def test_verify_finds_a_file_that_changed_behind_our_back(here, model):
    path = here / "models/checkpoints/a.safetensors"
    path.write_bytes(model)
    os.utime(path, (1, 1))
    time.sleep(0.06)  # the hash of a file that was just written is not remembered
    first = invoke("models", "verify", "a.safetensors")
    path.write_bytes(model[:-1] + b"x")
    os.utime(path, (1, 1))
    second = invoke("models", "verify", "a.safetensors")
    third = invoke("models", "verify", f"a.safetensors#sha256={sha256(model)}")

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 1, 1)
    assert "recorded now" in first.stdout
    assert f"recorded: {sha256(model)}" in second.stdout
    assert f"name: {sha256(model)}" in third.stdout


def test_verify_finds_a_file_that_is_cut_short(here, model):
    (here / "models/checkpoints/a.safetensors").write_bytes(model[:-1])
    done = invoke("models", "verify", "a.safetensors")

    assert done.exit_code == 1
    assert "incomplete" in done.stdout


def test_verify_goes_on_without_a_hub_that_does_not_answer(hub, here, model, monkeypatch):
    hub.repo("us/ink").commit({"small.safetensors": model})
    invoke("models", "pull", "hf://us/ink")
    monkeypatch.setenv("NODEGRAPH_HUB_ENDPOINT", "http://127.0.0.1:9")
    done = invoke("models", "verify", "hf://us/ink")

    assert done.exit_code == 0
    assert "the hub is not asked" in done.stderr


def test_a_repository_that_is_a_diffusers_folder_is_a_checkpoint(hub, here, model):
    (here / "one.safetensors").write_bytes(model)
    folder = write_folder(here / "pipe", "sd15", opened(here / "one.safetensors"))
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    hub.repo("us/pipe").commit(files)

    done = invoke("run", workflow(here, "hf://us/pipe"))
    single = invoke("run", workflow(here, "small.safetensors"))

    assert done.exit_code == 0, done.stderr
    assert single.exit_code == 2
    (here / "one.safetensors").rename(here / "models/checkpoints/small.safetensors")
    assert invoke("run", workflow(here, "small.safetensors")).exit_code == 0
    pictures = [Image.open(path) for path in sorted((here / "output").glob("*.png"))]
    assert len(pictures) == 2
    assert pictures[0].tobytes() == pictures[1].tobytes()


def drawn(here, **models):
    """A drawing that only lists models."""
    listed = [
        {"name": name, "url": f"https://huggingface.co/{place}", "directory": "checkpoints"}
        for name, place in models.items()
    ]
    path = here / "drawn.json"
    path.write_text(json.dumps({"nodes": [], "links": [], "version": 0.4, "models": listed}))
    return str(path)


def test_pull_downloads_what_a_workflow_lists(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    places = {"a.safetensors": "us/ink/resolve/main/small.safetensors", "b.ckpt": "us/none"}
    done = invoke("models", "pull", "--workflow", drawn(here, **places))

    place = here / "models/checkpoints/a.safetensors"
    assert done.exit_code == 1
    assert done.stdout == f"{place}\n"
    assert place.read_bytes() == model
    assert "'b.ckpt' is not downloaded from https://huggingface.co/us/none" in done.stderr

    del places["b.ckpt"]
    again = invoke("models", "pull", "--workflow", drawn(here, **places))
    assert (again.exit_code, again.stdout) == (0, "")
    assert "names no model that is not here" in again.stderr


@pytest.mark.parametrize("args", [[], ["hf://us/ink", "--workflow", "w.json"]])
def test_pull_takes_a_reference_or_a_workflow(here, args):
    assert invoke("models", "pull", *args).exit_code == 2


def test_run_fetches_what_a_workflow_lists_before_it_is_checked(hub, here, model):
    hub.repo("us/ink").commit({"small.safetensors": model})
    where = drawn(here, **{"a.safetensors": "us/ink/resolve/main/small.safetensors"})
    graph = json.loads((here / workflow(here, "a.safetensors")).read_text())
    submitted = {"prompt": graph, "workflow": json.loads((here / where).read_text())}
    (here / "both.json").write_text(json.dumps(submitted))

    missing = invoke("validate", "both.json")
    found = invoke("run", "both.json", "--fetch-models", "--set", "4.steps=x")

    assert "nodegraph models pull --workflow both.json" in missing.stderr
    assert (here / "models/checkpoints/a.safetensors").read_bytes() == model
    assert "takes INT, not 'x'." in found.stderr
