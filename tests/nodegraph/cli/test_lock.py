"""`lock`, `run --locked`, `export-python`, `stubs`."""

import json
import os
import subprocess
import sys

import pytest


def test_a_locked_run_is_refused_once_something_differs(invoke, simple, here):
    assert invoke("run", simple, "--locked").exit_code == 2
    assert invoke("lock", simple).exit_code == 0
    assert invoke("run", simple, "--locked").exit_code == 0

    path = here / "workflow.lock.json"
    data = json.loads(path.read_text())
    data["nodes"]["Steps"] = "toys 0.9, version 1.0"
    path.write_text(json.dumps(data))
    done = invoke("run", simple, "--locked")

    assert done.exit_code == 2
    assert "Node type Steps was toys 0.9, version 1.0 when the workflow was locked" in done.stderr
    assert len(list((here / "output").iterdir())) == 1


def test_exported_code_builds_the_workflow(invoke, simple, here, toys):
    done = invoke("export-python", simple, "-o", "it.py")
    (here / "show.py").write_text("import json, it\nprint(json.dumps(it.build().prompt()))")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(toys), *sys.path])}
    built = subprocess.run(
        [sys.executable, "show.py"], env=environment, capture_output=True, text=True, check=True
    )

    assert done.exit_code == 0
    assert json.loads(built.stdout) == json.loads(simple.read_text())
    assert invoke("export-python", simple).stdout == (here / "it.py").read_text()


@pytest.mark.parametrize("command", ["lock", "export-python", "convert"])
def test_a_place_that_can_not_be_written_is_told(invoke, simple, here, command):
    done = invoke(command, simple, "-o", here / "nowhere" / "it")

    assert done.exit_code == 2
    assert f"Cannot write in {here / 'nowhere'}" in done.stderr


def test_stubs_know_the_installed_packs(invoke, here):
    assert invoke("stubs").exit_code == 0

    text = (here / "typings/nodegraph/python/methods.pyi").read_text()
    assert "def Steps(" in text
    assert "def KSampler(" not in text
