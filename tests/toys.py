"""Toy nodes shared by the engine's tests, and short ways to build and run graphs of them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import InputFile, Lazy, Listed, ModelFile, Optional, Step
from nodegraph.definition.node import NodeType, node
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.results import Expansion, Ui
from nodegraph.graph.sockets import Socket
from nodegraph.packs.registry import Registry

Image = Annotated[object, Socket("IMAGE")]


class Tensor:
    """As much of a tensor as the engine looks at."""

    def __init__(self, nbytes=0):
        self.nbytes = nbytes
        self._version = 0

    def write(self):
        self._version += 1


@node("One", category="test")
def one() -> int:
    return 1


@node("Add", category="test")
def add(a: int, b: Annotated[int, Optional()] = 10) -> int:
    return a + b


@node("Fail", category="test")
def fail(a: int) -> int:
    raise ValueError(a)


@node("Refuse", category="test")
def refuse(a: int) -> int:
    message = "not today."
    raise NodeGraphError(message, hint="Try tomorrow.")


@node("Show", category="test", output_node=True)
def show(value: object) -> Ui:
    return Ui(values={"text": [str(value)]})


@node("Pass", category="test")
def pass_on(image: Image) -> Image:
    return image


@node("Blank", category="test")
def blank(
    width: Annotated[int, Field(ge=16, le=16384), Step(8)] = 512,
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    method: Literal["nearest", "bilinear", "area"] = "nearest",
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] = 0,
    tiled: bool = False,
    text: str = "",
) -> Image:
    return Tensor(width)


@node("Load", category="test")
def load(name: Annotated[str, ModelFile("checkpoints")]) -> Annotated[object, Socket("MODEL")]:
    return name


@node("Open", category="test")
def open_file(image: Annotated[str, InputFile()], context: Context) -> str:
    return context.files.input(image).read_text()


class Halves(NamedTuple):
    image: Image
    rest: Annotated[object, Socket("MASK")]


@node("Split", category="test")
def split(image: Image) -> Halves:
    return Halves(image, "rest")


@node("Numbers", category="test")
def numbers(count: int) -> Annotated[list[int], Socket("INT"), Listed()]:
    return list(range(count))


@node("Sum", category="test", input_is_list=True)
def total(
    values: Annotated[list[int], Socket("INT")],
    start: Annotated[list[int] | None, Socket("INT")] = None,
) -> int:
    return sum(values) + sum(start or ())


@node("Random", category="test", cache="never")
def random_number() -> float:
    return time.perf_counter()


def _chosen(inputs):
    return ["yes"] if inputs["condition"] else ["no"]


@node("If", category="test", needs=_chosen)
def choose(
    condition: bool,
    yes: Annotated[object, Lazy(), Optional()] = None,
    no: Annotated[object, Lazy(), Optional()] = None,
) -> object:
    return yes if condition else no


@node("Countdown", category="test")
def countdown(start: int, total: Annotated[int, Optional()] = 0) -> int | Expansion:
    """Expand into an addition and the rest of the countdown."""
    if start == 0:
        return total
    more = Node("more", "Add", {"a": total, "b": start})
    rest = Node("rest", "Countdown", {"start": start - 1, "total": Link("more", 0)})
    return Expansion({"more": more, "rest": rest}, (Link("rest", 0),))


@node("Write", category="test")
def write(image: Annotated[Tensor, Socket("IMAGE")]) -> str:
    image.write()
    return "written"


@node("Save", category="test", output_node=True)
def save(value: object, context: Context) -> Ui:
    artifact = context.files.save("output", "toy", ".txt", str(value).encode())
    return Ui({"texts": [artifact]})


@node("Later", category="test")
async def later(a: int) -> int:
    return a + 1


def check_even(inputs, files):
    if inputs["a"] % 2:
        yield NodeGraphError(f"{inputs['a']} is odd.", input_name="a")


@node("Even", category="test", preflight="tests.toys:check_even")
def even(a: int) -> int:
    return a


SIMPLE = [value for value in list(globals().values()) if isinstance(value, NodeType)]


def registry_of(*types: NodeType[..., Any]) -> Registry:
    """The toy types and some more."""
    return Registry.from_types(*SIMPLE, *types)


def graph_of(**nodes: tuple[str, Mapping[str, object]]) -> Graph:
    """`graph_of(x=("Add", {"a": 1}))`: nodes by id."""
    return Graph({i: Node(i, type_name, inputs) for i, (type_name, inputs) in nodes.items()})


def chain_of(length: int) -> Graph:
    """A picture handed on `length - 2` times, and shown."""
    nodes = {"0": Node("0", "Blank", BLANK)}
    for k in range(1, length - 1):
        nodes[str(k)] = Node(str(k), "Pass", {"image": Link(str(k - 1), 0)})
    end = str(length - 1)
    nodes[end] = Node(end, "Show", {"value": Link(str(length - 2), 0)})
    return Graph(nodes)


BLANK: dict[str, object] = {
    "width": 512,
    "strength": 1.0,
    "method": "nearest",
    "seed": 0,
    "tiled": False,
    "text": "",
}
"""Every input of a `Blank`."""


def files_in(path: Path) -> Files:
    """The four folders, below a temporary one."""
    for name in ("models/checkpoints", "input", "output", "temp"):
        (path / name).mkdir(parents=True)
    return Files(Folders.under(path))
