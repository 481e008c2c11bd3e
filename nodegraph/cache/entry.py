"""The entries of the cache: a node's outputs, their size, and the time they took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nodegraph.cache.survey import ATOMS, HOST, Storage, Survey, survey, version_of
from nodegraph.graph.results import Ui
from nodegraph.runtime.pooled_model import PooledModel


class Inner(NamedTuple):
    """The display of an output node inside an expansion."""

    suffix: str
    """The part of its id that follows the id of the node that expanded."""
    type_name: str
    ui: Ui


class Held(NamedTuple):
    """A node's outputs where they are now, and the memory that they take there."""

    outputs: tuple[object, ...]
    nbytes: int = 0
    versions: tuple[tuple[object, int], ...] = ()
    """The tensors in it, and how often each had been written to."""
    storages: tuple[Storage, ...] = ()
    bytes_by_place: Mapping[str, int] = {}
    """The bytes in each place; see `Storage.place`."""
    accelerators: tuple[str, ...] = ()
    """The accelerators in whose own memory something of it is."""
    homes: Mapping[int, Any] = {}
    """The accelerators that tensors on the host were moved from, by the tensor's `id`."""

    @classmethod
    def of(
        cls, outputs: tuple[object, ...], found: Survey, homes: Mapping[int, Any] | None = None
    ) -> "Held":
        """Weigh outputs.

        Args:
            outputs: of a node.
            found: what `survey` found in them.
            homes: see the field; none if None.
        """
        nbytes, versions, _, storages = found
        sizes: dict[str, int] = {}
        for place, _, size, _ in storages:
            if size:
                sizes[place] = sizes.get(place, 0) + size
        there = tuple([place for place in sizes if place != HOST])
        return cls(outputs, nbytes, versions, storages, sizes, there, homes or {})

    @property
    def intact(self) -> bool:
        """True if no tensor was written to since."""
        return not [tensor for tensor, was in self.versions if version_of(tensor) != was]

    @property
    def is_movable(self) -> bool:
        """True if something of it is on an accelerator, or was and waits on the host."""
        return bool(self.accelerators or self.homes)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Entry:
    """The result of one node.

    The cache moves its values between the accelerator and the host: it replaces `held` as a
    whole, so that a thread that reads it sees all of them in one place or all in the other.
    """

    held: Held
    ui: Ui | None = None
    seconds: float = 0.0
    """Seconds that its computation took."""
    models: tuple[tuple[PooledModel, ...], ...] = ()
    """The models that each output refers to; empty if none does. Their weights do not count."""
    inner: tuple[Inner, ...] = ()
    """The displays of the nodes that it expanded to."""
    key: str = field(default="", init=False)
    """Its content key, once it was given to the cache."""
    holders: int = field(default=0, init=False)
    """The runs that still need it."""
    readers: int = field(default=0, init=False)
    """The nodes that are computed from it now."""

    @property
    def outputs(self) -> tuple[object, ...]:
        """The node's outputs."""
        return self.held.outputs

    @property
    def nbytes(self) -> int:
        """The bytes of its outputs, wherever they are."""
        return self.held.nbytes

    @property
    def intact(self) -> bool:
        """True if no tensor was written to since."""
        return self.held.intact


def entry_of(
    outputs: tuple[object, ...], ui: Ui | None, seconds: float, inner: tuple[Inner, ...] = ()
) -> Entry:
    """Weigh fresh outputs."""
    if not [value for value in outputs if type(value) not in ATOMS]:
        return Entry(Held(outputs), ui, seconds, inner=inner)
    found = survey(outputs[0] if len(outputs) == 1 else outputs)
    models = tuple(survey(value).models for value in outputs) if found.models else ()
    return Entry(Held.of(outputs, found), ui, seconds, models, inner)
