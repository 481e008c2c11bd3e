"""Opens the sockets that the server listens on."""

import asyncio
import errno
import os
import socket

from nodegraph.errors import SettingsError

_HINTS = {
    errno.EADDRINUSE: "Is another server running? Choose one with --port; 0 is any free one.",
    errno.EACCES: "Ports below 1024 need special rights; use --port for another one.",
}
_HINT = "--host takes an address or name of this machine: 127.0.0.1; 0.0.0.0 for all of them."


async def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Open a socket for each address of a host; connections wait until they are served.

    Args:
        host: a name or an address.
        port: 0 is any free one.

    Raises:
        SettingsError: the host is not an address of this machine, or the port is taken.
    """
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        async with server:
            sockets = [each.dup() for each in server.sockets]
        for each in sockets:
            each.listen()
    except OSError as error:
        message = f"cannot listen on {host!r}, port {port}: {_reason(error)}."
        raise SettingsError(message, hint=_HINTS.get(error.errno or 0, _HINT)) from error
    return sockets


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return os.strerror(error.errno).lower() if error.errno else "it is no address of this machine"
