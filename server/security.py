"""Who may talk to the server at all: the right host, no other site's pages, a token if one is set.

A page of another site can send requests to a server on this machine, and can make its own name
lead here (DNS rebinding). Browsers say where a request comes from (`Origin`, `Sec-Fetch-Site`)
and under which name they found us (`Host`); clients that are no browsers say nothing, and pass.
"""

from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.services import set_owner
from server.tokens import NOBODY, Tokens, cookie

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "nodegraph_token"
LOGIN = "/login"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OPEN = ("/healthz", "/readyz", LOGIN)
"""Paths that need no token."""
_FOREIGN = ("cross-site", "same-site")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that is bound."""
    return host in _LOOPBACK or _is_ip(host, loopback=True)


def guard(host: str, allowed: Collection[str], tokens: Tokens) -> Middleware:
    """The middleware that refuses what must not come in.

    Args:
        host: the address that is bound.
        allowed: more names that the server goes by.
        tokens: what clients have to know; nothing if there are none.
    """
    names = {name.lower() for name in (*_LOOPBACK, host, *allowed)}
    anywhere = not is_loopback(host)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = _refusal(request, names, anywhere)
        if reason:
            raise web.HTTPForbidden(text=f"403: {reason}\n")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise web.HTTPUnsupportedMediaType(text="415: send the body as it is, not packed.\n")
        owner = _owner(request, tokens) if tokens else NOBODY
        if owner is not None:
            set_owner(request, owner)
        elif request.path not in _OPEN:
            raise web.HTTPUnauthorized(
                text="401: this server wants a token (Authorization: Bearer …).\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return guarded


def login(tokens: Tokens) -> Handler:
    """`GET /login?token=…`: lets a browser in, by a cookie that does not hold the token."""

    async def handler(request: web.Request) -> web.StreamResponse:
        token = request.query.get("token", "")
        if tokens.owner(token) is None:
            raise web.HTTPUnauthorized(text="401: that is not the token.\n")
        response = web.HTTPFound("/")
        response.set_cookie(
            COOKIE, cookie(token), httponly=True, samesite="Strict", secure=request.secure, path="/"
        )
        raise response

    return handler


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """On every answer: nothing is guessed, nothing is framed or read by other sites."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _refusal(request: web.Request, names: Collection[str], anywhere: bool) -> str:
    """Why a request is not let in; empty if it is."""
    hosts = request.headers.getall("Host", [])
    name = _name_of(hosts[0]) if len(hosts) == 1 else None
    if name is None or not (name in names or (anywhere and _is_ip(name))):
        return "this server does not go by that name (Host); see --allow-host."
    if request.headers.get("Sec-Fetch-Site") in _FOREIGN and not _is_visit(request):
        return "pages of other sites may not talk to this server (Sec-Fetch-Site)."
    origins = request.headers.getall("Origin", [])
    if any(not _is_own(origin, hosts[0]) for origin in origins):
        return "pages of other sites may not talk to this server (Origin)."
    return ""


def _is_visit(request: web.Request) -> bool:
    """Whether somebody merely followed a link to the editor."""
    headers = request.headers
    kind = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    plain = request.method == "GET" and request.path in ("/", LOGIN)
    return plain and kind == ("navigate", "document")


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str | None:
    """A Host header without its port."""
    try:
        parts = urlsplit(f"//{host}")
        name, _port = parts.hostname, parts.port
    except ValueError:
        return None
    plain = parts.username is None and not parts.path and not parts.query
    return name.lower() if name and plain else None


def _is_ip(name: str, *, loopback: bool = False) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not loopback


def _owner(request: web.Request, tokens: Tokens) -> str | None:
    """Whose request it is; None if nobody's. The header says it, or else the cookie."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.owner(given.strip())
    return tokens.cookie_owner(request.cookies.get(COOKIE, ""))
