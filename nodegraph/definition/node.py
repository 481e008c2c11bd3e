"""Declare a node: the signature of a plain function is its schema."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Generic, ParamSpec, TypedDict, TypeVar, Unpack, get_args, get_type_hints

from nodegraph.definition.context import Context
from nodegraph.definition.dynamic import Builder, builder_of, read_parameter
from nodegraph.definition.signature import read_input, read_numbered, read_outputs
from nodegraph.errors import NodeDefinitionError, nearest, short_repr
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import gather, is_dynamic
from nodegraph.graph.spec import Caching, InputSpec, NodeSpec

__all__ = ["Check", "Needs", "NodeType", "State", "node"]

HOST_SOCKETS: Final = frozenset({"SIGMAS"})
"""Sockets whose tensors are on the host for good: samplers calculate with them there."""
_KEYWORDS = inspect.Parameter.VAR_KEYWORD
P = ParamSpec("P")
R = TypeVar("R")

Needs = Callable[[Mapping[str, object]], list[str]]
"""A function from the inputs computed so far to the names of the lazy inputs needed next."""
Check = Callable[[Mapping[str, object], Mapping[str, str], Files], None]
"""A function that raises a `NodeGraphError` if a node can not run with its inputs.

It gets the literal inputs, the types that links carry by the names of the inputs, and the folders.
"""
State = Callable[[Mapping[str, object], Files], str]
"""A function from the literal inputs and the folders to a text that changes with the result."""
Memory = Callable[[Mapping[str, object]], int]
"""A function from the inputs of a call to the bytes of device memory that it needs, about."""


class Declared(TypedDict, total=False):
    """Further arguments of `node`; see `NodeSpec`."""

    version: str
    hidden: tuple[str, ...]
    output_node: bool
    input_is_list: bool
    cache: Caching
    preflight: str | None
    migrate: str | None
    deprecated: bool
    experimental: bool
    gives_way: bool
    runs_empty: bool


@dataclass(frozen=True)
class NodeType(Generic[P, R]):
    """A node type: its spec, and the function that does the work."""

    spec: NodeSpec
    function: Callable[P, R]
    context_name: str | None = None
    """The parameter that takes the `Context`, if the function has one."""
    needs: Needs | None = None
    state: State | None = None
    memory: Memory | None = None
    writes_only: bool = False
    """True if it only writes what it is given, so that another run may compute meanwhile."""
    takes_any_device: bool = False
    """True if tensors of several devices are given to it as they are."""
    check: Check | None = None
    """Is called before a run."""
    depends_on_id: bool = False
    """True if its result may change with the id of its node."""
    builders: Mapping[str, Builder] = field(default_factory=dict[str, Builder])
    """For each choice with inputs of its own, what makes its argument from them."""

    @cached_property
    def host_inputs(self) -> frozenset[str]:
        """The inputs whose tensors stay on the host, whatever device the node computes on."""
        return frozenset(each.name for each in self.spec.inputs if each.socket in HOST_SOCKETS)

    @cached_property
    def raw_inputs(self) -> frozenset[str]:
        """The inputs that get a link itself, not its value."""
        return frozenset(each.name for each in self.spec.inputs if each.raw_link)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function directly, as tests and Python users do."""
        return self.function(*args, **kwargs)

    def arguments_of(self, values: dict[str, object]) -> dict[str, object]:
        """Return the arguments of a call, for values by the names that a graph has for inputs."""
        if not self._is_dynamic:
            return values
        found = gather(self.spec.inputs, values)
        built = {name: build(found[name]) for name, build in self.builders.items() if name in found}
        return found | built

    @cached_property
    def _is_dynamic(self) -> bool:
        return is_dynamic(self.spec)


def node(  # noqa: PLR0913 - each is named where it is given
    name: str,
    *,
    category: str,
    display_name: str = "",
    keywords: tuple[str, ...] = (),
    needs: Needs | None = None,
    state: State | None = None,
    memory: Memory | None = None,
    writes_only: bool = False,
    **more: Unpack[Declared],
) -> Callable[[Callable[P, R]], NodeType[P, R]]:
    """Turn a typed function into a `NodeType`.

    A parameter is an input (`nodegraph.definition.markers` says what its annotation may hold);
    one annotated `Context` gets the engine's. A `NamedTuple` result gives several outputs, `Ui`
    or None none. The docstring is the node's help.

    Args:
        name: the type's name in workflow files.
        category: the editor's menu path, `/`-separated.
        display_name: the title in the editor; the name if empty.
        keywords: the inputs that `**inputs` stands for, which Python has no names for.
        needs: for lazy inputs.
        state: outside state beyond the files that the inputs name.
        memory: what a call needs, so that room is made before it and not when it has failed.
        writes_only: True if it only writes what it is given. As soon as only such nodes are left
            of a run, the server has the next one computed, besides those that `slots` allows.
        **more: see `Declared`.

    Raises:
        NodeDefinitionError: the declaration has no meaning.
    """
    unknown = more.keys() - Declared.__annotations__
    if unknown:
        message = f"Node type {name!r}: there is no {min(unknown)!r} to declare."
        raise NodeDefinitionError(message, hint=nearest(min(unknown), Declared.__annotations__))
    if more.get("cache", "content") not in get_args(Caching):
        message = f"Node type {name!r}: cache is {short_repr(more.get('cache'))}."
        raise NodeDefinitionError(message, hint=f"It is one of {', '.join(get_args(Caching))}.")

    def declare(function: Callable[P, R]) -> NodeType[P, R]:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters
        context = next((key for key in parameters if hints.get(key) is Context), None)
        spec = NodeSpec(
            name=name,
            display_name=display_name or name,
            category=category,
            description=inspect.getdoc(function) or "",
            module=function.__module__,
            inputs=tuple(
                item
                for key, parameter in parameters.items()
                if key != context
                for item in _inputs(name, parameter, hints[key], keywords)
            ),
            outputs=read_outputs(name, hints.get("return")),
            **more,
        )
        found = {name: builder_of(name, hint) for name, hint in hints.items()}
        builders = {name: builder for name, builder in found.items() if builder}
        return NodeType(
            spec, function, context, needs, state, memory, writes_only, builders=builders
        )

    return declare


def _inputs(
    node_name: str, parameter: inspect.Parameter, hint: object, keywords: tuple[str, ...]
) -> list[InputSpec]:
    """The inputs that a parameter stands for."""
    if parameter.kind is not _KEYWORDS:
        return [read_parameter(node_name, parameter.name, hint, parameter.default)]
    named = [read_input(node_name, name, hint, parameter.default) for name in keywords]
    return named or read_numbered(node_name, hint)
