"""Results by content: on the accelerator that made them, then on the host, then on the disk."""

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from weakref import WeakValueDictionary

from nodegraph.cache.books import OVERHEAD, Books
from nodegraph.cache.disk import DiskResults
from nodegraph.cache.entry import Entry, Held
from nodegraph.cache.limit import AUTO, device_limit_bytes
from nodegraph.cache.protocol import Stats
from nodegraph.cache.survey import HOST
from nodegraph.cache.tensors import Carrier
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodegraph.runtime.sizes import format_size

LARGEST_SHARE = 0.8
"""The share of the host's limit that one result may fill; a larger one is not kept."""
_log = logging.getLogger(__name__)


class ContentCache:
    """Keeps results up to a number of bytes in each place.

    What is cheap to compute again for its size goes first (`Ranking`): from an accelerator to
    the host, from there to the disk if there is one, else for good. A result that a run holds
    stays on its accelerator, unless a node lacks memory there, and is found here even when it was
    dropped or was too large to keep: it is there anyway. One that waits on the host is copied
    back when a node reads it.

    Copies are made one at a time, and the books stay open to other threads meanwhile.

    Args:
        limit: bytes of the host's memory.
        device_limit: bytes of an accelerator, a share of its memory such as `10%`, or `auto`.
        disk: gets what leaves the host, and what is to last, at once; None if nothing does.
    """

    def __init__(
        self,
        limit: int = 4 << 30,
        device_limit: int | str = AUTO,
        disk: DiskResults | None = None,
    ) -> None:
        self._limit = limit
        self._disk = disk
        self._leaving: list[Entry] = []
        """Results that left memory a moment ago, and are not written yet."""
        self._device_limit = device_limit
        self._lock = threading.Lock()
        self._copying = threading.RLock()
        """Held while results are copied; whoever waits for it does not have the other lock."""
        self._books = Books(limit, self._limit_on)
        self._alive: WeakValueDictionary[str, Entry] = WeakValueDictionary()
        """Results that are not kept, but that a run still refers to."""
        self._hits = self._misses = 0

    def get(self, key: str, *, counted: bool = True) -> Entry | None:
        """Return the result stored under `key`, unless somebody wrote to it since."""
        with self._lock:
            kept = self._books.entries.get(key)
            entry = kept or (self._alive.get(key) if self._alive else None)
            if entry is not None and not entry.intact:
                self._forget(key)
                entry = None
            if entry is None:
                self._misses += counted and self._disk is None
            else:
                self._note_use(entry, counted=counted)
        if entry is None and self._disk is not None:
            return self._from_disk(key, self._disk, counted=counted)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Store a result, and make others leave what is full."""
        entry.key = key
        with self._lock:
            if key in self._books.entries:
                self._forget(key)
            if not self._fits_host(entry.held):
                self._alive[key] = entry
                return
            self._books.add(entry)
            self._evict_from_host()
        if self._disk is not None:
            self._write_to_disk([entry] if _is_lasting(entry) else [])
        if entry.held.accelerators:
            self._make_others_leave(entry)

    def drop(self, key: str) -> None:
        """Forget a result that is no longer right."""
        with self._lock:
            self._forget(key)

    def clear(self) -> bool:
        """Forget everything that no run refers to; whether there was anything."""
        with self._lock:
            entries = self._books.clear()
            self._alive.update(entries)
            return bool(entries)

    def hold(self, entry: Entry) -> None:
        """Note that a run needs a result until it releases it."""
        if entry.held.is_movable:
            with self._lock:
                entry.holders += 1
                if self._keeps(entry):
                    self._books.hold(entry)

    def release(self, entries: Iterable[Entry]) -> None:
        """Take back one `hold` of each; what exceeds the limits leaves the accelerators."""
        held = [entry for entry in entries if entry.held.is_movable]
        if not held:
            return
        with self._lock:
            for entry in held:
                entry.holders -= 1
                if not entry.holders and self._keeps(entry):
                    self._books.rank(entry)
        self._make_others_leave(None)

    def begin_reading(self, entries: Iterable[Entry]) -> None:
        """Bring results back to where they were computed; they stay there until `end_reading`.

        Without room there they stay on the host.
        """
        read = [entry for entry in entries if entry.held.is_movable]
        if not read:
            return
        with self._lock:
            for entry in read:
                entry.readers += 1
            away = [entry for entry in read if entry.held.homes]
        for entry in away:
            self._bring_back(entry)

    def end_reading(self, entries: Iterable[Entry]) -> None:
        """Take back one `begin_reading` of each."""
        read = [entry for entry in entries if entry.held.is_movable]
        if read:
            with self._lock:
                for entry in read:
                    entry.readers -= 1

    def expect(self, keys: Collection[str]) -> None:
        """Note the results that the next run will probably look for; they leave last."""
        with self._lock:
            self._books.expected = frozenset(keys)

    def spill(self, nbytes: int, *, drops: bool = True) -> int:
        """Move results to the host until so many bytes of the accelerators are free.

        First those that no run holds, then those that no node reads at the moment; each time
        the one that takes the fewest seconds to compute for each byte.

        Args:
            nbytes: that are needed.
            drops: False to stop where the host has no room beside the other results.

        Returns:
            The bytes that became free.
        """
        freed = 0
        with self._copying:
            with self._lock:
                names = list(self._books.accelerators)
            for name in names:
                while freed < nbytes and (entry := self._least_of_all(name)) is not None:
                    if not drops and not self._fits_beside(entry, name):
                        break
                    freed += self._move_down(entry, name, held=True)
        return freed

    @property
    def stats(self) -> Stats:
        """The state of the cache, and its counts so far."""
        with self._lock:
            places = self._books.stats()
            host = next(each for each in places if each.place == HOST)
            evictions = sum(each.evictions for each in places)
            counts = (self._hits, self._misses, evictions)
        if self._disk is not None:
            places.append(self._disk.stats)
        return Stats(host.entries, host.nbytes, self._limit, *counts, tuple(places))

    def _note_use(self, entry: Entry, *, counted: bool) -> None:
        if counted:
            self._hits += 1
            self._books.place(main_place(entry.held)).hits += 1
        if self._keeps(entry):
            self._books.rank(entry)

    def _from_disk(self, key: str, disk: DiskResults, *, counted: bool) -> Entry | None:
        """Return a result from the disk, which is in memory again then."""
        entry = disk.read(key)
        if entry is not None:
            self.put(key, entry)
        if counted:
            with self._lock:
                self._hits += entry is not None
                self._misses += entry is None
        return entry

    def _write_to_disk(self, lasting: list[Entry]) -> None:
        """Write results that are to last, and those that left memory; no lock is held."""
        if self._disk is None:
            return
        for entry in lasting:
            self._disk.write(entry)
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for entry in leaving:
            spilled = self._disk.write(entry)
            with self._lock:
                self._books.place(HOST).spills += spilled
                self._books.place(HOST).spilled_bytes += entry.nbytes if spilled else 0
                self._books.place(HOST).evictions += not spilled

    def _keeps(self, entry: Entry) -> bool:
        return self._books.entries.get(entry.key) is entry

    def _forget(self, key: str) -> None:
        self._alive.pop(key, None)
        entry = self._books.entries.get(key)
        if entry is not None:
            self._books.remove(entry)

    def _fits_host(self, held: Held) -> bool:
        """Say if a result may be kept at all, by what it takes or would take on the host."""
        nbytes = held.bytes_by_place.get(HOST, 0)
        return nbytes + OVERHEAD <= self._limit * LARGEST_SHARE

    def _fits_beside(self, entry: Entry, name: str) -> bool:
        """Say if the host has room for what a result has in a place; else it stays there."""
        with self._lock:
            more = entry.held.bytes_by_place.get(name, 0)
            fits = self._books.nbytes(HOST) + more <= self._limit
            if not fits and self._keeps(entry):
                self._books.rank(entry)
            return fits

    def _evict_from_host(self) -> None:
        """Drop the results of the least worth until the others fit; the lock is held."""
        while self._books.is_over(HOST) and (entry := self._books.pop(HOST)):
            self._evict(entry, HOST)

    def _evict(self, entry: Entry, name: str) -> None:
        self._books.remove(entry)
        self._alive[entry.key] = entry
        if self._disk is None:
            self._books.place(name).evictions += 1
        else:
            self._leaving.append(entry)

    def _make_others_leave(self, spared: Entry | None) -> None:
        """Let results leave the accelerators that are too full, but not one that was just made."""
        with self._lock:
            full = [name for name in self._books.accelerators if self._books.is_over(name)]
        for name in full:
            with self._copying:
                while (entry := self._least(name, spared)) is not None:
                    self._move_down(entry, name)

    def _least(self, name: str, spared: Entry | None) -> Entry | None:
        """Return the result that leaves a place next; None if there is none, or all fit."""
        with self._lock:
            if not self._books.is_over(name):
                return None
            entry = self._books.pop(name, can_wait=True)
            if spared is not None and entry is spared:
                entry = self._books.pop(name, can_wait=True)
                self._books.rank(spared)
            return entry

    def _least_of_all(self, name: str) -> Entry | None:
        """Return the result that leaves a place next because its memory is needed, if any can."""
        with self._lock:
            return self._books.pop(name) or self._books.held_on(name)

    def _move_down(self, entry: Entry, name: str, *, held: bool = False) -> int:
        """Move a result to the host, or drop it if it does not fit there.

        Args:
            entry: the result.
            name: its place.
            held: True to move it even if a run holds it.

        Returns:
            The bytes that became free in its place.
        """
        before, carrier = entry.held, Carrier(self._twin)
        moved = self._try(lambda: carrier.to_host(before))
        with self._lock:
            if not self._keeps(entry) or entry.readers or (entry.holders and not held):
                return 0  # it is gone, or somebody needs it now
            taken = self._books.nbytes(name)
            if moved is None or not self._fits_host(moved) or not before.intact:
                self._evict(entry, name)
            else:
                self._books.move(entry, moved, carrier.copies)
                self._books.place(name).spills += 1
                self._books.place(name).spilled_bytes += taken - self._books.nbytes(name)
            self._evict_from_host()
            freed = taken - self._books.nbytes(name)
        self._write_to_disk([])
        return freed

    def _bring_back(self, entry: Entry) -> None:
        """Copy a result back to where it was computed, if there is room."""
        with self._copying:
            before, carrier = entry.held, Carrier(self._twin)
            if not before.homes:
                return
            moved = self._try(lambda: carrier.to_homes(before))
            if moved is None and self.spill(before.nbytes):
                moved = self._try(lambda: carrier.to_homes(before))
            if moved is None:
                _log.info("a result of %s stays on the host", format_size(before.nbytes))
                return
            with self._lock:
                if self._keeps(entry):
                    self._books.move(entry, moved, carrier.copies)
                    self._books.place(main_place(moved)).returns += 1
                else:
                    entry.held = moved
        self._make_others_leave(entry)

    def _try(self, copy: Callable[[], Held | None]) -> Held | None:
        """Return a copy; None if there is not enough memory for it."""
        try:
            return copy()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _twin(self, identity: object) -> object | None:
        with self._lock:
            return self._books.storages.twin(identity)

    def _limit_on(self, name: str) -> int:
        """Return the bytes of results that may be on an accelerator."""
        from nodegraph.runtime.devices import device_named, memory_bytes  # torch, which made them

        return device_limit_bytes(self._device_limit, memory_bytes(device_named(name))[1])


def _is_lasting(entry: Entry) -> bool:
    """Say if a result is worth keeping over a restart, as its class says: an encoded prompt."""
    return any(getattr(value, "__lasting__", False) for value in entry.outputs)


def main_place(held: Held) -> str:
    """Return the accelerator that a result is on, the first if there are several; else the host."""
    return next(iter(held.accelerators), HOST)
