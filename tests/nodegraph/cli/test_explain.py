"""`nodegraph explain`: what a workflow would do, as text and as JSON."""

import json
import re
import subprocess
import sys

import pytest
import torch

from nodegraph.cache.disk import DiskResults
from nodegraph.cache.entry import entry_of
from nodegraph.cli.explanation.kept_results import kept_results
from nodegraph.settings.settings import Settings
from tests.nodegraph.cli.test_commands import HEAVY, IMPORTED
from tests.nodegraph.drawn import drawn, item

CHAIN = {
    "a": ("Steps", {"steps": 3}),
    "b": ("Steps", {"steps": 5}),
    "out": ("Write", {"text": ["a", 0]}),
    "other": ("Write", {"text": ["b", 0]}),
}


@pytest.fixture
def explain(invoke, workflow):
    """What `explain --json` says of some nodes."""

    def call(*args, **nodes):
        done = invoke("explain", workflow(**nodes), "--json", *args)
        return json.loads(done.stdout)

    return call


def by_id(found):
    return {node["id"]: node for node in found["nodes"]}


def test_nodes_are_listed_in_the_order_in_which_they_run(invoke, workflow, explain):
    nodes = {"last": ("Write", {"text": "x"}), "spare": ("Steps", {"steps": 1}), **CHAIN}
    listed = [node["id"] for node in explain(**nodes)["nodes"]]
    lines = invoke("run", workflow(**nodes), "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    ran = [event["node_id"] for event in events if event["event"] == "node_started"]

    assert [*ran, "spare"] == listed


def test_the_text_says_what_runs_where_inputs_come_from_and_the_critical_path(invoke, workflow):
    done = invoke("explain", workflow(**CHAIN))

    assert done.exit_code == 0, done.output
    assert "4 nodes, 2 outputs, valid" in done.stdout
    assert "1.   node a  Steps  (3 steps)\n" in done.stdout
    assert "3. * node b  Steps  (5 steps)\n" in done.stdout
    assert "text <- node b, STRING\n" in done.stdout
    assert (
        "Critical path (2 nodes, 5 steps; length 7):\n  b (Steps) -> other (Write)" in done.stdout
    )
    assert "Cached before it runs: nothing." in done.stdout


def test_nodes_that_no_output_needs_do_not_run(explain):
    found = explain(**CHAIN, spare=("Steps", {"steps": 900}))

    assert by_id(found)["spare"]["status"] == "not_needed"
    assert found["critical_path"] == {"nodes": ["b", "other"], "length": 7}


def test_what_is_computed_once_is_what_the_run_computes_once(invoke, workflow):
    nodes = {
        "a": ("Steps", {"steps": 3}),
        "twin": ("Steps", {"steps": 3, "seed": 0}),
        "else": ("Steps", {"steps": 3, "seed": 1}),
        "one": ("Write", {"text": ["a", 0]}),
        "two": ("Write", {"text": ["twin", 0], "filename_prefix": "two"}),
        "three": ("Write", {"text": ["else", 0], "filename_prefix": "three"}),
    }
    path = workflow(**nodes)
    found = by_id(json.loads(invoke("explain", path, "--json").stdout))
    events = [json.loads(line) for line in invoke("run", path, "--json").stdout.splitlines()]
    cached = [event["node_id"] for event in events if event["event"] == "node_cached"]

    assert cached == [node["id"] for node in found.values() if node["status"] == "repeats"]
    assert cached == ["twin"]
    assert found["twin"]["repeats"] == "a"


def test_it_says_where_a_run_would_go_and_why(invoke, workflow, explain, here):
    described = {
        "input": {"required": {"text": ["STRING", {"default": "x"}]}},
        "output": ["STRING"],
        "output_name": ["STRING"],
        "output_is_list": [False],
        "name": "",
        "display_name": "",
        "category": "",
    }
    theirs = {"Theirs": described, "Write": {**described, "output": [], "output_node": True}}
    (here / "theirs.json").write_text(json.dumps(theirs))
    nodes = {"a": ("Theirs", {}), "out": ("Write", {"text": ["a", 0]})}

    there = explain("--comfyui", "main=theirs.json", **nodes)
    both = explain("--comfyui", "theirs.json", "--prefer", "comfyui", out=("Write", {"text": "x"}))
    text = invoke("explain", workflow(**CHAIN), "--comfyui", "theirs.json").stdout

    assert (there["valid"], there["servers"]) == (True, ["main"])
    assert there["why"] == "'Theirs' is not here, but on 'main'."
    assert both["servers"] == ["theirs.json"]
    assert "Runs here. All node types are here.\n" in text
    assert explain(**CHAIN)["why"] == ""


def test_without_a_result_cache_equal_nodes_are_all_computed(explain, monkeypatch):
    twins = {"a": ("Steps", {"steps": 3}), "b": ("Steps", {"steps": 3})}
    outs = {f"out{k}": ("Write", {"text": [k, 0], "filename_prefix": k}) for k in twins}
    monkeypatch.setenv("NODEGRAPH_RESULT_CACHE", "0")

    assert [node["status"] for node in explain(**twins, **outs)["nodes"]] == ["runs"] * 4


def test_it_says_where_results_are_kept_and_what_is_on_the_disk(
    invoke, workflow, tmp_path, monkeypatch
):
    path = workflow(a=("Write", {"text": "x"}))
    monkeypatch.setenv("NODEGRAPH_RESULT_CACHE", "3GiB")
    plain = json.loads(invoke("explain", path, "--json").stdout)
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_DISK_RESULT_CACHE", "2MiB")
    made = entry_of((torch.ones(1024),), None, 1.0)
    made.key = "x"
    assert DiskResults(tmp_path / "cache/results", 2 << 20, str).write(made)
    (host, disk) = json.loads(invoke("explain", path, "--json").stdout)["results"]
    text = invoke("explain", path).stdout

    assert [place["place"] for place in plain["results"]] == ["host"]
    assert "not known" not in plain["cached"]["why"]
    assert (host["setting"], host["limit"]) == ("result_cache", "3.0 GiB")
    assert (disk["place"], disk["entries"], disk["nbytes"] > 4096) == ("disk", 1, True)
    assert re.search(r"\n  host: up to 3\.0 GiB \(result_cache\)\n  disk: up to 2\.0 MiB", text)
    assert re.search(r"\(disk_result_cache\), now 1 of 4\.\d KiB together", text)
    assert "Cached before it runs: not known." in text


def test_on_an_accelerator_results_have_a_limit_there(tmp_path):
    settings = Settings(cache_dir=tmp_path, device_result_cache="25%")

    assert [place.place for place in kept_results(settings, "mps")] == ["host"]
    assert kept_results(settings, "cuda")[0][:3] == ("cuda", "device_result_cache", SHARE)
    assert kept_results(Settings(result_cache=0), "cuda") == ()


SHARE = "25% of its memory"


def test_of_a_range_of_steps_those_in_it_count_and_linked_steps_are_not_guessed(explain):
    part = {"steps": 20, "start_at_step": 5, "end_at_step": 10_000}
    rest = {"steps": 20, "start_at_step": 18, "end_at_step": 12}
    found = by_id(
        explain(
            a=("Boom", {"text": "", **part}),
            b=("Boom", {"text": "", **rest}),
            c=("Steps", {"steps": ["a", 0]}),
        )
    )

    assert [found[node_id]["steps"] for node_id in "abc"] == [15, 0, None]


def test_an_invalid_workflow_is_explained_as_far_as_it_goes(invoke, workflow):
    path = workflow(
        a=("Steps", {"steps": 5000}),
        what=("Whatever", {"x": ["a", 0]}),
        out=("Write", {"text": ["a", 0]}),
        lost=("Write", {"text": ["nowhere", 0]}),
    )
    done = invoke("explain", path)
    checked = invoke("validate", path)

    assert done.exit_code == 2
    assert done.stderr == checked.stderr
    assert "not valid" in done.stdout
    assert "node a  Steps  (5,000 steps, has a problem)" in done.stdout
    assert "node what  Whatever  (has a problem)" in done.stdout
    assert "text <- node nowhere, output 0" in done.stdout


def test_a_graph_that_loops_has_no_critical_path(explain, invoke):
    nodes = {
        "a": ("Boom", {"text": ["b", 0]}),
        "b": ("Boom", {"text": ["a", 0]}),
        "out": ("Write", {"text": ["a", 0]}),
    }
    found = explain(**nodes)
    done = invoke("explain", "workflow.json")

    assert found["problems"][0]["details"]["path"] == ["a", "b", "a"]
    assert found["critical_path"]["nodes"] == []
    assert "Critical path: none, for the graph loops." in done.stdout
    assert "Nothing can run, for the graph loops." in done.stdout
    assert "Runs, in this order" not in done.stdout


def test_takes_the_editor_format_and_stdin(invoke):
    steps = item(1, "Steps", outputs="STRING", values=[3, 5, "randomize", 0.0], title="Work")
    write = item(2, "Write", "text:STRING=1", outputs="", values=["", "drawn"])
    text = json.dumps(drawn(steps, write, links=[[1, 1, 0, 2, 0, "STRING"]]))
    done = invoke("explain", "-", input=text)

    assert done.exit_code == 0, done.output
    assert '1. * node 1  Steps  "Work"  (3 steps)' in done.stdout


def test_what_is_no_workflow_is_refused(invoke, here):
    (here / "bad.json").write_text("{")
    done = invoke("explain", "bad.json")

    assert done.exit_code == 2
    assert done.stdout == ""
    assert "error: " in done.stderr


def test_titles_can_not_write_to_the_terminal(invoke, workflow, here):
    path = workflow(**CHAIN)
    data = json.loads(path.read_text())
    data["a"]["_meta"] = {"title": "bell \x07"}
    path.write_text(json.dumps(data))

    assert "\x07" not in invoke("explain", path).stdout


@pytest.mark.parametrize(
    ("args", "code", "imported"),
    [
        (["--help"], "0", False),
        (["explain", "--help"], "0", False),
        (["validate", "workflow.json"], "0", False),
        (["explain", "workflow.json"], "0", True),
        (["validate", "loop.json"], "2", True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_networkx_is_imported_only_to_explain_and_to_name_a_loop(
    invoke, workflow, toys, args, code, imported
):
    workflow(**CHAIN)
    workflow("loop.json", a=("Boom", {"text": ["a", 0]}), out=("Write", {"text": ["a", 0]}))
    invoke("nodes")
    command = [sys.executable, "-c", IMPORTED, *args]
    environment = {"PYTHONPATH": ":".join([str(toys), *sys.path]), "NODEGRAPH_PACKS": "toys"}
    environment["NODEGRAPH_CACHE_DIR"] = str(toys / "cache")
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ended, *modules = child.stderr.splitlines()[-1].split()

    assert ended == code
    assert ("networkx" in modules) is imported
    assert (HEAVY - {"networkx"}).isdisjoint(modules)


@pytest.mark.slow
def test_ten_thousand_nodes_are_explained_and_drawn(invoke, workflow, here):
    nodes = {"0": ("Boom", {"text": "x"})}
    nodes |= {str(k): ("Boom", {"text": [str(k - 1), 0]}) for k in range(1, 10_000)}
    path = workflow(**nodes, out=("Write", {"text": ["9999", 0]}))

    done = invoke("explain", path, "--draw", "chain.svg")

    assert done.exit_code == 0, done.output
    assert "Critical path (10,001 nodes; length 10,001)" in done.stdout
    assert (here / "chain.svg").stat().st_size < 20 << 20
