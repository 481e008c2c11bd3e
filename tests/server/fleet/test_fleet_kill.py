"""kill -9 of servers and workers of a fleet, again and again, while 64 clients send runs."""

import os
import random
import signal
import socket
import threading
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPException

import pytest

from tests.server import postgres
from tests.server.fleet.members import serving_in_fleet
from tests.server.serving import Server, install_toys, until

CLIENTS = 64
SIZE = 20_000
GONE = (urllib.error.URLError, ConnectionError, HTTPException, TimeoutError)
SECONDS = 3600.0


class Pair:
    """Two servers that are started again, under their names and at their ports, when killed."""

    def __init__(self, home, url) -> None:
        self._home, self._url = home, url
        self._stacks = {name: ExitStack() for name in ("a", "b")}
        self._ports = {name: free_port() for name in self._stacks}
        self.servers: dict[str, Server] = {}
        for name in self._stacks:
            self.start(name)

    def start(self, name) -> None:
        flags = ("--port", str(self._ports[name]))
        serving = serving_in_fleet(self._home, self._url, name, *flags, lease=3, ready=False)
        self.servers[name] = self._stacks[name].enter_context(serving)

    def kill_server(self, name) -> None:
        self.servers[name].kill()
        self._stacks[name].close()
        self.start(name)

    def kill_worker(self, name) -> bool:
        """Kill a worker; False if the server has none just now."""
        pids = self.servers[name].worker_pids()
        with suppress(ProcessLookupError):
            for pid in pids[:1]:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def stop(self) -> None:
        for stack in self._stacks.values():
            stack.close()


class Sender:
    """Sends runs all the time of the test; each until one of the servers has accepted it.

    Args:
        pair: the servers.
        share: returns the share of the test that is over: so much of the runs may be sent.
        count: the number of runs.
    """

    def __init__(self, pair: Pair, share: Callable[[], float], count: int) -> None:
        self._pair = pair
        self._share = share
        self._count = count
        self.accepted: dict[str, int] = {}
        self.sent_again = 0
        self._lock = threading.Lock()

    def send(self, number: int) -> None:
        name, prompt = str(uuid.uuid4()), saves(number)
        body = {"prompt": prompt, "prompt_id": name, "client_id": f"client-{number % CLIENTS}"}
        at = number
        while number > self._share() * self._count:
            time.sleep(0.1)
        while not self._is_accepted("ab"[at % 2], body):
            at += 1
            self.sent_again += 1
            time.sleep(0.2)
        with self._lock:
            self.accepted[name] = number

    def _is_accepted(self, server: str, body) -> bool:
        with suppress(*GONE):
            reply = self._pair.servers[server].post("/prompt", body)
            assert reply.status in (200, 503), reply.data
            return reply.status == 200
        return False


def saves(value):
    inputs = {"a": value, "count": 4, "seconds": 0.01}
    file = {"prefix": "kill", "megabytes": SIZE / 2**20}
    return {
        "1": {"class_type": "ToySteps", "inputs": inputs},
        "2": {"class_type": "ToyFile", "inputs": {"a": ["1", 0], **file}},
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "count"), [(4, 100), (100, 2000)])
def test_killed_servers_and_workers_lose_and_double_nothing(tmp_path, kills, count):
    install_toys(tmp_path)
    url = postgres.needed().create_with_tables()
    pair, chance, killed = Pair(tmp_path, url), random.Random(7), Counter()
    sender = Sender(pair, lambda: (killed.total() + 1) / kills, count)
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            sent = [clients.submit(sender.send, number) for number in range(count)]
            while killed.total() < kills:
                time.sleep(chance.uniform(0.5, 3))
                name, kind = chance.choice("ab"), chance.choice(("server", "worker"))
                if kind == "server":
                    pair.kill_server(name)
                    killed[kind] += 1
                else:
                    killed[kind] += pair.kill_worker(name)
            for future in sent:
                future.result()
        left = "SELECT count(*) FROM runs WHERE state IN ('queued', 'running')"
        until(lambda: postgres.query(url, left) == [(0,)], SECONDS)
        server = pair.servers["a"]
        server.ready()
        assert server.get("/prompt").json["exec_info"]["queue_remaining"] == 0
    finally:
        pair.stop()
    check(url, sender, server.output)
    again = postgres.query(url, "SELECT sum(attempts - 1) FROM runs")[0][0]
    print(
        f"\n{dict(killed)} killed in {time.monotonic() - begun:.0f} s: {len(sender.accepted)}"
        f" accepted = finished, 0 doubled, 0 truncated; {again} run again,"
        f" {sender.sent_again} requests sent again"
    )


def check(url, sender, output):
    """Every run that was accepted is finished, and has its one file, which is whole."""
    found = postgres.query(url, "SELECT id, state, error FROM runs")
    ends = postgres.query(
        url,
        "SELECT run, count(*) FROM events WHERE name IN"
        " ('run_finished', 'run_failed', 'run_cancelled') GROUP BY run",
    )
    states = {run: (state, error) for run, state, error in found}
    assert set(states) == set(sender.accepted)
    parked = {run for run, (_, error) in states.items() if error and "run_parked" in error}
    assert {run for run, (state, _) in states.items() if state != "succeeded"} == parked
    assert dict(ends) == dict.fromkeys(states, 1)
    files = [path.read_bytes().partition(b"\n") for path in output.glob("*.txt")]
    values = Counter(int(head) for head, _, _ in files)
    assert max(values.values()) == 1
    assert {sender.accepted[run] for run in states if run not in parked} <= set(values)
    assert {len(rest) for _, _, rest in files} == {int(SIZE / 2**20 * 2**20)}
