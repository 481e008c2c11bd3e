"""Templates made small: the same nodes and links, with few pixels and few steps."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from nodegraph.graph.graph import Graph, Link, NodeId
from nodegraph.graph.spec import NodeSpec

STEPS, FACTOR, LEAST = 2, 16, 64
"""The steps of a sampler; what sides of pictures are divided by; the least that they are then."""
_PARTS = ("start_at_step", "end_at_step")
_SIDES = {
    "width", "height", "target_width", "target_height", "largest_size", "longer_size",
    "shorter_size", "left", "right", "top", "bottom", "resolution", "x", "y", "max_size",
}  # fmt: skip
_FEW = {"megapixels": 0.01, "max_length": 4}
"""The megapixels of a picture, and the tokens of a text."""
_PICTURES_FROM = 200
"""A number of pixels is at least that; one below it means something else."""


def smaller(graph: Graph, catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return a graph with the same nodes and links whose pictures are tiny and whose runs short.

    Args:
        graph: a template.
        catalog: the node types there are, whose inputs say how small they may be.
    """
    changes: dict[tuple[NodeId, str], object] = {}
    for node in graph.nodes.values():
        whole = node.inputs.get("steps")
        for name in node.inputs:
            for place, value in _numbers(graph, node.id, name):
                if (new := _smaller(name, value, whole)) is not None:
                    least = _least(catalog.get(node.type_name), name)
                    changes[place] = max(new, least)
    return replace(
        graph,
        nodes={
            key: replace(
                node,
                inputs={name: changes.get((key, name), v) for name, v in node.inputs.items()},
            )
            for key, node in graph.nodes.items()
        },
        sent=None,
    )


def _least(spec: NodeSpec | None, name: str) -> float:
    """Return the least that an input may be."""
    found = spec.input(name) if spec else None
    return 0 if found is None or found.minimum is None else found.minimum


def _smaller(name: str, value: float, whole: object) -> float | None:
    """Return a smaller number for an input; None if it stays."""
    plain = name.rpartition(".")[2]
    if plain == "steps":
        return min(int(value), STEPS)
    if plain in _PARTS and isinstance(whole, int) and whole:
        return math.ceil(min(value, whole) * min(whole, STEPS) / whole)
    if plain in _SIDES and value >= _PICTURES_FROM:
        return max(LEAST, int(value) // FACTOR // 16 * 16)
    return _FEW.get(plain)


def _numbers(
    graph: Graph, node: NodeId, name: str, seen: frozenset[NodeId] = frozenset()
) -> Iterator[tuple[tuple[NodeId, str], float]]:
    """Yield where the numbers stand that an input may get, through primitives and switches."""
    value = graph.nodes[node].inputs[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield (node, name), value
    if not isinstance(value, Link) or value.source in seen:
        return
    source = graph.nodes[value.source]
    for passed in _PASSES.get(source.type_name, ()):
        if passed in source.inputs:
            yield from _numbers(graph, source.id, passed, seen | {source.id})


_PASSES: Mapping[str, tuple[str, ...]] = {
    "PrimitiveInt": ("value",),
    "PrimitiveFloat": ("value",),
    "ComfySwitchNode": ("on_true", "on_false"),
    "ComfySoftSwitchNode": ("on_true", "on_false"),
}
"""The inputs that a node type's number comes from."""
