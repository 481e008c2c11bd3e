"""Numbers for saved files, which a worker asks the server for."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.files.file_names import FileSeries, NumberedFile, SaveSlot
from server.workers.wire import Channel

_GONE = "the server was stopped before it named a file"


class StoreNaming:
    """Asks the server for numbers; the server stores a number before the file gets it.

    Args:
        channel: the connection to the server.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._files: Counter[SaveSlot] = Counter()
        self._asked: dict[int, SimpleQueue[Mapping[str, Any]]] = {}
        self._questions = count()
        self._abandoned = False

    def next_file(self, slot: SaveSlot) -> "StoreClaim":
        """Return the claim of the next file that a node saves."""
        with self._lock:
            position = self._files[slot]
            self._files[slot] += 1
        return StoreClaim(self, slot, position)

    def ask(self, body: Mapping[str, Any]) -> NumberedFile:
        """Send a question and wait for the answer.

        Raises:
            NodeGraphError: the server could not store the number.
        """
        reply: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        with self._lock:
            if self._abandoned:
                raise NodeGraphError(_GONE)
            question = next(self._questions)
            self._asked[question] = reply
        self.tell({**body, "question": question})
        answer = reply.get()
        if "error" in answer:
            raise NodeGraphError(answer["error"])
        return NumberedFile(Path(answer["path"]), answer["number"], answer["again"])

    def tell(self, body: Mapping[str, Any]) -> None:
        """Send a message that has no answer."""
        self._channel.send(body)

    def answer(self, body: Mapping[str, Any]) -> None:
        """Hand an answer of the server to the thread that waits for it."""
        with self._lock:
            reply = self._asked.pop(body["question"], None)
        if reply is not None:  # else the server that was asked is gone
            reply.put(body)

    def abandon(self) -> None:
        """Refuse files until `resume`: the server is gone, and nobody wants the runs that ask."""
        with self._lock:
            asked, self._asked = self._asked, {}
            self._abandoned = True
        for reply in asked.values():
            reply.put({"error": _GONE})

    def resume(self) -> None:
        """Note that there is a server again, which answers."""
        with self._lock:
            self._abandoned = False

    def forget(self, run_id: str) -> None:
        """Forget the positions of a run that is over."""
        with self._lock:
            for slot in [slot for slot in self._files if slot.run_id == run_id]:
                del self._files[slot]


@dataclass(frozen=True, slots=True)
class StoreClaim:
    """A claim on the number of one file."""

    naming: StoreNaming
    slot: SaveSlot
    position: int

    def claim(self, place: FileSeries, first: int) -> NumberedFile:
        """Return the file's name: its earlier one, or one with a number from `first` on."""
        parts = {"place": [str(place.folder), place.stem, place.suffix], "first": first}
        return self.naming.ask({"op": "name", **self._file, **parts})

    def release(self) -> None:
        """Give the number back, because another file has it."""
        self.naming.tell({"op": "taken", **self._file})

    @property
    def _file(self) -> dict[str, Any]:
        return {"run": self.slot.run_id, "node": self.slot.node_id, "position": self.position}
