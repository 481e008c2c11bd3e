"""Resolves host names for webhooks; connections use exactly the addresses that were checked."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from server.webhooks.targets import Targets

Lookup = Callable[[str, int, int], Awaitable[list[Any]]]
"""A function of name, port and family that returns what `getaddrinfo` returns."""


async def look_up(host: str, port: int, family: int) -> list[Any]:
    """Look a name up with the system's resolver."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


class CheckedResolver(AbstractResolver):
    """Resolves names to allowed addresses only, also when a name changes (DNS rebinding).

    Args:
        targets: the allowed addresses.
        lookup: finds addresses.
    """

    def __init__(self, targets: Targets, lookup: Lookup = look_up) -> None:
        self._targets = targets
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a host.

        Raises:
            OSError: the host has no address, or none that is allowed.
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
            message = f"{host} has no address that webhooks may be sent to"
            raise OSError(None, message)
        return results

    async def close(self) -> None:
        """Do nothing: the resolver holds no resources."""
