"""The entries of the cache: a node's outputs, their size, and the time they took."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from nodegraph.graph.results import Ui
from nodegraph.runtime.pooled_model import PooledModel

_ATOMS = frozenset({int, float, bool, complex, type(None)})


class Inner(NamedTuple):
    """The display of an output node inside an expansion."""

    suffix: str
    """The part of its id that follows the id of the node that expanded."""
    type_name: str
    ui: Ui


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Entry:
    """The result of one node."""

    outputs: tuple[object, ...]
    ui: Ui | None = None
    nbytes: int = 0
    seconds: float = 0.0
    """Seconds that its computation took."""
    versions: tuple[tuple[object, int], ...] = ()
    """The tensors in it, and how often each had been written to."""
    models: tuple[tuple[PooledModel, ...], ...] = ()
    """The models that each output refers to; empty if none does. Their weights do not count."""
    inner: tuple[Inner, ...] = ()
    """The displays of the nodes that it expanded to."""

    @property
    def intact(self) -> bool:
        """True if no tensor was written to since."""
        return all(version_of(tensor) == version for tensor, version in self.versions)


class Survey(NamedTuple):
    """The memory that a value holds, and the versions of its tensors."""

    nbytes: int
    versions: tuple[tuple[object, int], ...]
    models: tuple[PooledModel, ...] = ()
    """The models in it, whose weights do not count: they have a store of their own."""


def entry_of(
    outputs: tuple[object, ...], ui: Ui | None, seconds: float, inner: tuple[Inner, ...] = ()
) -> Entry:
    """Weigh fresh outputs."""
    if not [value for value in outputs if type(value) not in _ATOMS]:
        return Entry(outputs, ui, 0, seconds, inner=inner)
    nbytes, versions, found = survey(outputs[0] if len(outputs) == 1 else outputs)
    models = tuple(survey(value).models for value in outputs) if found else ()
    return Entry(outputs, ui, nbytes, seconds, versions, models, inner)


def survey(value: object) -> Survey:
    """Add up all that has `nbytes`, through containers and dataclasses.

    Tensors that share a storage count once, and for the whole storage: that is what a view
    keeps alive.
    """
    if hasattr(value, "nbytes") and not isinstance(value, PooledModel):
        version = version_of(value)
        return Survey(_storage(value)[1], () if version is None else ((value, version),))
    nbytes = 0
    counted: set[object] = set()
    versions: list[tuple[object, int]] = []
    models: list[PooledModel] = []
    for leaf in _leaves(value):
        if isinstance(leaf, PooledModel):
            models.append(leaf)
            continue
        identity, size = _storage(leaf)
        if identity not in counted:
            counted.add(identity)
            nbytes += size
        version = version_of(leaf)
        if version is not None:
            versions.append((leaf, version))
    return Survey(nbytes, tuple(versions), tuple(models))


def version_of(value: object) -> int | None:
    """Return the number of in-place writes to a tensor; None if it does not count them."""
    try:
        version = getattr(value, "_version", None)
    except RuntimeError:  # inference tensors do not count
        return None
    return version if isinstance(version, int) else None


def _leaves(value: object) -> Iterator[object]:
    """Everything inside that has a size of its own, each once."""
    pending = [value]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if type(item) in _ATOMS or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, str | bytes) or hasattr(item, "nbytes"):
            yield item
        else:
            pending.extend(_children(item))


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if is_dataclass(item) and not isinstance(item, type):
        return [getattr(item, field.name) for field in fields(item)]
    return []


def _storage(leaf: Any) -> tuple[object, int]:
    """Return the identity of a leaf's storage, and its size in bytes."""
    if isinstance(leaf, str | bytes):
        return id(leaf), len(leaf)
    try:
        if hasattr(leaf, "untyped_storage"):
            storage = leaf.untyped_storage()
            return storage.data_ptr() or id(leaf), int(storage.nbytes())
        return id(leaf), int(leaf.nbytes)
    except (RuntimeError, TypeError, ValueError):  # no storage: sparse, fake, or a strange handle
        return id(leaf), 0
