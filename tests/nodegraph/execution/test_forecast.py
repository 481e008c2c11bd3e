"""The models of a run that comes next: what stays on the accelerator for it."""

from dataclasses import dataclass
from typing import ClassVar
from weakref import ref

import pytest

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event, Notice
from nodegraph.graph.graph import Graph, Link
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget
from nodegraph.runtime.run_environment import run_environment
from tests.nodegraph.runtime.test_residency import Streamed
from tests.toys import files_in, graph_of, registry_of


@dataclass(frozen=True, slots=True, eq=False)
class Handle:
    """A reference to a model, as loaders return."""

    __socket__: ClassVar = "MODEL"

    model: Streamed


class Watched(Streamed):
    """A model that notes what failed attempts still hold when it is told to take less."""

    def resize(self, nbytes: int, *, waits: bool = False) -> None:
        STILL_HELD.append(sum(each() is not None for each in MADE))
        super().resize(nbytes, waits=waits)


class Numbers:
    """What a node has made before it lacks memory."""


MEANWHILE: list[Graph] = []
"""Runs that are expected as soon as a node begins to compute."""

ATTEMPTS: list[int] = []
"""The bytes of weights on the accelerator at each attempt of a node that lacks memory."""

MADE: list[ref[Numbers]] = []
STILL_HELD: list[int] = []
"""The number of `MADE` that are there each time a model is resized."""


@pytest.fixture
def engine(tmp_path):
    @node("OpenModel", category="test")
    def open_model(name: str, ctx: Context) -> Handle:
        return Handle(ctx.models.share(name, lambda: Watched(500)))

    @node("Compute", category="test")
    def compute(model: Handle, seed: int) -> int:
        while MEANWHILE:
            engine.expect(MEANWHILE.pop())
        run = run_environment().models
        assert run is not None
        model.model.compute(run, 2)
        return seed

    @node("LackMemory", category="test")
    def lack_memory(model: Handle) -> int:
        run = run_environment().models
        assert run is not None
        model.model.compute(run, 2)
        made = Numbers()
        MADE.append(ref(made))
        ATTEMPTS.append(model.model.held_bytes)
        if ATTEMPTS[-1] > 150:
            raise MemoryError
        return 1

    engine = Engine(registry_of(open_model, compute, lack_memory), files_in(tmp_path))
    engine.models = ModelPool(1 << 60, FixedBudget(1000))
    return engine


def graph(seed, *names):
    """Compute with models, one after the other."""
    nodes = {}
    for name in names:
        nodes[f"load {name}"] = ("OpenModel", {"name": name})
        nodes[name] = ("Compute", {"model": Link(f"load {name}", 0), "seed": seed})
        nodes[f"show {name}"] = ("Show", {"value": Link(name, 0)})
    return graph_of(**nodes)


def held(engine, *names):
    return [engine.models.share(name, lambda: Streamed(0)).held_bytes for name in names]


def test_models_of_the_run_that_comes_next_stay(engine):
    for seed, name in enumerate("ab"):
        engine.run(graph(seed, name))
    assert held(engine, "a", "b") == [500, 500]
    MEANWHILE.append(graph(3, "a"))

    engine.run(graph(4, "c"))

    assert held(engine, "a", "b", "c") == [500, 0, 500]


def test_what_is_expected_counts_until_a_run_begins(engine):
    for seed, name in enumerate("ab"):
        engine.run(graph(seed, name))
    engine.expect(graph(3, "a"))

    engine.run(graph(4, "c"))

    assert held(engine, "a", "b", "c") == [0, 500, 500]


def test_a_node_whose_result_is_kept_uses_no_model(engine):
    for seed, name in enumerate("ab"):
        engine.run(graph(seed, name))
    found: list[dict[int, float]] = []
    engine.models.expect = found.append

    engine.expect(graph(0, "a"))
    engine.expect(graph(9, "b", "a"))

    first, second = (engine.models.share(name, lambda: Streamed(0)) for name in "ab")
    assert found[0] == {}
    assert sorted(found[1]) == sorted([id(first), id(second)])
    assert found[1][id(second)] < found[1][id(first)]


def test_what_is_wrong_with_a_graph_is_for_its_run_to_say(engine):
    engine.expect(graph_of(a=("Compute", {"model": 1})))


def test_a_node_that_lacks_memory_keeps_ever_less_of_its_model(engine):
    for each in (ATTEMPTS, MADE, STILL_HELD):
        each.clear()
    events = list[Event]()
    nodes = {
        "open": ("OpenModel", {"name": "a"}),
        "lacks": ("LackMemory", {"model": Link("open", 0)}),
        "shown": ("Show", {"value": Link("lacks", 0)}),
    }

    engine.run(graph_of(**nodes), emit=events.append)

    assert ATTEMPTS == [500, 500, 250, 125]
    assert STILL_HELD
    assert not any(STILL_HELD)
    notices = [event.message for event in events if isinstance(event, Notice)]
    told = "out of memory: more of the model's weights wait on the host, trying again."
    assert "is forgotten" in notices[0]
    assert notices[1:] == [told, told]
