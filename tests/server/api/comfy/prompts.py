"""Prompts that several tests send."""

from typing import Any


def chain(length: int, start: int) -> dict[str, Any]:
    """So many nodes, each with the one before it as its input."""
    nodes: dict[str, Any] = {"0": {"class_type": "ToyNumber", "inputs": {"value": start}}}
    for place in range(1, length - 1):
        inputs = {"a": [str(place - 1), 0], "b": 1}
        nodes[str(place)] = {"class_type": "ToyAdd", "inputs": inputs}
    shown = {"class_type": "ToyShow", "inputs": {"a": [str(length - 2), 0]}}
    return nodes | {str(length - 1): shown}
