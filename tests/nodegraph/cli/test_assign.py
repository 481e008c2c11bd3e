"""`--set` and `--seed` find what was meant, or say what would work."""

import pytest

from nodegraph.cli.assign import AssignmentError, assign, has_seed, set_seeds
from nodegraph.graph.graph import Graph, Link, Node
from tests.toys import BLANK, graph_of, registry_of

CATALOG = registry_of().catalog
TITLED = Graph(
    {
        "1": Node("1", "Blank", BLANK, "Canvas"),
        "1.2": Node("1.2", "Blank", BLANK, "My.Canvas"),
        "Canvas": Node("Canvas", "Blank", BLANK, "Twin"),
        "4": Node("4", "Blank", BLANK, "Twin"),
        "5": Node("5", "Unheard", {"a.b": 1, "seed": 3}, "k=v"),
    }
)


def inputs_after(assignment, node_id):
    return assign(TITLED, [assignment], CATALOG).nodes[node_id].inputs


@pytest.mark.parametrize(
    ("assignment", "node_id", "name"),
    [
        ("1.width=64", "1", "width"),
        ("1.2.width=64", "1.2", "width"),
        ("My.Canvas.width=64", "1.2", "width"),
        ("Canvas.width=64", "Canvas", "width"),
        ("5.a.b=64", "5", "a.b"),
        ("k=v.a.b=64", "5", "a.b"),
    ],
)
def test_the_longest_id_or_title_is_the_node(assignment, node_id, name):
    changed = assign(TITLED, [assignment], CATALOG)

    assert changed.nodes[node_id].inputs[name] == 64
    others = [key for key in TITLED.nodes if key != node_id]
    assert all(changed.nodes[key] == TITLED.nodes[key] for key in others)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a cat", "a cat"),
        ('"12"', "12"),
        ("12", 12),
        ("1e-3", 0.001),
        ("true", True),
        ("", ""),
        ("a=b", "a=b"),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
        ('["4", 0]', Link("4", 0)),
        ('["no node", 0]', ["no node", 0]),
        ("[1, 2]", [1, 2]),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_value_is_json_or_else_text(text, value):
    assert inputs_after(f"1.seed={text}", "1")["seed"] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", "true"),
        ("42", "42"),
        ("1e-3", "1e-3"),
        ("null", "null"),
        ("[1, 2]", "[1, 2]"),
        ('{"a": 1}', '{"a": 1}'),
        ('"42"', "42"),
        ('["4", 0]', Link("4", 0)),
    ],
)
@pytest.mark.parametrize("name", ["text", "method"])
def test_an_input_that_takes_text_gets_text(name, text, value):
    assert inputs_after(f"1.{name}={text}", "1")[name] == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("Canvs.width=1", "'Canvs'. Did you mean 'Canvas'?"),
        ("zzz.width=1", "There are: 1, 1.2, Canvas, 4, 5, Canvas"),
        ("1.widht=1", "Blank has no input 'widht'. Did you mean 'width'?"),
        ("1.zzz=1", "Its inputs: width, "),
        ("1.width", "has no value. It is written --set NODE.INPUT=VALUE"),
        ("Twin.width=1", "2 nodes have the title 'Twin'. Use an id: 'Canvas', '4'"),
        ("nonsense", "'nonsense'. It is written --set NODE.INPUT=VALUE"),
        ("nonsense=3.5", "'nonsense'. It is written --set NODE.INPUT=VALUE"),
        ("Canvas", "names a node, and none of its inputs. It is written --set NODE.INPUT=VALUE"),
        ("Canvas=3.5", "names a node, and none of its inputs. It is written --set NODE.INPUT="),
    ],
)
def test_says_what_would_work(assignment, message):
    with pytest.raises(AssignmentError) as caught:
        assign(TITLED, [assignment], CATALOG)
    assert message in str(caught.value)


def test_a_seed_replaces_every_literal_seed_and_no_link():
    graph = graph_of(
        literal=("Blank", {"seed": 1}),
        linked=("Blank", {"seed": Link("literal", 0)}),
        absent=("Blank", {}),
        foreign=("Unheard", {"noise_seed": 1}),
        none=("One", {}),
    )
    nodes = set_seeds(graph, 7, CATALOG).nodes

    assert nodes["literal"].inputs["seed"] == 7
    assert nodes["linked"].inputs["seed"] == Link("literal", 0)
    assert nodes["absent"].inputs["seed"] == 7
    assert nodes["foreign"].inputs == {"noise_seed": 7}
    assert nodes["none"].inputs == {}


def test_knows_whether_there_is_a_seed_to_set():
    assert has_seed(graph_of(a=("Blank", {"seed": 1})), CATALOG)
    assert not has_seed(graph_of(a=("One", {}), b=("Blank", {"seed": Link("a", 0)})), CATALOG)
