"""The tensors in a value: found, changed, and moved between an accelerator and the host.

A value is looked into if it is a dict, a list, a tuple, or of a class that says `__data__ = True`:
that it is no more than its fields.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, cast

from nodegraph.cache.entry import Held
from nodegraph.cache.survey import HOST, place_of, storage_of, survey

_ATOMS: Final = frozenset({int, float, bool, str, type(None)})


def tensors_in(value: object) -> list[Any]:
    """Return the tensors in a value: in containers, and in classes that are plain data."""
    if type(value) in _ATOMS:
        return []
    if is_tensor(value):
        return [value]
    return [tensor for part in parts_of(value).values() for tensor in tensors_in(part)]


def map_tensors(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value with its tensors changed; the same object if none of them is another one."""
    if is_tensor(value):
        return change(value)
    parts = parts_of(value)
    new = {key: map_tensors(part, change) for key, part in parts.items()}
    if all(new[key] is part for key, part in parts.items()):
        return value
    return _rebuild(value, new)


def is_tensor(value: object) -> bool:
    """Return True for a torch tensor."""
    return hasattr(value, "untyped_storage") and hasattr(value, "is_cpu")


def parts_of(value: Any) -> dict[Any, Any]:
    """Return the parts of a container or of a value that is plain data, by name or number."""
    kind = cast("Any", type(cast("object", value)))
    if kind is dict:
        return cast("dict[Any, Any]", value)
    if kind in (list, tuple):
        return dict(enumerate(cast("Sequence[Any]", value)))
    if not is_plain_class(kind):
        return {}
    if issubclass(kind, tuple):
        return dict(enumerate(cast("Sequence[Any]", value)))
    return {field.name: getattr(value, field.name) for field in fields(value)}


def is_plain_class(kind: Any) -> bool:
    """Return True for named tuples, and for dataclasses and tuples that say they are plain."""
    is_named, says_so = hasattr(kind, "_make"), getattr(kind, "__data__", False) is True
    if not is_named and not says_so:
        return False
    return issubclass(kind, tuple) or (says_so and is_dataclass(kind))


class Carrier:
    """Copies the tensors of one result to another place; what shares memory goes on to share it.

    Args:
        twin: returns a tensor on the copy of a storage that exists already, given the identity
            of the storage; None if there is none.
    """

    def __init__(self, twin: Callable[[object], Any | None]) -> None:
        self._twin = twin
        self._wholes: dict[object, Any] = {}
        self._made: dict[int, Any] = {}

    @property
    def copies(self) -> dict[object, object]:
        """The identities of the storages that were copied to, by those that were copied."""
        return {source: storage_of(whole).identity for source, whole in self._wholes.items()}

    def to_host(self, held: Held) -> Held | None:
        """Return a result with all its tensors on the host, which remembers where they were.

        Returns:
            None if some of it can't be reached: it is inside of a value of an unknown class.

        Raises:
            RuntimeError: there is not enough memory.
        """
        from nodegraph.runtime.devices import host_device

        host = host_device()
        moved = self._move(held, lambda tensor: None if place_of(tensor) == HOST else host)
        return None if moved.accelerators else moved

    def to_homes(self, held: Held) -> Held:
        """Return a result with its tensors where they were computed.

        Raises:
            RuntimeError: there is not enough memory.
        """
        return self._move(held, lambda tensor: held.homes.get(id(tensor)))

    def _move(self, held: Held, target: Callable[[Any], Any]) -> Held:
        homes: dict[int, Any] = {}

        def change(tensor: Any) -> Any:
            device = target(tensor)
            if device is None:
                return tensor
            moved = self._made.get(id(tensor))
            if moved is None:
                moved = self._made[id(tensor)] = self._copy(tensor, device)
            if place_of(moved) == HOST:
                homes[id(moved)] = tensor.device
            return moved

        outputs = map_tensors(held.outputs, change)
        return Held.of(outputs, survey(outputs), homes)

    def _copy(self, tensor: Any, device: Any) -> Any:
        """Return a tensor's copy, a view of its storage's copy as the tensor is of the storage."""
        from nodegraph.runtime.devices import view_alike, whole_storage

        whole = whole_storage(tensor)
        if whole is None:
            return tensor.to(device)
        identity = storage_of(tensor).identity
        if identity not in self._wholes:
            twin = self._twin(identity)
            known = None if twin is None or twin.device != device else whole_storage(twin)
            self._wholes[identity] = whole.to(device) if known is None else known
        return view_alike(tensor, self._wholes[identity])


def _rebuild(value: Any, parts: dict[Any, Any]) -> Any:
    """Return a value of the same kind with other parts; see `parts_of`."""
    if isinstance(value, dict):
        return parts
    kind = cast("Any", type(cast("object", value)))
    if isinstance(value, list | tuple):
        return getattr(kind, "_make", kind)(parts.values())
    return replace(value, **cast("dict[str, Any]", parts))
