"""The memory behind a value: its tensors' storages, their sizes and places, and its models."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, NamedTuple

from nodegraph.runtime.pooled_model import PooledModel

HOST: Final = "host"
"""The place of all that is in the machine's own memory; an accelerator's is its name."""
_TEXTS: Final = (str, bytes)
ATOMS: Final = frozenset({int, float, bool, complex, type(None)})
"""Types of values that take no memory worth counting."""


class Storage(NamedTuple):
    """A piece of memory, which several tensors may look at."""

    place: str
    """`host`, or the name of the accelerator that has it, such as `cuda:0`."""
    identity: object
    """Equal for all tensors that look at it, as long as one of them lives."""
    nbytes: int
    leaf: object
    """One of those tensors; or what else has a size: a text, an array."""


class Survey(NamedTuple):
    """The memory that a value holds, and the versions of its tensors."""

    nbytes: int = 0
    versions: tuple[tuple[object, int], ...] = ()
    models: tuple[PooledModel, ...] = ()
    """The models in it, whose weights do not count: they have a store of their own."""
    storages: tuple[Storage, ...] = ()


def survey(value: object) -> Survey:
    """Find all that has `nbytes`, through containers and dataclasses.

    Tensors that share a storage count once, and for the whole storage: that is what a view
    keeps alive.
    """
    if _has_size(value) and not isinstance(value, PooledModel):
        version, storage = version_of(value), storage_of(value)
        single = () if version is None else ((value, version),)
        return Survey(storage.nbytes, single, (), (storage,))
    storages: dict[object, Storage] = {}
    versions: list[tuple[object, int]] = []
    models: list[PooledModel] = []
    for leaf in _leaves(value):
        if isinstance(leaf, PooledModel):
            models.append(leaf)
            continue
        storage = storage_of(leaf)
        storages.setdefault(storage.identity, storage)
        version = version_of(leaf)
        if version is not None:
            versions.append((leaf, version))
    nbytes = sum(storage.nbytes for storage in storages.values())
    return Survey(nbytes, tuple(versions), tuple(models), tuple(storages.values()))


def version_of(value: object) -> int | None:
    """Return the number of in-place writes to a tensor; None if it does not count them."""
    try:
        version = getattr(value, "_version", None)
    except RuntimeError:  # inference tensors do not count
        return None
    return version if isinstance(version, int) else None


def storage_of(leaf: Any) -> Storage:
    """Return the storage of a leaf; of 0 bytes if it has none, as a sparse tensor."""
    if isinstance(leaf, _TEXTS):
        return Storage(HOST, id(leaf), len(leaf), leaf)
    place = place_of(leaf)
    try:
        if not hasattr(leaf, "untyped_storage"):
            return Storage(place, id(leaf), int(leaf.nbytes), leaf)
        memory = leaf.untyped_storage()
        address = memory.data_ptr()
        return Storage(place, (place, address) if address else id(leaf), int(memory.nbytes()), leaf)
    except (RuntimeError, TypeError, ValueError):  # no storage: sparse, fake, or a strange handle
        return Storage(place, id(leaf), 0, leaf)


def place_of(leaf: Any) -> str:
    """Return the place of a leaf: `host`, or the accelerator whose own memory has it."""
    if getattr(leaf, "is_cpu", True):
        return HOST
    from nodegraph.runtime.devices import has_own_memory  # torch, whose tensor this is

    return str(leaf.device) if has_own_memory(leaf.device) else HOST


def _leaves(value: object) -> Iterator[object]:
    """Everything inside that has a size of its own, each once."""
    pending = [value]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if type(item) in ATOMS or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, _TEXTS) or _has_size(item):
            yield item
        else:
            pending.extend(_children(item))


def _has_size(item: object) -> bool:
    """Return True for what takes memory of its own; also if it can't say how much."""
    try:
        return hasattr(item, "nbytes")
    except RuntimeError:  # a sparse tensor
        return True


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if is_dataclass(item) and not isinstance(item, type):
        return [getattr(item, field.name) for field in fields(item)]
    return []
