"""Models that a workflow lists with an address: found, downloaded, checked, put in place."""

import shutil
from typing import Any

import pytest

from nodegraph.errors import NodeGraphError, WrongHashError
from nodegraph.graph.graph import Graph, Node
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.validation.downloads import Download, downloads_for, fetch
from tests.nodes.models.hub.server import sha256

HUB = "https://huggingface.co/us/ink/resolve/main/sub/ink.safetensors?download=true"
SPEC = NodeSpec(
    name="Load",
    display_name="Load",
    category="test",
    description="",
    module="m",
    inputs=(InputSpec(name="lora_name", socket="COMBO", model_folder="loras"),),
    outputs=(),
)


def listing(**entry):
    """A workflow that lists one model."""
    given = {"name": "ink.safetensors", "url": HUB, "directory": "loras"} | entry
    return Graph({}, {"nodes": [{"type": "Load", "properties": {"models": [given]}}]})


def wanted(files, graph) -> list[Any]:
    return list(downloads_for(graph, {"Load": SPEC}, files))


def test_a_model_that_is_not_here_is_downloaded_into_its_folder(hub, files, watch, tmp_path):
    hub.repo("us/ink").commit({"sub/ink.safetensors": b"ink"})
    (download,) = wanted(files, listing(hash=sha256(b"ink").upper(), hash_type="SHA256"))

    path = fetch(download, files, watch)

    assert path == tmp_path / "models/loras/ink.safetensors"
    assert path.read_bytes() == b"ink"
    assert watch.progressed[-1] == (1, 1)
    assert wanted(files, listing()) == []
    assert fetch(download, files, watch) == path


def test_one_with_another_hash_than_the_workflow_says_is_not_put_there(hub, files, watch, tmp_path):
    hub.repo("us/ink").commit({"sub/ink.safetensors": b"other"})
    (download,) = wanted(files, listing(hash=sha256(b"ink"), hash_type="SHA256"))

    with pytest.raises(WrongHashError, match="the workflow says"):
        fetch(download, files, watch)
    assert not (tmp_path / "models/loras/ink.safetensors").exists()


def test_where_links_do_not_work_it_is_copied(hub, files, watch, monkeypatch):
    hub.repo("us/ink").commit({"sub/ink.safetensors": b"ink"})
    (download,) = wanted(files, listing())

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("nodegraph.validation.downloads.Path.symlink_to", refuse)
    path = fetch(download, files, watch)

    assert not path.is_symlink()
    assert [item.name for item in path.parent.iterdir()] == ["ink.safetensors"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"url": "https://models.test/ink.safetensors"}, "it is not on huggingface.co"),
        ({"url": HUB.replace("https", "http")}, "it is not on huggingface.co"),
        ({"url": "https://huggingface.co.evil.test/us/ink/resolve/main/x.gguf"}, "it is not on"),
        ({"url": "https://huggingface.co/us/ink"}, "the address names no file of a repository"),
        ({"url": HUB.replace(".safetensors", ".ckpt")}, "it is neither safetensors nor GGUF"),
        ({"name": "../../ink.safetensors"}, "refused"),
        ({"directory": "../loras"}, "refused"),
        ({"name": "/etc/ink.safetensors"}, "refused"),
        ({"url": "https://huggingface.co/us/in k/resolve/main/x.gguf"}, "no reference"),
        ({"url": "https://huggingface.co/us/ink/resolve/main/%2e%2e/x.gguf"}, "no reference"),
    ],
)
def test_other_addresses_and_names_that_lead_elsewhere_are_refused(entry, message, files):
    (problem,) = wanted(files, listing(**entry))

    assert isinstance(problem, NodeGraphError)
    assert message in problem.message


def test_references_that_nodes_name_are_downloaded_once_into_the_cache(hub, files, watch):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    name = f"hf://us/ink@main/ink.safetensors#sha256={sha256(b'ink')}"
    nodes = {key: Node(key, "Load", {"lora_name": name}) for key in "12"}
    graph = Graph(nodes | {"3": Node("3", "Load", {"lora_name": "plain.safetensors"})})

    (download,) = wanted(files, graph)
    path = fetch(download, files, watch)

    assert isinstance(download, Download)
    assert path.read_bytes() == b"ink"
    assert wanted(files, graph) == []
    shutil.rmtree(path.parent.parent.parent)
