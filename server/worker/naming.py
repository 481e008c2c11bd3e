"""The numbers of saved files, as the server remembers them."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.naming import FileSeries, NumberedFile, SaveSlot
from server.wire import Channel


class StoreNaming:
    """Asks the server, which writes a number down before the file gets it.

    Args:
        channel: leads to the server.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._files: Counter[SaveSlot] = Counter()
        self._asked: dict[int, SimpleQueue[Mapping[str, Any]]] = {}
        self._questions = count()

    def next_file(self, owner: SaveSlot) -> "StoreClaim":
        """Return the claim of the next file that a node saves."""
        with self._lock:
            position = self._files[owner]
            self._files[owner] += 1
        return StoreClaim(self, owner, position)

    def ask(self, body: Mapping[str, Any]) -> NumberedFile:
        """Ask, and wait for the answer.

        Raises:
            NodeGraphError: the answer could not be written down.
        """
        reply: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        with self._lock:
            question = next(self._questions)
            self._asked[question] = reply
        self.tell({**body, "question": question})
        answer = reply.get()
        if "error" in answer:
            raise NodeGraphError(answer["error"])
        return NumberedFile(Path(answer["path"]), answer["number"], answer["again"])

    def tell(self, body: Mapping[str, Any]) -> None:
        """Say something that has no answer."""
        self._channel.send(body)

    def answer(self, body: Mapping[str, Any]) -> None:
        """What the server says to a question."""
        with self._lock:
            reply = self._asked.pop(body["question"])
        reply.put(body)

    def forget(self, run_id: str) -> None:
        """The run is over."""
        with self._lock:
            for slot in [slot for slot in self._files if slot.run_id == run_id]:
                del self._files[slot]


@dataclass(frozen=True, slots=True)
class StoreClaim:
    """One file's number."""

    naming: StoreNaming
    slot: SaveSlot
    position: int

    def claim(self, place: FileSeries, first: int) -> NumberedFile:
        """The name: with the number `first`, or above it; or the one that it had before."""
        parts = {"place": [str(place.folder), place.stem, place.suffix], "first": first}
        return self.naming.ask({"op": "name", **self._file, **parts})

    def release(self) -> None:
        """Somebody else has a file of that number."""
        self.naming.tell({"op": "taken", **self._file})

    @property
    def _file(self) -> dict[str, Any]:
        return {"run": self.slot.run_id, "node": self.slot.node_id, "position": self.position}
