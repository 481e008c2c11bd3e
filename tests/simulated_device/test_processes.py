"""Other processes find the simulated device as they would an installed one: by its entry point."""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image

from tests.nodegraph.install_pack import install
from tests.server.serving import ROOT, picture, serving
from tests.simulated_device.device import autoload_environment, reports

BUDGET = 1 << 30


@pytest.fixture
def environment(loaded_device, tmp_path):
    """Of a process that has the device; `loaded_device` is there so that it is compiled."""
    (tmp_path / "reports").mkdir()
    return autoload_environment(
        tmp_path / "packages", budget=BUDGET, link=1e12, report=tmp_path / "reports"
    )


def run(code, environment):
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_process_with_the_entry_point_has_the_device(environment, tmp_path):
    code = (
        "import torch; torch.ones(4).to('simulated');"
        "print(torch.accelerator.current_accelerator(check_available=True),"
        " torch.accelerator.get_memory_info()[1])"
    )

    assert run(code, environment) == ["simulated", str(BUDGET)]
    (counted,) = reports(tmp_path / "reports")
    assert (counted.copies_to_device, counted.peak_bytes) == (1, 16)


def test_a_process_without_it_has_not(loaded_device):
    code = "import torch; print(torch.accelerator.current_accelerator(check_available=True))"

    assert run(code, None) == ["None"]
    assert torch.accelerator.current_accelerator(check_available=True) is None


def run_workflow(folder, environment):
    folder.mkdir()
    (folder / "workflow.json").write_text(json.dumps(picture()))
    command = [sys.executable, "-m", "nodegraph", "run", str(folder / "workflow.json")]
    command += ["--output-dir", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def pixels(folder):
    (path,) = folder.glob("**/*.png")
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def test_nodegraph_run_makes_the_same_image_there(environment, tmp_path):
    here = run_workflow(tmp_path / "here", {**environment, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})
    there = run_workflow(tmp_path / "there", environment)

    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert pixels(tmp_path / "there") == pixels(tmp_path / "here")
    counted = max(reports(tmp_path / "reports"), key=lambda one: one.ops)
    assert counted.ops > 500
    assert counted.syncs <= 1  # whether the decoded image is finite


@pytest.mark.parametrize(("budget", "status"), [(BUDGET, "success"), (1_000_000, "error")])
def test_a_worker_of_the_server_computes_there(environment, tmp_path, budget, status):
    variables = {**environment, "SIMULATED_DEVICE_BUDGET": str(budget)}
    flags = ["--device", "cpu"]  # cards that the driver shows are chosen so; this is none
    with serving(tmp_path, flags, variables) as server:
        history = server.finished(server.submit(picture()))
        (device,) = server.get("/system_stats").json["devices"]

    assert history["status"]["status_str"] == status, json.dumps(history)
    assert (device["name"], device["vram_total"]) == ("simulated", budget)
    assert ("ran out of memory" in json.dumps(history)) == (status == "error")


COUNTING = """
    from nodegraph.definition.node import node
    from nodegraph.graph.results import Ui


    @node("CountTransfers", category="test", cache="never", output_node=True)
    def count() -> Ui:
        from dataclasses import asdict

        import torch  # which loads the device, so that it is not loaded from two sides at once
        from tests.simulated_device.device import load_device

        return Ui(values={"counted": [asdict(load_device().counters())]})
"""


def counted_by(server):
    """What the device of the server's worker counted so far."""
    run = server.submit({"1": {"class_type": "CountTransfers", "inputs": {}}})
    history = server.finished(run)
    assert history["status"]["status_str"] == "success", json.dumps(history["status"])
    (counts,) = history["outputs"]["1"]["counted"]
    return counts


def sampled_by(sampler, steps):
    prompt = picture(steps=steps)
    for node in prompt.values():
        if "sampler_name" in node["inputs"]:
            node["inputs"]["sampler_name"] = sampler
    return prompt


def test_a_step_in_a_worker_takes_nothing_to_the_host_and_waits_for_nothing(environment, tmp_path):
    init = "from nodegraph.definition.pack import Pack\n"
    init += "PACK = Pack('counting', '1.0', ('counting_pack.stages',))\n"
    install(tmp_path / "packages", "counting", init=init, stages=COUNTING)
    added = []
    with serving(tmp_path / "home", ["--device", "cpu"], environment) as server:
        server.finished(server.submit(picture()))  # loads the model
        for sampler, steps in (
            ("euler", 3),
            ("euler", 9),
            ("dpmpp_2m_sde", 3),
            ("dpmpp_2m_sde", 9),
        ):
            before = counted_by(server)
            server.finished(server.submit(sampled_by(sampler, steps)))
            after = counted_by(server)
            added.append({name: after[name] - before[name] for name in after})

    for few, many in (added[:2], added[2:]):
        assert many["ops"] > few["ops"]
        assert (many["copies_to_host"], many["syncs"]) == (few["copies_to_host"], few["syncs"])
