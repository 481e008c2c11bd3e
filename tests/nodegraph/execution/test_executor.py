"""What the executor does with nodes: lists, lazy inputs, expansions, mutation, failures."""

import weakref
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pytest

from nodegraph.cache.content import ContentCache
from nodegraph.cache.entry import Entry
from nodegraph.cache.protocol import NoCache
from nodegraph.definition.markers import Lazy, Listed
from nodegraph.definition.node import node
from nodegraph.errors import NodeExecutionError, NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.results import Expansion, Ui
from nodegraph.graph.sockets import Socket
from nodegraph.runtime.out_of_memory import OutOfMemoryError
from tests.toys import BLANK, chain_of, files_in, graph_of, registry_of
from tests.work import growth


class Heavy:
    """A result that takes room."""

    def __init__(self, size):
        self.size = size


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


@pytest.fixture
def engine(files):
    return Engine(registry_of(), files)


def value_of(engine, **nodes: tuple[str, Mapping[str, object]]) -> Any:
    """The first output of the node `z` of a graph."""
    return engine.run(graph_of(**nodes), targets=["z"]).outputs["z"][0]


def names(events, kind):
    return [event.node_id for event in events if event.name == kind]


def test_outputs_travel_along_links(engine):
    assert value_of(engine, x=("One", {}), z=("Add", {"a": Link("x", 0)})) == 11


def test_a_named_tuple_gives_several_outputs(engine):
    nodes = {"x": ("Blank", BLANK), "z": ("Split", {"image": Link("x", 0)})}

    outputs = engine.run(graph_of(**nodes), targets=["x", "z"]).outputs

    assert outputs["z"] == (outputs["x"][0], "rest")


def test_a_coroutine_is_awaited(engine):
    assert value_of(engine, z=("Later", {"a": 1})) == 2


# Lists.


def test_a_node_is_called_once_an_item(engine):
    nodes = {"n": ("Numbers", {"count": 3}), "z": ("Add", {"a": Link("n", 0), "b": 5})}

    assert value_of(engine, **nodes) == (5, 6, 7)


def test_the_shorter_list_repeats_its_last_item(engine):
    nodes = {
        "n": ("Numbers", {"count": 4}),
        "m": ("Numbers", {"count": 2}),
        "z": ("Add", {"a": Link("n", 0), "b": Link("m", 0)}),
    }

    assert value_of(engine, **nodes) == (0, 2, 3, 4)


def test_an_empty_list_is_not_called_for(engine):
    nodes = {
        "n": ("Numbers", {"count": 0}),
        "m": ("Numbers", {"count": 2}),
        "z": ("Add", {"a": Link("n", 0), "b": Link("m", 0)}),
    }

    assert value_of(engine, **nodes) == ()


def test_a_node_that_takes_lists_gets_all_its_inputs_as_lists(engine):
    nodes = {"n": ("Numbers", {"count": 4}), "z": ("Sum", {"values": Link("n", 0), "start": 100})}

    assert value_of(engine, **nodes) == 106


def test_lists_of_mapped_calls_are_joined(engine):
    nodes = {"n": ("Numbers", {"count": 4}), "z": ("Numbers", {"count": Link("n", 0)})}

    assert value_of(engine, **nodes) == (0, 0, 1, 0, 1, 2)


def test_what_mapped_calls_show_is_joined(engine):
    nodes = {"n": ("Numbers", {"count": 3}), "z": ("Show", {"value": Link("n", 0)})}

    assert engine.run(graph_of(**nodes)).ui["z"].values == {"text": ["0", "1", "2"]}


def test_a_listed_output_must_be_a_list(files):
    @node("Wrong", category="test")
    def wrong() -> Annotated[list[int], Socket("INT"), Listed()]:
        return 3  # pyright: ignore[reportReturnType]

    with pytest.raises(NodeExecutionError, match="'INT' is declared Listed, but is int"):
        value_of(Engine(registry_of(wrong), files), z=("Wrong", {}))


def test_the_number_of_outputs_must_be_right(files):
    class Two(NamedTuple):
        a: int
        b: int

    @node("Wrong", category="test")
    def wrong() -> Two:
        return (1, 2, 3)  # pyright: ignore[reportReturnType]

    with pytest.raises(NodeExecutionError, match="returned 3 values, but declares 2 outputs"):
        value_of(Engine(registry_of(wrong), files), z=("Wrong", {}))


# Lazy inputs.


@pytest.mark.parametrize(("condition", "expected", "ran"), [(True, 1, "y"), (False, 15, "n")])
def test_only_the_lazy_input_that_is_asked_for_runs(engine, condition, expected, ran):
    nodes = {
        "y": ("One", {}),
        "n": ("Add", {"a": 5}),
        "z": ("If", {"condition": condition, "yes": Link("y", 0), "no": Link("n", 0)}),
    }
    events = []

    result = engine.run(graph_of(**nodes), targets=["z"], emit=events.append)

    assert result.outputs["z"] == (expected,)
    assert names(events, "node_started") == [ran, "z"]


def test_lazy_inputs_are_asked_for_until_nothing_new_is_needed(files):
    asked = []

    def needs(inputs):
        asked.append(sorted(inputs))
        return ["a"] if "a" not in inputs else ["b"] if inputs["a"] < 3 else []

    @node("Steps", category="test", needs=needs)
    def steps(
        a: Annotated[int | None, Lazy()] = None, b: Annotated[int | None, Lazy()] = None
    ) -> str:
        return f"{a} {b}"

    engine = Engine(registry_of(steps), files)
    nodes = {"x": ("One", {}), "z": ("Steps", {"a": Link("x", 0), "b": Link("x", 0)})}

    assert value_of(engine, **nodes) == "1 1"
    assert asked == [[], [], ["a", "b"]]

    nodes["x"] = ("Add", {"a": 5})
    nodes["w"] = ("Fail", {"a": 1})
    nodes["z"] = ("Steps", {"a": Link("x", 0), "b": Link("w", 0)})

    assert value_of(engine, **nodes) == "15 None"


def started(engine, **nodes):
    """The nodes that ran for the node `z` of a graph, and its value."""
    events = []
    result = engine.run(graph_of(**nodes), targets=["z"], emit=events.append)
    return [*names(events, "node_started"), result.outputs["z"][0]]


def test_what_follows_does_not_run_again_when_a_lazy_input_changes_that_is_not_asked_for(engine):
    def switch(condition, yes, no):
        return started(
            engine,
            y=("Add", {"a": yes}),
            n=("Add", {"a": no}),
            i=("If", {"condition": condition, "yes": Link("y", 0), "no": Link("n", 0)}),
            z=("Add", {"a": Link("i", 0)}),
        )

    assert switch(True, 1, 2) == ["y", "i", "z", 21]
    assert switch(True, 1, 3) == [21]
    assert switch(True, 2, 3) == ["y", "i", "z", 22]
    assert switch(False, 2, 3) == ["n", "i", "z", 23]
    assert switch(False, 9, 3) == [23]
    assert switch(True, 2, 9) == [22]


def test_a_node_that_asks_in_several_steps_is_never_stale(files):
    @node("Steps", category="test", needs=lambda given: ["b"] if given.get("a") == 11 else ["a"])
    def steps(
        a: Annotated[int | None, Lazy()] = None, b: Annotated[int | None, Lazy()] = None
    ) -> int:
        return (a or 0) + (b or 0)

    cache = ContentCache()
    engine = Engine(registry_of(steps), files, cache)

    def run(b, engine=engine):
        return started(
            engine,
            x=("Add", {"a": 1}),
            y=("Add", {"a": b}),
            s=("Steps", {"a": Link("x", 0), "b": Link("y", 0)}),
            z=("Add", {"a": Link("s", 0)}),
        )

    assert run(5) == ["x", "y", "s", "z", 36]
    assert run(6) == ["y", "s", "z", 37]
    assert run(6) == [37]
    assert run(7) == ["y", "s", "z", 38]
    later = Engine(registry_of(steps), files, cache)
    assert run(8, later) == ["y", "s", "z", 39]


def test_a_node_that_fails_when_it_is_asked_says_so_when_it_runs(files):
    def needs(given):
        return {}["nothing"]

    @node("Odd", category="test", needs=needs)
    def odd(a: Annotated[int | None, Lazy()] = None) -> int:
        return a or 0

    nodes = {"x": ("One", {}), "z": ("Odd", {"a": Link("x", 0)})}

    with pytest.raises(NodeExecutionError, match="nothing"):
        value_of(Engine(registry_of(odd), files), **nodes)


def test_a_lazy_input_may_be_a_literal(engine):
    assert value_of(engine, z=("If", {"condition": True, "yes": 7})) == 7


def lazy_chain(length):
    nodes: dict[str, tuple[str, dict[str, object]]] = {"0": ("One", {})}
    for k in range(1, length):
        nodes[str(k)] = ("If", {"condition": True, "yes": Link(str(k - 1), 0)})
    nodes["z"] = ("If", {"condition": True, "yes": Link(str(length - 1), 0)})
    return nodes


def test_a_chain_of_lazy_nodes_needs_no_recursion(engine):
    assert value_of(engine, **lazy_chain(1000)) == 1


def test_a_lazy_chain_twice_as_long_is_twice_the_work(files):
    def run(length):
        value_of(Engine(registry_of(), files), **lazy_chain(length))

    assert growth(run, 100) < 2.2


# Expansion.


def test_a_node_may_return_more_graph(engine):
    events = []
    graph = graph_of(c=("Countdown", {"start": 3}), s=("Show", {"value": Link("c", 0)}))

    result = engine.run(graph, emit=events.append)

    assert result.ui["s"].values == {"text": ["6"]}
    started = [event for event in events if event.name == "node_started"]
    assert [event.node_id for event in started] == [
        *["c", "c.more", "c.rest", "c.rest.more", "c.rest.rest", "c.rest.rest.more"],
        *["c.rest.rest.rest", "s"],
    ]
    assert {event.shown_as for event in started} == {"c", "s"}


def test_a_thousand_expansions_one_in_the_other_need_no_recursion(engine):
    assert value_of(engine, z=("Countdown", {"start": 1000})) == 500_500


def test_twice_as_many_expansions_are_twice_the_work(files):
    def run(depth):
        value_of(Engine(registry_of(), files), z=("Countdown", {"start": depth}))

    assert growth(run, 100) < 2.2


def test_expanded_nodes_are_cached_by_content(engine):
    value_of(engine, z=("Countdown", {"start": 5}))

    graph = graph_of(a=("Countdown", {"start": 5}), b=("Add", {"a": 0, "b": 5}))
    result = engine.run(graph, targets=["a", "b"])

    assert (result.executed, result.cached) == (0, 2)


def expanding(name, nodes, outputs):
    """A node type that always expands to the same."""

    @node(name, category="test")
    def expand(a: object) -> object:
        made = {name: make if isinstance(make, Node) else make(a) for name, make in nodes.items()}
        return Expansion(made, outputs)

    return expand


def test_expansions_of_mapped_calls_are_collected(files):
    kind = expanding("Each", {"x": lambda a: Node("x", "Add", {"a": a})}, (Link("x", 0),))
    nodes = {"n": ("Numbers", {"count": 3}), "z": ("Each", {"a": Link("n", 0)})}

    assert value_of(Engine(registry_of(kind), files), **nodes) == (10, 11, 12)


def test_a_value_that_is_no_json_is_cached_by_where_it_came_from(files):
    kind = expanding("Hand", {"x": lambda a: Node("x", "Pass", {"image": a})}, (Link("x", 0),))
    engine = Engine(registry_of(kind), files)
    nodes = {"b": ("Blank", BLANK), "z": ("Hand", {"a": Link("b", 0)})}

    first = value_of(engine, **nodes)
    again = engine.run(graph_of(**nodes | {"b": ("Blank", BLANK | {"seed": 1})}), targets=["z"])

    assert first.nbytes == 512
    assert again.outputs["z"][0] is not first


def test_an_expansion_may_give_plain_values_and_links_to_the_graph(files):
    kind = expanding("Plain", {}, (5,))
    other = expanding("Outer", {}, (Link("x", 0),))
    engine = Engine(registry_of(kind, other), files)

    assert value_of(engine, z=("Plain", {"a": 1})) == 5
    assert value_of(engine, x=("One", {}), z=("Outer", {"a": Link("x", 0)})) == 1


def test_output_nodes_of_an_expansion_run_though_nobody_reads_them(files):
    kind = expanding("Shows", {"s": lambda a: Node("s", "Show", {"value": a})}, (1,))
    engine = Engine(registry_of(kind), files)
    graph = graph_of(x=("Shows", {"a": "hello"}), z=("Show", {"value": Link("x", 0)}))

    assert engine.run(graph).ui["x.s"].values == {"text": ["hello"]}


def test_what_an_expansion_showed_is_shown_again_from_the_cache(files):
    shows = {"s": lambda a: Node("s", "Show", {"value": a})}
    inner = expanding("Inner", shows, (1,))
    more = {"i": lambda a: Node("i", "Inner", {"a": a})}
    outer = expanding("Outer", shows | more, (Link("i", 0),))
    engine = Engine(registry_of(inner, outer), files)
    nodes = {"n": ("Numbers", {"count": 2})}
    first = engine.run(graph_of(**nodes, x=("Outer", {"a": Link("n", 0)})), targets=["x"])
    events = []

    again = engine.run(
        graph_of(**nodes, y=("Outer", {"a": Link("n", 0)})), targets=["y"], emit=events.append
    )

    assert again.executed == 0
    assert {"y" + name[1:]: ui for name, ui in first.ui.items()} == again.ui
    assert again.ui["y.1.i.s"].values == {"text": ["1"]}
    cached = [event for event in events if event.name == "node_cached"]
    assert {event.node_id: event.ui for event in cached} == {**again.ui, "y": None}
    assert {(event.type_name, event.shown_as) for event in cached} == {
        ("Show", "y"),
        ("Outer", "y"),
    }
    assert again.cached == len(cached)


def test_an_expansion_whose_files_are_gone_makes_them_again(files):
    kind = expanding("Saves", {"s": lambda a: Node("s", "Save", {"value": a})}, (1,))
    graph = graph_of(x=("Saves", {"a": "hello"}))
    engine = Engine(registry_of(kind), files)
    (artifact,) = engine.run(graph, targets=["x"]).ui["x.s"].artifacts["texts"]

    assert engine.run(graph, targets=["x"]).executed == 0
    files.path(artifact).unlink()
    again = engine.run(graph, targets=["x"])

    assert again.executed == 2
    assert files.path(again.ui["x.s"].artifacts["texts"][0]).read_text() == "hello"


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"x": Node("x", "Add", {"a": Link("ghost", 0)})}, "links to 'ghost'"),
        ({"x": Node("x", "Add", {"a": Link("x", 1)})}, "output 1 of 'x'"),
        ({"x": Node("x", "Add", {"a": Link("x", 0)})}, "loops: z.x"),
        ({"x": Node("x", "Nope", {})}, "no pack has a node type 'Nope'"),
    ],
)
def test_an_expansion_that_makes_no_sense_is_an_error(files, nodes, message):
    engine = Engine(registry_of(expanding("Bad", nodes, (Link("x", 0),))), files)

    with pytest.raises(NodeGraphError, match=message):
        value_of(engine, z=("Bad", {"a": 1}))


# Caching.


def test_a_second_run_executes_nothing(engine):
    engine.run(chain_of(100))

    again = engine.run(chain_of(100))

    assert (again.executed, again.cached) == (0, 1)
    assert list(again.ui) == ["99"]


def test_the_first_graph_is_still_there_after_another(engine):
    a = chain_of(50)
    b = graph_of(x=("Add", {"a": 1}), y=("Show", {"value": Link("x", 0)}))

    assert [engine.run(graph).executed for graph in (a, b, a, b)] == [50, 2, 0, 0]


def test_a_change_runs_only_what_hangs_on_it(engine):
    def graph(seed):
        return graph_of(
            x=("Add", {"a": 1}),
            y=("Add", {"a": seed}),
            z=("Add", {"a": Link("x", 0), "b": Link("y", 0)}),
            s=("Show", {"value": Link("z", 0)}),
        )

    engine.run(graph(1))
    events = []
    engine.run(graph(2), emit=events.append)

    assert names(events, "node_started") == ["y", "z", "s"]
    assert names(events, "node_cached") == ["x"]


def test_what_was_evicted_and_nobody_needs_is_not_computed_again(engine):
    engine.run(chain_of(5))
    for key, entry in list(engine.cache._books.entries.items()):
        if entry.ui is None:
            engine.cache.drop(key)

    assert engine.run(chain_of(5)).executed == 0


def test_nodes_of_equal_content_run_once(engine):
    nodes = {"x": ("Add", {"a": 1}), "y": ("Add", {"b": 10, "a": 1})}

    result = engine.run(graph_of(**nodes), targets=["x", "y"])

    assert (result.executed, result.cached) == (1, 1)


def test_a_node_that_is_never_cached_runs_every_time_and_leaves_nothing(engine):
    graph = graph_of(x=("Random", {}), z=("Show", {"value": Link("x", 0)}))

    for _ in range(2):
        assert engine.run(graph).executed == 2
    assert engine.cache.stats.entries == 0


def test_without_a_cache_everything_runs(files):
    engine = Engine(registry_of(), files, NoCache())

    assert [engine.run(chain_of(5)).executed for _ in range(2)] == [5, 5]


def test_a_saved_file_counts_as_cached_while_it_is_there(engine, files, tmp_path):
    graph = graph_of(x=("Save", {"value": "hello"}))
    (artifact,) = engine.run(graph).ui["x"].artifacts["texts"]

    assert engine.run(graph).executed == 0
    files.path(artifact).unlink()
    again = engine.run(graph)

    assert again.executed == 1
    assert files.path(again.ui["x"].artifacts["texts"][0]).read_text() == "hello"


# Mutation.


def test_a_node_that_writes_to_its_input_is_reported_and_the_result_not_kept(engine):
    graph = graph_of(
        x=("Blank", BLANK),
        p=("Pass", {"image": Link("x", 0)}),
        y=("Write", {"image": Link("p", 0)}),
        z=("Show", {"value": Link("y", 0)}),
    )
    events = []

    engine.run(graph, emit=events.append)

    (notice,) = [event for event in events if event.name == "notice"]
    assert notice.node_id == "y"
    assert "Write changed its input from node 'p' in place" in notice.message
    again = engine.run(graph_of(x=("Blank", BLANK)), targets=["x"])
    assert again.executed == 1


def test_a_node_that_does_not_write_is_not_reported(engine):
    events = []

    engine.run(chain_of(5), emit=events.append)

    assert names(events, "notice") == []


# Failures.


def test_a_failure_names_the_node_chains_the_cause_and_caches_nothing(engine):
    graph = graph_of(x=("Fail", {"a": 3}), y=("Show", {"value": Link("x", 0)}))

    with pytest.raises(NodeExecutionError) as caught:
        engine.run(graph)

    assert str(caught.value) == "Node 'x': Fail failed: ValueError: 3"
    assert isinstance(caught.value.__cause__, ValueError)
    assert engine.cache.stats.entries == 0


def test_an_error_of_ours_comes_out_as_it_is_with_the_node(engine):
    with pytest.raises(NodeGraphError, match=r"Node 'x': not today\. Try tomorrow\.") as caught:
        engine.run(graph_of(x=("Refuse", {"a": 3})), targets=["x"])

    assert caught.value.code == "nodegraph_error"


def test_a_node_that_lacks_memory_is_named_with_what_would_work(files):
    @node("Hog", category="test")
    def hog() -> int:
        return len(bytearray(2**60))

    with pytest.raises(OutOfMemoryError, match=r"Node 'z': Hog ran out of memory\.") as caught:
        value_of(Engine(registry_of(hog), files), z=("Hog", {}))

    assert "smaller" in caught.value.hint
    assert isinstance(caught.value.__cause__, MemoryError)


def test_a_node_that_lacks_memory_gets_that_of_earlier_results(files):
    held = weakref.WeakSet[Heavy]()

    @node("Heavy", category="test")
    def heavy(size: int) -> Annotated[Heavy, Socket("HEAVY")]:
        if sum(one.size for one in held) + size > 10:
            raise MemoryError
        made = Heavy(size)
        held.add(made)
        return made

    engine, events = Engine(registry_of(heavy), files), []
    for size in (4, 5):
        engine.run(graph_of(x=("Heavy", {"size": size})), targets=["x"])

    engine.run(graph_of(x=("Heavy", {"size": 7})), targets=["x"], emit=events.append)

    (notice,) = [event for event in events if event.name == "notice"]
    assert "out of memory" in notice.message
    with pytest.raises(OutOfMemoryError):
        engine.run(graph_of(x=("Heavy", {"size": 11})), targets=["x"])
    assert not held


def test_a_needs_function_that_raises_is_the_nodes_failure(files):
    def needs(inputs):
        raise KeyError(inputs["missing"])

    @node("Unsure", category="test", needs=needs)
    def unsure(a: Annotated[int | None, Lazy()] = None) -> int:
        return a or 0

    nodes = {"x": ("One", {}), "z": ("Unsure", {"a": Link("x", 0)})}

    with pytest.raises(NodeExecutionError, match="Unsure failed: KeyError: 'missing'"):
        value_of(Engine(registry_of(unsure), files), **nodes)


def test_results_before_a_failure_are_kept(engine):
    graph = graph_of(x=("Add", {"a": 1}), y=("Fail", {"a": Link("x", 0)}))
    with pytest.raises(NodeExecutionError):
        engine.run(graph, targets=["y"])

    assert engine.run(graph, targets=["x"]).executed == 0


def test_ui_with_outputs_gives_both(files):
    @node("Both", category="test", output_node=True)
    def both(a: int) -> int | Ui:
        return Ui(values={"text": ["shown"]}, outputs=(a + 1,))

    engine = Engine(registry_of(both), files)
    result = engine.run(graph_of(x=("Both", {"a": 1}), y=("Show", {"value": Link("x", 0)})))

    assert result.ui["x"].values == {"text": ["shown"]}
    assert result.ui["y"].values == {"text": ["2"]}


def test_room_is_made_before_a_node_that_says_it_needs_it(files, monkeypatch):
    monkeypatch.setattr("nodegraph.runtime.devices.free_bytes", lambda: 100)

    def wanted(inputs):
        return 30 * inputs["size"]

    @node("Wants", category="test", memory=wanted)
    def wants(size: int) -> int:
        return size

    engine, events = Engine(registry_of(wants), files), []
    engine.run(graph_of(x=("One", {})), targets=["x"])

    engine.run(graph_of(x=("Wants", {"size": 2})), targets=["x"], emit=events.append)
    assert engine.run(graph_of(x=("One", {})), targets=["x"]).cached == 1
    engine.run(graph_of(x=("Wants", {"size": 4})), targets=["x"], emit=events.append)

    assert [event.message for event in events if event.name == "notice"] == [
        "what was kept of earlier runs is forgotten, for this node needs the memory."
    ]
    assert engine.run(graph_of(x=("One", {})), targets=["x"]).cached == 0


def test_the_cache_is_asked_once_for_a_node_unless_a_result_came_since(files):
    asked = list[str]()

    class Asked(ContentCache):
        def get(self, key: str, *, counted: bool = True) -> Entry | None:
            asked.append(key)
            return super().get(key, counted=counted)

    engine = Engine(registry_of(), files, Asked())
    engine.run(chain_of(20))
    assert len(asked) == len(set(asked)) == 20

    asked.clear()
    equal = {name: ("Add", {"a": 2}) for name in "xyz"}
    result = engine.run(graph_of(**equal), targets=["x", "y", "z"])
    assert (len(asked), result.executed, result.cached) == (5, 1, 2)


@pytest.mark.parametrize("shared", ["Even", "Expand"])
def test_what_another_run_computed_since_the_plan_is_not_computed_again(files, shared):
    @node("Expand", category="test")
    def expand(a: int) -> int | Expansion:
        return Expansion({}, (a,))

    @node("RunOther", category="test")
    def run_other() -> int:
        return engine.run(graph_of(z=(shared, {"a": 2})), targets=["z"]).executed

    engine = Engine(registry_of(expand, run_other), files)

    result = engine.run(graph_of(x=("RunOther", {}), y=(shared, {"a": 2})), targets=["x", "y"])

    assert (result.outputs["x"], result.outputs["y"]) == ((1,), (2,))
    assert (result.executed, result.cached) == (1, 1)
