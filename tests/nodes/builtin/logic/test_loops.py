"""Loops in the real engine: what each iteration gets, and what comes out."""

from typing import Annotated

import pytest

from nodegraph.definition.markers import Optional
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link
from nodegraph.packs.registry import Registry
from nodes.builtin.logic.choices import comfy_switch_node, create_list, get_item_from_list
from nodes.builtin.logic.loops import end_loop, loop_iterations, loop_outputs, start_loop
from nodes.builtin.logic.numeric import comfy_math_expression
from nodes.builtin.text.primitives import primitive_int
from tests.toys import files_in, graph_of

OUTPUT, NEXT = "output_value", "next_iteration_value"
CALLS = []


@node("Note", category="test")
def note(value: object, also: Annotated[object, Optional()] = None) -> object:
    """Note that it was called."""
    CALLS.append(value)
    return value


TYPES = (
    start_loop,
    end_loop,
    loop_iterations,
    loop_outputs,
    comfy_switch_node,
    create_list,
    get_item_from_list,
    comfy_math_expression,
    primitive_int,
    note,
)


@pytest.fixture
def engine(tmp_path):
    CALLS.clear()
    return Engine(Registry.from_types(*TYPES), files_in(tmp_path))


def start(mode="simple", count: int | Link = 4, **more):
    own = {"mode.num_iterations": count} if mode == "simple" else {}
    return ("StartLoop", {"mode": mode, "cache_iterations": False, **own, **more})


def run(engine, **nodes):
    return list(engine.run(graph_of(**nodes), targets=["e"]).outputs["e"][0])


def formula(text, **values):
    return (
        "ComfyMathExpression",
        {"expression": text, **{f"values.{name}": value for name, value in values.items()}},
    )


def test_a_value_is_carried_from_iteration_to_iteration(engine):
    nodes = {
        "one": ("PrimitiveInt", {"value": 1}),
        "s": start(count=5, initial_iteration_value=Link("one", 0)),
        "twice": formula("a * 2", a=Link("s", 4)),
        "seen": ("Note", {"value": Link("twice", 1)}),
        "e": ("EndLoop", dict.fromkeys((OUTPUT, NEXT), Link("seen", 0))),
    }

    assert run(engine, **nodes) == [32]
    assert CALLS == [2, 4, 8, 16, 32]


def test_each_iteration_knows_its_index_and_the_ends(engine):
    for output, expected in ((0, [3, 5, 7]), (1, [True, False, False]), (2, [False, False, True])):
        nodes = {
            "s": (
                "StartLoop",
                {
                    "mode": "For",
                    "cache_iterations": False,
                    "mode.start_iteration_index": 3,
                    "mode.max_iteration": 8,
                    "mode.step": 2,
                },
            ),
            "n": ("Note", {"value": Link("s", output)}),
            "e": ("EndLoop", {"output_value": Link("n", 0), "accumulate": True}),
        }
        assert run(engine, **nodes) == expected


def test_a_list_gives_an_iteration_for_each_value(engine):
    nodes = {
        "a": ("PrimitiveInt", {"value": 7}),
        "b": ("PrimitiveInt", {"value": 9}),
        "l": ("CreateList", {"inputs.input0": Link("a", 0), "inputs.input1": Link("b", 0)}),
        "s": start("List", **{"mode.list": Link("l", 0)}),
        "n": formula("a + 1", a=Link("s", 3)),
        "e": ("EndLoop", {"output_value": Link("n", 1), "accumulate": True}),
    }

    assert run(engine, **nodes) == [8, 10]


def test_lists_are_carried_whole(engine):
    """Euclid's algorithm: the greatest common divisor of 896 and 1152."""
    nodes = {
        "x": ("PrimitiveInt", {"value": 896}),
        "y": ("PrimitiveInt", {"value": 1152}),
        "l": ("CreateList", {"inputs.input0": Link("x", 0), "inputs.input1": Link("y", 0)}),
        "s": start(count=18, initial_iteration_value=Link("l", 0)),
        "a": ("GetItemFromList", {"list": Link("s", 4), "index": 0}),
        "b": ("GetItemFromList", {"list": Link("s", 4), "index": 1}),
        "p": formula("b if b > 0 else a", a=Link("a", 0), b=Link("b", 0)),
        "q": formula("a % b if b > 0 else 0", a=Link("a", 0), b=Link("b", 0)),
        "m": ("CreateList", {"inputs.input0": Link("p", 1), "inputs.input1": Link("q", 1)}),
        "e": ("EndLoop", {"output_value": Link("m", 0), "next_iteration_value": Link("m", 0)}),
        "g": ("GetItemFromList", {"list": Link("e", 0), "index": 0}),
    }

    assert engine.run(graph_of(**nodes), targets=["g"]).outputs["g"] == (128,)


def test_a_loop_inside_another_runs_in_each_of_its_iterations(engine):
    nodes = {
        "s": start(count=3),
        "t": start(count=2, parent_iteration=Link("s", 0)),
        "n": formula("10 * a + b", a=Link("s", 0), b=Link("t", 0)),
        "seen": ("Note", {"value": Link("n", 1)}),
        "f": ("EndLoop", {"output_value": Link("seen", 0), "accumulate": True}),
        "all": ("CreateList", {"inputs.input0": Link("f", 0)}),
        "e": ("EndLoop", {"output_value": Link("all", 0), "accumulate": True}),
    }

    assert run(engine, **nodes) == [0, 1, 10, 11, 20, 21]
    assert sorted(CALLS) == [0, 1, 10, 11, 20, 21]


def test_a_loop_after_another_starts_anew(engine):
    nodes = {
        "s": start(count=3),
        "n": ("Note", {"value": Link("s", 0)}),
        "f": ("EndLoop", {"output_value": Link("n", 0)}),
        "t": start(count=2, initial_iteration_value=Link("f", 0)),
        "m": formula("a + 10", a=Link("t", 4)),
        "e": ("EndLoop", {"output_value": Link("m", 1), "next_iteration_value": Link("m", 1)}),
    }

    assert run(engine, **nodes) == [22]


def test_terminations_are_computed_in_each_iteration(engine):
    nodes = {
        "s": start(count=3),
        "n": ("Note", {"value": Link("s", 0)}),
        "o": formula("a", a=Link("s", 0)),
        "e": ("EndLoop", {"output_value": Link("o", 1), "terminations.termination0": Link("n", 0)}),
    }

    assert run(engine, **nodes) == [2]
    assert CALLS == [0, 1, 2]


@pytest.mark.parametrize("accumulate", [True, False])
def test_without_iterations_nothing_is_computed(engine, accumulate):
    nodes = {
        "s": start(count=0),
        "n": ("Note", {"value": Link("s", 0)}),
        "e": ("EndLoop", {"output_value": Link("n", 0), "accumulate": accumulate}),
    }

    assert run(engine, **nodes) == []
    assert CALLS == []


def test_what_does_not_change_is_computed_once_and_a_changed_body_anew(engine):
    def nodes(number):
        return {
            "c": ("PrimitiveInt", {"value": number}),
            "once": ("Note", {"value": Link("c", 0)}),
            "s": start(count=3),
            "n": ("Note", {"value": Link("s", 0), "also": Link("once", 0)}),
            "e": ("EndLoop", {"output_value": Link("n", 0), "accumulate": True}),
        }

    run(engine, **nodes(50))
    assert sorted(CALLS) == [0, 1, 2, 50]
    run(engine, **nodes(50))
    assert len(CALLS) == 4
    run(engine, **nodes(60))
    assert sorted(CALLS[4:]) == [0, 1, 2, 60]


def test_a_number_of_iterations_may_be_computed(engine):
    nodes = {
        "k": formula("2 + 1", a=0),
        "s": start(count=Link("k", 1)),
        "n": ("Note", {"value": Link("s", 0)}),
        "e": ("EndLoop", {"output_value": Link("n", 0), "accumulate": True}),
    }

    assert run(engine, **nodes) == [0, 1, 2]


def test_only_the_side_of_a_switch_that_an_iteration_needs_is_computed(engine):
    nodes = {
        "s": start(count=3),
        "first": ("Note", {"value": 100}),
        "late": ("Note", {"value": Link("s", 0)}),
        "w": (
            "ComfySwitchNode",
            {"switch": Link("s", 1), "on_true": Link("first", 0), "on_false": Link("late", 0)},
        ),
        "e": ("EndLoop", {"output_value": Link("w", 0), "accumulate": True}),
    }

    assert run(engine, **nodes) == [100, 1, 2]
    assert sorted(CALLS) == [1, 2, 100]


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ({"n": ("Note", {"value": 1})}, "no Start Loop leads"),
        (
            {
                "s": start(),
                "t": start(),
                "n": ("Note", {"value": Link("s", 0), "also": Link("t", 0)}),
            },
            "several loops begin",
        ),
        ({"s": start(count=10_001), "n": ("Note", {"value": Link("s", 0)})}, "10,001 iterations"),
    ],
    ids=["none", "two", "long"],
)
def test_what_is_no_loop_is_refused(engine, nodes, problem):
    with pytest.raises(NodeGraphError, match=problem):
        run(engine, **nodes, e=("EndLoop", {"output_value": Link("n", 0)}))


def test_a_step_of_nothing_is_refused_before_the_run(engine):
    inputs = {"mode": "For", "mode.step": 0, "cache_iterations": False}
    inputs |= {"mode.start_iteration_index": 0, "mode.max_iteration": 4}

    problems = engine.check(graph_of(s=("StartLoop", inputs)), ["s"]).problems
    assert [found.code for found in problems] == ["value_smaller_than_min"]
