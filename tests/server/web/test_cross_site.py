"""Pages of other sites, and names that were made to lead here, get nothing from any route."""

import asyncio
import http.client
import json
import re
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.server.routing import routes
from tests.server.serving import toy

HOSTILE = {
    "another name": {"Host": "evil.example"},
    "another name, and its origin": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a name that begins as ours": {"Host": "127.0.0.1.evil.example"},
    "a name with a login": {"Host": "127.0.0.1@evil.example"},
    "no name": {"Host": ""},
    "another site": {"Origin": "http://evil.example"},
    "no site": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a file": {"Origin": "file://"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "a picture on another page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
}
PLAIN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    {"Host": "localhost"},
    {"Host": "[::1]:99"},
]


def asked(server, method, path, headers, body=None):
    """The status of a request with exactly these headers."""
    there = urlsplit(server.url)
    connection = http.client.HTTPConnection(there.hostname, there.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        data = body or b""
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE)
def test_no_route_answers_a_hostile_page(server, headers, tmp_path):
    statuses = {
        (route, asked(server, route.method, re.sub(r"\{[^}]*\}", "x", route.path), headers))
        for route in routes(tmp_path)
    }

    assert {status for _, status in statuses} == {403}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("site", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_form_of_another_page_queues_nothing(server, kind, site):
    body = json.dumps({"prompt": toy()}).encode()
    headers = {**site, **({"Content-Type": kind} if kind else {})}

    assert asked(server, "POST", "/prompt", headers, body) == 403


@pytest.mark.parametrize("headers", PLAIN)
def test_clients_and_our_own_page_come_in(server, headers):
    body = json.dumps({"prompt": toy()}).encode()

    assert asked(server, "GET", "/queue", headers) == 200
    assert asked(server, "POST", "/prompt", headers, body) == 200


def test_our_own_page_may_say_so(server):
    there = urlsplit(server.url)

    assert asked(server, "GET", "/queue", {"Origin": server.url}) == 200
    assert asked(server, "GET", "/queue", {"Origin": f"https://{there.netloc}"}) == 200


def test_a_link_to_the_editor_may_be_followed_and_nothing_else(server):
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert asked(server, "GET", "/", {**visit, "Sec-Fetch-Dest": "document"}) == 200
    assert asked(server, "GET", "/", {**visit, "Sec-Fetch-Dest": "iframe"}) == 403
    assert asked(server, "GET", "/queue", {**visit, "Sec-Fetch-Dest": "document"}) == 403
    assert asked(server, "POST", "/", {**visit, "Sec-Fetch-Dest": "document"}) == 403


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE)
def test_no_websocket_opens_for_a_hostile_page(server, headers):
    async def opened():
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(server.socket_url, headers=headers)

    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        asyncio.run(opened())
    assert caught.value.status == 403


def test_two_names_in_one_request_are_refused(server):
    there = urlsplit(server.url)
    connection = http.client.HTTPConnection(there.hostname, there.port, timeout=30)
    connection.putrequest("GET", "/queue")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()

    assert status in (400, 403)


def test_no_other_site_may_read_or_frame_a_reply(server):
    headers = server.get("/queue").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
