"""Content keys: what changes them, and what must not."""

import pytest

from nodegraph.definition.node import node
from nodegraph.execution.steps import Steps
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.runtime.choices import Attention
from nodegraph.validation.validate import check
from tests.toys import BLANK, add, chain_of, files_in, graph_of, registry_of


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


def keys(files, graph, registry=None, attention: Attention = "sdpa", run="run"):
    """The key of every node, after validation as the engine does it."""
    registry = registry or registry_of()
    steps = Steps(registry, files, attention, run)
    steps.add(check(graph, registry, files, graph.nodes).graph.nodes)
    return {node_id: step.key for node_id, step in steps.by_id.items()}


def sums(**inputs):
    return graph_of(x=("Add", {"a": 1, "b": 2} | inputs), y=("Add", {"a": Link("x", 0)}))


def test_ids_titles_and_the_order_of_inputs_do_not_enter(files):
    other = {
        "7": Node("7", "Add", {"b": 2, "a": 1}, title="sum"),
        "8": Node("8", "Add", {"a": Link("7", 0)}),
    }

    one, two = keys(files, sums()), keys(files, Graph(other))

    assert (one["x"], one["y"]) == (two["7"], two["8"])


def test_a_default_is_the_same_as_its_value_and_so_is_a_converted_literal(files):
    one = keys(files, graph_of(x=("Add", {"a": 1})))
    two = keys(files, graph_of(x=("Add", {"a": "1", "b": 10.0})))

    assert one == two


def test_a_literal_changes_its_node_and_all_that_hangs_on_it(files):
    one, two = keys(files, sums()), keys(files, sums(b=3))

    assert one["x"] != two["x"]
    assert one["y"] != two["y"]


def test_the_output_that_is_linked_matters(files):
    def of(output):
        nodes = {"x": ("Blank", BLANK), "y": ("Split", {"image": Link("x", 0)})}
        return keys(files, graph_of(**nodes, z=("Show", {"value": Link("y", output)})))["z"]

    assert of(0) != of(1)


def test_no_string_passes_for_a_link_or_for_two_inputs(files):
    upstream = keys(files, sums())["x"]
    texts = [f"@{upstream}.0", "1\n2", "1", '"1"', 'x"\n"value":"y']

    found = {keys(files, graph_of(z=("Show", {"value": text})))["z"] for text in texts}
    found.add(keys(files, graph_of(z=("Show", {"value": 1})))["z"])

    assert len(found) == len(texts) + 1


def test_the_version_and_the_kernels_of_attention_enter(files):
    newer = node("Add2", category="test", version="2.0")(add.function)
    older = node("Add2", category="test")(add.function)
    graph = graph_of(x=("Add2", {"a": 1}))

    found = [keys(files, graph, registry_of(kind)) for kind in (newer, older)]
    found.append(keys(files, graph, registry_of(older), attention="math"))

    assert len({each["x"] for each in found}) == 3


def test_a_files_content_enters_and_its_name_too(files, tmp_path):
    path = tmp_path / "input/a.txt"
    graph = graph_of(x=("Open", {"image": "a.txt"}))
    found = []
    for text in ("one", "other", "one"):
        path.write_text(text)
        found.append(keys(files, graph)["x"])

    assert found[0] == found[2] != found[1]


def test_a_file_whose_name_comes_along_a_link_is_read_anew_by_every_run(files):
    graph = graph_of(n=("Show", {"value": "a.txt"}), x=("Open", {"image": Link("n", 0)}))

    one, two = keys(files, graph, run="one"), keys(files, graph, run="two")

    assert one["n"] == two["n"]
    assert one["x"] != two["x"]


def test_outside_state_enters(files):
    moods = iter(["calm", "wild"])
    kind = node("Mood", category="test", state=lambda inputs, files: next(moods))(add.function)
    registry = registry_of(kind)
    graph = graph_of(x=("Mood", {"a": 1}))

    assert keys(files, graph, registry) != keys(files, graph, registry)


def test_a_node_that_is_never_cached_gets_a_key_a_run(files):
    graph = graph_of(x=("Random", {}), y=("Random", {}), z=("Show", {"value": Link("x", 0)}))

    one, two = keys(files, graph, run="one"), keys(files, graph, run="two")

    assert len({*one.values(), *two.values()}) == 6
    assert keys(files, graph, run="one") == one


def test_keys_of_a_long_chain_need_no_recursion(files):
    assert len(set(keys(files, chain_of(10_000)).values())) == 10_000
