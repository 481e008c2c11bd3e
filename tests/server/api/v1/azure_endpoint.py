"""A stand-in for an online endpoint of Azure Machine Learning, and a client, by its documentation.

The endpoint checks the key, calls the one route of the container by plain HTTP, and replies 424 if
the container does not reply 200, 408 if it takes too long, and 429 if too many requests wait
(https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints).
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.server.serving import Reply

KEY = "the-key-of-the-endpoint-which-the-container-does-not-know"
TIMEOUT_MS = 5000
"""`request_timeout_ms`, by default."""
_KEPT = ("Content-Type", "Accept", "Authorization", "Prefer", "Idempotency-Key", "traceparent")


class Endpoint(ThreadingHTTPServer):
    """An endpoint with one deployment, `blue`.

    Args:
        container: the address of the server in it.
        concurrency: `max_concurrent_requests_per_instance`.
    """

    daemon_threads = True

    def __init__(self, container: str, concurrency: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.container = container
        self.most = 2 * concurrency
        self.inside = 0
        self.lock = threading.Lock()
        self.uri = f"http://127.0.0.1:{self.server_address[1]}/score"

    def enter(self) -> bool:
        """Count a request in; False if there are too many."""
        with self.lock:
            self.inside += self.inside < self.most + 1
            return self.inside <= self.most

    def leave(self) -> None:
        """Count a request out."""
        with self.lock:
            self.inside -= 1


class _Handler(BaseHTTPRequestHandler):
    @property
    def _endpoint(self) -> Endpoint:
        assert isinstance(self.server, Endpoint)
        return self.server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._answer(401, {}, b"")
        elif self.headers.get("azureml-model-deployment", "blue") != "blue":
            self._answer(404, {}, b"")
        else:
            full = not self._endpoint.enter()
            try:
                self._answer(*(429, {}, b"") if full else self._call(data))
            finally:
                self._endpoint.leave()

    def _call(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
        request = urllib.request.Request(f"{self._endpoint.container}/score", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_MS / 1000) as reply:
                status, kind, body = reply.status, reply.headers["Content-Type"], reply.read()
        except TimeoutError:
            return 408, {}, b""
        except urllib.error.HTTPError as error:
            with error:
                status, kind, body = error.code, error.headers["Content-Type"], error.read()
        if status == 200:
            return 200, {"Content-Type": kind}, body
        told = {"ms-azureml-model-error-statuscode": str(status)}
        return 424, {"Content-Type": kind, **told}, body

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def endpoint(container: str, concurrency: int = 4) -> Generator[str]:
    """The scoring URI of an endpoint in front of a container."""
    with Endpoint(container, concurrency) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.uri
        finally:
            server.shutdown()
            thread.join()


def invoke(uri: str, data: object, key: str = KEY, deployment: str = "blue") -> Reply:
    """One call, with the code that the studio shows on the tab Consume."""
    body = json.dumps(data).encode()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": f"Bearer {key}",
        "azureml-model-deployment": deployment,
    }
    request = urllib.request.Request(uri, body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return Reply(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, dict(error.headers), error.read())
