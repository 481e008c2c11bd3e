"""Where packs for ComfyUI find themselves: the folders, and the node that runs at the moment."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nodegraph.context import Context
from nodegraph.files import Files
from nodegraph.registry import Registry
from nodegraph.settings import Settings


@dataclass(frozen=True)
class Here:
    """What all packs of a process share."""

    settings: Settings
    custom_nodes: Path

    @cached_property
    def files(self) -> Files:
        """Everybody's folders, with the models that come with this project."""
        own = Registry.load(names=("nodes",), cache=self.settings.cache_dir)
        return self.settings.files(own.model_places)

    @property
    def base(self) -> Path:
        """What packs take for ComfyUI's own folder."""
        return self.custom_nodes.parent

    @property
    def scratch(self) -> Path:
        """Where packs may put what they believe to put beside ComfyUI's code."""
        return self.settings.cache_dir.absolute() / "comfyui"


_settled: dict[str, Here] = {}
_files: ContextVar[Files | None] = ContextVar("files", default=None)
_context: ContextVar[Context | None] = ContextVar("context", default=None)


def settle(settings: Settings) -> None:
    """Say where this process's folders are."""
    _settled["here"] = Here(settings, settings.custom_nodes_dir.absolute())


def current() -> Here:
    """Where this process's folders are."""
    if "here" not in _settled:
        settle(Settings.read())
    return _settled["here"]


def context() -> Context | None:
    """What the node that runs in this thread was given; None if none does."""
    return _context.get()


def files() -> Files:
    """The folders of whoever asked for the run; outside of one, everybody's."""
    running = context()
    return running.files if running else _files.get() or current().files


@contextmanager
def with_files(files: Files) -> Generator[None]:
    """Within this block, outside of a node, those are the folders."""
    token = _files.set(files)
    try:
        yield
    finally:
        _files.reset(token)


@contextmanager
def running(context: Context | None) -> Generator[None]:
    """Within this block that node runs."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)
