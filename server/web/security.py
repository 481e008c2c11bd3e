"""The guard: lets in requests with the right host, from no other site's page, and with a token.

A page of another site can send requests to a server on this machine, and can make its own name
resolve to it (DNS rebinding). Browsers send the origin of a request (`Origin`, `Sec-Fetch-Site`)
and the name of the server (`Host`). Other clients send no origin, and pass.
"""

from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.web.services import set_owner
from server.web.tokens import NOBODY, Tokens, cookie

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "nodegraph_token"
LOGIN = "/login"
SCORE = "/score"
"""The path that Azure Machine Learning calls."""
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
    """Return True if only this machine can reach a server bound to this address."""
    return host in _LOOPBACK or _is_ip(host, loopback=True)


def guard(
    host: str, allowed: Collection[str], tokens: Tokens, *, score_open: bool = False
) -> Middleware:
    """Return the middleware that refuses forbidden requests.

    Args:
        host: the address that is bound.
        allowed: further host names of the server.
        tokens: the tokens that let clients in; without any, all clients are let in.
        score_open: True if `/score` needs no token; what it is sent by those without one
            belongs to nobody in particular.
    """
    names = {name.lower() for name in (*_LOOPBACK, host, *allowed)}
    anywhere = not is_loopback(host)

    @web.middleware
    async def check_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = _refusal(request, names, anywhere)
        if reason:
            raise web.HTTPForbidden(text=f"403: {reason}\n")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise web.HTTPUnsupportedMediaType(text="415: send the body uncompressed.\n")
        owner = _owner(request, tokens) if tokens else NOBODY
        if owner is None and score_open and request.path == SCORE:
            owner = NOBODY
        if owner is not None:
            set_owner(request, owner)
        elif request.path not in _OPEN:
            raise web.HTTPUnauthorized(
                text="401: this server needs a token (Authorization: Bearer …).\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return check_request


def login(tokens: Tokens) -> Handler:
    """Return the handler of `GET /login?token=…`, which sets a cookie without the token."""

    async def handler(request: web.Request) -> web.StreamResponse:
        token = request.query.get("token", "")
        if tokens.owner(token) is None:
            raise web.HTTPUnauthorized(text="401: the token is wrong.\n")
        response = web.HTTPFound("/")
        response.set_cookie(
            COOKIE, cookie(token), httponly=True, samesite="Strict", secure=request.secure, path="/"
        )
        raise response

    return handler


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add headers to a reply: no guessing of types, no framing or reading by other sites."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _refusal(request: web.Request, names: Collection[str], anywhere: bool) -> str:
    """Return the reason to refuse a request; empty if there is none."""
    hosts = request.headers.getall("Host", [])
    name = _name_of(hosts[0]) if len(hosts) == 1 else None
    if name is None or not (name in names or (anywhere and _is_ip(name))):
        return "this host name (Host) is not allowed; see --allow-host."
    if request.headers.get("Sec-Fetch-Site") in _FOREIGN and not _is_visit(request):
        return "pages of other sites may not talk to this server (Sec-Fetch-Site)."
    origins = request.headers.getall("Origin", [])
    if any(not _is_own(origin, hosts[0]) for origin in origins):
        return "pages of other sites may not talk to this server (Origin)."
    return ""


def _is_visit(request: web.Request) -> bool:
    """Return True if a user merely followed a link to the editor or the login."""
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
    """Return the name in a Host header, without its port; None if it is malformed."""
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
    """Return the owner of the token in the header, or else of the cookie; None if wrong."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.owner(given.strip())
    return tokens.cookie_owner(request.cookies.get(COOKIE, ""))
