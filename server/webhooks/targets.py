"""The hosts that webhooks may be sent to: only those in the settings.

A client that submits a run names a URL, and could make this server send requests to machines that
only it can reach (SSRF). So the host has to be in the settings, and its name has to resolve to a
public address or to an address that is in the settings, too.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from yarl import URL

from nodegraph.errors import SettingsError
from server.errors import WebhookRefusedError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
_SCHEMES = ("http", "https")


class Targets:
    """The hosts that webhooks may be sent to.

    Args:
        allowed: host names, addresses, and networks such as `10.1.0.0/16`.

    Raises:
        SettingsError: an entry is something else.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        read = [(entry, _network(entry)) for entry in allowed]
        self._networks = [network for _, network in read if network]
        self._names = {_host_name(entry) for entry, network in read if network is None}

    def check(self, text: str) -> URL:
        """Return the parsed URL if it is allowed.

        Raises:
            WebhookRefusedError: it is not allowed.
        """
        url = _parse(text)
        host = (url.raw_host or "").rstrip(".").lower()
        address = _address(host)
        if address is None and host not in self._names:
            raise WebhookRefusedError(text, "its host is not allowed")
        if address is not None and not self._is_named(address):
            raise WebhookRefusedError(text, "its address is not allowed")
        return url

    def reachable(self, text: str) -> bool:
        """Return True if an allowed host name may resolve to this address."""
        address = _address(text)
        if address is None:
            return False
        return self._is_named(address) or (address.is_global and not address.is_multicast)

    def _is_named(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def _parse(text: str) -> URL:
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise WebhookRefusedError(text, "it has characters that are not allowed in a URL")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise WebhookRefusedError(text, "it is not a URL") from error
    if url.scheme not in _SCHEMES or not url.raw_host or not port:
        raise WebhookRefusedError(text, "it is not an http or https URL")
    if url.user is not None or url.password is not None or url.raw_fragment:
        raise WebhookRefusedError(text, "it has a user, a password or a fragment")
    return url


def _address(text: str) -> Address | None:
    """Return the IP address in a text, unwrapping IPv4 in IPv6; None if it is not an address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(entry: str) -> Network | None:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _host_name(entry: str) -> str:
    """Return a host name of the settings in canonical form."""
    try:
        host = URL.build(scheme="http", host=entry).raw_host
    except ValueError:
        host = None
    if not host or set(host) & set("/:@*?# "):
        message = f"webhook_hosts has {entry!r}, which is not a host."
        raise SettingsError(message, hint="It takes names, addresses, and networks: 10.1.0.0/16.")
    return host.rstrip(".").lower()
