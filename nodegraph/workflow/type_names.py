"""Node types that are not what their names say today: renamed ones, and namesakes of ours.

Editors until 2025 renamed ComfyUI's when they opened a file; the old names are from 2023.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nodegraph.graph.graph import Node

_TYPES: Final[Mapping[str, str]] = {
    "ConditioningAverage ": "ConditioningAverage",
    "T2IAdapterLoader": "ControlNetLoader",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
_INPUTS: Final[Mapping[str, Mapping[str, str]]] = {
    "T2IAdapterLoader": {"t2i_adapter_name": "control_net_name"},
}


@dataclass(frozen=True, slots=True)
class _Namesake:
    """Another pack's type that has the name of one of ours, and what tells it from ours."""

    name: str
    """The name that it has here, which no pack offers."""
    inputs: frozenset[str]
    """Inputs that ours does not have."""
    first_socket: str
    """Its first socket in a file of the editor; ours begins with another."""
    our_values: int
    """The number of values that a file of the editor has of ours."""


_NAMESAKES: Final[Mapping[str, _Namesake]] = {
    "IPAdapterApply": _Namesake(
        "IPAdapterApply (ComfyUI_IPAdapter_plus)",
        frozenset(("noise", "weight_type", "start_at", "end_at", "attn_mask", "unfold_batch")),
        first_socket="ipadapter",
        our_values=3,
    )
}


def as_today(node: Node) -> Node:
    """Return a node of the API format with the names of today for its type and inputs."""
    namesake = _NAMESAKES.get(node.type_name)
    if namesake and not namesake.inputs.isdisjoint(node.inputs):
        return replace(node, type_name=namesake.name)
    name = _TYPES.get(node.type_name)
    if name is None:
        return node
    renamed = _INPUTS.get(node.type_name, {})
    inputs = {renamed.get(key, key): value for key, value in node.inputs.items()}
    return replace(node, type_name=name, inputs=inputs)


def drawn_type(type_name: str, sockets: Sequence[str], values: Collection[object]) -> str:
    """Return the name of today for the type of a node that the editor saved.

    Args:
        type_name: the name in the file.
        sockets: the names of its inputs, in order.
        values: the values of its widgets.
    """
    namesake = _NAMESAKES.get(type_name)
    if namesake is None:
        return _TYPES.get(type_name, type_name)
    theirs = (
        sockets[:1] == [namesake.first_socket]
        or not namesake.inputs.isdisjoint(sockets)
        or len(values) not in (0, namesake.our_values)
    )
    return namesake.name if theirs else type_name
