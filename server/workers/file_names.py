"""Names for the files of runs, handed out to workers on request."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.files.file_names import FileSeries, NumberedFile
from server.errors import StorageError
from server.store.runs import File
from server.store.store import Store

_log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until a write that failed is tried again."""


class FileNames:
    """Hands out names from the store, which records a name before the file gets it.

    Args:
        store: keeps the names, so that a repeated run uses the same ones.
        patient: True to wait for a database that is away; otherwise the run fails.
    """

    def __init__(self, store: Store, *, patient: bool = False) -> None:
        self._store = store
        self._patient = patient

    async def answer(self, body: Mapping[str, Any]) -> NumberedFile | None:
        """Return the name that a worker asks for; None if it reports that a name is taken."""
        while True:
            try:
                return await self._answer(body)
            except StorageError as error:
                if not self._patient:
                    raise
                _log.error("%s", error)
                await asyncio.sleep(PAUSE)

    async def _answer(self, body: Mapping[str, Any]) -> NumberedFile | None:
        file = File(body["run"], body["node"], body["position"])
        if body["op"] == "taken":
            await self._store.unname_file(file)
            return None
        folder, stem, suffix = body["place"]
        return await self._store.name_file(
            file, FileSeries(Path(folder), stem, suffix), body["first"]
        )
