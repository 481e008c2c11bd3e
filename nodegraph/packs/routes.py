"""The routes and messages of packs for a server's clients: set by packs, used by a worker."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from nodegraph.files.files import Files

Tell: TypeAlias = Callable[[str, object, str], None]
"""(name of the message, its JSON, the run whose client hears it; everybody if it is empty)."""


class PackRoute(NamedTuple):
    """One route of a pack's own."""

    method: str
    path: str
    """The path as aiohttp writes it: `/mine/{name}`."""
    handler: Callable[..., Any]
    """A function from an aiohttp request to a response, or to a coroutine that gives one."""


def _discard(name: str, data: object, run: str) -> None:
    del name, data, run


ChangePrompt: TypeAlias = Callable[[dict[str, Any], Files], object]
"""A function from a request to run a prompt, and the folders, to the request that counts."""


class RoutesElsewhere(NamedTuple):
    """The routes of a pack that runs in another process."""

    routes: tuple[str, ...]
    """See `Pack.routes`."""
    open: Callable[[str, Path], object]
    """Opens a socket where that process answers them.

    Gets a `module:function`, which that process calls with its `PackServer`, the socket's path, and
    a function to call when it is open; and the path. Returns when it is open.
    """


@dataclass(frozen=True, slots=True, eq=False)
class PackServer:
    """The server as packs see it: takes their routes, and reaches their clients.

    Whoever loads packs hands one in (`Registry.from_settings`); packs add to its routes, and to the
    functions that change prompts before they are queued.
    """

    tell: Tell = _discard
    """Sends a message to clients; without a server, to nobody."""
    routes: list[PackRoute] = field(default_factory=list[PackRoute])
    elsewhere: dict[str, RoutesElsewhere] = field(default_factory=dict[str, RoutesElsewhere])
    """Routes that other processes answer, by the pack's module."""
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    """Folders whose files are served, by path: `/mine`."""
    clients: dict[str, str] = field(default_factory=dict[str, str])
    """The id of the client of each run that is computed now, if it has one."""
    prompt_changes: dict[str, ChangePrompt] = field(default_factory=dict[str, ChangePrompt])
    """By names that stay the same when a pack is imported again."""
