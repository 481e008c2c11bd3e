"""Lock files: what a workflow was made with, and what differs now."""

import json

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.execution.lockfile import Lock, LockFileError, lock_path
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt
from tests.toys import files_in, load, open_file, show

REGISTRY = Registry.from_types(load, open_file, show)


@pytest.fixture
def files(tmp_path):
    files = files_in(tmp_path)
    for folder, name in ((files.folders.models[0] / "checkpoints", "a.safetensors"),):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"weights")
    files.folders.input.mkdir(parents=True, exist_ok=True)
    (files.folders.input / "b.txt").write_text("text")
    return files


@pytest.fixture
def graph():
    return read_prompt(
        {
            "1": {"class_type": "Load", "inputs": {"name": "a.safetensors"}},
            "2": {"class_type": "Open", "inputs": {"image": "b.txt"}},
            "3": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
        }
    )


def test_names_everything_and_reads_back(files, graph, tmp_path):
    lock = Lock.from_graph(graph, REGISTRY, files)
    path = tmp_path / "x.lock.json"
    path.write_text(lock.text())

    assert Lock.read(path) == lock
    assert lock.drift(Lock.from_graph(graph, REGISTRY, files)) == []
    assert set(lock.nodes) == {"Load", "Open", "Show"}
    assert set(lock.models) == {"checkpoints/a.safetensors"}
    assert set(lock.inputs) == {"b.txt"}
    assert lock.packages["torch"].startswith("2.")


def test_every_difference_is_told(files, graph, tmp_path):
    lock = Lock.from_graph(graph, REGISTRY, files)
    data = json.loads(lock.text())
    data["nodes"]["Show"] = "version 0.9"
    data["packages"]["torch"] = "1.0"
    path = tmp_path / "x.lock.json"
    path.write_text(json.dumps(data))
    (files.folders.models[0] / "checkpoints" / "a.safetensors").write_bytes(b"other weights")

    drift = Lock.read(path).drift(Lock.from_graph(graph, REGISTRY, files))

    assert [problem.details["what"] for problem in drift] == [
        "node type Show",
        "the model checkpoints/a.safetensors",
        "torch",
    ]
    assert drift[0].details["locked"] == "version 0.9"


def test_a_model_that_was_not_locked_is_a_difference(files, graph):
    lock = Lock.from_graph(graph, REGISTRY, files)
    (files.folders.models[0] / "checkpoints" / "c.safetensors").write_bytes(b"c")
    more = read_prompt({"1": {"class_type": "Load", "inputs": {"name": "c.safetensors"}}})

    (problem,) = lock.drift(Lock.from_graph(more, REGISTRY, files))

    assert "was not there when the workflow was locked" in problem.message


def test_what_is_not_there_can_not_be_locked(files):
    graph = read_prompt(
        {
            "1": {"class_type": "Load", "inputs": {"name": "gone.safetensors"}},
            "2": {"class_type": "Gone", "inputs": {}},
        }
    )

    with pytest.raises(InvalidWorkflowError) as caught:
        Lock.from_graph(graph, REGISTRY, files)

    assert [problem.node_id for problem in caught.value.problems] == ["1", "2"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "nodes": {"a": 1}}']
)
def test_what_is_no_lock_file_is_refused(text, tmp_path):
    path = tmp_path / "x.lock.json"
    path.write_text(text)

    with pytest.raises(LockFileError, match=r"x\.lock\.json"):
        Lock.read(path)


def test_the_lock_file_lies_beside_the_workflow(tmp_path):
    assert lock_path(tmp_path / "a.json") == tmp_path / "a.lock.json"
    assert lock_path(tmp_path / "a.png") == tmp_path / "a.png.lock.json"
