"""Weights that a run claims: released when it fails, and never at another's expense."""

import threading
from typing import Annotated, NamedTuple

import pytest

from nodegraph.cache.protocol import NoCache
from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.errors import NodeExecutionError
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodegraph.runtime.model_pool import held_or_loaded
from nodegraph.runtime.out_of_memory import OutOfMemoryError
from tests.nodegraph.runtime.test_model_pool import Model
from tests.toys import BLANK, files_in, graph_of, registry_of
from tests.work import growth

MEMORY = 100


class Machine:
    """Nodes that use models, and a memory that is as large as `MEMORY`."""

    def __init__(self, files, **options) -> None:
        self.models: list[Model] = []

        @node("Use", category="test")
        def use(size: int, after: int, ctx: Context) -> int:
            return self._use(size, ctx)

        @node("UseAndFail", category="test")
        def use_and_fail(size: int, ctx: Context) -> int:
            raise ValueError(self._use(size, ctx))

        registry = registry_of(use, use_and_fail)
        self.engine = Engine(registry, files, NoCache(), **options)

    @property
    def held(self) -> int:
        """The bytes in use."""
        return sum(model.held_bytes for model in self.models)

    def _use(self, size: int, ctx: Context) -> int:
        model = ctx.models.share(size, lambda: Model(size))
        if model not in self.models:
            self.models.append(model)
        if not model.held_bytes and self.held + size > MEMORY:
            raise MemoryError
        model.weights = held_or_loaded(model, model.weights, lambda: bytes(size))
        return size


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


def test_a_node_that_lacks_memory_gets_that_of_idle_weights(files):
    machine, events = Machine(files, weights_cache=1000), []
    machine.engine.run(graph_of(x=("Use", {"size": 60, "after": 0})), targets=["x"])
    assert machine.held == 60

    machine.engine.run(
        graph_of(x=("Use", {"size": 70, "after": 0})), targets=["x"], emit=events.append
    )

    assert machine.held == 70
    assert len([event for event in events if event.name == "notice"]) == 1


def test_a_node_that_lacks_memory_does_not_get_what_its_run_claims(files):
    machine = Machine(files, weights_cache=1000)
    nodes = {
        "x": ("Use", {"size": 60, "after": 0}),
        "y": ("Use", {"size": 70, "after": Link("x", 0)}),
    }

    with pytest.raises(OutOfMemoryError):
        machine.engine.run(graph_of(**nodes), targets=["y"])

    assert machine.held == 60


def test_a_run_that_fails_leaves_no_more_than_the_budget(files):
    machine = Machine(files, weights_cache=0)

    with pytest.raises(NodeExecutionError):
        machine.engine.run(graph_of(x=("UseAndFail", {"size": 60})), targets=["x"])

    assert machine.engine.models.stats.loads == 1
    assert machine.held == 0


def test_a_run_that_only_has_files_to_write_says_so_once_its_models_are_released(files):
    log: list[str] = []
    held = Model(50)

    @node("OpenModel", category="test")
    def load() -> object:
        return held

    @node("Compute", category="test")
    def compute(model: object) -> int:
        assert isinstance(model, Model)
        model.weights = held_or_loaded(model, model.weights, lambda: bytes(50))
        log.append("compute")
        return 1

    @node("WriteFile", category="test", output_node=True, writes_only=True)
    def write(value: int) -> Ui:
        log.append("write")
        return Ui()

    @node("WriteModel", category="test", output_node=True, writes_only=True)
    def write_model(model: object, value: int) -> Ui:
        log.append("write model")
        return Ui()

    @node("ComputeAndShow", category="test", output_node=True)
    def show(value: int) -> Ui:
        log.append("show")
        return Ui()

    engine = Engine(registry_of(load, compute, write, write_model, show), files, NoCache())
    graph = graph_of(
        load=("OpenModel", {}),
        compute=("Compute", {"model": Link("load", 0)}),
        write=("WriteFile", {"value": Link("compute", 0)}),
        again=("WriteFile", {"value": Link("compute", 0)}),
    )
    engine.run(graph, on_files_left=lambda: log.append("free"))
    assert log == ["compute", "free", "write", "write"]

    log.clear()
    graph = graph_of(
        load=("OpenModel", {}),
        compute=("Compute", {"model": Link("load", 0)}),
        show=("ComputeAndShow", {"value": Link("compute", 0)}),
    )
    engine.run(graph, on_files_left=lambda: log.append("free"))
    assert log == ["compute", "show"]

    log.clear()
    graph = graph_of(
        load=("OpenModel", {}),
        compute=("Compute", {"model": Link("load", 0)}),
        write=("WriteModel", {"model": Link("load", 0), "value": Link("compute", 0)}),
    )
    engine.run(graph, on_files_left=lambda: log.append("free"))
    assert log == ["compute", "write model"]


def test_a_run_computes_while_another_writes(files):
    computed, order = threading.Event(), list[str]()

    @node("Compute", category="test")
    def compute(name: str) -> str:
        order.append(f"compute {name}")
        return name

    @node("WriteFile", category="test", output_node=True, writes_only=True)
    def write(value: str) -> Ui:
        if value == "first":
            assert computed.wait(20)
        order.append(f"write {value}")
        return Ui()

    engine = Engine(registry_of(compute, write), files, NoCache())
    free = threading.Event()

    def run(name: str) -> None:
        graph = graph_of(
            compute=("Compute", {"name": name}), write=("WriteFile", {"value": Link("compute", 0)})
        )
        engine.run(graph, on_files_left=free.set)

    first = threading.Thread(target=run, args=("first",))
    first.start()
    assert free.wait(20)
    run("second")
    computed.set()
    first.join(20)

    assert order == ["compute first", "compute second", "write second", "write first"]


class Parts(NamedTuple):
    model: Annotated[object, Socket("MODEL")]
    vae: Annotated[object, Socket("VAE")]


def test_twice_as_many_readers_of_a_model_are_twice_the_work(files):
    parts = Parts(Model(50), Model(50))

    @node("OpenParts", category="test")
    def load() -> Parts:
        return parts

    @node("Read", category="test")
    def read(model: object, after: int = 0) -> int:
        return after

    def run(length: int) -> None:
        nodes = {"load": ("OpenParts", {}), "0": ("Read", {"model": Link("load", 0), "after": 0})}
        for k in range(1, length):
            links = {"model": Link("load", int(k == length - 1)), "after": Link(str(k - 1), 0)}
            nodes[str(k)] = ("Read", links)
        engine = Engine(registry_of(load, read), files, NoCache())
        engine.run(graph_of(**nodes), targets=[str(length - 1)])

    assert growth(run, 50) < 2.2


def test_twice_as_many_writers_before_the_last_computation_are_twice_the_work(files):
    told = list[str]()

    @node("WriteFile", category="test", output_node=True, writes_only=True)
    def write(value: object) -> Ui:
        return Ui()

    def run(length: int) -> None:
        nodes = {"x": ("Blank", BLANK)}
        nodes |= {f"w{k}": ("WriteFile", {"value": Link("x", 0)}) for k in range(length)}
        nodes |= {"s": ("Show", {"value": Link("x", 0)})}
        nodes |= {f"v{k}": ("WriteFile", {"value": Link("x", 0)}) for k in range(length)}
        engine = Engine(registry_of(write), files, NoCache())
        engine.run(graph_of(**nodes), on_files_left=lambda: told.append("free"))

    assert growth(run, 50) < 2.2
    assert told == ["free"] * 3
