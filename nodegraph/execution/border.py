"""The border of a node: tensors that it gets together are on one device.

Results stay where they were computed, and files are read on the host, so a node may be given both.
What is on the host then goes to the accelerator. Nodes of packs get that, too; a value of their own
is looked into if its class says `__data__ = True`: that it is no more than its fields.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, cast

HOST_SOCKETS: Final = frozenset({"SIGMAS"})
"""Sockets whose tensors are on the host for good: samplers calculate with them there."""
_ATOMS: Final = frozenset({int, float, bool, str, type(None)})


def bring_together(inputs: Mapping[str, object], sockets: Mapping[str, str]) -> dict[str, object]:
    """Return a node's inputs on one device: unchanged unless some are on an accelerator.

    Args:
        inputs: of one call.
        sockets: the socket of each input.
    """
    movable = [name for name in inputs if sockets.get(name) not in HOST_SOCKETS]
    found = [tensor for name in movable for tensor in tensors_in(inputs[name])]
    device = next((tensor.device for tensor in found if not tensor.is_cpu), None)
    if device is None or not any(tensor.is_cpu for tensor in found):
        return dict(inputs)

    def move(tensor: Any) -> Any:
        return tensor.to(device) if tensor.is_cpu else tensor

    moved = {name: map_tensors(inputs[name], move) for name in movable}
    return {**inputs, **moved}


def tensors_in(value: object) -> Iterator[Any]:
    """Yield the tensors in a value: in containers, and in classes that are plain data."""
    if type(value) in _ATOMS:
        return
    if _is_tensor(value):
        yield value
    for part in _parts(value).values():
        yield from tensors_in(part)


def map_tensors(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value with its tensors changed; the same object if none of them is another one."""
    if _is_tensor(value):
        return change(value)
    parts = _parts(value)
    new = {key: map_tensors(part, change) for key, part in parts.items()}
    if all(new[key] is part for key, part in parts.items()):
        return value
    if type(value) is dict:
        return new
    if type(value) in (list, tuple):
        return type(value)(new.values())
    return replace(value, **cast("dict[str, Any]", new))


def _is_tensor(value: object) -> bool:
    return hasattr(value, "untyped_storage") and hasattr(value, "is_cpu")


def _parts(value: Any) -> dict[Any, Any]:
    if type(value) is dict:
        return cast("dict[Any, Any]", value)
    if type(value) in (list, tuple):
        return dict(enumerate(cast("Sequence[Any]", value)))
    if is_dataclass(value) and getattr(value, "__data__", False):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {}
