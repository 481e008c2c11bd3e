"""Looks up names for webhooks; whoever connects uses the very addresses that were checked."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from server.webhooks.targets import Targets

Lookup = Callable[[str, int, int], Awaitable[list[Any]]]
"""Name, port and family to what `getaddrinfo` gives."""


async def look_up(host: str, port: int, family: int) -> list[Any]:
    """Ask the system."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


class CheckedResolver(AbstractResolver):
    """Gives only addresses that may be reached; a name that changes its mind changes nothing.

    Args:
        targets: says which.
        lookup: finds addresses.
    """

    def __init__(self, targets: Targets, lookup: Lookup = look_up) -> None:
        self._targets = targets
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            OSError: it has none, or none that may be reached.
        """
        found = await self._lookup(host, port, family)
        results = [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
            if self._targets.reachable(address[0])
        ]
        if not results:
            message = f"{host} leads to no address that webhooks may go to"
            raise OSError(None, message)
        return results

    async def close(self) -> None:
        """Nothing is held."""
