"""Webhooks of a real server to a real receiver."""

import base64
import hmac
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.server.api.v1.test_runs import FAILING, submitted
from tests.server.serving import TOYS, ended, install_toys, serving, toy, until

HOSTS = ("--webhook-host", "127.0.0.1")
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Receiver:
    """Somebody who wants to know: answers with `statuses` one after the other, then with 200."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_port
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def of(self, run: str) -> list[tuple[str, dict[str, str], Any]]:
        """What was heard of a run."""
        found = [(path, headers, json.loads(body)) for path, headers, body in self.heard]
        return [item for item in found if item[2]["data"]["id"] == run]


@contextmanager
def receiving(port: int = 0):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.heard.append((self.path, dict(self.headers), body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        receiver = Receiver(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()


@pytest.fixture(scope="module")
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """A server that may tell one address."""
    home = tmp_path_factory.mktemp("hooked")
    install_toys(home)
    with serving(home, HOSTS, TOYS | {"NODEGRAPH_SERVER_WEBHOOK_SECRET": SECRET}) as server:
        yield server


def test_the_end_of_a_run_is_told_and_signed(hooked, receiver):
    run = submitted(hooked, toy(value=3), webhook=receiver.url("/a?b=c"), client="me")["id"]
    (path, headers, body) = until(lambda: receiver.of(run))[0]

    assert path == "/a?b=c"
    assert body["type"] == "run.succeeded"
    assert body["data"]["client"] == "me"
    known = ended(hooked, run)
    assert {**known, **body["data"]} == known
    (raw,) = [data for _, _, data in receiver.heard if json.loads(data) == body]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_a_failure_is_told_with_its_reason(hooked, receiver):
    run = submitted(hooked, FAILING, webhook=receiver.url())["id"]

    body = until(lambda: receiver.of(run))[0][2]

    assert (body["type"], body["data"]["error"]["code"]) == ("run.failed", "node_failed")


def test_a_run_that_is_cancelled_is_told(hooked, receiver):
    run = submitted(hooked, toy(steps=3000), webhook=receiver.url())["id"]
    hooked.post(f"/v1/runs/{run}/cancel")

    assert until(lambda: receiver.of(run))[0][2]["type"] == "run.cancelled"


def test_it_is_told_again_until_it_is_heard_with_the_same_id(hooked, receiver):
    receiver.statuses = [500]

    run = submitted(hooked, toy(), webhook=receiver.url())["id"]

    first, again = until(lambda: receiver.of(run) if len(receiver.of(run)) == 2 else None)
    assert first[1]["webhook-id"] == again[1]["webhook-id"]
    assert first[2] == again[2]


def test_a_redirect_is_not_followed(hooked, receiver):
    receiver.statuses = [307]

    run = submitted(hooked, toy(), webhook=receiver.url())["id"]

    found = until(lambda: receiver.of(run) if len(receiver.of(run)) == 2 else None)
    assert {path for path, _, _ in found} == {"/hook"}


def test_who_says_that_it_is_gone_is_not_told_again(hooked, receiver):
    receiver.statuses = [410]

    run = submitted(hooked, toy(), webhook=receiver.url())["id"]

    until(lambda: receiver.of(run))
    time.sleep(2)
    assert len(receiver.of(run)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.2]/",
        "http://localhost/",
        "http://127.0.0.2/",
        "file:///etc/passwd",
        "nonsense",
    ],
)
def test_a_webhook_to_anywhere_else_is_refused_with_the_request(hooked, url):
    reply = hooked.post("/v1/runs", {"workflow": toy(), "webhook": url})

    assert (reply.status, reply.json["code"]) == (422, "webhook_refused")
    assert "--webhook-host" in reply.json["hint"]


def test_without_the_setting_no_webhook_is_accepted(server, receiver):
    reply = server.post("/v1/runs", {"workflow": toy(), "webhook": receiver.url()})

    assert (reply.status, reply.json["code"]) == (422, "webhook_refused")


def test_what_was_not_delivered_is_told_by_the_next_server(tmp_path):
    install_toys(tmp_path)
    with receiving() as receiver:
        receiver.statuses = [503] * 1000
        with serving(tmp_path, HOSTS, TOYS) as server:
            run = submitted(server, toy(), webhook=receiver.url())["id"]
            until(lambda: receiver.of(run))
            server.kill()
        receiver.statuses = []
        before = len(receiver.of(run))
        with serving(tmp_path, HOSTS, TOYS, ready=False):
            until(lambda: len(receiver.of(run)) > before)
    ids = {headers["webhook-id"] for _, headers, _ in receiver.of(run)}
    assert len(ids) == 1
    assert (tmp_path / "data" / "webhook-secret").read_text().startswith("whsec_")
