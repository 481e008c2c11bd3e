"""Keep results up to a number of bytes; what is cheap to get back for its size goes first."""

import heapq
import sys
import threading
from typing import Any, cast
from weakref import WeakValueDictionary

from nodegraph.cache.entry import Entry
from nodegraph.cache.protocol import Stats

OVERHEAD = 1024
"""Bytes that an entry is taken to cost beside its values."""
DEVICE_SHARE = 10
"""The divisor of an accelerator's memory that results may fill there."""
LARGEST_SHARE = 0.8
"""The share of the limit that one entry may fill; a larger one is not kept."""


class ContentCache:
    """GreedyDual-Size (Cao and Irani, 1997): evicts the least (age + seconds / bytes).

    A result that some run still refers to is found here even when it was evicted or was too
    large to keep: it is there anyway.
    """

    def __init__(self, limit: int = 4 << 30, device_limit: int | None = None) -> None:
        self._limit = limit
        self._device_limit = device_limit
        self._device_nbytes = 0
        self._lock = threading.Lock()
        self._kept: dict[str, Entry] = {}
        self._ranks: dict[str, float] = {}
        self._alive: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        """Results that are not kept, but that a run still refers to."""
        self._heap: list[tuple[float, str]] = []
        self._nbytes = 0
        self._age = 0.0
        self._hits = self._misses = self._evictions = 0

    def get(self, key: str, *, counted: bool = True) -> Entry | None:
        """Return the result stored under `key`, unless somebody wrote to it since."""
        with self._lock:
            kept = self._kept.get(key)
            entry = kept or (self._alive.get(key) if self._alive else None)
            if entry is not None and not entry.intact:
                self._forget(key)
                entry = None
            if counted:
                self._hits += entry is not None
                self._misses += entry is None
            if entry is not None and kept:
                self._rank(key, entry)
            return entry

    def put(self, key: str, entry: Entry) -> None:
        """Store a result, and evict others to make room."""
        with self._lock:
            if key in self._kept:
                self._forget(key)
            size = _size(entry)
            if size > self._limit * LARGEST_SHARE:
                self._alive[key] = entry
                return
            self._nbytes += size
            self._rank(key, entry)
            on_device = device_bytes(entry)
            self._device_nbytes += on_device
            while self._nbytes > self._limit:
                self._evict()
            if on_device:
                self._fit_on_device()

    def drop(self, key: str) -> None:
        """Forget a result that is no longer right."""
        with self._lock:
            self._forget(key)

    def clear(self) -> bool:
        """Forget everything that no run refers to; whether there was anything."""
        with self._lock:
            found = bool(self._kept)
            self._alive.update(self._kept)
            self._kept.clear()
            self._ranks.clear()
            self._heap.clear()
            self._nbytes = self._device_nbytes = 0
            return found

    @property
    def stats(self) -> Stats:
        """The state of the cache, and its counts so far."""
        with self._lock:
            return Stats(
                len(self._kept),
                self._nbytes,
                self._limit,
                self._hits,
                self._misses,
                self._evictions,
            )

    def _rank(self, key: str, entry: Entry) -> None:
        rank = self._age + entry.seconds / _size(entry)
        self._kept[key] = entry
        self._ranks[key] = rank
        heapq.heappush(self._heap, (rank, key))
        if len(self._heap) > 2 * len(self._kept) + 1000:
            self._heap = [(rank, key) for key, rank in self._ranks.items()]
            heapq.heapify(self._heap)

    def _evict(self) -> None:
        """Drop the least valuable; ranks that a later hit replaced are skipped."""
        while True:
            rank, key = heapq.heappop(self._heap)
            if self._ranks.get(key) == rank:
                break
        self._age = rank
        self._alive[key] = self._remove(key)
        self._evictions += 1

    def _fit_on_device(self) -> None:
        """Drop the least valuable results on the accelerator until the others fit their share."""
        if self._device_limit is None:
            self._device_limit = _device_limit()
        ranked = sorted(self._ranks, key=self._ranks.__getitem__)
        for key in ranked if self._device_nbytes > self._device_limit else ():
            if self._device_nbytes <= self._device_limit:
                break
            if device_bytes(self._kept[key]):
                self._age = max(self._age, self._ranks[key])
                self._alive[key] = self._remove(key)
                self._evictions += 1

    def _forget(self, key: str) -> None:
        self._alive.pop(key, None)
        if key in self._kept:
            self._remove(key)

    def _remove(self, key: str) -> Entry:
        del self._ranks[key]
        entry = self._kept.pop(key)
        self._nbytes -= _size(entry)
        self._device_nbytes -= device_bytes(entry)
        return entry


def _size(entry: Entry) -> int:
    return entry.nbytes + OVERHEAD


def device_bytes(entry: Entry) -> int:
    """Return the bytes of a result's tensors on accelerators."""
    tensors = (cast("Any", tensor) for tensor, _ in entry.versions)
    return sum(each.nbytes for each in tensors if not getattr(each, "is_cpu", True))


def _device_limit() -> int:
    from nodegraph.runtime.devices import own_memory_bytes  # torch, which has made the results

    own = own_memory_bytes()
    return sys.maxsize if own is None else own // DEVICE_SHARE  # None: it is the machine's memory
