"""Where webhooks may go, and what a name may lead to."""

import asyncio
import socket

import pytest

from nodegraph.errors import SettingsError
from server.errors import WebhookRefusedError
from server.webhooks.resolver import CheckedResolver
from server.webhooks.targets import Targets


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a?b=c",
        "http://HOOKS.example.com.:8080/",
        "http://10.1.2.3/",
        "http://[fd00::5]/",
        "http://[::ffff:10.1.2.3]/",
    ],
)
def test_hosts_that_are_named_are_allowed(url):
    Targets(["hooks.example.com", "10.1.0.0/16", "fd00::/8"]).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://localhost/",
        "http://[::1]/",
        "http://8.8.8.8/",
        "http://evil.example/",
        "http://hooks.example.com.evil.example/",
        "http://sub.hooks.example.com/",
        "http://evil.example/@hooks.example.com",
        "http://hooks.example.com@evil.example/",
        "http://evil.example\\@hooks.example.com/",
        "http://user:password@hooks.example.com/",
        "http://hooks.example.com/#part",
        "http://hooks.example.com/\r\nX-Header: 1",
        "http://hooks.example.com/ two",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "http://",
        "http://hooks.example.com:99999/",
        "http://[::1",
        "",
    ],
)
def test_everything_else_is_refused(url):
    with pytest.raises(WebhookRefusedError):
        Targets(["hooks.example.com"]).check(url)


@pytest.mark.parametrize("entry", ["https://hooks.example.com", "a/b", "", "*.example.com", "a:80"])
def test_a_setting_that_is_no_host_is_refused(entry):
    with pytest.raises(SettingsError, match="is not a host"):
        Targets([entry])


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("10.1.2.3", True),
        ("10.2.2.3", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("no address", False),
    ],
)
def test_a_name_may_lead_to_public_addresses_and_to_named_ones(address, reachable):
    assert Targets(["hooks.example.com", "10.1.0.0/16"]).reachable(address) is reachable


def answers(*addresses):
    """A name server that gives one answer after the other, the last one for ever."""
    left = list(addresses)

    async def lookup(host, port, family):
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    return lookup


def test_a_name_that_turns_to_a_private_address_is_refused_then():
    lookup = answers(["93.184.216.34"], ["169.254.169.254"])
    resolver = CheckedResolver(Targets(["hooks.example.com"]), lookup)

    first = asyncio.run(resolver.resolve("hooks.example.com", 443))
    with pytest.raises(OSError, match="no address"):
        asyncio.run(resolver.resolve("hooks.example.com", 443))

    assert [item["host"] for item in first] == ["93.184.216.34"]
    assert first[0]["flags"] & socket.AI_NUMERICHOST


def test_of_several_addresses_only_the_good_ones_are_used():
    resolver = CheckedResolver(Targets(["h"]), answers(["127.0.0.1", "93.184.216.34"]))

    assert [item["host"] for item in asyncio.run(resolver.resolve("h"))] == ["93.184.216.34"]
