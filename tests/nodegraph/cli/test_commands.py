"""`validate`, `nodes`, `--help`, and what none of them may import."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "diffusers", "transformers", "numpy", "aiohttp", "networkx", "rich", "PIL"}
EVEN_PYDANTIC = HEAVY | {"pydantic", "importlib.metadata", "asyncio", "dataclasses"}
IMPORTED = """
import sys
from nodegraph.cli import cli
try:
    cli(sys.argv[1:])
except SystemExit as end:
    print(end.code, *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        (["--help"], EVEN_PYDANTIC),
        (["run", "--help"], EVEN_PYDANTIC),
        (["watch", "--help"], EVEN_PYDANTIC),
        (["app", "--help"], EVEN_PYDANTIC | {"gradio"}),
        (["--version"], HEAVY),
        (["nodes"], HEAVY),
        (["nodes", "Steps", "--json"], HEAVY),
        (["nodes", "--compare", "info.json"], HEAVY),
        (["validate", "workflow.json"], HEAVY),
        (["models", "list"], HEAVY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(invoke, here, simple, toys, args, unwanted):
    invoke("nodes")
    entry = {"input": {}, "name": "A", "display_name": "A", "category": "a"}
    outputs = {"output": [], "output_name": [], "output_is_list": []}
    (here / "info.json").write_text(json.dumps({"A": entry | outputs}))
    command = [sys.executable, "-c", IMPORTED, *args]
    environment = {"PYTHONPATH": ":".join([str(toys), *sys.path]), "NODEGRAPH_PACKS": "toys"}
    environment["NODEGRAPH_CACHE_DIR"] = str(toys / "cache")
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    code, *modules = child.stderr.splitlines()[-1].split()

    assert code == "0"
    assert unwanted.isdisjoint(modules)


def test_help_lists_every_command_with_what_it_does(invoke):
    text = invoke("--help").stdout

    for command in (
        "run",
        "validate",
        "explain",
        "nodes",
        "lock",
        "export-python",
        "models",
        "serve",
    ):
        assert f"\n  {command} " in text


def test_names_the_nearest_command(invoke):
    done = invoke("vaildate")

    assert done.exit_code == 2
    assert "No such command 'vaildate'. Did you mean 'validate'?" in done.stderr


def test_a_valid_workflow_is_called_so(invoke, simple):
    done = invoke("validate", "workflow.json")

    assert (done.exit_code, done.stdout, done.stderr) == (0, "workflow.json: valid, 2 nodes\n", "")


def test_every_problem_is_named_with_its_node(invoke, workflow):
    workflow(
        "bad.json",
        a=("Steps", {"steps": "many"}),
        b=("Steps", {"steps": 2000, "sed": 1}),
        out=("Write", {"text": ["a", 0]}),
        two=("Write", {"text": ["b", 0]}),
    )
    done = invoke("validate", "bad.json")

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 2
    assert "warning: " in done.stderr


@pytest.mark.parametrize("text", ["{", '{"1": {"class_type": "Write", "inputs": {}}}'])
def test_problems_as_json_are_all_on_stdout(invoke, here, text):
    (here / "bad.json").write_text(text)
    done = invoke("validate", "bad.json", "--json")
    answer = json.loads(done.stdout)

    assert done.exit_code == 2
    assert answer["valid"] is False
    assert answer["problems"][0].keys() >= {"code", "message", "hint", "node_id", "input_name"}
    assert done.stderr == ""


def test_a_file_that_is_not_there_is_a_problem_as_json(invoke, here):
    done = invoke("validate", "no.json", "--json")

    assert json.loads(done.stdout)["problems"][0]["code"] == "unknown_file"
    assert (done.exit_code, done.stderr) == (2, "")


def test_a_valid_workflow_as_json(invoke, simple):
    answer = json.loads(invoke("validate", simple, "--json").stdout)

    assert answer == {"valid": True, "problems": [], "warnings": []}


def test_node_types_are_listed_by_category(invoke):
    lines = invoke("nodes").stdout.splitlines()

    assert lines[0] == "test"
    assert lines[1] == "  Steps  Take some steps."


def test_a_node_type_is_shown_with_its_inputs_and_outputs(invoke):
    text = invoke("nodes", "Steps").stdout

    assert "  steps  INT    1 … 1000\n" in text
    assert "  seed   INT    optional; default 0\n" in text
    assert text.endswith("Outputs\n  STRING  STRING\n")


def test_a_node_type_as_json_is_its_spec(invoke):
    spec = json.loads(invoke("nodes", "Steps", "--json").stdout)

    assert [item["name"] for item in spec["inputs"]] == ["steps", "seed", "pause"]
    assert set(json.loads(invoke("nodes", "--json").stdout)) == {"Steps", "Write", "Peek", "Boom"}


def test_an_unknown_node_type_ends_with_2(invoke):
    done = invoke("nodes", "Step")

    assert done.exit_code == 2
    assert "Did you mean 'Steps'?" in done.stderr


def test_a_broken_pack_is_a_warning(invoke, here, toys, monkeypatch):
    broken = here / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[nodegraph.packs]\nbroken = no_such_pack\n")
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("NODEGRAPH_PACKS", "toys,broken")
    done = invoke("nodes")

    assert done.exit_code == 0
    assert "warning: The pack 'broken'" in done.stderr


def test_a_bad_setting_ends_with_2(invoke, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_OUTPUT", "x")
    done = invoke("nodes")

    assert done.exit_code == 2
    assert "'NODEGRAPH_OUTPUT'" in done.stderr
    assert "Did you mean 'output_dir'?" in done.stderr


@pytest.mark.parametrize("name", ["x" * 5000, ".", "nowhere/at/all.json"])
def test_a_workflow_that_can_not_be_read_is_one_clear_error(invoke, name):
    done = invoke("validate", name)

    assert done.exit_code == 2
    assert "[unknown_file]" in done.stderr
