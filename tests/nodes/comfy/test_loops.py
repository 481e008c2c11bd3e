"""Loops of packs: a node gets links themselves, and expands to the next turn of its loop."""

from typing import Any

import pytest

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt

PACK = '''
from comfy_execution.graph_utils import GraphBuilder, is_link


class Node:
    RETURN_TYPES = ("*", "*")
    FUNCTION = "run"
    CATEGORY = "toys"


class Begin(Node):
    """Gives the turns that are left, and the value so far."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"left": ("INT",), "value": ("*",)}}

    def run(self, left, value):
        return left, value


class End(Node):
    """Repeats everything between it and the beginning of the loop."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"begin": ("*", {"rawLink": True}), "left": ("INT",), "value": ("*",)},
            "hidden": {"graph": "DYNPROMPT", "me": "UNIQUE_ID"},
        }

    def run(self, begin, left, value, graph, me):
        if left <= 0:
            return value, graph.get_display_node_id(me)
        builder = GraphBuilder()
        inside = between(graph, begin[0], me)
        for name in inside:
            builder.node(graph.get_node(name)["class_type"], "again" if name == me else name)
        for name in inside:
            copy = builder.lookup_node("again" if name == me else name)
            for key, given in graph.get_node(name)["inputs"].items():
                inner = is_link(given) and given[0] in inside
                copy.set_input(key, builder.lookup_node(given[0]).out(given[1]) if inner else given)
        builder.lookup_node(begin[0]).set_input("left", left)
        builder.lookup_node(begin[0]).set_input("value", value)
        again = builder.lookup_node("again")
        return {"result": (again.out(0), again.out(1)), "expand": builder.finalize()}


def between(graph, first, last):
    """The nodes of a loop: those on a way from the first to the last."""
    found = {first: True, last: True}

    def visit(name):
        if name not in found:
            links = [v[0] for v in graph.get_node(name)["inputs"].values() if is_link(v)]
            found[name] = any([visit(each) for each in links])
        return found[name]

    for given in graph.get_node(last)["inputs"].values():
        if is_link(given):
            visit(given[0])
    return [name for name, inside in found.items() if inside]


class Add(Node):
    """Adds; the values are of a class that JSON can not carry."""

    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",), "more": ("*",)}}

    def run(self, value, more):
        return (value + more,)


class Complex(Node):
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT",)}}

    def run(self, value):
        return (complex(value),)


class Raw(Node):
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"link": ("*", {"rawLink": True})}, "hidden": {"me": "UNIQUE_ID"}}

    def run(self, link, me):
        return (repr((link, me)),)


class Twice(Node):
    """Links to a node outside by the id that one of its own nodes would have."""

    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"link": ("*", {"rawLink": True})}}

    def run(self, link):
        builder = GraphBuilder()
        node = builder.node("Add", value=link, more=link)
        other = GraphBuilder()
        both = other.node("Add", value=node.out(0), more=link)
        return {"result": (both.out(0),), "expand": {**builder.finalize(), **other.finalize()}}


class Counts(Node):
    """Counts its calls, and is called anew in each run."""

    RETURN_TYPES = ("INT",)
    calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls):
        return float("nan")

    def run(self):
        Counts.calls += 1
        return (Counts.calls,)


kinds = (Begin, End, Add, Complex, Raw, Twice, Counts)
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in kinds}
'''


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def engine(import_pack, host_settings):
    """An engine with the pack alone."""
    types = import_pack(PACK)
    return Engine(Registry.from_types(*types.values()), host_settings.files())


def loop(turns: int) -> dict[str, Any]:
    """A loop that adds 5 in each turn, and one more at its end."""
    return {
        "1": node("Complex", value=5.0),
        "2": node("Begin", left=turns, value=["1", 0]),
        "3": node("Add", value=["2", 1], more=["1", 0]),
        "4": node("Add", value=["2", 0], more=-1),
        "5": node("End", begin=["2", 0], left=["4", 0], value=["3", 0]),
    }


@pytest.mark.parametrize("turns", [1, 3, 60])
def test_a_loop_repeats_the_nodes_between_its_ends(engine, turns):
    result = engine.run(read_prompt(loop(turns)), targets=["5"])

    assert result.outputs["5"] == (complex(5 + 5 * turns), "5")


def test_a_loop_that_ran_is_not_run_again(engine):
    engine.run(read_prompt(loop(3)), targets=["5"])

    assert engine.run(read_prompt(loop(3)), targets=["5"]).executed == 0


def test_a_raw_link_is_given_itself_and_its_source_runs_first(engine):
    graph = {"a": node("Complex", value=1.0), "b": node("Raw", link=["a", 0])}
    result = engine.run(read_prompt(graph), targets=["b"])

    assert result.outputs["b"] == ("(['a', 0], 'b')",)
    assert result.executed == 2


def test_results_that_depend_on_ids_are_not_those_of_nodes_with_other_ids(engine):
    for name in ("a", "c"):
        graph = {name: node("Complex", value=1.0), "b": node("Raw", link=[name, 0])}
        outputs = engine.run(read_prompt(graph), targets=["b"]).outputs

        assert outputs["b"] == (f"([{name!r}, 0], 'b')",)


def test_a_node_that_asks_for_its_id_gets_its_own_though_an_equal_one_ran(engine):
    for name in ("b", "c"):
        outputs = engine.run(read_prompt({name: node("Raw", link=4)}), targets=[name]).outputs

        assert outputs[name] == (f"(4, {name!r})",)


def test_a_literal_for_a_raw_link_is_given_as_it_is(engine):
    graph = {"b": node("Raw", link=4)}

    assert engine.run(read_prompt(graph), targets=["b"]).outputs["b"] == ("(4, 'b')",)


@pytest.mark.parametrize("name", ["1", "Add"])
def test_an_expansion_links_to_nodes_that_are_there_and_to_its_own(engine, name):
    graph = {name: node("Complex", value=2.0), "t": node("Twice", link=[name, 0])}

    assert engine.run(read_prompt(graph), targets=["t"]).outputs["t"] == (complex(6),)


def test_what_a_loop_reads_from_outside_is_computed_once(engine):
    graph = loop(3) | {"0": node("Counts"), "3": node("Add", value=["2", 1], more=["0", 0])}
    result = engine.run(read_prompt(graph), targets=["5"])

    assert result.outputs["5"] == (complex(5 + 3), "5")
