"""Describing many packs: two at a time, by processes that import what all of them need once."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, TypeAlias

from nodegraph.errors import PackError
from nodegraph.packs.catalog import (
    PackSource,
    catalog_from,
    child_environment,
    describe_apart,
    read_catalog,
    too_slow,
)
from nodegraph.packs.snapshot import PackCatalog

AT_ONCE = 2
_FAREWELL = 1.0
"""Seconds that a process gets to end by itself."""
Result: TypeAlias = PackCatalog | PackError


class ClosedError(Exception):
    """The describer was closed while it described a pack."""


class Describer:
    """Describes packs one after another, each in a process of its own.

    On Linux these are forked from one that has imported what all packs of a host need.
    """

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None
        self._closed = False

    def describe(self, pack: PackSource, patience: float) -> PackCatalog:
        """Return the catalog of a pack.

        Raises:
            PackError: it cannot be imported, or takes more than `patience` seconds.
            ClosedError: the describer was closed meanwhile.
        """
        if sys.platform != "linux" or not pack.preload:
            return describe_apart(pack, patience)
        answer = self._ask(pack, patience)
        if answer is None:
            if self._closed:
                raise ClosedError
            return describe_apart(pack, patience)  # The process that forks has died.
        if answer["late"]:
            raise too_slow(pack, patience)
        return catalog_from(pack, answer["told"].encode(), answer["printed"], answer["code"])

    def close(self) -> None:
        """End its processes, and with them a description under way."""
        self._closed = True
        if self._server is not None:
            _end(self._server)

    def _ask(self, pack: PackSource, patience: float) -> dict[str, Any] | None:
        """Return the answer of the process that forks; None if it has died."""
        if self._closed:
            return None
        if self._server is not None and self._server.poll() is not None:
            _end(self._server)
            self._server = None
        self._server = self._server or _start()
        job = json.dumps({"source": pack.as_text(), "patience": patience})
        try:
            _pipe(self._server.stdin).write(f"{job}\n")
            _pipe(self._server.stdin).flush()
            line = _pipe(self._server.stdout).readline()
            return json.loads(line) if line else None
        except (OSError, ValueError):  # also: the pipe was closed meanwhile
            return None


def _end(server: "subprocess.Popen[str]") -> None:
    """End a process with all that it has forked, and close its pipes."""
    with suppress(OSError):
        _pipe(server.stdin).close()
    try:
        server.wait(_FAREWELL)
    except subprocess.TimeoutExpired:  # It is still importing, and has forked nothing.
        server.kill()
        server.wait()
    _pipe(server.stdout).close()


def _pipe(end: "IO[str] | None") -> "IO[str]":
    assert end is not None, "the process was started with pipes"
    return end


def _start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "nodegraph.packs.describe", "--serve"],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


class PackReader:
    """Reads catalogs of packs, two at a time; describes those of which none is remembered.

    Args:
        cache: the folder for snapshots.
        patience: the most seconds that the import of a pack may take.
    """

    def __init__(self, cache: Path, patience: float) -> None:
        self._cache = cache
        self._patience = patience
        self._all = [Describer() for _ in range(AT_ONCE)]
        self._free: SimpleQueue[Describer] = SimpleQueue()
        for describer in self._all:
            self._free.put(describer)

    def read(self, sources: Sequence[PackSource]) -> Iterator[tuple[PackSource, Result]]:
        """Yield each pack with its catalog or its error, as they come; end when it is closed."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="packs") as pool:
            waiting: dict[Future[Result], PackSource] = {
                pool.submit(self._read, source): source for source in sources
            }
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            except ClosedError:
                return
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()

    def close(self) -> None:
        """End what is under way; may be called from any thread."""
        for describer in self._all:
            describer.close()

    def _read(self, source: PackSource) -> Result:
        describer = self._free.get()
        try:
            return read_catalog(source, self._cache, self._patience, describer.describe)
        except PackError as error:
            error.details = {**error.details, "pack": source.name}
            return error
        finally:
            self._free.put(describer)
