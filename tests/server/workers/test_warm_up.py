"""`serve --warm`: models are in memory before the server is ready, and nothing is left but them."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.server.observability.test_metrics import weights_cache
from tests.server.serving import (
    PATIENCE,
    ROOT,
    TOYS,
    WORKFLOWS,
    ended,
    install_toys,
    picture,
    serving,
    toy,
    until,
)


def saving(steps, seconds=0.02):
    """A prompt that takes a while and saves a file."""
    prompt = toy(steps, seconds, value=3)
    return prompt | {"3": {"class_type": "ToyFile", "inputs": {"a": ["1", 0]}}}


def warm_for(folder, prompt, name="warm.json"):
    """The flags of a server that is warm for a prompt."""
    path = folder / name
    path.write_text(json.dumps(prompt))
    return ["--warm", str(path)]


def log_of(server):
    return (server.home / "log.txt").read_text()


def times_warm(server):
    return log_of(server).count(" warm for warm.json")


def test_the_server_is_ready_once_its_worker_is_warm_and_again_after_a_death(tmp_path):
    install_toys(tmp_path)
    flags = warm_for(tmp_path, saving(steps=100))
    with serving(tmp_path, flags, TOYS, ready=False) as server:
        first = server.get("/readyz")
        waits = server.submit(toy())
        assert (first.status, first.json["reasons"][0]) == (
            503,
            "worker local reads the models of --warm",
        )
        server.ready()
        assert times_warm(server) == 1
        server.finished(waits)

        (pid,) = server.worker_pids()
        os.kill(pid, signal.SIGKILL)
        until(lambda: server.get("/readyz").status == 503)
        server.ready()

        assert times_warm(server) == 2


def test_what_it_runs_leaves_no_result_and_no_file_and_may_fail(tmp_path):
    install_toys(tmp_path)
    prompt = saving(steps=1) | {"4": {"class_type": "ToyShow", "inputs": {"a": 1}}}
    failing = {
        "1": {"class_type": "ToyFail", "inputs": {"a": 5}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }
    flags = [*warm_for(tmp_path, failing, "bad.json"), *warm_for(tmp_path, prompt)]
    with serving(tmp_path, flags, TOYS) as server:
        assert times_warm(server) == 1
        assert "ERROR server.worker_process.warm_up: not warm for bad.json" in log_of(server)
        assert server.get("/v1/runs").json["runs"] == []
        assert list(server.output.iterdir()) == []

        run = ended(server, server.post("/v1/runs", {"workflow": prompt}).json["id"])
        events = server.get(f"/v1/runs/{run['id']}/events").json["events"]

        assert (events[-1]["data"]["executed"], events[-1]["data"]["cached"]) == (4, 0)
        assert [path.name for path in server.output.iterdir()] == ["toy_00001_.txt"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot read"),
        ("{", "JSON"),
        ('{"1": {"class_type": "ToyNone", "inputs": {}}}', "ToyNone"),
        (
            (WORKFLOWS / "txt2img.json").read_text().replace("demo-shapes", "elsewhere"),
            "elsewhere.safetensors",
        ),
    ],
    ids=["no file", "no JSON", "no type", "no model"],
)
def test_what_no_worker_can_be_warm_for_ends_the_start_with_one_line(tmp_path, text, told):
    path = tmp_path / "warm.json"
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", "--warm", str(path)]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NODEGRAPH_PACKS": "nodes"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(f"error: No worker can be warm for {path}: ")
    assert told in line


@pytest.mark.slow
def test_models_of_the_demo_are_in_memory_and_stay(tmp_path):
    workflow = picture(steps=1)
    flags = [*warm_for(tmp_path, workflow), "--keep", "--device", "cpu", "--weights-cache", "0"]
    with serving(tmp_path, flags, {"NODEGRAPH_PACKS": "nodes"}, ready=False) as server:
        until(lambda: server.get("/readyz").status == 200, 4 * PATIENCE)  # it imports torch
        before = weights_cache(server)
        server.post("/free", {"unload_models": True, "free_memory": True})
        ended(server, server.submit(picture(steps=1, seed=9)))
        after = weights_cache(server)

    assert (before["loads_total"], before["networks"]) == (3, 3)
    assert (after["loads_total"], after["networks"], after["hits_total"]) == (3, 3, 3)
    assert [path.name for path in server.output.iterdir()] == ["picture_00001_.png"]
