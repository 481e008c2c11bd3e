"""The environment of packs in this process: the folders, and the node that runs now."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nodegraph.definition.context import Context
from nodegraph.files.files import Files
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings


@dataclass(frozen=True)
class Here:
    """The settings and folders that all packs of a process share."""

    settings: Settings
    custom_nodes: Path

    @cached_property
    def files(self) -> Files:
        """Return the shared folders, with the models that come with this project."""
        own = Registry.load(names=("nodes",), cache=self.settings.cache_dir)
        return self.settings.files(own.model_places)

    @property
    def base(self) -> Path:
        """Return the path that packs see as ComfyUI's own folder."""
        return self.custom_nodes.parent

    @property
    def scratch(self) -> Path:
        """Return a folder for files that packs would write beside ComfyUI's code."""
        return self.settings.cache_dir.absolute() / "comfyui"


_settled: dict[str, Here] = {}
_files: ContextVar[Files | None] = ContextVar("files", default=None)
_context: ContextVar[Context | None] = ContextVar("context", default=None)


def settle(settings: Settings) -> None:
    """Set this process's environment from the settings."""
    _settled["here"] = Here(settings, settings.custom_nodes_dir.absolute())


def current() -> Here:
    """Return this process's environment."""
    if "here" not in _settled:
        settle(Settings.read())
    return _settled["here"]


def context() -> Context | None:
    """Return the context of the node that runs in this thread, or None."""
    return _context.get()


def files() -> Files:
    """Return the folders of the run's user; outside of a run, the shared ones."""
    running = context()
    return running.files if running else _files.get() or current().files


@contextmanager
def with_files(files: Files) -> Generator[None]:
    """Use these folders within this block, outside of a node."""
    token = _files.set(files)
    try:
        yield
    finally:
        _files.reset(token)


@contextmanager
def running(context: Context | None) -> Generator[None]:
    """Set the node that runs within this block."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)
