"""The services that routes use: the server's parts, limited to the owner of a request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from aiohttp import web

from nodegraph.files.files import Files
from nodegraph.graph.graph import Graph, NodeId
from nodegraph.packs.registry import Registry
from nodegraph.runtime.choices import Prefer
from nodegraph.settings.settings import Settings
from nodegraph.validation.model_needs import model_needs
from nodegraph.validation.placement import Placement, place
from server.pictures.process import Pictures
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.event_bus import Bus
from server.store.store import Store
from server.web.tenancy import OwnBus, OwnDispatcher, OwnStore
from server.webhooks.sender import Webhooks
from server.webhooks.targets import Targets
from server.workers.comfyui.servers import ComfyServers

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
_STORE_THREADS = 32
"""The requests that may wait for object stores at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one server, with the runs of all owners."""

    settings: Settings
    registry: Registry
    files: Files
    store: Store
    bus: Bus
    dispatcher: Dispatcher
    pictures: Pictures
    webhooks: Webhooks
    data_dir: Path
    comfyui: ComfyServers = field(default_factory=ComfyServers)
    _store_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_STORE_THREADS, "objects"), init=False
    )
    _by_owner: dict[str, "Services"] = field(default_factory=dict[str, "Services"], init=False)

    def for_owner(self, owner: str) -> "Services":
        """Return the services for the requests of one owner, which are made once."""
        if owner not in self._by_owner:
            self._by_owner[owner] = self._make_services(owner)
        return self._by_owner[owner]

    def _make_services(self, owner: str) -> "Services":
        return Services(
            owner=owner,
            settings=self.settings,
            registry=self.registry,
            files=self.files.for_owner(owner),
            store=OwnStore(self.store, owner),
            bus=OwnBus(self.bus, owner),
            dispatcher=OwnDispatcher(self.dispatcher, owner),
            pictures=self.pictures,
            targets=self.webhooks.targets,
            comfyui=self.comfyui,
            threads=self._store_threads if self.files.has_stores else None,
            folder=self.data_dir / "users" / owner if owner else self.data_dir / "editor",
        )


@dataclass(frozen=True, slots=True)
class Services:
    """The server's parts as one owner's requests see them."""

    owner: str
    """The name of the token that the request came with; empty if it has none."""
    settings: Settings
    registry: Registry
    files: Files
    """The models, and the owner's own input, output and temp folder."""
    store: OwnStore
    bus: OwnBus
    dispatcher: OwnDispatcher
    pictures: Pictures
    targets: Targets
    """The hosts that webhooks may be sent to."""
    folder: Path
    """The folder of the owner's workflows and settings; it may not exist yet."""
    comfyui: ComfyServers
    """The ComfyUI servers that may run runs, too."""
    threads: ThreadPoolExecutor | None
    """Those that ask object stores; None if there are none."""

    async def ask_folder(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run a function that reads or writes a folder, which may lie in an object store.

        Such functions have threads of their own, so that a store that hangs holds up nothing else.
        """
        call = partial(copy_context().run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    def place(
        self, graph: Graph, targets: Sequence[NodeId] | None, prefer: Prefer | None = None
    ) -> Placement:
        """Check a graph and choose the place where it runs; see `placement.place`.

        Where there are several workers of our own, it also finds the model files that it reads.

        Args:
            graph: the graph.
            targets: the nodes whose results are wanted; all output nodes if None.
            prefer: the place that is tried first; as the settings say if None.
        """
        placed = place(
            graph,
            self.registry,
            self.files,
            self.comfyui.offers,
            targets=targets,
            prefer=prefer or self.settings.server.prefer,
        )
        self.comfyui.explain_absence(placed.checked.problems)
        own = [worker for worker in self.dispatcher.workers if not worker.server]
        if placed.servers or len(own) == 1:
            return placed
        catalog = placed.registry.catalog
        return replace(placed, models=model_needs(placed.checked.graph, catalog, self.files))


PARTS = web.AppKey("parts", Parts)
_OWNER = web.RequestKey("owner", str)
_RUN = web.RequestKey("run", str)
_TRACE = web.RequestKey("trace", Mapping[str, str])


def services(request: web.Request) -> Services:
    """Return the services for the owner of a request."""
    return parts_of(request).for_owner(owner_of(request))


def parts_of(request: web.Request) -> Parts:
    """Return all parts of the server; only for routes that concern no owner's data."""
    return request.app[PARTS]


def owner_of(request: web.Request) -> str:
    """Return the owner of a request; the guard has set it."""
    return request[_OWNER]


def set_owner(request: web.Request, owner: str) -> None:
    """Set the owner of a request; only the guard does so."""
    request[_OWNER] = owner


def known_owner(request: web.BaseRequest) -> str:
    """Return the owner of a request; empty if it has none, or was refused by the guard."""
    return request.get(_OWNER, "")


def note_run(request: web.Request, run_id: str) -> None:
    """Note the run that a request is about, for the access log."""
    request[_RUN] = run_id


def noted_run(request: web.BaseRequest) -> str:
    """Return the id of the run that a request is about; empty if it is about none."""
    return request.get(_RUN, "")


def set_trace(request: web.Request, headers: Mapping[str, str]) -> None:
    """Set the headers that name the span of a request; only the middleware of traces does so."""
    request[_TRACE] = headers


def trace_of(request: web.Request) -> Mapping[str, str]:
    """Return the headers that name the span of a request; none if there are no traces."""
    return request.get(_TRACE, {})
