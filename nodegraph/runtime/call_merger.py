"""Calls that several threads make at nearly the same time, made as one.

The first thread that comes collects: it waits while a call of the same kind is being computed,
then for the participants that are likely to come, but hardly longer than such a call takes. Then
it computes for all that have come.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar, cast

from nodegraph.errors import NodeGraphError

T = TypeVar("T")
R = TypeVar("R")

MOST_ITEMS: Final = 16
"""The most calls that become one."""
SHORTEST_WAIT: Final = 0.01
"""Seconds that others are waited for though calls take less: about a switch of threads or two."""
_KEYS_REMEMBERED: Final = 8

Compute: TypeAlias = Callable[[Sequence[T]], Sequence[R]]
"""A function from the items of several calls to their results, in the same order."""


class Participant:
    """Makes several calls one after another, as a sampler does.

    Args:
        family: equal for participants whose calls may be of one kind.
    """

    def __init__(self, family: Hashable) -> None:
        self.family = family
        self._recent: deque[Hashable] = deque(maxlen=_KEYS_REMEMBERED)
        self._late = False

    def note(self, key: Hashable) -> None:
        """Note a call that it makes, and its kind."""
        self._late = False
        if key not in self._recent:
            self._recent.append(key)

    def miss(self) -> None:
        """Note that others waited for it in vain: they don't until it makes a call again."""
        self._late = True

    def is_expected(self, key: Hashable) -> bool:
        """Return True if its next call may well be of this kind: its first, or as one before."""
        return not self._late and (not self._recent or key in self._recent)


class _Batch:
    """Calls that are computed together."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.callers: list[Participant | None] = []
        self.results: Sequence[Any] | None = None
        """None after `done` if they could not be computed together."""
        self.done = False


class _Kind:
    """The calls of one kind that are waiting, and what is known of those before."""

    def __init__(self) -> None:
        self.collecting: _Batch | None = None
        self.computing = False
        self.seconds = 0.0
        """The seconds that the last call took."""


class CallMerger:
    """Merges calls of equal kinds; one for all threads of an engine.

    Args:
        shortest_wait: seconds that others are waited for though calls take less.
    """

    def __init__(self, shortest_wait: float = SHORTEST_WAIT) -> None:
        self._shortest_wait = shortest_wait
        self._changed = threading.Condition()
        self._kinds: dict[tuple[Hashable, Hashable], _Kind] = {}
        self._participants: list[Participant] = []
        self._calls = self._computations = 0

    @property
    def counts(self) -> tuple[int, int]:
        """The calls that were made, and the computations that they took."""
        with self._changed:
            return self._calls, self._computations

    @contextmanager
    def participate(self, family: Hashable) -> Generator[Participant]:
        """Take part within the block: others of the family wait a little for this one's calls."""
        participant = Participant(family)
        with self._changed:
            self._participants.append(participant)
        try:
            yield participant
        finally:
            with self._changed:
                self._participants.remove(participant)
                if all(other.family != family for other in self._participants):
                    self._forget(kind for kind in self._kinds if kind[0] == family)
                self._changed.notify_all()

    def call(
        self,
        key: Hashable,
        item: T,
        compute: Compute[T, R],
        participant: Participant | None = None,
    ) -> R:
        """Return the result of one call, computed together with others of its kind.

        Calls that can not be computed together are computed one by one, each by its caller.

        Args:
            key: the kind: equal for calls that can be computed together.
            item: the subject of the call.
            compute: computes several; whichever thread came first calls its own.
            participant: who calls, if it makes more than one call.
        """
        family = None if participant is None else participant.family
        with self._changed:
            self._calls += 1
            if participant is not None:
                participant.note(key)
            kind = self._kinds.setdefault((family, key), _Kind())
            batch, place = _join(kind, item, participant)
            self._changed.notify_all()
            if place == 0:
                self._collect(key, kind, batch)
            else:
                self._changed.wait_for(lambda: batch.done)
        if place == 0:
            self._compute((family, key), kind, batch, compute)
        if batch.results is None:
            return compute([item])[0]
        return cast("R", batch.results[place])

    def _collect(self, key: Hashable, kind: _Kind, batch: _Batch) -> None:
        """Wait for others, then close the batch."""
        self._changed.wait_for(lambda: not kind.computing)
        deadline = time.monotonic() + max(kind.seconds, self._shortest_wait)
        while len(batch.items) < MOST_ITEMS and self._missing(key, batch):
            left = deadline - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                break
        if len(batch.items) < MOST_ITEMS:
            for absent in self._missing(key, batch):
                absent.miss()
        if kind.collecting is batch:
            kind.collecting = None
        kind.computing = True
        self._computations += 1

    def _missing(self, key: Hashable, batch: _Batch) -> list[Participant]:
        """Return the participants that are expected in a batch and have not come."""
        leader = batch.callers[0]
        return [
            other
            for other in self._participants
            if leader is not None
            and other.family == leader.family
            and other not in batch.callers
            and other.is_expected(key)
        ]

    def _compute(
        self,
        name: tuple[Hashable, Hashable],
        kind: _Kind,
        batch: _Batch,
        compute: Compute[Any, Any],
    ) -> None:
        """Compute a batch; if that fails for several calls, each is left to its caller."""
        started = time.monotonic()
        results: Sequence[Any] | None = None
        try:
            results = compute(batch.items)
        except (NodeGraphError, RuntimeError, MemoryError):
            if len(batch.items) == 1:
                raise
        finally:
            with self._changed:
                batch.results, batch.done = results, True
                kind.computing, kind.seconds = False, time.monotonic() - started
                if batch.callers[0] is None and kind.collecting is None:
                    self._forget([name])
                self._changed.notify_all()

    def _forget(self, names: Iterable[tuple[Hashable, Hashable]]) -> None:
        for name in list(names):
            self._kinds.pop(name, None)


def _join(kind: _Kind, item: object, participant: Participant | None) -> tuple[_Batch, int]:
    """Add a call to the batch that collects, or to a new one; return its place there."""
    batch = kind.collecting
    if batch is None or len(batch.items) >= MOST_ITEMS:
        batch = kind.collecting = _Batch()
    batch.items.append(item)
    batch.callers.append(participant)
    return batch, len(batch.items) - 1
