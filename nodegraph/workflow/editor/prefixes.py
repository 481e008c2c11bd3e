"""File names that name other nodes: `%Sampler.seed%` stands for that node's value."""

import re
from collections.abc import Mapping
from dataclasses import replace

from nodegraph.graph.graph import Link, Node

_INPUT = "filename_prefix"
_TOKEN = re.compile(r"%([^%.]+)\.([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


def with_values(node: Node, named: Mapping[str, Node]) -> Node:
    """Return the node with other nodes' values filled into its file name's prefix.

    Args:
        node: the node.
        named: the nodes by the names that prefixes use.
    """
    prefix = node.inputs.get(_INPUT)
    if not isinstance(prefix, str) or prefix.count("%") < 2:
        return node

    def value(token: re.Match[str]) -> str:
        source = named.get(token[1])
        found = source.inputs.get(token[2]) if source else None
        if found is None or isinstance(found, Link):
            return token[0]
        return _UNSAFE.sub("_", str(found))

    return replace(node, inputs={**node.inputs, _INPUT: _TOKEN.sub(value, prefix)})
