"""Other processes find the simulated device as they would an installed one: by its entry point."""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image

from tests.server.serving import ROOT, picture
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


@pytest.mark.slow
def test_nodegraph_run_makes_the_same_image_there(environment, tmp_path):
    here = run_workflow(tmp_path / "here", {**environment, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})
    there = run_workflow(tmp_path / "there", environment)

    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert pixels(tmp_path / "there") == pixels(tmp_path / "here")
    counted = max(reports(tmp_path / "reports"), key=lambda one: one.ops)
    assert counted.ops > 500
    assert counted.syncs <= 1  # whether the decoded image is finite
