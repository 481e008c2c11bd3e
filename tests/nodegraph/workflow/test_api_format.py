"""The API format: what is read, what is refused, and that writing is its inverse."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.workflow.read import read_workflow, to_prompt

TEXT = {"1": {"class_type": "Add", "inputs": {"a": ["2", 0], "b": 3}}}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
links = st.builds(Link, st.text(), st.integers())
nodes = st.builds(
    Node,
    st.text(),
    st.text(),
    st.dictionaries(st.text(), values | links, max_size=4),
    st.none() | st.text(),
)
graphs = st.lists(nodes, max_size=5).map(lambda found: Graph({node.id: node for node in found}))


def read(value):
    return read_workflow(json.dumps(value).encode())


def codes(data):
    with pytest.raises(InvalidWorkflowError) as caught:
        read_workflow(data)
    return [problem.code for problem in caught.value.problems]


def test_reads_nodes_links_and_titles():
    graph = read({"1": TEXT["1"] | {"_meta": {"title": "sum"}}})

    assert graph.nodes["1"] == Node("1", "Add", {"a": Link("2", 0), "b": 3}, "sum")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([2, 0], Link("2", 0)),
        (["2", -1], Link("2", -1)),
        (["2", "0"], ["2", "0"]),
        (["2", 0, 0], ["2", 0, 0]),
        (["2", True], ["2", True]),
        ([True, 0], [True, 0]),
        ([], []),
        ({"__value__": ["2", 0]}, ["2", 0]),
        ({"__value__": 1, "more": 2}, {"__value__": 1, "more": 2}),
    ],
)
def test_only_a_pair_of_id_and_number_is_a_link(given, expected):
    graph = read({"1": {"class_type": "Add", "inputs": {"a": given}}})

    assert graph.nodes["1"].inputs["a"] == expected


def test_reads_what_is_submitted_over_http_with_the_editors_part():
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}}

    graph = read({"prompt": TEXT, "client_id": "x", "extra_data": extra})

    assert list(graph.nodes) == ["1"]
    assert graph.editor == {"nodes": []}


def test_extra_data_of_any_shape_is_passed_over():
    for extra in (None, [], {"extra_pnginfo": None}, {"extra_pnginfo": {"workflow": 3}}):
        assert read({"prompt": TEXT, "extra_data": extra}).editor is None


def test_a_node_may_be_called_prompt():
    assert list(read({"prompt": TEXT["1"]}).nodes) == ["prompt"]


def test_every_bad_node_is_named():
    broken = {"0": [], "2": {"inputs": {}}, "3": {"class_type": "A", "inputs": []}}
    broken |= {"4": {"class_type": 4}, **TEXT}

    with pytest.raises(InvalidWorkflowError) as caught:
        read(broken)

    found = [(problem.node_id, problem.code) for problem in caught.value.problems]
    assert found == [
        ("0", "invalid_prompt"),
        ("2", "missing_class_type"),
        ("3", "invalid_prompt"),
        ("4", "missing_class_type"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{nope",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"x"',
        b"3",
        b'{"1": {"class_type": "A", "class_type": "B"}}',
        b'{"1": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"[" * 100_000,
        b'{"1": {"class_type": "A", "inputs": {"a": ' + b"[" * 200 + b"]" * 200 + b"}}}",
        b'{"1": ' + b"9" * 5000 + b"}",
    ],
    ids=range(12),
)
def test_what_is_no_workflow_is_refused(data):
    assert codes(data) == ["invalid_prompt"]


def test_the_editor_format_is_named():
    assert codes(b'{"nodes": [], "links": []}') == ["editor_format"]


@pytest.mark.parametrize("node_id", ["__proto__", "constructor", "", " ", "\ud800", "a" * 10_000])
def test_any_string_is_an_id(node_id):
    graph = read({node_id: TEXT["1"]})

    assert list(to_prompt(graph)) == [node_id]


def test_nan_is_read_and_left_to_validation():
    data = b'{"1": {"class_type": "A", "inputs": {"a": NaN}, "is_changed": [NaN]}}'

    assert read_workflow(data).nodes["1"].inputs["a"] != 0


def test_a_large_file_is_read():
    text = "x" * 100_000
    prompt = {str(k): {"class_type": "A", "inputs": {"text": text}} for k in range(200)}

    assert len(read(prompt).nodes) == 200


def test_a_missing_file_is_refused(tmp_path):
    assert codes(tmp_path / "none.json") == ["invalid_prompt"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(graphs)
def test_writing_and_reading_gives_the_same_graph(graph):
    text = json.dumps(to_prompt(graph))

    # A node called "prompt", or one list called "nodes", is another format's mark.
    if not {"prompt", "nodes"} & set(graph.nodes):
        assert read_workflow(text.encode()) == graph


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.text().map(str.encode) | values.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_give_a_graph_or_a_refusal(data):
    with suppress(InvalidWorkflowError):
        read_workflow(data)
