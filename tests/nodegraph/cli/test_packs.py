"""`packs list`, `packs check`, `new-pack`."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def anywhere(here, monkeypatch):
    """All packs count, also those in the folder `packs`."""
    monkeypatch.delenv("NODEGRAPH_PACKS")
    monkeypatch.setenv("NODEGRAPH_PACKS_DIR", str(here / "packs"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return here


@pytest.fixture
def pack(invoke, anywhere):
    """A new pack's folder."""
    assert invoke("new-pack", "own_nodes").exit_code == 0
    return anywhere / "packs" / "own_nodes"


def test_a_new_pack_is_found_and_in_order(invoke, pack):
    listed = invoke("packs", "list")

    assert f"own_nodes 0.1.0: 1 node types, {pack}\n" in listed.stdout
    assert invoke("packs", "check", "own_nodes").stdout == "own_nodes: nothing to complain about\n"
    assert invoke("packs", "check", pack).exit_code == 0
    assert invoke("nodes", "OwnNodesDarken").exit_code == 0


def run_python(folder, *args):
    """Run `python -m` in a folder, which is then the first that Python looks into."""
    path = os.pathsep.join(item for item in sys.path if item)
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-m", *args]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_new_pack_passes_its_own_tests(pack, anywhere):
    done = run_python(anywhere, "pytest", "-q", "-p", "no:cacheprovider", str(pack))

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_new_pack_passes_its_own_tests_in_its_own_folder(pack):
    done = run_python(pack, "pytest", "-q", "-p", "no:cacheprovider")

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_built_in_nodes_are_found_in_a_new_pack_s_folder(pack):
    done = run_python(pack, "nodegraph", "nodes", "KSampler")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "KSampler" in done.stdout


def test_what_is_wrong_is_told_with_its_place(invoke, pack):
    nodes = pack / "node_types.py"
    text = nodes.read_text().replace(
        '    """Make pictures darker: 0 changes nothing, 1 is black."""', ""
    )
    more = "import pickle\nimport torch\nfrom nodes.builtin.sampling.ksampler import ksampler\n"
    nodes.write_text(f"{text}\n{more}torch.load\nif 0:\n    torch.load('x')\n")
    done = invoke("packs", "check", "own_nodes", "--json")
    found = {item["where"].removeprefix(f"{nodes}:"): item for item in json.loads(done.stdout)}
    line = nodes.read_text().splitlines().index("import pickle") + 1

    assert done.exit_code == 1
    assert "runs code" in found[str(line)]["message"]
    assert "not public" in found[str(line + 2)]["message"]
    assert "weights_only" in found[str(line + 5)]["message"]
    assert found["OwnNodesDarken"]["level"] == "warning"


def test_a_name_that_is_taken_is_an_error(invoke, pack):
    nodes = pack / "node_types.py"
    nodes.write_text(nodes.read_text().replace("OwnNodesDarken", "KSampler"))

    done = invoke("packs", "check", "own_nodes")
    listed = invoke("packs", "list")
    nodes.write_text(nodes.read_text().replace("KSampler", "ToBasicPipe"))
    in_place_of_ours = invoke("packs", "check", "own_nodes")

    assert "ToBasicPipe: error" not in in_place_of_ours.stdout, "our stand-in gives way"
    assert done.exit_code == 1
    assert "KSampler: error: the pack 'nodes' has a node type of this name" in done.stdout
    assert "left out: both the pack 'nodes' and the pack 'own_nodes' declare" in listed.stdout


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def", "this is not valid Python"),
        ("import os; os._exit(3)", "cannot be loaded"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_pack_that_breaks_is_told_and_hurts_nobody(invoke, pack, code, message):
    (pack / "node_types.py").write_text(code)

    done = invoke("packs", "check", "own_nodes")

    assert done.exit_code == 1
    assert message in done.stdout
    assert "left out: " in invoke("packs", "list").stdout


def test_what_changes_other_modules_is_told(invoke, pack):
    with (pack / "node_types.py").open("a") as file:
        file.write("import torch.nn as nn\nnn.Linear.forward = None\nsetattr(nn, 'Conv2d', 1)\n")

    done = invoke("packs", "check", "own_nodes")

    assert done.exit_code == 0
    assert "warning: it replaces torch.nn.Linear.forward for the whole process" in done.stdout
    assert "warning: it replaces torch.nn for the whole process" in done.stdout


@pytest.mark.slow
def test_the_built_in_pack_may_import_all_of_the_project(invoke):
    assert "is not public" not in invoke("packs", "check", "nodes").stdout


def test_a_pack_is_not_made_twice_nor_with_a_bad_name(invoke, pack):
    assert "exists already" in invoke("new-pack", "own_nodes").stderr
    assert "is not a valid name for a pack" in invoke("new-pack", "Own-Nodes").stderr
    assert "No pack 'gone' is installed" in invoke("packs", "check", "gone").stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ünï", "Use small letters (a to z)"),
        ("2nd", "a letter first"),
        ("own_", "no underscore last"),
        ("class", "it is a keyword of Python"),
        ("json", "Python has a module of this name"),
        ("nodes", "a module has it already"),
        ("server", "a module has it already"),
        ("nodegraph", "a module has it already"),
        ("torch", "a module has it already"),
    ],
)
def test_a_name_that_can_not_work_is_refused(invoke, anywhere, name, reason):
    done = invoke("new-pack", name)

    assert done.exit_code != 0
    assert f"{name!r} is not a valid name for a pack" in done.stderr
    assert reason in done.stderr
    assert not (anywhere / "packs" / name).exists()


def test_a_folder_of_the_pack_s_name_is_no_module(invoke, anywhere, monkeypatch):
    (anywhere / "my_own").mkdir()
    monkeypatch.chdir(anywhere)
    monkeypatch.syspath_prepend(anywhere)

    assert invoke("new-pack", "my_own", "--folder", "my_own").exit_code == 0


def test_a_folder_of_an_installed_module_s_name_is_one(invoke, anywhere, monkeypatch):
    (anywhere / "site" / "my_own").mkdir(parents=True)
    monkeypatch.chdir(anywhere)
    monkeypatch.syspath_prepend(anywhere / "site")

    assert "a module has it already" in invoke("new-pack", "my_own").stderr


def test_python_packages_that_are_missing_are_told(invoke, pack):
    (pack / "requirements.txt").write_text("a-package-that-nobody-has>2\nnumpy<1")

    listed = invoke("packs", "list").stdout
    packs = json.loads(invoke("packs", "list", "--json").stdout)["packs"]
    (data,) = [each for each in packs if each["name"] == "own_nodes"]
    checked = invoke("packs", "check", "own_nodes")

    install = f"{sys.executable} -m pip install 'a-package-that-nobody-has>2'"
    assert "its requirements.txt names, not installed: a-package-that-nobody-has>2\n" in listed
    assert f"to install: {install}\n" in listed
    assert data["install"] == [install]
    assert [each["requirement"] for each in data["unmet_requirements"]][1] == "numpy<1"
    assert checked.exit_code == 0
    assert "warning: its requirements.txt names, not installed" in checked.stdout


def test_a_pack_for_comfyui_is_checked_by_its_name(invoke, anywhere, monkeypatch):
    folder = anywhere / "custom_nodes"
    monkeypatch.setenv("NODEGRAPH_CUSTOM_NODES_DIR", str(folder))
    (folder / "theirs").mkdir(parents=True)
    (folder / "theirs" / "__init__.py").write_text("import a_package_that_nobody_has, pickle\n")

    checked = invoke("packs", "check", "theirs")

    assert checked.exit_code == 1
    assert checked.stdout.count("error:") == 1
    assert "not installed: a_package_that_nobody_has" in checked.stdout
    assert "pip install" not in checked.stdout


def test_a_node_type_that_is_left_out_is_told_with_the_reason(invoke, pack, anywhere):
    init = pack / "__init__.py"
    text = init.read_text().rstrip()
    assert text.endswith(")")
    init.write_text(f'{text[:-1]}, left_out={{"OwnGone": "KeyError: \'required\'"}})')
    (anywhere / "graph.json").write_text('{"1": {"class_type": "OwnGone", "inputs": {}}}')

    listed = invoke("packs", "list").stdout
    checked = invoke("packs", "check", "own_nodes")
    validated = invoke("validate", str(anywhere / "graph.json"))

    assert "the node type OwnGone is left out: KeyError: 'required'" in listed
    assert checked.exit_code == 1
    assert "OwnGone: error: it is left out: KeyError: 'required'" in checked.stdout
    assert "The pack 'own_nodes' has it" in validated.output
    assert "KeyError: 'required'" in validated.output
