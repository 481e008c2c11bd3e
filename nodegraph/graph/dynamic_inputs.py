"""Inputs that depend on a node's values: those of a choice that was made, and rows that grow.

A node type's spec holds them as a tree. A graph has them side by side, under dotted names:
`format: "png"` brings `format.bit_depth` along, and a row `images` holds `images.image0` and so on.
A node's function gets each tree in one piece.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.json_values import is_list
from nodegraph.graph.spec import InputSpec, NodeSpec, Row


def is_dynamic(spec: NodeSpec) -> bool:
    """Say if the inputs of a node type depend on a node's values."""
    return any(item.row or item.branches for item in spec.inputs)


def certain_sources(node: Node, inputs: Iterable[InputSpec]) -> list[NodeId]:
    """Return the nodes that a node reads in any case: those of its lazy inputs may never run.

    Args:
        node: of a graph.
        inputs: as its type declares them.
    """
    lazy = {item.name for item in inputs_for(inputs, node.inputs) if item.lazy}
    if not lazy:
        return node.sources
    links = (value for name, value in node.inputs.items() if name not in lazy)
    return list(dict.fromkeys(link.source for link in links if isinstance(link, Link)))


def inputs_for(inputs: Iterable[InputSpec], given: Mapping[str, object]) -> Iterator[InputSpec]:
    """Yield the inputs that a node has, under their names in a graph.

    Args:
        inputs: as the node type declares them.
        given: the node's values by dotted name. A choice that is not there has its default; of a
            row there are the required inputs, and those given.
    """
    for item in inputs:
        if item.row:
            yield from _of_row(item, item.row, given)
            continue
        yield item
        chosen = given.get(item.name, item.default)
        for branch in item.branches:
            if branch.key == chosen:
                yield from inputs_for(_below(item, branch.inputs), given)


def all_inputs(inputs: Iterable[InputSpec]) -> Iterator[InputSpec]:
    """Yield every input that any node of the type can have; a name may occur more than once."""
    for item in inputs:
        if item.row:
            yield from _of_row(item, item.row, dict.fromkeys(_names(item, item.row)))
            continue
        yield item
        for branch in item.branches:
            yield from all_inputs(_below(item, branch.inputs))


def gather(inputs: Iterable[InputSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's values with those of each row and of each choice in one piece.

    A row is a mapping of its keys. A choice is a mapping of the names of its inputs, and of its own
    name to what was chosen: `{"format": "png", "bit_depth": "8-bit"}`.

    Args:
        inputs: as the node type declares them.
        values: by dotted name.
    """
    rest = dict(values)
    found: dict[str, Any] = {}
    for item in inputs:
        start = f"{item.name}."
        inner = {
            name.removeprefix(start): rest.pop(name) for name in values if name.startswith(start)
        }
        if item.row:
            found[item.name] = {key: inner[key] for key in item.row.keys if key in inner}
        elif item.branches and item.name in rest:
            chosen = rest.pop(item.name)
            key: object = chosen[0] if is_list(chosen) and chosen else chosen
            own = next((branch.inputs for branch in item.branches if branch.key == key), ())
            found[item.name] = {item.name: chosen, **gather(own, inner)}
    return {**rest, **found}


def flatten(inputs: Iterable[InputSpec], values: Mapping[str, object]) -> dict[str, object]:
    """Return values by dotted name, the reverse of `gather`; a row may be given as a list, too.

    Args:
        inputs: as the node type declares them.
        values: by name; what has a dotted name already stays.
    """
    found = dict(values)
    for item in inputs:
        value = found.get(item.name)
        if item.row and is_list(value):
            value = dict(zip(item.row.keys, value, strict=False))
        if not isinstance(value, Mapping) or not (item.row or item.branches):
            continue
        del found[item.name]
        inner = dict(cast("Mapping[str, object]", value))
        if item.branches:
            key = found[item.name] = inner.pop(item.name, item.default)
            own = next((branch.inputs for branch in item.branches if branch.key == key), ())
            inner = flatten(own, inner)
        found |= {f"{item.name}.{name}": each for name, each in inner.items()}
    return found


def defaults_for(spec: NodeSpec, given: Mapping[str, object]) -> dict[str, object]:
    """Return the default values of a node's required inputs, as a newly placed node has them.

    Args:
        spec: the node type.
        given: the node's values, some of which are choices.
    """
    return {
        item.name: item.default
        for item in inputs_for(spec.inputs, given)
        if item.required and item.has_default
    }


def _below(item: InputSpec, inputs: Iterable[InputSpec]) -> Iterator[InputSpec]:
    """Yield inputs under the name of the one that they belong to."""
    return (replace(each, name=f"{item.name}.{each.name}") for each in inputs)


def _names(item: InputSpec, row: Row) -> list[str]:
    return [f"{item.name}.{key}" for key in row.keys]


def _of_row(item: InputSpec, row: Row, given: Mapping[str, object]) -> Iterator[InputSpec]:
    for number, name in enumerate(_names(item, row)):
        required = item.required and number < row.least
        if required or name in given:
            yield replace(row.item, name=name, required=required)
