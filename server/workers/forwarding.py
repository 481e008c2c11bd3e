"""Requests to packs, forwarded to a socket of the process that answers them."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

_TIMEOUT = ClientTimeout(total=300.0)
_PRIVATE_REQUEST_HEADERS = ("authorization", "cookie", "host", "content-length", "expect")
"""Request headers that are not forwarded to packs; they hold the server's tokens, for example."""
_PRIVATE_REPLY_HEADERS = ("set-cookie", "content-length", "date", "server")
"""Reply headers that are not forwarded to clients."""
_HOP_BY_HOP = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")


async def forward(request: web.Request, socket: Path, place: str) -> web.StreamResponse:
    """Reply with what the other process replies.

    Args:
        request: to a pack.
        socket: the other process's.
        place: the path of the request there, as in its line, with the query.

    Raises:
        ClientError: nobody answers there.
        TimeoutError: the answer takes too long.
    """
    url = URL(f"http://packs{place}", encoded=True)
    body = await request.read()
    async with (
        ClientSession(
            connector=UnixConnector(str(socket)), auto_decompress=False, timeout=_TIMEOUT
        ) as session,
        session.request(
            request.method,
            url,
            data=body or None,
            headers=_without(request.headers, _PRIVATE_REQUEST_HEADERS),
            allow_redirects=False,
        ) as answer,
    ):
        headers = _without(answer.headers, _PRIVATE_REPLY_HEADERS)
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _without(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in names and name.lower() not in _HOP_BY_HOP
    }
