"""What packs offer to a server's clients, and tell them: handed in by packs, used by a worker."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Tell: TypeAlias = Callable[[str, object, str], None]
"""(name of the message, its JSON, the run whose client hears it; everybody if it is empty)."""


class PackRoute(NamedTuple):
    """One route of a pack's own."""

    method: str
    path: str
    """As aiohttp writes it: `/mine/{name}`."""
    handler: Callable[..., Any]
    """Given an aiohttp request, gives a response, or a coroutine that does."""


def _unheard(name: str, data: object, run: str) -> None:
    del name, data, run


@dataclass(slots=True)
class PackServer:
    """Of one process."""

    routes: list[PackRoute] = field(default_factory=list[PackRoute])
    tell: Tell = _unheard
    """Reaches the clients; nobody where there is no server."""


OFFERED = PackServer()
"""Of this process."""
