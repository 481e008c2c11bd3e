"""Which names the files of runs get, as workers ask for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.naming import Named, Place
from server.store.runs import File
from server.store.store import Store


class FileNames:
    """Answers from the store, where a name is written down before the file gets it.

    Args:
        store: remembers them, so that a run that is tried again uses the same ones.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, body: Mapping[str, Any]) -> Named | None:
        """The name that a worker asks for; None if it only says that one can not be had."""
        file = File(body["run"], body["node"], body["position"])
        if body["op"] == "taken":
            await self._store.unname_file(file)
            return None
        folder, stem, suffix = body["place"]
        return await self._store.name_file(file, Place(Path(folder), stem, suffix), body["first"])
