"""The ComfyUI servers that the settings name: nothing else is ever connected to."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from yarl import URL

from nodegraph.errors import SettingsError, nearest
from nodegraph.settings.server import EVERYWHERE, ServerSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}", re.ASCII)
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+): *([\x20-\x7e]+)", re.ASCII)
_ROUTE = re.compile(r"/(?!api\b)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.~/-]*\*?)?", re.ASCII)
_SCHEMES = ("http", "https")
_EXAMPLE = "For example http://127.0.0.1:8188, or main=http://127.0.0.1:8188."


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The name and address of a ComfyUI server, and what the settings say of it besides."""

    name: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The header that it wants."""
    slots: int = 1
    """The runs that it is given at once."""
    is_local: bool = False
    """True if it is on this machine, and may read our files."""
    gives_scripts: bool = False
    """True if the editor runs the scripts of its packs."""


def read_addresses(settings: ServerSettings) -> list[ServerAddress]:
    """Read the ComfyUI servers of the settings, in their order.

    Raises:
        SettingsError: an address, a header or a route is something else, a name is there twice,
            or a setting is for a server that is not there.
    """
    _check_routes(settings.comfyui_routes)
    headers, slots = settings.comfyui_headers, settings.comfyui_slots
    found: dict[str, ServerAddress] = {}
    for entry in settings.comfyui:
        name, url = _read(entry)
        if name in found:
            message = f"two ComfyUI servers are called {name!r}."
            raise SettingsError(message, hint="Give each a name of its own: NAME=ADDRESS.")
        header = _header(name, headers.get(name, ""))
        runs = slots.get(name, slots.get(EVERYWHERE, 1))
        is_local, trusted = _is_local(url), settings.comfyui_scripts
        gives = trusted == "all" or (trusted == "local" and is_local)
        found[name] = ServerAddress(name, url, header, runs, is_local, gives)
    _check_names("comfyui_headers", headers, found)
    _check_names("comfyui_slots", slots.keys() - {EVERYWHERE}, found)
    return list(found.values())


def _check_routes(routes: Iterable[str]) -> None:
    for route in routes:
        if not _ROUTE.fullmatch(route):
            message = f"comfyui_routes has {route[:80]!r}, which is no path of a pack."
            hint = "/impact/wildcards/list works, and /rgthree/* for all paths that begin so."
            raise SettingsError(message, hint=f"{hint} /api before it is left out.")


def _is_local(url: URL) -> bool:
    """Say if an address is on this machine."""
    host = url.host or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_names(setting: str, names: Iterable[str], servers: Collection[str]) -> None:
    for name in sorted(names):
        if name not in servers:
            message = f"{setting} has {name!r}, but no ComfyUI server is called so."
            raise SettingsError(message, hint=nearest(name, servers) or _EXAMPLE)


def _read(entry: str) -> tuple[str, URL]:
    """Return the name and the address; the entry is not shown, for it may hold a password."""
    named = not entry.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))
    name, _, text = entry.partition("=") if named else ("", "", entry)
    try:
        url = URL(text.strip().rstrip("/"))
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in _SCHEMES or not url.raw_host or not port:
        message = "comfyui has an entry that is no http or https address."
        raise SettingsError(message, hint=_EXAMPLE)
    if url.user is not None or url.password is not None or url.raw_query_string or url.fragment:
        message = f"the address of the ComfyUI server {name or url.host!r} has a user, a password"
        message += ", a query or a fragment."
        raise SettingsError(message, hint="A secret belongs into comfyui_headers.")
    name = name.strip() if named else f"{url.host}:{port}"
    if not _NAME.fullmatch(name):
        message = f"{name[:80]!r} is no name of a ComfyUI server."
        raise SettingsError(message, hint="Letters, digits, '.', '_', ':' and '-' work, up to 40.")
    return name, url


def _header(name: str, text: str) -> Mapping[str, str]:
    """Return the header of a server; its text is not shown, for it is secret."""
    if not text:
        return {}
    match = _HEADER.fullmatch(text.strip())
    if not match:
        message = f"comfyui_headers has for {name!r} something that is no header."
        raise SettingsError(message, hint="It is written as 'Authorization: Bearer SECRET'.")
    return {match[1]: match[2].strip()}
