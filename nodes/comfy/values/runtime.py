"""The environment of packs in this process: the folders, the server, and the node that runs now."""

import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import count
from pathlib import Path

from nodegraph.definition.context import Context
from nodegraph.files.files import Files
from nodegraph.packs.catalog import PackSource
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from nodegraph.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class AddedFolder:
    """Directories that packs added to a model folder, and the suffixes of files in a new one."""

    paths: list[str] = field(default_factory=list[str])
    suffixes: set[str] = field(default_factory=set[str])


@dataclass(frozen=True)
class PackEnvironment:
    """The settings, folders and server that all packs of a process share."""

    settings: Settings
    server: PackServer
    apart: Mapping[str, PackSource] = field(default_factory=dict[str, PackSource])
    """The packs that have environments of their own, by name."""
    added_folders: dict[str, AddedFolder] = field(
        default_factory=dict[str, AddedFolder], compare=False
    )
    """Those that packs added, by model folder."""
    packs: dict[str, PackSource] = field(default_factory=dict[str, PackSource], compare=False)
    """The packs whose classes packs of this process may use, by name; none where one is alone."""
    names: dict[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]], compare=False
    )
    """The node types of those that were looked up, by pack."""

    @cached_property
    def registry(self) -> Registry:
        """Return the node types that come with this project."""
        return Registry.load(names=("nodes",), cache=self.settings.cache_dir)

    @cached_property
    def files(self) -> Files:
        """Return the shared folders, with the models that come with this project."""
        return self.settings.files(self.registry.model_places)

    @property
    def custom_nodes(self) -> Path:
        """Return the folder that packs lie in."""
        return self.settings.custom_nodes_dir.absolute()

    @property
    def base(self) -> Path:
        """Return the path that packs see as ComfyUI's own folder."""
        return self.custom_nodes.parent

    @property
    def home(self) -> Path:
        """Return the folder in which packs find `input` and `output` beside ComfyUI's own files."""
        place = self.files.folders.input.absolute()
        return place.parent if place.name == "input" else self.base

    @property
    def scratch(self) -> Path:
        """Return a folder for files that packs would write beside ComfyUI's code."""
        return self.settings.cache_dir.absolute() / "comfyui"

    def take_packs(self, other: "PackEnvironment") -> None:
        """Have the packs of another environment, which were found since."""
        self.packs.clear()
        self.names.clear()
        self.packs.update(other.packs)

    def take_additions(self, before: "PackEnvironment") -> None:
        """Add what packs added to an earlier environment, such as routes and model folders."""
        known = self.server.routes
        known.extend(route for route in before.server.routes if route not in known)
        self.server.elsewhere.update(before.server.elsewhere)
        self.server.folders.update(before.server.folders)
        self.server.prompt_changes.update(before.server.prompt_changes)
        self.added_folders.update(before.added_folders)


@dataclass(frozen=True)
class PackFinder:
    """The part of the import hook that says in which environment its packs are.

    A process imports a module once, so packs share an environment: that of the finder in
    `sys.meta_path`.
    """

    environment: PackEnvironment
    libraries: set[str] = field(default_factory=set[str], compare=False)
    """The modules outside of packs that were found since the last pack was begun."""


def current() -> PackEnvironment:
    """Return the environment of this process's packs."""
    for finder in sys.meta_path:
        if isinstance(finder, PackFinder):
            return finder.environment
    return _without_packs()


@cache
def _without_packs() -> PackEnvironment:
    """Return the environment of a process that has no packs, for the stand-ins alone."""
    return PackEnvironment(Settings.read(), PackServer())


@dataclass(frozen=True, slots=True)
class _Scope:
    """The node and the folders that a pack's code in this thread works for."""

    context: Context | None = None
    files: Files | None = None
    importing: bool = False
    graphs: Iterator[int] = field(default_factory=count)
    """Numbers the graphs that the node builds."""


_OUTSIDE = _Scope()
_SCOPE: ContextVar[_Scope] = ContextVar("pack_scope", default=_OUTSIDE)


def context() -> Context | None:
    """Return the context of the node that runs in this thread, or None."""
    return _SCOPE.get().context


def files() -> Files:
    """Return the folders of the run's user; outside of a run, the shared ones."""
    scope = _SCOPE.get()
    return scope.context.files if scope.context else scope.files or current().files


def next_prefix() -> str:
    """Return the beginning of the ids in another graph that the running node builds.

    No node that is in the graph of a run has such an id, so that links can lead there, too.
    """
    return f"+{next(_SCOPE.get().graphs)}."


def importing() -> bool:
    """Return True while a pack is imported and described in this thread."""
    return _SCOPE.get().importing


@contextmanager
def at_import() -> Generator[None]:
    """Import and describe a pack within this block."""
    token = _SCOPE.set(replace(_SCOPE.get(), importing=True))
    try:
        yield
    finally:
        _SCOPE.reset(token)


@contextmanager
def with_files(files: Files) -> Generator[None]:
    """Use these folders within this block, outside of a node."""
    token = _SCOPE.set(replace(_SCOPE.get(), files=files))
    try:
        yield
    finally:
        _SCOPE.reset(token)


@contextmanager
def running(context: Context | None) -> Generator[None]:
    """Set the node that runs within this block."""
    token = _SCOPE.set(replace(_SCOPE.get(), context=context, graphs=count()))
    try:
        yield
    finally:
        _SCOPE.reset(token)
