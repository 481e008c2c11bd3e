"""Which addresses may be told anything: those that the settings name, and nothing behind them.

Whoever may submit a run may name a URL, and could make this server knock at doors that only it
can reach (SSRF). So a host has to be named in the settings; what its name leads to has to be a
public address, or one that is named, too.
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
    """The hosts that webhooks may go to.

    Args:
        allowed: names of hosts, addresses, and networks such as `10.1.0.0/16`.

    Raises:
        SettingsError: one is none of these.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        read = [(entry, _network(entry)) for entry in allowed]
        self._networks = [network for _, network in read if network]
        self._names = {_named(entry) for entry, network in read if network is None}

    def check(self, text: str) -> URL:
        """The URL, if something may be sent there.

        Raises:
            WebhookRefusedError: it may not.
        """
        url = _parsed(text)
        host = (url.raw_host or "").rstrip(".").lower()
        address = _address(host)
        if address is None and host not in self._names:
            raise WebhookRefusedError(text, "its host is not allowed")
        if address is not None and not self._is_named(address):
            raise WebhookRefusedError(text, "its address is not allowed")
        return url

    def reachable(self, text: str) -> bool:
        """Whether something may be sent to an address that an allowed name led to."""
        address = _address(text)
        if address is None:
            return False
        return self._is_named(address) or (address.is_global and not address.is_multicast)

    def _is_named(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def _parsed(text: str) -> URL:
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise WebhookRefusedError(text, "it has characters in it that no URL has")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise WebhookRefusedError(text, "it is no URL") from error
    if url.scheme not in _SCHEMES or not url.raw_host or not port:
        raise WebhookRefusedError(text, "it is no http or https URL")
    if url.user is not None or url.password is not None or url.raw_fragment:
        raise WebhookRefusedError(text, "it has a user, a password or a fragment")
    return url


def _address(text: str) -> Address | None:
    """The address that packets would go to; one inside of another is taken out."""
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


def _named(entry: str) -> str:
    """A host's name as a setting."""
    try:
        host = URL.build(scheme="http", host=entry).raw_host
    except ValueError:
        host = None
    if not host or set(host) & set("/:@*?# "):
        message = f"webhook_hosts has {entry!r}, which is no host."
        raise SettingsError(message, hint="It takes names, addresses, and networks: 10.1.0.0/16.")
    return host.rstrip(".").lower()
