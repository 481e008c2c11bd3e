"""Names for the files of runs, handed out to workers on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.files.file_names import FileSeries, NumberedFile
from server.store.runs import File
from server.store.store import Store


class FileNames:
    """Hands out names from the store, which records a name before the file gets it.

    Args:
        store: keeps the names, so that a repeated run uses the same ones.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, body: Mapping[str, Any]) -> NumberedFile | None:
        """Return the name that a worker asks for; None if it reports that a name is taken."""
        file = File(body["run"], body["node"], body["position"])
        if body["op"] == "taken":
            await self._store.unname_file(file)
            return None
        folder, stem, suffix = body["place"]
        return await self._store.name_file(
            file, FileSeries(Path(folder), stem, suffix), body["first"]
        )
