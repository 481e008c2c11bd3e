"""All ComfyUI servers of the settings, as the rest of the server sees them."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import is_
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import ClientError

from nodegraph.errors import NodeGraphError, SettingsError, UnknownNodeTypeError
from nodegraph.files.files import Files
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.registry import Registry
from nodegraph.settings.server import ServerSettings
from nodegraph.validation.placement import join_few
from server.workers.comfyui.addresses import read_addresses
from server.workers.comfyui.connection import Fetched
from server.workers.comfyui.node_types import Entry, NodeTypes, joined_entry
from server.workers.comfyui.worker import ComfyWorker
from server.workers.process_worker import ServerHooks

PATIENCE = 10.0
"""Seconds for which a server's node types are taken for current."""
_SLOWEST = 5.0
"""The most seconds that a request waits for newer ones."""
_CLIENT = "comfyui-client"
_OK = 200


class ComfyServers:
    """The ComfyUI servers, in the order of the settings; there may be none.

    Args:
        workers: a worker for each.
    """

    def __init__(self, workers: Sequence[ComfyWorker] = ()) -> None:
        self.workers = tuple(workers)
        self._further = _Further()

    @property
    def offers(self) -> Mapping[str, Registry]:
        """The node types of each server that has been there, also if it is away now."""
        return {
            worker.server: worker.node_types.registry
            for worker in self.workers
            if worker.node_types.entries
        }

    def further_entries(self, native: Mapping[str, NodeSpec]) -> Mapping[str, Entry]:
        """Return the descriptions of the types that we lack, each marked with its servers.

        Args:
            native: our own node types, by name.
        """
        return self._find_further(native).entries

    def further_specs(self, native: Mapping[str, NodeSpec]) -> Mapping[str, NodeSpec]:
        """Return the specs of the types that we lack, from the first server that has them."""
        return self._find_further(native).specs

    def joined_entry(self, name: str, own: Entry) -> Entry:
        """Return our description of a node type, with the choices that the servers have besides."""
        for worker in self.workers:
            theirs = worker.node_types.entries.get(name)
            if theirs is not None:
                own = joined_entry(own, theirs, worker.server)
        return own

    async def input_file(self, name: str) -> Fetched | None:
        """Return a file that inputs list and is only in a server's input folder; None if none is.

        Args:
            name: with the folders below the input folder.
        """
        folder, _, file = name.rpartition("/")
        where = urlencode({"filename": file, "subfolder": folder, "type": "input"})
        for worker in self.workers:
            if name in worker.node_types.input_files:
                with suppress(ClientError, TimeoutError, NodeGraphError):
                    found = await worker.fetch(f"/view?{where}")
                    if found.status == _OK:
                        return found
        return None

    def explain_absence(self, problems: Iterable[NodeGraphError]) -> None:
        """Say of unknown node types that a server may have them which was not there yet."""
        away = [worker.server for worker in self.workers if not worker.node_types.entries]
        if not away:
            return
        text = f"The ComfyUI server {join_few(away)} can not be reached, and may have it."
        for problem in problems:
            if problem.code == UnknownNodeTypeError.code:
                problem.hint = f"{problem.hint} {text}".strip()

    async def refresh(self) -> None:
        """Read the servers' node types again, if they are not current, for a short time."""
        if self.workers:
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(_refresh(worker))

    def _find_further(self, native: Mapping[str, NodeSpec]) -> "_Further":
        """Return the types that we lack; they are found anew when any server's have changed."""
        theirs = tuple(worker.node_types for worker in self.workers)
        known = self._further
        if known.native is not native or not _are_same(known.theirs, theirs):
            known = self._further = _find_further(native, theirs, self.workers)
        return known

    def __contains__(self, type_name: object) -> bool:
        """Say if a server has a node type."""
        return any(type_name in worker.node_types.entries for worker in self.workers)


@dataclass(frozen=True, slots=True)
class _Further:
    """The types that only servers have, and those that they were found from."""

    native: Mapping[str, NodeSpec] | None = None
    theirs: Sequence[NodeTypes] = ()
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    specs: Mapping[str, NodeSpec] = field(default_factory=dict[str, NodeSpec])


def _find_further(
    native: Mapping[str, NodeSpec], theirs: Sequence[NodeTypes], workers: Sequence[ComfyWorker]
) -> _Further:
    entries: dict[str, Entry] = {}
    specs: dict[str, NodeSpec] = {}
    for worker, types in zip(workers, theirs, strict=True):
        for name, entry in types.entries.items():
            if name not in native:
                first = entries.get(name, entry)
                entries[name] = {**first, "comfyui": [*first.get("comfyui", ()), worker.server]}
                specs.setdefault(name, types.registry.catalog[name])
    return _Further(native, theirs, entries, specs)


def _are_same(some: Sequence[NodeTypes], others: Sequence[NodeTypes]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def comfy_servers(
    settings: ServerSettings,
    hooks: ServerHooks,
    files: Callable[[str], Files],
    native: Callable[[], Mapping[str, NodeSpec]],
) -> ComfyServers:
    """Return the servers of the settings.

    Args:
        settings: have their addresses.
        hooks: the parts of the server that their workers call.
        files: returns the folders of an owner.
        native: returns our own node types.

    Raises:
        SettingsError: an address or header is wrong.
    """
    addresses = read_addresses(settings)
    if not addresses:
        return ComfyServers()
    client = read_or_create_client(settings.data_dir / _CLIENT)
    return ComfyServers([ComfyWorker(each, client, hooks, files, native) for each in addresses])


def read_or_create_client(file: Path) -> uuid.UUID:
    """Return the id of this server at ComfyUI servers; it stays the same, so that runs are found.

    Raises:
        SettingsError: the file holds something else.
    """
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
        part.chmod(0o600)
        part.replace(file)
    try:
        return uuid.UUID(file.read_text(encoding="utf-8").strip())
    except ValueError as error:
        message = f"{file} holds no id."
        hint = "Remove it; runs that ComfyUI servers compute now are then computed again."
        raise SettingsError(message, hint=hint) from error


async def _refresh(worker: ComfyWorker) -> None:
    try:
        async with asyncio.timeout(_SLOWEST):
            await worker.refresh(PATIENCE)
    except TimeoutError:
        return
